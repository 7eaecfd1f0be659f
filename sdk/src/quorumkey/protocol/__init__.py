"""The protocol kernel: everything relay, device and verifier have to agree on.

Pure but for cryptography: no clock, no network, no files. What it raises on input is
`quorumkey.errors.ProtocolError` and nothing else.
"""

from __future__ import annotations

from quorumkey.protocol._statement import Statement, Verified, verify_statement
from quorumkey.protocol.action import Action, check_action, check_params
from quorumkey.protocol.assurance import (
    ASSURANCE_RANK,
    Assurance,
    admits,
    assurance_of,
    check_assurance,
)
from quorumkey.protocol.canonical import canonical_json, canonical_json_of, request_binding
from quorumkey.protocol.decision import Decision, DecisionValue, check_match_code
from quorumkey.protocol.device_statements import Enrollment, Platform, Push, Session, Unpair
from quorumkey.protocol.dsse import (
    Envelope,
    Form,
    Kind,
    PasskeyPolicy,
    WebAuthnAssertion,
    media_type,
    pae,
    parse_envelope,
    sign,
    verify_signature,
)
from quorumkey.protocol.encoding import (
    JsonValue,
    b64decode,
    b64encode,
    b64url_decode,
    b64url_encode,
    check_text,
    check_time,
    format_time,
    json_equal,
    parse_time,
)
from quorumkey.protocol.ids import check_uuid7, uuid7
from quorumkey.protocol.keys import PrivateKey, PublicKey, check_fingerprint, fingerprint_of
from quorumkey.protocol.origin import check_origin, origin_of
from quorumkey.protocol.pairing import (
    format_pairing_code,
    make_pairing_code,
    normalise_pairing_code,
    pairing_binding,
)
from quorumkey.protocol.pictogram import pictogram, speakable
from quorumkey.protocol.policy import Approver, Distinct, Group, Party, Policy, RejectPolicy
from quorumkey.protocol.protected_call import (
    CallerKind,
    Hidden,
    ProtectedCall,
    TransactionState,
)
from quorumkey.protocol.push_address import (
    ApnsAddress,
    FcmAddress,
    NoPushAddress,
    PushAddress,
    WebPushAddress,
    parse_push_address,
)
from quorumkey.protocol.quorum import is_impossible, lost_groups, satisfied_groups
from quorumkey.protocol.relay_statements import (
    Challenge,
    Execution,
    ExecutionResult,
    FinalStatus,
    Receipt,
    Succession,
)
from quorumkey.protocol.request import (
    PROFILES,
    Profile,
    ProfileLimits,
    RequestDocument,
    check_expires_in,
    check_use_within,
    request_digest,
)
from quorumkey.protocol.role_activation import RoleActivation

__all__ = [
    "ASSURANCE_RANK",
    "PROFILES",
    "Action",
    "ApnsAddress",
    "Approver",
    "Assurance",
    "CallerKind",
    "Challenge",
    "Decision",
    "DecisionValue",
    "Distinct",
    "Enrollment",
    "Envelope",
    "Execution",
    "ExecutionResult",
    "FcmAddress",
    "FinalStatus",
    "Form",
    "Group",
    "Hidden",
    "JsonValue",
    "Kind",
    "NoPushAddress",
    "Party",
    "PasskeyPolicy",
    "Platform",
    "Policy",
    "PrivateKey",
    "Profile",
    "ProfileLimits",
    "ProtectedCall",
    "PublicKey",
    "Push",
    "PushAddress",
    "Receipt",
    "RejectPolicy",
    "RequestDocument",
    "RoleActivation",
    "Session",
    "Statement",
    "Succession",
    "TransactionState",
    "Unpair",
    "Verified",
    "WebAuthnAssertion",
    "WebPushAddress",
    "admits",
    "assurance_of",
    "b64decode",
    "b64encode",
    "b64url_decode",
    "b64url_encode",
    "canonical_json",
    "canonical_json_of",
    "check_action",
    "check_assurance",
    "check_expires_in",
    "check_fingerprint",
    "check_match_code",
    "check_origin",
    "check_params",
    "check_text",
    "check_time",
    "check_use_within",
    "check_uuid7",
    "fingerprint_of",
    "format_pairing_code",
    "format_time",
    "is_impossible",
    "json_equal",
    "lost_groups",
    "make_pairing_code",
    "media_type",
    "normalise_pairing_code",
    "origin_of",
    "pae",
    "pairing_binding",
    "parse_envelope",
    "parse_push_address",
    "parse_time",
    "pictogram",
    "request_binding",
    "request_digest",
    "satisfied_groups",
    "sign",
    "speakable",
    "uuid7",
    "verify_signature",
    "verify_statement",
]
