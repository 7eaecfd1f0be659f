"""One device at one relay: its calls, its pins, its session, and the relay's clock."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.client._calls import get_info
from quorumkey.client._drivers import DEFAULT_TIMEOUT_SECONDS, AsyncDriver
from quorumkey.client._exchange import Call, RetryPolicy, exchange
from quorumkey.device import _api
from quorumkey.device.errors import RelayMismatchError
from quorumkey.device.review import Reviewer
from quorumkey.device.signer import DeviceSigner
from quorumkey.errors import (
    AuthenticationError,
    GoneError,
    RateLimitedError,
    RelayError,
    TransportError,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx2

    from quorumkey.client.address import RelayAddress
    from quorumkey.client.models import Info
    from quorumkey.device._api import Nonce, SessionToken
    from quorumkey.device.home import RelayFolder, RelayRecord
    from quorumkey.protocol.keys import PrivateKey

__all__ = ["Connection", "DevicePorts", "RelaySession"]

T = TypeVar("T")

#: A session that ends sooner than this is replaced before it is used, in seconds.
_SESSION_MARGIN_SECONDS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePorts:
    """What a device takes from the world around it; tests give their own.

    Attributes:
        now: this machine's clock in seconds since the epoch; it may be wrong.
        sleep: waits so many seconds.
        jitter: gives numbers in [0, 1).
        transport: carries HTTP; None: the network.
        timeout_seconds: how long one HTTP call may take.
    """

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS


class Connection:
    """Calls to one relay, and what time it is there."""

    def __init__(self, address: RelayAddress, ports: DevicePorts) -> None:
        self.address = address
        self.ports = ports
        self.retry = RetryPolicy(jitter=ports.jitter)
        self._ahead = 0.0
        self._driver = AsyncDriver(
            address,
            headers={},
            timeout_seconds=ports.timeout_seconds,
            transport=ports.transport,
            sleep=ports.sleep,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._driver.close()

    async def call(self, call: Call[T]) -> T:
        """Make a call, repeated where that is safe."""
        return await self._driver.run(exchange(call, self.retry))

    async def call_once(self, call: Call[T]) -> T:
        """Make a call that must not be repeated."""
        return await self._driver.run(exchange(call, replace(self.retry, attempts=1)))

    async def pause(self, attempt: int) -> None:
        """Wait before attempt n+1."""
        await self.ports.sleep(self.retry.pause(attempt, None).seconds)

    async def info(self) -> Info:
        """Ask the relay for its successions and its time; the clock is set by the latter."""
        info = await self.call(get_info())
        self.set_clock(info.time)
        return info

    def set_clock(self, relay_time: int) -> None:
        """Take over the relay's clock."""
        self._ahead = relay_time - self.ports.now()

    def now(self) -> int:
        """Seconds since the epoch by the relay's clock, as far as it is known."""
        return int(self.ports.now() + self._ahead)


class RelaySession:
    """A device's key at one relay, in use."""

    def __init__(
        self, connection: Connection, folder: RelayFolder, record: RelayRecord, key: PrivateKey
    ) -> None:
        self.connection = connection
        self.folder = folder
        self.record = record
        self.signer = DeviceSigner(key, record.address.origin)
        self._token: SessionToken | None = None
        self._opening = asyncio.Lock()

    @property
    def reviewer(self) -> Reviewer:
        """Checks requests for this device with what is known now."""
        return Reviewer(
            device=self.signer.key.public_key,
            pins=self.record.pins,
            integrators={integrator.id for integrator in self.record.integrators},
        )

    def save(self, record: RelayRecord) -> None:
        """Remember this of the relay."""
        self.folder.save(record)
        self.record = record

    async def trust(self, fingerprint: str) -> None:
        """Go on only if the relay key with this fingerprint is pinned, or reached from a pin.

        Raises:
            RelayMismatchError: it is neither.
        """
        if fingerprint not in self.record.pins:
            await self.follow()
        if fingerprint not in self.record.pins:
            raise RelayMismatchError(
                f"The relay at {self.record.address.base} is not the one this device was paired"
                " with; nothing was signed for it."
            )

    async def follow(self) -> None:
        """Pin what the relay's key changes reach from the pins (PROTOCOL §11)."""
        info = await self.connection.info()
        pins = self.record.pins.follow(info.successions)
        if pins != self.record.pins:
            self.save(replace(self.record, pins=pins))

    async def signed(self, build: Callable[[Nonce], Call[T] | Awaitable[Call[T]]]) -> T:
        """Make a call whose envelope holds a nonce, with a new nonce for each attempt.

        A nonce is spent at its first presentation, whatever the outcome (PROTOCOL §3), so an
        attempt whose answer was lost cannot be repeated as it is.
        """
        attempt = 1
        while True:
            nonce = await self.connection.call(_api.make_nonce())
            await self.trust(nonce.relay_public_key.fingerprint)
            try:
                made = build(nonce)
                call = made if isinstance(made, Call) else await made
                return await self.connection.call_once(call)
            except UnexpectedAnswerError:
                raise
            except (TransportError, RelayError, RateLimitedError, GoneError) as error:
                over = isinstance(error, GoneError) and error.code != "nonce_expired"
                if over or attempt >= self.connection.retry.attempts:
                    raise
            await self.connection.pause(attempt)
            attempt += 1

    async def authorised(self, call: Call[T]) -> T:
        """Make a call with a session, opening one where there is none or it has ended."""
        token = await self._session()
        try:
            return await self.connection.call(token.on(call))
        except AuthenticationError:
            self._token = None
        token = await self._session()
        return await self.connection.call(token.on(call))

    async def bearing(self, call: Call[T]) -> Call[T]:
        """The call with a session, opened where there is none."""
        return (await self._session()).on(call)

    async def _session(self) -> SessionToken:
        async with self._opening:
            token = self._token
            if token and token.expires_at - _SESSION_MARGIN_SECONDS > self.connection.now():
                return token
            await self.connection.info()
            self._token = await self.signed(
                lambda nonce: _api.open_session(
                    self.signer.session(relay=nonce.relay_public_key.fingerprint, nonce=nonce.nonce)
                )
            )
            return self._token
