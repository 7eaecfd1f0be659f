"""What ``make demo-jit`` puts on the stage: a clock, a mail server, a relay, people who type."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from aiosmtpd.smtp import SMTP

from quorumkey_relay.app import Relay, build
from quorumkey_relay.config import load_settings
from quorumkey_relay.demo.process import ended, environment
from quorumkey_relay.demo.story import UnexpectedOutcomeError
from quorumkey_relay.observe import logs
from quorumkey_relay.server import serving
from quorumkey_relay.standins.google_cloud import start_google_cloud
from quorumkey_relay.standins.oidc import start_oidc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from email.message import EmailMessage

    from aiosmtpd.smtp import Envelope, Session

    from quorumkey_relay.demo.stage import Stage
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.standins.google_cloud import GoogleCloud
    from quorumkey_relay.standins.oidc import OidcStandIn

    #: JSON as a program's output has it.
    Json = dict[str, object]

#: The command beside this interpreter.
_COMMAND: Final = Path(sys.executable).with_name("quorumkey")
_MAIL_SECONDS: Final = 10
_LOOPBACK: Final = "127.0.0.1"
_MAX_WORD_CHARS: Final = 60


class MovedClock:
    """This machine's clock, as much later as time has been let pass."""

    def __init__(self) -> None:
        """Begin with the present."""
        self._ahead = 0.0

    def now(self) -> int:
        """Return seconds since the epoch."""
        return int(self.exact())

    def exact(self) -> float:
        """Return seconds since the epoch with their fraction."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic() + self._ahead

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass at once."""
        self._ahead += seconds


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail as the server took it."""

    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def text(self) -> str:
        """What a reader without HTML sees."""
        part = self.message.get_body(("plain",))
        if part is None:
            raise UnexpectedOutcomeError("the e-mail has no text")
        content: object = part.get_content()
        return str(content).strip()


class MailServer:
    """A mail server (aiosmtpd) that hands over what it takes."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.port = 0
        self._taken: asyncio.Queue[Mail] = asyncio.Queue()

    async def next(self) -> Mail:
        """Return the next e-mail; raises ``TimeoutError``."""
        async with asyncio.timeout(_MAIL_SECONDS):
            return await self._taken.get()

    async def handle_DATA(  # noqa: N802 - the hook's name in aiosmtpd
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a message."""
        data = cast("bytes", envelope.content)
        message = message_from_bytes(data, policy=policy.default)
        self._taken.put_nowait(Mail(tuple(envelope.rcpt_tos), message))
        return "250 Taken"


@asynccontextmanager
async def served_mail() -> AsyncGenerator[MailServer]:
    """Take mail on a free loopback port for as long as the context lasts."""
    mail = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mail, loop=loop), _LOOPBACK, 0)
    async with server:
        mail.port = server.sockets[0].getsockname()[1]
        yield mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Everything around the relay, by one clock."""

    clock: MovedClock
    cloud: GoogleCloud
    oidc: OidcStandIn
    mail: MailServer


@asynccontextmanager
async def open_town(folder: Path) -> AsyncGenerator[Town]:
    """Open Google Cloud, the identity provider and the mail server."""
    clock = MovedClock()
    async with AsyncExitStack() as stack:
        yield Town(
            clock=clock,
            cloud=await stack.enter_async_context(start_google_cloud(folder, now=clock.exact)),
            oidc=await stack.enter_async_context(start_oidc(now=clock.exact)),
            mail=await stack.enter_async_context(served_mail()),
        )


@asynccontextmanager
async def served_relay(data: Path, jit_file: Path, town: Town) -> AsyncGenerator[str]:
    """Serve a relay in this process, by the town's clock; yield its address.

    Raises ``ConfigError``.
    """
    settings = load_settings(
        {},
        {
            "data_dir": str(data),
            "host": _LOOPBACK,
            "port": "0",
            "jit_file": str(jit_file),
            "ca_file": str(town.cloud.files.ca_file),
        },
    )
    urls: list[str] = []

    def made(bound: Settings) -> Relay:
        urls.append(bound.url)
        return build(bound, clock=town.clock)

    with (data / "demo.log").open("wb", buffering=0) as log:
        logs.configure("info", "json", log)
        async with serving(settings, made):
            yield urls[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person at a terminal, with the ID token that the identity provider gave them."""

    name: str
    email: str
    folder: Path
    url: str
    town: Town
    stage: Stage

    @property
    def home(self) -> Path:
        """Where their software device keeps its key."""
        return self.folder / f"{self.name}.device"

    async def types(self, *arguments: str, stdin: str = "") -> None:
        """Run ``quorumkey …`` and show what it prints; raises ``UnexpectedOutcomeError``."""
        status, printed, said = await self._run(arguments, stdin, is_shown=True)
        if status:
            raise UnexpectedOutcomeError(f"{arguments[0]} {arguments[1]}: {said.strip()}")
        for line in printed.splitlines():
            self.stage.say(f"  {line}" if line else "")

    async def is_refused(self, *arguments: str) -> str:
        """Run ``quorumkey …``, which must fail, and show and return what it says."""
        status, _, said = await self._run(arguments, "", is_shown=True)
        if not status:
            raise UnexpectedOutcomeError(f"{arguments[0]} {arguments[1]} was not refused")
        self.stage.say(f"  {said.strip()}", mood="rejected")
        return said.strip()

    async def reads(self, *arguments: str) -> Json | list[Json]:
        """Run ``quorumkey … --json``, show nothing, and return what it prints."""
        status, printed, said = await self._run((*arguments, "--json"), "", is_shown=False)
        if status:
            raise UnexpectedOutcomeError(f"{arguments[0]} {arguments[1]}: {said.strip()}")
        return cast("Json | list[Json]", json.loads(printed))

    async def _run(
        self, arguments: Sequence[str], stdin: str, *, is_shown: bool
    ) -> tuple[int | None, str, str]:
        if is_shown:
            line = shlex.join((_COMMAND.name, *map(_shortened, arguments)))
            self.stage.say(f"{self.name} $ {line}", mood="dim")
        settings = {
            "QUORUMKEY_URL": self.url,
            "QUORUMKEY_JIT_TOKEN": self.town.oidc.id_token(self.email),
        }
        process = await asyncio.create_subprocess_exec(
            *(str(_COMMAND), *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment(settings),
        )
        async with ended(process):
            printed, said = await process.communicate(stdin.encode())
        return process.returncode, printed.decode(), said.decode()


def _shortened(word: str) -> str:
    """A word as a reader needs it: links and folders are longer than a line."""
    return word if len(word) <= _MAX_WORD_CHARS else f"{word[: _MAX_WORD_CHARS - 1]}…"
