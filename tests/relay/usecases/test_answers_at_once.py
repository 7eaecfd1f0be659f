"""Many devices answer one request at the same instant."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Literal

import pytest
from tests.relay.simulator import Simulator, granted

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.usecases.views import DecisionView

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.relay.simulator import Asked, SimDevice

    from quorumkey_relay.store.sqlite import SqliteStore
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

DEVICES = 64


async def crowd(sim: Simulator) -> list[SimDevice]:
    """Sixty-four devices, each of its own person."""
    return [await sim.device(f"person {number}") for number in range(DEVICES)]


async def all_at_once(
    sim: Simulator,
    request: Asked,
    devices: list[SimDevice],
    decisions: list[Literal["approve", "deny"]],
) -> list[DecisionView | Refusal]:
    """Every device's decision, sent in the same turn of the event loop."""
    return await asyncio.gather(
        *(sim.decide(*each) for each in zip(devices, [request] * DEVICES, decisions, strict=True))
    )


@pytest.mark.parametrize("reject_policy", ["any", "quorum_impossible"])
async def test_all_approve(
    sim: Simulator, reject_policy: Literal["any", "quorum_impossible"]
) -> None:
    """Sixty-four approvals in as many groups: each is counted once, and one is the last."""
    devices = await crowd(sim)
    groups = [devices[i : i + 2] for i in range(0, DEVICES, 2)]
    request = await sim.ask(*groups, required=32, reject_policy=reject_policy)

    answers = await all_at_once(sim, request, devices, ["approve"] * DEVICES)

    views = [answer for answer in answers if isinstance(answer, DecisionView)]
    refusals = [answer.code for answer in answers if isinstance(answer, Refusal)]
    evidence = await sim.store.evidence(request.id)
    # The last group is won by its first device, so its second one comes too late.
    assert (63, ["request_completed"]) == (len(views), refusals)
    assert 63 == len({one.device for one in evidence}) == len(evidence)
    assert 1 == sum(view.status == "approved" for view in views)
    assert ["mpa.approved"] == await sim.outcomes()
    assert 32 == len((await sim.read(request)).groups_satisfied)


async def test_all_deny_under_any(sim: Simulator) -> None:
    """With ``any`` one denial ends the request, and the others find it ended."""
    devices = await crowd(sim)
    request = await sim.ask(devices[:40], devices[40:], required=2)

    answers = await all_at_once(sim, request, devices, ["deny"] * DEVICES)

    kinds = Counter(
        answer.code if isinstance(answer, Refusal) else answer.status for answer in answers
    )
    assert {"rejected": 1, "request_completed": 63} == kinds
    assert ["mpa.rejected"] == await sim.outcomes()
    assert 1 == len(await sim.store.evidence(request.id))


async def test_all_deny_under_quorum_impossible(sim: Simulator) -> None:
    """With ``quorum_impossible`` denials count until a group is lost, and no longer."""
    devices = await crowd(sim)
    request = await sim.ask(
        devices[:40], devices[40:], required=2, reject_policy="quorum_impossible"
    )

    answers = await all_at_once(sim, request, devices, ["deny"] * DEVICES)

    kinds = Counter(
        answer.code if isinstance(answer, Refusal) else answer.status for answer in answers
    )
    assert {"pending": 39, "rejected": 1, "request_completed": 24} == kinds
    assert ["mpa.rejected"] == await sim.outcomes()
    assert 40 == len(await sim.store.evidence(request.id))


@pytest.mark.parametrize("reject_policy", ["any", "quorum_impossible"])
async def test_a_mixture(
    sim: Simulator, reject_policy: Literal["any", "quorum_impossible"]
) -> None:
    """Whatever the mixture: what was counted leads to the end, which is announced once."""
    devices = await crowd(sim)
    dice = random.Random(4711)  # noqa: S311 - a test's mixture
    decisions: list[Literal["approve", "deny"]] = [
        "approve" if dice.random() < 0.5 else "deny" for _ in devices
    ]
    groups = [devices[i : i + 4] for i in range(0, DEVICES, 4)]
    request = await sim.ask(*groups, required=16, reject_policy=reject_policy)

    answers = await all_at_once(sim, request, devices, decisions)

    status = (await sim.read(request)).status
    counted = sum(isinstance(answer, DecisionView) for answer in answers)
    assert status in {"approved", "rejected"}
    assert [f"mpa.{status}"] == await sim.outcomes()
    assert counted == len(await sim.store.evidence(request.id))


async def test_one_device_many_times(sim: Simulator) -> None:
    """A device that sends its decision sixty-four times at once is counted once."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)

    answers = await all_at_once(sim, request, [alice] * DEVICES, ["approve"] * DEVICES)

    assert [DecisionView("pending", 1, 2, "approve")] * DEVICES == answers
    assert 1 == len(await sim.store.evidence(request.id))


async def test_one_person_with_two_devices(sim: Simulator) -> None:
    """Two devices of a person that disagree at the same instant: one of them decides."""
    phone, tablet = await sim.device("alice"), await sim.device("alice")
    request = await sim.ask([phone, tablet], reject_policy="quorum_impossible")

    answers = await asyncio.gather(
        sim.decide(phone, request, "deny"), sim.decide(tablet, request, "approve")
    )

    assert DecisionView("rejected", 0, 1, "deny") == answers[0]
    assert isinstance(answers[1], Refusal)
    assert "already_decided" == answers[1].code


async def test_an_end_of_another_kind_at_the_same_instant(sim: Simulator) -> None:
    """Cancelling and approving at once leads to one end, and one event."""
    devices = await crowd(sim)
    request = await sim.ask(*([one] for one in devices[:50]), required=50)
    calls: list[Awaitable[object]] = [sim.decide(one, request) for one in devices[:49]]

    await asyncio.gather(*calls, sim.cancel(request), sim.decide(devices[49], request))

    assert ["mpa.cancelled"] == await sim.outcomes()
    assert 49 == len((await sim.read(request)).groups_satisfied)


async def test_unpairing_at_the_same_instant(sim: Simulator) -> None:
    """A device that leaves while others approve does not carry the request."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    leaving = await sim.unpairing(alice)

    await asyncio.gather(sim.use.unpair(envelope=leaving), sim.decide(bob, request))

    assert ("pending", ["Group 2"]) == (
        (await sim.read(request)).status,
        (await sim.read(request)).groups_satisfied,
    )


# The version compare is the safety net


class Contested:
    """The store's commit, which finds the version moved for the first few ``times``."""

    def __init__(self, store: SqliteStore, times: int) -> None:
        self.commit = store.commit
        self.times = times

    def __call__(self, writes: Commit) -> Awaitable[None]:
        """Commit, or find that somebody was faster."""
        if self.times:
            self.times -= 1
            raise Conflict
        return self.commit(writes)


async def test_a_conflict_is_decided_again(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a request moved since it was loaded, it is loaded and judged again."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    contested = Contested(sim.store, 3)
    monkeypatch.setattr(sim.store, "commit", contested)

    answer = await granted(sim.decide(alice, request))

    assert (0, "approved") == (contested.times, answer.status)


async def test_endless_conflicts_are_an_outage(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deciding again has an end; then the caller is told to try later."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    monkeypatch.setattr(sim.store, "commit", Contested(sim.store, 1_000))

    with pytest.raises(StoreUnavailable):
        await sim.decide(alice, request)

    assert "pending" == (await sim.read(request)).status


async def test_a_cancellation_meets_a_conflict(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelling loads again too."""
    request = await sim.ask([await sim.device("alice")])
    contested = Contested(sim.store, 1)
    monkeypatch.setattr(sim.store, "commit", contested)

    view = await sim.cancel(request)

    assert (0, "cancelled") == (contested.times, view.status)


async def test_a_timeout_meets_a_conflict(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweeper looks again too."""
    request = await sim.ask([await sim.device("alice")])
    contested = Contested(sim.store, 1)
    monkeypatch.setattr(sim.store, "commit", contested)
    sim.clock.advance(300)

    swept = await sim.relay.sweeper.sweep()

    assert (1, 0, ["mpa.timeout"]) == (swept, contested.times, await sim.outcomes())
    assert "timeout" == (await sim.read(request)).status
