"""How a request for a role ends without a role: denied, or taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.jit.request import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.observe import logs
from quorumkey_relay.store.writes import PutAccessRequest, PutMail
from quorumkey_relay.usecases.advance import advance
from quorumkey_relay.usecases.jit.events import request_event
from quorumkey_relay.usecases.jit.letters import queued
from quorumkey_relay.usecases.jit.ports import MailFailed

if TYPE_CHECKING:
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit, Write
    from quorumkey_relay.usecases.jit.ports import Letters

#: For so long after a denial somebody is still told of it by e-mail.
TELL_WITHIN_SECONDS: Final = 86_400

log = logs.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """Makes the writes by which a request ends, and by which people and integrators are told."""

    store: Store
    mint: Mint
    plan: DeliveryPlan
    letters: Letters | None

    def denied(self, request: AccessRequest, reviewer: str, now: int) -> Commit:
        """Return what tells of a denial that has ended a request."""
        told: list[Write] = [
            request_event("jit.denied", request, now=now, mint=self.mint, by=(reviewer,))
        ]
        if self.letters is not None:
            try:
                letter = self.letters.denied(request, reviewer=reviewer, now=now)
            except MailFailed:
                log.warning("jit_mail_unaddressed", access_request=request.id)
            else:
                mail = queued(
                    letter,
                    request,
                    mail_id=self.mint.uuid7(),
                    now=now,
                    not_after=now + TELL_WITHIN_SECONDS,
                )
                told.append(PutMail(mail))
        return tuple(told)

    async def withdrawn(
        self, request: AccessRequest, now: int
    ) -> tuple[AccessRequest, Commit] | Refusal:
        """Return a request that its beneficiary takes back, with the writes; while it waits.

        Its devices are told, as those of any request that is cancelled.
        """
        signed: Commit = ()
        status = None
        if request.request_id is not None:
            stored = await self.store.load(request.request_id)
            if stored is not None:
                status = lifecycle.status_at(stored.terms, stored.state, now)
                outcome = lifecycle.cancel(stored.terms, stored.state, now)
                if outcome.events:
                    signed = advance(
                        stored, outcome.events, now=now, mint=self.mint, plan=self.plan
                    )[1]
        stands = status_at(request, status, now)
        if stands is not Status.PENDING:
            return lifecycle.request_completed(stands)
        after = replace(request, withdrawn_at=now, closed_at=now, version=request.version + 1)
        told = request_event(
            "jit.withdrawn", after, now=now, mint=self.mint, by=(request.beneficiary,)
        )
        return after, (*signed, PutAccessRequest(request, after), told)
