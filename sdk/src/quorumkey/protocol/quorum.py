"""Quorum arithmetic (protocol section 5, Tally): pure functions of group members and decisions.

A group is satisfied when any one of its members approves. With ``quorum_impossible``, a group is
lost once nobody is left in it, and the request is impossible once the satisfied groups and those
that can still be won are fewer than `required`. Who counts as out (the denying device, with
``distinct: person`` every device of that person, a revoked one, one out of code attempts) is the
caller's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["is_impossible", "lost_groups", "satisfied_groups"]


def satisfied_groups(
    groups: Sequence[Collection[str]], approvals: Iterable[str]
) -> tuple[int, ...]:
    """Indices of the satisfied groups, in the order in which `approvals` satisfied them.

    Args:
        groups: the members (fingerprints) of each group.
        approvals: fingerprints that approved, oldest first; unknown ones satisfy nothing.
    """
    satisfied: dict[int, None] = {}
    for member in approvals:
        for index, members in enumerate(groups):
            if member in members:
                satisfied.setdefault(index)
    return tuple(satisfied)


def lost_groups(
    groups: Sequence[Collection[str]], satisfied: Collection[int], out: Collection[str]
) -> frozenset[int]:
    """Indices of the groups that are not satisfied and whose every member is out."""
    return frozenset(
        index
        for index, members in enumerate(groups)
        if index not in satisfied and all(member in out for member in members)
    )


def is_impossible(
    *,
    required: int,
    groups: Sequence[Collection[str]],
    satisfied: Collection[int],
    out: Collection[str],
) -> bool:
    """Whether the satisfied and the still winnable groups together are fewer than `required`."""
    return len(groups) - len(lost_groups(groups, satisfied, out)) < required
