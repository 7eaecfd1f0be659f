"""What bare aioapns does with the faults that every sender has to survive.

The stand-in reproduces what is known of it; each test ends with the stand-in's own counters. That
something hangs is seen by waiting a moment after the stand-in has done its part.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol
from aioapns.exceptions import MaxAttemptsExceeded

from quorumkey_relay.standins import apns_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable

    from quorumkey_relay.standins import StandIns

pytestmark = pytest.mark.anyio

#: How long a push has to be overdue before it counts as hanging.
OVERDUE_SECONDS = 0.2
PATIENCE_SECONDS = 30
ANSWER_DELAY_SECONDS = 0.4
#: Longer than a sender takes to close a connection.
LONG_DELAY_SECONDS = 5.0


class Sender:
    """aioapns as its users have it, but for where it connects to."""

    def __init__(self, stands: StandIns, *, inactivity_seconds: float = 10) -> None:
        ends: list[asyncio.Event] = []

        class Here(APNsTLSClientProtocol):
            APNS_SERVER = "localhost"
            APNS_PORT = int(stands.apns.url.rpartition(":")[2])
            INACTIVITY_TIME: Any = inactivity_seconds

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                self.end = asyncio.Event()
                ends.append(self.end)

            def connection_lost(self, exc: Exception | None) -> None:
                self.end.set()
                super().connection_lost(exc)

        self._ends = ends
        self.client = APNs(
            key=stands.files.apns_key_file.read_text(),
            key_id=stands.files.apns_key_id,
            team_id=stands.files.apns_team_id,
            topic=stands.files.apns_topic,
            max_connections=1,
            ssl_context=ssl.create_default_context(cafile=stands.files.ca_file),
        )
        self.client.pool.protocol_class = Here

    async def push(self, token: str, *, apns_id: str | None = None, text: str = "x") -> str:
        """Send one notification; its status."""
        result = await self.client.send_notification(
            NotificationRequest(
                device_token=token,
                message={"aps": {"alert": text}},
                notification_id=apns_id or str(uuid4()),
                push_type=PushType.ALERT,
            )
        )
        return result.status

    @property
    def connection(self) -> Any:  # noqa: ANN401 - aioapns' own protocol, looked into
        """Its one connection."""
        (connection,) = self.client.pool.connections
        return connection

    async def close(self) -> None:
        """End its connections, and wait until it knows."""
        for connection in list(self.client.pool.connections):
            connection.close()
        for end in self._ends:
            await end.wait()


def begun(pushes: Iterable[Coroutine[Any, Any, str]]) -> list[asyncio.Task[str]]:
    """Start all of them at once."""
    return [asyncio.get_running_loop().create_task(push) for push in pushes]


async def ended(tasks: list[asyncio.Task[str]], *, expected: int = 0) -> tuple[int, int]:
    """How many have ended, after the ``expected`` ones, and how many hang, which are given up."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for first in islice(asyncio.as_completed(tasks), expected):
            await first
    done, hanging = await asyncio.wait(tasks, timeout=OVERDUE_SECONDS)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(done), len(hanging)


@pytest.fixture
async def sender(
    stands: StandIns, caplog: pytest.LogCaptureFixture
) -> AsyncGenerator[Sender, None]:
    """aioapns, against a stand-in that allows many streams and many tokens.

    It raises in its callbacks, which is what some of these tests are about.
    """
    caplog.set_level(logging.CRITICAL, "aioapns")
    stands.apns.faults.first_success_streams = False
    stands.apns.faults.token_update_seconds = 0
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, _context: None)
    made = Sender(stands)
    yield made
    await made.close()
    loop.set_exception_handler(before)


async def test_it_hangs_when_the_window_is_used_up(stands: StandIns, sender: Sender) -> None:
    """Of 3,000 pushes to dead tokens only 1,285 answers of 51 bytes fit into 64 KiB: row 1."""
    tasks = begun(sender.push(apns_token("Unregistered", number)) for number in range(3_000))
    await stands.apns.until(lambda counters: counters.streams == 1_285 + 1_000)

    assert (65_535 // 51, 1_715) == await ended(tasks, expected=1_285)
    assert stands.apns.counters.refused["Unregistered"] == 2_285


async def test_it_hangs_when_streams_are_reset(stands: StandIns, sender: Sender) -> None:
    """RST_STREAM is no answer to it: all 20 hang, row 2."""
    tasks = begun(sender.push(apns_token("reset", number)) for number in range(20))
    await stands.apns.until(lambda counters: counters.reset == 20)

    assert (0, 20) == await ended(tasks)


async def test_it_hangs_without_a_body(stands: StandIns, sender: Sender) -> None:
    """A 500 without a body is never told to the caller: row 3."""
    tasks = begun([sender.push(apns_token("empty"))])
    await stands.apns.until(lambda counters: counters.refused["empty"] == 1)

    assert (0, 1) == await ended(tasks)


async def test_it_fails_at_a_page(stands: StandIns, sender: Sender) -> None:
    """A 503 with a page in HTML ends the connection, and goes out five times: row 3."""
    with pytest.raises(MaxAttemptsExceeded):
        await sender.push(apns_token("html"))

    assert (5, 4) == (stands.apns.counters.refused["html"], stands.apns.counters.resends)


async def one_given_up(sender: Sender, stands: StandIns) -> list[asyncio.Task[str]]:
    """Have 51 pushes in flight, of which the first caller gives up."""
    stands.apns.faults.delay_seconds = ANSWER_DELAY_SECONDS
    first, *others = begun(sender.push(apns_token("ok", number)) for number in range(51))
    await stands.apns.until(lambda counters: counters.accepted == 51)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    return others


async def test_one_caller_that_gives_up_makes_it_send_all_again(
    stands: StandIns, sender: Sender
) -> None:
    """The answer to a cancelled push ends the connection, and 50 others are sent twice: row 4."""
    others = await one_given_up(sender, stands)

    assert ["200"] * 50 == await asyncio.gather(*others)
    assert 50 == stands.apns.counters.duplicates
    assert 50 == stands.apns.counters.resends


async def test_one_caller_that_gives_up_makes_all_hang(stands: StandIns, sender: Sender) -> None:
    """Lost before that answer, the connection takes the 50 others with it for ever: row 5."""
    others = await one_given_up(sender, stands)
    stands.apns.lose_connections()
    await stands.apns.until(lambda counters: counters.open_connections == 0)

    assert (0, 50) == await ended(others)


async def test_it_takes_a_graceful_goaway_for_a_loss(stands: StandIns, sender: Sender) -> None:
    """Though each of 300 pushes would be answered, each is sent five times and fails: row 6."""
    stands.apns.faults.goaway_after = 100
    stands.apns.faults.delay_seconds = LONG_DELAY_SECONDS
    failures = 0
    for first in range(0, 300, 100):
        tasks = begun(sender.push(apns_token("ok", first + number)) for number in range(100))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failures += sum(isinstance(result, MaxAttemptsExceeded) for result in results)

    assert 300 == failures
    assert 1_500 == stands.apns.counters.accepted
    assert 1_200 == stands.apns.counters.duplicates


async def test_it_confuses_equal_ids(stands: StandIns, sender: Sender) -> None:
    """Of two pushes in flight with one apns-id, one hangs: row 7."""
    stands.apns.faults.delay_seconds = ANSWER_DELAY_SECONDS
    apns_id = str(uuid4())
    tasks = begun(sender.push(apns_token("ok", number), apns_id=apns_id) for number in range(2))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    assert (1, 1) == await ended(tasks)


async def test_it_leaves_half_a_request_when_the_window_is_full(
    stands: StandIns, sender: Sender
) -> None:
    """Of 300 pushes that exceed 64 KiB, 195 and more leave headers without a body: row 8."""
    text = "x" * 600
    await sender.push(apns_token("ok", 300))  # connected, it sends them all in one turn
    tasks = begun(sender.push(apns_token("ok", number), text=text) for number in range(300))
    statuses = await asyncio.gather(*tasks)
    await sender.close()
    counters = await stands.apns.until(lambda counters: counters.open_connections == 0)

    assert ["200"] * 300 == statuses
    assert counters.half_open >= 195


async def test_it_survives_one_stream_at_first(stands: StandIns) -> None:
    """A burst of 50 on a connection that allows one stream at first arrives, slowly: row 9."""
    sender = Sender(stands)
    statuses = await asyncio.gather(
        *begun(sender.push(apns_token("ok", number)) for number in range(50))
    )
    await sender.close()

    assert ["200"] * 50 == statuses
    assert 0 == stands.apns.counters.refused_streams


async def test_it_keeps_an_entry_of_each_success(stands: StandIns, sender: Sender) -> None:
    """What it notes of a push is not forgotten once the push has succeeded: row 11."""
    for _ in range(2):
        await asyncio.gather(*begun(sender.push(apns_token("ok", one)) for one in range(250)))

    assert 500 == stands.apns.counters.accepted
    assert 500 == len(sender.connection.request_streams)


async def pushes_after_idleness(stands: StandIns) -> list[str]:
    """Push four times, each after the connection was idle for too long."""
    stands.apns.faults.first_success_streams = False
    sender = Sender(stands, inactivity_seconds=0.01)
    statuses: list[str] = []
    for number in range(4):
        statuses.append(await sender.push(apns_token("ok", number)))
        await stands.apns.until(lambda counters: counters.open_connections == 0)
    return statuses


async def test_it_signs_a_new_token_for_each_connection(stands: StandIns) -> None:
    """Four pushes with pauses between them are four connections and four tokens: row 10."""
    stands.apns.faults.token_update_seconds = 0

    assert ["200"] * 4 == await pushes_after_idleness(stands)
    assert (4, 4) == (stands.apns.counters.connections, stands.apns.counters.credentials)


async def test_its_new_tokens_are_refused_as_too_many(stands: StandIns) -> None:
    """Apple's rule of one new token in 20 minutes stops all but the first of them."""
    assert ["200", "429", "429", "429"] == await pushes_after_idleness(stands)
    assert {"TooManyProviderTokenUpdates": 3} == stands.apns.counters.refused
