"""B16, B17, B19: conditions are evaluated at every call, and what cannot be evaluated waits."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.protection.workshop import KILL

from quorumkey_relay.usecases.protection.commands import MessageBody

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio

GLOBAL = 'request.rule.tag == "global"'
TAGGED = {"rule": {"tag": "global"}}


async def test_b16_condition_is_evaluated_again(shop: Workshop) -> None:
    """Where the condition is false at the second call, it proceeds and consumes nothing."""
    await shop.protect("CreateRule", GLOBAL)
    body = shop.body("CreateRule", TAGGED)
    txid = await shop.approved("bob", body=body)
    await shop.protect("CreateRule", 'request.rule.tag == "other"')

    assert await shop.proceeds(body) == "condition_false"
    assert (await shop.read(txid)).state == "approved"
    await shop.protect("CreateRule", GLOBAL)
    assert (await shop.runs(body)).claim.txid == txid


async def test_b16_unprotected_meanwhile_proceeds(shop: Workshop) -> None:
    """A call that needs no approval any more proceeds; the approval stays unconsumed."""
    txid = await shop.approved("bob")
    await shop.set(enabled=False)

    assert await shop.proceeds() == "disabled"
    assert (await shop.read(txid)).state == "approved"


async def test_b16_condition_of_the_request_is_kept(shop: Workshop) -> None:
    """A transaction shows the condition that fired, whatever it is by now (B30)."""
    await shop.protect("CreateRule", GLOBAL)
    view = await shop.waits(shop.body("CreateRule", TAGGED))
    await shop.protect("CreateRule", "true")

    assert (await shop.read(view.txid)).condition == GLOBAL


VARIABLES: list[tuple[str, dict[str, Any], dict[str, Any] | None, bool]] = [
    ('request.tag == "global"', {"tag": "global"}, None, True),
    ('request.tag == "global"', {"tag": "local"}, None, False),
    ('resource.tag == "global"', {"id": 1}, {"tag": "global"}, True),
    ('resource.tag == "global"', {"id": 1}, {"tag": "local"}, False),
    ("has(resource.tag)", {"id": 1}, None, False),
    ("size(resource) == 0", {"id": 1}, None, True),
    ("has(resource.tag) && resource.tag == request.tag", {"tag": "a"}, {"tag": "a"}, True),
]


@pytest.mark.parametrize(
    ("condition", "request_", "resource", "waits"),
    VARIABLES,
    ids=[f"{number}" for number in range(len(VARIABLES))],
)
async def test_b17_variables(
    shop: Workshop,
    condition: str,
    request_: dict[str, Any],
    resource: dict[str, Any] | None,
    waits: bool,  # noqa: FBT001 - a column
) -> None:
    """``request`` is the message and ``resource`` what was resolved, empty where nothing was."""
    method = "CreateRule" if resource is None else "DeleteRule"  # the second has a resolver
    await shop.protect(method, condition)
    body = shop.body(method, request_, resource=resource)

    if waits:
        assert (await shop.waits(body)).condition == condition
    else:
        assert await shop.proceeds(body) == "condition_false"


async def test_b19_resource_that_nobody_looked_for(shop: Workshop) -> None:
    """A method with a resolver waits without a resource; one that was found to be empty counts."""
    await shop.protect("DeleteRule", "has(resource.tag)")

    await shop.waits(shop.body("DeleteRule", {"id": 1}))
    assert await shop.proceeds(shop.body("DeleteRule", {"id": 1}, resource={})) == "condition_false"


UNKNOWN: list[tuple[str, object]] = [
    ('request.missing == "x"', {"tag": "global"}),
    ('request.rule.tag == "x"', {"rule": "no object"}),
    ("request.n", {"n": "text is not bool"}),
    ("request.n / 0 == 1", {"n": 1}),
    ("this is no CEL", {"tag": "global"}),
    ("false", ["no object"]),
    ("false", 7),
]


@pytest.mark.parametrize(
    ("condition", "request_"), UNKNOWN, ids=[f"{number}" for number in range(len(UNKNOWN))]
)
async def test_b19_what_cannot_be_evaluated_waits(
    shop: Workshop, condition: str, request_: object
) -> None:
    """An error, a missing field, a value that is no boolean: the call waits."""
    await shop.protect("CreateRule", condition)

    assert (await shop.waits(shop.body("CreateRule", request_))).state == "requested"


async def test_b19_failed_resolver_waits(shop: Workshop) -> None:
    """Where the service could not find what the call acts on, no condition lets it pass."""
    await shop.protect("DeleteRule", "false")
    view = await shop.waits(shop.body("DeleteRule", {"id": 1}, resource_failed=True))
    params = (await shop.document(view.txid))["action"]["params"]

    assert params["resource"] == ["(not found)"]


async def test_b19_found_and_not_found_at_once_is_refused(shop: Workshop) -> None:
    """A call that says both is malformed."""
    body = shop.body(resource={}, resource_failed=True)

    assert (await shop.why_not(body)).code == "invalid_request"


async def test_b19_unseen_request_waits(shop: Workshop) -> None:
    """Of a request that only its digest is known of, no condition is evaluated."""
    await shop.protect(KILL, "false")
    message = MessageBody(digest="sha256:" + "00" * 32, size=100_000)

    assert (await shop.waits(shop.body(message=message))).state == "requested"


async def test_b19_protobuf_is_evaluated_by_its_view(shop: Workshop) -> None:
    """Conditions see the view of a protobuf request."""
    await shop.protect(KILL, 'request.tag == "global"')
    encoded = base64.b64encode(b"\x0a\x01x").decode()

    assert (
        await shop.proceeds(shop.body(message=MessageBody(protobuf=encoded, view={"tag": "local"})))
        == "condition_false"
    )
    view = await shop.waits(
        shop.body(message=MessageBody(protobuf=encoded, view={"tag": "global"}))
    )
    assert view.condition == 'request.tag == "global"'
