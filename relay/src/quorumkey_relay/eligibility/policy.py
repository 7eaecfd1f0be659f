"""Policies as documents: the JSON that Google's tools print, and what a relay needs beside it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.domain.jit.policy import MAX_BINDINGS, MAX_POLICY_BYTES
from quorumkey_relay.eligibility.bindings import GROUP, USER, Binding, Bindings
from quorumkey_relay.identity.email_address import email_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.domain.jit.entitlement import ActivationType, EntitlementId, Listing

MAX_PROJECT_CHARS: Final = 128
MAX_GROUPS: Final = 10_000
_MAX_SHOWN_CHARS: Final = 100


class PolicyError(ValueError):
    """A document is no policy; the message is a sentence."""


class Policy(msgspec.Struct, frozen=True):
    """One project's policy; ``groups`` has the members of the groups that its bindings name.

    What else Google's tools print is left aside.
    """

    bindings: tuple[Binding, ...] = ()
    groups: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])


class _Groups:
    """Who is in which groups, looked up by the group and by the person."""

    def __init__(self, members: Mapping[str, frozenset[str]]) -> None:
        self.members = members
        self._principals: dict[str, list[str]] = {}
        for group, people in members.items():
            for person in people:
                self._principals.setdefault(person, []).append(f"{GROUP}{group}")

    def principals(self, person: str) -> list[str]:
        """Return what a person is called in bindings."""
        return [f"{USER}{person}", *self._principals.get(person, ())]


class Policies:
    """The policies of some projects, and who is in the groups that they name."""

    def __init__(
        self,
        projects: Mapping[str, Bindings],
        groups: Mapping[str, frozenset[str]],
        own_groups: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType({}),
    ) -> None:
        """Take the bindings by project, and the people, by e-mail address, in each group.

        ``own_groups`` are those of one project, which mean nothing in the others.
        """
        shared = _Groups(groups)
        self._projects = {
            project: (
                bindings,
                _Groups({**groups, **own_groups[project]}) if own_groups.get(project) else shared,
            )
            for project, bindings in projects.items()
        }

    def projects(self, person: str) -> tuple[str, ...]:
        """Return the projects in which a person may activate something, sorted."""
        found = (
            project
            for project, (bindings, groups) in self._projects.items()
            if bindings.is_any(groups.principals(person))
        )
        return tuple(sorted(found))

    def listing(self, person: str, project: str) -> Listing:
        """Return what a person may activate in a project, and has for a while."""
        bindings, groups = self._of(project)
        return bindings.listing(groups.principals(person))

    def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Say whether a binding of this kind names a person, or a group that they are in."""
        bindings, groups = self._of(entitlement.project)
        return bindings.is_eligible(groups.principals(person), entitlement, activation_type)

    def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return the people who may activate this with peers."""
        bindings, groups = self._of(entitlement.project)
        return people_in(bindings.holders(entitlement), groups.members)

    def _of(self, project: str) -> tuple[Bindings, _Groups]:
        return self._projects.get(project, _NOTHING)


_NOTHING: Final = (Bindings("", ()), _Groups({}))


def people_in(principals: frozenset[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the people, by e-mail address, that principals are or have as members."""
    people = {one.removeprefix(USER) for one in principals if one.startswith(USER)}
    for one in principals:
        if one.startswith(GROUP):
            people |= groups.get(one.removeprefix(GROUP), frozenset())
    return frozenset(people)


def read_policy(document: bytes) -> Policy:
    """Read one project's policy from JSON.

    Raises:
        PolicyError: it is too large, no JSON, or no policy.
    """
    if len(document) > MAX_POLICY_BYTES:
        raise PolicyError(f"A policy has at most {MAX_POLICY_BYTES} bytes.")
    try:
        policy = msgspec.json.decode(document, type=Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"It is no IAM policy: {error}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise PolicyError("It is no JSON.") from None
    check_policy(policy)
    return policy


def check_policy(policy: Policy) -> None:
    """Raise `PolicyError` where a policy is too large, or its groups are none."""
    if len(policy.bindings) > MAX_BINDINGS:
        raise PolicyError(f"A policy has at most {MAX_BINDINGS} bindings.")
    groups_of(policy.groups)


def groups_of(listed: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    """Return the members of groups, all as e-mail addresses.

    A member may be written as IAM does, ``user:alice@example.com``. Groups inside groups are not
    followed, so one that is listed is an error. Raises `PolicyError`.
    """
    if len(listed) > MAX_GROUPS:
        raise PolicyError(f"There are at most {MAX_GROUPS} groups.")
    groups: dict[str, frozenset[str]] = {}
    for name, members in listed.items():
        group = email_address(name.removeprefix(GROUP))
        if group is None or group in groups:
            raise PolicyError(f"{_shown(name)} is no e-mail address of a group, or is there twice.")
        people = frozenset(_person(member) for member in members)
        groups[group] = people
    for group, people in groups.items():
        if people & groups.keys():
            raise PolicyError(f"{group} has a group as a member; list the people who are in it.")
    return groups


def check_project(project: str) -> None:
    """Raise `PolicyError` where a text cannot be the id of a project."""
    if (
        not project
        or len(project) > MAX_PROJECT_CHARS
        or not project.isprintable()
        or any(character in ":/" or character.isspace() for character in project)
    ):
        raise PolicyError(f"{_shown(project)} is no id of a project.")


def _person(member: str) -> str:
    person = email_address(member.removeprefix(USER))
    if person is None:
        raise PolicyError(f"{_shown(member)} is no e-mail address of a person.")
    return person


def _shown(text: str) -> str:
    return ascii(text[:_MAX_SHOWN_CHARS])
