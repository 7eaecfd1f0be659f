"""Enrolment as §4 says: pairings, previews, nonces, the order of refusal and what is stored."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, error_of, ok, refused
from tests.e2e.protocol_crypto import Json, Key, b64, epoch, unb64, unb64url, verify
from tests.e2e.protocol_pictogram import pictogram, speakable
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
CROCKFORD = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def new(world: World) -> Device:
    """A device that has not enrolled."""
    return Device(world.relay, Key())


def code(world: World, person: str = "someone", **members: object) -> str:
    """A fresh pairing code."""
    return str(world.acme.pairing(person, **members)["pairing_code"])


def preview(world: World, text: object) -> Json:
    """What a device is told about a code."""
    return ok(world.relay.post("/v1/device/pairing", {"pairing_code": text}))


def test_challenge_has_the_members_of_the_page(world: World) -> None:
    """A challenge is 32 fresh bytes for five minutes, with the relay's key."""
    first, second = world.relay.challenge(), world.relay.challenge()

    assert first.keys() == {"nonce", "expires_at", "relay", "relay_public_key"}
    assert len(unb64(first["nonce"])) == 32
    assert first["nonce"] != second["nonce"]
    assert epoch(first["expires_at"]) == world.relay.now() + 300
    assert first["relay"] == world.relay.info()["relay"]


def test_enrolment_has_the_members_of_the_page(world: World) -> None:
    """The answer shows the device its own fingerprint and pictogram, and who it belongs to."""
    device = new(world)

    answer = ok(device.enrol(code(world)), 201)

    assert answer == {
        "fingerprint": device.fingerprint,
        "pictogram": pictogram(device.fingerprint),
        "pictogram_speakable": speakable(device.fingerprint),
        "integrator": {"id": world.acme.integrator_id, "name": world.acme.name},
        "relay_public_key": world.relay.info()["relay_public_key"],
        "assurance": "none",
    }


def test_pairing_report_shows_the_device_and_its_evidence(world: World) -> None:
    """A pairing says pending, then paired with the device and the very envelope it signed."""
    pairing = world.acme.pairing("alice")
    path = f"/v1/pairings/{pairing['pairing_id']}"
    device = new(world)
    before = ok(world.acme.get(path))
    payload = device.enrollment(pairing["pairing_code"], platform="ios")
    ok(device.send_enrollment(payload), 201)

    after = ok(world.acme.get(path))

    assert before == {"pairing_id": pairing["pairing_id"], "status": "pending"}
    assert after["status"] == "paired"
    assert verify(after["enrollment"], "enrollment", device.key.public) == payload
    assert epoch(after["device"].pop("enrolled_at")) == world.relay.now()
    assert after["device"] == {
        "fingerprint": device.fingerprint,
        "device_public_key": device.key.public,
        "platform": "ios",
        "assurance": "none",
    }


@pytest.mark.parametrize("text", ["0190a000-0000-7000-8000-00000000dead", "x"])
def test_unknown_pairing_is_not_found(world: World, text: str) -> None:
    """A pairing that is not there is 404."""
    assert refused(world.acme.get(f"/v1/pairings/{text}")) == (404, "not_found")


def test_pairing_of_another_integrator_is_not_found(world: World) -> None:
    """Another integrator's pairing is refused like one that does not exist."""
    path = f"/v1/pairings/{world.acme.pairing('alice')['pairing_id']}"
    missing = world.umbrella.get("/v1/pairings/0190a000-0000-7000-8000-00000000dead")

    answer = world.umbrella.get(path)

    assert refused(answer) == refused(missing)
    assert error_of(answer) == error_of(missing)


def test_unknown_nonce_is_refused_before_all_else(world: World) -> None:
    """A nonce the relay never gave is 410 ``nonce_expired``, whatever else is wrong."""
    device = new(world)
    payload = device.enrollment("0000-0000-0000", nonce=b64(bytes(32)), relay="00" * 32)
    envelope = Key().seal("enrollment", payload)

    answer = world.relay.post("/v1/device/enroll", {"envelope": envelope})

    assert refused(answer) == (410, "nonce_expired")


def test_nonce_lives_five_minutes(world: World) -> None:
    """A nonce is good for 300 seconds and then ``nonce_expired``."""
    text = code(world, expires_in_seconds=3600)
    device = new(world)
    young, old = device.enrollment(text), device.enrollment(text)
    world.clock.advance(299)
    ok(device.send_enrollment(young), 201)
    world.clock.advance(1)

    assert refused(device.send_enrollment(old)) == (410, "nonce_expired")


def test_nonce_is_spent_though_refused(world: World) -> None:
    """A nonce is spent at its first presentation, whatever the outcome."""
    device = new(world)
    payload = device.enrollment("0000-0000-0000")
    assert refused(device.send_enrollment(payload)) == (404, "pairing_not_found")

    again = device.send_enrollment(payload | {"pairing_code": code(world)})

    assert refused(again) == (410, "nonce_expired")


def test_relay_is_checked_before_the_signature(world: World) -> None:
    """An enrollment for another relay is ``invalid_request`` even when badly signed."""
    payload = new(world).enrollment(code(world), relay="00" * 32)

    answer = world.relay.post("/v1/device/enroll", {"envelope": Key().seal("enrollment", payload)})

    assert refused(answer) == INVALID


def test_signature_is_checked_before_the_code(world: World) -> None:
    """An enrollment that another key signed is ``invalid_signature`` even with an unknown code."""
    payload = new(world).enrollment("0000-0000-0000")

    answer = world.relay.post("/v1/device/enroll", {"envelope": Key().seal("enrollment", payload)})

    assert refused(answer) == (400, "invalid_signature")


def test_audience_is_a_configured_origin(tmp_path: Path) -> None:
    """A relay with configured origins refuses a statement for any other."""
    with served(tmp_path, origins=("https://relay.test",)) as world:
        text = code(world)
        device = new(world)
        other = device.enrol(text, audience="https://evil.test")
        upper = device.enrol(text, audience="https://RELAY.test")
        port = device.enrol(text, audience="https://relay.test:443")
        slash = device.enrol(text, audience="https://relay.test/")
        right = device.enrol(text, audience="https://relay.test")

        assert {refused(each) for each in (other, upper, port, slash)} == {INVALID}
        assert right.status_code == 201


def test_lost_answer_is_given_again(world: World) -> None:
    """The same key with the code it used and a new nonce gets the first answer with 200."""
    device = new(world)
    text = code(world)
    first = ok(device.enrol(text), 201)

    again = ok(device.enrol(text), 200)

    assert again == first


def test_lost_answer_is_given_within_the_life_of_the_code(world: World) -> None:
    """After the code's life the same key is refused with 410 ``pairing_expired``."""
    device = new(world)
    text = code(world, expires_in_seconds=60)
    ok(device.enrol(text), 201)
    world.clock.advance(60)

    assert refused(device.enrol(text)) == (410, "pairing_expired")


def test_sent_again_after_unpairing_pairs_nothing(world: World) -> None:
    """A code that was used does not pair a device again that has unpaired since."""
    device = new(world)
    text = code(world)
    ok(device.enrol(text), 201)
    assert device.unpair().status_code == 204

    device.enrol(text)

    assert refused(world.acme.ask([device])) == (404, "unknown_device")


def test_one_of_two_enrolments_wins(world: World) -> None:
    """Of simultaneous enrolments with one code one is stored and the others are refused."""
    text = code(world)
    devices = [new(world) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(Device.enrol, devices, [text] * 6))

    assert sorted(answer.status_code for answer in answers) == [201, 410, 410, 410, 410, 410]
    assert {refused(a) for a in answers if a.status_code != 201} == {(410, "pairing_expired")}


def test_key_belongs_to_one_approver(world: World) -> None:
    """A key paired for one approver cannot be paired there for another, and the code lives on."""
    device = world.acme.device("first-owner")
    text = code(world, "second-owner")

    assert refused(device.enrol(text)) == (409, "device_conflict")
    assert ok(new(world).enrol(text), 201)


def test_key_may_belong_to_two_integrators(world: World) -> None:
    """A key may be paired with another integrator, for another approver."""
    device = world.acme.device("here")
    text = world.umbrella.pairing("there")["pairing_code"]

    assert ok(device.enrol(text), 201)["integrator"]["name"] == world.umbrella.name


def test_key_that_unpaired_may_enrol_again(world: World) -> None:
    """An unpaired key enrols again with a new code, even for another approver."""
    device = world.acme.device("left")
    assert device.unpair().status_code == 204

    ok(device.enrol(code(world, "returned")), 201)

    listed = ok(world.acme.get("/v1/devices?approver_id=returned"))["data"]
    assert [one["fingerprint"] for one in listed] == [device.fingerprint]
    assert world.acme.asked([device])["status"] == "pending"


@pytest.mark.parametrize(
    "attestation",
    [
        {"format": "apple-app-attest", "key_id": b64(bytes(32)), "object": b64(b"x")},
        {"format": "android-key", "chain": [b64(b"x"), b64(b"y")]},
        {"format": "webauthn", "attestation_object": "AA", "client_data_json": "AA"},
    ],
)
def test_evidence_that_proves_nothing_is_rejected(world: World, attestation: Json) -> None:
    """Evidence that does not verify is 400 ``attestation_rejected`` and the code lives on."""
    device = new(world)
    text = code(world)

    answer = device.send_enrollment(device.enrollment(text), attestation=attestation)

    assert refused(answer) == (400, "attestation_rejected")
    assert ok(device.send_enrollment(device.enrollment(text), attestation={"format": "none"}), 201)


@pytest.mark.parametrize(
    "attestation", [{"format": "x"}, {}, [], {"format": "none", "chain": []}, {"format": 1}, None]
)
def test_evidence_of_no_known_form_is_invalid(world: World, attestation: object) -> None:
    """An attestation outside the page's forms is ``invalid_request``."""
    device = new(world)

    answer = device.send_enrollment(device.enrollment(code(world)), attestation=attestation)

    assert refused(answer) == INVALID


def test_required_attestation_refuses_a_device_without(tmp_path: Path) -> None:
    """Where attestation is required a device without evidence is 403 and nothing is stored."""
    with served(tmp_path, attestation="required") as world:
        text = code(world)

        answer = new(world).enrol(text)

        assert refused(answer) == (403, "attestation_required")
        assert world.relay.info()["attestation"] == "required"
        assert preview(world, text)
        assert ok(world.acme.get("/v1/devices"))["data"] == []


def test_binding_stands_in_the_reported_enrollment(world: World) -> None:
    """The binding reaches the integrator under the device's signature; the relay asks for none."""
    secret = unb64url("A" * 42 + "E")
    pairing = world.acme.pairing("bound")
    ok(new(world).enrol(pairing["pairing_code"], secret=secret), 201)
    pin = world.relay.info()["relay"]

    assert world.acme.confirm(pairing, secret=secret, pin=pin)
    assert not world.acme.confirm(pairing, secret=secrets.token_bytes(32), pin=pin)
