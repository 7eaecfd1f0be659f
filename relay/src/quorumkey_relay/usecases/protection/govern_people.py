"""Administrators, named and removed by administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from quorumkey_relay.domain import protection_rules
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.protection.audit import by_person
from quorumkey_relay.usecases.protection.govern import Change
from quorumkey_relay.usecases.protection.govern_settings import put, told
from quorumkey_relay.usecases.protection.views import AdministratorView
from quorumkey_relay.usecases.protection.votes import able_administrators

if TYPE_CHECKING:
    from quorumkey_relay.usecases.protection.actor import Actor
    from quorumkey_relay.usecases.protection.audit import GoverningKind
    from quorumkey_relay.usecases.protection.govern import Governed, Governor
    from quorumkey_relay.usecases.protection.govern_commands import AdministratorBody
    from quorumkey_relay.usecases.protection.votes import AdministratorVotes

NO_DEVICE: Final = Refusal(
    "not_found", "approver_id: no device is paired for this approver; pair one first."
)
FIRST_ON_THE_HOST: Final = Refusal(
    "failed_precondition",
    "Nobody is an administrator yet; the first is named on the relay's host:"
    " quorumkey-relay admins add.",
)


class AdministratorAnswer(Struct, frozen=True):
    """One administrator."""

    administrator: AdministratorView


class AdministratorsAnswer(Struct, frozen=True):
    """All administrators."""

    administrators: list[AdministratorView]


class NothingAnswer(Struct, frozen=True):
    """No field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernAdministrators:
    """List, add, remove."""

    governor: Governor
    votes: AdministratorVotes

    async def list(self, actor: Actor) -> AdministratorsAnswer | Refusal:
        """Return the administrators, and how many devices of each can approve now."""
        refused = self.governor.may_not(actor)
        if refused is not None:
            return refused
        await self.governor.store.settled()
        integrator_id = actor.integrator.id
        administrators = self.governor.protection(integrator_id).administrators
        return AdministratorsAnswer([self._view(integrator_id, one) for one in administrators])

    async def add(
        self, actor: Actor, body: AdministratorBody
    ) -> Governed[AdministratorAnswer] | Refusal:
        """Name an approver with a paired device an administrator."""
        integrator_id, added = actor.integrator.id, body.approver_id

        def plan() -> Change[AdministratorAnswer] | Refusal:
            before = self.governor.protection(integrator_id)
            if not before.administrators:
                return FIRST_ON_THE_HOST
            after = protection_rules.add_administrator(before, added)
            if isinstance(after, Refusal):
                return after
            if not self.governor.store.directory.devices_of(integrator_id, added):
                return NO_DEVICE
            answer = AdministratorAnswer(self._view(integrator_id, added))
            if after is before:
                return Change((), answer)
            event = told(
                self.governor,
                actor,
                "protection.administrator_added",
                approver=dict(by_person(added)),
            )
            return Change((*put(self.governor, before, after), *event), answer)

        return await self.governor.change(actor, "AddAdministrator", body, plan)

    async def remove(
        self, actor: Actor, body: AdministratorBody
    ) -> Governed[NothingAnswer] | Refusal:
        """Take the role away; not below what is required while protection is on."""
        integrator_id, removed = actor.integrator.id, body.approver_id

        def plan() -> Change[NothingAnswer] | Refusal:
            before = self.governor.protection(integrator_id)
            remaining = tuple(one for one in before.administrators if one != removed)
            able_after = able_administrators(
                self.governor.store.directory, replace(before, administrators=remaining)
            )
            after = protection_rules.remove_administrator(before, removed, able_after=able_after)
            if isinstance(after, Refusal):
                return after
            lost = self.votes.withdrawals(after)
            kind: GoverningKind = "protection.administrator_removed"
            event = told(self.governor, actor, kind, approver=dict(by_person(removed)))
            return Change((*put(self.governor, before, after), *lost, *event), NothingAnswer())

        return await self.governor.change(actor, "RemoveAdministrator", body, plan)

    def _view(self, integrator_id: str, approver_id: str) -> AdministratorView:
        devices = self.governor.store.directory.devices_of(integrator_id, approver_id)
        names = [device.pairings[integrator_id].approver_name for device in devices]
        name: str | UnsetType = UNSET
        if names and names[-1] is not None:
            name = names[-1]
        return AdministratorView(approver_id=approver_id, devices=len(devices), name=name)
