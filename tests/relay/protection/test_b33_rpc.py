"""B33 over RPC: governing cannot lock everybody out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.rpc_office import office as open_office

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

SET = "SetMultipartyApprovalSettings"
DISABLE = "DisableMultipartyApproval"
REMOVE = "RemoveAdministrator"


@pytest.mark.parametrize("decision", ["approve", "reject", "cancel"])
async def test_b33_resolving_needs_no_approval(office: Office, decision: str) -> None:
    """Resolving a call takes effect at once, whatever is protected."""
    await office.enable()
    txid = await office.gated(SET, {"required": 3})
    by = "alice" if decision == "cancel" else "bob"
    expected = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}[decision]

    assert (await office.resolve(by, txid, decision))["state"] == expected


async def test_b33_reading_needs_no_approval(office: Office) -> None:
    """Nothing that only reads ever waits."""
    await office.enable()

    for method in (
        "GetMultipartyApprovalSettings",
        "ListMultipartyApprovalRequestsForSession",
        "ListMPAProtectedMethods",
        "ListAPIKeys",
        "ListAdministrators",
    ):
        assert (await office.call(method)).txid is None


async def test_b33_disabling_with_exactly_as_many_as_required(tmp_path: Path) -> None:
    """Two administrators of two that are required can disable protection."""
    async with open_office(tmp_path, "alice", "bob") as pair:
        await pair.enable()
        await pair.approved(DISABLE)

        assert pair.protection.settings.enabled is False


async def test_b33_the_call_of_the_last_but_one(office: Office) -> None:
    """A call of somebody who is removed meanwhile can still be resolved by those who are left."""
    await office.enable()
    txid = await office.gated(DISABLE, by="alice")
    await office.approved(REMOVE, {"approver_id": "alice"}, by="bob", others=("carol",))

    assert (await office.resolve("bob", txid))["state"] == "approved"


async def test_b33_not_below_what_is_required(tmp_path: Path) -> None:
    """While protection is on, no administrator is removed whom it needs; nobody is asked."""
    async with open_office(tmp_path, "alice", "bob") as pair:
        await pair.enable()
        refused = await pair.refused(REMOVE, {"approver_id": "bob"})

    assert (refused.code, refused.txid) == ("failed_precondition", None)


async def test_b33_below_it_since_the_approval(office: Office) -> None:
    """An approved removal that would lock everybody out by now is refused and claims nothing."""
    await office.enable()
    first = await office.gated(REMOVE, {"approver_id": "bob"}, by="alice")
    await office.resolve("carol", first)
    await office.approved(REMOVE, {"approver_id": "carol"}, by="bob", others=("alice",))
    refused = await office.refused(REMOVE, {"approver_id": "bob"}, by="alice")

    assert refused.code == "failed_precondition"
    assert office.protection.administrators == ("alice", "bob")
    assert await office.state(first) == "approved"


async def test_b30_the_vote_of_somebody_who_is_removed(office: Office) -> None:
    """An approval by somebody who was removed since carries nothing: the call waits anew."""
    await office.person("dave", administrator=True)
    await office.enable()
    txid = await office.gated(SET, {"required": 3}, by="alice")
    await office.resolve("dave", txid)
    await office.approved(REMOVE, {"approver_id": "dave"}, by="bob", others=("carol",))
    again = await office.gated(SET, {"required": 3}, by="alice")

    assert again != txid
    assert office.protection.settings.required == 2


async def test_b33_nobody_is_left_to_ask(office: Office) -> None:
    """Where too few others could ever approve, a call is refused and opens nothing."""
    await office.enable()
    for person in ("bob", "carol"):
        device = office.devices[person].fingerprint
        await office.house.http.delete(f"/v1/devices/{device}", headers=office.house.bearer)
    refused = await office.refused(SET, {"max_duration_seconds": 600})
    listed = await office.call("ListMultipartyApprovalRequestsForSession")

    assert (refused.code, refused.error, refused.txid) == (
        "failed_precondition",
        "failed_precondition",
        None,
    )
    assert listed.said["requests"] == []


async def test_b33_resolving_is_on_no_list(office: Office) -> None:
    """Nobody can have resolving wait: it is no method that can be protected."""
    refused = await office.refused(
        "AddMPAProtectedMethod", {"method": "ResolveMultipartyApprovalRequest"}
    )

    assert (refused.code, refused.txid) == ("not_found", None)
