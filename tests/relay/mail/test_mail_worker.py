"""The queue of e-mails: at least once, over a real mail server and a real store."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.mail.mail_server import Behaviour, mail_server
from tests.relay.sim_devices import START, ManualClock

from quorumkey_relay.domain.jit.mail import Mail
from quorumkey_relay.jit_settings import MailSettings
from quorumkey_relay.mail.mailer import open_mailer
from quorumkey_relay.mail.worker import MAX_IN_FLIGHT, MailWorker
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.observe.alarms import Alarms
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import PutMail

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend
    from tests.relay.mail.mail_server import MailServer

    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

DAY = 86_400


@dataclass
class Post:
    """A worker with what it works with."""

    store: SqliteStore
    server: MailServer
    clock: ManualClock
    alarms: Alarms = field(default_factory=Alarms)

    def __post_init__(self) -> None:
        """Make the worker."""
        settings = MailSettings(
            sender_address="relay@quorumkey.example",
            host="127.0.0.1",
            port=self.server.port,
            security="none",
        )
        self.worker = MailWorker(
            store=self.store,
            mailer=open_mailer(settings, roots=None),
            clock=self.clock,
            mint=SystemMint(),
            alarms=self.alarms,
        )

    async def queue(self, number: int = 1, *, not_after: int = START + DAY) -> None:
        """Queue a message."""
        mail = Mail(
            mail_id=f"0190a000-0000-7000-8000-{number:012}",
            integrator_id="0190a000-0000-7000-8000-000000000001",
            subject_id="mpa-1",
            recipients=("bob@example.com",),
            message=f"Subject: {number}\r\n\r\nHello\r\n".encode(),
            created_at=self.clock.now(),
            not_after=not_after,
            next_at=self.clock.now(),
        )
        await self.store.commit((PutMail(mail),))

    async def due(self) -> list[Mail]:
        """Return what waits, however late it is to be tried."""
        return list(await self.store.due_mail(now=START + 10 * DAY, limit=100))


async def test_what_is_queued_is_sent_once(store: SqliteStore) -> None:
    """Each message goes out once, and is not tried again."""
    with mail_server() as server:
        post = Post(store, server, ManualClock())
        for number in range(2 * MAX_IN_FLIGHT + 1):
            await post.queue(number)

        await post.worker.sweep()
        await post.worker.sweep()

        assert sorted(f"Subject: {n}".encode() for n in range(2 * MAX_IN_FLIGHT + 1)) == sorted(
            one.message.partition(b"\r\n")[0] for one in server.taken
        )
    assert [] == await post.due()
    assert [] == post.alarms.standing()


async def test_a_server_that_is_over_its_trouble(store: SqliteStore) -> None:
    """What a server does not take now waits, with an alarm, and is sent when it takes it."""
    with mail_server(Behaviour(replies={"DATA": "451 later"})) as server:
        post = Post(store, server, ManualClock())
        await post.queue()

        await post.worker.sweep()
        (waiting,) = await post.due()
        alarms = post.alarms.standing()
        server.behaviour.replies.clear()
        await post.worker.sweep()  # not due yet
        untouched = list(server.taken)
        post.clock.advance(60)
        await post.worker.sweep()

        assert (1, "queued") == (waiting.attempts, waiting.state)
        assert START < waiting.next_at <= START + 30
        assert "(SMTP 451)" in str(waiting.fault)
        assert [f"E-mail waits: {waiting.fault}"] == alarms
        assert ([], 1) == (untouched, len(server.taken))
    assert ([], []) == (await post.due(), post.alarms.standing())


async def test_a_refusal_is_the_last_word(store: SqliteStore) -> None:
    """A message that the server refuses for good is given up, and the operator hears of it."""
    with mail_server(Behaviour(replies={"bob@example.com": "550 unknown"})) as server:
        post = Post(store, server, ManualClock())
        await post.queue()
        await post.worker.sweep()

    assert [] == await post.due()
    assert ["given up" in alarm for alarm in post.alarms.standing()] == [True]


async def test_what_has_lost_its_use_is_not_sent(store: SqliteStore) -> None:
    """A message whose time is over is given up without being tried."""
    with mail_server() as server:
        post = Post(store, server, ManualClock())
        await post.queue(not_after=START + 60)
        post.clock.advance(60)
        await post.worker.sweep()

        assert [] == server.taken
    assert [] == await post.due()


async def test_a_restart_goes_on(backend: SqliteBackend, anyio_backend: object) -> None:
    """What waited when the relay died is sent by the next one."""
    del anyio_backend
    with mail_server() as server:
        async with backend.open() as first:
            await Post(first, server, ManualClock()).queue()
        async with backend.open() as second:
            await Post(second, server, ManualClock()).worker.sweep()

        assert 1 == len(server.taken)


class Cut:
    """A mailer in whose hands the disk fills up, just after it has sent."""

    def __init__(self, post: Post, backend: SqliteBackend) -> None:
        """Send as the post does."""
        self._mailer = post.worker.mailer
        self._backend = backend
        self.after = ExitStack()

    async def send(self, message: bytes, recipients: tuple[str, ...]) -> None:
        """Send, and let nothing be written any more."""
        await self._mailer.send(message, recipients)
        self.after.enter_context(self._backend.unwritable())


async def test_what_is_sent_but_not_noted_is_sent_again(
    backend: SqliteBackend, anyio_backend: object
) -> None:
    """Where the store fails in between, the same message goes out again: never none."""
    del anyio_backend
    with mail_server() as server:
        async with backend.open() as opened:
            post = Post(opened, server, ManualClock())
            await post.queue()
            cut = Cut(post, backend)
            with cut.after, pytest.raises(StoreUnavailable):
                await replace(post.worker, mailer=cut).sweep()
        async with backend.open() as opened:
            post = Post(opened, server, ManualClock())
            post.clock.advance(30)
            await post.worker.sweep()

        first, second = server.taken
        assert first.message == second.message


async def test_nothing_is_sent_that_cannot_be_noted(
    backend: SqliteBackend, anyio_backend: object
) -> None:
    """While the store cannot be written nothing goes out, again and again or at all."""
    del anyio_backend
    with mail_server() as server:
        async with backend.open() as opened:
            post = Post(opened, server, ManualClock())
            await post.queue()
            with backend.unwritable(), pytest.raises(StoreUnavailable):
                await post.worker.sweep()

            assert [] == server.taken
