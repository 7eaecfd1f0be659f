"""iPhones and Macs, by Apple's push service: what each answer of Apple's becomes.

Source: developer.apple.com, "Sending notification requests to APNs" and "Handling notification
responses from APNs". `apns_reasons` says what is done about which answer.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey.protocol import ApnsAddress
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.push.apns_aioapns import AioapnsSender
from quorumkey_relay.delivery.push.apns_memory import Environments, Pauses
from quorumkey_relay.delivery.push.apns_reasons import REACTIONS, Reaction, reaction_to
from quorumkey_relay.delivery.push.apns_sender import HEADERS, HttpSender
from quorumkey_relay.delivery.push.payload import apns_payload
from quorumkey_relay.delivery.push.provider_token import ApnsKey, ProviderToken
from quorumkey_relay.delivery.push.unanswered import unanswered
from quorumkey_relay.delivery.transport import TransportFailed, extra_roots, http2_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import PushAddress
    from quorumkey.protocol.push_address import ApnsEnvironment
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.delivery.push.apns_sender import ApnsSender
    from quorumkey_relay.delivery.transport import Answer
    from quorumkey_relay.settings import Settings

SEND_TIMEOUT_SECONDS: Final = 10.0
#: How often in a row Apple may call a token wrong before it counts as dead.
TOLERATED_REFUSALS: Final = 1
_MS_A_SECOND: Final = 1_000
_OTHER: Final[Mapping[ApnsEnvironment, ApnsEnvironment]] = {
    "production": "sandbox",
    "sandbox": "production",
}
_OK: Final = 200
#: Ids of pushes are UUIDs of version 5 in this namespace, which names nothing else.
NAMESPACE: Final = uuid.UUID("6f0e7a52-98d1-5b0c-9d0f-2a4f6a1f7c3e")
_IDS: Final = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_NO_VERSION: Final = ~((0xF000 << 64) | (0xC000 << 48))
_VERSION_5: Final = (0x5000 << 64) | (0x8000 << 48)


class _Body(msgspec.Struct):
    """The JSON of a refusal; members that Apple adds are passed over."""

    reason: str = ""
    timestamp: int | None = None


_ACCEPTED: Final = Accepted()
_BODY: Final = msgspec.json.Decoder(_Body)


@dataclass(slots=True)
class _Push:
    """A push that was refused, as it goes out next; what was tried already is not tried again."""

    message: Message
    address: ApnsAddress
    environment: ApnsEnvironment
    deadline: float
    headers: dict[str, str] = field(repr=False)
    payload: bytes = field(repr=False)
    connection: int
    tried: set[Reaction] = field(default_factory=set[Reaction])
    first_refusal: str | None = None


@dataclass(frozen=True, slots=True)
class _Verdict:
    """An answer as the table reads it; ``timestamp`` in milliseconds since the epoch."""

    reaction: Reaction
    reason: str
    timestamp: int | None


class ApnsChannel:
    """Sends to Apple, and knows what its answers mean."""

    name = "apns"

    def __init__(
        self,
        sender: ApnsSender,
        *,
        tokens: Mapping[ApnsEnvironment, ProviderToken],
        topics: frozenset[str],
        clock: Clock,
    ) -> None:
        """Serve the environments that ``tokens`` has, and the apps of ``topics`` (bundle ids)."""
        self._sender = sender
        self._tokens = tokens
        self._topics = topics
        self._clock = clock
        self._environments = Environments()
        self._pauses = Pauses(clock.monotonic)

    def lane(self, address: PushAddress | None) -> str:
        """Return ``apns/production`` or ``apns/sandbox``, and the topic where several are served.

        A key may be good for some of a team's topics only; the others' pushes go on then.
        """
        if not isinstance(address, ApnsAddress):
            return "apns/production"
        name = f"apns/{self._environments.of(address.token, address.environment)}"
        is_one_of_many = len(self._topics) > 1 and address.topic in self._topics
        return f"{name}/{address.topic}" if is_one_of_many else name

    async def send(self, message: Message) -> Outcome:
        """Send one push; see `Channel`."""
        address = message.address
        if not isinstance(address, ApnsAddress):
            return Rejected("no_address")
        environment = self._environments.of(address.token, address.environment)
        seconds_left = message.delivery.not_after - self._clock.now()
        hindrance = self._hindrance(address, environment, seconds_left)
        if hindrance is not None:
            return hindrance
        seconds = min(SEND_TIMEOUT_SECONDS, seconds_left)
        deadline = self._clock.monotonic() + seconds
        headers = _headers(message, address)
        headers["authorization"] = self._tokens[environment].current()
        payload = apns_payload(message)
        connection = self._sender.connection(environment)
        try:
            answer = await self._sender.send(
                environment,
                address.token,
                headers=headers,
                payload=payload,
                timeout_seconds=seconds,
                is_wanted=message.is_wanted,
            )
        except TransportFailed as failure:
            return unanswered(failure)
        if answer.status == _OK:
            return self._accepted(address, environment)
        push = _Push(message, address, environment, deadline, headers, payload, connection)
        return await self._judged(push, answer)

    def _hindrance(
        self, address: ApnsAddress, environment: ApnsEnvironment, seconds_left: int
    ) -> Outcome | None:
        """Return why a push is not sent at all, None where it is."""
        if address.topic not in self._topics:
            return Rejected("topic_not_served")
        if environment not in self._tokens:
            return Rejected("environment_not_served")
        if seconds_left <= 0:
            return Rejected("too_late")
        paused_seconds = self._pauses.left(address.token)
        return Retry(paused_seconds, "TooManyRequests") if paused_seconds else None

    async def _judged(self, push: _Push, answer: Answer) -> Outcome:
        """Do what refusals ask to be done at once, each thing once, and send again."""
        while True:
            verdict = _read(answer)
            if verdict.reaction in push.tried or not self._remedied(push, verdict):
                return self._refused(push, verdict)
            push.tried.add(verdict.reaction)
            push.headers["authorization"] = self._tokens[push.environment].current()
            push.connection = self._sender.connection(push.environment)
            try:
                answer = await self._sender.send(
                    push.environment,
                    push.address.token,
                    headers=push.headers,
                    payload=push.payload,
                    timeout_seconds=push.deadline - self._clock.monotonic(),
                    is_wanted=push.message.is_wanted,
                )
            except TransportFailed as failure:
                return unanswered(failure)
            if answer.status == _OK:
                return self._accepted(push.address, push.environment)

    def _accepted(self, address: ApnsAddress, environment: ApnsEnvironment) -> Accepted:
        self._environments.accepted(address.token, address.environment, by=environment)
        self._pauses.accepted(address.token)
        return _ACCEPTED

    def _remedied(self, push: _Push, verdict: _Verdict) -> bool:
        """Do what the answer asks for; say whether to send again at once."""
        again = False
        match verdict.reaction:
            case Reaction.OTHER_ENVIRONMENT:
                other = _OTHER[push.environment]
                again = other in self._tokens
                if again:
                    push.environment, push.first_refusal = other, verdict.reason
            case Reaction.SIGN_ANEW:
                # Where it is too soon for that, the old one gets a second chance.
                self._tokens[push.environment].refused(push.headers["authorization"])
                again = True
            case Reaction.SMALLER:
                smaller = apns_payload(push.message, with_challenge=False)
                again = len(smaller) < len(push.payload)
                push.payload = smaller
            case Reaction.REOPEN:
                self._sender.reopen(push.environment, push.connection)
                again = True
            case Reaction.ELSEWHERE | Reaction.SIGN_LESS:
                self._sender.reopen(push.environment, push.connection)
            case _:
                pass
        return again

    def _refused(self, push: _Push, verdict: _Verdict) -> Outcome:
        """Return what an answer means that nothing more is done about now."""
        reason = verdict.reason
        outcome: Outcome = Retry(None, reason)
        match verdict.reaction:
            case Reaction.OTHER_ENVIRONMENT | Reaction.WRONG_APP:
                outcome = Rejected(reason, TOLERATED_REFUSALS)
            case Reaction.GONE:
                # Without a time nobody knows whether the device has registered again since.
                outcome = Rejected(reason, TOLERATED_REFUSALS)
                if verdict.timestamp is not None:
                    outcome = Gone(verdict.timestamp // _MS_A_SECOND, reason)
            case Reaction.SIGN_ANEW | Reaction.CREDENTIAL:
                outcome = Misconfigured(reason)
                if push.first_refusal is not None:
                    # The key is not good for the other environment: no fault of the first one's.
                    outcome = Rejected(push.first_refusal, TOLERATED_REFUSALS)
            case Reaction.SLOW_DOWN:
                outcome = Retry(self._pauses.refused(push.address.token), reason)
            case Reaction.OUR_FAULT | Reaction.SMALLER:
                outcome = Rejected(reason)
            case _:
                pass
        return outcome

    async def close(self) -> None:
        """Let go of the connections."""
        await self._sender.close()


def _headers(message: Message, address: ApnsAddress) -> dict[str, str]:
    delivery = message.delivery
    return {
        "apns-topic": address.topic,
        "apns-expiration": str(delivery.not_after),
        "apns-collapse-id": delivery.request_id,
        "apns-id": push_id(message),
    }


def push_id(message: Message) -> str:
    """Return the id of a push, a UUID of version 5: one for the first try, one for all later.

    Apple does not drop a push for its id; it is what Apple's own delivery log is searched for.
    """
    delivery = message.delivery
    turn = "again" if delivery.attempts else "first"
    named = _IDS.copy()
    named.update(f"{delivery.request_id}/{delivery.device}/{delivery.kind}/{turn}".encode())
    # RFC 9562, section 5.5, by hand: a fifth of what the library takes, for each push.
    number = int.from_bytes(named.digest()[:16], "big") & _NO_VERSION | _VERSION_5
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _read(answer: Answer) -> _Verdict:
    try:
        body = _BODY.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = _Body()  # a page of some proxy, or nothing
    reaction = reaction_to(answer.status, body.reason)
    known = (answer.status, body.reason) in REACTIONS
    return _Verdict(reaction, body.reason if known else f"http_{answer.status}", body.timestamp)


def apns_channel(settings: Settings, clock: Clock) -> ApnsChannel | None:
    """Return the channel, None where it is not turned on.

    Reads the key, the roots and when the key last signed. Raises ConfigError.
    """
    path, key_id, team_id = settings.apns_key_file, settings.apns_key_id, settings.apns_team_id
    if path is None or key_id is None or team_id is None or not settings.apns_topics:
        return None
    key = ApnsKey.read(path, key_id=key_id, team_id=team_id)
    tokens: dict[ApnsEnvironment, ProviderToken] = {
        environment: ProviderToken(
            key, clock=clock, kept=settings.data_dir / f"apns-{environment}-token.json"
        )
        for environment in settings.apns_environments
    }
    return ApnsChannel(
        _sender(settings, clock), tokens=tokens, topics=frozenset(settings.apns_topics), clock=clock
    )


def _sender(settings: Settings, clock: Clock) -> ApnsSender:
    known: dict[ApnsEnvironment, str] = {
        "production": settings.apns_url,
        "sandbox": settings.apns_sandbox_url,
    }
    urls: dict[ApnsEnvironment, str] = {
        environment: known[environment] for environment in settings.apns_environments
    }
    roots = extra_roots(settings.ca_file)
    if settings.apns_client == "aioapns":
        return AioapnsSender(urls, roots=roots)
    connect = partial(http2_client, roots=roots, headers=HEADERS, skims_success=True)
    return HttpSender(urls, connect, monotonic=clock.monotonic)
