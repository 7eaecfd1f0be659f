"""Nonces: good once, for five minutes, and so many at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import SimDevice, Simulator, granted, refused, shown, simulator

from quorumkey.protocol import NoPushAddress, b64decode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_nonce_comes_with_the_relays_key(sim: Simulator) -> None:
    """32 bytes, five minutes, fingerprint and public key."""
    view = await granted(sim.use.issue_nonce())

    key = sim.relay.keys.current(sim.clock.now()).public_key
    assert 32 == len(b64decode(view.nonce, field="nonce"))
    assert {
        "nonce": view.nonce,
        "expires_at": "2027-01-15T08:05:00Z",
        "relay": key.fingerprint,
        "relay_public_key": key.base64,
    } == shown(view)


async def test_a_nonce_is_good_for_five_minutes(sim: Simulator) -> None:
    """In the last second it is, in the second of ``expires_at`` it is not."""
    alice = await sim.device("alice")
    first, second = await sim.session(alice), await sim.session(alice)
    sim.clock.advance(299)
    await granted(sim.use.open_session(envelope=first))
    sim.clock.advance(1)

    assert "nonce_expired" == (await refused(sim.use.open_session(envelope=second))).code


async def test_a_nonce_is_good_once(sim: Simulator) -> None:
    """After a success it is spent, for every kind of envelope."""
    alice = await sim.device("alice")
    nonce = await sim.nonce()
    await granted(sim.use.open_session(envelope=await sim.session(alice, nonce=nonce)))

    refusals = [
        await refused(sim.use.open_session(envelope=await sim.session(alice, nonce=nonce))),
        await refused(
            sim.use.set_push(envelope=await sim.push(alice, NoPushAddress(), nonce=nonce))
        ),
        await refused(
            sim.enroll(await sim.enrollment(alice, await sim.code("alice"), nonce=nonce))
        ),
    ]

    assert ["nonce_expired"] * 3 == [refusal.code for refusal in refusals]


@pytest.mark.parametrize("broken", ["signature", "relay", "standing"])
async def test_a_nonce_is_spent_whatever_the_outcome(sim: Simulator, broken: str) -> None:
    """A first presentation that fails spends it too."""
    alice, nonce = await sim.device("alice"), await sim.nonce()
    bad = await sim.session(alice, nonce=nonce)
    good = bad
    if broken == "signature":
        bad = replace(bad, signature=alice.key.sign(b"something else"))
    elif broken == "relay":
        bad = await sim.session(alice, nonce=nonce, relay="ab" * 32)
    else:
        bad = await sim.session(SimDevice("mallory"), nonce=nonce)

    codes = [
        (await refused(sim.use.open_session(envelope=envelope))).code for envelope in (bad, good)
    ]

    assert "nonce_expired" == codes[1] != codes[0]


async def test_nonces_are_bounded(tmp_path: Path) -> None:
    """Beyond the bound the relay asks to try later; spending or expiring one makes room."""
    async with simulator(tmp_path, max_nonces=2) as sim:
        alice = await sim.device("alice")
        envelope = await sim.session(alice)
        await sim.nonce()
        full = await refused(sim.use.issue_nonce())
        await granted(sim.use.open_session(envelope=envelope))
        await sim.nonce()
        full_again = await refused(sim.use.issue_nonce())
        sim.clock.advance(300)

        nonces = [await sim.nonce() for _ in range(2)]

    assert [("store_unavailable", 5)] * 2 == [
        (one.code, one.retry_after) for one in (full, full_again)
    ]
    assert 2 == len(set(nonces))


async def test_nonces_end_with_the_process(tmp_path: Path) -> None:
    """After a restart every nonce is unknown."""
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        envelope = await sim.session(alice)
    async with simulator(tmp_path) as sim:
        assert "nonce_expired" == (await refused(sim.use.open_session(envelope=envelope))).code
