"""A client written from the protocol page alone completes an approval over real sockets."""

from __future__ import annotations

import ast
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import (
    Device,
    digest_in,
    fragment,
    ok,
    passkey_rules,
    plain,
    request_body,
)
from tests.e2e.protocol_crypto import BE, BS, UP, UV, Key, Passkey, b64, b64url, unb64, unb64url
from tests.e2e.protocol_receipt import RefusedError, verify_receipt

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

HERE = Path(__file__).parent
ALLOWED = {"cryptography", "httpx2", "websockets", "tests"} | sys.stdlib_module_names


@pytest.mark.parametrize(
    "name", ["protocol_client.py", "protocol_crypto.py", "protocol_receipt.py"]
)
def test_client_imports_nothing_of_quorumkey(name: str) -> None:
    """The client shares no code with the relay."""
    tree = ast.parse((HERE / name).read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])

    assert found <= ALLOWED


def test_pairing_by_qr_is_confirmed(world: World) -> None:
    """A device that was given the secret is bound, as the integrator verifies itself."""
    secret = secrets.token_bytes(32)
    pairing = world.acme.pairing("alice")
    link = fragment(f"{pairing['pairing_url']}&secret={b64url(secret)}")
    device = Device(world.relay, Key(), session_key=Key())
    preview = ok(world.relay.post("/v1/device/pairing", {"pairing_code": link["code"]}))
    challenge = world.relay.challenge()
    assert link["relay"] == preview["relay"] == challenge["relay"]

    answer = ok(device.enrol(link["code"], secret=unb64url(link["secret"])), 201)

    assert preview["integrator"] == {"id": world.acme.integrator_id, "name": world.acme.name}
    assert preview["approver"] == {"name": "Alice"}
    assert answer["fingerprint"] == device.fingerprint
    assert answer["relay_public_key"] == challenge["relay_public_key"]
    assert plain(link["code"]) == plain(pairing["pairing_code"])
    assert world.acme.confirm(pairing, secret=secret, pin=link["relay"])


def test_typed_code_is_paired_but_not_bound(world: World) -> None:
    """A device without the secret enrols, and the integrator sees that nothing binds it."""
    pairing = world.acme.pairing("bob")
    ok(Device(world.relay, Key()).enrol(pairing["pairing_code"]), 201)

    pin = world.relay.info()["relay"]

    assert not world.acme.confirm(pairing, secret=secrets.token_bytes(32), pin=pin)


def test_two_of_three_groups_approve_and_the_receipt_proves_it(world: World) -> None:
    """Two devices look at the request, approve it, and the receipt verifies offline."""
    ann, ben, cem = world.acme.devices("ann", "ben", "cem")
    body = request_body([ann], [ben], [cem], required=2)
    request = ok(world.acme.post("/v1/requests", body), 201)
    relay_key = world.relay.info()["relay_public_key"]

    for device in (cem, ann):
        (item,) = device.inbox()
        document = device.examine(
            item, relay_public_key=relay_key, integrators={world.acme.integrator_id}
        )
        assert document["nonce"] == body["nonce"]
        said = {"request_id": item["request_id"], "request_digest": digest_in(item)}
        ok(device.decide(said))

    finished = world.acme.read(request)
    satisfied = verify_receipt(
        world.acme.receipt(request), world.acme.kept(body), now=world.relay.now()
    )
    assert finished["status"] == "approved"
    assert finished["groups_satisfied"] == ["Group 3", "Group 1"]
    assert satisfied == ["Group 1", "Group 3"]


def test_passkey_device_approves(world: World) -> None:
    """An authenticator written for this test enrols with a passkey and its approval counts."""
    rules = passkey_rules(world.relay)
    key = Passkey(rp_id=rules.rp_id, origin=rules.origins[0], flags=UP | UV | BE | BS)
    code = world.acme.pairing("pia")["pairing_code"]
    device = Device(world.relay, key)
    enrolled = ok(device.enrol(code, platform="web"), 201)
    body = request_body([device])
    request = ok(world.acme.post("/v1/requests", body), 201)

    ok(device.decide(request))

    kept = world.acme.kept(body, webauthn=rules)
    assert enrolled["assurance"] == "passkey"
    assert verify_receipt(world.acme.receipt(request), kept, now=world.relay.now()) == ["Group 1"]
    with pytest.raises(RefusedError, match="step 6"):
        verify_receipt(world.acme.receipt(request), world.acme.kept(body), now=world.relay.now())


def test_nonce_of_the_caller_is_signed(world: World) -> None:
    """The nonce that the caller chose stands in the signed request document."""
    (device,) = world.acme.devices("nia")
    nonce = secrets.token_bytes(32)
    world.acme.asked([device], nonce=b64(nonce))

    (item,) = device.inbox()
    document = device.examine(
        item,
        relay_public_key=world.relay.info()["relay_public_key"],
        integrators={world.acme.integrator_id},
    )

    assert unb64(document["nonce"]) == nonce
