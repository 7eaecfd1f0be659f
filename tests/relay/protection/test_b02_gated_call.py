"""B2: a gated call does not run; it opens an approval request, and is told its txid."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME, BOB, KEY, KILL
from tests.relay.simulator import granted

from quorumkey.protocol import Kind, RequestDocument, verify_signature

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio


async def test_b02_the_request_document_says_what_will_run(shop: Workshop) -> None:
    """Approvers sign method, caller, request, its digest, and who of them is needed."""
    await shop.protect(KILL, 'request.tag == "staging"')
    view = await shop.waits()
    document = await shop.document(view.txid)
    canonical = b'{"process":"nginx","tag":"staging"}'

    assert document["profile"] == "protected_method"
    assert document["requester"] == {"id": "alice"}
    assert document["action"] == {
        "type": "protected_method",
        "description": "KillProcessOnHostsWithTag, called by alice",
        "params": {
            "method": KILL,
            "caller": {"kind": "person", "id": "alice"},
            "condition": 'request.tag == "staging"',
            "request": ['process: "nginx"', 'tag: "staging"'],
        },
        "bindings": {"request": f"sha256:{hashlib.sha256(canonical).hexdigest()}"},
    }
    assert document["policy"]["required"] == 1
    assert document["policy"]["reject_policy"] == "any"
    assert document["policy"]["distinct"] == "person"
    assert [group["name"] for group in document["policy"]["groups"]] == ["alice", "bob", "carol"]
    assert view.request_digest == document["action"]["bindings"]["request"]


async def test_b02_resource_is_shown_and_bound(shop: Workshop) -> None:
    """What the call acts on stands in the document, and its digest beside the request's."""
    await shop.protect("DeleteRule")
    view = await shop.waits(shop.body("DeleteRule", {"id": 7}, resource={"tag": "global"}))
    action = (await shop.document(view.txid))["action"]

    assert action["params"]["resource"] == ['tag: "global"']
    digest = hashlib.sha256(b'{"tag":"global"}').hexdigest()
    assert action["bindings"]["resource"] == f"sha256:{digest}" == view.resource_digest


async def test_b02_document_is_signed_by_the_relay_and_reads_back(shop: Workshop) -> None:
    """The document that devices fetch is a request envelope under the relay's key."""
    view = await shop.waits()
    stored = await shop.sim.store.load(view.txid)
    assert stored is not None
    key = shop.sim.relay.keys.current(shop.sim.clock.now()).public_key
    verify_signature(stored.document, kind=Kind.REQUEST, key=key)

    assert RequestDocument.decode(stored.document.payload).profile == "protected_method"


async def test_b02_devices_are_told_at_once(shop: Workshop) -> None:
    """Every administrator's device that listens gets the request, the caller's too."""
    streams = {one: shop.sim.listen(shop.devices[one]) for one in ("alice", "bob")}
    view = await shop.waits()

    for stream in streams.values():
        assert stream.types == ["approval_request"]
    assert view.state == "requested"


async def test_b02_lifetimes_come_from_the_settings(shop: Workshop) -> None:
    """A request stays open for the maximum duration, and its approval good for the expiry."""
    await shop.set(max_duration_seconds=600, execution_expiry_seconds=90)
    document = await shop.document((await shop.waits()).txid)

    assert document["created_at"] == "2027-01-15T08:00:00Z"
    assert document["expires_at"] == "2027-01-15T08:10:00Z"
    assert document["use_by"] == "2027-01-15T08:11:30Z"


async def test_b02_api_key_is_no_requester(shop: Workshop) -> None:
    """A call by an API key has no requester, so every administrator can approve it."""
    document = await shop.document((await shop.waits(shop.body(caller=KEY))).txid)

    assert "requester" not in document
    assert document["policy"]["required"] == 2


async def test_b02_nobody_to_approve_fails_closed(shop: Workshop) -> None:
    """Too few others who could approve: the call is refused and nothing is opened."""
    await shop.set(required=4)
    refusal = await shop.why_not(shop.body())

    assert refusal.code == "failed_precondition"
    assert refusal.details == {"needed": 3, "administrators": 2}
    assert list(shop.sim.store.open_transactions()) == []


async def test_b02_pending_calls_are_bounded(shop: Workshop) -> None:
    """No more calls may wait for one device than requests in all."""
    for number in range(20):
        await shop.waits(shop.body(request={"number": number}))

    assert (await shop.why_not(shop.body(request={"number": 20}))).code == "rate_limited"


async def test_b02_transaction_is_audited_with_its_request(shop: Workshop) -> None:
    """The event of a new transaction has txid, method and who called."""
    view = await shop.waits(shop.body(caller=BOB))
    event = (await shop.sim.events())[-1]

    assert event == {
        "type": "protected_method.requested",
        "txid": view.txid,
        "method": KILL,
        "by": {"kind": "person", "id": "bob"},
        "timestamp": "2027-01-15T08:00:00Z",
    }


async def test_b02_many_devices_are_named_evenly_and_the_newest_first(shop: Workshop) -> None:
    """More devices than a request may name: each administrator is there with their newest."""
    newest = [await shop.another_device("bob") for _ in range(60)][-1]
    document = await shop.document((await shop.waits()).txid)
    bob = document["policy"]["groups"][1]

    assert len(bob["approvers"]) == 50
    assert bob["approvers"][0]["fingerprint"] == newest.fingerprint


async def test_b02_long_ids_still_name_groups_apart(shop: Workshop) -> None:
    """Ids of administrators that are longer than a group's name stay different."""
    await shop.administrators("x" * 100 + "1", "x" * 100 + "2")
    document = await shop.document((await shop.waits()).txid)
    names = {group["name"] for group in document["policy"]["groups"]}

    assert len(names) == 5
    assert all(len(name) <= 80 for name in names)


async def test_b02_requests_of_protected_methods_are_read_like_others(shop: Workshop) -> None:
    """The integrator finds the request of a transaction under its txid."""
    view = await shop.waits()
    request = await granted(shop.sim.use.read_request(integrator_id=ACME.id, request_id=view.txid))

    assert (request.profile, request.status) == ("protected_method", "pending")
