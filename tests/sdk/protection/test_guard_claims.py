from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.protection.gate_double import (
    ALICE,
    CHECK,
    ROBOT,
    GateDouble,
    World,
    guard_of,
    until,
)
from tests.sdk.relay_double import Phone, failure

from quorumkey.errors import ReceiptRefused
from quorumkey.protection import (
    ApprovalRequired,
    Caller,
    Guard,
    NobodyCanApproveError,
    Proceed,
    ProtectionUnavailable,
    RequestRefused,
    ResultNotReportedError,
    Run,
    TransactionState,
    UnsafeTrustRelay,
    Wait,
    _reports,
)
from quorumkey.protocol import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey.protocol import JsonValue

REQUEST: JsonValue = {"pid": 1, "tag": "x"}


def acting(
    act: Callable[[GateDouble, Guard, World], Awaitable[None]],
    *,
    trusting: bool = False,
) -> None:
    """Run a scene in which KillProcess is protected."""

    async def run() -> None:
        relay, world = GateDouble(), World()
        relay.protected.add("KillProcess")
        administrators = UnsafeTrustRelay() if trusting else None
        async with guard_of(relay, world, administrators=administrators) as guard:
            await act(relay, guard, world)

    asyncio.run(run())


async def approved(relay: GateDouble, guard: Guard, caller: Caller = ALICE, *people: str) -> str:
    """Have a call opened and approved."""
    verdict = await guard.check("KillProcess", caller, REQUEST)
    assert isinstance(verdict, Wait)
    relay.approve(verdict.txid, *(people or ("bob",)))
    return verdict.txid


async def claimed(relay: GateDouble, guard: Guard) -> Run:
    """Have a call opened, approved and claimed."""
    await approved(relay, guard)
    verdict = await guard.check("KillProcess", ALICE, REQUEST)
    assert isinstance(verdict, Run)
    return verdict


def settle_path(run: Run) -> str:
    """The call that records a result."""
    return f"POST /v1/claims/{run.claim.claim_id}/result"


async def one() -> int:
    """A handler."""
    return 1


def test_an_approved_call_runs_once_and_is_recorded() -> None:
    """Issued again after the approval a call runs and is recorded; the third time it waits anew."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)

        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, one)
        with pytest.raises(ApprovalRequired) as waiting:
            await guard.run("KillProcess", ALICE, REQUEST, one)

        assert [(txid, "ok")] == relay.results
        assert waiting.value.txid != txid

    acting(act)


def test_a_verdict_says_who_approved() -> None:
    """What runs carries the approval as it was verified: who signed, and the document."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        run = await claimed(relay, guard)

        assert run.approval is not None
        assert (("bob",), run.txid) == (run.approval.approvers, run.approval.request_id)

    acting(act)


def test_a_condition_that_is_false_lets_the_call_proceed() -> None:
    """A protected call whose condition is false proceeds, by the relay's word."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        relay.never_true.add("KillProcess")

        assert Proceed("condition_false") == await guard.check("KillProcess", ALICE, REQUEST)
        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, one)

    acting(act)


def test_a_failing_handler_is_recorded_as_an_error() -> None:
    """An exception goes through to the caller, and the approval is used up as failed."""

    async def fail() -> int:
        raise LookupError

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        with pytest.raises(LookupError):
            await guard.run("KillProcess", ALICE, REQUEST, fail)

        assert [(txid, "error")] == relay.results

    acting(act)


def test_a_cancelled_handler_is_recorded_as_an_error() -> None:
    """A call that is cancelled while it runs is recorded, though its task ends."""
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        task = asyncio.create_task(guard.run("KillProcess", ALICE, REQUEST, hang))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert [(txid, "error")] == relay.results

    acting(act)


def test_a_result_that_was_said_is_not_said_again() -> None:
    """What the block records itself stands; leaving it records nothing more."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        run = await claimed(relay, guard)
        async with run.claim as claim:
            await claim.fail()

        assert [(run.txid, "error")] == relay.results

    acting(act)


def test_a_lost_answer_to_a_result_is_asked_for_again() -> None:
    """A result whose answer was lost is sent again, and the relay takes it once."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        run = await claimed(relay, guard)

        def lose(request: httpx2.Request) -> httpx2.Response:
            relay.respond(request)
            raise httpx2.ReadError("gone")

        relay.script(settle_path(run), lose)
        await run.claim.complete("sha256:" + "0" * 64)

        assert [(run.txid, "ok")] * 2 == relay.results
        assert 2 == relay.count(settle_path(run))

    acting(act)


def test_a_result_that_cannot_be_told_is_told_later(caplog: pytest.LogCaptureFixture) -> None:
    """The handler's answer goes out, the log says what is missing, and it is tried again."""

    async def act(relay: GateDouble, guard: Guard, world: World) -> None:
        await approved(relay, guard)

        async def go_down() -> int:
            relay.down = True
            return 1

        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, go_down)
        assert [] == relay.results
        relay.down = False
        await until(lambda: bool(world.naps))
        world.wake()
        await until(lambda: len(relay.results) == 1)

    with caplog.at_level(logging.ERROR, "quorumkey.protection"):
        acting(act)

    (record,) = caplog.records
    assert "The result ok of" in record.message


def test_an_explicit_result_that_cannot_be_told_raises() -> None:
    """`complete` says that the relay does not know the result, with every id needed to find it."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        run = await claimed(relay, guard)
        relay.down = True
        with pytest.raises(ResultNotReportedError) as missing:
            await run.claim.complete()

        assert (run.txid, run.claim.claim_id, "ok") == (
            missing.value.txid,
            missing.value.claim_id,
            missing.value.result,
        )

    acting(act)


def test_a_result_that_is_refused_is_not_tried_again() -> None:
    """Where the relay already calls it indeterminate, the service is told and nothing repeats."""

    async def act(relay: GateDouble, guard: Guard, world: World) -> None:
        run = await claimed(relay, guard)
        relay.script(settle_path(run), failure(409, "request_completed"))
        with pytest.raises(ResultNotReportedError, match="request_completed"):
            await run.claim.complete()

        assert 1 == relay.count(settle_path(run))
        assert [] == world.naps

    acting(act)


@pytest.mark.parametrize("late", [False, True], ids=["refused", "too-late"])
def test_telling_later_ends(late: bool, caplog: pytest.LogCaptureFixture) -> None:  # noqa: FBT001 - a parameter of the test
    """A result is tried again until the relay refuses it, or would no longer take it."""

    async def act(relay: GateDouble, guard: Guard, world: World) -> None:
        run = await claimed(relay, guard)
        relay.down = True
        async with run.claim:
            pass
        relay.down = late
        relay.script(settle_path(run), failure(409, "request_completed"))
        await until(lambda: bool(world.naps))
        before = relay.count(settle_path(run))
        world.time += 3_600 if late else 0
        world.wake()
        await until(lambda: relay.count(settle_path(run)) == before + 1)
        await asyncio.sleep(0)
        world.wake()
        await asyncio.sleep(0)

        assert before + 1 == relay.count(settle_path(run))

    with caplog.at_level(logging.ERROR, "quorumkey.protection"):
        acting(act)

    assert ["was refused" in record.message for record in caplog.records] == (
        [False] if late else [False, True]
    )


def test_a_service_that_stops_says_what_it_could_not_tell(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that is on its way when the guard is left gets a little time, then a log line."""
    monkeypatch.setattr(_reports, "_CLOSING_SECONDS", 0)

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        run = await claimed(relay, guard)
        relay.silent = True
        report = asyncio.create_task(run.claim.complete())
        await until(lambda: relay.count(settle_path(run)) == 1)
        report.cancel()
        await asyncio.gather(report, return_exceptions=True)

    with caplog.at_level(logging.ERROR, "quorumkey.protection"):
        acting(act)

    (record,) = caplog.records
    assert "the service was stopped" in record.message


# ---------------------------------------------------------------- lost answers


def losing(relay: GateDouble) -> Callable[[httpx2.Request], httpx2.Response]:
    """The relay does what it is asked, and its answer is lost."""

    def lose(request: httpx2.Request) -> httpx2.Response:
        relay.respond(request)
        raise httpx2.ReadError("gone")

    return lose


def test_a_lost_claim_is_asked_for_again_at_once() -> None:
    """The question is repeated under its claim key, so the claim that was taken is found."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        relay.script(CHECK, losing(relay))

        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, one)

        first, second = [body["claim_key"] for body in relay.bodies(CHECK)][1:]
        assert first == second
        assert [(txid, "ok")] == relay.results

    acting(act)


def test_a_claim_that_stayed_lost_is_found_by_the_next_call() -> None:
    """The identical call, issued later, asks under the same claim key and runs; others do not."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        relay.script(CHECK, *[losing(relay)] * 3)
        with pytest.raises(ProtectionUnavailable):
            await guard.run("KillProcess", ALICE, REQUEST, one)

        other = await guard.check("KillProcess", Caller("person", "bob"), REQUEST)
        assert isinstance(other, Wait)
        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, one)

        assert [(txid, "ok")] == relay.results

    acting(act)


def test_a_lost_key_serves_one_attempt() -> None:
    """Of two identical calls after a lost answer one gets the claim; the other waits anew."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        await approved(relay, guard)
        relay.script(CHECK, *[losing(relay)] * 3)
        with pytest.raises(ProtectionUnavailable):
            await guard.check("KillProcess", ALICE, REQUEST)

        verdicts = await asyncio.gather(
            *(guard.check("KillProcess", ALICE, REQUEST) for _ in range(2))
        )

        assert [Run, Wait] == sorted(map(type, verdicts), key=str)

    acting(act)


def test_a_lost_key_is_forgotten_in_time() -> None:
    """After ten minutes a lost key is not asked with any more."""

    async def act(relay: GateDouble, guard: Guard, world: World) -> None:
        relay.script(CHECK, *[httpx2.ReadError("gone")] * 3)
        with pytest.raises(ProtectionUnavailable):
            await guard.check("KillProcess", ALICE, REQUEST)
        world.time += 601

        await guard.check("KillProcess", ALICE, REQUEST)

        first, *_, last = (body["claim_key"] for body in relay.bodies(CHECK))
        assert first != last

    acting(act)


def test_a_call_that_is_cancelled_while_it_claims_loses_nothing() -> None:
    """A client that goes away at the wrong moment leaves a claim that its next try finds."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        task: asyncio.Task[int] | None = None

        def go_away(request: httpx2.Request) -> httpx2.Response:
            assert task is not None
            task.cancel()
            return relay.respond(request)

        relay.script(CHECK, go_away)
        task = asyncio.create_task(guard.run("KillProcess", ALICE, REQUEST, one))
        with pytest.raises(asyncio.CancelledError):
            await task

        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, one)
        assert [(txid, "ok")] == relay.results

    acting(act)


def test_every_attempt_has_a_key_of_its_own() -> None:
    """Parallel calls never share a claim key, so no two of them are given one claim."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        await approved(relay, guard)

        verdicts = await asyncio.gather(
            *(guard.check("KillProcess", ALICE, REQUEST) for _ in range(16))
        )

        keys = [body["claim_key"] for body in relay.bodies(CHECK)]
        assert len(keys) == len(set(map(str, keys)))
        assert 1 == sum(isinstance(verdict, Run) for verdict in verdicts)

    acting(act)


# ---------------------------------------------------------------- a relay that lies


async def lied(relay: GateDouble, guard: Guard) -> ReceiptRefused:
    """The approved call is issued again, does not run, and is recorded as failed."""

    async def never() -> None:
        raise AssertionError

    with pytest.raises(ReceiptRefused) as refused:
        await guard.run("KillProcess", ALICE, REQUEST, never)
    await until(lambda: len(relay.results) == 1)
    assert ["error"] == [told for _txid, told in relay.results]
    return refused.value


def test_an_approval_that_nobody_signed_does_not_run() -> None:
    """A relay that makes up an approval is found out before anything runs."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        verdict = await guard.check("KillProcess", ALICE, REQUEST)
        assert isinstance(verdict, Wait)
        relay.gated[verdict.txid].state = "approved"

        assert "quorum_not_met" == (await lied(relay, guard)).reason

    acting(act)


def test_a_receipt_that_is_none_does_not_run() -> None:
    """Some other document of the relay's in place of the receipt is refused."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        await approved(relay, guard)
        relay.receipt_of = lambda gated: gated.envelope

        assert "malformed" == (await lied(relay, guard)).reason

    acting(act)


def test_a_device_that_is_not_pinned_does_not_count() -> None:
    """An approval by a device that the relay calls bob's, and the service does not, is refused."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        relay.phones["bob"] = Phone("bob")
        await approved(relay, guard)

        await lied(relay, guard)

    acting(act)


def test_the_approval_of_another_call_does_not_run() -> None:
    """A true receipt of one call is no approval of another request, caller or method."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        other = await guard.check("KillProcess", ALICE, {"pid": 2, "tag": "x"})
        assert isinstance(other, Wait)
        relay.approve(other.txid, "bob")
        await approved(relay, guard)
        relay.receipt_of = lambda _gated: relay.receipt(relay.gated[other.txid])

        assert "action_mismatch" == (await lied(relay, guard)).reason

    acting(act)


def test_another_relays_signature_does_not_count() -> None:
    """A receipt by a key that is not pinned is refused."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        await approved(relay, guard)
        relay.key = PrivateKey.generate()

        assert "untrusted_relay" == (await lied(relay, guard)).reason

    acting(act)


def test_the_caller_alone_is_not_enough() -> None:
    """The requester's own signature approves nothing."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        await approved(relay, guard, ALICE, "alice")

        await lied(relay, guard)

    acting(act)


def test_an_api_key_needs_two_others() -> None:
    """A caller who is no administrator is not counted: one signature is not enough, two are."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard, ROBOT, "bob")
        with pytest.raises(ReceiptRefused):
            await guard.run("KillProcess", ROBOT, REQUEST, one)
        await until(lambda: len(relay.results) == 1)

        second = await approved(relay, guard, ROBOT, "bob", "carol")
        assert 1 == await guard.run("KillProcess", ROBOT, REQUEST, one)

        assert [(txid, "error"), (second, "ok")] == relay.results

    acting(act)


@pytest.mark.parametrize("trusting", [False, True], ids=["verifying", "trusting"])
def test_no_approval_runs_twice_in_one_process(trusting: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A relay that gives one approval out again, with a true receipt, is not obeyed."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        assert 1 == await guard.run("KillProcess", ALICE, REQUEST, one)
        relay.gated[txid].state = "approved"

        with pytest.raises(ProtectionUnavailable, match="has run here already"):
            await guard.run("KillProcess", ALICE, REQUEST, one)

    acting(act, trusting=trusting)


def test_a_claim_on_another_call_does_not_run() -> None:
    """Claim, transaction and receipt have to be of one txid."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)
        gated = relay.gated[txid]
        honest = relay.receipt(gated)
        relay.receipt_of = lambda _gated: honest
        gated.document = replace(gated.document, request_id=relay.uuid())
        with pytest.raises(ProtectionUnavailable, match="on another call"):
            await guard.run("KillProcess", ALICE, REQUEST, one)

    acting(act)


def test_a_trusting_guard_looks_at_no_signature() -> None:
    """With UnsafeTrustRelay the relay's word is enough, as its name says."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        verdict = await guard.check("KillProcess", ALICE, REQUEST)
        assert isinstance(verdict, Wait)
        relay.gated[verdict.txid].state = "approved"

        again = await guard.check("KillProcess", ALICE, REQUEST)

        assert isinstance(again, Run)
        assert again.approval is None

    acting(act, trusting=True)


def test_a_retired_relay_key_is_followed() -> None:
    """After the relay changed its key properly, receipts by the new one are taken."""
    # The double's info has no successions: an unknown key is asked about, and stays unknown.

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        await approved(relay, guard)
        relay.key = PrivateKey.generate()
        await lied(relay, guard)

        assert 1 == relay.count("GET /v1/info")

    acting(act)


# ---------------------------------------------------------------- refused questions


def test_a_call_that_nobody_could_approve_is_said_so() -> None:
    """Where too few administrators are left, the caller is told that instead of a txid."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        relay.script(CHECK, failure(409, "failed_precondition"))
        with pytest.raises(NobodyCanApproveError):
            await guard.check("KillProcess", ALICE, REQUEST)

    acting(act)


def test_a_request_that_the_relay_refuses_is_the_callers_fault() -> None:
    """A 400 of the relay is told as a refused request."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        relay.script(CHECK, failure(400, "invalid_request"))
        with pytest.raises(RequestRefused, match="does not take this call"):
            await guard.check("KillProcess", ALICE, REQUEST)

    acting(act)


def test_transactions_can_be_looked_at() -> None:
    """A service can show its callers how their calls stand."""

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        txid = await approved(relay, guard)

        assert TransactionState.APPROVED is (await guard.transaction(txid)).state
        assert [txid] == [each.txid async for each in guard.transactions()]

    acting(act)


# ---------------------------------------------------------------- the decorator


def test_a_decorated_function_is_the_protected_method() -> None:
    """The request is made of the function's own arguments, and only where it may have to wait."""
    looked: list[int] = []
    callers: list[int] = []

    async def act(relay: GateDouble, guard: Guard, _: World) -> None:
        def caller(who: str, pid: int) -> Caller:
            callers.append(pid)
            return Caller("person", who)

        def request(who: str, pid: int) -> JsonValue:
            looked.append(pid)
            return {"pid": pid, "for": who}

        @guard.protected("KillProcess", caller=caller, request=request)
        async def kill(who: str, pid: int) -> str:
            return f"{who} killed {pid}"

        @guard.protected("RenameHost", caller=caller, request=request)
        async def rename(who: str, pid: int) -> str:
            return f"{who} renamed {pid}"

        assert "alice renamed 7" == await rename("alice", 7)
        assert ([7], []) == (callers, looked)
        with pytest.raises(ApprovalRequired) as waiting:
            await kill("alice", 1)
        relay.approve(waiting.value.txid, "carol")

        assert "alice killed 1" == await kill("alice", 1)
        assert "kill" == kill.__name__

    acting(act)
