"""What operators do as clients see it (§4.5, §9, §11): revocation, scopes and a new relay key."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest
from tests.e2e.protocol_client import Device, Integrator, ok, refused, request_body
from tests.e2e.protocol_crypto import (
    Json,
    Key,
    epoch,
    fingerprint_of,
    payload_of,
    unb64,
    utc,
    verify,
)
from tests.e2e.protocol_receipt import verify_receipt
from tests.e2e.protocol_stream import events, streaming, until
from tests.e2e.protocol_world import START, World, served

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

REVOKED = (403, "device_revoked")


def operate(data_dir: Path, *words: str) -> Json:
    """What the operator's command answers in JSON."""
    command = [
        sys.executable,
        "-m",
        "quorumkey_relay",
        *words,
        "--json",
        "--data-dir",
        str(data_dir),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return cast("Json", json.loads(done.stdout))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the relay under test."""
    return tmp_path_factory.mktemp("operated")


@pytest.fixture(scope="module")
def operated(data_dir: Path) -> Generator[World, None, None]:
    """A relay on a folder that its operator changes while it runs."""
    with served(data_dir) as running:
        yield running


def revoke(data_dir: Path, device: Device) -> None:
    """Revoke a device for good."""
    operate(data_dir, "devices", "revoke", device.fingerprint, "--yes", "--reason", "Lost")


def test_revoked_device_is_nobody(operated: World, data_dir: Path) -> None:
    """A revoked device cannot be named, opens no session and never enrols again."""
    device = operated.acme.device("lost")
    revoke(data_dir, device)

    assert until(lambda: operated.acme.ask([device]).status_code == 404)
    assert refused(operated.acme.ask([device])) == (404, "unknown_device")
    assert refused(device.open_session()) == REVOKED
    code = operated.acme.pairing("lost")["pairing_code"]
    assert refused(device.enrol(code)) == REVOKED
    assert refused(device.enrol(operated.umbrella.pairing("other")["pairing_code"])) == REVOKED
    assert ok(Device(operated.relay, Key()).enrol(code), 201)


def test_revocation_ends_sockets_and_sessions_and_is_told(operated: World, data_dir: Path) -> None:
    """Revoking closes the device's socket with 4403, voids its session and is an event."""
    device = operated.acme.device("stolen")
    session = device.session()
    with events(operated.acme) as stream, streaming(device) as socket:
        revoke(data_dir, device)
        assert socket.code() == 4403
        event = next(stream)

    assert event.kind == "device.revoked"
    assert event.body["fingerprint"] == device.fingerprint
    read = operated.relay.http.get("/v1/device/requests", headers=session)
    assert refused(read) == (401, "unauthorized")
    shown = ok(operated.acme.get(f"/v1/devices/{device.fingerprint}"))
    assert epoch(shown["revoked_at"])


def test_approval_of_a_revoked_device_does_not_count(operated: World, data_dir: Path) -> None:
    """An approval in a pending request goes with the device that gave it."""
    ann, ben, cem = operated.acme.devices("r-ann", "r-ben", "r-cem")
    request = operated.acme.asked([ann, cem], [ben])
    ok(ann.decide(request))
    revoke(data_dir, ann)
    assert until(lambda: operated.acme.read(request)["groups_satisfied"] == [])

    assert ok(ben.decide(request))["status"] == "pending"
    assert refused(ann.decide(request)) == REVOKED
    assert ok(cem.decide(request))["status"] == "approved"


def test_key_of_another_scope_is_forbidden(operated: World, data_dir: Path) -> None:
    """An API key with the scope ``admin`` is known, and 403 ``forbidden`` on these calls."""
    words = ["keys", "create", "--integrator", operated.acme.integrator_id, "--scope", "admin"]
    api_key = str(operate(data_dir, *words)["api_key"])
    admin = Integrator(operated.relay, api_key, operated.acme.integrator_id, "Acme Corp")
    assert until(lambda: admin.get("/v1/requests").status_code != 401)

    answer = admin.get("/v1/requests")

    assert answer.status_code == 200 or refused(answer) == (403, "forbidden")


def test_revoked_api_key_is_unauthorized(operated: World, data_dir: Path) -> None:
    """An API key that the operator made works, and is 401 once it is revoked."""
    made = operate(data_dir, "keys", "create", "--integrator", operated.acme.integrator_id)
    assert str(made["api_key"]).startswith("qk_live_")
    brief = Integrator(operated.relay, made["api_key"], operated.acme.integrator_id, "Acme Corp")
    assert until(lambda: brief.get("/v1/requests").status_code == 200)

    operate(data_dir, "keys", "revoke", str(made["key_id"]))

    assert until(lambda: brief.get("/v1/requests").status_code == 401)


def test_new_relay_key_is_followed_from_the_pin(tmp_path: Path) -> None:
    """A succession leads from the pinned key to the next, which signs from ``not_before`` on."""
    with served(tmp_path) as world:
        device = world.acme.device("follower")
        pinned = world.relay.info()
        body = request_body([device])
        request = ok(world.acme.post("/v1/requests", body), 201)
        device.inbox()
        operate(tmp_path, "keys", "rotate-relay", "--not-before", utc(START + 100))
        assert until(lambda: world.relay.info()["successions"] != [])
        info = world.relay.info()
        (succession,) = info["successions"]

        said = verify(succession, "succession", pinned["relay_public_key"])
        assert said["relay"] == info["relay"] == pinned["relay"]
        assert epoch(said["not_before"]) == START + 100
        world.clock.advance(100)
        after = world.relay.info()
        assert after["relay_public_key"] == said["next_public_key"]
        assert after["relay"] == fingerprint_of(unb64(said["next_public_key"]))

        assert refused(device.open_session(relay=pinned["relay"])) == (400, "invalid_request")
        (item,) = device.inbox()
        assert verify(item["request"], "request", pinned["relay_public_key"])
        ok(device.decide(request))
        receipt = world.acme.receipt(request)
        keys = [pinned["relay_public_key"], after["relay_public_key"]]
        kept = world.acme.kept(body, relay_public_keys=keys)
        assert verify_receipt(receipt, kept, now=world.relay.now()) == ["Group 1"]
        young = world.acme.asked([device])
        document = payload_of(device.inbox()[0]["request"])
        assert (document["request_id"], document["relay"]) == (young["request_id"], after["relay"])
