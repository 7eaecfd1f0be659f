"""What an activation makes of an IAM policy (C8 to C12)."""

from __future__ import annotations

import pytest
from tests.relay.executors.parts import ALICE, BOB, ELIGIBLE, END, ROLE, WINDOW, activation
from tests.relay.simulator import START

from quorumkey_relay.eligibility.condition import read_temporary
from quorumkey_relay.executors.iam_policy import (
    MAX_DESCRIPTION_CHARS,
    NotAPolicyError,
    UnusableConditionError,
    condition_of,
    description_of,
    with_access,
    without_access,
)

CAROL = "carol@example.com"
RESOURCE = 'resource.name == "projects/_/buckets/a"'


def temporary(*members: str, role: str = ROLE, expression: str = WINDOW) -> dict[str, object]:
    """A binding that an activation has made."""
    return {
        "role": role,
        "members": [f"user:{one}" for one in members],
        "condition": {
            "title": "JIT access activation",
            "description": "Approved by bob@example.com, justification: BUG-12345",
            "expression": expression,
        },
    }


def policy(*bindings: dict[str, object]) -> dict[str, object]:
    """A policy as Google gives it."""
    return {
        "version": 1,
        "etag": "BwX=",
        "auditConfigs": [{"service": "x"}],
        "bindings": [*bindings],
    }


def test_c09_the_binding_of_an_approved_role() -> None:
    """Member, title, description and window are exactly those of C9, in a policy of version 3."""
    changed = with_access(policy(ELIGIBLE), activation())

    assert {**policy(ELIGIBLE, temporary(ALICE)), "version": 3} == changed


def test_c09_a_role_activated_alone_says_so() -> None:
    """Without approvers the description begins with "Self-approved"."""
    alone = activation(approvers=())

    assert "Self-approved, justification: BUG-12345" == description_of(alone)


def test_c09_a_resource_condition_stands_beside_the_window() -> None:
    """Window and resource condition each stand in brackets, joined by &&."""
    limited = activation(condition=RESOURCE)

    assert f"{WINDOW} && ({RESOURCE})" == condition_of(limited)


def test_c08_what_is_written_is_read_again() -> None:
    """The reader of C8 finds the window and the resource condition in what is written."""
    expression = condition_of(activation(condition=RESOURCE))

    assert (START, END, RESOURCE) == read_temporary("JIT access activation", expression)


@pytest.mark.parametrize(
    "condition",
    ["true) || (true", "true || true) && (true", "true // ", '"', "true)\n|| (true", "("],
    ids=["or", "both", "comment", "quote", "line", "open"],
)
def test_c09_no_resource_condition_reaches_beyond_its_brackets(condition: str) -> None:
    """A text that would end its brackets, or the window, is written nowhere."""
    with pytest.raises(UnusableConditionError):
        condition_of(activation(condition=condition))


def test_c12_the_description_shows_the_last_approver() -> None:
    """Of two approvers, the one who approved last is named."""
    twice = activation(approvers=(BOB, CAROL))

    assert f"Approved by {CAROL}, justification: BUG-12345" == description_of(twice)


def test_c09_a_description_is_as_long_as_google_takes() -> None:
    """A long address and a long reason are cut to what a description may have."""
    long = activation(approvers=(f"{'b' * 230}@example.com",), justification="x" * 99)

    described = description_of(long)

    assert (MAX_DESCRIPTION_CHARS, "…") == (len(described), described[-1])


def test_c10_an_earlier_temporary_binding_goes() -> None:
    """Other windows and other resource conditions of the same role and person are replaced."""
    older = temporary(ALICE, expression=WINDOW.replace("08:10", "08:09"))
    limited = temporary(ALICE, expression=f"{WINDOW} && ({RESOURCE})")

    changed = with_access(policy(older, ELIGIBLE, limited), activation())

    assert [ELIGIBLE, temporary(ALICE)] == changed["bindings"]


def test_c10_what_others_were_given_stays() -> None:
    """Of a binding with two members only the one leaves; other roles and people are untouched."""
    shared = temporary(ALICE, CAROL, expression=WINDOW.replace("08:10", "08:09"))
    other_role = temporary(ALICE, role="roles/browser")
    permanent: dict[str, object] = {"role": ROLE, "members": [f"user:{ALICE}"]}

    changed = with_access(policy(shared, other_role, permanent, ELIGIBLE), activation())

    kept = temporary(CAROL, expression=WINDOW.replace("08:10", "08:09"))
    assert [kept, other_role, permanent, ELIGIBLE, temporary(ALICE)] == changed["bindings"]


@pytest.mark.parametrize(
    "binding",
    [
        {**temporary(ALICE), "condition": {"title": "JIT access activation", "expression": "true"}},
        {
            **temporary(ALICE),
            "condition": {"title": "jit access activation", "expression": WINDOW},
        },
        {**temporary(ALICE), "members": [f"group:{ALICE}", f"serviceAccount:{ALICE}"]},
        {**temporary(ALICE), "condition": {"title": 1, "expression": WINDOW}},
        {**temporary(ALICE), "condition": "no condition"},
        temporary(ALICE, expression=f"has({{}}.jitAccessConstraint) && {WINDOW}"),
    ],
    ids=[
        "no_window",
        "other_title",
        "other_kind",
        "title_no_text",
        "no_object",
        "eligible_for_a_while",
    ],
)
def test_c10_what_is_not_temporary_stays(binding: dict[str, object]) -> None:
    """Without the exact title, the window, or the person as a user, a binding is not ours.

    Neither is one that says for how long somebody is eligible.
    """
    changed = with_access(policy(binding), activation())

    assert [binding, temporary(ALICE)] == changed["bindings"]


def test_c11_a_binding_that_is_there_is_not_written_again() -> None:
    """The very policy comes back where it has the binding, also among others' members."""
    there = policy(ELIGIBLE, temporary(ALICE, CAROL))

    assert there is with_access(there, activation())


def test_c11_a_longer_window_replaces_the_shorter() -> None:
    """An extension is one binding with the new window."""
    changed = with_access(policy(temporary(ALICE)), activation(end=END + 600))

    assert [temporary(ALICE, expression=WINDOW.replace("08:10", "08:20"))] == changed["bindings"]


def test_c10_a_member_is_known_in_any_case() -> None:
    """An address that Google shows in capitals is the same person."""
    capital = {**temporary(ALICE), "members": ["user:Alice@Example.com"]}

    changed = without_access(policy(capital), activation())

    assert [] == changed["bindings"]


def test_taking_back_what_was_not_given_changes_nothing() -> None:
    """The very policy comes back where there is no temporary binding of the person."""
    there = policy(ELIGIBLE, temporary(CAROL))

    assert there is without_access(there, activation())


def test_a_policy_without_bindings_gets_the_first() -> None:
    """A new project's policy has no bindings at all."""
    changed = with_access({"etag": "ACAB"}, activation())

    assert {"etag": "ACAB", "version": 3, "bindings": [temporary(ALICE)]} == changed


@pytest.mark.parametrize(
    "bindings",
    [{}, ["x"], [{"role": ROLE, "members": "user:x"}], [{"role": ROLE, "members": [1]}]],
    ids=["object", "text", "members_text", "member_number"],
)
def test_what_is_no_policy_is_not_changed(bindings: object) -> None:
    """A policy of another form is refused instead of being written over."""
    with pytest.raises(NotAPolicyError):
        with_access({"etag": "x", "bindings": bindings}, activation())
