"""B18 to B24 over RPC: what is always protected, and what the administrators may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.domain.protection import GOVERNING_METHODS

if TYPE_CHECKING:
    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

ADD = "AddMPAProtectedMethod"
REMOVE = "RemoveMPAProtectedMethod"
RESET = "ResetMPAProtectedMethods"
LIST = "ListMPAProtectedMethods"
KILL = "KillProcessOnHostsWithTag"

#: A message for each governing method that would change something.
CHANGES: dict[str, dict[str, object]] = {
    "SetMultipartyApprovalSettings": {"required": 3},
    "DisableMultipartyApproval": {},
    ADD: {"method": "CreateRule"},
    REMOVE: {"method": KILL},
    RESET: {},
    "CreateAPIKey": {"name": "deploys"},
    "UpdateAPIKey": {"key_id": "0190a000-0000-7000-8000-00000000ad31", "revoke": True},
    "AddAdministrator": {"approver_id": "dave"},
    "RemoveAdministrator": {"approver_id": "carol"},
}


async def marks(office: Office) -> dict[str, tuple[str, str, bool]]:
    """Of each protected method: its mark, its condition, and whether it drifted."""
    methods = (await office.call(LIST)).said["methods"]
    return {
        method["name"]: (method["mark"], method["condition"], method["drifted"])
        for method in methods
        if method["protected"] and method["service"] != "relay"
    }


def test_b20_every_governing_method_is_tried() -> None:
    """The table above has all of them."""
    assert CHANGES.keys() == set(GOVERNING_METHODS)


@pytest.mark.parametrize("method", GOVERNING_METHODS)
@pytest.mark.parametrize("by", ["alice", "admin-key"])
async def test_b20_waits_while_protection_is_on(office: Office, method: str, by: str) -> None:
    """Every governing method waits, whoever calls, and has changed nothing until then."""
    await office.person("dave")
    await office.enable()
    before = office.protection

    await office.gated(method, CHANGES[method], by=by)
    assert before == office.protection


@pytest.mark.parametrize("method", GOVERNING_METHODS)
async def test_b20_runs_once_when_approved(office: Office, method: str) -> None:
    """Approved and called again it takes effect, once: the next call is a new transaction."""
    await office.person("dave")
    await office.enable()
    reply = await office.approved(method, CHANGES[method])
    assert reply.txid is not None

    assert await office.state(reply.txid) == "executed"


@pytest.mark.parametrize("method", GOVERNING_METHODS)
async def test_b20_no_service_asks_for_them(still: Office, method: str) -> None:
    """A service cannot have the relay's own methods approved in the name of somebody."""
    body: dict[str, object] = {
        "method": method,
        "caller": {"kind": "person", "id": "alice"},
        "request": {"json": CHANGES[method]},
        "claim_key": "claim-key-of-this-call",
    }
    answer = await still.house.post("/v1/protection/check", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("method", [*GOVERNING_METHODS, "RotateRoot"])
async def test_b20_cannot_be_removed(still: Office, method: str) -> None:
    """What is always protected cannot be removed, and nobody is asked to approve that."""
    refused = await still.refused(REMOVE, {"method": method})

    assert (refused.code, refused.txid) == ("invalid_argument", None)


@pytest.mark.parametrize("method", [*GOVERNING_METHODS, "RotateRoot"])
async def test_b20_takes_no_condition(still: Office, method: str) -> None:
    """What is always protected gets no condition."""
    refused = await still.refused(ADD, {"method": method, "condition": "false"})

    assert refused.code == "invalid_argument"


@pytest.mark.parametrize(
    "condition",
    ["request.", "1", '"true"', "request.tag", "unknown == 1", "request.tag == 1 ? 1 : 2"],
)
async def test_b18_conditions_that_cannot_be_used(still: Office, condition: str) -> None:
    """A condition that is no CEL, or not a boolean, is refused when it is added."""
    refused = await still.refused(ADD, {"method": "CreateRule", "condition": condition})

    assert refused.code == "invalid_argument"
    assert "condition" in refused.message
    assert "CreateRule" not in await marks(still)


async def test_b22_marks(office: Office) -> None:
    """The list says of each method whether it is always protected, a default, or custom."""
    await office.call(ADD, {"method": "CreateRule", "condition": 'request.tag == "global"'})
    await office.call(ADD, {"method": KILL, "condition": "true"})

    assert await marks(office) == {
        "CreateRule": ("custom", 'request.tag == "global"', False),
        KILL: ("default", "true", True),
        "RotateRoot": ("always", "", False),
    }


async def test_b22_a_removed_default_is_eligible(office: Office) -> None:
    """A default that was removed is shown as eligible."""
    removed = (await office.call(REMOVE, {"method": KILL})).said["method"]

    assert (removed["kind"], removed["protected"], removed["mark"]) == ("eligible", False, "")


@pytest.mark.parametrize(
    ("method", "code"),
    [("ListRules", "invalid_argument"), ("NoSuchMethod", "not_found"), ("", "not_found")],
)
async def test_b23_what_cannot_be_protected(still: Office, method: str, code: str) -> None:
    """Methods that read, and unknown ones, are an error."""
    refused = await still.refused(ADD, {"method": method})

    assert refused.code in {code, "invalid_argument"}


async def test_b24_reset(office: Office) -> None:
    """Resetting restores the defaults and their conditions, and removes what is custom."""
    await office.call(ADD, {"method": "CreateRule"})
    await office.call(ADD, {"method": KILL, "condition": "true"})
    await office.enable()
    await office.approved(RESET)

    assert await marks(office) == {
        KILL: ("default", "", False),
        "RotateRoot": ("always", "", False),
    }


async def test_b24_reset_waits(office: Office) -> None:
    """Resetting is itself protected."""
    await office.call(ADD, {"method": "CreateRule"})
    await office.enable()
    await office.gated(RESET)

    assert "CreateRule" in await marks(office)
