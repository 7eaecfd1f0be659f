"""Every signed statement of protocol section 3, in one place.

Each is a frozen value that cannot be made wrong: the constructor checks every rule its own
members can show, `decode` reads exactly the members the protocol names, and `verify_statement`
is the only way to a `Verified` one.
"""

from __future__ import annotations

from quorumkey.protocol._statement import Statement, Verified, verify_statement
from quorumkey.protocol.action import Action, check_action
from quorumkey.protocol.decision import Decision
from quorumkey.protocol.device_statements import Enrollment, Push, Session, Unpair
from quorumkey.protocol.policy import Approver, Group, Party, Policy
from quorumkey.protocol.relay_statements import Challenge, Execution, Receipt, Succession
from quorumkey.protocol.request import RequestDocument, request_digest

__all__ = [
    "Action",
    "Approver",
    "Challenge",
    "Decision",
    "Enrollment",
    "Execution",
    "Group",
    "Party",
    "Policy",
    "Push",
    "Receipt",
    "RequestDocument",
    "Session",
    "Statement",
    "Succession",
    "Unpair",
    "Verified",
    "check_action",
    "request_digest",
    "verify_statement",
]
