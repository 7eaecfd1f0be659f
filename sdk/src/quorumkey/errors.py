"""Every error this package raises, and the one table of error codes.

The tree::

    QuorumkeyError
    ├── ProtocolError                a document, encoding, key or signature breaks the protocol
    ├── ReceiptRefused               a receipt does not prove the approval that was asked for
    ├── ProtectionError              a protected call does not run: quorumkey.protection.errors
    └── ClientError                  talking to a relay went wrong
        ├── ConfigurationError       a setting is missing or unusable; nothing was sent
        ├── TransportError           no usable answer came back
        │   ├── TransportTimeoutError
        │   └── UnexpectedAnswerError
        ├── WaitTimeoutError         the caller's own patience ended before the request did
        ├── PairingNotConfirmedError a pairing's evidence does not hold
        └── ApiError                 the relay answered with one of the codes below
            ├── InvalidRequestError  400, 405, 406, 413, 415
            ├── AuthenticationError  401
            ├── PermissionDeniedError 403
            ├── NotFoundError        404
            ├── ConflictError        409
            ├── GoneError            410
            ├── RateLimitedError     429
            └── RelayError           500, 502, 503 and anything else
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "ERRORS",
    "MESSAGE_EXPIRES_IN_SECONDS",
    "MESSAGE_REQUIRED_EXCEEDS_GROUPS",
    "ApiError",
    "AuthenticationError",
    "ClientError",
    "ConfigurationError",
    "ConflictError",
    "ErrorSpec",
    "GoneError",
    "InvalidRequestError",
    "NotFoundError",
    "PairingNotConfirmedError",
    "PermissionDeniedError",
    "ProtocolError",
    "QuorumkeyError",
    "RateLimitedError",
    "ReceiptRefused",
    "RefusalReason",
    "RelayError",
    "TransportError",
    "TransportTimeoutError",
    "UnexpectedAnswerError",
    "WaitTimeoutError",
    "api_error",
]

#: Fixed word for word by the protocol, section 9.
MESSAGE_REQUIRED_EXCEEDS_GROUPS: Final = (
    "Invalid MPA request: required cannot exceed number of groups"
)
#: Fixed word for word by the protocol, section 9 (the range of profile ``approval``).
MESSAGE_EXPIRES_IN_SECONDS: Final = "Invalid expires_in_seconds: must be between 60 and 900"


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """What one error code means on the wire: HTTP status and default message."""

    status: int
    message: str


#: Protocol section 9: every code, its HTTP status and the sentence used when none is given.
ERRORS: Final[Mapping[str, ErrorSpec]] = MappingProxyType(
    {
        "invalid_request": ErrorSpec(400, "The request is not valid."),
        "invalid_json": ErrorSpec(400, "The body is not valid JSON in UTF-8."),
        "invalid_fingerprint": ErrorSpec(
            400, "A fingerprint must be the lower-case hex SHA-256 of the device's public key."
        ),
        "invalid_public_key": ErrorSpec(
            400, "A public key must be a compressed P-256 point (33 bytes) in base64."
        ),
        "invalid_signature": ErrorSpec(400, "The signature is not valid."),
        "clock_skew": ErrorSpec(
            400, "The device's clock is more than 300 seconds off; correct it and sign again."
        ),
        "wrong_code": ErrorSpec(400, "The code does not match the one shown with the request."),
        "duplicate_approver": ErrorSpec(400, "A device or person can stand in one group only."),
        "attestation_rejected": ErrorSpec(400, "The attestation of this key does not hold."),
        "unauthorized": ErrorSpec(401, "Authentication is missing or not valid."),
        "forbidden": ErrorSpec(403, "This API key does not have the scope for this call."),
        "attestation_required": ErrorSpec(
            403, "This relay requires a key attestation that this device did not give."
        ),
        "device_revoked": ErrorSpec(403, "This device is revoked or no longer paired."),
        "insufficient_assurance": ErrorSpec(
            403, "A named device does not reach the assurance this request asks for."
        ),
        "requester_cannot_approve": ErrorSpec(
            403, "The person who asked for this action cannot approve it."
        ),
        "not_found": ErrorSpec(404, "There is nothing at this address."),
        "unknown_device": ErrorSpec(404, "A named device is not paired with this integrator."),
        "pairing_not_found": ErrorSpec(404, "There is no pairing with this code."),
        "method_not_allowed": ErrorSpec(405, "This address does not answer that method."),
        "not_acceptable": ErrorSpec(406, "This address has no answer in a form that you accept."),
        "payload_too_large": ErrorSpec(413, "The body is larger than this call accepts."),
        "unsupported_media_type": ErrorSpec(415, "The body must be application/json."),
        "already_decided": ErrorSpec(409, "This device has already decided the other way."),
        "request_completed": ErrorSpec(409, "The request is finished."),
        "idempotency_conflict": ErrorSpec(
            409, "This Idempotency-Key belongs to another body or to a call that still runs."
        ),
        "not_completed": ErrorSpec(409, "The request is still pending; there is no receipt yet."),
        "device_conflict": ErrorSpec(409, "This key is paired for another approver."),
        "failed_precondition": ErrorSpec(409, "How things stand does not allow this call."),
        "approval_required": ErrorSpec(
            409, "This call waits for the approval of other administrators; issue it again then."
        ),
        "nonce_expired": ErrorSpec(410, "The nonce is unknown, used or expired; take a new one."),
        "pairing_expired": ErrorSpec(410, "The pairing code is used or expired; make a new one."),
        "cursor_expired": ErrorSpec(410, "The events after this id are no longer kept."),
        "rate_limited": ErrorSpec(429, "Too many calls; try again later."),
        "internal_error": ErrorSpec(500, "The relay failed; the call may be tried again."),
        "not_configured": ErrorSpec(500, "This relay is not set up for this call."),
        "backend_failed": ErrorSpec(
            502, "A service that the relay depends on failed; try again later."
        ),
        "store_unavailable": ErrorSpec(503, "The relay cannot reach its store; try again later."),
    }
)


class QuorumkeyError(Exception):
    """The root of every error this package raises on purpose."""


class ProtocolError(QuorumkeyError):
    """Input breaks the protocol.

    Attributes:
        code: one of the keys of `ERRORS`.
        message: one sentence a person can act on. It never repeats a secret or the whole input.
        details: machine-readable facts for the answer's ``details``, or None.
    """

    def __init__(
        self, code: str, message: str, details: Mapping[str, JsonValue] | None = None
    ) -> None:
        """Refuse with `code`, which must be in `ERRORS` (a KeyError is a bug of the caller)."""
        self.status: int = ERRORS[code].status
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


@unique
class RefusalReason(StrEnum):
    """Why `quorumkey.receipts.verify_receipt` refused: a closed list."""

    INVALID_EXPECTATION = "invalid_expectation"
    """The caller's own arguments cannot be met by any receipt (nothing trusted, no group …)."""
    MALFORMED = "malformed"
    """The receipt, or a document in it, is not well-formed by the protocol."""
    UNTRUSTED_RELAY = "untrusted_relay"
    """Receipt or request is not signed by one of the caller's relay keys."""
    NOT_APPROVED = "not_approved"
    """The receipt says rejected, timeout or cancelled."""
    RELAY_MISMATCH = "relay_mismatch"
    """The request's `relay` is not the fingerprint of the key that signed it."""
    INTEGRATOR_MISMATCH = "integrator_mismatch"
    NONCE_MISMATCH = "nonce_mismatch"
    ACTION_MISMATCH = "action_mismatch"
    REQUESTER_MISMATCH = "requester_mismatch"
    POLICY_MISMATCH = "policy_mismatch"
    INVALID_TIMES = "invalid_times"
    """Not `created_at <= completed_at < expires_at`, or far from the approvals that begin it."""
    EXPIRED = "expired"
    """`now` is after `use_by`."""
    INVALID_DECISION = "invalid_decision"
    """An envelope in `decisions` is not a valid approval of this request by a named key."""
    DUPLICATE_DECISION = "duplicate_decision"
    """One key, or one person, stands behind two decisions."""
    REQUESTER_APPROVED = "requester_approved"
    """The requester's own device is among the approvals."""
    QUORUM_NOT_MET = "quorum_not_met"


class ReceiptRefused(QuorumkeyError):  # noqa: N818 - a refusal is the expected outcome, and the public name
    """A receipt does not prove the approval the caller asked for.

    Attributes:
        reason: which rule failed.
        message: one sentence for people.
        step: the number of the failed step in protocol section 8 (1 to 8); 0 when the
            arguments themselves were refused before step 1.
    """

    def __init__(self, reason: RefusalReason, message: str, step: int) -> None:
        """Refuse for `reason` at `step`."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.step = step


class ClientError(QuorumkeyError):
    """Talking to a relay went wrong."""


class ConfigurationError(ClientError):
    """A setting is missing or unusable; nothing was sent."""


class TransportError(ClientError):
    """No usable answer came back from the relay."""


class TransportTimeoutError(TransportError):
    """The relay did not answer in time."""


class UnexpectedAnswerError(TransportError):
    """Something answered, but not as the protocol says."""


class WaitTimeoutError(ClientError):
    """The caller's own time limit ended before the request was finished."""


class PairingNotConfirmedError(ClientError):
    """The evidence of a pairing does not hold, or is not bound to its secret."""


class ApiError(ClientError):
    """The relay answered with an error.

    Attributes:
        status: the HTTP status.
        code: one of the keys of `ERRORS`, or a newer relay's code unknown here.
        message: the relay's sentence.
        details: the relay's details, or None.
        request_id: the answer's ``X-Request-Id``, to quote when asking the operator; or None.
        retry_after: seconds to wait before trying again, or None.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one argument for each member of the wire's error object
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, JsonValue] | None = None,
        request_id: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Hold what the relay answered."""
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id
        self.retry_after = retry_after


class InvalidRequestError(ApiError):
    """400, 405, 406, 413 or 415: the call itself has to change."""


class AuthenticationError(ApiError):
    """401: the API key, token or signature is missing or unknown."""


class PermissionDeniedError(ApiError):
    """403: known, but not allowed."""


class NotFoundError(ApiError):
    """404: there is no such thing, or not for this caller."""


class ConflictError(ApiError):
    """409: the state of the thing does not allow this call."""


class GoneError(ApiError):
    """410: it existed and its time is over."""


class RateLimitedError(ApiError):
    """429: too many calls; see `retry_after`."""


class RelayError(ApiError):
    """500, 502, 503 or an unknown status: the relay's side failed."""


_FAMILIES: Final[Mapping[int, type[ApiError]]] = MappingProxyType(
    {
        400: InvalidRequestError,
        401: AuthenticationError,
        403: PermissionDeniedError,
        404: NotFoundError,
        405: InvalidRequestError,
        406: InvalidRequestError,
        409: ConflictError,
        410: GoneError,
        413: InvalidRequestError,
        415: InvalidRequestError,
        429: RateLimitedError,
    }
)


def api_error(  # noqa: PLR0913, PLR0917 - the same members as ApiError
    status: int,
    code: str,
    message: str,
    details: Mapping[str, JsonValue] | None = None,
    request_id: str | None = None,
    retry_after: int | None = None,
) -> ApiError:
    """Make the `ApiError` of the family that `status` belongs to."""
    family = _FAMILIES.get(status, RelayError)
    return family(status, code, message, details, request_id, retry_after)
