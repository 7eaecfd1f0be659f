"""B4 and B7 over RPC: who can be required, and who resolves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.rpc_office import office as open_office

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

GET = "GetMultipartyApprovalSettings"
SET = "SetMultipartyApprovalSettings"
RESOLVE = "ResolveMultipartyApprovalRequest"


async def test_b04_the_answer_counts_the_administrators(office: Office) -> None:
    """Reading the settings tells them, and how many administrators can approve now."""
    settings = (await office.call(GET)).said["settings"]

    assert {name: settings[name] for name in ("enabled", "required", "administrators")} == {
        "enabled": False,
        "required": 2,
        "administrators": 3,
    }


async def test_b04_enabling_without_enough_administrators(tmp_path: Path) -> None:
    """Protection is not enabled where fewer administrators can approve than are required."""
    async with open_office(tmp_path, "alice") as alone:
        refused = await alone.refused(SET, {"enabled": True})
        settings = (await alone.call(GET)).said["settings"]

    assert (refused.code, refused.error) == ("failed_precondition", "failed_precondition")
    assert refused.txid is None
    assert settings["enabled"] is False


async def test_b04_raising_required_above_their_number(office: Office) -> None:
    """More approvers than there are administrators cannot be required, and nobody is asked."""
    await office.enable()
    refused = await office.refused(SET, {"required": 4})
    listed = await office.call("ListMultipartyApprovalRequestsForSession")

    assert (refused.code, refused.txid) == ("failed_precondition", None)
    assert listed.said["requests"] == []


async def test_b04_as_many_as_there_are(office: Office) -> None:
    """As many as there are administrators can be required."""
    await office.enable(required=3)

    assert (await office.call(GET)).said["settings"]["required"] == 3


@pytest.mark.parametrize("required", [1, 0, -1])
async def test_b03_fewer_than_two(still: Office, required: int) -> None:
    """Fewer than two approvers are an error."""
    assert (await still.refused(SET, {"required": required})).code == "invalid_argument"


@pytest.mark.parametrize("key", ["admin-key", "integrator-key"])
@pytest.mark.parametrize("decision", ["approve", "reject", "cancel"])
async def test_b07_keys_resolve_nothing(office: Office, key: str, decision: str) -> None:
    """An API key neither approves nor rejects nor cancels, whatever envelope it has got hold of."""
    await office.enable()
    own = await office.gated(SET, {"required": 3}, by="admin-key")
    refused = await office.refused(RESOLVE, await office.resolution("bob", own, decision), by=key)

    assert refused.code == "permission_denied"
    assert await office.state(own) == "requested"


async def test_b07_the_role_is_checked_at_the_vote(office: Office) -> None:
    """Who was an administrator when the call was made and is none any more does not vote."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    await office.put(administrators=("alice", "carol"))
    refused = await office.refused(
        RESOLVE, await office.resolution("bob", txid, "approve"), by="bob"
    )

    assert refused.code == "permission_denied"
    assert await office.state(txid) == "requested"


async def test_b07_an_envelope_of_somebody_else(office: Office) -> None:
    """A session cannot hand in what another person's device has signed."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    refused = await office.refused(
        RESOLVE, await office.resolution("bob", txid, "approve"), by="carol"
    )

    assert (refused.code, refused.error) == ("permission_denied", "forbidden")
    assert await office.state(txid) == "requested"


async def test_b05_own_approval_is_an_error(office: Office) -> None:
    """Who called cannot approve the call."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    refused = await office.refused(
        RESOLVE, await office.resolution("alice", txid, "approve"), by="alice"
    )

    assert (refused.code, refused.error) == ("permission_denied", "requester_cannot_approve")


@pytest.mark.parametrize("decision", ["reject", "cancel"])
@pytest.mark.parametrize("approved", [False, True], ids=["pending", "approved"])
async def test_b05_own_rejection_cancels(office: Office, decision: str, *, approved: bool) -> None:
    """Who called takes the call back, before and after its approval, until it is executed."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    if approved:
        await office.resolve("bob", txid)

    assert (await office.resolve("alice", txid, decision))["state"] == "cancelled"


async def test_b05_not_after_the_execution(office: Office) -> None:
    """What was executed is not taken back."""
    await office.enable()
    txid = (await office.approved(SET, {"required": 3})).txid
    assert txid is not None
    refused = await office.refused(
        RESOLVE, await office.resolution("alice", txid, "cancel"), by="alice"
    )

    assert (refused.code, refused.error) == ("failed_precondition", "request_completed")


async def test_b05_others_do_not_cancel(office: Office) -> None:
    """Cancelling is the caller's word for it; others reject."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    refused = await office.refused(
        RESOLVE, await office.resolution("bob", txid, "cancel"), by="bob"
    )

    assert refused.code == "failed_precondition"
    assert await office.state(txid) == "requested"


async def test_b06_a_second_vote_is_an_error(office: Office) -> None:
    """Who approved cannot reject."""
    await office.enable(required=3)
    txid = await office.gated(SET, {"required": 2})
    await office.resolve("bob", txid)
    refused = await office.refused(
        RESOLVE, await office.resolution("bob", txid, "reject"), by="bob"
    )

    assert (refused.code, refused.error) == ("failed_precondition", "already_decided")


async def test_b08_rejected_by_another(office: Office) -> None:
    """A rejection by another administrator ends the call; the same call is a new one."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})

    assert (await office.resolve("bob", txid, "reject"))["state"] == "rejected"
    assert await office.gated(SET, {"required": 3}) != txid
