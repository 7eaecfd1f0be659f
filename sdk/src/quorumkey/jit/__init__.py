"""Just-in-time access: proof that a role activation was approved, and the calls of people.

`verify_activation` and `read_call` need no network and no clock: they are for whoever grants the
role, an auditor or the endpoint of a webhook executor. The calls of people are in
`quorumkey.jit.client`.
"""

from __future__ import annotations

from quorumkey.jit.evidence import VerifiedActivation, verify_activation
from quorumkey.jit.receiver import CallKind, TargetActivation, TargetCall, read_call

__all__ = [
    "CallKind",
    "TargetActivation",
    "TargetCall",
    "VerifiedActivation",
    "read_call",
    "verify_activation",
]
