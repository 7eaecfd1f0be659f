"""What Google's answers to a push mean: a table of FCM's error codes.

Sources: firebase.google.com, "FCM error codes" and "Scaling Firebase Cloud Messaging"; for the
form of an error, google.aip.dev/193.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, cast

import msgspec

from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.delivery.channel import Outcome
    from quorumkey_relay.delivery.transport import Answer

#: "Use exponential backoff with a minimum initial delay of 1 minute".
LEAST_QUOTA_WAIT_SECONDS: Final = 60
#: The reasons that the channel itself acts on.
QUOTA_EXCEEDED: Final = "QUOTA_EXCEEDED"
SENDER_ID_MISMATCH: Final = "SENDER_ID_MISMATCH"

_TYPES: Final = "type.googleapis.com/"
_FCM_ERROR: Final = f"{_TYPES}google.firebase.fcm.v1.FcmError"
_BAD_REQUEST: Final = f"{_TYPES}google.rpc.BadRequest"
_QUOTA_FAILURE: Final = f"{_TYPES}google.rpc.QuotaFailure"
_TOKEN_FIELD: Final = "message.token"  # noqa: S105 - the name of a member, no secret

#: What an INVALID_ARGUMENT is about, or which quota is exceeded.
About = Literal["", "message", "token", "device", "project"]


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as far as it decides anything: all of it is out of closed sets."""

    status: int
    code: str = ""
    about: About = ""


# Errors by status, code and what they are about; "" stands for any. The most exact row counts.
REACTIONS: Final[Mapping[Fault, Outcome]] = MappingProxyType(
    {
        # The same code for our bug and for a bad token; only the details tell them apart.
        Fault(400, "INVALID_ARGUMENT", "message"): Rejected("INVALID_ARGUMENT"),
        Fault(400, "INVALID_ARGUMENT", "token"): Gone(None, "INVALID_ARGUMENT"),
        Fault(401, "UNAUTHENTICATED"): Misconfigured("UNAUTHENTICATED"),
        Fault(401, "THIRD_PARTY_AUTH_ERROR"): Misconfigured("THIRD_PARTY_AUTH_ERROR"),
        Fault(401): Misconfigured("UNAUTHENTICATED"),
        # The token is another project's: no fault of the credentials, unless it is everybody's.
        Fault(403, SENDER_ID_MISMATCH): Gone(None, SENDER_ID_MISMATCH),
        Fault(403): Misconfigured("PERMISSION_DENIED"),
        Fault(404, "UNREGISTERED"): Gone(None, "UNREGISTERED"),
        # Without that code it is the project or the address that does not exist.
        Fault(404): Misconfigured("NOT_FOUND"),
        Fault(429, QUOTA_EXCEEDED, "device"): Retry(None, "DEVICE_QUOTA_EXCEEDED"),
        Fault(429): Retry(LEAST_QUOTA_WAIT_SECONDS, QUOTA_EXCEEDED),
        Fault(500): Retry(None, "INTERNAL"),
        Fault(503): Retry(None, "UNAVAILABLE"),
    }
)
_CODES: Final = frozenset(fault.code for fault in REACTIONS if fault.code)


def reaction_to(answer: Answer, *, now: int) -> Outcome:
    """Return what an answer means for the message; ``now`` is in seconds since the epoch."""
    status = answer.status
    if status == HTTPStatus.OK:
        return _accepted(answer.body)
    fault = fault_of(answer)
    for row in (fault, Fault(status, fault.code), Fault(status)):
        outcome = REACTIONS.get(row)
        if outcome is not None:
            break
    else:
        outcome = _unlisted(status)
    if isinstance(outcome, Retry):
        return _after(outcome, answer, now)
    return outcome


def fault_of(answer: Answer) -> Fault:
    """Read an error; whatever cannot be read, such as a page in HTML, is left out."""
    try:
        error = _object(_object(msgspec.json.decode(answer.body)).get("error"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Fault(answer.status)
    code = _text(error.get("status"))
    about: About = ""
    fields: list[str] = []
    has_fcm_error = False
    for detail in _objects(error.get("details")):
        kind = detail.get("@type")
        if kind == _FCM_ERROR:
            has_fcm_error, code = True, _text(detail.get("errorCode"))
        elif kind == _BAD_REQUEST:
            named = _objects(detail.get("fieldViolations"))
            fields += [_text(one.get("field")) for one in named] or [""]
        elif kind == _QUOTA_FAILURE:
            about = _quota(detail)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:  # of the project it may be named otherwise
        code = QUOTA_EXCEEDED
    elif code == "INVALID_ARGUMENT":
        about = _invalid(fields, has_fcm_error=has_fcm_error)
    return Fault(answer.status, code if code in _CODES else "", about)


def _invalid(fields: list[str], *, has_fcm_error: bool) -> About:
    """Say what is invalid: the message, where a member of it but the token is named."""
    if fields:
        return "token" if has_fcm_error and set(fields) == {_TOKEN_FIELD} else "message"
    return "token" if has_fcm_error else "message"


def _quota(detail: Mapping[str, object]) -> About:
    """Say whose quota is exceeded: the device's only where that is all that is named."""
    subjects = [_text(one.get("subject")).lower() for one in _objects(detail.get("violations"))]
    return "device" if subjects and all("device" in one for one in subjects) else "project"


def _accepted(body: bytes) -> Outcome:
    """A message that was taken has a name; a page of some middle box has none."""
    try:
        name = _object(msgspec.json.decode(body)).get("name")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        name = None
    return Accepted() if isinstance(name, str) else Retry(None, "unreadable", ambiguous=True)


def _after(outcome: Retry, answer: Answer, now: int) -> Retry:
    asked = retry_after_seconds(answer.headers.get("retry-after"), now=now)
    if asked is None:
        return outcome
    return Retry(max(asked, outcome.after_seconds or 1), outcome.reason)


def _unlisted(status: int) -> Outcome:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Retry(None, f"http_{status}")
    if status < HTTPStatus.BAD_REQUEST:  # a redirect, which is not followed: the address is wrong
        return Misconfigured(f"http_{status}")
    return Rejected(f"http_{status}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, object]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [_object(item) for item in items]
