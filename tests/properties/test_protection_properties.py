"""Whatever is done to a protection, in whatever order: what must hold of it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quorumkey_relay.domain import protection_rules as rules
from quorumkey_relay.domain.protection import (
    GOVERNING_METHODS,
    Method,
    MethodKind,
    Permission,
    Protection,
)
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection

NAMES = ["Kill", "CreateRule", "Rename", "Ping", "CreateAPIKey"]
SERVICES = ["workshop", "other", "relay"]
PEOPLE = ["alice", "bob", "carol"]
CONDITIONS = ["", "true", "request.x", "!"]

names = st.sampled_from(NAMES)
people = st.sampled_from(PEOPLE)
conditions = st.sampled_from(CONDITIONS)
methods = st.builds(
    Method,
    name=names,
    kind=st.sampled_from(get_args(MethodKind)),
    permission=st.sampled_from(get_args(Permission)),
    default_condition=conditions,
    service=st.just("workshop"),
)


def check(condition: str) -> str | None:
    """What conditions are checked with."""
    return "it does not parse." if "!" in condition else None


def strength(protection: Protection) -> dict[str, str | None]:
    """Under which condition each method waits."""
    every = {*protection.methods, *protection.protected, *GOVERNING_METHODS}
    return {name: protection.condition(name) for name in every}


class Governing(RuleBasedStateMachine):
    """One integrator's protection, governed at random."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Protection(integrator_id="acme")
        self.able: set[str] = set(PEOPLE)

    def take(self, answer: Protection | Refusal) -> Refusal | None:
        """Take a change in: every one is one revision, and the same value is none."""
        if isinstance(answer, Refusal):
            return answer
        changed = answer != self.now
        assert answer.revision == self.now.revision + changed
        assert changed or answer is self.now
        assert answer.integrator_id == self.now.integrator_id
        self.now = answer
        return None

    def able_of(self, administrators: Collection[str]) -> int:
        """How many of them have a device."""
        return len(self.able & set(administrators))

    @rule(person=people)
    def a_device_comes_or_goes(self, person: str) -> None:
        """An administrator becomes able to approve, or unable; nothing else changes."""
        self.able ^= {person}

    @rule(
        enabled=st.none() | st.booleans(),
        required=st.none() | st.integers(0, 4),
        count=st.none() | st.booleans(),
        seconds=st.none() | st.sampled_from([0, 60, 86_400]),
    )
    def set_settings(
        self,
        enabled: bool | None,  # noqa: FBT001 - hypothesis passes by name
        required: int | None,
        count: bool | None,  # noqa: FBT001 - hypothesis passes by name
        seconds: int | None,
    ) -> None:
        """Change settings; what asks for more approvers needs them."""
        before = self.now
        able = self.able_of(before.administrators)
        refused = self.take(
            rules.set_settings(
                before,
                able=able,
                enabled=enabled,
                required=required,
                count_requestor=count,
                max_duration_seconds=seconds,
            )
        )
        turned_on = self.now.settings.enabled and not before.settings.enabled
        raised = self.now.settings.required > before.settings.required
        assert (
            refused is not None or not (turned_on or raised) or able >= (self.now.settings.required)
        )
        assert strength(before) == strength(self.now)

    @rule()
    def disable(self) -> None:
        """Only whether protection is on changes."""
        before = self.now
        self.take(rules.disable(before))
        assert not self.now.settings.enabled
        self.take(rules.set_settings(self.now, able=9, enabled=before.settings.enabled))
        assert before.settings == self.now.settings
        self.take(rules.disable(self.now))

    @rule(name=names, condition=conditions)
    def add(self, name: str, condition: str) -> None:
        """What was added waits under that condition; nothing else changes."""
        before = strength(self.now)
        if self.take(rules.add_method(self.now, name, condition, check)) is None:
            assert strength(self.now) == {**before, name: condition}

    @rule(name=names)
    def remove(self, name: str) -> None:
        """What was removed waits no more; nothing else changes."""
        before = strength(self.now)
        if self.take(rules.remove_method(self.now, name)) is None:
            assert {name: text for name, text in before.items() if text is not None} == {
                **{name: text for name, text in strength(self.now).items() if text is not None},
                name: before[name],
            }

    @rule()
    def reset(self) -> None:
        """No custom method is left, and no default has drifted or is missing."""
        self.take(rules.reset_methods(self.now))
        listed = rules.listed(self.now)
        kinds = {name: one.kind for name, one in self.now.methods.items()}
        assert not any(one.mark == "custom" or one.drifted for one in listed)
        assert all(one.protected for one in listed if kinds.get(one.method.name) == "default")

    @rule(service=st.sampled_from(SERVICES), offered=st.lists(methods, max_size=4))
    def register(self, service: str, offered: list[Method]) -> None:
        """While protection is on, no call that waited is let through by a catalogue."""
        before = strength(self.now)
        if self.take(rules.register(self.now, service, offered, check)) is not None:
            return
        assert self.now is rules.register(self.now, service, offered, check)
        if self.now.settings.enabled:
            after = strength(self.now)
            for name, condition in before.items():
                assert condition is None or after[name] in {condition, ""}

    @rule(person=people)
    def add_administrator(self, person: str) -> None:
        """Naming one takes no other's role."""
        before = set(self.now.administrators)
        self.take(rules.add_administrator(self.now, person))
        assert {*before, person} == set(self.now.administrators)

    @precondition(lambda self: self.now.administrators)
    @rule(data=st.data())
    def remove_administrator(self, data: st.DataObject) -> None:
        """While protection is on, enough who can approve are left."""
        person = data.draw(st.sampled_from(self.now.administrators))
        rest = set(self.now.administrators) - {person}
        able = self.able_of(rest)
        refused = self.take(rules.remove_administrator(self.now, person, able_after=able))
        settings = self.now.settings
        assert refused is not None or not settings.enabled or able >= settings.required

    @invariant()
    def governing_methods_always_wait(self) -> None:
        """Whatever is done, they wait at every call, and are nobody else's."""
        assert {self.now.condition(name) for name in GOVERNING_METHODS} == {""}
        assert not set(GOVERNING_METHODS) & {*self.now.methods, *self.now.protected}

    @invariant()
    def what_is_protected_may_be(self) -> None:
        """Only eligible methods of the catalogue are, each under a condition that is usable."""
        for name, condition in self.now.protected.items():
            method = self.now.methods[name]
            assert method.kind in {"default", "eligible"}
            assert method.permission == "write"
            assert check(condition) is None
        assert set(self.now.seeded) <= set(self.now.methods)

    @invariant()
    def bounds_hold(self) -> None:
        """At least two approvers, and durations of at least a minute."""
        assert self.now.settings.required >= 2
        assert self.now.settings.max_duration_seconds >= 60
        assert len(set(self.now.administrators)) == len(self.now.administrators)


TestGoverning = Governing.TestCase
