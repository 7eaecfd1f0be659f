from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.protection.gate_double import (
    ALICE,
    CATALOGUE,
    CHECK,
    KILL,
    ROBOT,
    SNAPSHOT,
    GateDouble,
    World,
    guard_of,
    polled,
    until,
)
from tests.sdk.relay_double import answer, failure

from quorumkey.errors import AuthenticationError, ConfigurationError
from quorumkey.protection import (
    Method,
    Proceed,
    ProtectionUnavailable,
    Run,
    UnsafeTrustRelay,
    Vote,
    Wait,
)
from quorumkey.protocol import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.protection import Caller
    from quorumkey.protocol import JsonValue


@pytest.mark.parametrize("method", ["WipeHost", "KillProcess"])
@pytest.mark.parametrize(
    ("caller", "reason"),
    [
        (ALICE, "api_key_excluded"),
        (ROBOT, "api_key_excluded"),
        (ALICE, "disabled"),
    ],
    ids=["a-person-is-no-key", "keys-are-not-excluded", "it-is-enabled"],
)
def test_a_reason_that_cannot_be_lets_nothing_run(method: str, caller: Caller, reason: str) -> None:
    """A verdict that the caller's kind or the snapshot of its own revision denies is a lie."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            relay.script(CHECK, answer({"verdict": "proceed", "reason": reason, "revision": 1}))
            with pytest.raises(ProtectionUnavailable, match="cannot be"):
                await guard.check(method, caller, {})

    asyncio.run(run())


def test_a_change_since_the_snapshot_is_no_lie() -> None:
    """A verdict of a newer revision may say that protection has been switched off since."""

    async def run() -> None:
        relay = GateDouble()
        async with guard_of(relay) as guard:
            relay.enabled = False
            relay.revision += 1  # and the held poll is not answered

            assert Proceed("disabled") == await guard.check("WipeHost", ALICE, {})

    asyncio.run(run())


def test_a_poll_that_comes_too_late_changes_nothing() -> None:
    """A snapshot that was asked for before a newer revision was heard of does not count."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world) as guard:
            await polled(relay, 1)
            relay.protected.add("KillProcess")
            relay.revision += 1  # and the held poll is not answered
            await guard.check("WipeHost", ALICE, {})
            world.time += 0.1

            relay.revision -= 1
            relay.release()
            await until(lambda: relay.count(SNAPSHOT) == 2 or len(world.naps) == 1)

            assert guard.local("RenameHost", ALICE) is None

            world.wake()
            await polled(relay, 2)
            await guard.reach(relay.change())

            assert Proceed("unprotected") == guard.local("RenameHost", ALICE)

    asyncio.run(run())


def test_last_known_is_not_known_once_it_has_changed() -> None:
    """With ``last_known`` a call does not proceed by a snapshot that is known to be outdated."""

    async def run() -> None:
        relay = GateDouble()
        async with guard_of(relay, unreachable="last_known") as guard:
            relay.revision += 1  # and the held poll is not answered
            await guard.check("WipeHost", ALICE, {})
            relay.down = True

            with pytest.raises(ProtectionUnavailable):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


@pytest.mark.parametrize(
    "reply",
    [failure(429, "rate_limited"), httpx2.Response(200, content=b"<html>")],
    ids=["too-many", "html"],
)
def test_last_known_counts_only_where_nobody_answers(reply: httpx2.Response) -> None:
    """A relay that has enough of the questions, or answers oddly, is there: nothing proceeds."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world, unreachable="last_known") as guard:
            await polled(relay, 1)
            world.time += 1_000
            relay.script(CHECK, reply)

            with pytest.raises(ProtectionUnavailable):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_last_known_does_not_stand_in_for_a_proof() -> None:
    """An approval whose proof cannot be fetched does not run, and its claim is asked for again."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world, unreachable="last_known") as guard:
            await polled(relay, 1)
            world.time += 1_000
            relay.protected.add("KillProcess")
            waiting = await guard.check("KillProcess", ALICE, {})
            assert isinstance(waiting, Wait)
            relay.approve(waiting.txid, "bob")
            honest, relay.key = relay.key, PrivateKey.generate()
            relay.script("GET /v1/info", *[httpx2.ConnectError("away")] * 3)

            with pytest.raises(ProtectionUnavailable, match="could not be asked"):
                await guard.check("KillProcess", ALICE, {})

            relay.key = honest
            assert isinstance(await guard.check("KillProcess", ALICE, {}), Run)
            keys = [body["claim_key"] for body in relay.bodies(CHECK)]
            assert keys[1] == keys[2]

    asyncio.run(run())


def test_a_claim_is_entered_once() -> None:
    """A block that is entered again under one claim, as by a loop of retries, does not run."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            waiting = await guard.check("KillProcess", ALICE, {})
            assert isinstance(waiting, Wait)
            relay.approve(waiting.txid, "bob")
            verdict = await guard.check("KillProcess", ALICE, {})
            assert isinstance(verdict, Run)
            async with verdict.claim:
                pass

            with pytest.raises(ConfigurationError, match="one run"):
                async with verdict.claim:
                    raise AssertionError

            assert [(waiting.txid, "ok")] == relay.results

    asyncio.run(run())


def test_a_handler_may_end_after_the_guard(caplog: pytest.LogCaptureFixture) -> None:
    """A call that is still running when the guard is left answers, and its result is in the log."""

    async def run() -> None:
        relay, started, go = GateDouble(), asyncio.Event(), asyncio.Event()
        relay.protected.add("KillProcess")

        async def handler() -> str:
            started.set()
            await go.wait()
            return "killed"

        async with guard_of(relay) as guard:
            waiting = await guard.check("KillProcess", ALICE, {})
            assert isinstance(waiting, Wait)
            relay.approve(waiting.txid, "bob")
            running = asyncio.ensure_future(guard.run("KillProcess", ALICE, {}, handler))
            await started.wait()
        go.set()

        assert "killed" == await running
        assert [] == relay.results
        assert f"The result ok of {waiting.txid}" in caplog.text
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_a_guard_is_entered_once() -> None:
    """A guard that is open or was left is not entered again: it would not hear of any change."""

    async def run() -> None:
        relay = GateDouble()
        guard = guard_of(relay)
        async with guard:
            with pytest.raises(ConfigurationError, match="entered once"):
                await guard.__aenter__()

            assert guard.local("KillProcess", ALICE) is not None

        with pytest.raises(ConfigurationError, match="entered once"):
            await guard.__aenter__()

    asyncio.run(run())


def test_a_guard_that_could_not_start_is_closed() -> None:
    """After a start that the relay refuses no connection is left open."""

    async def run() -> None:
        relay = GateDouble()
        guard = guard_of(relay)
        relay.script(CATALOGUE, failure(401, "unauthorized"))
        with pytest.raises(AuthenticationError):
            await guard.__aenter__()

        with pytest.raises(ConfigurationError, match="entered once"):
            await guard.__aenter__()

    asyncio.run(run())


def test_a_guard_goes_on_listening_after_a_mistake(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody foresaw ends one poll, not the following, and is logged whole."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        async with guard_of(relay, world) as guard:
            await polled(relay, 1)
            relay.script(SNAPSHOT, LookupError("a mistake"))
            relay.release()
            await until(lambda: len(world.naps) == 1)  # between two polls
            world.wake()
            await until(lambda: len(world.naps) == 2)  # after the mistake
            world.wake()

            await guard.reach(relay.change())

        assert "LookupError: a mistake" in caplog.text

    asyncio.run(run())


def _answer_otherwise(
    relay: GateDouble, members: Mapping[str, JsonValue]
) -> Callable[[httpx2.Request], httpx2.Response]:
    """The relay's own verdict, with other members of the transaction."""

    def reply(request: httpx2.Request) -> httpx2.Response:
        verdict = relay.respond(request).json()
        verdict["transaction"] |= members
        return httpx2.Response(200, json=verdict)

    return reply


def test_a_txid_is_an_id() -> None:
    """What a relay calls a txid and is none never reaches a caller's headers."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            body = {"txid": "1\\r\\nset-cookie: session=mine"}
            relay.script(CHECK, *[_answer_otherwise(relay, body)] * 3)

            with pytest.raises(ProtectionUnavailable, match="UUIDv7"):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_a_resolver_cannot_change_the_request() -> None:
    """A resolver gets a copy: what is asked about, shown and run is the request as it came."""
    request: dict[str, JsonValue] = {"host": {"pid": 1}}

    def resolve(seen: JsonValue) -> dict[str, JsonValue]:
        assert isinstance(seen, dict)
        seen["host"] = "another"
        return {"tag": "web"}

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        guard = guard_of(
            relay, methods=(Method(KILL.name, resolver=resolve),), administrators=UnsafeTrustRelay()
        )
        async with guard:
            await guard.check("KillProcess", ALICE, request)

        (gated,) = relay.gated.values()
        assert {"host": {"pid": 1}} == gated.call.request == request

    asyncio.run(run())


def test_nothing_of_a_request_is_in_a_log_of_its_verdict() -> None:
    """What a call carries is neither in the text of its verdicts nor in that of the call."""

    async def run() -> None:
        relay, request = GateDouble(), {"password": "swordfish"}
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            waiting = await guard.check("KillProcess", ALICE, request, resource={"of": "swordfish"})
            assert isinstance(waiting, Wait)
            relay.approve(waiting.txid, "bob")
            verdict = await guard.check("KillProcess", ALICE, request, resource={"of": "swordfish"})

        assert isinstance(verdict, Run)
        (gated,) = relay.gated.values()
        for shown in (waiting, verdict, waiting.error(), gated.call):
            assert "swordfish" not in f"{shown!r} {shown}"

    asyncio.run(run())


def test_an_unknown_verdict_about_a_true_call_is_none() -> None:
    """A verdict that is neither proceed, wait nor run lets nothing run, whatever stands beside."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")

        def reply(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, json=relay.respond(request).json() | {"verdict": "walk"})

        async with guard_of(relay) as guard:
            relay.script(CHECK, *[reply] * 3)
            with pytest.raises(ProtectionUnavailable, match="neither"):
                await guard.check("KillProcess", ALICE, {})

    asyncio.run(run())


def test_a_transaction_tells_who_voted() -> None:
    """The votes of a waiting call, by the relay's word, are in its transaction."""
    vote: JsonValue = {
        "approver_id": "bob",
        "decision": "approve",
        "decided_at": "2026-01-02T03:04:05Z",
    }

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            relay.script(CHECK, _answer_otherwise(relay, {"votes": [vote]}))
            waiting = await guard.check("KillProcess", ALICE, {})

        assert isinstance(waiting, Wait)
        assert (Vote("bob", "approve", 1_767_323_045),) == waiting.transaction.votes

    asyncio.run(run())


def test_what_is_decorated_is_declared() -> None:
    """A function cannot be made a protected method that its guard does not know."""
    with pytest.raises(ConfigurationError, match="not declared"):
        guard_of(GateDouble()).protected("Kill", caller=lambda: ALICE, request=dict[str, object])
