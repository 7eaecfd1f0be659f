"""B14: an approval is consumed whatever becomes of its call, and what became of it is recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import pytest
from msgspec import UNSET
from tests.relay.protection.workshop import ACME, workshop
from tests.relay.simulator import UMBRELLA, ManualClock, granted, refused, shown

from quorumkey.protocol import Execution, Kind, parse_envelope, verify_signature
from quorumkey_relay.usecases.protection.commands import ResultBody

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.usecases.protection.views import ClaimView

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "ab" * 32
HOUR = 3_600


def signed(shop: Workshop, claim: ClaimView) -> Execution:
    """The execution document of a claim, its signature verified."""
    envelope = parse_envelope(json.loads(bytes(claim.execution)))  # type: ignore[arg-type]  # it is there
    verify_signature(envelope, kind=Kind.EXECUTION, key=shop.sim.relay.keys.current(0).public_key)
    return Execution.decode(envelope.payload)


@pytest.mark.parametrize(
    ("result", "state", "event"),
    [("ok", "executed", "executed"), ("error", "failed", "failed")],
    ids=["ok", "error"],
)
async def test_b14_result_is_recorded_and_signed(
    shop: Workshop, result: Literal["ok", "error"], state: str, event: str
) -> None:
    """A result becomes the transaction's state, an event, and a document the relay signs."""
    txid = await shop.approved("bob")
    run = await shop.runs()
    shop.sim.clock.advance(5)
    claim = await granted(shop.settle(run.claim, ResultBody(result, DIGEST)))
    execution = signed(shop, claim)
    stored = await shop.sim.store.load(txid)

    assert stored is not None
    assert execution.request_digest == stored.terms.digest
    assert (execution.claim_id, execution.result) == (run.claim.claim_id, result)
    assert execution.completed_at == execution.claimed_at + 5
    assert execution.result_digest == DIGEST
    assert (await shop.read(txid)).state == state
    assert await shop.audit(txid) == ["requested", "approved", "claimed", event]


async def test_b14_failed_call_does_not_give_its_approval_back(shop: Workshop) -> None:
    """A handler that failed needs a new approval to be tried again."""
    txid = await shop.approved("bob")
    await shop.settle((await shop.runs()).claim, ResultBody("error"))

    assert (await shop.waits()).txid != txid


async def test_b14_no_result_is_indeterminate_by_the_clock(shop: Workshop) -> None:
    """Of a claim whose service died nobody knows what became; it never runs again."""
    txid = await shop.approved("bob")
    body = shop.body()
    run = await shop.runs(body)
    shop.sim.clock.advance(HOUR - 1)
    before = (await shop.read(txid)).state
    shop.sim.clock.advance(1)
    view = await shop.read(txid)
    read = await granted(
        shop.sim.use.protection.read_claim(integrator_id=ACME.id, claim_id=run.claim.claim_id)
    )

    assert (before, view.state, read.result) == ("claimed", "indeterminate", "indeterminate")
    assert (await shop.waits(body)).txid != txid


async def test_b14_late_result_is_refused(shop: Workshop) -> None:
    """What has been told to be indeterminate stays so, swept or not."""
    await shop.approved("bob")
    run = await shop.runs()
    shop.sim.clock.advance(HOUR)
    by_the_clock = await refused(shop.settle(run.claim))
    await shop.sim.relay.protection.sweeper.sweep()
    swept = await refused(shop.settle(run.claim))

    assert by_the_clock == swept
    assert (swept.code, swept.details) == ("request_completed", {"status": "indeterminate"})


async def test_b14_sweeper_writes_indeterminate_down(shop: Workshop) -> None:
    """When the time for a result is over, an event and a signed document say so, once."""
    txid = await shop.approved("bob")
    run = await shop.runs()
    sweep = shop.sim.relay.protection.sweeper.sweep
    assert await sweep() == 0
    shop.sim.clock.advance(HOUR)

    assert [await sweep(), await sweep()] == [1, 0]
    claim = await granted(
        shop.sim.use.protection.read_claim(integrator_id=ACME.id, claim_id=run.claim.claim_id)
    )
    assert signed(shop, claim).result == "indeterminate"
    assert (await shop.audit(txid))[-2:] == ["claimed", "indeterminate"]


async def test_b14_sweeper_finds_what_a_restart_left_behind(tmp_path: Path) -> None:
    """Claims and approvals from before a restart are written down after it."""
    clock = ManualClock()
    async with workshop(tmp_path, clock) as shop:
        claimed = await shop.approved("bob")
        await shop.runs()
        lapsed = await shop.approved("bob", body=shop.body(request={"tag": "other"}))
    clock.advance(2 * 86_400)
    async with workshop(tmp_path, clock) as shop:
        await shop.sim.relay.protection.sweeper.sweep()

        assert (await shop.audit(claimed))[-1] == "indeterminate"
        assert (await shop.audit(lapsed))[-1] == "lapsed"


async def test_b14_same_result_again_is_the_same_answer(shop: Workshop) -> None:
    """An answer to a result that was lost is given again; another result is refused."""
    await shop.approved("bob")
    run = await shop.runs()
    first = await granted(shop.settle(run.claim, ResultBody("ok", DIGEST)))
    shop.sim.clock.advance(2 * HOUR)
    again = await granted(shop.settle(run.claim, ResultBody("ok", DIGEST)))
    others = [
        await refused(shop.settle(run.claim, ResultBody("ok"))),
        await refused(shop.settle(run.claim, ResultBody("error", DIGEST))),
    ]

    assert shown(again) == shown(first)
    assert [other.code for other in others] == ["request_completed"] * 2


async def test_b14_claims_are_their_integrators_own(shop: Workshop) -> None:
    """Nobody else reads or settles a claim."""
    await shop.approved("bob")
    claim_id = (await shop.runs()).claim.claim_id
    use = shop.sim.use.protection
    for other, named in ((UMBRELLA.id, claim_id), (ACME.id, "no-id"), (ACME.id, claim_id[::-1])):
        read = await refused(use.read_claim(integrator_id=other, claim_id=named))
        settled = await refused(
            use.settle(integrator_id=other, claim_id=named, body=ResultBody("ok"))
        )
        assert {read.code, settled.code} == {"not_found"}


async def test_b14_digest_of_a_result_has_a_form(shop: Workshop) -> None:
    """What is no digest is refused."""
    await shop.approved("bob")
    run = await shop.runs()

    assert (await refused(shop.settle(run.claim, ResultBody("ok", "sha256:x")))).code == (
        "invalid_request"
    )


async def test_b14_clock_set_back_still_makes_a_document(shop: Workshop) -> None:
    """A relay whose clock was set back completes a call no earlier than it was claimed."""
    await shop.approved("bob")
    run = await shop.runs()
    shop.sim.clock.advance(-60)
    execution = signed(shop, await granted(shop.settle(run.claim)))

    assert execution.completed_at == execution.claimed_at


async def test_b14_ordinary_claim_is_settled_too(shop: Workshop) -> None:
    """The result of an ordinary approval is signed as well; it is no event of a method."""
    bob = shop.devices["bob"]
    asked = await shop.sim.ask([bob])
    await shop.sim.approve(asked, bob)
    claim = await granted(
        shop.sim.use.protection.claim_request(
            integrator_id=ACME.id, request_id=asked.id, claim_key="k" * 16
        )
    )
    settled = await granted(shop.settle(claim))

    assert (settled.result, settled.executor) == ("ok", "integrator")
    assert signed(shop, settled).request_digest == asked.digest
    assert await shop.audit() == []
    assert settled.result_digest is UNSET
