"""How a claim ends, as the relay signs it, and how an approval lapses."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from quorumkey.protocol import Execution, Kind, sign
from quorumkey_relay.domain.transactions import Withdrawal
from quorumkey_relay.store.writes import WithdrawTransaction
from quorumkey_relay.usecases.protection.audit import audit
from quorumkey_relay.usecases.protection.open import by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.domain.model import Terms
    from quorumkey_relay.domain.transactions import Claim, ClaimResult, Transaction
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.protection.audit import CallKind


#: Why an approval lapsed whose votes count no more.
VOTES_LOST: Final = "votes_lost"
#: Why one lapsed that nobody executed.
NOT_CLAIMED: Final = "not_claimed_in_time"


def settled_claim(  # noqa: PLR0913 - what a result is made of
    claim: Claim,
    terms: Terms,
    result: ClaimResult,
    *,
    keys: RelayKeys,
    now: int,
    result_digest: str | None = None,
) -> Claim:
    """Return a claim with its result and the signed execution document of its request.

    Nobody knows when, or whether, an ``indeterminate`` one was completed.
    """
    completed_at = None if result == "indeterminate" else max(now, claim.claimed_at)
    execution = Execution(
        request_digest=terms.digest,
        claim_id=claim.claim_id,
        claimed_at=claim.claimed_at,
        completed_at=completed_at,
        result=result,
        result_digest=result_digest,
    )
    envelope = sign(Kind.EXECUTION, execution.encode(), keys.current(now))
    return replace(
        claim,
        completed_at=completed_at,
        result=result,
        result_digest=result_digest,
        execution=envelope.encode(),
    )


_KINDS: Final[Mapping[ClaimResult, CallKind]] = MappingProxyType(
    {
        "ok": "protected_method.executed",
        "error": "protected_method.failed",
        "indeterminate": "protected_method.indeterminate",
    }
)


async def told_of_result(store: Store, claim: Claim, *, mint: Mint, now: int) -> Commit:
    """Return the event of a protected method's result; that of a plain approval has none."""
    transaction = await store.transaction(claim.request_id)
    if transaction is None or claim.result is None:
        return ()
    return (
        audit(
            _KINDS[claim.result],
            integrator_id=claim.integrator_id,
            subject=claim.request_id,
            now=now,
            mint=mint,
            method=transaction.method,
            by=None if claim.result == "indeterminate" else by(transaction.caller),
            claim_id=claim.claim_id,
        ),
    )


def lapse(transaction: Transaction, reason: str, *, at: int, mint: Mint) -> Commit:
    """Return the writes by which an approval ends that nobody has claimed."""
    withdrawal = Withdrawal(at=at, outcome="lapsed", reason=reason)
    return (
        WithdrawTransaction(transaction.request_id, withdrawal),
        audit(
            "protected_method.lapsed",
            integrator_id=transaction.integrator_id,
            subject=transaction.request_id,
            now=at,
            mint=mint,
            method=transaction.method,
            reason=reason,
        ),
    )
