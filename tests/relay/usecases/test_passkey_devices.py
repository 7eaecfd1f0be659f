"""Devices that sign through WebAuthn: their form, their counter, their level."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    ACME,
    SimDevice,
    SimPasskey,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey.protocol import PasskeyPolicy
from quorumkey.receipts import verify_receipt

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.simulator import Asked

pytestmark = pytest.mark.anyio


def count(sim: Simulator, device: SimDevice) -> int:
    """A device's stored counter."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known.sign_count


async def passkey(
    sim: Simulator, person: str = "alice", *, counter: int = 0, step: int = 1
) -> SimPasskey:
    """A passkey that is paired for a person."""
    device = SimPasskey(person, counter=counter, step=step)
    await sim.admit(device)
    return device


async def test_a_passkey_enrols_and_approves(sim: Simulator) -> None:
    """Its level is ``passkey``, and its approval counts."""
    alice = SimPasskey("alice")
    enrolled = await sim.admit(alice)
    request = await sim.ask([alice])

    await sim.approve(request, alice)

    assert ("passkey", "approved") == (
        enrolled.view.assurance,
        (await sim.read(request)).status,
    )


async def test_a_passkeys_approval_is_in_the_receipt(sim: Simulator) -> None:
    """The receipt carries the assertion, and verifies for who names the relying party."""
    alice = await passkey(sim)
    request = await sim.ask([alice], nonce="AA" * 21 + "A=")
    await sim.approve(request, alice)

    proof = verify_receipt(
        await sim.receipt(request),
        relay_public_keys=[sim.relay.keys.current(sim.clock.now()).public_key],
        integrator_id=ACME.id,
        nonce="AA" * 21 + "A=",
        now=sim.clock.now(),
        action={"type": "cold_boot", "description": "Cold boot engine ENG-001", "params": {}},
        required=1,
        groups=[
            {
                "name": "Group 1",
                "approvers": [
                    {
                        "fingerprint": alice.fingerprint,
                        "device_public_key": alice.key.public_key.base64,
                    }
                ],
            }
        ],
        webauthn=PasskeyPolicy("127.0.0.1", frozenset({"http://127.0.0.1:8080"})),
    )

    assert ("Group 1",) == proof.groups_satisfied


async def test_a_decision_survives_a_restart_with_its_assertion(tmp_path: Path) -> None:
    """Authenticator data and client data are kept as they were signed."""
    async with simulator(tmp_path) as sim:
        alice, bob = await passkey(sim), await sim.device("bob")
        request = await sim.ask([alice], [bob], required=2)
        envelope = alice.decision(request.digest, "approve", at=sim.clock.now())
        await granted(sim.use.decide(request_id=request.id, envelope=envelope))
    async with simulator(tmp_path) as sim:
        found = await sim.store.evidence(request.id)

    assert [envelope] == [one.envelope for one in found]


# Form


async def test_a_passkey_is_never_accepted_natively(sim: Simulator) -> None:
    """A key that enrolled with WebAuthn signs with it always: decisions, sessions, enrolments."""
    alice = await passkey(sim)
    native = SimDevice("alice", key=alice.key)
    request = await sim.ask([alice])

    refusals = [
        await refused(sim.decide(native, request)),
        await refused(sim.use.open_session(envelope=await sim.session(native))),
        await refused(sim.enroll(await sim.enrollment(native, await sim.code("alice")))),
    ]

    assert ["invalid_signature"] * 3 == [one.code for one in refusals]


async def test_a_native_key_is_never_accepted_as_a_passkey(sim: Simulator) -> None:
    """Nor the other way round."""
    alice = await sim.device("alice")
    disguised = SimPasskey("alice", key=alice.key)
    request = await sim.ask([alice])

    refusals = [
        await refused(sim.decide(disguised, request)),
        await refused(sim.use.open_session(envelope=await sim.session(disguised))),
        await refused(sim.enroll(await sim.enrollment(disguised, await sim.code("alice")))),
    ]

    assert ["invalid_signature"] * 3 == [one.code for one in refusals]


async def test_the_form_is_remembered_when_the_device_leaves(sim: Simulator) -> None:
    """A key that comes back comes back in its form."""
    alice = await passkey(sim)
    await sim.unpair(alice)
    native = SimDevice("alice", key=alice.key)

    refusal = await refused(sim.enroll(await sim.enrollment(native, await sim.code("alice"))))

    assert "invalid_signature" == refusal.code


async def test_a_passkey_of_another_page_is_refused(sim: Simulator) -> None:
    """The origin is one of the relay's own configuration."""
    alice = await passkey(sim)
    alice.origin = "https://phishing.example"
    request = await sim.ask([alice])

    assert "invalid_signature" == (await refused(sim.decide(alice, request))).code


async def test_configured_origins_count(tmp_path: Path) -> None:
    """Pages of the configured origins may sign, and no others."""
    async with simulator(tmp_path, webauthn_origins=("http://127.0.0.1:9999",)) as sim:
        alice = SimPasskey("alice", origin="http://127.0.0.1:9999")
        enrolled = await sim.admit(alice)
        bob = SimPasskey("bob")
        refusal = await refused(sim.enroll(await sim.enrollment(bob, await sim.code("bob"))))

    assert (True, "invalid_signature") == (enrolled.first, refusal.code)


# Counter


async def test_the_counter_is_kept_with_every_signature(sim: Simulator) -> None:
    """Enrolment, session and decision each store the counter that they came with."""
    alice = await passkey(sim, counter=10)
    counts = [count(sim, alice)]
    await sim.token(alice)
    counts.append(count(sim, alice))
    request = await sim.ask([alice])
    await sim.approve(request, alice)
    counts.append(count(sim, alice))

    assert [11, 12, 13] == counts


async def test_the_counter_survives_a_restart(tmp_path: Path) -> None:
    """A copy is found out after a restart too."""
    async with simulator(tmp_path) as sim:
        alice = await passkey(sim, counter=10)
        await sim.token(alice)
    async with simulator(tmp_path) as sim:
        copy = replace(alice, counter=11)
        refusal = await refused(sim.use.open_session(envelope=await sim.session(copy)))

    assert "invalid_signature" == refusal.code


async def asked(sim: Simulator, device: SimDevice) -> Asked:
    """A request that names a device."""
    return await sim.ask([device])


async def test_a_counter_that_did_not_move_is_refused(sim: Simulator) -> None:
    """The same counter again, or a smaller one, is a copy's, whatever it signs."""
    alice = await passkey(sim, counter=10)
    request = await sim.ask([alice])

    for behind in (11, 5):
        copy = replace(alice, counter=behind - 1)
        refusals = [await refused(sim.decide(copy, request))]
        copy.counter = behind - 1
        refusals.append(await refused(sim.use.open_session(envelope=await sim.session(copy))))
        copy.counter = behind - 1
        refusals.append(
            await refused(sim.enroll(await sim.enrollment(copy, await sim.code("alice"))))
        )

        assert ["invalid_signature"] * 3 == [one.code for one in refusals]


async def test_a_passkey_without_a_counter(sim: Simulator) -> None:
    """Where both counters are 0 the authenticator does not count, and nothing is compared."""
    alice = await passkey(sim, counter=0, step=0)
    requests = [await asked(sim, alice) for _ in range(2)]

    for request in requests:
        await sim.approve(request, alice)

    assert 0 == count(sim, alice)


async def test_a_counter_does_not_fall_to_zero(sim: Simulator) -> None:
    """Once it has counted, 0 is a copy's."""
    alice = await passkey(sim, counter=10)
    copy = replace(alice, counter=0, step=0)

    assert "invalid_signature" == (await refused(sim.decide(copy, await asked(sim, alice)))).code


async def test_deciding_again_is_answered_whatever_the_counter(sim: Simulator) -> None:
    """Having decided is looked at before the counter, so a lost answer can be asked for again."""
    alice = await passkey(sim, counter=10)
    request = await sim.ask([alice])
    envelope = alice.decision(request.digest, "approve", at=sim.clock.now())

    answers = [
        await granted(sim.use.decide(request_id=request.id, envelope=envelope)) for _ in range(2)
    ]

    assert answers[0] == answers[1]


async def test_a_wrong_code_keeps_the_counter_too(sim: Simulator) -> None:
    """What is refused and counted was signed, so its counter is used up."""
    alice = await passkey(sim, counter=10)
    request = await sim.ask([alice], match_code="4711")

    await refused(sim.decide(alice, request, code="0000"))

    assert alice.counter == count(sim, alice) == 12


async def test_one_counter_at_the_same_instant(sim: Simulator) -> None:
    """Two decisions with one counter, for two requests: the first is counted."""
    alice = await passkey(sim, counter=10)
    first, second = await asked(sim, alice), await asked(sim, alice)
    copy = replace(alice)

    await sim.approve(first, alice)
    refusal = await refused(sim.decide(copy, second))

    assert ("invalid_signature", "pending") == (refusal.code, (await sim.read(second)).status)
