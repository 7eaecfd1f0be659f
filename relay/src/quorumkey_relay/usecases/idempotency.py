"""Idempotency keys: the first answer again for the same body (PROTOCOL §5)."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.records import IdempotentAnswer
from quorumkey_relay.store.writes import KeepAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit

ANSWER_LIFETIME_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The caller's key for a call of ``path`` and the SHA-256 of the body's bytes."""

    path: str
    key: str
    body_digest: bytes


OTHER_BODY = Refusal(
    "idempotency_conflict", "This Idempotency-Key was used with another body; take a new key."
)
STILL_RUNNING = Refusal(
    "idempotency_conflict", "The first call with this Idempotency-Key is still running; try again."
)


class Idempotent:
    """Runs a creating call once a key; success is kept with the call's own commit."""

    def __init__(self, store: Store) -> None:
        """Keep answers in ``store``."""
        self._store = store
        self._running: set[tuple[str, str, str]] = set()

    async def __call__(
        self,
        claim: Idempotency | None,
        *,
        integrator_id: str,
        now: int,
        create: Callable[[], tuple[bytes, Commit] | Refusal],
    ) -> bytes | Refusal:
        """Return the first answer, or what ``create`` makes, once its commit is durable.

        ``create`` returns the answer and the writes it needs, or why not.
        """
        if claim is None:
            made = create()
            if isinstance(made, Refusal):
                return made
            answer, writes = made
            await self._store.commit(writes)
            return answer
        running = (integrator_id, claim.path, claim.key)
        if running in self._running:
            return STILL_RUNNING
        self._running.add(running)
        committing: asyncio.Future[None] | None = None
        try:
            known = await self._store.answer(
                integrator_id=integrator_id, path=claim.path, key=claim.key
            )
            if known is not None and now < known.created_at + ANSWER_LIFETIME_SECONDS:
                same = hmac.compare_digest(known.body_digest, claim.body_digest)
                return known.answer if same else OTHER_BODY
            made = create()
            if isinstance(made, Refusal):
                return made
            answer, writes = made
            kept = KeepAnswer(_kept(claim, integrator_id, answer, now))
            committing = asyncio.ensure_future(self._store.commit((*writes, kept)))
            # Whoever goes away leaves the commit running: the key is taken until it is done.
            await asyncio.shield(committing)
            return answer
        finally:
            if committing is None or committing.done():
                self._running.discard(running)
            else:
                committing.add_done_callback(lambda _: self._running.discard(running))


def _kept(claim: Idempotency, integrator_id: str, answer: bytes, now: int) -> IdempotentAnswer:
    return IdempotentAnswer(
        integrator_id=integrator_id,
        path=claim.path,
        key=claim.key,
        body_digest=claim.body_digest,
        answer=answer,
        created_at=now,
    )
