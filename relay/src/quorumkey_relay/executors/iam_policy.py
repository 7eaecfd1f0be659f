"""What an activation makes of the IAM policy of a project: pure functions of both.

A policy is what ``getIamPolicy`` of Google's Resource Manager returns. Whatever this module does
not know about stays as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from quorumkey_relay.eligibility.condition import TEMPORARY_TITLE, read_condition, read_temporary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quorumkey_relay.domain.jit.activation import Activation

    Policy = Mapping[str, object]
    Binding = Mapping[str, object]

#: Conditional bindings exist from this version of the policy's form on.
VERSION: Final = 3
#: cloud.google.com/iam/docs/reference/rest, "Expr": longer ones are refused.
MAX_DESCRIPTION_CHARS: Final = 256


class NotAPolicyError(Exception):
    """What should be an IAM policy has another form."""


class UnusableConditionError(Exception):
    """A resource condition cannot stand beside the window of a temporary binding."""


def with_access(policy: Policy, activation: Activation) -> Policy:
    """Return the policy in which the person has the role for the window; the same if it is so.

    Earlier temporary bindings of the role to the person are left out, whatever they are limited
    to; permanent ones stay, and those that only say who is eligible. Raises ``NotAPolicyError`` or
    ``UnusableConditionError``.
    """
    wanted = _binding(activation)
    bindings = _bindings(policy)
    held = [one for one in bindings if _is_temporary(one, activation)]
    if len(held) == 1 and held[0].get("condition") == wanted["condition"]:
        return policy
    return {**policy, "version": VERSION, "bindings": [*_without(bindings, activation), wanted]}


def without_access(policy: Policy, activation: Activation) -> Policy:
    """Return the policy without temporary bindings of the role to the person; the same if none.

    Raises ``NotAPolicyError``.
    """
    bindings = _bindings(policy)
    if not any(_is_temporary(one, activation) for one in bindings):
        return policy
    return {**policy, "version": VERSION, "bindings": _without(bindings, activation)}


def condition_of(activation: Activation) -> str:
    """Return the condition of a temporary binding: the window, and what the role is limited to.

    Raises ``UnusableConditionError``.
    """
    window = (
        f'(request.time >= timestamp("{_instant(activation.start)}")'
        f' && request.time < timestamp("{_instant(activation.end)}"))'
    )
    resource = activation.entitlement.condition
    expression = f"{window} && ({resource})" if resource else window
    # Read again, so that no resource condition can reach beyond its brackets.
    if read_temporary(TEMPORARY_TITLE, expression) != (activation.start, activation.end, resource):
        raise UnusableConditionError(resource)
    return expression


def description_of(activation: Activation) -> str:
    """Return what stands in the policy for people: who approved last, and why."""
    approved = (
        f"Approved by {activation.approvers[-1]}" if activation.approvers else "Self-approved"
    )
    text = f"{approved}, justification: {activation.justification}"
    if len(text) <= MAX_DESCRIPTION_CHARS:
        return text
    return f"{text[: MAX_DESCRIPTION_CHARS - 1]}…"


def _binding(activation: Activation) -> Binding:
    return {
        "role": activation.entitlement.role,
        "members": [f"user:{activation.beneficiary}"],
        "condition": {
            "title": TEMPORARY_TITLE,
            "description": description_of(activation),
            "expression": condition_of(activation),
        },
    }


def _without(bindings: Sequence[Binding], activation: Activation) -> list[Binding]:
    kept: list[Binding] = []
    for binding in bindings:
        if not _is_temporary(binding, activation):
            kept.append(binding)
            continue
        others = [one for one in _members(binding) if not _is_person(one, activation)]
        if others:
            kept.append({**binding, "members": others})
    return kept


def _is_temporary(binding: Binding, activation: Activation) -> bool:
    """Say whether a binding gives the person the role for a window of time."""
    if binding.get("role") != activation.entitlement.role:
        return False
    if not any(_is_person(member, activation) for member in _members(binding)):
        return False
    condition = binding.get("condition")
    if not isinstance(condition, dict):
        return False
    said = cast("dict[str, object]", condition)
    title, expression = said.get("title"), said.get("expression")
    return (
        isinstance(title, str)
        and isinstance(expression, str)
        and read_temporary(title, expression) is not None
        # With a marker it gives nothing: it says for how long somebody is eligible.
        and read_condition(expression).activation_type is None
    )


def _is_person(member: str, activation: Activation) -> bool:
    return member.lower() == f"user:{activation.beneficiary}"


def _bindings(policy: Policy) -> list[Binding]:
    found = policy.get("bindings", [])
    if not isinstance(found, list):
        raise NotAPolicyError
    bindings = cast("list[object]", found)
    if not all(isinstance(one, dict) for one in bindings):
        raise NotAPolicyError
    return cast("list[Binding]", bindings)


def _members(binding: Binding) -> list[str]:
    found = binding.get("members", [])
    if not isinstance(found, list):
        raise NotAPolicyError
    members = cast("list[object]", found)
    if not all(isinstance(one, str) for one in members):
        raise NotAPolicyError
    return cast("list[str]", members)


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
