"""Apple's push service as the stand-in judges pushes.

Rules: developer.apple.com, "Sending notification requests to APNs".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from quorumkey_relay.standins.apns_table import (
    BEHAVIOURS,
    LONG_AGO_MS,
    Environment,
    behaviour_of,
)
from quorumkey_relay.standins.exchange import Behaviour, Reply, Request, json_bytes, json_object
from quorumkey_relay.standins.ledger import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey_relay.standins.faults import Faults
    from quorumkey_relay.standins.ledger import Ledger
    from quorumkey_relay.standins.provider_tokens import ProviderTokens

MAX_PAYLOAD_BYTES: Final = 4_096
MAX_VOIP_PAYLOAD_BYTES: Final = 5_120
MAX_COLLAPSE_ID_BYTES: Final = 64

_OK: Final = 200
_GONE: Final = 410
_PATH: Final = "/3/device/"
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9.-]{1,255}")
_EXPIRATION: Final = re.compile(r"[0-9]{1,10}")
_PRIORITIES: Final = frozenset((None, "1", "5", "10"))
_PUSH_TYPES: Final = frozenset(
    (
        "alert",
        "background",
        "complication",
        "controls",
        "fileprovider",
        "liveactivity",
        "location",
        "mdm",
        "pushtotalk",
        "voip",
        "widgets",
    )
)
_VISIBLE: Final = frozenset(("alert", "badge", "sound"))


class ApnsService:
    """One of Apple's two environments."""

    def __init__(  # noqa: PLR0913 - what a push is checked against
        self,
        *,
        environment: Environment,
        topic: str,
        tokens: ProviderTokens,
        ledger: Ledger,
        faults: Faults,
        now: Callable[[], float],
    ) -> None:
        """Know the one app whose devices are registered here."""
        self._environment: Environment = environment
        self._channel = "apns" if environment == "production" else "apns_sandbox"
        self._topic = topic
        self._tokens = tokens
        self._ledger = ledger
        self._faults = faults
        self._now = now
        self._treated: set[str] = set()

    def forget(self) -> None:
        """Forget which tokens had their one bad answer, and which provider tokens were seen."""
        self._treated.clear()
        self._tokens.forget()

    def answer(self, request: Request) -> Reply:
        """Judge a push and note what became of it."""
        token = request.path.removeprefix(_PATH)
        payload = json_object(request.body) or {}
        reason = _fault_of_call(request)
        is_trusted = False
        if reason is None:
            reason = self._fault_of_credential(request)
            is_trusted = reason is None
        if reason is None:
            reason = _fault_of_headers(request, payload) or self._fault_of_topic(request.headers)
        known = behaviour_of(token, self._environment)
        if reason is not None:
            behaviour = BEHAVIOURS[reason]
        elif self._faults.answer_status is not None:
            status = self._faults.answer_status
            behaviour = Behaviour("fault", "", status, str(status), body=b"")
        else:
            behaviour = self._turn(token, known)
        self._note(request, payload, behaviour, "unknown" if known is None else known[0].name)
        apns_id = request.headers.get("apns-id")
        return Reply(
            behaviour.status,
            () if apns_id is None else (("apns-id", apns_id),),
            self._body(behaviour),
            action=behaviour.action,
            delay_seconds=behaviour.delay_seconds,
            is_trusted=is_trusted,
        )

    def _turn(self, token: str, known: tuple[Behaviour, bool] | None) -> Behaviour:
        """Return how a push to the token is treated this time."""
        if known is None:
            return BEHAVIOURS["BadDeviceToken"]
        behaviour, is_once = known
        if is_once and token in self._treated:
            return BEHAVIOURS["ok"]
        if is_once:
            self._treated.add(token)
        return behaviour

    # ------------------------------------------------------------ judging

    def _fault_of_credential(self, request: Request) -> str | None:
        authorization = request.headers.get("authorization")
        fault = self._tokens.fault_of(authorization, request.caller)
        if fault is None and authorization is not None:
            self._ledger.note_credential(authorization)
        return fault

    def _fault_of_topic(self, headers: Mapping[str, str]) -> str | None:
        topic = headers.get("apns-topic")
        if topic is None:
            return "MissingTopic"
        if _TOPIC.fullmatch(topic) is None:
            return "BadTopic"
        return None if topic == self._topic else "TopicDisallowed"

    # ------------------------------------------------------------ answering

    def _body(self, behaviour: Behaviour) -> bytes:
        if behaviour.body is not None or behaviour.reason is None:
            return behaviour.body or b""
        if behaviour.status != _GONE:
            return json_bytes({"reason": behaviour.reason})
        since = self._faults.gone_timestamp_ms
        if since is None:
            is_old = behaviour.name == "gone-before"
            since = LONG_AGO_MS if is_old else int(self._now() * 1_000)
        return json_bytes({"reason": behaviour.reason, "timestamp": since})

    def _note(
        self, request: Request, payload: Mapping[str, object], behaviour: Behaviour, label: str
    ) -> None:
        headers = request.headers
        token = request.path.removeprefix(_PATH)
        accepted = behaviour.status == _OK and behaviour.action == "answer"
        collapse_id = headers.get("apns-collapse-id")
        push_type = headers.get("apns-push-type")
        number = self._ledger.next_number()
        sending = (token, headers.get("apns-id", number))
        kind = payload.get("type")
        message = (token, kind if isinstance(kind, str) else push_type, collapse_id)
        self._ledger.note(
            Received(
                number=number,
                at=self._now(),
                channel=self._channel,
                token=token,
                behaviour=label,
                collapse_id=collapse_id,
                push_type=push_type,
                expiration=headers.get("apns-expiration"),
                priority=headers.get("apns-priority"),
                headers=headers,
                body=request.body,
                accepted=accepted,
                reason=None if accepted else behaviour.reason or behaviour.action,
            ),
            message=sending if collapse_id is None else message,
            sending=sending,
            is_answered=behaviour.action == "answer",
        )


def _fault_of_call(request: Request) -> str | None:
    if not request.path.startswith(_PATH):
        return "BadPath"
    if request.method != "POST":
        return "MethodNotAllowed"
    if request.path == _PATH:
        return "MissingDeviceToken"
    return "DuplicateHeaders" if request.has_duplicates else None


def _fault_of_headers(request: Request, payload: Mapping[str, object]) -> str | None:  # noqa: PLR0911 - one step a rule, in Apple's words
    headers = request.headers
    apns_id = headers.get("apns-id")
    if apns_id is not None and _ID.fullmatch(apns_id) is None:
        return "BadMessageId"
    if _EXPIRATION.fullmatch(headers.get("apns-expiration", "0")) is None:
        return "BadExpirationDate"
    priority = headers.get("apns-priority")
    if priority not in _PRIORITIES:
        return "BadPriority"
    if len(headers.get("apns-collapse-id", "").encode()) > MAX_COLLAPSE_ID_BYTES:
        return "BadCollapseId"
    push_type = headers.get("apns-push-type")
    if push_type not in _PUSH_TYPES:
        return "InvalidPushType"
    most = MAX_VOIP_PAYLOAD_BYTES if push_type == "voip" else MAX_PAYLOAD_BYTES
    if len(request.body) > most:
        return "PayloadTooLarge"
    aps = payload.get("aps")
    if not isinstance(aps, dict):
        return "PayloadEmpty"  # Apple's table has no reason of its own for what is no JSON
    names = cast("dict[str, object]", aps).keys()
    is_silent = "content-available" in names and not names & _VISIBLE
    if is_silent and priority in (None, "10"):
        return "BadPriority"
    # "Must accurately reflect the contents of your notification's payload."
    return "InvalidPushType" if is_silent != (push_type == "background") else None
