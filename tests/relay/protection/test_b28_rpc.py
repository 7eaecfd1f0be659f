"""B28 over RPC: the calls that a person can see, and what they can do about each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import NO_SUCH_ID, OTHER_API_KEY, ok

from quorumkey_relay.usecases.protection import govern_requests

if TYPE_CHECKING:
    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

LIST = "ListMultipartyApprovalRequestsForSession"
GET = "GetMultipartyApprovalRequest"
RESOLVE = "ResolveMultipartyApprovalRequest"
SET = "SetMultipartyApprovalSettings"
CREATE = "CreateAPIKey"


async def listed(office: Office, by: str, **message: object) -> dict[str, list[str]]:
    """What somebody can do about each call that they are shown, newest first."""
    requests = (await office.call(LIST, message, by=by)).said["requests"]
    return {request["txid"]: request["can_act"] for request in requests}


async def shown(office: Office, txid: str, by: str = "bob") -> dict[str, Any]:
    """One call as somebody is shown it."""
    request: dict[str, Any] = (await office.call(GET, {"txid": txid}, by=by)).said["request"]
    return request


async def service_call(office: Office, caller: str) -> str:
    """The transaction of a call of a service's protected method, by a person."""
    body = {
        "method": "KillProcessOnHostsWithTag",
        "caller": {"kind": "person", "id": caller},
        "request": {"json": {"tag": "staging"}},
        "claim_key": "claim-key-of-this-call",
    }
    verdict = ok(await office.house.post("/v1/protection/check", body))
    return str(verdict["transaction"]["txid"])


async def test_b28_what_is_shown(office: Office) -> None:
    """A call is shown with who called what, what is needed, and how it stands."""
    await office.enable(required=3)
    txid = await office.gated(CREATE, {"name": "deploys"})
    await office.resolve("bob", txid)
    request = await shown(office, txid, "carol")

    assert {name: request[name] for name in ("txid", "method", "caller", "state")} == {
        "txid": txid,
        "method": CREATE,
        "caller": {"kind": "person", "id": "alice", "name": "Alice"},
        "state": "requested",
    }
    assert request["approvals_required"] == 2
    assert [(vote["approver_id"], vote["decision"]) for vote in request["votes"]] == [
        ("bob", "approve")
    ]
    assert request["can_act"] == ["approve", "reject"]


async def test_b28_services_calls_are_there_too(office: Office) -> None:
    """Calls of the services' methods are shown and resolved in the same place."""
    await office.enable()
    txid = await service_call(office, "alice")

    assert await listed(office, "bob") == {txid: ["approve", "reject"]}
    assert (await office.resolve("bob", txid))["state"] == "approved"


async def test_b28_what_each_can_do(office: Office) -> None:
    """Who called can cancel, others can approve or reject, who voted can do no more."""
    await office.enable(required=3)
    txid = await office.gated(SET, {"required": 2})
    await office.resolve("bob", txid)

    assert await listed(office, "alice") == {txid: ["cancel"]}
    assert await listed(office, "bob") == {txid: []}
    assert await listed(office, "carol") == {txid: ["approve", "reject"]}
    assert await listed(office, "admin-key") == {txid: []}


async def test_b28_after_the_approval(office: Office) -> None:
    """Before it is executed, an approval can be taken back or rejected, and no more approved."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    await office.resolve("bob", txid)

    assert await listed(office, "alice") == {txid: ["cancel"]}
    assert await listed(office, "bob") == {txid: []}
    assert await listed(office, "carol") == {txid: ["reject"]}


async def test_b28_at_its_end_nothing_can_be_done(office: Office) -> None:
    """What has ended can be seen, and nothing more."""
    await office.enable()
    txid = (await office.approved(SET, {"required": 3})).txid

    assert [await listed(office, one) for one in ("alice", "bob", "carol")] == [{txid: []}] * 3


async def test_b28_newest_first_in_pages(office: Office) -> None:
    """The list goes from the newest to the oldest, and on from where a page ended."""
    await office.enable()
    made = [await office.gated(CREATE, {"name": f"key {number}"}) for number in range(5)]
    pages: list[list[str]] = []
    cursor = ""
    while not pages or cursor:
        said = (await office.call(LIST, {"limit": 2, "cursor": cursor}, by="bob")).said
        pages.append([request["txid"] for request in said["requests"]])
        cursor = said["next_cursor"]

    assert pages == [made[:2:-1], [made[2], made[1]], [made[0]]]


async def test_b28_others_calls_are_passed_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sees few calls gets to them in pages that may be empty, and loses none."""
    monkeypatch.setattr(govern_requests, "MAX_LOOKED_THROUGH", 3)
    await office.person("dave")
    await office.enable()
    own = [await service_call(office, "dave")]
    for number in range(7):
        await office.gated(CREATE, {"name": f"key {number}"})
    pages: list[list[str]] = []
    cursor = ""
    while not pages or cursor:
        said = (await office.call(LIST, {"cursor": cursor}, by="dave")).said
        pages.append([request["txid"] for request in said["requests"]])
        cursor = said["next_cursor"]

    assert pages == [[], [], own]


async def test_b28_more_than_one_reading(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is filled by as many readings of the store as it takes."""
    monkeypatch.setattr(govern_requests, "MAX_LIST_LIMIT", 2)
    await office.person("dave")
    await office.enable()
    first = await service_call(office, "dave")
    for number in range(3):
        await office.gated(CREATE, {"name": f"key {number}"})

    assert list(await listed(office, "dave", limit=2)) == [first]


@pytest.mark.parametrize(
    "message", [{"limit": -1}, {"limit": 101}, {"cursor": "x"}, {"cursor": NO_SUCH_ID}], ids=str
)
async def test_b28_pages_that_are_none(still: Office, message: dict[str, object]) -> None:
    """A limit out of range, or a cursor of no list, is refused."""
    assert (await still.refused(LIST, message)).code == "invalid_argument"


@pytest.mark.parametrize("txid", ["", "x", NO_SUCH_ID])
@pytest.mark.parametrize("by", ["alice", "admin-key"])
async def test_b28_unknown_transactions(still: Office, txid: str, by: str) -> None:
    """A transaction that is not there is not found."""
    assert (await still.refused(GET, {"txid": txid}, by=by)).code == "not_found"


async def test_b28_resolving_unknown_transactions(office: Office) -> None:
    """Nobody resolves what is not there."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    message = await office.resolution("bob", txid, "approve")
    refused = await office.refused(RESOLVE, message | {"txid": NO_SUCH_ID}, by="bob")

    assert refused.code == "not_found"


async def test_b28_approval_requests_are_no_transactions(office: Office) -> None:
    """An approval request of the integrator is none of these calls."""
    request = await office.house.ask(office.devices["bob"])

    assert await listed(office, "bob") == {}
    assert (await office.refused(GET, {"txid": request["request_id"]})).code == "not_found"


@pytest.mark.parametrize(("decision", "said"), [("approve", "reject"), ("reject", "approve")])
async def test_b28_the_envelope_must_say_the_same(office: Office, decision: str, said: str) -> None:
    """A call that takes an envelope for its opposite is refused and counts nothing."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    message = await office.resolution("bob", txid, said) | {"decision": decision}
    refused = await office.refused(RESOLVE, message, by="bob")

    assert refused.code == "invalid_argument"
    assert (await shown(office, txid))["votes"] == []


@pytest.mark.parametrize("missing", ["decision", "envelope"])
async def test_b28_both_are_needed(office: Office, missing: str) -> None:
    """A decision without an envelope is nobody's, and an envelope alone may be a mistake."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    message = await office.resolution("bob", txid, "approve")
    del message[missing]

    assert (await office.refused(RESOLVE, message, by="bob")).code == "invalid_argument"


async def test_b28_a_forged_envelope(office: Office) -> None:
    """An envelope whose signature is another's counts nothing."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    message = await office.resolution("bob", txid, "approve")
    envelope = await office.envelope("bob", txid, "approve")
    other = await office.envelope("carol", txid, "approve")
    forged = replace(envelope, signature=other.signature)
    refused = await office.refused(RESOLVE, message | {"envelope": forged.to_json()}, by="bob")

    assert (refused.code, refused.error) == ("invalid_argument", "invalid_signature")
    assert await office.state(txid) == "requested"


@pytest.mark.parametrize(
    ("member", "code"), [("payload", "invalid_argument"), ("keyid", "permission_denied")]
)
async def test_b28_envelopes_that_are_none(office: Office, member: str, code: str) -> None:
    """An envelope that is no decision, or of a device that nobody knows, counts nothing."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    message = await office.resolution("bob", txid, "approve")
    envelope = await office.envelope("bob", txid, "approve")
    other = (
        replace(envelope, payload=b"{}")
        if member == "payload"
        else replace(envelope, keyid="00" * 32)
    )
    refused = await office.refused(RESOLVE, message | {"envelope": other.to_json()}, by="bob")

    assert refused.code == code
    assert await office.state(txid) == "requested"


async def test_b28_another_calls_decision(office: Office) -> None:
    """A decision that was signed for another call counts nothing."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    other = await office.gated(CREATE, {"name": "deploys"})
    message = await office.resolution("bob", other, "approve") | {"txid": txid}
    refused = await office.refused(RESOLVE, message, by="bob")

    assert refused.code == "invalid_argument"
    assert await office.state(txid) == "requested"


async def test_b28_people_who_are_no_administrators(office: Office) -> None:
    """An approver sees the calls that they made or that name them, and can resolve none."""
    await office.person("dave")
    await office.enable()
    own = await service_call(office, "dave")
    other = await office.gated(SET, {"required": 3})
    refused = await office.refused(GET, {"txid": other}, by="dave")
    vote = await office.refused(RESOLVE, await office.resolution("dave", own, "approve"), by="dave")

    assert await listed(office, "dave") == {own: []}
    assert refused.code == vote.code == "not_found"


async def test_b28_former_administrators_see_what_names_them(office: Office) -> None:
    """Who lost the role still sees the calls whose document names them, and nothing can be done."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    await office.put(administrators=("alice", "carol"))
    later = await office.gated(CREATE, {"name": "deploys"})

    assert await listed(office, "bob") == {txid: []}
    assert list(await listed(office, "carol")) == [later, txid]


async def test_b28_other_integrators_see_nothing(office: Office) -> None:
    """A device that is paired with two integrators names one, and sees that one's calls."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    bob = office.devices["bob"]
    pairing = ok(
        await office.house.http.post(
            "/v1/pairings",
            json={"approver": {"id": "robert"}},
            headers={"Authorization": f"Bearer {OTHER_API_KEY}"},
        ),
        201,
    )
    envelope = await office.house.enrollment(bob, str(pairing["pairing_code"]))
    ok(
        await office.house.http.post("/v1/device/enroll", json={"envelope": envelope.to_json()}),
        201,
    )
    session = await office.headers("bob")
    unnamed = await office.refused(GET, {"txid": txid}, by="bob")
    office.sessions["bob"] = session | {"x-quorumkey-integrator": office.protection.integrator_id}
    own = await listed(office, "bob")
    office.sessions["bob"] = session | {
        "x-quorumkey-integrator": "0190a000-0000-7000-8000-000000000002"
    }
    others = await listed(office, "bob")
    office.sessions["bob"] = session | {"x-quorumkey-integrator": NO_SUCH_ID}
    stranger = await office.refused(LIST, by="bob")

    assert (unnamed.code, "x-quorumkey-integrator" in unnamed.message) == ("invalid_argument", True)
    assert own == {txid: ["approve", "reject"]}
    assert others == {}
    assert stranger.code == "permission_denied"
