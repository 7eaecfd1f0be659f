"""A Web Push service, and the browsers behind it (RFC 8030, RFC 8291, RFC 8292)."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from quorumkey_relay.standins.exchange import Behaviour, Reply, Request, json_bytes, json_object
from quorumkey_relay.standins.ledger import Received
from quorumkey_relay.standins.message_encryption import BrowserKeys, UnreadableMessageError
from quorumkey_relay.standins.vapid import VapidFaultError
from quorumkey_relay.standins.webpush_table import BEHAVIOURS, RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.standins.faults import Faults
    from quorumkey_relay.standins.ledger import Ledger
    from quorumkey_relay.standins.vapid import Vapid

MAX_BODY_BYTES: Final = 4_096
_CREATED: Final = 201
_TTL: Final = re.compile(r"[0-9]{1,10}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_URGENCIES: Final = frozenset(("very-low", "low", "normal", "high"))
_ID_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a browser gives to the application: the endpoint and its two keys, base64url."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """Return it as a relay takes it for a push address."""
        return {"endpoint": self.endpoint, "p256dh": self.p256dh, "auth": self.auth}


@dataclass(slots=True)
class _Browser:
    """The other end of a subscription."""

    keys: BrowserKeys
    behaviour: Behaviour
    is_once: bool
    application_server_key: str | None
    was_treated: bool = False


class WebPushService:
    """One push service with all its subscriptions."""

    def __init__(
        self, *, vapid: Vapid, ledger: Ledger, faults: Faults, now: Callable[[], float]
    ) -> None:
        """Start without subscriptions."""
        self._vapid = vapid
        self._ledger = ledger
        self._faults = faults
        self._now = now
        self._browsers: dict[str, _Browser] = {}  # by path

    def forget(self) -> None:
        """Forget which subscriptions had their one bad answer; they stay."""
        for browser in self._browsers.values():
            browser.was_treated = False

    def subscribe(
        self, behaviour: str, *, once: bool, application_server_key: str | None
    ) -> Subscription:
        """Let a new browser subscribe; a behaviour that does not exist raises ``KeyError``."""
        keys = BrowserKeys()
        treated = BEHAVIOURS[behaviour]
        path = f"/push/{treated.name}/{secrets.token_urlsafe(_ID_BYTES)}"
        self._browsers[path] = _Browser(keys, treated, once, application_server_key)
        return Subscription(self._vapid.origin + path, keys.p256dh, keys.auth)

    def answer(self, request: Request) -> Reply:
        """Judge a push, open it as its browser would, and note what became of it."""
        browser = self._browsers.get(request.path)
        text = b""
        try:
            text = self._open(request, browser)
            behaviour = self._turn(browser)
        except (_Refusal, VapidFaultError) as fault:
            behaviour = _refusal(fault.status, fault.reason)
        except UnreadableMessageError:
            behaviour = _refusal(400, "UnreadableMessage")
        number = self._note(request, text, behaviour, browser)
        return self._reply(behaviour, number, is_trusted=bool(text))

    def _open(self, request: Request, browser: _Browser | None) -> bytes:
        """Return what the browser reads of a push that is in order."""
        if browser is None or request.method != "POST":
            raise _Refusal(404, "NoSuchSubscription")
        authorization = request.headers.get("authorization", "")
        self._vapid.check(authorization, browser.application_server_key)
        self._ledger.note_credential(authorization)
        _check_headers(request)
        return browser.keys.open(request.body)

    def _turn(self, browser: _Browser | None) -> Behaviour:
        """Return how a push to the browser is treated this time."""
        status = self._faults.answer_status
        if status is not None:
            return Behaviour("fault", "", status, str(status), body=b"")
        if browser is None or (browser.is_once and browser.was_treated):
            return BEHAVIOURS["ok"]
        browser.was_treated = True
        return browser.behaviour

    def _reply(self, behaviour: Behaviour, number: int, *, is_trusted: bool) -> Reply:
        seconds = ("retry-after", str(self._faults.retry_after_seconds))
        headers = tuple(seconds if one == RETRY_AFTER else one for one in behaviour.headers)
        if behaviour.status == _CREATED:
            headers = (("location", f"{self._vapid.origin}/message/{number}"), *headers)
        return Reply(
            behaviour.status,
            headers,
            behaviour.body or b"",
            action=behaviour.action,
            delay_seconds=behaviour.delay_seconds,
            is_trusted=is_trusted,
        )

    def _note(
        self, request: Request, text: bytes, behaviour: Behaviour, browser: _Browser | None
    ) -> int:
        headers = request.headers
        payload = json_object(text) or {}
        topic = headers.get("topic")
        number = self._ledger.next_number()
        accepted = behaviour.status == _CREATED and behaviour.action == "answer"
        kind, request_id = payload.get("type"), payload.get("request_id")
        identity = (request.path, str(kind), str(request_id or topic or number))
        self._ledger.note(
            Received(
                number=number,
                at=self._now(),
                channel="webpush",
                token=self._vapid.origin + request.path,
                behaviour="unknown" if browser is None else browser.behaviour.name,
                collapse_id=topic,
                push_type=kind if isinstance(kind, str) else None,
                expiration=headers.get("ttl"),
                priority=headers.get("urgency"),
                headers=headers,
                body=text,
                accepted=accepted,
                reason=None if accepted else behaviour.reason or behaviour.action,
            ),
            message=identity,
            sending=identity,
            is_answered=behaviour.action == "answer",
        )
        return number


class _Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """A push that is refused for what it is."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def _refusal(status: int, reason: str) -> Behaviour:
    body = json_bytes({"code": status, "reason": reason})
    return Behaviour("refused", "", status, reason, body=body)


def _check_headers(request: Request) -> None:
    headers = request.headers
    if _TTL.fullmatch(headers.get("ttl", "")) is None:
        raise _Refusal(400, "BadTtl")  # RFC 8030, section 5.2: mandatory
    if "topic" in headers and _TOPIC.fullmatch(headers["topic"]) is None:
        raise _Refusal(400, "BadTopic")  # section 5.4
    if headers.get("urgency", "normal") not in _URGENCIES:
        raise _Refusal(400, "BadUrgency")  # section 5.3
    if headers.get("content-encoding") != "aes128gcm":
        raise _Refusal(415, "BadContentEncoding")  # RFC 8291, section 4
    if len(request.body) > MAX_BODY_BYTES:
        raise _Refusal(413, "PayloadTooLarge")  # RFC 8030, section 7.2
