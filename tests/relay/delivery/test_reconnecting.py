"""Giving up connections that are dead, and opening one for a crowd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.delivery.push.openings import MAX_ORIGINS, OPEN_SECONDS, Openings
from quorumkey_relay.delivery.reconnecting import (
    DEAD_AFTER_SECONDS,
    MAX_RESENDS,
    ReconnectingClient,
)
from quorumkey_relay.delivery.transport import Answer, HttpClient, TransportFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

ANSWER = Answer(200, {}, b"")
TURNED_BACK = TransportFailed("broken", processed=False)
LOST = TransportFailed("broken", processed=None)
TIMEOUT = TransportFailed("timeout", processed=None)


class Scripted(HttpClient):
    """A client that answers, or fails, as it was told."""

    def __init__(self, *script: Answer | TransportFailed) -> None:
        self._script = list(script)
        self.is_retired = False
        self.is_closed = False

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """The next of the script."""
        del url, headers, body, timeout_seconds
        said = self._script.pop(0)
        if isinstance(said, TransportFailed):
            raise said
        return said

    async def retire(self) -> None:
        """Remember that."""
        self.is_retired = True

    async def close(self) -> None:
        """Remember that."""
        self.is_closed = True


async def post(client: ReconnectingClient, timeout_seconds: float = 10.0) -> Answer | str:
    """What a call ends with."""
    try:
        return await client.post("", headers={}, body=b"", timeout_seconds=timeout_seconds)
    except TransportFailed as failure:
        return failure.reason


def over(*clients: Scripted) -> ReconnectingClient:
    """One client after the other."""
    left = list(clients)
    return ReconnectingClient(lambda: left.pop(0))


async def test_a_silent_connection_is_given_up() -> None:
    """After a call that nothing was answered to, the next goes over another connection."""
    old, new = Scripted(TIMEOUT), Scripted(ANSWER)
    client = over(old, new)

    ended = [await post(client), await post(client)]

    await client.close()
    assert (["timeout", ANSWER], True, True) == (ended, old.is_retired, new.is_closed)


async def test_a_slow_call_is_no_dead_connection() -> None:
    """A call that was given little time says nothing about the connection."""
    client = over(Scripted(TIMEOUT, ANSWER))

    ended = [await post(client, DEAD_AFTER_SECONDS - 1), await post(client)]

    assert ["timeout", ANSWER] == ended


async def test_a_connection_that_answers_others_is_kept() -> None:
    """One call that is never answered is that call's fault."""
    client = over(Slow())

    slow = asyncio.create_task(post(client))
    await asyncio.sleep(0)
    quick = await post(client)

    assert (ANSWER, "timeout", ANSWER) == (quick, await slow, await post(client))


class Slow(Scripted):
    """Lets the first call wait until a second one was answered."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0
        self._second = asyncio.Event()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """Answer all but the first."""
        del url, headers, body, timeout_seconds
        self._calls += 1
        if self._calls == 1:
            await self._second.wait()
            await asyncio.sleep(0)
            raise TIMEOUT
        self._second.set()
        return ANSWER


async def test_what_was_turned_back_goes_out_again() -> None:
    """A connection that ends gracefully costs no call."""
    client = over(Scripted(*[TURNED_BACK] * MAX_RESENDS, ANSWER))

    assert ANSWER == await post(client)


async def test_but_not_for_ever() -> None:
    """Beyond so many the schedule decides."""
    client = over(Scripted(*[TURNED_BACK] * (MAX_RESENDS + 1), ANSWER))

    assert "broken" == await post(client)


async def test_what_may_have_been_processed_is_not_sent_again() -> None:
    """A lost answer is the caller's to think about."""
    client = over(Scripted(LOST, ANSWER))

    assert "broken" == await post(client)


# Openings


class Calls:
    """Calls that are answered when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self) -> Answer:
        """Wait to be answered."""
        self.begun += 1
        await self.go.wait()
        return ANSWER


async def test_the_first_call_goes_alone() -> None:
    """The others of a crowd begin once it was answered."""
    openings, calls = Openings(lambda: 0.0), Calls()
    crowd = [asyncio.create_task(openings.call("https://a", calls)) for _ in range(5)]
    await asyncio.sleep(0)
    first = calls.begun
    calls.go.set()

    assert [ANSWER] * 5 == await asyncio.gather(*crowd)
    assert (1, 5) == (first, calls.begun)


async def test_each_origin_has_its_own_first_call() -> None:
    """One service that is slow holds up no other."""
    openings, calls = Openings(lambda: 0.0), Calls()
    tasks = [asyncio.create_task(openings.call(f"https://{name}", calls)) for name in "abc"]
    await asyncio.sleep(0)
    begun = calls.begun
    calls.go.set()
    await asyncio.gather(*tasks)

    assert 3 == begun


async def test_an_open_connection_takes_all_at_once() -> None:
    """After an answer nobody waits, until it is so old that the connection may be gone."""
    now = 0.0
    openings = Openings(lambda: now)
    answered = Calls()
    answered.go.set()
    await openings.call("https://a", answered)

    begun: list[int] = []
    for now in (OPEN_SECONDS - 1, 2 * OPEN_SECONDS):  # noqa: B007 - the clock reads it
        calls = Calls()
        crowd = [asyncio.create_task(openings.call("https://a", calls)) for _ in range(3)]
        await asyncio.sleep(0)
        begun.append(calls.begun)
        calls.go.set()
        await asyncio.gather(*crowd)

    assert [3, 1] == begun


async def test_a_first_call_that_fails_lets_the_next_try() -> None:
    """The crowd goes on, and the failure is the first caller's alone."""
    openings, calls = Openings(lambda: 0.0), Calls()
    calls.go.set()

    async def fails() -> Answer:
        await asyncio.sleep(0)
        raise LOST

    first = asyncio.create_task(openings.call("https://a", fails))
    await asyncio.sleep(0)
    second = await openings.call("https://a", calls)

    with pytest.raises(TransportFailed):
        await first
    assert ANSWER == second


async def test_origins_are_bounded() -> None:
    """Origins are others' to name; what is known of the oldest is forgotten."""
    openings, calls = Openings(lambda: 0.0), Calls()
    calls.go.set()
    for number in range(MAX_ORIGINS + 1):
        await openings.call(f"https://{number}.example", calls)
    crowd_calls = Calls()

    crowd = [asyncio.create_task(openings.call("https://0.example", crowd_calls)) for _ in range(3)]
    await asyncio.sleep(0)
    begun = crowd_calls.begun
    crowd_calls.go.set()
    await asyncio.gather(*crowd)

    assert 1 == begun
