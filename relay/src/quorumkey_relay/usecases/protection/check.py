"""A service asks whether a call may run: ``POST /v1/protection/check``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UnsetType

from quorumkey_relay.domain.protection import GOVERNING_METHODS
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.usecases.protection.claims import claim_view
from quorumkey_relay.usecases.protection.gate import GatedCall, Proceed, Running
from quorumkey_relay.usecases.protection.message import (
    check_caller,
    check_claim_key,
    check_method,
    read_message,
)
from quorumkey_relay.usecases.protection.transactions import transaction_view
from quorumkey_relay.usecases.protection.views import ProceedView, RunView, WaitView

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.protection.commands import CheckBody
    from quorumkey_relay.usecases.protection.evidence import RecentVotes
    from quorumkey_relay.usecases.protection.gate import Gate, Waiting
    from quorumkey_relay.usecases.protection.receipts import RecentReceipts
    from quorumkey_relay.usecases.protection.views import Verdict

#: Or a service could have administrators approve, in somebody's name, what only the relay does.
THE_RELAYS_OWN: Final = Refusal(
    "invalid_request", "method: this is a method of the relay itself; call it at the relay."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCall:
    """Takes a call to the gate, and says what came of it."""

    clock: Clock
    gate: Gate
    votes: RecentVotes
    receipts: RecentReceipts

    async def __call__(self, *, integrator: Integrator, body: CheckBody) -> Verdict | Refusal:
        """Return whether the call may run, and under which claim; what is said is durable.

        Raises ``ProtocolError`` for a malformed member, and ``StoreUnavailable``.
        """
        name = body.caller.name
        caller = Caller(
            body.caller.kind, body.caller.id, None if isinstance(name, UnsetType) else name
        )
        check_method(body.method)
        check_caller(caller)
        check_claim_key(body.claim_key)
        if body.method in GOVERNING_METHODS:
            return THE_RELAYS_OWN
        outcome = await self.gate.enter(
            GatedCall(
                integrator=integrator,
                method=body.method,
                caller=caller,
                message=read_message(body.request),
                claim_key=body.claim_key,
                resource=None if isinstance(body.resource, UnsetType) else body.resource,
                resource_failed=body.resource_failed,
            )
        )
        if isinstance(outcome, Refusal):
            return outcome
        if isinstance(outcome, Proceed):
            return ProceedView(outcome.reason, outcome.revision)
        return await self._view(outcome)

    async def _view(self, outcome: Waiting | Running) -> WaitView | RunView:
        stored, now = outcome.stored, self.clock.now()
        evidence = await self.votes.of(stored)
        view = transaction_view(outcome.transaction, stored, evidence, now=now)
        if not isinstance(outcome, Running):
            return WaitView(view, outcome.revision)
        receipt = self.receipts.of(stored, evidence, now=now)
        return RunView(
            claim=claim_view(outcome.claim, now),
            transaction=view,
            receipt=msgspec.Raw(receipt),
            revision=outcome.revision,
        )
