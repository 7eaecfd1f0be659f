"""The client for an event loop: the same surface as `quorumkey.client.sync`, awaited."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from quorumkey.client import _calls, claims
from quorumkey.client._aio_devices import AsyncDevices, AsyncPairings
from quorumkey.client._aio_webhooks import AsyncWebhooks
from quorumkey.client._core import Core
from quorumkey.client._drivers import DEFAULT_TIMEOUT_SECONDS, AsyncDriver
from quorumkey.client._events import EventCursor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    import httpx2

    from quorumkey.client._core import ClientPorts
    from quorumkey.client._exchange import RetryPolicy
    from quorumkey.client.approvals import CreatedRequest, Outcome, RequestOptions
    from quorumkey.client.claims import ClaimState
    from quorumkey.client.models import Event, GroupDeliveries, Info, RequestState
    from quorumkey.protocol.action import Action
    from quorumkey.protocol.dsse import Envelope, PasskeyPolicy
    from quorumkey.protocol.keys import PublicKey
    from quorumkey.protocol.policy import Group

__all__ = ["AsyncClient", "AsyncRequests", "AsyncWebhooks"]


class AsyncClient:
    """An integrator's connection to a relay; close it, or use it with ``async with``.

    One client may be used by several tasks of one event loop.

    Args:
        url: the relay's address; default: the variable ``QUORUMKEY_URL``.
        api_key: default: the variable ``QUORUMKEY_API_KEY``.
        relay_public_keys: the relay keys to trust (base64 or loaded). Without them, the key that
            the relay names at the first call is trusted from then on, in this client only
            ("trust on first use"): give them wherever the relay itself is in the threat model.
        integrator_id: this integrator's id at the relay. Without it, the first receipt that
            passes every other check names it.
        passkeys: the relying party whose passkeys count; without it none does.
        timeout_seconds: how long one call may take, beside what it waits for on purpose.
        retry: how often and how fast a call is repeated, where repeating it is safe.
        http_hosts: host names that may be called without TLS, in development only.
        transport: carries the HTTP calls; default: the network.
        sleep: waits so many seconds.
        ports: clock and randomness.

    Raises:
        ConfigurationError: a setting is missing or unusable.
    """

    def __init__(  # noqa: PLR0913 - a client's settings
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        relay_public_keys: Iterable[PublicKey | str] | None = None,
        integrator_id: str | None = None,
        passkeys: PasskeyPolicy | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        http_hosts: Iterable[str] = (),
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ports: ClientPorts | None = None,
    ) -> None:
        core = Core.make(
            url,
            api_key,
            relay_public_keys=relay_public_keys,
            integrator_id=integrator_id,
            passkeys=passkeys,
            retry=retry,
            ports=ports,
            http_hosts=http_hosts,
        )
        driver = AsyncDriver(
            core.address,
            headers=core.headers,
            timeout_seconds=timeout_seconds,
            transport=transport,
            sleep=sleep,
        )
        self._core = core
        self._driver = driver
        self._sleep = sleep
        self.requests = AsyncRequests(core, driver)
        self.pairings = AsyncPairings(core, driver)
        self.devices = AsyncDevices(core, driver)
        self.webhooks = AsyncWebhooks(core, driver, self.requests.resolve)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._driver.close()

    @property
    def relay_public_keys(self) -> tuple[PublicKey, ...]:
        """The relay keys trusted so far; store them to pin them next time."""
        return () if self._core.pins is None else tuple(pin.key for pin in self._core.pins.pins)

    @property
    def integrator_id(self) -> str | None:
        """This integrator's id, as given or as the first verified receipt named it."""
        return self._core.integrator_id

    async def info(self) -> Info:
        """What the relay says of itself; trusts nothing."""
        return await self._driver.run(self._core.call(_calls.get_info()))

    async def events(self, last_event_id: str | None = None) -> AsyncGenerator[Event]:
        """Yield this integrator's events as they happen, for as long as the caller goes on.

        A broken stream is opened again after the last event, so none is missed. An event is a
        reason to look, not a proof: see `Event`.

        Args:
            last_event_id: begin after this event; None begins now.

        Raises:
            GoneError: ``cursor_expired``: the events after that one are no longer kept.
            ApiError: the relay refuses for good.
        """
        cursor = EventCursor(last_event_id, self._core.retry)
        while True:
            async with aclosing(self._driver.stream(cursor.request())) as items:
                async for item in items:
                    event = cursor.take(item)
                    if event is not None:
                        yield event
            await self._sleep(cursor.pause())


class AsyncRequests:
    """Approval requests."""

    def __init__(self, core: Core, driver: AsyncDriver) -> None:
        self._core = core
        self._driver = driver

    async def create(
        self,
        *,
        action: Action,
        groups: Sequence[Group],
        required: int,
        **options: Unpack[RequestOptions],
    ) -> CreatedRequest:
        """Ask for an approval.

        Args:
            action: what is to be approved.
            groups: who may approve; see `group`.
            required: how many groups have to be satisfied.
            **options: see `RequestOptions`.

        Returns:
            The request with everything needed to check its receipt; ``encode()`` stores it.

        Raises:
            ProtocolError: action, groups or options break a rule of the protocol.
            ApiError: the relay refused.
            TransportError: no usable answer came.
        """
        return await self._driver.run(
            self._core.create_request(
                action=action, groups=groups, required=required, options=options
            )
        )

    async def get(self, request_id: str, *, wait_seconds: int = 0) -> RequestState:
        """How a request stands, by the relay's word.

        Args:
            request_id: which.
            wait_seconds: 0 to 60: answer at once when it is finished, else after so long.
        """
        return await self._driver.run(
            self._core.call(_calls.get_request(request_id, wait_seconds=wait_seconds))
        )

    async def list(
        self, *, status: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[RequestState]:
        """Yield this integrator's requests, newest first; pages are fetched as needed.

        Args:
            status: only those in this status.
            limit: how many the relay answers at a time, 1 to 100.
        """
        cursor: str | None = None
        while True:
            page = await self._driver.run(
                self._core.call(_calls.list_requests(status=status, limit=limit, cursor=cursor))
            )
            for item in page.data:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def cancel(self, request_id: str) -> RequestState:
        """Withdraw a pending request; a cancelled one answers again.

        Raises:
            ConflictError: ``request_completed``: it ended otherwise.
        """
        return await self._driver.run(self._core.call(_calls.cancel_request(request_id)))

    async def receipt(self, request_id: str) -> Envelope:
        """The receipt envelope, unchecked; `resolve` and `wait` check it.

        Raises:
            ConflictError: ``not_completed``: the request is pending.
        """
        return await self._driver.run(self._core.call(_calls.get_receipt(request_id)))

    async def claim(self, request_id: str, *, claim_key: str | None = None) -> ClaimState:
        """Claim an approved request before acting on it: whoever asks first, once.

        Args:
            request_id: which.
            claim_key: 16 to 255 printable ASCII characters; the same key is given the same claim
                again, so never act twice under one. Without one a new one is made.

        Raises:
            ConflictError: ``not_completed``: it is pending; ``request_completed``: it ended
                otherwise, its time is over, or it is claimed.
        """
        key = self._core.idempotency_key(claim_key)
        return await self._driver.run(self._core.call(claims.claim_request(request_id, key)))

    async def settle(
        self, claim_id: str, result: Literal["ok", "error"], *, result_digest: str | None = None
    ) -> ClaimState:
        """Record what came of a claim; the same again is answered as the first time.

        Args:
            claim_id: which.
            result: ``ok`` or ``error``.
            result_digest: ``sha256:`` and 64 hex digits of what came out, for the relay's signed
                execution document.

        Raises:
            ConflictError: ``request_completed``: another result is recorded, or none is awaited
                any more.
        """
        return await self._driver.run(
            self._core.call(claims.settle(claim_id, result, result_digest))
        )

    async def deliveries(self, request_id: str) -> tuple[GroupDeliveries, ...]:
        """How far the notifications of a request have come, by group and channel."""
        return await self._driver.run(self._core.call(_calls.get_deliveries(request_id)))

    async def resolve(self, request: CreatedRequest) -> Outcome | None:
        """Ask once how a request stands; None while it is pending.

        Raises:
            ReceiptRefused: the relay says approved, and its receipt does not prove it.
            ApiError: the relay refused.
            TransportError: no usable answer came.
        """
        return await self._driver.run(self._core.resolve(request))

    async def wait(
        self,
        request: CreatedRequest,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the blocking client has the same surface
    ) -> Outcome:
        """Wait until a request has ended.

        Approved is answered only after the receipt was fetched and passed `verify_receipt`
        against this caller's own policy and the pinned relay keys.

        Args:
            request: what `create` answered, or `CreatedRequest.decode` read.
            timeout: seconds to wait at most; None: a minute longer than the request stays open.

        Raises:
            ReceiptRefused: the relay says approved, and its receipt does not prove it.
            WaitTimeoutError: it is still pending.
            ApiError: the relay refused.
            TransportError: no usable answer came until the time was over.
        """
        return await self._driver.run(self._core.wait(request, timeout))
