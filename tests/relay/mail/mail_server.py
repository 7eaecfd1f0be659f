"""A real mail server for tests: aiosmtpd in a thread of its own, told how to behave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator

    from aiosmtpd.smtp import Envelope, Session

HOST = "127.0.0.1"
Authenticator = Callable[[SMTP, "Session", "Envelope", str, object], AuthResult]


@dataclass
class Behaviour:
    """What the server does beside taking messages.

    ``replies`` are what it answers instead, by command (``MAIL``, ``DATA``) or recipient;
    ``hangs_at`` is the command that it never answers. It listens at ``host``.
    """

    starttls: ssl.SSLContext | None = None
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    replies: dict[str, str] = field(default_factory=dict[str, str])
    hangs_at: str | None = None
    host: str = HOST


@dataclass(frozen=True)
class Taken:
    """A message that the server took: envelope and bytes, and whether TLS was on."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes
    was_encrypted: bool
    was_logged_in: bool


@dataclass
class MailServer:
    """What came in, under the port that the server listens on."""

    behaviour: Behaviour
    port: int = 0
    taken: list[Taken] = field(default_factory=list[Taken])
    said_hello: list[str] = field(default_factory=list[str])
    stop: Callable[[], object] = field(default=lambda: None)

    async def _judge(self, command: str) -> str | None:
        if self.behaviour.hangs_at == command:
            await asyncio.Event().wait()
        return self.behaviour.replies.get(command)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Greet."""
        session.host_name = hostname
        self.said_hello.append(hostname)
        await self._judge("EHLO")
        return responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the sender."""
        if (reply := await self._judge("MAIL")) is not None:
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient."""
        if (reply := await self._judge(address)) is not None:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take the message."""
        if (reply := await self._judge("DATA")) is not None:
            return reply
        content = envelope.content
        assert isinstance(content, bytes)
        is_encrypted = server.transport is not None and bool(
            server.transport.get_extra_info("sslcontext")
        )
        self.taken.append(
            Taken(
                str(envelope.mail_from),
                tuple(envelope.rcpt_tos),
                content,
                is_encrypted,
                bool(session.authenticated),
            )
        )
        return "250 OK"


@contextmanager
def mail_server(behaviour: Behaviour | None = None) -> Generator[MailServer]:
    """Serve on a loopback port, in a thread with a loop that is not the tests' own."""
    found = MailServer(behaviour or Behaviour())
    is_listening = threading.Event()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        listener = await loop.create_server(
            lambda: _session(found, loop), found.behaviour.host, 0, ssl=found.behaviour.tls
        )
        found.port = listener.sockets[0].getsockname()[1]
        found.stop = lambda: loop.call_soon_threadsafe(stop.set)
        is_listening.set()
        await stop.wait()
        listener.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    is_listening.wait()
    try:
        yield found
    finally:
        found.stop()
        thread.join()


def _session(found: MailServer, loop: asyncio.AbstractEventLoop) -> SMTP:
    said = found.behaviour
    return SMTP(
        found,
        hostname="mail.test",
        tls_context=said.starttls,
        require_starttls=said.starttls is not None,
        auth_required=said.login is not None,
        authenticator=_authenticator(said.login),
        auth_require_tls=said.tls is None,
        loop=loop,
    )


def _authenticator(login: tuple[str, str] | None) -> Authenticator:
    def judge(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
    ) -> AuthResult:
        is_right = isinstance(given, LoginPassword) and login == (
            given.login.decode(),
            given.password.decode(),
        )
        return AuthResult(success=is_right, handled=False)

    return judge
