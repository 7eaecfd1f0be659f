from __future__ import annotations

import subprocess
import sys

import pytest

import quorumkey.protocol
from quorumkey import errors, jit, protected, receipts
from quorumkey.protocol import (
    action,
    canonical,
    dsse,
    encoding,
    ids,
    keys,
    origin,
    pairing,
    pictogram,
    policy,
    protected_call,
    push_address,
    quorum,
    request,
    role_activation,
    strict_json,
    webhook,
)

_PROTOCOL = """
ASSURANCE_RANK Action ApnsAddress Approver Assurance CallerKind Challenge Decision DecisionValue
Distinct Enrollment Envelope Execution ExecutionResult FcmAddress FinalStatus Form Group Hidden
JsonValue Kind NoPushAddress PROFILES Party PasskeyPolicy Platform Policy PrivateKey Profile
ProfileLimits ProtectedCall PublicKey Push PushAddress Receipt RejectPolicy RequestDocument
RoleActivation Session Statement Succession TransactionState Unpair Verified WebAuthnAssertion
WebPushAddress admits assurance_of
b64decode b64encode b64url_decode b64url_encode canonical_json canonical_json_of check_action
check_assurance check_expires_in check_fingerprint check_match_code check_origin check_params
check_text check_time check_use_within check_uuid7 fingerprint_of format_pairing_code format_time
is_impossible json_equal lost_groups make_pairing_code media_type normalise_pairing_code origin_of
pae pairing_binding parse_envelope parse_push_address parse_time pictogram request_binding
request_digest satisfied_groups sign speakable uuid7 verify_signature verify_statement
"""
_RECEIPTS = """
PolicyGroup UnsafeAny VerificationPolicy VerifiedReceipt load_policy verify_receipt
verify_with_policy
"""
_PROTECTED = """
MIN_REQUIRED VerifiedCall verify_execution verify_protected_call
"""
_JIT = """
CallKind TargetActivation TargetCall VerifiedActivation read_call verify_activation
"""
_ERRORS = """
ERRORS MESSAGE_EXPIRES_IN_SECONDS MESSAGE_REQUIRED_EXCEEDS_GROUPS ApiError AuthenticationError
ClientError ConfigurationError ConflictError ErrorSpec GoneError InvalidRequestError NotFoundError
PairingNotConfirmedError PermissionDeniedError ProtocolError QuorumkeyError RateLimitedError
ReceiptRefused RefusalReason RelayError TransportError TransportTimeoutError UnexpectedAnswerError
WaitTimeoutError api_error
"""


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (quorumkey.protocol, _PROTOCOL),
        (receipts, _RECEIPTS),
        (protected, _PROTECTED),
        (jit, _JIT),
        (errors, _ERRORS),
    ],
    ids=["protocol", "receipts", "protected", "jit", "errors"],
)
def test_exported_names(module: object, names: str) -> None:
    """The public surface is exactly this; a change of it is a change for users."""
    assert sorted(names.split()) == sorted(getattr(module, "__all__", []))


def test_exported_names_exist() -> None:
    """Every exported name is there, in the package and in each of its modules."""
    modules = (
        quorumkey.protocol,
        receipts,
        protected,
        jit,
        errors,
        action,
        canonical,
        dsse,
        encoding,
        ids,
        keys,
        origin,
        pairing,
        sys.modules["quorumkey.protocol.pictogram"],
        policy,
        protected_call,
        push_address,
        quorum,
        request,
        role_activation,
        strict_json,
        webhook,
    )
    for module in modules:
        for name in module.__all__:
            assert hasattr(module, name), (module, name)
    assert callable(pictogram)


def test_kernel_needs_cryptography_alone() -> None:
    """Loading the kernel and the receipts loads no HTTP client, no schema library, no web type."""
    foreign = ("httpx2", "msgspec", "starlette", "typer", "rich", "websockets", "quorumkey.client")
    program = (
        "import sys, quorumkey.protocol, quorumkey.receipts, quorumkey.protected,"
        "quorumkey.jit, quorumkey.protocol.statements;"
        f"print([name for name in {foreign!r} if name in sys.modules])"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert "[]" == answer.stdout.strip()
