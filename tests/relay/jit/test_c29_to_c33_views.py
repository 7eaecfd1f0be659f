"""What people are shown, member by member (C29 to C33)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import (
    ALICE,
    ALONE,
    BOB,
    BUG,
    CAROL,
    EVE,
    JIT,
    MPA,
    PROJECT,
    ROLE,
    desk,
    token_of,
)
from tests.relay.simulator import START, granted, refused, shown

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.usecases.jit.eligible import SOURCE_UNAVAILABLE
from quorumkey_relay.usecases.read import BAD_CURSOR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.usecases.jit.ports import Person

pytestmark = pytest.mark.anyio


def mail(name: str) -> dict[str, str]:
    """A person in a view."""
    return {"email": f"{name}@example.com"}


async def test_c29_the_policy_is_what_a_page_has_to_know(
    tmp_path: Path, anyio_backend: object
) -> None:
    """Who is signed in, the hint, and times in minutes."""
    del anyio_backend
    async with desk(tmp_path, version="1.2.3", min_reviewers=2) as opened:
        assert {
            "justificationHint": "Bug or case number",
            "signedInUser": mail("alice"),
            "applicationVersion": "1.2.3",
            "defaultActivationTimeout": 60,
            "maxActivationTimeout": 120,
            "approval": "click",
            "maxRoles": 10,
            "minReviewers": 2,
            "maxReviewers": 10,
            "required": 1,
        } == shown(opened.cases.policy(ALICE))


@pytest.mark.parametrize(
    ("longest", "default"), [(30, 30), (60, 60), (90, 60)], ids=["shorter", "same", "longer"]
)
async def test_c29_the_default_is_an_hour_at_most(
    tmp_path: Path, anyio_backend: object, longest: int, default: int
) -> None:
    """Or the longest time that is allowed, where that is shorter."""
    del anyio_backend
    async with desk(tmp_path, max_duration_seconds=longest * 60) as opened:
        view = opened.cases.policy(ALICE)

        assert (default, longest) == (view.default_activation_timeout, view.max_activation_timeout)


async def test_c30_projects_are_ones_own(desk: Desk) -> None:
    """Where somebody is eligible for something; a stranger has none."""
    mine = await granted(desk.cases.projects(ALICE))
    strangers = await granted(desk.cases.projects(EVE))

    assert ({"projects": [PROJECT]}, {"projects": []}) == (shown(mine), shown(strangers))


async def test_c30_roles_say_how_they_are_activated_and_how_they_stand(desk: Desk) -> None:
    """With the resource condition, and until when one is active."""
    desk.policy.put(ROLE, f"{MPA} && resource.name == 'x'", "alice")
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=5)))
    view = shown(await granted(desk.cases.roles(ALICE, PROJECT)))
    by_name = {(one["name"], one.get("resourceCondition")): one for one in view["entitlements"]}
    limited = by_name[ROLE, 'resource.name == "x"']

    assert {
        "id": f"{PROJECT}:{ALONE}",
        "name": ALONE,
        "activationType": "JIT",
        "status": "ACTIVE",
        "validUntil": START + 300,
    } == by_name[ALONE, None]
    assert ("MPA", "INACTIVE", False, 3, []) == (
        limited["activationType"],
        limited["status"],
        "validUntil" in limited,
        len(view["entitlements"]),
        view["warnings"],
    )


@pytest.mark.parametrize(
    ("who", "project"),
    [(EVE, PROJECT), (EVE, "no-project"), (ALICE, "no-project")],
    ids=["a stranger", "a stranger elsewhere", "no project"],
)
async def test_c30_an_unknown_project_looks_like_one_without_roles(
    desk: Desk, who: Person, project: str
) -> None:
    """So nobody finds out which projects there are."""
    view = await granted(desk.cases.roles(who, project))

    assert {"entitlements": [], "warnings": []} == shown(view)


async def test_c30_where_nobody_knows_nothing_is_listed(desk: Desk) -> None:
    """The refusal says that the source cannot be reached."""
    desk.policy.path.write_text("{")
    entitlement = f"{PROJECT}:{ROLE}"

    assert [SOURCE_UNAVAILABLE] * 3 == [
        await refused(desk.cases.projects(ALICE)),
        await refused(desk.cases.roles(ALICE, PROJECT)),
        await refused(desk.cases.peers(ALICE, PROJECT, entitlement)),
    ]


async def test_c31_peers_are_people(desk: Desk) -> None:
    """Each an object with an address."""
    view = await granted(desk.cases.peers(ALICE, PROJECT, f"{PROJECT}:{ROLE}"))

    assert {"peers": [mail("bob"), mail("carol"), mail("dave")]} == shown(view)


async def test_c32_what_was_activated_alone_is_shown(desk: Desk) -> None:
    """As a request without reviewers, with each role's time."""
    view = shown(await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=5))))
    activation_id = view["entitlements"][0].pop("activationId")
    stored = await desk.sim.store.activation(activation_id)

    assert {
        "beneficiary": mail("alice"),
        "reviewers": [],
        "isBeneficiary": True,
        "isReviewer": False,
        "justification": BUG,
        "entitlements": [
            {
                "projectId": PROJECT,
                "id": f"{PROJECT}:{ALONE}",
                "name": ALONE,
                "status": "ACTIVE",
                "startTime": START,
                "endTime": START + 300,
            }
        ],
    } == view
    assert stored is not None


async def test_c33_a_request_is_shown_to_its_parties(desk: Desk) -> None:
    """What the original shows, and what has become of it."""
    asked = await desk.ask(BOB, CAROL, minutes=30)
    view = shown(await desk.read(asked, BOB))
    token = view.pop("activation")
    request_id = view["entitlements"][0].pop("activationId")

    assert {
        "beneficiary": mail("alice"),
        "reviewers": [mail("bob"), mail("carol")],
        "isBeneficiary": False,
        "isReviewer": True,
        "justification": BUG,
        "entitlements": [
            {
                "projectId": PROJECT,
                "id": f"{PROJECT}:{ROLE}",
                "name": ROLE,
                "status": "ACTIVATION_PENDING",
                "startTime": START,
                "endTime": START + 1_800,
            }
        ],
        "approval": "click",
        "required": 1,
        "approvals": [],
        "durationMinutes": 30,
        "requestTime": START,
        "expiryTime": START + 1_800,
    } == view
    assert desk.tokens.read(token, now=START).id == request_id


async def test_c33_an_approved_request_shows_the_activation(signing: Desk) -> None:
    """Its id, who approved, and the signed request that did."""
    asked = await signing.ask(BOB)
    await signing.vote(asked)
    view = shown(await signing.read(asked))
    stored = await signing.stored(asked)

    assert (stored.activation_id, "ACTIVE", [mail("bob")], stored.request_id, "device") == (
        view["entitlements"][0]["activationId"],
        view["entitlements"][0]["status"],
        view["approvals"],
        view["requestId"],
        view["approval"],
    )


async def test_jit_lists_are_ones_own_and_newest_first(desk: Desk) -> None:
    """Requests that somebody made, those they may decide, and the roles they have."""
    first = await desk.ask(BOB, justification="BUG-1")
    desk.sim.clock.advance(1)
    await desk.ask(CAROL, justification="BUG-2")
    await desk.approve(first)
    mine = await granted(desk.cases.requests(ALICE, limit=10, cursor=None))
    bobs = await granted(desk.cases.reviews(BOB, limit=10, cursor=None))
    roles = await granted(desk.cases.active(ALICE, limit=10, cursor=None))
    nothing = [
        await granted(call(EVE, limit=10, cursor=None))
        for call in (desk.cases.requests, desk.cases.reviews, desk.cases.active)
    ]

    assert (["BUG-2", "BUG-1"], ["BUG-1"], ["BUG-1"], [[], [], []]) == (
        [one.justification for one in mine.data],
        [one.justification for one in bobs.data],
        [one.justification for one in roles.data],
        [shown(page)["data"] for page in nothing],
    )


async def test_jit_lists_go_on_where_a_page_ended(desk: Desk) -> None:
    """With the cursor of the page before."""
    for number in range(3):
        await desk.ask(BOB, justification=f"BUG-{number}")
        desk.sim.clock.advance(1)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = await granted(desk.cases.reviews(BOB, limit=1, cursor=cursor))
        seen += [one.justification for one in page.data]
        cursor = page.next_cursor

    assert (["BUG-2", "BUG-1", "BUG-0"], None) == (seen, cursor)


async def test_jit_pages_of_roles_go_on_too(desk: Desk) -> None:
    """With the id of an activation as the cursor."""
    for _ in range(2):
        await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))
    first = await granted(desk.cases.active(ALICE, limit=1, cursor=None))
    second = await granted(desk.cases.active(ALICE, limit=1, cursor=first.next_cursor))

    assert (["ACTIVE"], ["ENDED"], None) == (
        [one.status for one in first.data],
        [one.status for one in second.data],
        second.next_cursor,
    )


@pytest.mark.parametrize("whose", ["nobody's", "somebody else's"])
async def test_jit_a_cursor_is_of_ones_own_list(desk: Desk, whose: str) -> None:
    """Another one's id is no cursor, and not told from one that does not exist."""
    asked = await desk.ask(BOB)
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))
    roles = await granted(desk.cases.active(ALICE, limit=1, cursor=None))
    request_id, activation_id = "mpa-AAAAAAAAAAAAAAAA", "0190a000-0000-7000-8000-000000000009"
    if whose == "somebody else's":
        request_id = asked.entitlements[0].activation_id
        activation_id = roles.data[0].activation_id

    assert [BAD_CURSOR] * 3 == [
        await refused(desk.cases.requests(EVE, limit=1, cursor=request_id)),
        await refused(desk.cases.reviews(EVE, limit=1, cursor=request_id)),
        await refused(desk.cases.active(EVE, limit=1, cursor=activation_id)),
    ]


async def test_jit_an_activation_is_shown_with_who_ends_it(desk: Desk) -> None:
    """The executor's own sentence says whether the target or the relay does."""
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))
    page = await granted(desk.cases.active(ALICE, limit=1, cursor=None))
    one = shown(page.data[0])
    ended = shown(await granted(desk.cases.revoke(ALICE, one["activationId"])))

    assert (desk.target.description, mail("alice"), [], "ACTIVE", "REVOKED") == (
        one["executor"],
        one["beneficiary"],
        one["approvers"],
        one["status"],
        ended["status"],
    )


@pytest.mark.parametrize("who", [ALICE, BOB, CAROL], ids=["beneficiary", "approver", "reviewer"])
async def test_jit_who_was_asked_may_end_it_early(desk: Desk, who: Person) -> None:
    """The person who has the role, who approved it, and who was asked to."""
    asked = await desk.ask(BOB, CAROL)
    view = await desk.approve(asked, BOB)
    activation_id = view.entitlements[0].activation_id
    ended = await granted(desk.cases.revoke(who, activation_id))

    assert ("REVOKED", [activation_id], "revoked") == (
        ended.status,
        desk.target.revoked,
        (await desk.told())[-1],
    )


# Nobody finds out what is not theirs: one text for every call


async def test_jit_a_stranger_is_told_the_same_everywhere(desk: Desk) -> None:
    """Whether something is there or not, and whatever they try with it."""
    asked = await desk.ask(BOB)
    approved = await desk.approve(asked)
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))
    activation_id = approved.entitlements[0].activation_id
    token, none = token_of(asked), "eyJhbGciOiJub25lIn0.e30."
    unknown = "0190a000-0000-7000-8000-000000000009"
    cases = desk.cases
    answers = [
        await refused(call)
        for call in (
            cases.peers(EVE, PROJECT, f"{PROJECT}:{ROLE}"),
            cases.peers(EVE, "nowhere", "nowhere:roles/none"),
            cases.self_activate(EVE, PROJECT, desk.alone()),
            cases.request(EVE, PROJECT, desk.body()),
            cases.read_request(EVE, token),
            cases.read_request(EVE, none),
            cases.approve(EVE, token),
            cases.approve(EVE, none),
            cases.deny(EVE, token),
            cases.deny(EVE, none),
            cases.withdraw(EVE, token),
            cases.withdraw(EVE, none),
            cases.revoke(EVE, activation_id),
            cases.revoke(EVE, unknown),
            cases.revoke(EVE, "no id"),
        )
    ]

    assert [FORBIDDEN] * len(answers) == answers


async def test_jit_a_peer_who_was_not_asked_is_a_stranger_to_the_request(desk: Desk) -> None:
    """Holding the role is not being asked."""
    asked = await desk.ask(BOB)
    approved = await desk.approve(asked)

    assert [FORBIDDEN] * 3 == [
        await refused(desk.cases.read_request(CAROL, token_of(asked))),
        await refused(desk.cases.revoke(CAROL, approved.entitlements[0].activation_id)),
        await refused(desk.cases.self_activate(CAROL, PROJECT, desk.alone())),
    ]


async def test_c05_a_role_of_both_kinds_is_listed_once(desk: Desk) -> None:
    """As one to activate alone."""
    desk.policy.put(ROLE, JIT, "alice")
    view = await granted(desk.cases.roles(ALICE, PROJECT))

    assert [(ALONE, "JIT"), (ROLE, "JIT")] == sorted(
        (one.name, one.activation_type) for one in view.entitlements
    )


async def test_c30_another_ones_active_role_is_not_ones_own(desk: Desk) -> None:
    """Bob may approve the role that alice has, and has it not himself."""
    await desk.approve(await desk.ask(BOB))
    view = await granted(desk.cases.roles(BOB, PROJECT))

    assert [(ROLE, "INACTIVE")] == [(one.name, one.status) for one in view.entitlements]
