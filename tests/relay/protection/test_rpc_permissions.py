"""Who may call which method of the governing service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.rpc_messages import service

if TYPE_CHECKING:
    from tests.relay.protection.rpc_office import Office

pytestmark = pytest.mark.anyio

METHODS = [method.name for method in service().methods]
#: What an approver who is no administrator may ask for, about calls of their own.
FOR_APPROVERS = {
    "ListMultipartyApprovalRequestsForSession",
    "GetMultipartyApprovalRequest",
    "ResolveMultipartyApprovalRequest",
}
ENVELOPE = {
    "payload_type": "application/vnd.quorumkey.decision.v1+json",
    "payload": "e30=",
    "signatures": [{"keyid": "00" * 32, "sig": "MAYCAQECAQE="}],
}
RESOLUTION: dict[str, object] = {"txid": "x", "decision": "approve", "envelope": ENVELOPE}


@pytest.fixture(scope="module")
async def outsider(still: Office) -> Office:
    """An approver who is no administrator is there too."""
    await still.person("dave")
    return still


def message_of(method: str) -> dict[str, object]:
    """A message that is well made."""
    return RESOLUTION if method == "ResolveMultipartyApprovalRequest" else {}


@pytest.mark.parametrize("method", METHODS)
async def test_keys_of_scope_integrator(still: Office, method: str) -> None:
    """An API key of scope integrator governs nothing, and sees nothing of it."""
    refused = await still.refused(method, message_of(method), by="integrator-key")

    assert (refused.code, refused.error) == ("permission_denied", "forbidden")


@pytest.mark.parametrize("method", [name for name in METHODS if name not in FOR_APPROVERS])
async def test_people_who_are_no_administrators(outsider: Office, method: str) -> None:
    """An approver who is no administrator governs nothing."""
    refused = await outsider.refused(method, by="dave")

    assert (refused.code, refused.error) == ("permission_denied", "forbidden")
    assert "administrators" in refused.message


async def test_nothing_of_theirs(outsider: Office) -> None:
    """What an approver may ask for shows them nothing that is not theirs."""
    listed = await outsider.call("ListMultipartyApprovalRequestsForSession", by="dave")
    others = [
        (await outsider.refused(method, message_of(method) or {"txid": "x"}, by="dave")).code
        for method in sorted(FOR_APPROVERS - {"ListMultipartyApprovalRequestsForSession"})
    ]

    assert listed.said["requests"] == []
    assert others == ["not_found", "not_found"]


async def test_administrators_and_keys_that_govern(still: Office) -> None:
    """Administrators, and API keys of scope admin, may read everything."""
    reading = [name for name in METHODS if name.startswith(("List", "GetMultipartyApprovalSet"))]
    answers = [await still.call(name, by=by) for name in reading for by in ("bob", "admin-key")]

    assert len(answers) == 10
