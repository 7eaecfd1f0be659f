from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sdk.protection.gate_double import (
    ALICE,
    CHECK,
    ROBOT,
    SNAPSHOT,
    GateDouble,
    World,
    guard_of,
    polled,
    until,
)
from tests.sdk.relay_double import answer

from quorumkey.errors import ConfigurationError
from quorumkey.protection import MAX_STALENESS_SECONDS, Proceed, ProtectionUnavailable, Wait

if TYPE_CHECKING:
    import httpx2


def test_an_unprotected_call_asks_nobody() -> None:
    """A call of a method that is not protected proceeds without a question, whatever it carries."""

    async def run() -> None:
        relay = GateDouble()
        async with guard_of(relay) as guard:
            verdict = await guard.check("KillProcess", ALICE, {"load": 0.5})

            assert Proceed("unprotected") == verdict
            assert 0 == relay.count(CHECK)

    asyncio.run(run())


def test_a_protected_call_waits() -> None:
    """A call of a protected method is asked about and waits, with the transaction's id."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            verdict = await guard.check("KillProcess", ALICE, {"pid": 1})

            assert isinstance(verdict, Wait)
            assert [verdict.txid] == list(relay.gated)

    asyncio.run(run())


def test_the_gates_order_is_kept() -> None:
    """Off lets everything proceed, then excluded API keys do, and always protected ones wait."""

    async def run() -> None:
        relay = GateDouble()
        relay.exclude_api_keys = True
        async with guard_of(relay) as guard:
            assert Proceed("api_key_excluded") == guard.local("WipeHost", ROBOT)
            assert guard.local("WipeHost", ALICE) is None

            relay.enabled = False
            await guard.reach(relay.change())

            assert Proceed("disabled") == guard.local("WipeHost", ALICE)
            assert 0 == relay.count(CHECK)

    asyncio.run(run())


def test_a_change_is_heard_by_the_held_poll() -> None:
    """A method that becomes protected is asked about as soon as the held question is answered."""

    async def run() -> None:
        relay = GateDouble()
        async with guard_of(relay) as guard:
            assert not guard.may_wait("KillProcess", ALICE)

            await guard.reach(relay.protect("KillProcess"))

            assert guard.may_wait("KillProcess", ALICE)
            assert not guard.may_wait("RenameHost", ALICE)

    asyncio.run(run())


def test_a_snapshot_decides_for_one_second() -> None:
    """From one second after its question was sent a snapshot no longer decides: the relay does."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world) as guard:
            world.time += MAX_STALENESS_SECONDS
            assert Proceed("unprotected") == guard.local("KillProcess", ALICE)

            world.time += 0.001
            relay.protected.add("KillProcess")  # and nobody is told

            assert isinstance(await guard.check("KillProcess", ALICE, {}), Wait)

    asyncio.run(run())


def test_the_second_counts_from_the_question() -> None:
    """An answer that was on its way for long is as old as its question."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world) as guard:
            await polled(relay, 1)
            world.time += 2 * MAX_STALENESS_SECONDS  # while the poll is held

            await guard.reach(relay.change())

            assert guard.local("KillProcess", ALICE) is None

            await polled(relay, 2)
            await guard.reach(relay.change())

            assert Proceed("unprotected") == guard.local("KillProcess", ALICE)

    asyncio.run(run())


def test_a_newer_revision_in_an_answer_ends_the_snapshot() -> None:
    """Once an answer names a newer revision, what is known is not decided by any more."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            assert guard.local("RenameHost", ALICE) is not None
            relay.revision += 1  # and the held poll is not answered

            await guard.check("KillProcess", ALICE, {})

            assert guard.local("RenameHost", ALICE) is None

    asyncio.run(run())


def test_an_unheld_answer_is_not_asked_for_again_at_once() -> None:
    """A relay that answers without news and without holding the question is given a pause."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world):
            await polled(relay, 1)
            relay.release()
            await until(lambda: len(world.naps) == 1)

            assert 1 == relay.count(SNAPSHOT)
            world.wake()
            await polled(relay, 2)

    asyncio.run(run())


@pytest.mark.parametrize("method", ["ListHosts", "Chat"])
def test_what_can_never_be_protected_needs_no_relay(method: str) -> None:
    """Methods that only read, and ineligible ones, proceed while the relay was never heard."""

    async def run() -> None:
        relay = GateDouble()
        relay.down = True
        async with guard_of(relay) as guard:
            assert Proceed("unprotected") == await guard.check(method, ALICE, {})

    asyncio.run(run())


def test_an_undeclared_method_is_a_mistake() -> None:
    """A name that was not declared raises and does not proceed; an adapter may ask first."""

    async def run() -> None:
        async with guard_of(GateDouble()) as guard:
            with pytest.raises(ConfigurationError, match="KilProcess"):
                await guard.check("KilProcess", ALICE, {})
            assert not guard.declares("KilProcess")
            assert not guard.may_wait("KilProcess", ALICE)

    asyncio.run(run())


def test_a_guard_that_is_not_entered_lets_nothing_run() -> None:
    """Before it is entered, and after it was left, a guard refuses what could be protected."""

    async def run() -> None:
        relay = GateDouble()
        guard = guard_of(relay)
        with pytest.raises(ConfigurationError, match="not entered"):
            await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_the_relay_cannot_deny_what_is_always_protected() -> None:
    """A relay that calls an always protected method unprotected is not obeyed."""

    async def run() -> None:
        relay = GateDouble()
        async with guard_of(relay) as guard:
            for reason in ("unprotected", "condition_false"):
                relay.script(CHECK, _proceed(relay, reason))
                with pytest.raises(ProtectionUnavailable, match="cannot be"):
                    await guard.check("WipeHost", ALICE, {})

    asyncio.run(run())


def _proceed(relay: GateDouble, reason: str) -> httpx2.Response:
    return answer({"verdict": "proceed", "reason": reason, "revision": relay.revision})
