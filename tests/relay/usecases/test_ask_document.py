"""What a request becomes: its document, its envelope and the object that answers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import ACME, START, Asked, Simulator, granted

from quorumkey.protocol import (
    Action,
    Approver,
    Group,
    Party,
    Policy,
    RequestDocument,
    b64encode,
    verify_statement,
)
from quorumkey_relay.usecases.commands import ActionBody, GroupBody, PartyBody

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope

pytestmark = pytest.mark.anyio

NONCE = b64encode(bytes(range(32)))


async def envelope(sim: Simulator, request: Asked) -> Envelope:
    """The request envelope as the relay keeps it."""
    stored = await sim.store.load(request.id)
    assert stored is not None
    return stored.document


async def document(sim: Simulator, request: Asked) -> RequestDocument:
    """The request document, verified under the relay's key."""
    key = sim.relay.keys.current(sim.clock.now()).public_key
    return verify_statement(await envelope(sim, request), RequestDocument, key=key).statement


async def test_the_document_says_everything(sim: Simulator) -> None:
    """Every member that was given stands in the document, in the caller's order."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    body = sim.body(
        [carol],
        [alice],
        required=2,
        expires_in_seconds=600,
        use_within_seconds=60,
        reject_policy="quorum_impossible",
        distinct="device",
        requester=PartyBody(id="rita", name="Rita"),
        nonce=NONCE,
        match_code="4711",
        action=ActionBody(
            type="cold_boot",
            description="Cold boot engine ENG-001",
            params={"z": 1, "a": [True, None]},
            bindings={"plan": "sha256:" + "0" * 64},
        ),
    )
    body.groups[1] = GroupBody(name="Security", approvers=[bob.named(), alice.named("alice")])

    request = Asked(body, json.loads(await granted(sim.send(body))))

    assert RequestDocument(
        profile="approval",
        relay=sim.fingerprint,
        integrator=Party(ACME.id, ACME.name),
        request_id=request.id,
        nonce=NONCE,
        requester=Party("rita", "Rita"),
        action=Action(
            "cold_boot",
            "Cold boot engine ENG-001",
            {"z": 1, "a": [True, None]},
            {"plan": "sha256:" + "0" * 64},
        ),
        policy=Policy(
            required=2,
            reject_policy="quorum_impossible",
            distinct="device",
            min_assurance="none",
            match_code=True,
            groups=(
                Group("Group 1", (Approver(carol.fingerprint, carol.key.public_key.base64),)),
                Group(
                    "Security",
                    (
                        Approver(bob.fingerprint, bob.key.public_key.base64),
                        Approver(alice.fingerprint, alice.key.public_key.base64, "alice"),
                    ),
                ),
            ),
        ),
        created_at=START,
        expires_at=START + 600,
        use_by=START + 660,
    ) == await document(sim, request)


async def test_defaults_are_written(sim: Simulator) -> None:
    """What was left out stands in the document with its default."""
    request = await sim.ask([await sim.device("alice")])

    found = await document(sim, request)

    assert (300, 900, {}, None, None) == (
        found.expires_at - found.created_at,
        found.use_by - found.expires_at,
        found.action.params,
        found.action.bindings,
        found.requester,
    )
    assert ("any", "person", "none", False) == (
        found.policy.reject_policy,
        found.policy.distinct,
        found.policy.min_assurance,
        found.policy.match_code,
    )


async def test_a_nonce_is_made_for_who_sends_none(sim: Simulator) -> None:
    """Each request has 32 bytes of its own."""
    alice = await sim.device("alice")

    nonces = {(await document(sim, await sim.ask([alice]))).nonce for _ in range(3)}

    assert 3 == len(nonces)


async def test_the_answer_is_the_request_object(sim: Simulator) -> None:
    """Creation answers with exactly the members of the request object."""
    alice, bob = await sim.devices("alice", "bob")

    request = await sim.ask([alice], [bob], required=2)

    payload = (await envelope(sim, request)).payload
    assert {
        "request_id": request.id,
        "profile": "approval",
        "status": "pending",
        "groups_required": 2,
        "groups_total": 2,
        "groups_satisfied": [],
        "request_digest": "sha256:" + hashlib.sha256(payload).hexdigest(),
        "created_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T08:05:00Z",
        "use_by": "2027-01-15T08:20:00Z",
    } == request.answer


async def test_a_match_code_is_in_no_document(sim: Simulator) -> None:
    """The document says that there is a code, never which."""
    request = await sim.ask([await sim.device("alice")], match_code="471147")

    payload = (await envelope(sim, request)).payload

    assert b"471147" not in payload
    assert b'"match_code":true' in payload


async def test_ids_of_requests_grow(sim: Simulator) -> None:
    """Request ids are UUIDv7 and in the order of creation."""
    alice = await sim.device("alice")

    ids = [(await sim.ask([alice])).id for _ in range(10)]

    assert sorted(ids) == ids
