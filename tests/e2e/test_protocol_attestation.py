"""Attestation over the sockets: every format, and every way in which evidence is not this one's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.protocol_client import Device, error_of, ok, passkey_rules, refused
from tests.e2e.protocol_crypto import Json, Key, Passkey, unb64
from tests.e2e.protocol_world import START, World, served
from tests.relay.attested import PACKAGE, SIGNER, trusting

from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.testing import apple, webauthn
from quorumkey_attestation.testing.android import android_evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.fromtimestamp(START, UTC)


@dataclass
class Said:
    """What evidence is about: the relay's nonce and the key that enrols."""

    world: World
    nonce: bytes
    key: Key


def iphone(said: Said, app_id: str = apple.APP_ID) -> Json:
    """An iPhone; each key has an App Attest key of its own."""
    return dict(
        apple.apple_evidence(
            said.nonce, said.key.compressed, app_id=app_id, label=said.key.fingerprint, now=NOW
        )
    )


def android(
    said: Said, level: SecurityLevel = SecurityLevel.STRONGBOX, package: str = PACKAGE
) -> Json:
    """An Android phone."""
    public: ec.EllipticCurvePublicKey = said.key.private.public_key()
    return android_evidence(
        said.nonce,
        public,
        package=package,
        signer_digest=bytes.fromhex(SIGNER),
        level=level,
        now=NOW,
    )


def tee(said: Said) -> Json:
    """An Android phone without a chip of its own for keys."""
    return android(said, SecurityLevel.TEE)


def security_key(said: Said) -> Json:
    """A WebAuthn authenticator whose maker vouches for it."""
    rules = passkey_rules(said.world.relay)
    return dict(
        webauthn.webauthn_evidence(
            said.nonce,
            said.key.private,
            rp_id=rules.rp_id,
            origin=rules.origins[0],
            statement=webauthn.packed,
        )
    )


FORMATS: dict[str, tuple[Callable[[Said], Json], str]] = {
    "apple-app-attest": (iphone, "secure_enclave"),
    "android-key in StrongBox": (android, "strongbox"),
    "android-key in the TEE": (tee, "tee"),
    "webauthn": (security_key, "passkey_device_bound"),
}


@pytest.fixture(scope="module")
def required(tmp_path_factory: pytest.TempPathFactory) -> Generator[World, None, None]:
    """A relay that requires attestation and accepts the test PKI's."""
    folder = tmp_path_factory.mktemp("relay")
    settings = trusting(folder, at=START)
    settings["attestation"] = "required"
    with served(folder, **settings) as world:
        yield world


def device_for(world: World, kind: str) -> Device:
    """A device of the form that a format is for."""
    if kind != "webauthn":
        return Device(world.relay, Key())
    rules = passkey_rules(world.relay)
    return Device(world.relay, Passkey(rp_id=rules.rp_id, origin=rules.origins[0]))


def enrol(
    world: World,
    device: Device,
    code: str,
    evidence: Callable[[Said], Json],
    **other: Any,  # noqa: ANN401 - a member of Said
) -> Any:  # noqa: ANN401 - the client's answer
    """Enrol with evidence for this enrolment, unless it is about something ``other``."""
    payload = device.enrollment(code)
    said = Said(world, unb64(payload["nonce"]), device.key)
    for name, value in other.items():
        setattr(said, name, value)
    return device.send_enrollment(payload, attestation=evidence(said))


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_proves_its_level(required: World, kind: str) -> None:
    """The level is answered, told in the list of devices, and the evidence is the integrator's."""
    evidence, level = FORMATS[kind]
    pairing = required.acme.pairing(kind)
    device = device_for(required, kind)

    answer = ok(enrol(required, device, pairing["pairing_code"], evidence), 201)

    state = ok(required.acme.get(f"/v1/pairings/{pairing['pairing_id']}"))
    listed = ok(required.acme.get(f"/v1/devices/{device.key.fingerprint}"))
    assert [level] * 3 == [
        answer["assurance"],
        state["device"]["assurance"],
        listed["assurance"],
    ]
    assert kind.partition(" ")[0] == state["attestation"]["format"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("other", "reasons"),
    [
        ({"nonce": bytes(32)}, {"challenge_mismatch", "nonce_mismatch"}),
        ({"key": Key()}, {"key_mismatch", "nonce_mismatch"}),
    ],
    ids=["another nonce", "another key"],
)
def test_evidence_about_something_else_is_rejected(
    required: World, kind: str, other: dict[str, object], reasons: set[str]
) -> None:
    """It is 400 with a reason for programs; the code is not spent."""
    evidence, _ = FORMATS[kind]
    code = required.acme.pairing(kind)["pairing_code"]
    device = device_for(required, kind)

    answer = enrol(required, device, code, evidence, **other)

    assert (400, "attestation_rejected") == refused(answer)
    assert error_of(answer)["details"]["reason"] in reasons
    assert ok(enrol(required, device, code, evidence), 201)


def another_app(said: Said) -> Json:
    """An app that the relay does not know, signed by the same hand."""
    return android(said, package="com.example.game")


def another_team(said: Said) -> Json:
    """An app of another team."""
    return iphone(said, app_id="AAAAAAAAAA.com.example.approver")


@pytest.mark.parametrize("evidence", [another_app, another_team])
def test_another_app_is_rejected(required: World, evidence: Callable[[Said], Json]) -> None:
    """A genuine phone with another app vouches for nothing here."""
    code = required.acme.pairing("alice")["pairing_code"]
    device = Device(required.relay, Key())

    answer = enrol(required, device, code, evidence)

    assert (400, "attestation_rejected") == refused(answer)
    assert "app_id_mismatch" == error_of(answer)["details"]["reason"]


def test_evidence_serves_one_enrolment(required: World) -> None:
    """What was accepted once is about a nonce that is spent."""
    code = required.acme.pairing("alice")["pairing_code"]
    device = Device(required.relay, Key())
    payload = device.enrollment(code)
    evidence = android(Said(required, unb64(payload["nonce"]), device.key))
    ok(device.send_enrollment(payload, attestation=evidence), 201)
    second = required.acme.pairing("alice")["pairing_code"]

    answer = device.send_enrollment(device.enrollment(second), attestation=evidence)

    assert (400, "attestation_rejected") == refused(answer)


def test_below_the_floor_is_refused(required: World) -> None:
    """A passkey that nobody vouches for is 403, and may come back with evidence."""
    code = required.acme.pairing("alice")["pairing_code"]
    device = device_for(required, "webauthn")

    assert (403, "attestation_required") == refused(device.enrol(code))
    assert ok(enrol(required, device, code, security_key), 201)


def test_a_request_asks_for_a_level(required: World) -> None:
    """A floor of rank 4 admits StrongBox and names the device in the TEE."""
    strong, weak = Device(required.relay, Key()), Device(required.relay, Key())
    for device, evidence in ((strong, android), (weak, tee)):
        code = required.acme.pairing(device.key.fingerprint[:8])["pairing_code"]
        ok(enrol(required, device, code, evidence), 201)

    assert required.acme.asked([strong], min_assurance="secure_enclave")["status"] == "pending"
    answer = required.acme.ask([strong], [weak], min_assurance="secure_enclave")

    assert (403, "insufficient_assurance") == refused(answer)
    assert {"fingerprints": [weak.key.fingerprint]} == error_of(answer)["details"]


def test_the_relay_says_that_evidence_of_tests_counts(required: World, world: World) -> None:
    """``unsafe_test_root`` stands in ``/v1/info`` where it is so, and nowhere else."""
    assert required.relay.info()["unsafe_test_root"] is True
    assert "unsafe_test_root" not in world.relay.info()


def test_off_judges_nothing(world: World) -> None:
    """Where attestation is off, evidence is passed on to the integrator and proves nothing."""
    pairing = world.acme.pairing("alice")
    device = Device(world.relay, Key())

    answer = ok(enrol(world, device, pairing["pairing_code"], another_app), 201)

    state = ok(world.acme.get(f"/v1/pairings/{pairing['pairing_id']}"))
    assert ("none", "android-key") == (answer["assurance"], state["attestation"]["format"])
