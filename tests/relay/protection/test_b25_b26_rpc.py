"""B25 and B26 over RPC: switching protection, and the calls of API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

GET = "GetMultipartyApprovalSettings"
SET = "SetMultipartyApprovalSettings"
DISABLE = "DisableMultipartyApproval"
CREATE = "CreateAPIKey"
UPDATE = "UpdateAPIKey"


async def settings(office: Office) -> dict[str, object]:
    """The settings that can be set."""
    said: dict[str, object] = dict((await office.call(GET)).said["settings"])
    return {name: said[name] for name in said.keys() - {"revision", "administrators"}}


async def test_b25_the_first_enabling_waits_for_nobody(office: Office) -> None:
    """Protection that is off is switched on at once."""
    reply = await office.call(SET, {"enabled": True})

    assert reply.txid is None
    assert reply.said["settings"]["enabled"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"required": 3},
        {"max_duration_seconds": 60},
        {"execution_expiry_seconds": 60},
        {"exclude_api_keys": True},
        {"count_requestor": False},
        {"enabled": False},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_b25_every_change_waits_while_it_is_on(
    office: Office, change: dict[str, object]
) -> None:
    """A change of any setting waits, and then changes that setting alone."""
    await office.enable()
    before = await settings(office)
    await office.approved(SET, change)

    assert await settings(office) == before | change


async def test_b25_disabling_keeps_the_rest(office: Office) -> None:
    """Disabling waits, and keeps every other setting."""
    await office.enable(required=3, max_duration_seconds=600, exclude_api_keys=True)
    before = await settings(office)
    await office.approved(DISABLE, others=("bob", "carol"))

    assert await settings(office) == before | {"enabled": False}


async def test_b25_enabling_again(office: Office) -> None:
    """Once disabled, it is enabled without approval again."""
    await office.enable()
    await office.approved(DISABLE)

    assert (await office.call(SET, {"enabled": True})).txid is None


async def test_b26_excluded_keys_are_exempt(office: Office) -> None:
    """With API keys excluded, a call by a key of scope admin takes effect at once."""
    await office.enable(exclude_api_keys=True)
    reply = await office.call(CREATE, {"name": "deploys"}, by="admin-key")

    assert reply.txid is None
    assert reply.said["key"]["name"] == "deploys"


@pytest.mark.parametrize("method", [CREATE, UPDATE])
async def test_b26_people_are_not(office: Office, method: str) -> None:
    """With API keys excluded, people who make or change API keys still wait."""
    made = (await office.call(CREATE, {"name": "deploys"})).said["key"]
    await office.enable(exclude_api_keys=True)
    message: dict[str, object] = (
        {"name": "more"} if method == CREATE else {"key_id": made["key_id"], "revoke": True}
    )

    await office.gated(method, message)


async def test_b26_keys_wait_where_they_are_not_excluded(office: Office) -> None:
    """A key's own call waits like any other, for as many others as are required."""
    await office.enable()
    txid = await office.gated(CREATE, {"name": "deploys"}, by="admin-key")
    await office.resolve("alice", txid)
    assert await office.state(txid) == "requested"
    await office.resolve("bob", txid)

    assert (await office.call(CREATE, {"name": "deploys"}, by="admin-key")).txid == txid


async def test_b26_keys_of_scope_integrator_govern_nothing(office: Office) -> None:
    """With API keys excluded, a key of scope integrator still governs nothing."""
    await office.enable(exclude_api_keys=True)
    refused = await office.refused(CREATE, {"name": "deploys"}, by="integrator-key")

    assert refused.code == "permission_denied"
