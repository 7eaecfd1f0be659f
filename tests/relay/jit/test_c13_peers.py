"""Who may approve a role, and that nobody else finds that out (C13, C5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import ALICE, ALONE, BOB, EVE, JIT, MPA, PROJECT, ROLE, emails
from tests.relay.simulator import granted, refused

from quorumkey_relay.domain.jit.request import FORBIDDEN

if TYPE_CHECKING:
    from tests.relay.jit.desk import Desk

    from quorumkey_relay.usecases.jit.ports import Person

pytestmark = pytest.mark.anyio


async def test_c13_peers_are_the_other_holders(desk: Desk) -> None:
    """Everybody who may activate the role with peers, but who asks."""
    view = await granted(desk.cases.peers(ALICE, PROJECT, f"{PROJECT}:{ROLE}"))

    assert ["bob@example.com", "carol@example.com", "dave@example.com"] == emails(view.peers)


@pytest.mark.parametrize(
    ("who", "entitlement"),
    [
        (EVE, f"{PROJECT}:{ROLE}"),
        (ALICE, f"{PROJECT}:roles/owner"),
        (ALICE, f"{PROJECT}:{ROLE}:cmVzb3VyY2UubmFtZSA9PSAieCI="),
    ],
    ids=["no holder", "unknown role", "other condition"],
)
async def test_c13_who_is_not_eligible_is_told_no_peers(
    desk: Desk, who: Person, entitlement: str
) -> None:
    """Whether a role exists and who holds it is not found out by asking for its peers."""
    answer = await refused(desk.cases.peers(who, PROJECT, entitlement))

    assert FORBIDDEN == answer


async def test_c13_a_role_activated_alone_has_no_peers(desk: Desk) -> None:
    """Whoever may only activate a role alone asks nobody for it."""
    answer = await refused(desk.cases.peers(ALICE, PROJECT, f"{PROJECT}:{ALONE}"))

    assert FORBIDDEN == answer


async def test_c13_peers_have_the_same_resource_condition(desk: Desk) -> None:
    """The role on other resources is another entitlement, with other holders."""
    desk.policy.put(ROLE, f"{MPA} && resource.name == 'x'", "alice", "frank")
    listing = await granted(desk.cases.roles(ALICE, PROJECT))
    limited = next(one.id for one in listing.entitlements if one.resource_condition)
    view = await granted(desk.cases.peers(ALICE, PROJECT, limited))

    assert ["frank@example.com"] == emails(view.peers)


async def test_c05_a_role_of_both_kinds_still_has_its_peers(desk: Desk) -> None:
    """It is listed once, as one to activate alone; who holds it with peers may approve it."""
    desk.policy.put(ROLE, JIT, "bob")
    request = await desk.ask()
    bobs = await granted(desk.cases.roles(BOB, PROJECT))
    view = await desk.approve(request)

    assert (["JIT"], "ACTIVE") == (
        [one.activation_type for one in bobs.entitlements],
        view.entitlements[0].status,
    )


@pytest.mark.parametrize(
    "entitlement",
    ["", PROJECT, f"{PROJECT}:", f"other:{ROLE}", f"{PROJECT}:{ROLE}:?", "a:b:c:d"],
    ids=["empty", "one part", "blank role", "other project", "no base64", "four parts"],
)
async def test_c31_the_entitlement_is_of_the_project(desk: Desk, entitlement: str) -> None:
    """An id that is none, or of another project, is told as such: it was the caller's."""
    answer = await refused(desk.cases.peers(ALICE, PROJECT, entitlement))

    assert "invalid_request" == answer.code
