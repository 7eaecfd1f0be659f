"""One stand-in as tests hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.standins.credentials import HOST
from quorumkey_relay.standins.ledger import Counters, Ledger, Numbers, Received
from quorumkey_relay.standins.listener import Front

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from quorumkey_relay.standins.exchange import Service
    from quorumkey_relay.standins.faults import Faults
    from quorumkey_relay.standins.webpush import Subscription, WebPushService


class Stand:
    """One stand-in: where it is, what it counted and received, and what is wrong with it."""

    def __init__(
        self,
        name: str,
        *,
        faults: Faults,
        numbers: Numbers,
        on_received: Callable[[Received], None],
    ) -> None:
        """Prepare; it serves once ``open`` was called."""
        self.name = name
        self.faults = faults
        self._ledger = Ledger(numbers, on_received)
        self._front: Front | None = None
        self._forget: Callable[[], None] = lambda: None

    @property
    def ledger(self) -> Ledger:
        """What its service writes into."""
        return self._ledger

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"https://{HOST}:{self._door.port}"

    @property
    def counters(self) -> Counters:
        """What it counted since the start or the last ``reset``."""
        return self._ledger.counters

    @property
    def received(self) -> Sequence[Received]:
        """The newest pushes, oldest first."""
        return tuple(self._ledger.received)

    async def until(self, holds: Callable[[Counters], bool]) -> Counters:
        """Wait until ``holds(counters)``, which is asked at every change; return the counters."""
        return await self._ledger.until(holds)

    def go_away(self, *, reason: str | None = None) -> None:
        """End every connection that stands by GOAWAY, and answer what came before."""
        self._door.go_away(reason=reason)

    def lose_connections(self) -> None:
        """Lose every connection that stands, without a word."""
        self._door.lose_connections()

    def reset(self) -> None:
        """Forget pushes, counters and credentials; faults stay."""
        self._forget()
        self._ledger.reset()

    async def open(  # noqa: PLR0913 - what is served, how, and where
        self,
        service: Service,
        forget: Callable[[], None],
        tls: ssl.SSLContext,
        *,
        host: str,
        port: int,
        is_http2_only: bool = False,
    ) -> None:
        """Serve."""
        self._forget = forget
        self._front = Front(service, self._ledger, self.faults, tls, is_http2_only=is_http2_only)
        await self._front.open(host, port)

    async def close(self) -> None:
        """Serve no longer."""
        await self._door.close()

    @property
    def _door(self) -> Front:
        if self._front is None:
            raise RuntimeError("the stand-in does not serve yet")
        return self._front


class WebPushStand(Stand):
    """The Web Push service, whose browsers are made by subscribing."""

    service: WebPushService

    def subscribe(
        self,
        behaviour: str = "ok",
        *,
        once: bool = False,
        application_server_key: str | None = None,
    ) -> Subscription:
        """Let a new browser subscribe, for one application server's key or for any.

        With ``once`` the first push is treated as ``webpush_table.BEHAVIOURS`` says, and all later
        ones are accepted. A behaviour that does not exist raises ``KeyError``.
        """
        return self.service.subscribe(
            behaviour, once=once, application_server_key=application_server_key
        )
