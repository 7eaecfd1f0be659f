"""A stand-in's door: a loopback port, TLS, and HTTP/2 or HTTP/1.1 by ALPN."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final, Protocol, cast
from weakref import WeakSet

from quorumkey_relay.standins.exchange import Caller
from quorumkey_relay.standins.http1 import Http1Connection
from quorumkey_relay.standins.http2 import Http2Connection

if TYPE_CHECKING:
    import ssl

    from quorumkey_relay.standins.exchange import Service
    from quorumkey_relay.standins.faults import Faults
    from quorumkey_relay.standins.ledger import Counters, Ledger

_BACKLOG: Final = 1_024
#: How long closing waits for TLS handshakes that may never end, since nobody says when they fail.
_HANDSHAKE_SECONDS: Final = 0.5
_LOOPBACK: Final = "127.0.0.1"
_LOOPBACK_6: Final = "::1"


class _Connection(Protocol):
    """What the door knows of a connection."""

    def lose(self) -> None:
        """End it at once, without a word."""
        ...

    def go_away(self, *, reason: str | None = None) -> None:
        """End it gracefully."""
        ...


class Front:
    """Listens for one service and keeps its connections."""

    def __init__(
        self,
        service: Service,
        ledger: Ledger,
        faults: Faults,
        tls: ssl.SSLContext | None,
        *,
        is_http2_only: bool = False,
    ) -> None:
        """Prepare; without ``tls`` it serves plain HTTP/1.1.

        With ``is_http2_only`` it speaks HTTP/2 also with those who do not ask for it by ALPN.
        """
        self.service = service
        self.faults = faults
        self.is_http2_only = is_http2_only
        self._ledger = ledger
        self._tls = tls
        self._connections: set[_Connection] = set()
        self._doors: WeakSet[_Door] = WeakSet()  # those whose handshake failed just go
        self._servers: list[asyncio.Server] = []
        self._address = ("", 0)
        self._number = 0
        self._changing: asyncio.Task[None] | None = None

    @property
    def counters(self) -> Counters:
        """The service's counters."""
        return self._ledger.counters

    @property
    def port(self) -> int:
        """The port that was taken."""
        return self._address[1]

    def changed(self) -> None:
        """Tell those who wait that a counter changed."""
        self._ledger.changed()

    async def open(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, which it keeps."""
        sockets = _listening(host, port)
        self._address = (host, cast("int", sockets[0].getsockname()[1]))
        await self._serve(sockets)
        self.faults.on_change = self._follow

    async def close(self) -> None:
        """Stop listening and lose every connection."""
        self.faults.on_change = None
        if self._changing is not None:
            await self._changing
        self._shut()
        # Transports end in later turns of the loop.
        await self._ledger.until(lambda counters: counters.open_connections == 0)
        # A handshake that ends after the loop would be nobody's connection.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                await self._ledger.until(lambda _: not self._doors)

    def lose_connections(self) -> None:
        """Lose every connection that stands, without a word."""
        for connection in list(self._connections):
            connection.lose()

    def go_away(self, *, reason: str | None = None) -> None:
        """End every connection that stands gracefully."""
        for connection in list(self._connections):
            connection.go_away(reason=reason)

    # ------------------------------------------------------------ connections

    def arrived(self, connection: _Connection) -> Caller:
        """Take note of a connection."""
        self._connections.add(connection)
        self.counters.connections += 1
        self.counters.open_connections += 1
        self._number += 1
        self._ledger.changed()
        return Caller(self._number)

    def begun(self, door: _Door) -> None:
        """Take note of a handshake that begins."""
        self._doors.add(door)

    def ended(self, door: _Door) -> None:
        """Forget a handshake."""
        self._doors.discard(door)
        self._ledger.changed()

    @property
    def is_shut(self) -> bool:
        """Whether nobody is let in now."""
        return not self._servers

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self.counters.open_connections -= 1
        self._ledger.changed()

    # ------------------------------------------------------------ listening

    async def _serve(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for listening in sockets:
            server = await loop.create_server(
                lambda: _Door(self), sock=listening, ssl=self._tls, backlog=_BACKLOG
            )
            self._servers.append(server)

    def _shut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.lose_connections()

    def _follow(self) -> None:
        """Refuse connections while the faults say so."""
        if self._changing is not None:
            return
        if self.faults.is_down and self._servers:
            self._shut()
        elif not self.faults.is_down and not self._servers:
            sockets = _listening(*self._address)  # at once: who connects now waits
            self._changing = asyncio.get_running_loop().create_task(self._reopen(sockets))

    async def _reopen(self, sockets: list[socket.socket]) -> None:
        await self._serve(sockets)
        self._changing = None
        self._follow()


class _Door(asyncio.Protocol):
    """Hands a connection over to the protocol that its handshake chose."""

    def __init__(self, front: Front) -> None:
        self._front = front
        front.begun(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)
        if self._front.is_shut:
            made.abort()
            return
        self._front.ended(self)
        tls = cast("ssl.SSLObject | None", made.get_extra_info("ssl_object"))
        is_http2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        kind = Http2Connection if is_http2 or self._front.is_http2_only else Http1Connection
        made.set_protocol(kind(self._front, made))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._front.ended(self)


def _listening(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets: of ``host``, and with IPv4's loopback that of IPv6, if it can be.

    Who connects to ``localhost`` may try either.
    """
    first = _socket(host, port)
    if host != _LOOPBACK:
        return [first]
    try:
        return [first, _socket(_LOOPBACK_6, cast("int", first.getsockname()[1]))]
    except OSError:
        return [first]


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    except OSError as error:
        listening.close()
        raise OSError(error.errno, error.strerror, f"{host} port {port}") from None
    return listening
