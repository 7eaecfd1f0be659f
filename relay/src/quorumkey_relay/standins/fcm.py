"""Firebase Cloud Messaging's HTTP v1 API as the stand-in judges pushes.

Rules: the REST reference of ``projects.messages`` at firebase.google.com.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, cast

import msgspec

from quorumkey_relay.standins.exchange import Behaviour, Reply, Request, json_bytes
from quorumkey_relay.standins.fcm_table import (
    BEHAVIOURS,
    RETRY_AFTER_DATE,
    behaviour_of,
    error_body,
    fcm_code,
    violation,
)
from quorumkey_relay.standins.ledger import Received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quorumkey_relay.standins.faults import Faults
    from quorumkey_relay.standins.ledger import Ledger
    from quorumkey_relay.standins.oauth import TokenEndpoint

MAX_DATA_BYTES: Final = 4_096
MAX_TTL_SECONDS: Final = 2_419_200

_OK: Final = 200
_JSON: Final = (("content-type", "application/json; charset=UTF-8"),)
_TTL: Final = re.compile(r"([0-9]{1,9})(\.[0-9]{1,9})?s")
_PRIORITIES: Final = frozenset(("HIGH", "NORMAL", "high", "normal"))
_BODY_MEMBERS: Final = frozenset(("message", "validate_only", "validateOnly"))
_MESSAGE_MEMBERS: Final = frozenset(
    ("name", "data", "notification", "android", "webpush", "apns", "fcm_options", "token")
)
_ANDROID_MEMBERS: Final = frozenset(
    (
        "collapse_key",
        "priority",
        "ttl",
        "restricted_package_name",
        "data",
        "notification",
        "fcm_options",
        "direct_boot_ok",
    )
)
_RESERVED_KEYS: Final = frozenset(("from", "message_type", "collapse_key"))
_RESERVED_PREFIXES: Final = ("google.", "gcm.")


class _Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """A push that Google refuses before it looks at the token."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour.reason)
        self.behaviour = behaviour


class FcmService:
    """One Firebase project, and the token endpoint beside it."""

    def __init__(
        self,
        *,
        project: str,
        tokens: TokenEndpoint,
        ledger: Ledger,
        faults: Faults,
        now: Callable[[], float],
    ) -> None:
        """Know the one project whose devices are registered here."""
        self._path = f"/v1/projects/{project}/messages:send"
        self._project = project
        self._tokens = tokens
        self._ledger = ledger
        self._faults = faults
        self._now = now
        self._treated: set[str] = set()

    def forget(self) -> None:
        """Forget which tokens had their one bad answer."""
        self._treated.clear()

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """Judge a push and note what became of it, or hand out an access token."""
        if request.path == self._tokens.path:
            return self._tokens.answer(request)
        message: Mapping[str, object] = {}
        try:
            self._check_call(request)
            message = _message_of(request.body)
            behaviour = self._turn(str(message["token"]))
        except _Refusal as refusal:
            behaviour = refusal.behaviour
        number = self._note(request, message, behaviour)
        return self._reply(behaviour, number, is_trusted=bool(message))

    # ------------------------------------------------------------ judging

    def _check_call(self, request: Request) -> None:
        if request.path != self._path or request.method != "POST":
            raise _Refusal(BEHAVIOURS["NOT_FOUND"])
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._tokens.is_good(bearer):
            raise _Refusal(BEHAVIOURS["UNAUTHENTICATED"])
        self._ledger.note_credential(bearer)
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/json":
            raise _invalid("content-type", "must be application/json")

    def _turn(self, token: str) -> Behaviour:
        """Return how a push to the token is treated this time."""
        status = self._faults.answer_status
        if status is not None:
            return Behaviour("fault", "", status, str(status), body=b"")
        found = behaviour_of(token)
        if found is None:
            return BEHAVIOURS["INVALID_TOKEN"]
        behaviour, is_once = found
        if is_once and token in self._treated:
            return BEHAVIOURS["ok"]
        if is_once:
            self._treated.add(token)
        return behaviour

    # ------------------------------------------------------------ answering

    def _reply(self, behaviour: Behaviour, number: int, *, is_trusted: bool) -> Reply:
        body = behaviour.body
        if body is None:
            body = json_bytes({"name": f"projects/{self._project}/messages/0:{number}"})
        return Reply(
            behaviour.status,
            (*(_JSON if body.startswith(b"{") else ()), *map(self._header, behaviour.headers)),
            body,
            action=behaviour.action,
            delay_seconds=behaviour.delay_seconds,
            is_trusted=is_trusted,
        )

    def _header(self, header: tuple[str, str]) -> tuple[str, str]:
        if header == RETRY_AFTER_DATE:
            soon = self._now() + self._faults.retry_after_seconds
            return header[0], formatdate(soon, usegmt=True)
        return header[0], str(self._faults.retry_after_seconds)

    def _note(self, request: Request, message: Mapping[str, object], behaviour: Behaviour) -> int:
        token = _text(message.get("token")) or ""
        data = _object(message.get("data"))
        android = _object(message.get("android"))
        accepted = behaviour.status == _OK and behaviour.action == "answer"
        found = behaviour_of(token)
        request_id = _text(data.get("request_id"))
        kind = _text(data.get("type"))
        number = self._ledger.next_number()
        identity = (token, kind, number if request_id is None else request_id)
        self._ledger.note(
            Received(
                number=number,
                at=self._now(),
                channel="fcm",
                token=token,
                behaviour="unknown" if found is None else found[0].name,
                collapse_id=request_id,
                push_type=kind,
                expiration=_text(android.get("ttl")),
                priority=_text(android.get("priority")),
                headers=request.headers,
                body=request.body,
                accepted=accepted,
                reason=None if accepted else behaviour.reason or behaviour.action,
            ),
            message=identity,
            sending=identity,
            is_answered=behaviour.action == "answer",
        )
        return number


# ------------------------------------------------------------ the message


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _invalid(field: str, what: str) -> _Refusal:
    body = error_body(
        400,
        "INVALID_ARGUMENT",
        f"Invalid value at '{field}': {what}",
        violation(field, what),
        fcm_code("INVALID_ARGUMENT"),
    )
    return _Refusal(Behaviour("refused", "", 400, f"{field}: {what}", body=body))


def _members(value: object, field: str, allowed: frozenset[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _invalid(field, "must be an object")
    members = cast("dict[str, object]", value)
    for name in members:
        if name not in allowed:
            raise _invalid(f"{field}.{name}", "Cannot find field.")
    return members


def _message_of(body: bytes) -> Mapping[str, object]:
    try:
        value: object = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise _invalid("body", "Invalid JSON payload received.") from None
    message = _members(
        _members(value, "body", _BODY_MEMBERS).get("message"), "message", _MESSAGE_MEMBERS
    )
    if not isinstance(message.get("token"), str) or not message["token"]:
        raise _invalid("message.token", "Recipient of the message is not set.")
    if "data" in message:
        _check_data(message["data"])
    if "android" in message:
        _check_android(message["android"])
    return message


def _check_data(value: object) -> None:
    if not isinstance(value, dict):
        raise _invalid("message.data", "must be an object")
    size = 0
    for key, text in cast("dict[str, object]", value).items():
        if not isinstance(text, str):
            raise _invalid(f"message.data[{key!r}]", "must be a string")
        if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
            raise _invalid(f"message.data[{key!r}]", "Invalid data payload key")
        size += len(key.encode()) + len(text.encode())
    if size > MAX_DATA_BYTES:
        raise _invalid("message.data", f"Message is too big: {size} of {MAX_DATA_BYTES} bytes")


def _check_android(value: object) -> None:
    android = _members(value, "message.android", _ANDROID_MEMBERS)
    if "priority" in android and android["priority"] not in _PRIORITIES:
        raise _invalid("message.android.priority", "must be NORMAL or HIGH")
    if "ttl" in android:
        ttl = android["ttl"]
        found = _TTL.fullmatch(ttl) if isinstance(ttl, str) else None
        if found is None or int(found[1]) > MAX_TTL_SECONDS:
            raise _invalid("message.android.ttl", "must be seconds such as 60s, at most four weeks")
