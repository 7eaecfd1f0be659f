"""Denials of what is approved already: at the same time as others, and by passkeys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.council import Council
from tests.relay.simulator import SimPasskey, Simulator, granted, refused, simulator

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.protection.views import RunView, WaitView

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from quorumkey.protocol import DecisionValue, Envelope
    from quorumkey_relay.usecases.views import DecisionView

pytestmark = pytest.mark.anyio


async def _after(turns: int, call: Awaitable[object]) -> object:
    """What a call answers that begins so many turns of the event loop later."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await call


@pytest.mark.parametrize("turns", range(-4, 5))
async def test_b08_a_denial_or_a_claim_not_both(tmp_path: Path, turns: int) -> None:
    """Whichever comes first: the call runs, or it waits anew and the denial stands."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.approve(txid, "bob")
        called, denied = await asyncio.gather(
            _after(max(0, turns), council.check()),
            _after(max(0, -turns), council.vote("carol", txid, "deny")),
        )
        state = await council.state(txid)

        if isinstance(called, RunView):
            assert isinstance(denied, Refusal)
            assert ("request_completed", "claimed") == (denied.code, state)
        else:
            assert isinstance(called, WaitView)
            assert not isinstance(denied, Refusal)
            assert (True, "rejected") == (called.transaction.txid != txid, state)


async def test_b08_of_several_denials_one_counts(tmp_path: Path) -> None:
    """The others come too late; one event tells of it."""
    people = ("bob", "carol", "dora", "eve")
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", *people)
        txid = await council.wait()
        await council.approve(txid, "bob")
        denials = [council.vote(person, txid, "deny") for person in ("alice", *people[1:])]
        answers = await asyncio.gather(*denials)
        ends = [one for one in await council.story(txid) if not one.startswith(("req", "app"))]

        assert (["request_completed"] * 3, 1) == (
            [one.code for one in answers if isinstance(one, Refusal)],
            len(ends),
        )


async def _passkey(council: Council, person: str) -> SimPasskey:
    """A passkey that takes the place of a person's phone."""
    device = SimPasskey(person)
    await council.admit(device)
    council.devices[person] = device
    return device


async def _signed(sim: Simulator, txid: str, device: SimPasskey, said: DecisionValue) -> Envelope:
    stored = await sim.store.load(txid)
    assert stored is not None
    return device.decision(stored.terms.digest, said, at=sim.clock.now())


async def test_b05_a_passkey_takes_an_approval_back(tmp_path: Path) -> None:
    """Its counter moves on with it; the same signature sent again is answered again."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        device = await _passkey(council, "alice")
        txid = await council.wait()
        await council.approve(txid, "bob")
        envelope = await _signed(sim, txid, device, "deny")
        told: list[DecisionView] = [
            await granted(sim.use.decide(request_id=txid, envelope=envelope)) for _ in range(2)
        ]
        known = sim.store.directory.device(device.fingerprint)

        assert known is not None
        assert (["cancelled"] * 2, device.counter) == (
            [one.status for one in told],
            known.sign_count,
        )


async def test_b05_a_copy_of_a_passkey_takes_nothing_back(tmp_path: Path) -> None:
    """Its counter did not move on."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        device = await _passkey(council, "alice")
        txid = await council.wait()
        await council.approve(txid, "bob")
        device.counter = 0
        device.step = 0
        known = sim.store.directory.device(device.fingerprint)
        assert known is not None
        answer = await refused(council.vote("alice", txid, "deny"))

        assert (True, "invalid_signature", "approved") == (
            known.sign_count > 0,
            answer.code,
            await council.state(txid),
        )
