"""Idempotency keys: the first answer again, for a day."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import ACME, UMBRELLA, SimDevice, Simulator, granted, refused, simulator

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases.commands import PairingBody, PartyBody
from quorumkey_relay.usecases.idempotency import (
    OTHER_BODY,
    STILL_RUNNING,
    Idempotency,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

DAY = 86_400
ALICE = PairingBody(approver=PartyBody(id="alice"))


def claim(key: str = "key", *, path: str = "/v1/requests", body: bytes = b"body") -> Idempotency:
    """A caller's key."""
    return Idempotency(path=path, key=key, body_digest=hashlib.sha256(body).digest())


async def test_the_same_call_gets_the_first_answer(sim: Simulator) -> None:
    """Same key and body: byte for byte the first answer, and no second request."""
    body = sim.body([await sim.device("alice")])

    answers = [await granted(sim.send(body, idempotency=claim())) for _ in range(3)]

    assert 1 == len(set(answers))
    assert 1 == len(list(sim.store.pending()))


async def test_the_answer_is_the_first_one_whatever_happened_since(sim: Simulator) -> None:
    """Once the request has ended, the answer still says what it said at first."""
    alice = await sim.device("alice")
    first = await granted(sim.send(sim.body([alice]), idempotency=claim()))
    for stored in list(sim.store.pending()):
        await sim.use.cancel_request(integrator_id=ACME.id, request_id=stored.terms.request_id)

    assert first == await granted(sim.send(sim.body([alice]), idempotency=claim()))


async def test_a_pairing_is_made_once(sim: Simulator) -> None:
    """Pairings honour keys too: the code of the first answer comes again."""
    answers = [
        await granted(
            sim.use.create_pairing(
                integrator=ACME, body=ALICE, idempotency=claim(path="/v1/pairings")
            )
        )
        for _ in range(2)
    ]

    assert answers[0] == answers[1]


async def test_another_body_is_a_conflict(sim: Simulator) -> None:
    """The same key with another body is refused, and asks nothing."""
    body = sim.body([await sim.device("alice")])
    await granted(sim.send(body, idempotency=claim()))

    refusal = await refused(sim.send(body, idempotency=claim(body=b"other")))

    assert (OTHER_BODY, 1) == (refusal, len(list(sim.store.pending())))


async def test_a_key_is_of_one_path_and_integrator(sim: Simulator) -> None:
    """The same key elsewhere is another key."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)
    body = sim.body([alice])
    await granted(sim.send(body, idempotency=claim()))

    await granted(sim.send(body, idempotency=claim(), integrator=UMBRELLA))
    await granted(
        sim.use.create_pairing(
            integrator=ACME, body=ALICE, idempotency=claim(path="/v1/pairings", body=b"other")
        )
    )

    assert 2 == len(list(sim.store.pending()))


async def test_of_calls_at_the_same_instant_one_runs(sim: Simulator) -> None:
    """While the first call is running, the others are told so."""
    body = sim.body([await sim.device("alice")])

    answers = await asyncio.gather(*(sim.send(body, idempotency=claim()) for _ in range(10)))

    assert [STILL_RUNNING] * 9 == [one for one in answers if isinstance(one, Refusal)]
    assert 1 == len(list(sim.store.pending()))


async def test_a_refused_call_keeps_no_answer(sim: Simulator) -> None:
    """Only success is stored: the same key may try again, with another body too."""
    alice = await sim.device("alice")
    await refused(sim.send(sim.body([alice], required=2), idempotency=claim(body=b"wrong")))

    await granted(sim.send(sim.body([alice]), idempotency=claim(body=b"right")))

    assert 1 == len(list(sim.store.pending()))


async def test_a_call_that_breaks_a_rule_keeps_no_answer(sim: Simulator) -> None:
    """A refusal by the devices' standing is not stored either."""
    alice = SimDevice("alice")
    body = sim.body([alice])

    early = await refused(sim.send(body, idempotency=claim()))
    await sim.admit(alice)
    await granted(sim.send(body, idempotency=claim()))

    assert ("unknown_device", 1) == (early.code, len(list(sim.store.pending())))


async def test_a_call_that_could_not_be_stored_keeps_no_answer(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage the same call runs for the first time."""
    body = sim.body([await sim.device("alice")])
    outage = StoreUnavailable("the disk is gone")

    def gone(writes: Commit) -> Awaitable[None]:
        del writes
        raise outage

    with monkeypatch.context() as patched:
        patched.setattr(sim.store, "commit", gone)
        with pytest.raises(StoreUnavailable):
            await sim.send(body, idempotency=claim())

    await granted(sim.send(body, idempotency=claim()))

    assert 1 == len(list(sim.store.pending()))


async def test_an_answer_is_kept_for_a_day(sim: Simulator) -> None:
    """In the last second of the day it comes again, after it the key is free."""
    body = sim.body([await sim.device("alice")])
    first = await granted(sim.send(body, idempotency=claim()))
    sim.clock.advance(DAY - 1)
    same = await granted(sim.send(body, idempotency=claim()))
    sim.clock.advance(1)

    other = await granted(sim.send(body, idempotency=claim(body=b"other")))

    assert (first, True) == (same, other != first)


async def test_an_answer_survives_a_restart(tmp_path: Path) -> None:
    """A caller that lost its answer to a crash gets it after the restart."""
    async with simulator(tmp_path) as sim:
        body = sim.body([await sim.device("alice")])
        first = await granted(sim.send(body, idempotency=claim()))
    async with simulator(tmp_path) as sim:
        again = await granted(sim.send(body, idempotency=claim()))

    assert first == again


async def test_kept_answers_are_sealed(sim: Simulator) -> None:
    """A pairing code in a kept answer is not readable in the database."""
    made = await granted(
        sim.use.create_pairing(integrator=ACME, body=ALICE, idempotency=claim(path="/v1/pairings"))
    )

    assert made not in sim.on_disk()
    assert b'"pairing_code"' in made
    assert b'"pairing_code"' not in sim.on_disk()


async def test_a_caller_that_gave_up_meets_the_first_answer(sim: Simulator) -> None:
    """A call whose caller went away is still that key's call: trying again makes no second."""
    body = sim.body([await sim.device("alice")])
    other = sqlite3.connect(sim.relay.settings.data_dir / "relay.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # so the commit has to wait
    running = asyncio.ensure_future(sim.send(body, idempotency=claim()))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    early = await sim.send(body, idempotency=claim())
    other.close()
    await sim.store.settled()
    late = await granted(sim.send(body, idempotency=claim()))

    (stored,) = sim.store.pending()
    assert STILL_RUNNING == early
    assert stored.terms.request_id.encode() in late
