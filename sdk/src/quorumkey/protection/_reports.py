"""Telling the relay what became of claimed calls, until it has been told."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from quorumkey.client import claims
from quorumkey.errors import ClientError, RateLimitedError, RelayError, TransportError
from quorumkey.protection.errors import ResultNotReportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Literal

    from quorumkey.client.claims import ClaimState
    from quorumkey.protection._relay import Relay

__all__ = ["Reports"]

_LOG: Final = logging.getLogger("quorumkey.protection")
#: After so many seconds a result that was not taken is tried again.
_AGAIN_SECONDS: Final = 10.0
#: What is still to be told when a guard closes is given so many seconds.
_CLOSING_SECONDS: Final = 5.0


class Reports:
    """The results that are on their way; each is sent to its end, whoever stops waiting for it."""

    def __init__(
        self, relay: Relay, *, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Tell this relay."""
        self._relay = relay
        self._now = now
        self._sleep = sleep
        self._closed = False
        self._sending: set[asyncio.Task[None]] = set()
        self._repeating: set[asyncio.Task[None]] = set()

    async def report(
        self, claim: ClaimState, result: Literal["ok", "error"], result_digest: str | None
    ) -> None:
        """Tell it, and where it cannot be told now, go on in the background.

        Raises:
            ResultNotReportedError: it was not told yet, or will not have it.
        """
        task = _start(self._sending, self._tell(claim, result, result_digest))
        await asyncio.shield(task)

    def report_later(self, claim: ClaimState, result: Literal["ok", "error"]) -> None:
        """Tell it without waiting."""
        _start(self._sending, self._tell(claim, result, None))

    async def close(self) -> None:
        """Give what is on its way a little more time, and up what had to be tried again."""
        self._closed = True
        if self._sending:
            await asyncio.wait(self._sending, timeout=_CLOSING_SECONDS)
        left = [*self._sending, *self._repeating]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _tell(
        self, claim: ClaimState, result: Literal["ok", "error"], result_digest: str | None
    ) -> None:
        call = claims.settle(claim.claim_id, result, result_digest)
        try:
            await self._relay.ask(call)
        except ClientError as error:
            failure = ResultNotReportedError(claim.txid, claim.claim_id, result, str(error))
            _LOG.error("%s", failure)
            passing = isinstance(error, (TransportError, RelayError, RateLimitedError))
            if passing and not self._closed:
                _start(self._repeating, self._again(claim, result, result_digest))
            raise failure from error
        except asyncio.CancelledError:
            why = "the service was stopped before the relay answered."
            _LOG.error("%s", ResultNotReportedError(claim.txid, claim.claim_id, result, why))
            raise

    async def _again(
        self, claim: ClaimState, result: Literal["ok", "error"], result_digest: str | None
    ) -> None:
        call = claims.settle(claim.claim_id, result, result_digest)
        while self._now() < claim.result_by:
            await self._sleep(_AGAIN_SECONDS)
            try:
                await self._relay.ask_once(call)
            except (TransportError, RelayError, RateLimitedError):
                continue
            except ClientError as error:
                _LOG.error(
                    "The result %s of %s (claim %s) was refused: %s",
                    result,
                    claim.txid,
                    claim.claim_id,
                    error,
                )
                return
            _LOG.info(
                "The result %s of %s (claim %s) was taken.", result, claim.txid, claim.claim_id
            )
            return


def _start(kept: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    kept.add(task)
    task.add_done_callback(partial(_done, kept))
    return task


def _done(kept: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    kept.discard(task)
    if not task.cancelled():
        task.exception()  # logged where it happened; asyncio need not say that nobody asked
