"""Devices that prove at enrolment where their key lives, and those that fail to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
from tests.relay import attested
from tests.relay.simulator import (
    ACME,
    START,
    UMBRELLA,
    SimDevice,
    SimPasskey,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import Enrollment
from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.testing import apple
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.principals import Attestation
from quorumkey_relay.usecases.commands import AttestationBody, PairingCodeBody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from quorumkey.protocol import Envelope
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.settings import Floor
    from quorumkey_relay.usecases.enrol import Enrolled

    Evidence = Callable[[SimDevice, str], AttestationBody]

pytestmark = pytest.mark.anyio

PHONES: dict[str, tuple[type[SimDevice], Evidence, str]] = {
    "iphone": (SimDevice, attested.from_iphone, "secure_enclave"),
    "strongbox": (SimDevice, attested.from_android, "strongbox"),
    "tee": (
        SimDevice,
        lambda device, nonce: attested.from_android(device, nonce, level=SecurityLevel.TEE),
        "tee",
    ),
    "security key": (SimPasskey, attested.from_browser, "passkey_device_bound"),
    "passkey": (
        SimPasskey,
        lambda device, nonce: attested.from_browser(device, nonce, attested=False),
        "passkey",
    ),
}


@pytest.fixture
async def trusting(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Simulator, None]:
    """A relay that judges evidence of the test PKI where it is sent."""
    del anyio_backend
    async with simulator(tmp_path / "trusting", **attested.trusting(tmp_path)) as started:
        yield started


async def enrol(
    sim: Simulator, device: SimDevice, evidence: Evidence, integrator: Integrator = ACME
) -> Enrolled | Refusal:
    """Enrol a device with evidence for the enrollment's own nonce."""
    nonce = await sim.nonce()
    envelope = await sim.enrollment(device, await sim.code(device.person, integrator), nonce=nonce)
    return await sim.enroll(envelope, attestation=evidence(device, nonce))


async def prove(
    sim: Simulator, device: SimDevice, evidence: Evidence, integrator: Integrator = ACME
) -> str:
    """Enrol a device and return its level."""
    enrolled = await enrol(sim, device, evidence, integrator)
    assert not isinstance(enrolled, Refusal), enrolled
    return enrolled.view.assurance


def nonce_of(envelope: Envelope) -> str:
    """The nonce that an enrollment names."""
    return Enrollment.decode(envelope.payload).nonce


# What is proved


@pytest.mark.parametrize(("kind", "evidence", "level"), PHONES.values(), ids=PHONES)
async def test_each_phone_reaches_its_level(
    trusting: Simulator, kind: type[SimDevice], evidence: Evidence, level: str
) -> None:
    """The level is answered, stored, shown to the integrator and told in the event."""
    device = kind("alice")

    answered = await prove(trusting, device, evidence)

    known = trusting.store.directory.device(device.fingerprint)
    assert known is not None
    read = await granted(
        trusting.use.read_device(integrator_id=ACME.id, fingerprint=device.fingerprint)
    )
    (event,) = await trusting.events()
    assert [level] * 4 == [answered, known.assurance, read.assurance, event["assurance"]]


async def test_what_was_proved_is_stored(trusting: Simulator) -> None:
    """Format, level, evidence, time and certificates are kept for whoever looks later."""
    device = SimDevice("alice")
    nonce = await trusting.nonce()
    body = attested.from_android(device, nonce)
    envelope = await trusting.enrollment(device, await trusting.code("alice"), nonce=nonce)

    await granted(trusting.enroll(envelope, attestation=body))

    found = await trusting.store.attestation(device.fingerprint)
    assert found is not None
    assert (
        Attestation(
            device=device.fingerprint,
            format="android-key",
            assurance="strongbox",
            judged_at=START,
            evidence=msgspec.json.encode(body),
            serials=found.serials,
            quirks=(),
        )
        == found
    )
    assert [(found.serials[1], device.fingerprint)] == await trusting.store.attested_by(
        [found.serials[1]], limit=10
    )


async def test_the_integrator_is_given_the_evidence(trusting: Simulator) -> None:
    """What the relay judged can be judged again by who does not believe it."""
    device = SimDevice("alice")
    made = await trusting.pairing("alice")
    envelope = await trusting.enrollment(device, made["pairing_code"])
    body = attested.from_iphone(device, nonce_of(envelope))
    await granted(trusting.enroll(envelope, attestation=body))

    view = await granted(
        trusting.use.read_pairing(integrator_id=ACME.id, pairing_id=made["pairing_id"])
    )

    assert msgspec.to_builtins(body) == shown(view)["attestation"]


async def test_an_app_attest_key_is_bound_with_its_receipt(trusting: Simulator) -> None:
    """Key, app, environment, counter and receipt are kept for the next time it is asked."""
    device = SimDevice("alice")
    await prove(trusting, device, attested.from_iphone)
    key_id = apple.Attestation(client_data_hash=bytes(32)).key_id

    key = trusting.store.directory.app_attest_key(key_id)

    assert key is not None
    assert (device.fingerprint, apple.APP_ID, "production", 0, 65) == (
        key.device,
        key.app_id,
        key.environment,
        key.counter,
        len(key.public_key),
    )
    assert await trusting.store.app_attest_receipt(key_id)


# What is refused


def _another_app(device: SimDevice, nonce: str) -> AttestationBody:
    return attested.from_android(device, nonce, package="com.example.game")


def _another_key(device: SimDevice, nonce: str) -> AttestationBody:
    return attested.from_android(SimDevice(device.person), nonce)


def _vouching_for_another(device: SimDevice, nonce: str) -> AttestationBody:
    return attested.from_iphone(SimDevice(device.person), nonce)


def _another_nonce(device: SimDevice, nonce: str) -> AttestationBody:
    del nonce
    return attested.from_android(device, "A" * 43 + "=")


def _another_team(device: SimDevice, nonce: str) -> AttestationBody:
    return attested.from_iphone(device, nonce, app_id="AAAAAAAAAA.com.example.game")


def _an_old_receipt(device: SimDevice, nonce: str) -> AttestationBody:
    return attested.from_iphone(device, nonce, at=START - 600)


def _another_page(device: SimDevice, nonce: str) -> AttestationBody:
    return attested.from_browser(device, nonce, origin="https://evil.example")


BAD: dict[str, tuple[Evidence, str]] = {
    "another app": (_another_app, "app_id_mismatch"),
    "another team's app": (_another_team, "app_id_mismatch"),
    "another key": (_another_key, "key_mismatch"),
    "vouching for another key": (_vouching_for_another, "nonce_mismatch"),
    "another nonce": (_another_nonce, "challenge_mismatch"),
    "an old receipt": (_an_old_receipt, "timestamp"),
    "another page": (_another_page, "origin"),
}


@pytest.mark.parametrize(("evidence", "reason"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("setting", ["preferred", "required"])
async def test_bad_evidence_spends_nothing(
    tmp_path: Path, setting: Literal["preferred", "required"], evidence: Evidence, reason: str
) -> None:
    """It is 400 with its reason wherever evidence is judged, and the code lives on."""
    settings = attested.trusting(tmp_path)
    settings["attestation"] = setting
    async with simulator(tmp_path, **settings) as sim:
        device = SimDevice("alice")
        code = await sim.code("alice")
        envelope = await sim.enrollment(device, code)

        refusal = await refused(
            sim.enroll(envelope, attestation=evidence(device, nonce_of(envelope)))
        )

        assert ("attestation_rejected", reason) == (
            refusal.code,
            (refusal.details or {})["reason"],
        )
        assert None is sim.store.directory.device(device.fingerprint)
        assert (
            ACME.id
            == (await granted(sim.use.preview_pairing(body=PairingCodeBody(code)))).integrator.id
        )


async def test_a_refusal_says_what_to_do_and_repeats_nothing(trusting: Simulator) -> None:
    """The sentence is for people; neither key nor nonce stands in it."""
    device = SimDevice("alice")

    refusal = await refused(enrol(trusting, device, _another_app))

    assert refusal.message.endswith(".")
    assert device.fingerprint not in repr(refusal)
    assert attested.PACKAGE not in repr(refusal)


async def test_a_key_that_vouches_for_another_device_is_refused(trusting: Simulator) -> None:
    """One genuine phone does not stand behind the keys of two devices."""
    await prove(trusting, SimDevice("alice"), attested.from_iphone)
    second = SimDevice("mallory")

    refusal = await refused(enrol(trusting, second, attested.from_iphone))

    assert ("attestation_rejected", "key_mismatch") == (
        refusal.code,
        (refusal.details or {})["reason"],
    )
    assert None is trusting.store.directory.device(second.fingerprint)


async def test_of_two_devices_at_once_a_key_vouches_for_one(trusting: Simulator) -> None:
    """Enrolments under way at the same time do not share an App Attest key either."""
    devices = [SimDevice("alice"), SimDevice("mallory")]

    answers = await asyncio.gather(
        *(enrol(trusting, device, attested.from_iphone) for device in devices)
    )

    assert ["Enrolled", "Refusal"] == sorted(type(answer).__name__ for answer in answers)


async def test_the_same_phone_may_vouch_again(trusting: Simulator) -> None:
    """A device that pairs with a second integrator may show the same App Attest key."""
    device = SimDevice("alice")
    await prove(trusting, device, attested.from_iphone)

    assert "secure_enclave" == await prove(trusting, device, attested.from_iphone, UMBRELLA)


@pytest.mark.parametrize(
    ("entries", "at", "reason"),
    [({}, START - 172_801, "revocation_stale"), ({"1": "SUSPENDED"}, START, "revoked")],
    ids=["stale list", "listed certificate"],
)
async def test_the_revocation_list_counts(
    tmp_path: Path, entries: dict[str, str], at: int, reason: str
) -> None:
    """A certificate on the list refuses, and so does a list that is too old."""
    settings = attested.trusting(tmp_path)
    attested.revocation_file(tmp_path, entries, at=at)
    async with simulator(tmp_path, **settings) as sim:
        refusal = await refused(enrol(sim, SimDevice("alice"), attested.from_android))

    assert reason == (refusal.details or {})["reason"]


async def test_a_list_that_cannot_be_read_fails_closed(tmp_path: Path) -> None:
    """Without any list Android evidence is refused, and other evidence is not."""
    settings = attested.trusting(tmp_path)
    (tmp_path / "status.json").unlink()
    async with simulator(tmp_path, **settings) as sim:
        refusal = await refused(enrol(sim, SimDevice("alice"), attested.from_android))
        level = await prove(sim, SimDevice("bob"), attested.from_iphone)

    assert ("revocation_stale", "secure_enclave") == ((refusal.details or {})["reason"], level)


async def test_a_newer_list_is_taken(trusting: Simulator, tmp_path: Path) -> None:
    """The list is read again while the relay serves; the calls see the newest."""
    await prove(trusting, SimDevice("alice"), attested.from_android)
    attested.revocation_file(tmp_path, {"1": "REVOKED"})
    revocation = trusting.relay.verifier.revocation
    assert revocation is not None

    await revocation.refresh()

    refusal = await refused(enrol(trusting, SimDevice("bob"), attested.from_android))
    assert "revoked" == (refusal.details or {})["reason"]


async def test_a_list_that_breaks_leaves_the_last_good_one(
    trusting: Simulator, tmp_path: Path
) -> None:
    """A file that is no list revokes nothing, so it does not take the place of one that does."""
    revocation = trusting.relay.verifier.revocation
    assert revocation is not None
    before = revocation.current
    (tmp_path / "status.json").write_bytes(b"<html>")

    await revocation.refresh()

    assert before is revocation.current


async def test_roots_of_tests_do_not_count_unless_named(tmp_path: Path) -> None:
    """The same evidence is worth nothing to a relay without the unsafe setting."""
    settings = attested.trusting(tmp_path)
    del settings["unsafe_test_root"]
    async with simulator(tmp_path, **settings) as sim:
        refusals = [
            await refused(enrol(sim, SimDevice("alice"), evidence))
            for evidence in (attested.from_iphone, attested.from_android)
        ]
        level = await prove(sim, SimPasskey("bob"), attested.from_browser)

    assert ["untrusted_root"] * 2 == [(one.details or {})["reason"] for one in refusals]
    assert "passkey" == level


# Off, preferred, required


async def test_off_keeps_evidence_and_judges_none(tmp_path: Path) -> None:
    """Where attestation is off evidence proves nothing; the integrator still gets it."""
    settings = attested.trusting(tmp_path)
    settings["attestation"] = "off"
    async with simulator(tmp_path, **settings) as sim:
        device = SimDevice("alice")
        made = await sim.pairing("alice")
        envelope = await sim.enrollment(device, made["pairing_code"])
        body = _another_app(device, nonce_of(envelope))
        enrolled = await granted(sim.enroll(envelope, attestation=body))
        view = await granted(
            sim.use.read_pairing(integrator_id=ACME.id, pairing_id=made["pairing_id"])
        )
        proved = await sim.store.attestation(device.fingerprint)

    assert ("none", msgspec.to_builtins(body), None) == (
        enrolled.view.assurance,
        shown(view)["attestation"],
        proved,
    )


async def test_off_refuses_what_cannot_be_evidence(sim: Simulator) -> None:
    """What is no certificate, object or registration is not kept as if it were."""
    refusal = await refused(
        enrol(
            sim, SimDevice("alice"), lambda _d, _n: AttestationBody("android-key", chain=["AA=="])
        )
    )

    assert "attestation_rejected" == refusal.code


@pytest.mark.parametrize(
    ("floor", "phone", "code"),
    [
        ("tee", "passkey", "attestation_required"),
        ("tee", "tee", None),
        ("tee", "security key", None),
        ("passkey", "passkey", None),
        ("secure_enclave", "tee", "attestation_required"),
        ("secure_enclave", "strongbox", None),
        ("strongbox", "iphone", None),
    ],
)
async def test_required_has_a_floor(
    tmp_path: Path, floor: Floor, phone: str, code: str | None
) -> None:
    """A level of the floor's rank enrols; below it the device is 403 and nothing is stored."""
    settings = attested.trusting(tmp_path)
    settings |= {"attestation": "required", "attestation_floor": floor}
    kind, evidence, level = PHONES[phone]
    async with simulator(tmp_path, **settings) as sim:
        device = kind("alice")
        answer = await enrol(sim, device, evidence)
        known = sim.store.directory.device(device.fingerprint)

    if code is None:
        assert known is not None
        assert level == known.assurance
    else:
        assert isinstance(answer, Refusal)
        assert (code, {"assurance": level, "floor": floor}, None) == (
            answer.code,
            answer.details,
            known,
        )


async def test_a_level_once_proved_admits_again(tmp_path: Path) -> None:
    """A key that can be attested once only pairs with a second integrator without evidence."""
    settings = attested.trusting(tmp_path)
    settings["attestation"] = "required"
    async with simulator(tmp_path, **settings) as sim:
        device = SimDevice("alice")
        await prove(sim, device, attested.from_android)
        enrolled = await sim.admit(device, UMBRELLA)

    assert "strongbox" == enrolled.view.assurance


async def test_no_evidence_leaves_a_level_as_it_is(trusting: Simulator) -> None:
    """Only verified evidence changes what was proved."""
    device = SimDevice("alice")
    await prove(trusting, device, attested.from_android)

    enrolled = await trusting.admit(device, UMBRELLA)

    assert "strongbox" == enrolled.view.assurance
    assert await trusting.store.attestation(device.fingerprint)


async def test_newer_evidence_changes_a_level(trusting: Simulator) -> None:
    """What was verified last is the level, also where it is lower."""
    device = SimDevice("alice")
    await prove(trusting, device, attested.from_iphone)

    level = await prove(trusting, device, PHONES["tee"][1], UMBRELLA)

    assert "tee" == level


async def test_a_level_that_changes_is_told_where_the_device_is_paired_already(
    trusting: Simulator,
) -> None:
    """Its approvals that rested on the level are taken back, as by new evidence later."""
    alice, bob = SimDevice("alice"), SimDevice("bob")
    await prove(trusting, alice, attested.from_iphone)
    await prove(trusting, bob, attested.from_android)
    asked = await trusting.ask([alice], [bob], required=2, min_assurance="secure_enclave")
    await granted(trusting.decide(alice, asked))

    await prove(trusting, alice, PHONES["tee"][1], UMBRELLA)

    *_, told = await trusting.events()
    (first,) = await trusting.events(UMBRELLA)
    request = await trusting.read(asked)
    assert ("device.assurance_changed", alice.fingerprint, "tee", "reattested") == (
        told["type"],
        told["fingerprint"],
        told["assurance"],
        told["reason"],
    )
    assert "device.enrolled" == first["type"]
    assert [] == request.groups_satisfied


@pytest.mark.parametrize(
    ("kind", "evidence", "level"),
    [
        pytest.param(SimDevice, attested.from_android, "strongbox", id="a phone"),
        pytest.param(SimPasskey, attested.from_browser, "passkey_device_bound", id="a passkey"),
    ],
)
async def test_evidence_that_nobody_signed_changes_no_level(
    trusting: Simulator, kind: type[SimDevice], evidence: Evidence, level: str
) -> None:
    """It takes no proved level away, and what was proved stays on record."""
    device = kind("alice")
    await prove(trusting, device, evidence)
    proved = await trusting.store.attestation(device.fingerprint)

    again = await prove(trusting, device, PHONES["passkey"][1], UMBRELLA)

    assert level == again
    assert proved == await trusting.store.attestation(device.fingerprint)


async def test_evidence_that_nobody_signed_makes_no_passkey(trusting: Simulator) -> None:
    """A known key that does not sign as a passkey stays without a level."""
    device = SimDevice("alice")
    await trusting.admit(device)

    assert "none" == await prove(trusting, device, PHONES["passkey"][1], UMBRELLA)


async def test_what_was_proved_survives_a_restart(tmp_path: Path) -> None:
    """Level, evidence and App Attest key are there when the relay starts again."""
    settings = attested.trusting(tmp_path)
    device = SimDevice("alice")
    async with simulator(tmp_path, **settings) as sim:
        await prove(sim, device, attested.from_iphone)
    async with simulator(tmp_path, **settings) as sim:
        proved = await sim.store.attestation(device.fingerprint)
        known = sim.store.directory.device(device.fingerprint)
        refusal = await refused(enrol(sim, SimDevice("mallory"), attested.from_iphone))

    assert proved is not None
    assert known is not None
    assert ("secure_enclave", "secure_enclave", "attestation_rejected") == (
        proved.assurance,
        known.assurance,
        refusal.code,
    )


# A request's floor


async def test_a_request_s_floor_admits_its_rank(trusting: Simulator) -> None:
    """A strongbox key passes the floor ``secure_enclave``; a tee key does not and is named."""
    strong, weak = SimDevice("alice"), SimDevice("bob")
    await prove(trusting, strong, attested.from_android)
    await prove(trusting, weak, PHONES["tee"][1])

    asked = await trusting.ask([strong], min_assurance="secure_enclave")
    refusal = await trusting.ask_refused([strong], [weak], min_assurance="secure_enclave")

    assert "pending" == asked.answer["status"]
    assert ("insufficient_assurance", {"fingerprints": [weak.fingerprint]}) == (
        refusal.code,
        refusal.details,
    )


async def test_a_device_that_fell_below_the_floor_cannot_approve(trusting: Simulator) -> None:
    """The level that counts is the one that the device has when it decides."""
    alice = SimDevice("alice")
    await prove(trusting, alice, attested.from_iphone)
    asked = await trusting.ask([alice], min_assurance="secure_enclave")
    await prove(trusting, alice, PHONES["tee"][1], UMBRELLA)

    refusal = await refused(trusting.decide(alice, asked))

    assert "insufficient_assurance" == refusal.code


# What the relay says of it


async def test_each_device_under_an_unsafe_root_is_told(
    trusting: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """A level that anybody could have is a warning in the log each time it is given."""
    await prove(trusting, SimDevice("alice"), attested.from_android)
    await prove(trusting, SimDevice("bob"), attested.from_iphone)

    said = capsys.readouterr().out.splitlines()
    warnings = [line for line in said if "device_attested_under_unsafe_test_root" in line]
    assert 2 == len(warnings)
    assert all("warning" in line for line in warnings)


async def test_an_unsafe_root_is_told(trusting: Simulator, sim: Simulator) -> None:
    """``/v1/info`` says that evidence of tests counts, and only then."""
    trusts, does_not = [shown(await one.use.info()) for one in (trusting, sim)]

    assert (True, False) == (trusts["unsafe_test_root"], "unsafe_test_root" in does_not)
