"""C13, as far as policies go: who holds a role with the same limit and the marker for peers."""

from __future__ import annotations

import pytest

from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.eligibility.bindings import Binding, Bindings, Expression
from quorumkey_relay.eligibility.policy import Policies, groups_of

ALICE, BOB, CAROL, DAVE = (f"{name}@example.com" for name in ("alice", "bob", "carol", "dave"))
JIT = "has({}.jitAccessConstraint)"
MPA = "has({}.multiPartyApprovalConstraint)"
ROLE = EntitlementId("project-1", "roles/compute.admin")


def policies(*bindings: tuple[str, str, tuple[str, ...]]) -> Policies:
    """One project's bindings, each a role, its condition and members; Dave is in a group."""
    made = [Binding(role, members, Expression(condition)) for role, condition, members in bindings]
    groups = groups_of({"team@example.com": (f"user:{DAVE}",)})
    return Policies({"project-1": Bindings("project-1", made)}, groups)


def test_c13_holders() -> None:
    """Holders are all whom a binding of this role, this limit and this marker names."""
    found = policies(
        (ROLE.role, MPA, (f"user:{ALICE}", "group:Team@example.com", "serviceAccount:x@y.z")),
        (ROLE.role, f"{MPA} && a", (f"user:{BOB}",)),
        (ROLE.role, JIT, (f"user:{CAROL}",)),
        ("roles/viewer", MPA, (f"user:{CAROL}",)),
    )

    assert {ALICE, DAVE} == found.holders(ROLE)
    assert {BOB} == found.holders(EntitlementId("project-1", ROLE.role, "a"))
    assert frozenset() == found.holders(EntitlementId("project-2", ROLE.role))


def test_c13_holders_are_eligible_to_approve() -> None:
    """Each holder is eligible with peers, and nobody else is."""
    found = policies(
        (ROLE.role, MPA, (f"user:{ALICE}", "group:team@example.com")),
        (ROLE.role, JIT, (f"user:{CAROL}",)),
    )
    eligible = {one for one in (ALICE, BOB, CAROL, DAVE) if found.is_eligible(one, ROLE, "MPA")}

    assert found.holders(ROLE) == eligible


def test_c13_one_limit_in_two_layouts() -> None:
    """Holders of a limit that is written in two ways are peers of each other."""
    found = policies(
        (ROLE.role, f"{MPA} && a<b", (f"user:{ALICE}",)),
        (ROLE.role, f"(a  <  b) && {MPA}", (f"user:{BOB}",)),
    )

    assert {ALICE, BOB} == found.holders(EntitlementId("project-1", ROLE.role, "a < b"))


@pytest.mark.parametrize(
    "member",
    [
        *("allUsers", "allAuthenticatedUsers", "domain:example.com", "alice@example.com"),
        *("deleted:user:alice@example.com?uid=123", "user:alice@example.com?uid=123"),
        *("serviceAccount:alice@example.com", "user:user:alice@example.com", "user:"),
        *("user:\u212aim@example.com", "user:kim@example.com\n", "user: kim@example.com"),
        *("user:kim <kim@example.com>", "group:\u212aings@example.com", "user:kings@example.com"),
        "principal://iam.googleapis.com/locations/global/workforcePools/p/subject/alice@example.com",
    ],
    ids=ascii,
)
def test_c13_members_who_are_nobody_here(member: str) -> None:
    """A member that is no person and no group, or whose letters only look alike, is nobody."""
    marked = [Binding(ROLE.role, (member,), Expression(marker)) for marker in (JIT, MPA)]
    groups = groups_of({"kings@example.com": (DAVE,)})
    found = Policies({"project-1": Bindings("project-1", marked)}, groups)
    people = (ALICE, "kim@example.com", DAVE)

    assert () == tuple(one for one in people if found.listing(one, "project-1").entitlements)
    assert found.holders(ROLE) <= {"kings@example.com"}
