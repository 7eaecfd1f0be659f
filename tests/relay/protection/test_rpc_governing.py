"""Governing over RPC: what counts as the same call, what runs once, keys and administrators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from connectrpc.client import ConnectClient, ConnectClientSync
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from tests.relay.protection.rpc_messages import info_of
from tests.relay.protection.rpc_office import ADMIN_KEY_ID

if TYPE_CHECKING:
    from tests.relay.protection.rpc_office import Office, Reply

pytestmark = pytest.mark.anyio

SERVICE = "/quorumkey.mpa.v1.MultipartyApprovalService/"
GET = "GetMultipartyApprovalSettings"
SET = "SetMultipartyApprovalSettings"
CREATE = "CreateAPIKey"
UPDATE = "UpdateAPIKey"
ADD = "AddAdministrator"
REMOVE = "RemoveAdministrator"
RESOLVE = "ResolveMultipartyApprovalRequest"


async def raw(office: Office, method: str, body: bytes, by: str = "alice") -> str | None:
    """The transaction of a call whose bytes are given."""
    headers = {"content-type": "application/json"} | await office.headers(by)
    answer = await office.house.http.post(SERVICE + method, content=body, headers=headers)
    return str(answer.headers["x-mpa-txid"]) if "x-mpa-txid" in answer.headers else None


# The client


async def test_a_client_that_blocks(office: Office) -> None:
    """The stock client without asyncio is served as well."""
    client = ConnectClientSync(office.house.url, proto_json=True)
    info = info_of(GET)
    answer = await asyncio.to_thread(
        client.execute_unary,
        request=info.input(),
        method=info,
        headers=await office.headers("alice"),
    )

    assert answer.settings.required == 2


async def test_a_client_that_compresses_nothing(office: Office) -> None:
    """The stock client may send its messages as they are."""
    client = ConnectClient(office.house.url, proto_json=True, send_compression=None)
    info = info_of(GET)
    answer = await client.execute_unary(
        request=info.input(), method=info, headers=await office.headers("alice")
    )

    assert answer.settings.administrators == 3


async def test_a_client_of_the_other_codec(office: Office) -> None:
    """The stock client's binary messages are refused in a form that it understands."""
    client = ConnectClient(office.house.url, proto_json=False, send_compression=GzipCompression())
    info = info_of(GET)
    with pytest.raises(ConnectError) as caught:
        await client.execute_unary(
            request=info.input(), method=info, headers=await office.headers("alice")
        )

    assert (caught.value.code.value, "JSON" in caught.value.message.upper()) == (
        "unimplemented",
        True,
    )


# The same call


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"deploys","scope":""}',
        b'{ "scope" : "", "name" : "deploys" }',
        b'{"name":"deploys","scope":null}',
        b'{"name":"\\u0064eploys"}',
    ],
    ids=["default-given", "other-order", "null", "escaped"],
)
async def test_b10_one_message_in_other_words(office: Office, body: bytes) -> None:
    """A message with its defaults given, in another order or spelling is the same call."""
    await office.enable()

    assert await raw(office, CREATE, body) == await raw(office, CREATE, b'{"name":"deploys"}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"maxDurationSeconds":600}',
        b'{"max_duration_seconds":600}',
        b'{"maxDurationSeconds":"600"}',
    ],
    ids=["camel", "snake", "text"],
)
async def test_b10_one_number_in_other_words(office: Office, body: bytes) -> None:
    """A field by its other name, or a whole number as a string, is the same call."""
    await office.enable()
    txid = await office.gated(SET, {"max_duration_seconds": 600})

    assert await raw(office, SET, body) == txid


@pytest.mark.parametrize(
    ("method", "message", "by"),
    [
        (CREATE, {"name": "deploys."}, "alice"),
        (CREATE, {"name": "deploys", "scope": "admin"}, "alice"),
        (CREATE, {"name": "deploys", "scope": "integrator"}, "alice"),
        (CREATE, {"name": "deploys"}, "bob"),
        (CREATE, {"name": "deploys"}, "admin-key"),
        (UPDATE, {"key_id": ADMIN_KEY_ID, "name": "deploys"}, "alice"),
    ],
    ids=["byte", "scope", "scope-said", "person", "key", "method"],
)
async def test_b10_another_call(
    office: Office, method: str, message: dict[str, object], by: str
) -> None:
    """Another value, method or caller is another call, which an approval does not cover."""
    await office.enable()
    txid = await office.gated(CREATE, {"name": "deploys"})
    await office.resolve("carol", txid)

    assert await office.gated(method, message, by=by) != txid


async def test_b12_again_while_it_waits(office: Office) -> None:
    """The same call again, while it waits, is the same transaction."""
    await office.enable()
    txids = {await office.gated(CREATE, {"name": "deploys"}) for _ in range(3)}

    assert len(txids) == 1


# Once


async def test_b13_at_once(office: Office) -> None:
    """Of 16 calls at once one takes effect; the others wait for one new transaction."""
    await office.enable()
    txid = await office.gated(CREATE, {"name": "deploys"})
    await office.resolve("bob", txid)
    outcomes = await asyncio.gather(
        *(_outcome(office, CREATE, {"name": "deploys"}) for _ in range(16))
    )
    done = [one for one in outcomes if not isinstance(one, str)]
    keys = (await office.call("ListAPIKeys")).said["keys"]

    assert [one.txid for one in done] == [txid]
    assert len({one for one in outcomes if isinstance(one, str)}) == 1
    assert [key["name"] for key in keys].count("deploys") == 1


async def _outcome(office: Office, method: str, message: dict[str, object]) -> Reply | str:
    try:
        return await office.call(method, message)
    except ConnectError:
        return await office.gated(method, message)


async def test_enabled_meanwhile(office: Office) -> None:
    """Of calls at once that were not gated yet, one enables; what comes after it waits."""
    enabling = office.call(SET, {"enabled": True})
    making = [_outcome(office, CREATE, {"name": f"key {number}"}) for number in range(8)]
    await asyncio.gather(enabling, *making)

    await office.gated(CREATE, {"name": "one more"})


async def test_executed_in_one_commit(office: Office) -> None:
    """What was executed is claimed, recorded and audited, with the signed statement of it."""
    await office.enable()
    txid = (await office.approved(SET, {"required": 3})).txid
    request = (await office.call("GetMultipartyApprovalRequest", {"txid": txid})).said["request"]

    assert (request["state"], request["claim"]["executor"]) == ("executed", "builtin")
    assert request["claim"]["result"] == "ok"
    assert (
        request["claim"]["execution"]["payload_type"]
        == "application/vnd.quorumkey.execution.v1+json"
    )
    assert [event["txid"] for event in await office.events("protected_method.executed")] == [txid]


async def test_changes_are_audited(office: Office) -> None:
    """Who changed what is told in the integrator's events."""
    await office.call(SET, {"enabled": True, "required": 3})

    assert [
        (event["by"], event["settings"])
        for event in await office.events("protection.settings_changed")
    ] == [({"kind": "person", "id": "alice"}, {"enabled": True, "required": 3})]


async def test_no_change_is_no_event(office: Office) -> None:
    """A call that changes nothing writes nothing."""
    before = office.protection
    told = len(await office.events())
    await office.call(SET, {"required": 2})
    await office.call("DisableMultipartyApproval")
    await office.call("AddMPAProtectedMethod", {"method": "KillProcessOnHostsWithTag"})
    await office.call("AddMPAProtectedMethod", {"method": "RotateRoot"})
    await office.call("ResetMPAProtectedMethods")
    await office.call("AddAdministrator", {"approver_id": "bob"})

    assert office.protection is before
    assert len(await office.events()) == told
