from __future__ import annotations

import pytest

from quorumkey import errors
from quorumkey.errors import (
    ERRORS,
    ApiError,
    ClientError,
    ProtocolError,
    QuorumkeyError,
    ReceiptRefused,
    RefusalReason,
    api_error,
)

# The protocol's table of errors.
_CODES = {
    400: (
        "invalid_request invalid_json invalid_fingerprint invalid_public_key invalid_signature "
        "clock_skew wrong_code duplicate_approver attestation_rejected"
    ),
    401: "unauthorized",
    403: (
        "forbidden attestation_required device_revoked insufficient_assurance "
        "requester_cannot_approve"
    ),
    404: "not_found unknown_device pairing_not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: (
        "already_decided request_completed idempotency_conflict not_completed device_conflict "
        "failed_precondition approval_required"
    ),
    410: "nonce_expired pairing_expired cursor_expired",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    500: "internal_error not_configured",
    502: "backend_failed",
    503: "store_unavailable",
}


def test_table_has_the_protocols_codes() -> None:
    """The table has exactly the codes of section 9, each with its status."""
    assert {code: status for status, codes in _CODES.items() for code in codes.split()} == {
        code: spec.status for code, spec in ERRORS.items()
    }


def test_messages_are_sentences() -> None:
    """Every default message is one sentence for people."""
    for spec in ERRORS.values():
        assert spec.message[0].isupper()
        assert spec.message.endswith(".")
        assert "\n" not in spec.message


def test_fixed_messages_word_for_word() -> None:
    """The two messages that section 9 fixes are written as there."""
    assert (
        "Invalid MPA request: required cannot exceed number of groups"
        == errors.MESSAGE_REQUIRED_EXCEEDS_GROUPS
    )
    assert (
        "Invalid expires_in_seconds: must be between 60 and 900"
        == errors.MESSAGE_EXPIRES_IN_SECONDS
    )


def test_protocol_error_carries_its_status() -> None:
    """A protocol error knows code, status, message and details."""
    error = ProtocolError("device_revoked", "Gone.", {"device": "x"})

    assert ("device_revoked", 403, "Gone.", {"device": "x"}) == (
        error.code,
        error.status,
        error.message,
        error.details,
    )
    assert "Gone." == str(error)


def test_protocol_error_has_no_unknown_code() -> None:
    """A code that the table does not have is a bug, not an error answer."""
    with pytest.raises(KeyError):
        ProtocolError("no_such_code", "x")


def test_receipt_refusal_carries_its_reason() -> None:
    """A refusal knows reason, message and step."""
    refusal = ReceiptRefused(RefusalReason.EXPIRED, "Too late.", 5)

    assert (RefusalReason.EXPIRED, "Too late.", 5, "Too late.") == (
        refusal.reason,
        refusal.message,
        refusal.step,
        str(refusal),
    )


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (405, errors.InvalidRequestError),
        (406, errors.InvalidRequestError),
        (409, errors.ConflictError),
        (410, errors.GoneError),
        (413, errors.InvalidRequestError),
        (415, errors.InvalidRequestError),
        (429, errors.RateLimitedError),
        (500, errors.RelayError),
        (502, errors.RelayError),
        (503, errors.RelayError),
    ],
)
def test_answers_have_a_family(status: int, family: type[ApiError]) -> None:
    """Every status of an answer has its class of error."""
    error = api_error(status, "some_code", "Message.", {"a": 1}, "request-1", 7)

    assert family is type(error)
    assert (status, "some_code", "Message.", {"a": 1}, "request-1", 7) == (
        error.status,
        error.code,
        error.message,
        error.details,
        error.request_id,
        error.retry_after,
    )
    assert "some_code: Message." == str(error)


def test_one_tree() -> None:
    """Every error descends from QuorumkeyError, those of a client from ClientError."""
    classes = [
        value
        for name in errors.__all__
        if isinstance(value := getattr(errors, name), type) and issubclass(value, Exception)
    ]

    assert all(issubclass(each, QuorumkeyError) for each in classes)
    assert {"QuorumkeyError", "ProtocolError", "ReceiptRefused"} == {
        each.__name__ for each in classes if not issubclass(each, ClientError)
    }
