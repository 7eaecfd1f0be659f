"""What a check answers: proceed, wait, or run under a claim."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from quorumkey.errors import ConfigurationError
from quorumkey.protection.errors import ApprovalRequired, ResultNotReportedError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from quorumkey.client.claims import ClaimState
    from quorumkey.protected import VerifiedCall
    from quorumkey.protection.models import Transaction

__all__ = ["Claim", "ClaimReports", "Proceed", "Run", "Verdict", "Wait"]


class ClaimReports(Protocol):
    """Tells the relay what became of a claimed call."""

    async def report(
        self, claim: ClaimState, result: Literal["ok", "error"], result_digest: str | None
    ) -> None:
        """See `Claim.complete`."""


class Claim:
    """The right to run a call once, taken before it runs; ``async with`` records what came of it.

    Leaving the block normally records ``ok``, with an exception (a cancellation too) ``error``,
    unless `complete` or `fail` was called inside. A result that cannot be recorded never replaces
    what the block did: it is logged as an error and tried again in the background until the
    relay would no longer take it, or the guard is left. The block can be entered once.

    Attributes:
        claim_id: its id.
        txid: the approval that it used up.
        claimed_at: when, by the relay's clock.
        result_by: until when the relay awaits a result; then the call is ``indeterminate``.
    """

    def __init__(self, state: ClaimState, reports: ClaimReports) -> None:
        """Hold a claim that the relay has given."""
        self._state = state
        self._reports = reports
        self._said = False
        self._entered = False
        self.claim_id = state.claim_id
        self.txid = state.txid
        self.claimed_at = state.claimed_at
        self.result_by = state.result_by

    async def complete(self, result_digest: str | None = None) -> None:
        """Record that the call succeeded; the same again does nothing more.

        Args:
            result_digest: ``sha256:`` and 64 hex digits of what the call answered, for the
                relay's signed execution document.

        Raises:
            ResultNotReportedError: the relay did not take it; it is tried again in the background
                where that can help.
        """
        await self._say("ok", result_digest)

    async def fail(self, result_digest: str | None = None) -> None:
        """Record that the call failed; otherwise as `complete`."""
        await self._say("error", result_digest)

    async def record(self, *, ok: bool) -> None:
        """Record what came of the call as leaving the block does: without raising."""
        try:
            await (self.complete() if ok else self.fail())
        except ResultNotReportedError:
            return  # logged where it happened; what the call did stands

    async def _say(self, result: Literal["ok", "error"], result_digest: str | None) -> None:
        self._said = True
        await self._reports.report(self._state, result, result_digest)

    async def __aenter__(self) -> Self:
        """Begin the one run of the call.

        Raises:
            ConfigurationError: it has begun before, under this very claim.
        """
        if self._entered:
            raise ConfigurationError("A claim is for one run of its call; check the call again.")
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._said:
            await self.record(ok=error is None)


@dataclass(frozen=True, slots=True)
class Proceed:
    """The call may run and needs no approval.

    Attributes:
        reason: ``disabled``, ``api_key_excluded``, ``unprotected`` or ``condition_false``.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The call must not run: it waits for other administrators."""

    transaction: Transaction

    @property
    def txid(self) -> str:
        """The transaction's id, for ``x-mpa-txid``."""
        return self.transaction.txid

    def error(self) -> ApprovalRequired:
        """What to raise for it."""
        return ApprovalRequired(self.transaction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The call may run now, once, under ``claim``.

    Attributes:
        claim: record what came of the call with it.
        transaction: the approval, by the relay's word.
        approval: who approved what, verified offline; None under `UnsafeTrustRelay`.
    """

    claim: Claim = field(repr=False)
    transaction: Transaction
    approval: VerifiedCall | None = field(repr=False)

    @property
    def txid(self) -> str:
        """The transaction's id."""
        return self.transaction.txid


Verdict: TypeAlias = Proceed | Wait | Run
