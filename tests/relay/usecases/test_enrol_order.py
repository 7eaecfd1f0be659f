"""An enrolment is checked in the protocol's order (section 4.3), and only success spends."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.simulator import (
    ACME,
    AUDIENCE,
    SimDevice,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import (
    Enrollment,
    Kind,
    b64encode,
    pictogram,
    speakable,
)
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutDevice
from quorumkey_relay.usecases.commands import AttestationBody, PairingCodeBody

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

OTHER_RELAY = "ab" * 32

# What can be wrong with an enrolment, in the order in which the protocol looks for it.
FAULTS = {
    "nonce": "nonce_expired",
    "relay": "invalid_request",
    "signature": "invalid_signature",
    "code": "pairing_not_found",
    "revoked": "device_revoked",
    "attestation": "attestation_rejected",
}


@dataclass
class Attempt:
    """A device that enrols with faults."""

    sim: Simulator
    faults: tuple[str, ...]

    async def refusal(self) -> Refusal:
        """Why it is refused."""
        sim, faults = self.sim, self.faults
        alice = await sim.device("alice")
        if "revoked" in faults:
            known = sim.store.directory.device(alice.fingerprint)
            assert known is not None
            await sim.store.commit((PutDevice(replace(known, revoked_at=1)),))
        code = "0000-0000-0000" if "code" in faults else await sim.code("alice")
        envelope = await sim.enrollment(
            alice,
            code,
            nonce=b64encode(bytes(32)) if "nonce" in faults else await sim.nonce(),
            relay=OTHER_RELAY if "relay" in faults else sim.fingerprint,
        )
        if "signature" in faults:
            envelope = replace(envelope, signature=alice.key.sign(b"something else"))
        evidence = (
            AttestationBody("android-key", chain=["AA==", "AA=="])
            if "attestation" in faults
            else None
        )
        return await refused(sim.enroll(envelope, attestation=evidence))


@pytest.mark.parametrize(("fault", "code"), list(FAULTS.items()))
async def test_each_fault_has_its_code(sim: Simulator, fault: str, code: str) -> None:
    """An enrolment with one fault is refused with that fault's code."""
    assert code == (await Attempt(sim, (fault,)).refusal()).code


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(FAULTS, 2)])
async def test_the_first_fault_answers(sim: Simulator, first: str, second: str) -> None:
    """Of two faults the one that the protocol looks for first is answered."""
    assert FAULTS[first] == (await Attempt(sim, (first, second)).refusal()).code


async def test_an_enrolled_device_is_told_who_is_who(sim: Simulator) -> None:
    """Its fingerprint and pictogram, the integrator, the relay's key and its assurance."""
    alice = SimDevice("alice")

    enrolled = await sim.admit(alice)

    assert enrolled.first
    assert {
        "fingerprint": alice.fingerprint,
        "pictogram": list(pictogram(alice.fingerprint)),
        "pictogram_speakable": speakable(alice.fingerprint),
        "integrator": {"id": ACME.id, "name": ACME.name},
        "relay_public_key": sim.relay.keys.current(sim.clock.now()).public_key.base64,
        "assurance": "none",
    } == shown(enrolled.view)


async def test_an_enrolment_is_an_event(sim: Simulator) -> None:
    """The integrator hears of a device that enrolled."""
    alice = await sim.device("alice")

    assert [
        {
            "type": "device.enrolled",
            "fingerprint": alice.fingerprint,
            "approver": {"id": "alice", "name": "Alice"},
            "assurance": "none",
            "timestamp": "2027-01-15T08:00:00Z",
        }
    ] == await sim.events()


async def test_another_type_is_refused(sim: Simulator) -> None:
    """An envelope that is no enrollment does not enrol."""
    refusal = await refused(sim.enroll(await sim.session(SimDevice("alice"))))

    assert "invalid_request" == refusal.code


@pytest.mark.parametrize(
    "members",
    [
        {"pairing_code": "short"},
        {"audience": "http://127.0.0.1:8080/"},
        {"nonce": "AAAA"},
        {"platform": "toaster"},
        {"device_public_key": "AAAA"},
        {"also": 1},
    ],
)
async def test_a_payload_is_read_strictly(sim: Simulator, members: dict[str, Any]) -> None:
    """A payload that breaks a rule is refused, whatever else is right."""
    alice = SimDevice("alice")
    envelope = await sim.enrollment(alice, await sim.code("alice"))
    said = Enrollment.decode(envelope.payload)
    payload = envelope.payload
    for name, value in members.items():
        old = getattr(said, name, None)
        payload = (
            payload.replace(b"{", b'{"also":1,', 1)
            if old is None
            else payload.replace(str(old).encode(), str(value).encode())
        )

    refusal = await refused(sim.enroll(alice.sign(Kind.ENROLLMENT, payload)))

    assert refusal.code in {"invalid_request", "invalid_public_key"}


async def test_the_key_signs_for_itself(sim: Simulator) -> None:
    """``keyid`` is the fingerprint of the payload's own key."""
    alice = SimDevice("alice")
    payload = (await sim.enrollment(alice, await sim.code("alice"))).payload

    refusal = await refused(sim.enroll(SimDevice("mallory").sign(Kind.ENROLLMENT, payload)))

    assert "invalid_signature" == refusal.code


async def test_any_audience_will_do_without_configured_origins(sim: Simulator) -> None:
    """A relay that was told no address cannot know which one was dialled."""
    alice = SimDevice("alice")

    enrolled = await sim.admit(alice, audience="https://relay.example:8443")

    assert alice.fingerprint == enrolled.view.fingerprint


async def test_a_configured_relay_wants_its_own_audience(tmp_path: Path) -> None:
    """With origins configured, an envelope for any other address is refused."""
    origins = ("https://relay.example", AUDIENCE)
    async with simulator(tmp_path, origins=origins) as sim:
        alice = SimDevice("alice")
        envelope = await sim.enrollment(
            alice, await sim.code("alice"), audience="https://other.example"
        )
        refusal = await refused(sim.enroll(envelope))
        enrolled = await sim.admit(alice, audience="https://relay.example")

    assert "invalid_request" == refusal.code
    assert enrolled.first


async def test_failures_spend_the_nonce_and_not_the_code(sim: Simulator) -> None:
    """After a failed enrolment the nonce is gone, and the code still pairs with another."""
    alice, code, nonce = SimDevice("alice"), await sim.code("alice"), await sim.nonce()
    envelope = await sim.enrollment(alice, code, nonce=nonce)
    broken = replace(envelope, signature=alice.key.sign(b"something else"))

    codes = [(await refused(sim.enroll(one))).code for one in (broken, envelope)]
    enrolled = await granted(sim.enroll(await sim.enrollment(alice, code)))

    assert ["invalid_signature", "nonce_expired"] == codes
    assert enrolled.first


async def test_a_code_past_its_time_is_expired(sim: Simulator) -> None:
    """In the second of ``expires_at`` a code pairs nobody."""
    code = await sim.code("alice")
    sim.clock.advance(600)

    refusal = await refused(sim.enroll(await sim.enrollment(SimDevice("alice"), code)))

    assert "pairing_expired" == refusal.code


async def test_a_code_pairs_one_device(sim: Simulator) -> None:
    """Once a device has enrolled, another one finds the code used."""
    code = await sim.code("alice")
    await granted(sim.enroll(await sim.enrollment(SimDevice("alice"), code)))

    refusal = await refused(sim.enroll(await sim.enrollment(SimDevice("alice"), code)))

    assert "pairing_expired" == refusal.code


async def test_of_many_devices_at_once_one_wins(sim: Simulator) -> None:
    """Twenty devices with one code at the same instant: one is paired, nineteen are told."""
    code = await sim.code("alice")
    envelopes = [await sim.enrollment(SimDevice("alice"), code) for _ in range(20)]

    answers = await asyncio.gather(*(sim.enroll(envelope) for envelope in envelopes))

    refusals = [answer.code for answer in answers if isinstance(answer, Refusal)]
    assert ["pairing_expired"] * 19 == refusals
    assert ["device.enrolled"] == [event["type"] for event in await sim.events()]


# Attestation


async def test_format_none_is_accepted(sim: Simulator) -> None:
    """Evidence of the format ``none`` proves nothing, and is kept for the integrator."""
    made = await sim.pairing("alice")
    envelope = await sim.enrollment(SimDevice("alice"), made["pairing_code"])

    await granted(sim.enroll(envelope, attestation=AttestationBody("none")))

    view = await granted(sim.use.read_pairing(integrator_id=ACME.id, pairing_id=made["pairing_id"]))
    assert {"format": "none"} == shown(view)["attestation"]


async def test_format_none_has_no_other_member(sim: Simulator) -> None:
    """Members of another format beside ``none`` are a mistake."""
    envelope = await sim.enrollment(SimDevice("alice"), await sim.code("alice"))

    refusal = await refused(
        sim.enroll(envelope, attestation=AttestationBody("none", key_id="AAAA"))
    )

    assert "invalid_request" == refusal.code


@pytest.mark.parametrize("attestation", [None, AttestationBody("none")])
async def test_required_attestation_is_required(
    tmp_path: Path, attestation: AttestationBody | None
) -> None:
    """Where attestation is required, a device without is refused, and nothing is stored."""
    async with simulator(tmp_path, attestation="required") as sim:
        code = await sim.code("alice")
        alice = SimDevice("alice")
        envelope = await sim.enrollment(alice, code)

        refusal = await refused(sim.enroll(envelope, attestation=attestation))
        pairing = await granted(sim.use.preview_pairing(body=PairingCodeBody(code)))

        assert "attestation_required" == refusal.code
        assert ACME.id == pairing.integrator.id
        assert None is sim.store.directory.device(alice.fingerprint)


async def test_preferred_attestation_may_be_missing(tmp_path: Path) -> None:
    """Where attestation is preferred, a device without it is admitted with level ``none``."""
    async with simulator(tmp_path, attestation="preferred") as sim:
        enrolled = await sim.admit(SimDevice("alice"))

    assert "none" == enrolled.view.assurance
