"""A gated call becomes an approval request of profile ``protected_method`` (B2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.protocol import (
    Action,
    Hidden,
    Party,
    Policy,
    ProtectedCall,
    RequestDocument,
    b64encode,
)
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import Transaction
from quorumkey_relay.store.writes import OpenTransaction
from quorumkey_relay.usecases.opening import NONCE_BYTES, opening, sealed
from quorumkey_relay.usecases.protection.audit import audit
from quorumkey_relay.usecases.protection.panel import panel
from quorumkey_relay.usecases.protection.waiting import waiting_limit
from quorumkey_relay.usecases.rules import check_devices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import Group, JsonValue
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.transactions import Caller
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.protection.gate import GatedCall


@dataclass(frozen=True, slots=True)
class Opened:
    """A transaction that is about to begin: commit ``writes``."""

    transaction: Transaction
    stored: Stored
    writes: Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProtectedCall:
    """Writes and signs the request document of a gated call."""

    store: Store
    mint: Mint
    keys: RelayKeys
    plan: DeliveryPlan

    def __call__(
        self, call: GatedCall, protection: Protection, *, condition: str, match_key: bytes, now: int
    ) -> Opened | Refusal:
        """Return the transaction of a call, or why none can be opened; nothing is written yet."""
        busy = waiting_limit(call, self.store, now=now)
        if busy is not None:
            return busy
        settings = protection.settings
        requester = call.caller.id if call.caller.kind == "person" else None
        counts = (
            settings.count_requestor
            and requester is not None
            and protection.is_administrator(requester)
        )
        required = settings.required - 1 if counts else settings.required
        groups = panel(
            protection, self.store.directory, requester=requester, others_needed=required
        )
        if isinstance(groups, Refusal):
            return groups
        protected_call = protected_call_of(call)
        document = self._document(
            call, protection, protected_call.action(condition), groups, required, now
        )
        persons = check_devices(document, self.store.directory)
        if isinstance(persons, Refusal):
            return persons
        stored = sealed(document, persons=persons, key=self.keys.current(now))
        transaction = Transaction(
            request_id=document.request_id,
            integrator_id=call.integrator.id,
            method=call.method,
            caller=call.caller,
            match_key=match_key,
            request_digest=call.message.digest,
            resource_digest=protected_call.resource_binding,
            condition=condition,
            required=settings.required,
            requester_counts=counts,
            execution_expiry_seconds=settings.execution_expiry_seconds,
            created_at=now,
            executor=call.executor,
        )
        return Opened(transaction, stored, self._writes(transaction, stored, now))

    def _writes(self, transaction: Transaction, stored: Stored, now: int) -> Commit:
        requested = audit(
            "protected_method.requested",
            integrator_id=transaction.integrator_id,
            subject=transaction.request_id,
            now=now,
            mint=self.mint,
            method=transaction.method,
            by=by(transaction.caller),
        )
        request = opening(stored, plan=self.plan, now=now)
        return (request[0], OpenTransaction(transaction), *request[1:], requested)

    def _document(  # noqa: PLR0913, PLR0917 - what a document is made of
        self,
        call: GatedCall,
        protection: Protection,
        action: Action,
        groups: tuple[Group, ...],
        required: int,
        now: int,
    ) -> RequestDocument:
        settings, caller = protection.settings, call.caller
        expires_at = now + settings.max_duration_seconds
        return RequestDocument(
            profile="protected_method",
            relay=self.keys.current(now).public_key.fingerprint,
            integrator=Party(call.integrator.id, call.integrator.name),
            request_id=self.mint.uuid7(),
            nonce=b64encode(self.mint.random(NONCE_BYTES)),
            requester=Party(caller.id, caller.name) if caller.kind == "person" else None,
            action=action,
            policy=Policy(required=required, groups=groups),
            created_at=now,
            expires_at=expires_at,
            use_by=expires_at + settings.execution_expiry_seconds,
        )


def protected_call_of(call: GatedCall) -> ProtectedCall:
    """Return a call as its approvers see and sign it."""
    message, caller = call.message, call.caller
    return ProtectedCall(
        method=call.method,
        caller_kind=caller.kind,
        caller_id=caller.id,
        caller_name=caller.name,
        request=message.view if message.is_seen else Hidden(message.size),
        request_binding=message.digest,
        resource=call.resource,
        resource_failed=call.resource_failed,
    )


def by(caller: Caller) -> Mapping[str, JsonValue]:
    """Return who called, as events say it."""
    return {"kind": caller.kind, "id": caller.id}
