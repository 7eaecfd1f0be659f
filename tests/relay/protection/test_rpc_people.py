"""Administrators over RPC, and the sessions by which people govern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.rpc_office import office as open_office

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

GET = "GetMultipartyApprovalSettings"
ADD = "AddAdministrator"
REMOVE = "RemoveAdministrator"


async def test_adding_an_administrator(office: Office) -> None:
    """An approver with a device becomes an administrator, and governs from then on."""
    await office.person("dave")
    refused = await office.refused(GET, by="dave")
    added = (await office.call(ADD, {"approver_id": "dave"})).said["administrator"]

    assert refused.code == "permission_denied"
    assert added == {"approver_id": "dave", "name": "Dave", "devices": 1}
    assert (await office.call(GET, by="dave")).said["settings"]["administrators"] == 4
    assert [
        event["approver"] for event in await office.events("protection.administrator_added")
    ] == [{"kind": "person", "id": "dave"}]


async def test_removing_an_administrator(office: Office) -> None:
    """Who is removed governs no more."""
    await office.call(REMOVE, {"approver_id": "carol"})

    assert (await office.refused(GET, by="carol")).code == "permission_denied"
    assert len((await office.call("ListAdministrators")).said["administrators"]) == 2


@pytest.mark.parametrize("approver_id", ["nobody", "", "x" * 129])
async def test_people_without_a_device(still: Office, approver_id: str) -> None:
    """Only an approver with a paired device can be named."""
    refused = await still.refused(ADD, {"approver_id": approver_id})

    assert refused.code in {"not_found", "invalid_argument"}


async def test_removing_nobody(still: Office) -> None:
    """Who is no administrator cannot be removed."""
    assert (await still.refused(REMOVE, {"approver_id": "nobody"})).code == "not_found"


@pytest.mark.parametrize("by", ["alice", "admin-key"])
async def test_the_first_administrator(office: Office, by: str) -> None:
    """While nobody is one, the API names none, and says who does."""
    await office.put(administrators=())
    refused = await office.refused(ADD, {"approver_id": "alice"}, by=by)

    assert "quorumkey-relay admins add" in refused.message
    assert office.protection.administrators == ()


async def test_a_session_that_ended(office: Office) -> None:
    """After its quarter of an hour a session governs nothing."""
    await office.call(GET)
    office.clock.advance(901)

    assert (await office.refused(GET)).code == "unauthenticated"


async def test_a_device_that_left(office: Office) -> None:
    """A device that was unpaired governs nothing."""
    await office.call(GET)
    removed = await office.house.http.delete(
        f"/v1/devices/{office.devices['alice'].fingerprint}", headers=office.house.bearer
    )
    refused = await office.refused(GET)

    assert removed.status_code == 204
    assert refused.code == "unauthenticated"


async def test_limits_of_a_device(tmp_path: Path) -> None:
    """Calls by a session are charged to its device."""
    async with open_office(tmp_path, rate_device=2) as hurried:
        await hurried.call(GET)  # after opening the session
        refused = await hurried.refused(GET)

    assert (refused.code, refused.error) == ("resource_exhausted", "rate_limited")
