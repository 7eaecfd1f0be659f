"""What integrators are told of requests and activations, and that none of it is missing (C37)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace
from tests.relay.jit.desk import ALICE, ALONE, BOB, BUG, CAROL, MPA, PROJECT, ROLE, desk, final
from tests.relay.simulator import granted, refused

from quorumkey.protocol import format_time
from quorumkey_relay.usecases.jit.events import JIT_EVENTS
from quorumkey_relay.usecases.webhooks import EVENT_TYPES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.domain.jit.request import ApprovalMode

pytestmark = pytest.mark.anyio

MODES: tuple[ApprovalMode, ...] = ("click", "device")


def test_c37_webhooks_may_ask_for_each_of_them() -> None:
    """By its type, as for any event."""
    assert set(JIT_EVENTS) <= set(EVENT_TYPES)


async def only(desk: Desk, kind: str) -> dict[str, Any]:
    """The one event of a type."""
    (event,) = await desk.events(kind)
    return event


async def test_c37_a_request_is_published_with_the_link(desk: Desk) -> None:
    """RequestActivation, keys in lower case, times in ISO 8601."""
    view = await desk.ask(BOB, CAROL)
    event = await only(desk, "jit.requested")
    attributes = event["attributes"]
    link = urlsplit(str(attributes.pop("action_url")))
    now = desk.sim.clock.now()

    assert (
        "RequestActivation",
        {
            "beneficiary": "alice@example.com",
            "project_id": PROJECT,
            "role": ROLE,
            "justification": BUG,
            "start_time": format_time(now),
            "end_time": format_time(now + 1_800),
            "reviewers": ["bob@example.com", "carol@example.com"],
            "request_expiry_time": format_time(now + 1_800),
            "base_url": "https://relay.example",
        },
    ) == (event["notification"], attributes)
    query = parse_qs(link.query)
    assert ("/jit/", [PROJECT], ["alice@example.com"]) == (
        link.path,
        query["projectId"],
        [desk.tokens.read(query["activation"][0], now=now).beneficiary],
    )
    assert view.entitlements[0].activation_id == event["access_request"]["id"]


async def test_c37_an_approval_is_published_when_the_role_is_granted(desk: Desk) -> None:
    """ActivationApproved, with who approved last."""
    asked = await desk.ask(BOB, CAROL)
    await desk.approve(asked, BOB)
    approved, event = await only(desk, "jit.approved"), await only(desk, "jit.granted")

    assert (["bob@example.com"], "ActivationApproved", "bob@example.com", None) == (
        approved["by"],
        event["notification"],
        event["attributes"]["approver"],
        approved.get("notification"),
    )


async def test_c37_an_activation_alone_is_published(desk: Desk) -> None:
    """ActivationSelfApproved, for each role; nobody is sent an e-mail (C36)."""
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=5)))
    event = await only(desk, "jit.granted")
    now = desk.sim.clock.now()

    assert (
        ["self_approved", "granted"],
        "ActivationSelfApproved",
        {
            "beneficiary": "alice@example.com",
            "project_id": PROJECT,
            "role": ALONE,
            "justification": BUG,
            "start_time": format_time(now),
            "end_time": format_time(now + 300),
        },
        [],
    ) == (await desk.told(), event["notification"], event["attributes"], desk.post.sent)


async def test_c37_a_resource_condition_is_published(desk: Desk) -> None:
    """With the role that it limits."""
    desk.policy.put(ROLE, f"{MPA} && resource.name == 'x'", "alice", "bob")
    listed = await granted(desk.cases.roles(ALICE, PROJECT))
    limited = next(one.id for one in listed.entitlements if one.resource_condition)
    body = desk.body(BOB)
    await granted(desk.cases.request(ALICE, PROJECT, replace(body, entitlement_id=limited)))
    event = await only(desk, "jit.requested")

    assert ('resource.name == "x"', 'resource.name == "x"') == (
        event["attributes"]["resource_condition"],
        event["access_request"]["condition"],
    )


async def test_c37_nothing_is_published_of_what_failed(desk: Desk) -> None:
    """The event and what it tells of are one commit."""
    desk.post.is_down = True
    await desk.why_not(desk.body())

    assert [] == await desk.told()


async def test_c37_a_grant_that_fails_is_published_as_such(desk: Desk) -> None:
    """And not as a grant."""
    desk.target.faults.append(final())
    await refused(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))

    assert ["self_approved", "grant_failed"] == await desk.told()


@pytest.mark.parametrize("approval", MODES)
async def test_c37_the_story_of_a_request_is_told_in_order(
    tmp_path: Path, anyio_backend: object, approval: ApprovalMode
) -> None:
    """From the request to the end, once each."""
    del anyio_backend
    async with desk(tmp_path, approval=approval) as opened:
        await opened.equip(BOB)
        asked = await opened.ask(BOB)
        if approval == "click":
            await opened.approve(asked)
        else:
            await opened.vote(asked)
        opened.sim.clock.advance(1_800)
        await opened.done()
        events = await opened.events()

        assert (
            ["requested", "approved", "granted", "ended"],
            [["alice@example.com"], ["bob@example.com"], ["bob@example.com"], None],
        ) == (await opened.told(), [event.get("by") for event in events])


async def test_c37_events_are_kept_as_long_as_requests(desk: Desk) -> None:
    """They are the record of who had which role, and why."""
    await desk.ask(BOB)
    found = await desk.sim.store.events(
        integrator_id=desk.rules.integrator_id, after=None, limit=100
    )
    assert found is not None

    assert {"jit.requested": True} == {
        one.type: one.lasts for one in found if one.type.startswith("jit.")
    }
