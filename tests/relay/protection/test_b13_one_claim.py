"""B13: a claim is atomic and precedes the handler; N parallel calls, one execution."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME, KEY, workshop
from tests.relay.simulator import ManualClock, granted, refused

from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import AppendEvent, TakeClaim
from quorumkey_relay.usecases.protection.views import RunView, WaitView

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

PARALLEL = 32


async def test_b13_parallel_calls_one_claim(shop: Workshop) -> None:
    """Of 32 calls at once one runs; all others wait for one new transaction."""
    txid = await shop.approved("bob")
    verdicts = await asyncio.gather(*(granted(shop.check()) for _ in range(PARALLEL)))
    runs = [verdict for verdict in verdicts if isinstance(verdict, RunView)]
    waits = [verdict for verdict in verdicts if isinstance(verdict, WaitView)]

    assert [run.claim.txid for run in runs] == [txid]
    assert len(waits) == PARALLEL - 1
    (other,) = {wait.transaction.txid for wait in waits}
    assert other != txid
    assert (await shop.audit()).count("claimed") == 1


async def test_b12_parallel_first_calls_one_request(shop: Workshop) -> None:
    """Of 32 first calls at once all get the txid of one request."""
    views = await asyncio.gather(*(shop.waits() for _ in range(PARALLEL)))

    assert len({view.txid for view in views}) == 1
    assert await shop.audit() == ["requested"]


async def test_b13_lost_answer_gets_the_same_claim(shop: Workshop) -> None:
    """The same claim key asks for an answer that was lost: the same claim, never a second."""
    await shop.approved("bob")
    body = shop.body()
    first = await shop.runs(body)
    again = await shop.runs(body)

    assert again.claim == first.claim
    assert bytes(again.receipt) == bytes(first.receipt)
    assert (await shop.audit()).count("claimed") == 1


async def test_b13_parallel_calls_of_one_key_are_one_claim(shop: Workshop) -> None:
    """A client that sends its call twice at once is told of one claim, twice."""
    await shop.approved("bob")
    body = shop.body()
    one, other = await asyncio.gather(shop.runs(body), shop.runs(body))

    assert one.claim == other.claim
    assert (await shop.audit()).count("claimed") == 1


async def test_b13_lost_answer_across_a_restart(tmp_path: Path) -> None:
    """The relay goes down after the claim: the same key finds it again afterwards."""
    clock = ManualClock()
    async with workshop(tmp_path, clock) as shop:
        await shop.approved("bob")
        body = shop.body()
        first = await shop.runs(body)
    async with workshop(tmp_path, clock) as shop:
        assert (await shop.runs(body)).claim == first.claim


async def test_b13_key_is_worth_nothing_to_another_call(shop: Workshop) -> None:
    """A claim's key opens no door for another caller's, or another, call."""
    await shop.approved("bob")
    run = shop.body()
    await shop.runs(run)

    assert (await shop.waits(shop.body(caller=KEY, key=run.claim_key))).state == "requested"
    assert (await shop.waits(shop.body(request={"tag": "x"}, key=run.claim_key))).votes == []


async def test_b13_key_of_a_settled_claim_runs_nothing(shop: Workshop) -> None:
    """Once the result is known, the same key does not run the call a second time."""
    await shop.approved("bob")
    body = shop.body()
    run = await shop.runs(body)
    await shop.settle(run.claim)

    assert (await shop.waits(body)).txid != run.claim.txid


async def test_b13_claim_is_durable_before_it_is_told(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told to run while the claim is still on its way to the disk."""
    await shop.approved("bob")
    written = asyncio.Event()
    commit = shop.sim.store.commit

    def held(writes: Commit) -> Awaitable[None]:
        done = commit(writes)

        async def later() -> None:
            await written.wait()
            await done

        return later() if isinstance(writes[0], TakeClaim) else done

    monkeypatch.setattr(shop.sim.store, "commit", held)
    running = asyncio.ensure_future(shop.runs())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    written.set()

    assert (await running).claim.executor == "reissue"


async def test_b13_claim_and_its_event_are_one_commit(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is claimed is audited in the same commit."""
    await shop.approved("bob")
    commits: list[Commit] = []
    commit = shop.sim.store.commit

    def noted(writes: Commit) -> Awaitable[None]:
        commits.append(writes)
        return commit(writes)

    monkeypatch.setattr(shop.sim.store, "commit", noted)
    await shop.runs()

    ((claim, event),) = commits
    assert isinstance(claim, TakeClaim)
    assert isinstance(event, AppendEvent)


async def test_b13_conflict_is_decided_again(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else claimed in between: the store refuses the second, which then waits anew."""
    txid = await shop.approved("bob")
    commit = shop.sim.store.commit
    refusals = iter([True])

    def contested(writes: Commit) -> Awaitable[None]:
        if isinstance(writes[0], TakeClaim) and next(refusals, False):
            raise Conflict(txid)
        return commit(writes)

    monkeypatch.setattr(shop.sim.store, "commit", contested)

    assert (await shop.runs()).claim.txid == txid


async def test_b13_claim_of_an_ordinary_approval(shop: Workshop) -> None:
    """Who acts on an approval by itself claims it in the same table: once, by the first key."""
    bob = shop.devices["bob"]
    asked = await shop.sim.ask([bob])
    claim = shop.sim.use.protection.claim_request

    def take(key: str) -> Awaitable[object]:
        return claim(integrator_id=ACME.id, request_id=asked.id, claim_key=key)

    early = await refused(take("first-key-of-it-all"))
    await shop.sim.approve(asked, bob)
    first = await granted(take("first-key-of-it-all"))
    again = await granted(take("first-key-of-it-all"))
    other = await refused(take("another-key-of-it"))

    assert early.code == "not_completed"
    assert first == again
    assert (other.code, other.details) == ("request_completed", {"status": "claimed"})


async def test_b13_ordinary_claims_are_taken_once_of_many(shop: Workshop) -> None:
    """Of 32 claims at once on an ordinary approval one is granted."""
    bob = shop.devices["bob"]
    asked = await shop.sim.ask([bob])
    await shop.sim.approve(asked, bob)
    claim = shop.sim.use.protection.claim_request
    answers = await asyncio.gather(
        *(
            claim(integrator_id=ACME.id, request_id=asked.id, claim_key=f"key-number-{number:06d}")
            for number in range(PARALLEL)
        )
    )

    assert sum(hasattr(answer, "claim_id") for answer in answers) == 1


async def test_b13_what_cannot_be_claimed_by_id(shop: Workshop) -> None:
    """Denied and lapsed approvals, those of protected methods, and others' are not claimed."""
    bob = shop.devices["bob"]
    denied, late = await shop.sim.ask([bob]), await shop.sim.ask([bob])
    await shop.sim.deny(denied, bob)
    await shop.sim.approve(late, bob)
    method = await shop.approved("bob")
    shop.sim.clock.advance(300 + 900 + 1)
    claim = shop.sim.use.protection.claim_request
    codes = [
        (await refused(claim(integrator_id=ACME.id, request_id=one, claim_key="k" * 16))).code
        for one in (denied.id, late.id, method, "0190a000-0000-7000-8000-00000000dead", "nothing")
    ]

    assert codes == [
        "request_completed",
        "request_completed",
        "failed_precondition",
        "not_found",
        "not_found",
    ]


@pytest.mark.parametrize("key", ["short", "k" * 256, "sixteen characters\n", "ключ-ключ-ключ-ключ"])
async def test_b13_keys_have_a_form(shop: Workshop, key: str) -> None:
    """A claim key is 16 to 255 printable ASCII characters, also where nothing is claimed."""
    refusal = await shop.why_not(shop.body("ListRules", key=key))

    assert refusal.code == "invalid_request"
    assert "claim_key" in refusal.message
