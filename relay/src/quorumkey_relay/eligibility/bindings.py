"""The role bindings of one project, looked up by who is in them.

A policy is what ``gcloud projects get-iam-policy PROJECT --format json`` prints: a list of
``bindings``, each a role, its members and maybe a condition. Principals are written as there,
``user:alice@example.com``, in lower case. Only people and groups are: what else IAM knows, such as
``allUsers``, a domain, or somebody who was deleted, activates nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.domain.jit.entitlement import (
    Entitlement,
    EntitlementError,
    EntitlementId,
    Listing,
    TemporaryAccess,
)
from quorumkey_relay.eligibility.condition import read_condition, read_temporary
from quorumkey_relay.identity.email_address import email_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quorumkey_relay.domain.jit.entitlement import ActivationType

USER: Final = "user:"
GROUP: Final = "group:"


class Expression(msgspec.Struct, frozen=True):
    """The condition of a binding, as IAM writes it."""

    expression: str = ""
    title: str | None = None


class Binding(msgspec.Struct, frozen=True):
    """A role binding, as IAM writes it."""

    role: str = ""
    members: tuple[str, ...] = ()
    condition: Expression | None = None


class _Says(NamedTuple):
    """What an index has of bindings: what they let somebody activate, have, or would if read."""

    eligible: list[Entitlement]
    temporary: list[TemporaryAccess]
    unread: list[str]


class Bindings:
    """The bindings of a project, indexed once."""

    def __init__(self, project: str, bindings: Iterable[Binding]) -> None:
        """Read every condition; what cannot be read makes nobody eligible."""
        self.project = project
        self._says: dict[str, _Says] = {}
        self._holders: dict[EntitlementId, list[Sequence[str]]] = {}
        for binding in bindings:
            if binding.condition is not None:
                self._add(binding, binding.condition)

    @property
    def groups(self) -> frozenset[str]:
        """Return the groups, as principals, whose members a binding lets activate something."""
        return frozenset(
            principal
            for principal, says in self._says.items()
            if principal.startswith(GROUP) and says.eligible
        )

    def is_any(self, principals: Iterable[str]) -> bool:
        """Say whether one of these principals may activate something."""
        return any(says.eligible for says in self._of(principals))

    def listing(self, principals: Iterable[str]) -> Listing:
        """Return what somebody who is all of these principals may activate, and has for a while.

        A role that is eligible alone and with peers is listed once, as the former.
        """
        types: dict[EntitlementId, ActivationType] = {}
        active: set[TemporaryAccess] = set()
        unread: set[str] = set()
        for says in self._of(principals):
            for one in says.eligible:
                if types.get(one.id) != "JIT":
                    types[one.id] = one.activation_type
            active.update(says.temporary)
            unread.update(says.unread)
        return Listing(
            tuple(Entitlement(one, types[one]) for one in sorted(types)),
            tuple(sorted(active, key=lambda one: (one.id, one.start, one.end))),
            tuple(sorted(unread)),
        )

    def is_eligible(
        self,
        principals: Iterable[str],
        entitlement: EntitlementId,
        activation_type: ActivationType,
    ) -> bool:
        """Say whether a binding of this kind names one of these principals."""
        wanted = Entitlement(entitlement, activation_type)
        return any(wanted in says.eligible for says in self._of(principals))

    def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return the principals that may activate this with peers."""
        return frozenset(
            principal for members in self._holders.get(entitlement, ()) for principal in members
        )

    def _of(self, principals: Iterable[str]) -> Iterable[_Says]:
        return (says for one in principals if (says := self._says.get(one)) is not None)

    def _add(self, binding: Binding, condition: Expression) -> None:
        try:
            marked = read_condition(condition.expression)
            if marked.activation_type is None:
                self._add_temporary(binding, condition)
                return
            found = self._id(binding.role, marked.resource_condition)
        except (ConditionError, EntitlementError):
            problem = f"A binding of {binding.role!a} has a condition that cannot be read."
            for says in self._said_of(_principals(binding.members)):
                says.unread.append(problem)
            return
        entitlement = Entitlement(found, marked.activation_type)
        principals = tuple(_principals(binding.members))
        for says in self._said_of(principals):
            says.eligible.append(entitlement)
        if marked.activation_type == "MPA":
            self._holders.setdefault(found, []).append(principals)

    def _add_temporary(self, binding: Binding, condition: Expression) -> None:
        window = read_temporary(condition.title, condition.expression)
        if window is not None:
            found = EntitlementId(self.project, binding.role, window.resource_condition)
            for says in self._said_of(_principals(binding.members)):
                says.temporary.append(TemporaryAccess(found, window.start, window.end))

    def _id(self, role: str, condition: str) -> EntitlementId:
        """Return an id that can be written out and read again; raises `EntitlementError`."""
        found = EntitlementId(self.project, role, condition)
        if EntitlementId.parse(str(found)) != found:
            raise EntitlementError("It cannot be read again.")
        return found

    def _said_of(self, principals: Iterable[str]) -> Iterable[_Says]:
        """Return where to note what a binding says of each of these."""
        for principal in principals:
            says = self._says.get(principal)
            if says is None:
                says = self._says[principal] = _Says([], [], [])
            yield says


def _principals(members: Iterable[str]) -> Iterable[str]:
    """Return the people and groups among the members of a binding."""
    for member in members:
        for kind in (USER, GROUP):
            if member.startswith(kind):
                address = email_address(member.removeprefix(kind))
                if address is not None:
                    yield f"{kind}{address}"
