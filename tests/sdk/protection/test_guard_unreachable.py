from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.protection.gate_double import (
    ALICE,
    CATALOGUE,
    CHECK,
    SNAPSHOT,
    GateDouble,
    World,
    guard_of,
    polled,
    until,
)
from tests.sdk.relay_double import answer, failure

from quorumkey.errors import AuthenticationError, InvalidRequestError
from quorumkey.protection import (
    MAX_STALENESS_SECONDS,
    Proceed,
    ProtectionUnavailable,
    Wait,
)

if TYPE_CHECKING:
    from quorumkey.protection import Unreachable


def test_a_service_starts_without_its_relay() -> None:
    """Nothing that could be protected runs until the relay was heard; then the guard goes on."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        relay.down = True
        async with guard_of(relay, world) as guard:
            with pytest.raises(ProtectionUnavailable, match="could not be asked"):
                await guard.check("KillProcess", ALICE, {})

            relay.down = False
            await until(lambda: bool(world.naps))
            world.wake()
            await guard.reach(relay.revision)

            assert 2 <= relay.count(CATALOGUE)
            assert Proceed("unprotected") == await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(401, "unauthorized", AuthenticationError), (400, "invalid_request", InvalidRequestError)],
)
def test_a_refused_catalogue_stops_the_start(
    status: int, code: str, error: type[Exception]
) -> None:
    """A catalogue or a key that the relay refuses is the service's mistake, told at its start."""

    async def run() -> None:
        relay = GateDouble()
        relay.script(CATALOGUE, failure(status, code))
        with pytest.raises(error):
            async with guard_of(relay):
                raise AssertionError

    asyncio.run(run())


@pytest.mark.parametrize("unreachable", ["refuse", "last_known"])
def test_while_it_is_fresh_a_snapshot_needs_no_relay(unreachable: Unreachable) -> None:
    """A relay that has just gone is not noticed by calls that its last snapshot lets proceed."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world, unreachable=unreachable) as guard:
            relay.down = True
            world.time += MAX_STALENESS_SECONDS

            assert Proceed("unprotected") == await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_a_stale_snapshot_fails_closed() -> None:
    """After that second, what is in the catalogue does not run without the relay."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world) as guard:
            relay.down = True
            world.time += MAX_STALENESS_SECONDS + 0.001
            for method in ("KillProcess", "WipeHost"):
                with pytest.raises(ProtectionUnavailable):
                    await guard.check(method, ALICE, {})
            assert Proceed("unprotected") == await guard.check("ListHosts", ALICE, {})

    asyncio.run(run())


def test_last_known_lets_the_unprotected_pass() -> None:
    """By choice what was unprotected proceeds; what was protected, or always is, does not."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        relay.protected.add("RenameHost")
        async with guard_of(relay, world, unreachable="last_known") as guard:
            relay.down = True
            world.time += 1_000_000

            assert Proceed("unprotected") == await guard.check("KillProcess", ALICE, {})
            for method in ("RenameHost", "WipeHost"):
                with pytest.raises(ProtectionUnavailable):
                    await guard.check(method, ALICE, {})

    asyncio.run(run())


def test_last_known_knows_nothing_before_the_first_word() -> None:
    """A guard that never heard its relay has no last known protection to go by."""

    async def run() -> None:
        relay = GateDouble()
        relay.down = True
        async with guard_of(relay, unreachable="last_known") as guard:
            with pytest.raises(ProtectionUnavailable):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_last_known_obeys_a_relay_that_answers() -> None:
    """A relay that can be reached decides, however old the snapshot is."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world, unreachable="last_known") as guard:
            world.time += 1_000
            relay.protected.add("KillProcess")

            assert isinstance(await guard.check("KillProcess", ALICE, {}), Wait)

    asyncio.run(run())


@pytest.mark.parametrize(
    "reply",
    [
        httpx2.ReadTimeout("slow"),
        failure(503, "store_unavailable"),
        failure(429, "rate_limited"),
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(302, headers={"location": "https://elsewhere.example"}),
        answer({"verdict": "of course", "revision": 1, "transaction": {}}),
        answer({"verdict": "proceed", "reason": "a good day", "revision": 1}),
        failure(401, "unauthorized"),
        failure(404, "not_found"),
    ],
    ids=[
        "slow",
        "store-down",
        "too-many",
        "html",
        "redirect",
        "odd-verdict",
        "odd-reason",
        "revoked-key",
        "old-relay",
    ],
)
def test_no_other_answer_lets_a_call_run(reply: httpx2.Response | Exception) -> None:
    """Whatever a relay answers instead of a verdict, the call does not run."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            relay.script(CHECK, *[reply] * 3)
            with pytest.raises(ProtectionUnavailable):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_a_revoked_key_ends_the_snapshot_too() -> None:
    """News that is refused is no news: the last snapshot grows old and nothing runs by it."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world) as guard:
            await polled(relay, 1)
            relay.script(SNAPSHOT, failure(401, "unauthorized"))
            relay.script(CHECK, failure(401, "unauthorized"))
            relay.release()
            await until(lambda: len(world.naps) == 1)  # between two polls
            world.wake()
            await until(lambda: len(world.naps) == 2)  # after the refused one
            world.time += MAX_STALENESS_SECONDS + 0.001

            with pytest.raises(ProtectionUnavailable):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_silence_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log says when the relay is not heard, and when it is again, not at every try between."""
    world = World()

    def napped(times: int) -> bool:
        return len(world.naps) == times

    async def run() -> None:
        relay = GateDouble()
        async with guard_of(relay, world):
            await polled(relay, 1)
            relay.down = True
            relay.release()
            for naps in (1, 2, 3):  # after the held poll, and after two that failed
                await until(partial(napped, naps))
                relay.down = naps < 3
                world.wake()
            await polled(relay, 4)
            relay.release()
            await until(partial(napped, 4))

    with caplog.at_level(logging.WARNING, "quorumkey.protection"):
        asyncio.run(run())

    assert [record.message.split(",")[0] for record in caplog.records] == [
        "The relay is not heard",
        "The relay is heard again.",
    ]


def test_a_snapshot_without_its_methods_is_not_believed() -> None:
    """A poll that names a new revision and no methods changes nothing."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        relay.protected.add("KillProcess")
        async with guard_of(relay, world) as guard:
            await polled(relay, 1)
            relay.script(
                SNAPSHOT, answer({"revision": 9, "enabled": False, "exclude_api_keys": True})
            )
            relay.release()
            await until(lambda: len(world.naps) == 1)
            world.wake()
            await until(lambda: len(world.naps) == 2)

            assert 1 == guard.revision
            assert guard.may_wait("KillProcess", ALICE)

    asyncio.run(run())
