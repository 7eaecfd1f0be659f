"""Browsers, by Web Push: RFC 8030, encrypted by RFC 8291, identified by RFC 8292 (VAPID)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import WebPushAddress, b64url_decode
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.egress_url import EgressRefused, read_url
from quorumkey_relay.delivery.push.openings import Openings
from quorumkey_relay.delivery.push.payload import webpush_payload
from quorumkey_relay.delivery.push.services import service_of
from quorumkey_relay.delivery.push.unanswered import unanswered
from quorumkey_relay.delivery.push.vapid import Vapid, vapid_key
from quorumkey_relay.delivery.push.webpush_encryption import (
    MAX_BODY_BYTES,
    OVERHEAD_BYTES,
    SALT_BYTES,
    NotAPoint,
    Receiver,
    encrypt,
    new_ephemeral_key,
)
from quorumkey_relay.delivery.retry_after import retry_after_seconds
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.mint import SystemMint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.delivery.egress_url import Target
    from quorumkey_relay.delivery.push.vapid import VapidToken
    from quorumkey_relay.delivery.transport import Answer
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.settings import Settings

SEND_TIMEOUT_SECONDS: Final = 10.0
#: Every message is as long as this one, or as the longest there can be.
PADDED_BODY_BYTES: Final = 2_048
#: Browsers' keys that are kept parsed.
MAX_RECEIVERS: Final = 10_000
#: An address dies with the refusal after so many in a row: Apple, for one, answers a subscription
#: of another VAPID key with 400 VapidPkHashMismatch for ever.
TOLERATED_REFUSALS: Final = 4

_REACTIONS: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        HTTPStatus.OK: Accepted(),
        HTTPStatus.CREATED: Accepted(),
        HTTPStatus.ACCEPTED: Accepted(),
        # RFC 8030, section 7.3 names 404 for what has expired; the services answer 410.
        HTTPStatus.NOT_FOUND: Gone(None, "gone"),
        HTTPStatus.GONE: Gone(None, "gone"),
        HTTPStatus.REQUEST_TIMEOUT: Retry(None, "timeout"),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Rejected("payload_too_large"),
    }
)


def webpush_channel(settings: Settings, clock: Clock, egress: Egress) -> WebPushChannel | None:
    """Return the channel, None where it is not turned on.

    It makes the VAPID key at the first start. Raises ``ConfigError``.
    """
    if settings.webpush_subject is None:
        return None
    key = vapid_key(settings.data_dir, settings.webpush_key_file)
    return WebPushChannel(
        vapid=Vapid(key, subject=settings.webpush_subject, clock=clock),
        services=settings.webpush_services,
        unsafe_hosts=frozenset(settings.unsafe_egress_hosts),
        egress=egress,
        clock=clock,
        mint=SystemMint(),
    )


@dataclass(frozen=True, slots=True)
class _Push:
    """What a message needs to go out; none of it is shown."""

    message: Message
    target: Target
    origin: str
    receiver: Receiver
    token: VapidToken
    seconds_left: int


class WebPushChannel:
    """Sends to the push services on the list, through the guard of supplied addresses."""

    name = "webpush"

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        vapid: Vapid,
        services: tuple[str, ...],
        unsafe_hosts: frozenset[str],
        egress: Egress,
        clock: Clock,
        mint: Mint,
    ) -> None:
        """Use ``egress``, which belongs to the relay and is not closed here."""
        self._vapid = vapid
        self._services = services
        self._unsafe_hosts = unsafe_hosts
        self._egress = egress
        self._clock = clock
        self._mint = mint
        self._openings = Openings(clock.monotonic)
        self._receiver = lru_cache(maxsize=MAX_RECEIVERS)(_receiver)

    @property
    def public_key(self) -> str:
        """The VAPID public key, which browsers subscribe with: 65 bytes, base64url."""
        return self._vapid.public_key

    def lane(self, address: PushAddress | None) -> str:
        """Return ``webpush/`` and the listed service; addresses of none share one lane."""
        found = self._target(address) if isinstance(address, WebPushAddress) else None
        return f"{self.name}/unlisted" if found is None else f"{self.name}/{found[1]}"

    async def send(self, message: Message) -> Outcome:
        """Encrypt and send; a message that is too large goes once more without its challenge."""
        push = self._prepared(message)
        if not isinstance(push, _Push):
            return push
        try:
            answer = await self._post(push, with_challenge=True)
            too_large = answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            if too_large and message.challenge is not None:
                answer = await self._post(push, with_challenge=False)
        except EgressRefused as refused:
            # The host is a listed service's, so it is our resolver that leads somewhere else.
            return Misconfigured(f"egress_{refused.reason}")
        except TransportFailed as failure:
            return unanswered(failure)
        return self._react(answer, push.token)

    async def close(self) -> None:
        """Nothing is held here."""

    def _target(self, address: WebPushAddress) -> tuple[Target, str] | None:
        """Return what is called and the listed service, None where there is none."""
        try:
            target = read_url(address.endpoint, self._unsafe_hosts)
        except EgressRefused:
            return None
        service = service_of(target.host, self._services)
        return None if service is None else (target, service)

    def _prepared(self, message: Message) -> _Push | Outcome:
        address = message.address
        if not isinstance(address, WebPushAddress):
            return Rejected("no_address")
        found = self._target(address)
        if found is None:
            # The list may have been shortened since: nothing is wrong with the address.
            return Rejected("service_not_listed")
        seconds_left = message.delivery.not_after - self._clock.now()
        if seconds_left <= 0:
            return Rejected("too_late")
        try:
            receiver = self._receiver(address.p256dh, address.auth)
        except NotAPoint:
            return Gone(None, "no_key")
        target, _ = found
        origin = _origin(target)
        token = self._vapid.token(origin)
        return _Push(message, target, origin, receiver, token, seconds_left)

    async def _post(self, push: _Push, *, with_challenge: bool) -> Answer:
        text = webpush_payload(push.message, with_challenge=with_challenge)
        fits = OVERHEAD_BYTES + len(text) <= PADDED_BODY_BYTES
        body = encrypt(
            text,
            receiver=push.receiver,
            ephemeral=new_ephemeral_key(),
            salt=self._mint.random(SALT_BYTES),
            body_bytes=PADDED_BODY_BYTES if fits else MAX_BODY_BYTES,
        )
        headers = {
            "authorization": push.token.header,
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            # A service that cannot deliver at once keeps the message for so many seconds.
            "ttl": str(push.seconds_left),
            "urgency": "high",
            # Takes the place of what the service still keeps for this request (section 5.4).
            "topic": push.message.delivery.request_id.replace("-", ""),
        }
        return await self._openings.call(push.origin, partial(self._call, push, headers, body))

    async def _call(self, push: _Push, headers: Mapping[str, str], body: bytes) -> Answer:
        if not push.message.is_wanted():
            raise TransportFailed("broken", processed=False)
        return await self._egress.post(
            push.target.url,
            headers=headers,
            body=body,
            timeout_seconds=min(SEND_TIMEOUT_SECONDS, push.seconds_left),
        )

    def _react(self, answer: Answer, token: VapidToken) -> Outcome:
        status = answer.status
        known = _REACTIONS.get(status)
        if known is not None:
            token.is_proven = token.is_proven or isinstance(known, Accepted)
            return known
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            after = retry_after_seconds(answer.headers.get("retry-after"), now=self._clock.now())
            limited = status == HTTPStatus.TOO_MANY_REQUESTS
            reason = "rate_limited" if limited else f"http_{status}"
            # At least a second: 0 would say that nothing was processed.
            return Retry(None if after is None else max(1, after), reason)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not token.is_proven:
            return Misconfigured("vapid_refused")
        # A token that this very service has taken is good: it is the subscription that wants
        # another key. One such device must not stop everybody's messages.
        return Rejected(f"http_{status}", tolerated=TOLERATED_REFUSALS)


def _receiver(p256dh: str, auth: str) -> Receiver:
    point = b64url_decode(p256dh, field="push.p256dh")
    return Receiver.of(point, b64url_decode(auth, field="push.auth"))


def _origin(target: Target) -> str:
    """Return the origin that the token is for (RFC 8292, section 2)."""
    scheme, rest = target.url.split("://", 1)
    return f"{scheme}://{rest.split('/', 1)[0]}"
