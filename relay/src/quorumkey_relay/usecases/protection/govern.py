"""Governing protected methods: who may, and the one way by which a governing call takes effect.

The relay protects its own governing methods with the gate of every other: while protection is on, a
call that changes something opens a transaction, and issued again after its approval it is claimed,
takes effect and is recorded in one commit (B20, B25). A call that breaks a rule is refused at once,
so nobody is asked to approve what cannot be done. What the approvers sign is the message with its
defaults filled in (B10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from quorumkey_relay.domain.protection import Protection
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.usecases.protection.gate import GatedCall, Proceed, Waiting
from quorumkey_relay.usecases.protection.govern_commands import normalised
from quorumkey_relay.usecases.protection.message import message_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.protection.actor import Actor, PersonOf
    from quorumkey_relay.usecases.protection.gate import Gate
    from quorumkey_relay.usecases.protection.govern_keys import GovernKeys
    from quorumkey_relay.usecases.protection.govern_people import GovernAdministrators
    from quorumkey_relay.usecases.protection.govern_requests import GovernRequests
    from quorumkey_relay.usecases.protection.govern_settings import GovernMethods, GovernSettings

V = TypeVar("V", bound="Struct")

MAX_CONFLICT_RETRIES: Final = 8
_CLAIM_KEY_BYTES: Final = 32

ADMINISTRATORS_ONLY: Final = Refusal(
    "forbidden", "Only administrators, and API keys of scope admin, govern protected methods."
)
ADMIN_KEYS_ONLY: Final = Refusal(
    "forbidden",
    "This API key has the scope integrator: it checks and claims calls. Governing needs an API key"
    " of scope admin, or the session of an administrator's device.",
)
NOBODY_YET: Final = Refusal(
    "forbidden",
    "Nobody is an administrator yet; the first is named on the relay's host:"
    " quorumkey-relay admins add.",
)


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """What a call would do, and what it answers once that is done."""

    writes: Commit
    view: V


@dataclass(frozen=True, slots=True)
class Governed(Generic[V]):
    """A call that took effect; ``txid`` is the transaction it ran under, if it had to have one."""

    view: V
    txid: str | None = None


def approval_required(txid: str) -> Refusal:
    """Return the refusal of a call that waits."""
    return Refusal(
        "approval_required",
        "This call waits for the approval of other administrators; issue it again then.",
        {"txid": txid},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Governor:
    """Says who may govern, and has changes go through the gate."""

    store: Store
    clock: Clock
    mint: Mint
    gate: Gate

    def protection(self, integrator_id: str) -> Protection:
        """Return an integrator's protection; where nothing was said yet, one that is off."""
        return self.store.directory.protection(integrator_id) or Protection(
            integrator_id=integrator_id
        )

    def may_not(self, actor: Actor) -> Refusal | None:
        """Return why somebody may not govern; None where they may."""
        if not actor.is_person:
            return None if actor.scope == "admin" else ADMIN_KEYS_ONLY
        protection = self.protection(actor.integrator.id)
        if protection.is_administrator(actor.caller.id):
            return None
        return ADMINISTRATORS_ONLY if protection.administrators else NOBODY_YET

    async def change(
        self, actor: Actor, method: str, message: Struct, plan: Callable[[], Change[V] | Refusal]
    ) -> Governed[V] | Refusal:
        """Have a call take effect as soon as it may.

        ``plan`` says what the call does as things stand at that moment. Raises ``ProtocolError``
        and ``StoreUnavailable``.
        """
        attempt = _Attempt(self, actor, plan)
        refused = attempt.effect()
        if isinstance(refused, Refusal):
            return refused
        call = GatedCall(
            integrator=actor.integrator,
            method=method,
            caller=actor.caller,
            message=message_of(normalised(message)),
            executor="builtin",
            claim_key=self.mint.random(_CLAIM_KEY_BYTES).hex(),
        )
        for _ in range(MAX_CONFLICT_RETRIES):
            entered = await self.gate.enter(call, effect=attempt.effect)
            if isinstance(entered, Refusal):
                return entered
            if isinstance(entered, Waiting):
                return approval_required(entered.transaction.request_id)
            if not isinstance(entered, Proceed):
                return Governed(attempt.view, entered.transaction.request_id)
            done = await self._proceed(attempt, entered)
            if done is not None:
                return done
        reason = f"the protection of {actor.integrator.id} keeps changing"
        raise StoreUnavailable(reason)

    async def _proceed(
        self, attempt: _Attempt[V], entered: Proceed
    ) -> Governed[V] | Refusal | None:
        """Do what needs no approval; None where the gate's word is not in force any more."""
        if self.protection(attempt.actor.integrator.id).revision != entered.revision:
            return None
        writes = attempt.effect()
        if isinstance(writes, Refusal):
            return writes
        try:
            await self.store.commit(writes)
        except Conflict:
            return None
        return Governed(attempt.view)


class _Attempt(Generic[V]):
    """One call on its way: what it would do is worked out anew whenever things may have changed."""

    def __init__(
        self, governor: Governor, actor: Actor, plan: Callable[[], Change[V] | Refusal]
    ) -> None:
        self.actor = actor
        self._governor = governor
        self._plan = plan
        self._changes: list[Change[V]] = []

    def effect(self) -> Commit | Refusal:
        """Return the writes of the call, or why it cannot be done, as things stand now."""
        change = self._governor.may_not(self.actor) or self._plan()
        if isinstance(change, Refusal):
            return change
        self._changes.append(change)
        return change.writes

    @property
    def view(self) -> V:
        """Return what the call answers: that of the writes that were asked for last."""
        return self._changes[-1].view


@dataclass(frozen=True, slots=True, kw_only=True)
class Govern:
    """Everything that the governing service does, by what it is about."""

    person: PersonOf
    settings: GovernSettings
    methods: GovernMethods
    keys: GovernKeys
    administrators: GovernAdministrators
    requests: GovernRequests
