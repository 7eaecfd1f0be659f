"""API keys over RPC: made once, changed, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import INTEGRATOR
from tests.relay.protection.rpc_office import office as open_office
from tests.relay.simulator import simulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

CREATE = "CreateAPIKey"
UPDATE = "UpdateAPIKey"


async def test_a_new_key_works_and_is_shown_once(office: Office) -> None:
    """A key's text is in the answer to the call that made it and nowhere else."""
    await office.enable()
    reply = await office.approved(CREATE, {"name": "deploys", "scope": "integrator"})
    text = reply.said["api_key"]
    answer = await office.house.http.get(
        "/v1/requests", headers={"Authorization": f"Bearer {text}"}
    )
    events = await office.events("protection.api_key_created")

    assert answer.status_code == 200
    assert text not in str((await office.call("ListAPIKeys")).said)
    assert text not in str(events)
    assert events[0]["key_id"] == reply.said["key"]["key_id"]


async def test_updating_a_key(office: Office) -> None:
    """A key's name and scope change, each alone."""
    key_id = (await office.call(CREATE, {"name": "deploys"})).said["key"]["key_id"]
    named = (await office.call(UPDATE, {"key_id": key_id, "name": "releases"})).said["key"]
    scoped = (await office.call(UPDATE, {"key_id": key_id, "scope": "admin"})).said["key"]

    assert (named["name"], named["scope"]) == ("releases", "integrator")
    assert (scoped["name"], scoped["scope"]) == ("releases", "admin")


async def test_an_updated_key_stays_so(tmp_path: Path) -> None:
    """A changed key is still changed after a restart."""
    async with open_office(tmp_path) as first:
        key_id = (await first.call(CREATE, {"name": "deploys"})).said["key"]["key_id"]
        await first.call(UPDATE, {"key_id": key_id, "name": "releases", "scope": "admin"})
        store = first.house.relay.store
        await store.settled()
        before = store.directory.keys_of(INTEGRATOR.id)
    async with simulator(tmp_path) as second:
        assert second.store.directory.keys_of(INTEGRATOR.id) == before


async def test_revoking_a_key(office: Office) -> None:
    """A revoked key is refused at once, and stays revoked."""
    made = (await office.call(CREATE, {"name": "deploys"})).said
    key_id = made["key"]["key_id"]
    revoked = (await office.call(UPDATE, {"key_id": key_id, "revoke": True})).said["key"]
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    again = await office.refused(UPDATE, {"key_id": key_id, "name": "releases"})

    assert revoked["revoked_at"]
    assert (await office.house.http.get("/v1/requests", headers=headers)).status_code == 401
    assert again.code == "failed_precondition"
    assert (await office.call(UPDATE, {"key_id": key_id, "revoke": True})).said["key"] == revoked


@pytest.mark.parametrize("message", [{}, {"name": ""}, {"name": " x"}, {"name": "x" * 81}], ids=str)
async def test_names_of_keys(still: Office, message: dict[str, object]) -> None:
    """A key needs a name that people can read; nobody is asked to approve another."""
    refused = await still.refused(CREATE, message)
    key_id = (await still.call("ListAPIKeys")).said["keys"][0]["key_id"]
    renamed = await still.refused(UPDATE, {"name": "", **message, "key_id": key_id})

    assert (refused.code, refused.txid) == ("invalid_argument", None)
    assert (renamed.code, renamed.txid) == ("invalid_argument", None)


@pytest.mark.parametrize("key_id", ["", "x", "0190a000-0000-7000-8000-00000000dead"])
async def test_unknown_keys(still: Office, key_id: str) -> None:
    """A key that is not there is not found."""
    assert (await still.refused(UPDATE, {"key_id": key_id})).code == "not_found"


async def test_scopes_that_are_none(still: Office) -> None:
    """There are two scopes."""
    assert (await still.refused(CREATE, {"name": "x", "scope": "root"})).code == "invalid_argument"
