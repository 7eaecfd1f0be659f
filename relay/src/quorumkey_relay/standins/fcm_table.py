"""What Firebase Cloud Messaging answers, and which registration tokens make the stand-in answer it.

Error codes: firebase.google.com, "FCM error codes" and the REST reference of ``ErrorCode``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from quorumkey_relay.standins.exchange import Behaviour, json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOW_SECONDS: Final = 3.0
#: Stands in ``headers`` for the seconds that the faults ask for.
RETRY_AFTER: Final = ("retry-after", "")
#: A date long past, the other form of Retry-After (RFC 9110, section 10.2.3).
RETRY_AFTER_DATE: Final = ("retry-after", "date")

_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_QUOTA_FAILURE: Final = "type.googleapis.com/google.rpc.QuotaFailure"


def fcm_code(code: str) -> dict[str, object]:
    """Return the detail that names one of FCM's own error codes."""
    return {"@type": _FCM_ERROR, "errorCode": code}


def violation(field: str, what: str) -> dict[str, object]:
    """Return the detail that names a member of the message that is wrong."""
    return {"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": what}]}


def error_body(status: int, name: str, message: str, *details: dict[str, object]) -> bytes:
    """Return an error as Google's APIs write it."""
    error: dict[str, object] = {"code": status, "message": message, "status": name}
    if details:
        error["details"] = list(details)
    return json_bytes({"error": error})


def _error(  # noqa: PLR0913 - the columns of the table
    name: str,
    status: int,
    status_name: str,
    message: str,
    *details: dict[str, object],
    reason: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Behaviour:
    return Behaviour(
        name,
        f"{status} {status_name}" + (f", {reason}" if reason else ""),
        status,
        reason or name,
        headers=headers,
        body=error_body(status, status_name, message, *details),
    )


def _quota(what: str) -> dict[str, object]:
    return {"@type": _QUOTA_FAILURE, "violations": [{"subject": what, "description": "exceeded"}]}


_INVALID_TOKEN: Final = "The registration token is not a valid FCM registration token"  # noqa: S105 - Google's sentence, no secret
_NOT_FOUND: Final = "Requested entity was not found."
_BUSY: Final = "The service is currently unavailable."
_HTML: Final = b"<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title></html>"

_ROWS: Final = (
    Behaviour("ok", "accepted"),
    Behaviour("slow", f"accepted after {SLOW_SECONDS:g} seconds", delay_seconds=SLOW_SECONDS),
    Behaviour("silent", "never answered", action="silence"),
    Behaviour("reset", "RST_STREAM instead of an answer", action="reset"),
    Behaviour("close", "the connection is lost instead of an answer", action="close"),
    Behaviour("html", "502 with a page in HTML", 502, "html", body=_HTML),
    Behaviour("empty", "500 with no body", 500, "empty", body=b""),
    _error("UNREGISTERED", 404, "NOT_FOUND", _NOT_FOUND, fcm_code("UNREGISTERED")),
    _error("NOT_FOUND", 404, "NOT_FOUND", _NOT_FOUND, reason="NOT_FOUND without an errorCode"),
    _error(
        "INVALID_ARGUMENT",
        400,
        "INVALID_ARGUMENT",
        "Request contains an invalid argument.",
        violation("message.data", "Invalid value"),
        fcm_code("INVALID_ARGUMENT"),
    ),
    _error("INVALID_TOKEN", 400, "INVALID_ARGUMENT", _INVALID_TOKEN, fcm_code("INVALID_ARGUMENT")),
    _error(
        "SENDER_ID_MISMATCH",
        403,
        "PERMISSION_DENIED",
        "SenderId mismatch",
        fcm_code("SENDER_ID_MISMATCH"),
    ),
    _error("PERMISSION_DENIED", 403, "PERMISSION_DENIED", "Permission denied on resource project."),
    _error(
        "UNAUTHENTICATED",
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials.",
        {"@type": _ERROR_INFO, "reason": "ACCESS_TOKEN_EXPIRED", "domain": "googleapis.com"},
    ),
    _error(
        "THIRD_PARTY_AUTH_ERROR",
        401,
        "UNAUTHENTICATED",
        "Auth error from APNS or Web Push Service",
        fcm_code("THIRD_PARTY_AUTH_ERROR"),
    ),
    _error(
        "QUOTA_EXCEEDED",
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Send requests'.",
        fcm_code("QUOTA_EXCEEDED"),
        _quota("project"),
        headers=(RETRY_AFTER,),
    ),
    _error(
        "DEVICE_QUOTA",
        429,
        "RESOURCE_EXHAUSTED",
        "Message rate exceeded for the device.",
        fcm_code("QUOTA_EXCEEDED"),
        _quota("device"),
        reason="QUOTA_EXCEEDED of the device",
    ),
    _error("INTERNAL", 500, "INTERNAL", "Internal error encountered.", fcm_code("INTERNAL")),
    _error(
        "UNAVAILABLE",
        503,
        "UNAVAILABLE",
        _BUSY,
        fcm_code("UNAVAILABLE"),
        headers=(RETRY_AFTER,),
    ),
    _error(
        "UNAVAILABLE_DATE",
        503,
        "UNAVAILABLE",
        _BUSY,
        fcm_code("UNAVAILABLE"),
        reason="UNAVAILABLE with a date",
        headers=(RETRY_AFTER_DATE,),
    ),
)
#: By name.
BEHAVIOURS: Final[Mapping[str, Behaviour]] = {one.name: one for one in _ROWS}

_FORM: Final = re.compile(r"standin-([A-Za-z_]+)(-once)?:APA91b[0-9]+")
_NUMBER_CHARS: Final = 32


def fcm_token(behaviour: str = "ok", number: int = 0, *, once: bool = False) -> str:
    """Return a registration token that is treated as ``BEHAVIOURS`` says.

    With ``once`` the first push to it is treated so, and all later ones are accepted.
    """
    name = BEHAVIOURS[behaviour].name
    return f"standin-{name}{'-once' if once else ''}:APA91b{number:0{_NUMBER_CHARS}d}"


def behaviour_of(token: str) -> tuple[Behaviour, bool] | None:
    """Return how a token is treated and whether only once; None if it is nobody's here."""
    found = _FORM.fullmatch(token)
    if found is None or found[1] not in BEHAVIOURS:
        return None
    return BEHAVIOURS[found[1]], found[2] is not None
