"""The settings and the protected methods, read and changed by those who govern them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec import UNSET, Struct, UnsetType

from quorumkey_relay.domain import protection_rules
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.protection.audit import audit
from quorumkey_relay.usecases.protection.govern import Change
from quorumkey_relay.usecases.protection.govern_commands import EmptyBody
from quorumkey_relay.usecases.protection.open import by
from quorumkey_relay.usecases.protection.views import MethodView, SettingsView
from quorumkey_relay.usecases.protection.votes import able_administrators

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.protection.actor import Actor
    from quorumkey_relay.usecases.protection.audit import GoverningKind
    from quorumkey_relay.usecases.protection.commands import SettingsBody
    from quorumkey_relay.usecases.protection.govern import Governed, Governor
    from quorumkey_relay.usecases.protection.govern_commands import MethodNameBody, ProtectBody

T = TypeVar("T")


class SettingsAnswer(Struct, frozen=True):
    """The settings."""

    settings: SettingsView


class MethodAnswer(Struct, frozen=True):
    """One method."""

    method: MethodView


class MethodsAnswer(Struct, frozen=True):
    """All methods, those of the relay first."""

    methods: list[MethodView]


def put(governor: Governor, before: Protection, after: Protection) -> Commit:
    """Return the write that changes a protection, of which ``before`` may be the default."""
    known = governor.store.directory.protection(before.integrator_id)
    return (PutProtection(known, after),)


def told(governor: Governor, actor: Actor, kind: GoverningKind, **members: JsonValue) -> Commit:
    """Return the event that says who governed."""
    event = audit(
        kind,
        integrator_id=actor.integrator.id,
        subject=actor.integrator.id,
        now=governor.clock.now(),
        mint=governor.mint,
        by=dict(by(actor.caller)),
        **members,
    )
    return (event,)


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernSettings:
    """Get, set, disable."""

    governor: Governor

    async def read(self, actor: Actor) -> SettingsAnswer | Refusal:
        """Return the settings and how many administrators can approve now (B4)."""
        refused = self.governor.may_not(actor)
        if refused is not None:
            return refused
        await self.governor.store.settled()
        return self._view(self.governor.protection(actor.integrator.id))

    async def set(self, actor: Actor, body: SettingsBody) -> Governed[SettingsAnswer] | Refusal:
        """Change the settings that are given (B3, B4, B25)."""

        def plan() -> Change[SettingsAnswer] | Refusal:
            before = self.governor.protection(actor.integrator.id)
            after = protection_rules.set_settings(
                before,
                able=able_administrators(self.governor.store.directory, before),
                enabled=_given(body.enabled),
                required=_given(body.required),
                max_duration_seconds=_given(body.max_duration_seconds),
                execution_expiry_seconds=_given(body.execution_expiry_seconds),
                exclude_api_keys=_given(body.exclude_api_keys),
                count_requestor=_given(body.count_requestor),
            )
            return after if isinstance(after, Refusal) else self._changed(actor, before, after)

        return await self.governor.change(actor, "SetMultipartyApprovalSettings", body, plan)

    async def disable(self, actor: Actor) -> Governed[SettingsAnswer] | Refusal:
        """Turn protection off and keep every other setting (B25)."""

        def plan() -> Change[SettingsAnswer] | Refusal:
            before = self.governor.protection(actor.integrator.id)
            return self._changed(actor, before, protection_rules.disable(before))

        return await self.governor.change(actor, "DisableMultipartyApproval", EmptyBody(), plan)

    def _changed(
        self, actor: Actor, before: Protection, after: Protection
    ) -> Change[SettingsAnswer]:
        if after is before:
            return Change((), self._view(after))
        names = after.settings.__struct_fields__
        changed: dict[str, JsonValue] = {
            name: getattr(after.settings, name)
            for name in names
            if getattr(after.settings, name) != getattr(before.settings, name)
        }
        event = told(self.governor, actor, "protection.settings_changed", settings=changed)
        return Change((*put(self.governor, before, after), *event), self._view(after))

    def _view(self, protection: Protection) -> SettingsAnswer:
        settings = protection.settings
        members = {name: getattr(settings, name) for name in settings.__struct_fields__}
        able = able_administrators(self.governor.store.directory, protection)
        view = SettingsView(**members, administrators=able, revision=protection.revision)
        return SettingsAnswer(view)


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernMethods:
    """List, add, remove, reset; ``fault`` says why a condition cannot be used, None if it can."""

    governor: Governor
    fault: Callable[[str], str | None]

    async def list(self, actor: Actor) -> MethodsAnswer | Refusal:
        """Return every method, and how it is protected (B22)."""
        refused = self.governor.may_not(actor)
        if refused is not None:
            return refused
        await self.governor.store.settled()
        return _methods(self.governor.protection(actor.integrator.id))

    async def add(self, actor: Actor, body: ProtectBody) -> Governed[MethodAnswer] | Refusal:
        """Protect a method, or change the condition of one that is protected (B18, B23)."""
        return await self._change(
            actor,
            "AddMPAProtectedMethod",
            body,
            lambda p: protection_rules.add_method(p, body.method, body.condition, self.fault),
        )

    async def remove(self, actor: Actor, body: MethodNameBody) -> Governed[MethodAnswer] | Refusal:
        """End the protection of a method (B20, B21)."""
        return await self._change(
            actor,
            "RemoveMPAProtectedMethod",
            body,
            lambda p: protection_rules.remove_method(p, body.method),
        )

    async def reset(self, actor: Actor) -> Governed[MethodsAnswer] | Refusal:
        """Restore the defaults and remove what is custom (B24)."""
        method = "ResetMPAProtectedMethods"

        def plan() -> Change[MethodsAnswer] | Refusal:
            before = self.governor.protection(actor.integrator.id)
            after = protection_rules.reset_methods(before)
            if after is before:
                return Change((), _methods(after))
            event = told(self.governor, actor, "protection.methods_reset")
            return Change((*put(self.governor, before, after), *event), _methods(after))

        return await self.governor.change(actor, method, EmptyBody(), plan)

    async def _change(
        self,
        actor: Actor,
        method: str,
        body: ProtectBody | MethodNameBody,
        rule: Callable[[Protection], Protection | Refusal],
    ) -> Governed[MethodAnswer] | Refusal:
        def plan() -> Change[MethodAnswer] | Refusal:
            before = self.governor.protection(actor.integrator.id)
            after = rule(before)
            if isinstance(after, Refusal):
                return after
            view = next(one for one in _methods(after).methods if one.name == body.method)
            answer = MethodAnswer(view)
            if after is before:
                return Change((), answer)
            condition = after.condition(body.method)
            kind: GoverningKind = (
                "protection.method_removed" if condition is None else "protection.method_added"
            )
            event = told(
                self.governor, actor, kind, method=body.method, condition=condition or None
            )
            return Change((*put(self.governor, before, after), *event), answer)

        return await self.governor.change(actor, method, body, plan)


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _methods(protection: Protection) -> MethodsAnswer:
    return MethodsAnswer(
        [
            MethodView(
                name=one.method.name,
                kind=one.method.kind,
                permission=one.method.permission,
                service=one.method.service,
                resolver=one.method.resolver,
                protected=one.protected,
                condition=one.condition,
                mark=one.mark or UNSET,
                drifted=one.drifted,
            )
            for one in protection_rules.listed(protection)
        ]
    )
