"""Receipts (§8): what the relay issues, and a verifier that believes nothing else."""

from __future__ import annotations

import copy
import secrets
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.e2e.protocol_client import Device, ok, request_body
from tests.e2e.protocol_crypto import (
    Json,
    Key,
    b64,
    digest_of,
    epoch,
    malleated,
    payload_of,
    unb64,
    utc,
    verify,
)
from tests.e2e.protocol_receipt import RefusedError, verify_receipt
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_world import World


class Proof(NamedTuple):
    """An approved request: the body it was made with, its devices and its receipt."""

    body: Json
    devices: list[Device]
    receipt: Json


@pytest.fixture(scope="module")
def proof(world: World) -> Proof:
    """A request that two of three groups approved, with every optional member."""
    ann, ben, cem = world.acme.devices("ann", "ben", "cem")
    body = request_body(
        [ann],
        [ben],
        [cem],
        required=2,
        action={"type": "boot", "description": "Boot", "params": {"n": 1, "s": "x", "l": [1, 2]}},
        requester={"id": "ops", "name": "Ops"},
        match_code="0042",
        reject_policy="quorum_impossible",
    )
    people = ("ann", "ben", "cem")
    for group, device, person in zip(body["groups"], (ann, ben, cem), people, strict=True):
        group["approvers"] = [device.named(person)]
    request = ok(world.acme.post("/v1/requests", body), 201)
    for device in (ann, ben):
        ok(device.decide(request, code="0042"))
    return Proof(body, [ann, ben, cem], world.acme.receipt(request))


def step(
    world: World,
    proof: Proof,
    receipt: Json | None = None,
    *,
    now: int | None = None,
    **members: object,
) -> int:
    """The step at which a verifier with other expectations refuses; 0 when it accepts."""
    at = world.relay.now() if now is None else now
    asked = world.acme.kept(proof.body, **members)
    try:
        verify_receipt(proof.receipt if receipt is None else receipt, asked, now=at)
    except RefusedError as refusal:
        return refusal.step
    return 0


def test_receipt_verifies(world: World, proof: Proof) -> None:
    """The receipt of an approved request proves the groups that approved."""
    asked = world.acme.kept(proof.body)

    assert verify_receipt(proof.receipt, asked, now=world.relay.now()) == ["Group 1", "Group 2"]


def test_receipt_has_the_members_of_the_page(world: World, proof: Proof) -> None:
    """The payload is version, status, completion, request and decisions, and nothing else."""
    key = world.relay.info()["relay_public_key"]

    payload = verify(proof.receipt, "receipt", key)

    assert payload.keys() == {"v", "status", "completed_at", "request", "decisions"}
    assert payload["status"] == "approved"
    assert len(payload["decisions"]) == 2
    assert verify(payload["request"], "request", key)["nonce"] == proof.body["nonce"]


def test_receipt_stays_the_same(world: World, proof: Proof) -> None:
    """Fetching a receipt again answers the same evidence."""
    request_id = payload_of(payload_of(proof.receipt)["request"])["request_id"]

    again = world.acme.receipt({"request_id": request_id})

    assert payload_of(again) == payload_of(proof.receipt)


EXPECTATIONS: list[tuple[Json, int]] = [
    ({"relay_public_keys": [Key().public]}, 1),
    ({"relay_public_keys": []}, 1),
    ({"integrator_id": "0190a000-0000-7000-8000-000000000002"}, 3),
    ({"nonce": b64(secrets.token_bytes(32))}, 3),
    ({"action": {"type": "boot", "description": "Boot", "params": {"n": 1, "s": "x"}}}, 4),
    ({"action": {"type": "boot", "description": "Boot", "params": {}}}, 4),
    ({"requester": None}, 4),
    ({"requester": {"id": "ops"}}, 4),
    ({"required": 1}, 4),
    ({"reject_policy": "any"}, 4),
    ({"distinct": "device"}, 4),
    ({"min_assurance": "tee"}, 4),
    ({"match_code": None}, 4),
    ({"match_code": "0043"}, 6),
    ({"groups": []}, 4),
]


@pytest.mark.parametrize(("members", "expected"), EXPECTATIONS)
def test_receipt_of_another_request_is_refused(
    world: World, proof: Proof, members: Json, expected: int
) -> None:
    """A receipt that does not answer exactly what was asked is refused."""
    assert step(world, proof, **members) == expected


@pytest.mark.parametrize("value", [True, "1", 2, [1]])
def test_values_are_equal_in_type_and_value(world: World, proof: Proof, value: object) -> None:
    """``1``, ``true`` and ``"1"`` are different parameters."""
    action = copy.deepcopy(proof.body["action"])
    action["params"]["n"] = value

    assert step(world, proof, action=action) == 4


def test_member_order_does_not_matter_and_list_order_does(world: World, proof: Proof) -> None:
    """Parameters in another order are equal; a list in another order is not."""
    action = copy.deepcopy(proof.body["action"])
    action["params"] = dict(reversed(action["params"].items()))
    turned = copy.deepcopy(proof.body["action"])
    turned["params"]["l"] = [2, 1]

    assert step(world, proof, action=action) == 0
    assert step(world, proof, action=turned) == 4


def test_receipt_is_good_until_use_by(world: World, proof: Proof) -> None:
    """An approval may be acted on until ``use_by`` and not a second longer."""
    use_by = epoch(payload_of(payload_of(proof.receipt)["request"])["use_by"])

    assert step(world, proof, now=use_by) == 0
    assert step(world, proof, now=use_by + 1) == 5


def flipped(envelope: Json, member: str) -> Json:
    """The envelope with one byte of a member changed."""
    changed = copy.deepcopy(envelope)
    entry = changed["signatures"][0]
    holder, name = (changed, member) if member == "payload" else (entry, "sig")
    data = bytearray(unb64(holder[name]))
    data[len(data) // 2] ^= 1
    holder[name] = b64(bytes(data))
    return changed


@pytest.mark.parametrize("member", ["payload", "sig"])
def test_one_changed_byte_is_refused(world: World, proof: Proof, member: str) -> None:
    """A receipt with one changed byte proves nothing."""
    assert step(world, proof, flipped(proof.receipt, member)) == 1


@pytest.mark.parametrize("name", ["request", "challenge", "decision", "execution"])
def test_other_type_is_refused(world: World, proof: Proof, name: str) -> None:
    """A receipt under another payload type is refused."""
    changed = proof.receipt | {"payloadType": f"application/vnd.quorumkey.{name}.v1+json"}

    assert step(world, proof, changed) == 1


def test_request_envelope_is_no_receipt(world: World, proof: Proof) -> None:
    """The relay's signature on a request is not one on a receipt."""
    assert step(world, proof, payload_of(proof.receipt)["request"]) == 1


class Liar(NamedTuple):
    """A relay whose own key signs what it likes."""

    key: Key
    receipt: Json

    def says(self, **members: object) -> Json:
        """A receipt with other members, signed."""
        return self.key.seal("receipt", payload_of(self.receipt) | members)


@pytest.fixture(scope="module")
def liar(proof: Proof) -> Liar:
    """The relay's request and decisions in receipts of a relay that lies."""
    return Liar(Key(), proof.receipt)


def lied(world: World, proof: Proof, liar: Liar, **members: object) -> int:
    """The step at which the lie is refused, with both keys pinned."""
    keys = [liar.key.public, world.relay.info()["relay_public_key"]]
    return step(world, proof, liar.says(**members), relay_public_keys=keys)


def decisions(proof: Proof) -> list[Json]:
    """The decision envelopes of the receipt."""
    found: list[Json] = payload_of(proof.receipt)["decisions"]
    return found


def test_relay_that_lies_cannot_leave_decisions_out(world: World, proof: Proof, liar: Liar) -> None:
    """A receipt with too few approvals is refused."""
    assert lied(world, proof, liar) == 0
    assert lied(world, proof, liar, decisions=decisions(proof)[:1]) == 8
    assert lied(world, proof, liar, decisions=[]) == 8


def test_relay_that_lies_cannot_count_one_key_twice(world: World, proof: Proof, liar: Liar) -> None:
    """A decision that stands twice, malleated or not, is refused."""
    first = decisions(proof)[0]
    twisted = copy.deepcopy(first)
    twisted["signatures"][0]["sig"] = b64(malleated(unb64(first["signatures"][0]["sig"])))

    assert lied(world, proof, liar, decisions=[first, first]) == 7
    assert lied(world, proof, liar, decisions=[first, twisted]) == 7


def test_relay_that_lies_cannot_sign_for_a_device(world: World, proof: Proof, liar: Liar) -> None:
    """A decision under any key but the named device's is refused."""
    first, second = decisions(proof)
    forged = liar.key.seal("decision", unb64(second["payload"]))
    renamed = copy.deepcopy(forged)
    renamed["signatures"][0]["keyid"] = proof.devices[2].fingerprint

    assert lied(world, proof, liar, decisions=[first, forged]) == 6
    assert lied(world, proof, liar, decisions=[first, renamed]) == 6
    assert lied(world, proof, liar, decisions=[first, flipped(second, "payload")]) == 6


def test_relay_that_lies_cannot_move_the_end(world: World, proof: Proof, liar: Liar) -> None:
    """A completion outside the life of the request, or another status, is refused."""
    request = payload_of(payload_of(proof.receipt)["request"])

    assert lied(world, proof, liar, completed_at=request["expires_at"]) == 5
    before = utc(epoch(request["created_at"]) - 1)
    assert lied(world, proof, liar, completed_at=before) == 5
    assert lied(world, proof, liar, status="rejected") == 1
    assert lied(world, proof, liar, v=2) == 1


def test_relay_that_lies_cannot_use_another_request(world: World, proof: Proof, liar: Liar) -> None:
    """A request that another relay signed, or signed for another, is refused."""
    document = payload_of(payload_of(proof.receipt)["request"])
    theirs = liar.key.seal("request", document)
    mine = liar.key.seal("request", document | {"relay": liar.key.fingerprint})

    assert lied(world, proof, liar, request=theirs) == 2
    assert lied(world, proof, liar, request=mine) == 6
    assert digest_of(unb64(theirs["payload"])) != digest_of(unb64(mine["payload"]))


@pytest.mark.parametrize("end", ["rejected", "cancelled", "timeout"])
def test_receipt_of_another_end_holds_no_decisions(world: World, end: str) -> None:
    """Any end but approval gives a receipt without decisions, which proves nothing."""
    ann, ben = world.acme.devices("n-ann", "n-ben")
    body = request_body([ann], [ben])
    request = ok(world.acme.post("/v1/requests", body), 201)
    ok(ann.decide(request))
    if end == "rejected":
        ok(ben.decide(request, "deny"))
    elif end == "cancelled":
        ok(world.acme.post(f"/v1/requests/{request['request_id']}/cancel"))
    else:
        world.clock.advance(300)
    receipt = world.acme.receipt(request)

    payload = verify(receipt, "receipt", world.relay.info()["relay_public_key"])

    assert (payload["status"], payload["decisions"]) == (end, [])
    assert end != "timeout" or payload["completed_at"] == request["expires_at"]
    assert step(world, Proof(body, [ann, ben], receipt)) == 1


def test_receipt_of_an_approval_leaves_out_what_did_not_count(world: World) -> None:
    """Approvals by devices that left and denials stand in no receipt."""
    ann, ben, cem, dan = world.acme.devices("v-ann", "v-ben", "v-cem", "v-dan")
    body = request_body([ann, cem], [ben], [dan], required=2, reject_policy="quorum_impossible")
    request = ok(world.acme.post("/v1/requests", body), 201)
    ok(dan.decide(request, "deny"))
    ok(ann.decide(request))
    assert ann.unpair().status_code == 204
    for device in (ben, cem):
        ok(device.decide(request))

    receipt = world.acme.receipt(request)

    signers = {one["signatures"][0]["keyid"] for one in payload_of(receipt)["decisions"]}
    assert signers == {ben.fingerprint, cem.fingerprint}
    assert step(world, Proof(body, [], receipt)) == 0


def test_receipt_outlives_the_relay(tmp_path: Path) -> None:
    """A receipt verifies with nothing but the pinned key after the relay is gone."""
    with served(tmp_path) as relay:
        device = relay.acme.device("alone")
        body = request_body([device])
        request = ok(relay.acme.post("/v1/requests", body), 201)
        ok(device.decide(request))
        receipt, asked, now = relay.acme.receipt(request), relay.acme.kept(body), relay.relay.now()

    assert verify_receipt(receipt, asked, now=now) == ["Group 1"]
