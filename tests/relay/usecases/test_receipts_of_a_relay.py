"""Receipts: what the relay hands out is what an integrator can check offline."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tests.relay.simulator import (
    ACME,
    START,
    Asked,
    SimDevice,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey.errors import ReceiptRefused, RefusalReason
from quorumkey.protocol import Party, Receipt, b64encode, parse_envelope, verify_statement
from quorumkey.receipts import VerifiedReceipt, verify_receipt
from quorumkey_relay.usecases.commands import ActionBody, PartyBody

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import Envelope

pytestmark = pytest.mark.anyio

NONCE = b64encode(bytes(range(32)))
ACTION: dict[str, Any] = {
    "type": "cold_boot",
    "description": "Cold boot engine ENG-001",
    "params": {},
}


def named(*groups: list[SimDevice]) -> list[dict[str, Any]]:
    """The groups as the integrator names them when it checks."""
    return [
        {
            "name": f"Group {number}",
            "approvers": [
                {
                    "fingerprint": device.fingerprint,
                    "device_public_key": device.key.public_key.base64,
                }
                for device in group
            ],
        }
        for number, group in enumerate(groups, start=1)
    ]


def evidence(sim: Simulator, receipt: bytes) -> Receipt:
    """What a receipt says, under the relay's key."""
    key = sim.relay.keys.current(sim.clock.now()).public_key
    return verify_statement(parse_envelope(json.loads(receipt)), Receipt, key=key).statement


async def proof(
    sim: Simulator, request: Asked, *groups: list[SimDevice], **expected: object
) -> VerifiedReceipt:
    """Check a request's receipt as its integrator does."""
    policy: dict[str, Any] = {"action": ACTION, "required": 1, "now": sim.clock.now()}
    policy.update(expected)
    return verify_receipt(
        await sim.receipt(request),
        relay_public_keys=[sim.relay.keys.current(sim.clock.now()).public_key],
        integrator_id=ACME.id,
        nonce=NONCE,
        groups=named(*groups),
        **policy,
    )


async def test_an_approval_is_proved(sim: Simulator) -> None:
    """The receipt of an approved request passes, and names the groups that approved."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice], [bob], [carol], required=2, nonce=NONCE)
    await sim.approve(request, carol)
    sim.clock.advance(9)
    await sim.approve(request, alice)

    found = await proof(sim, request, [alice], [bob], [carol], required=2)

    assert (request.id, ("Group 3", "Group 1"), START + 9, START + 1_200) == (
        found.request_id,
        found.groups_satisfied,
        found.completed_at,
        found.use_by,
    )
    assert [carol.fingerprint, alice.fingerprint] == [one.device for one in found.decisions]


@pytest.mark.parametrize("distinct", ["person", "device"])
@pytest.mark.parametrize("reject_policy", ["any", "quorum_impossible"])
async def test_every_policy_is_proved(
    sim: Simulator,
    distinct: Literal["person", "device"],
    reject_policy: Literal["any", "quorum_impossible"],
) -> None:
    """Whatever was asked for is what is proved, match code and requester included."""
    alice, bob = await sim.devices("alice", "bob")
    bound = {"plan": "sha256:" + "0" * 64}
    action = ActionBody(
        type="cold_boot", description="Boot", params={"n": [1, True, None]}, bindings=bound
    )
    request = await sim.ask(
        [alice],
        [bob],
        required=2,
        nonce=NONCE,
        action=action,
        distinct=distinct,
        reject_policy=reject_policy,
        requester=PartyBody(id="rita", name="Rita"),
        match_code="4711",
    )
    for device in (alice, bob):
        await granted(sim.decide(device, request, code="4711"))

    found = await proof(
        sim,
        request,
        [alice],
        [bob],
        required=2,
        action={
            "type": "cold_boot",
            "description": "Boot",
            "params": {"n": [1, True, None]},
            "bindings": bound,
        },
        distinct=distinct,
        reject_policy=reject_policy,
        requester=Party("rita", "Rita"),
        match_code="4711",
    )

    assert ("Group 1", "Group 2") == found.groups_satisfied


async def test_one_approval_a_group_is_enough(sim: Simulator) -> None:
    """The receipt holds the first approval of each satisfied group."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice, bob], [carol], required=2, nonce=NONCE)
    await sim.approve(request, bob, alice, carol)

    found = evidence(sim, await sim.receipt(request))

    assert [bob.fingerprint, carol.fingerprint] == [one.keyid for one in found.decisions]


async def test_denials_are_not_in_it(sim: Simulator) -> None:
    """A denial that did not end the request stays the relay's."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice, bob], [carol], reject_policy="quorum_impossible", nonce=NONCE)
    await sim.deny(request, alice)
    await sim.approve(request, carol)

    found = evidence(sim, await sim.receipt(request))

    assert [carol.fingerprint] == [one.keyid for one in found.decisions]


async def test_a_voided_approval_is_not_in_it(sim: Simulator) -> None:
    """What a device approved that lost its standing is replaced by who approved for good."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice, bob], [carol], required=2, nonce=NONCE)
    await sim.approve(request, alice, bob)
    await sim.unpair(alice)
    await sim.approve(request, carol)

    found = await proof(sim, request, [alice, bob], [carol], required=2)

    assert [bob.fingerprint, carol.fingerprint] == [one.device for one in found.decisions]


async def test_a_receipt_survives_a_restart(tmp_path: Path) -> None:
    """After a restart it is the same, byte for byte."""
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        request = await sim.ask([alice], nonce=NONCE)
        await sim.approve(request, alice)
        before = await sim.receipt(request)
    async with simulator(tmp_path) as sim:
        assert before == await sim.receipt(request)


async def end(sim: Simulator, request: Asked, device: SimDevice, status: str) -> None:
    """Let a request end otherwise than by approval."""
    if status == "rejected":
        await sim.deny(request, device)
    elif status == "cancelled":
        await sim.cancel(request)
    else:
        sim.clock.advance(330)


@pytest.mark.parametrize(
    ("status", "completed_at"),
    [("rejected", START), ("cancelled", START), ("timeout", START + 300)],
)
async def test_another_end_proves_nothing(sim: Simulator, status: str, completed_at: int) -> None:
    """It is the relay's word: status, time and request, without any decision."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2, nonce=NONCE)
    await sim.approve(request, alice)
    await end(sim, request, bob, status)

    found = evidence(sim, await sim.receipt(request))
    with pytest.raises(ReceiptRefused) as caught:
        await proof(sim, request, [alice], [bob], required=2)

    assert (status, completed_at, ()) == (found.status, found.completed_at, found.decisions)
    assert (RefusalReason.NOT_APPROVED, 1) == (caught.value.reason, caught.value.step)


async def test_a_pending_request_has_no_receipt(sim: Simulator) -> None:
    """Until its end there is nothing to hand out."""
    request = await sim.ask([await sim.device("alice")])

    refusal = await refused(sim.use.read_receipt(integrator_id=ACME.id, request_id=request.id))

    assert "not_completed" == refusal.code


async def test_the_request_in_it_is_the_one_that_was_signed(sim: Simulator) -> None:
    """The request envelope is the bytes that the approvers saw."""
    alice = await sim.device("alice")
    request = await sim.ask([alice], nonce=NONCE)
    token_view = await granted(
        sim.use.device_request(device=alice.fingerprint, request_id=request.id)
    )
    seen: Envelope = parse_envelope(json.loads(bytes(token_view.request)))
    await sim.approve(request, alice)

    assert seen == evidence(sim, await sim.receipt(request)).request


async def test_a_changed_byte_is_found_out(sim: Simulator) -> None:
    """A receipt that was touched, or is for another action, is refused."""
    alice = await sim.device("alice")
    request = await sim.ask([alice], nonce=NONCE)
    await sim.approve(request, alice)
    envelope = parse_envelope(json.loads(await sim.receipt(request)))
    touched = replace(envelope, payload=envelope.payload.replace(b"approved", b"approveD"))

    with pytest.raises(ReceiptRefused) as changed:
        verify_receipt(
            touched.encode(),
            relay_public_keys=[sim.relay.keys.current(START).public_key],
            integrator_id=ACME.id,
            nonce=NONCE,
            now=START,
            action=ACTION,
            required=1,
            groups=named([alice]),
        )
    with pytest.raises(ReceiptRefused) as other:
        await proof(sim, request, [alice], action=ACTION | {"params": {"engine": "ENG-002"}})

    assert [1, 4] == [changed.value.step, other.value.step]
