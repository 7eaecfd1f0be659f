"""A relay as its operator runs it, phones whose certificates are revoked, and who hears of it."""

from __future__ import annotations

import base64
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.e2e.protocol_client import PATIENCE, Device, Integrator, Relay, error_of, ok, refused
from tests.e2e.protocol_crypto import Json, Key, unb64
from tests.e2e.protocol_stream import events, streaming
from tests.e2e.sdk_relay_process import RelayProcess, operate, relay_process
from tests.relay.attested import PACKAGE, SIGNER, pem_of_test_roots

from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.testing import android, android_description, apple

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

#: The serial numbers of two attestation keys. The first is written with digits alone, and is hex.
DIGITS = 0x1617_2839_4051
LETTERS = 0xC0FFEE_AB01


@dataclass
class House:
    """A relay in a process of its own, its first integrator, and the list that it reads."""

    process: RelayProcess
    acme: Integrator
    list: Path

    def enrol(self, person: str, evidence: str, serial: int = LETTERS) -> Device:
        """A new device with the evidence of an ``android`` phone or an ``iphone``."""
        device = Device(self.acme.relay, Key())
        payload = device.enrollment(str(self.acme.pairing(person)["pairing_code"]))
        nonce = unb64(payload["nonce"])
        attestation = (
            iphone(device, nonce) if evidence == "iphone" else phone(device, nonce, serial)
        )
        ok(device.send_enrollment(payload, attestation=attestation), 201)
        return device

    def publish(self, *serials: str) -> None:
        """Put a list with these serial numbers in the old one's place, in one step."""
        fresh = self.list.with_suffix(".new")
        fresh.write_bytes(android.status_list(dict.fromkeys(serials, "REVOKED")))
        os.replace(fresh, self.list)  # noqa: PTH105 - pathlib's replace returns what nobody needs

    def recheck(self, *options: str) -> dict[str, str]:
        """Run the operator's command."""
        return operate(
            "attestation",
            "recheck",
            "--data-dir",
            self.process.folder,
            "--android-revocation",
            self.list,
            *options,
        )

    def level(self, device: Device) -> str:
        """The level that the integrator is shown."""
        return str(ok(self.acme.get(f"/v1/devices/{device.fingerprint}"))["assurance"])


def phone(device: Device, nonce: bytes, serial: int) -> Json:
    """The evidence of an Android phone whose attestation key has this serial number."""
    now = datetime.now(UTC)
    level = SecurityLevel.STRONGBOX
    encoded = android_description.description(
        challenge=nonce,
        level=level,
        software=android_description.software_list(
            created=now,
            application=android_description.application_id({PACKAGE: 1}, [bytes.fromhex(SIGNER)]),
        ),
        hardware=android_description.hardware_list(os_patch=now.year * 100 + now.month),
    ).encoded()
    lowest, *others = android.rkp_issuers(now.replace(microsecond=0), level=level)
    authorities = android.issue((replace(lowest, serial=serial), *others))
    leaf = android.mint_leaf(
        device.key.private.public_key(),
        authorities[0],
        [(android.key_description_extension(encoded), False)],
    )
    chain = android.chain_of(leaf, authorities)
    return {
        "format": "android-key",
        "chain": [base64.b64encode(der).decode() for der in chain],
    }


def iphone(device: Device, nonce: bytes) -> Json:
    """The evidence of an iPhone; each device key has an App Attest key of its own."""
    return dict(
        apple.apple_evidence(
            nonce, device.key.compressed, label=device.fingerprint, now=datetime.now(UTC)
        )
    )


@contextmanager
def house(folder: Path, action: str) -> Generator[House, None, None]:
    """A relay that revokes or flags."""
    roots, revoked = folder / "roots.pem", folder / "status.json"
    roots.write_bytes(pem_of_test_roots())
    revoked.write_bytes(android.status_list())
    options = {
        "--attestation": "required",
        "--unsafe-test-root": str(roots),
        "--android-apps": f"{PACKAGE}={SIGNER}",
        "--app-attest-apps": apple.APP_ID,
        "--android-revocation": str(revoked),
        "--revoked-hardware": action,
    }
    flat = [part for option in options.items() for part in option]
    with (
        relay_process(folder, *flat) as process,
        httpx2.Client(base_url=process.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        relay = Relay(process.url, http)
        acme = Integrator(relay, process.api_key, process.integrator_id, "Acme Corp")
        yield House(process, acme, revoked)


@pytest.fixture(scope="module")
def revoking(tmp_path_factory: pytest.TempPathFactory) -> Generator[House, None, None]:
    """A relay that revokes devices whose hardware is revoked."""
    with house(tmp_path_factory.mktemp("revoking"), "revoke") as made:
        yield made


@pytest.fixture(scope="module")
def flagging(tmp_path_factory: pytest.TempPathFactory) -> Generator[House, None, None]:
    """A relay that flags them."""
    with house(tmp_path_factory.mktemp("flagging"), "flag") as made:
        yield made


@pytest.mark.parametrize("serial", [DIGITS, LETTERS], ids=["digits alone", "letters"])
def test_a_revoked_phone_is_out(revoking: House, serial: int) -> None:
    """The event names it, its session and socket end, and its approval counts no more."""
    revoking.publish()
    alice = revoking.enrol("alice", "android", serial)
    bob = revoking.enrol("bob", "iphone")
    request = revoking.acme.asked([alice], [bob], required=2)
    ok(alice.decide(request))
    session = alice.session()
    with events(revoking.acme) as heard, streaming(alice) as socket:
        revoking.publish(f"{serial:x}")
        asked = revoking.recheck()
        event = next(heard)
        code = socket.code()

    assert "asked" == asked["outcome"]
    assert ("device.revoked", alice.fingerprint, "attestation_revoked") == (
        event.kind,
        event.body["fingerprint"],
        event.body["reason"],
    )
    assert 4403 == code
    assert 401 == revoking.acme.relay.http.get("/v1/device/requests", headers=session).status_code
    state = revoking.acme.read(request)
    assert (["pending"], []) == ([state["status"]], state["groups_satisfied"])
    ok(bob.decide(request))
    assert "pending" == revoking.acme.read(request)["status"]
    assert (403, "device_revoked") == refused(alice.decide(request))


def test_the_number_in_decimal_is_another(revoking: House) -> None:
    """A list that names the decimal form of a serial number names somebody else's key."""
    revoking.publish()
    alice = revoking.enrol("alice", "android", DIGITS)
    revoking.publish(str(DIGITS))

    assert not revoking.recheck("--dry-run")["devices"]
    assert "strongbox" == revoking.level(alice)


def test_a_flagged_phone_proves_itself_anew(flagging: House) -> None:
    """It has no level until it sends evidence that holds; the integrator hears of both."""
    flagging.publish()
    alice = flagging.enrol("alice", "android", DIGITS)
    request = flagging.acme.asked([alice], min_assurance="tee")
    with events(flagging.acme) as heard:
        flagging.publish(f"{DIGITS:x}")
        flagging.recheck()
        flagged = next(heard)
        refusal = alice.decide(request)
        nonce = str(alice.relay.challenge()["nonce"])
        answer = alice.relay.http.post(
            "/v1/device/reattest",
            json={"nonce": nonce, "attestation": iphone(alice, unb64(nonce))},
            headers=alice.session(),
        )
        lifted = next(heard)

    assert ["device.assurance_changed"] * 2 == [flagged.kind, lifted.kind]
    assert [("none", "attestation_revoked"), ("secure_enclave", "reattested")] == [
        (event.body["assurance"], event.body["reason"]) for event in (flagged, lifted)
    ]
    assert (403, "insufficient_assurance") == refused(refusal)
    assert {"fingerprint": alice.fingerprint, "assurance": "secure_enclave"} == ok(answer)
    ok(alice.decide(request))
    assert "approved" == flagging.acme.read(request)["status"]


def test_an_assertion_serves_once(flagging: House) -> None:
    """Its counter is kept: with a new nonce the same count is refused."""
    device = flagging.enrol("carol", "iphone")
    session = device.session()
    answers: list[httpx2.Response] = []
    for counter in (1, 1, 2):
        nonce = str(device.relay.challenge()["nonce"])
        made = apple.apple_assertion(
            unb64(nonce), device.key.compressed, counter=counter, label=device.fingerprint
        )
        key_id = apple.Attestation(client_data_hash=bytes(32), label=device.fingerprint).key_id
        attestation = {
            "format": "apple-app-attest-assertion",
            "key_id": base64.b64encode(key_id).decode(),
            "assertion": base64.b64encode(made).decode(),
        }
        body = {"nonce": nonce, "attestation": attestation}
        answers.append(device.relay.http.post("/v1/device/reattest", json=body, headers=session))

    assert [200, 400, 200] == [answer.status_code for answer in answers]
    assert "counter" == error_of(answers[1])["details"]["reason"]


def test_the_age_of_the_list_is_shown(flagging: House) -> None:
    """Whoever watches the relay sees a list that is not renewed any more."""
    text = flagging.acme.relay.http.get("/metrics").text

    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith("quorumkey_revocation_list_age_seconds ")
    ]
    assert 0 <= float(line.partition(" ")[2]) < time.time()
