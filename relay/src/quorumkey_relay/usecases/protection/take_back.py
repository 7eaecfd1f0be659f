"""An approval is taken back before anybody has acted on it (B5, B8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from quorumkey.protocol import TransactionState
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import Withdrawal, state_at
from quorumkey_relay.store.writes import PutDevice, WithdrawTransaction
from quorumkey_relay.usecases.protection.audit import audit, by_person
from quorumkey_relay.usecases.views import DecisionView

if TYPE_CHECKING:
    from quorumkey.protocol import Decision, Verified
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Write

#: Why an approval ended that a person took back.
DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """Ends an approval by a denial: its requester cancels it, another administrator rejects it.

    The request stays approved, as its signed votes say; what ends is the right to act on it. The
    denial is kept as evidence.
    """

    store: Store
    mint: Mint

    async def __call__(  # noqa: PLR0913 - what a denial is judged by
        self,
        stored: Stored,
        device: Device,
        verified: Verified[Decision],
        *,
        standing: lifecycle.Standing,
        outcome: Literal["cancelled", "rejected"],
        now: int,
    ) -> DecisionView | Refusal:
        """Return how the call stands after the denial, or why it is too late or not admitted.

        The same person's denial again is answered again. Raises ``Conflict`` where the approval
        was claimed or taken back meanwhile, and ``StoreUnavailable``.
        """
        terms = stored.terms
        person = terms.seats[device.fingerprint].person
        transaction = await self.store.transaction(terms.request_id)
        if transaction is None:
            return lifecycle.request_completed(Status.APPROVED)
        ended = transaction.withdrawal
        if ended is not None and ended.by == person:
            await self.store.settled()
            return _view(stored, outcome)
        stands = state_at(transaction, terms, stored.state, now)
        if stands is not TransactionState.APPROVED:
            await self.store.settled()
            return _too_late(stands)
        refused = lifecycle.admit_withdrawal(terms, stored.state, verified, standing, now)
        if refused is not None:
            return refused
        told = audit(
            "protected_method.cancelled" if outcome == "cancelled" else "protected_method.rejected",
            integrator_id=terms.integrator_id,
            subject=terms.request_id,
            now=now,
            mint=self.mint,
            method=transaction.method,
            by=by_person(person),
            reason=DENIED,
        )
        withdrawal = Withdrawal(
            at=now,
            outcome=outcome,
            reason=DENIED,
            by=person,
            envelope=verified.envelope.encode(),
        )
        await self.store.commit(
            (
                WithdrawTransaction(terms.request_id, withdrawal),
                told,
                *counter(device, verified),
            )
        )
        return _view(stored, outcome)


def counter(device: Device, verified: Verified[Decision]) -> tuple[Write, ...]:
    """Return the write that stores a passkey's new counter, in the commit that used it."""
    if not verified.sign_count:
        return ()
    return (PutDevice(replace(device, sign_count=verified.sign_count)),)


def _too_late(stands: TransactionState) -> Refusal:
    return Refusal(
        "request_completed",
        f"This approval is {stands} already.",
        {"status": "approved", "state": str(stands)},
    )


def _view(stored: Stored, outcome: Literal["cancelled", "rejected"]) -> DecisionView:
    return DecisionView(
        status=outcome,
        groups_satisfied_count=len(stored.state.satisfied),
        groups_required=stored.terms.required,
        decision="deny",
    )
