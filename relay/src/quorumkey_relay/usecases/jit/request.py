"""A person asks peers for a role (C17 to C23)."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from msgspec.structs import replace

from quorumkey.errors import ProtocolError
from quorumkey_relay.domain.jit.request import ID_PREFIX, ID_RANDOM_BYTES, AccessRequest
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutAccessRequest
from quorumkey_relay.usecases.jit.activate import NO_EXECUTOR
from quorumkey_relay.usecases.jit.events import request_event
from quorumkey_relay.usecases.jit.ports import MailFailed
from quorumkey_relay.usecases.jit.rules import (
    duration_of,
    entitlement_of,
    justification_of,
    reviewers_of,
    shown_activation,
)
from quorumkey_relay.usecases.jit.shown import standing_of

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.jit.audit import Trail
    from quorumkey_relay.usecases.jit.commands import AccessRequestBody
    from quorumkey_relay.usecases.jit.eligible import Eligible
    from quorumkey_relay.usecases.jit.links import Links
    from quorumkey_relay.usecases.jit.ports import Executors, JitRules, Letters, Mailer, Person
    from quorumkey_relay.usecases.jit.shown import AccessViews
    from quorumkey_relay.usecases.jit.signed import OpenSignedRequest
    from quorumkey_relay.usecases.jit.views import AccessRequestView

#: How many requests of one person can be pending at once.
MAX_PENDING_REQUESTS: Final = 20
#: How many requests of one person are told to reviewers within an hour, also if they are withdrawn.
MAX_REQUESTS_AN_HOUR: Final = 60
SECONDS_PER_HOUR: Final = 3_600
#: The longest link that reviewers are sent; proxies commonly take 8 KiB in a request line.
MAX_LINK_CHARS: Final = 8_000

NO_NOTIFICATION = Refusal(
    "not_configured",
    "The multi-party approval feature is not available because the server-side configuration is"
    " incomplete.",
)
MAIL_FAILED = Refusal(
    "backend_failed",
    "The reviewers could not be sent an e-mail, so nothing was requested; try again later.",
)
TOO_LONG = Refusal(
    "invalid_request", "peers: the link for so many reviewers is too long; choose fewer."
)
TOO_MANY: Final = f"You have {MAX_PENDING_REQUESTS} requests that wait already; withdraw one first."
TOO_OFTEN: Final = f"You have made {MAX_REQUESTS_AN_HOUR} requests within an hour; try again later."


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAccess:
    """Checks what is asked for, tells the reviewers, and writes the request down.

    The e-mail goes out before anything is written: where it cannot, there is no request either.
    The same request again, while it waits, is answered with the one that is there.
    """

    store: Store
    clock: Clock
    mint: Mint
    rules: JitRules
    eligible: Eligible
    executors: Executors
    open_signed: OpenSignedRequest
    links: Links
    views: AccessViews
    letters: Letters | None
    mailer: Mailer | None
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary[str, asyncio.Lock], init=False
    )

    async def __call__(
        self, person: Person, project: str, body: AccessRequestBody, trail: Trail
    ) -> AccessRequestView | Refusal:
        """Return the request as who asks sees it, or the rule that is broken."""
        trail.about(justification=body.justification)
        if not self._notifies():
            return NO_NOTIFICATION
        # Who asks twice at the same time has one request, as who asks one after the other.
        turn = self._turns.setdefault(person.email, asyncio.Lock())
        async with turn:
            return await self._ask(person, project, body, trail)

    def _notifies(self) -> bool:
        """Say whether reviewers can hear of a request (C23)."""
        by_push = self.rules.notifies_by_push and self.rules.approval == "device"
        return by_push or (self.letters is not None and self.mailer is not None)

    async def _ask(
        self, person: Person, project: str, body: AccessRequestBody, trail: Trail
    ) -> AccessRequestView | Refusal:
        now = self.clock.now()
        asked = self._asked(person, project, body, now)
        if isinstance(asked, Refusal):
            return asked
        trail.about_request(asked)
        entitlement = asked.entitlement
        refused = await self.eligible.with_peers(
            (person.email,), entitlement
        ) or await self.eligible.as_peers(asked.reviewers, entitlement)
        if refused is not None:
            return refused
        if self.executors.for_project(project) is None:
            return NO_EXECUTOR
        waiting = await self._waiting(person.email, now)
        for one in waiting:
            if _is_same(one, asked):
                trail.about_request(one)
                return await self.views.request(one, person.email, now)
        if len(waiting) >= MAX_PENDING_REQUESTS:
            soonest = min(one.decide_by for one in waiting)
            return Refusal("rate_limited", TOO_MANY, retry_after=max(1, soonest - now))
        return await self._too_often(person.email, now) or await self._open(asked, now)

    def _asked(
        self, person: Person, project: str, body: AccessRequestBody, now: int
    ) -> AccessRequest | Refusal:
        """Return the request that a body describes, or what is wrong with it."""
        rules = self.rules
        entitlement = entitlement_of(body.entitlement_id, project)
        if isinstance(entitlement, Refusal):
            return entitlement
        justification = justification_of(body.justification, rules)
        if isinstance(justification, Refusal):
            return justification
        seconds = duration_of(body.activation_timeout, rules)
        if isinstance(seconds, Refusal):
            return seconds
        reviewers = reviewers_of(body.peers, person.email, rules)
        if isinstance(reviewers, Refusal):
            return reviewers
        request = AccessRequest(
            id=ID_PREFIX + b64encode(self.mint.random(ID_RANDOM_BYTES)).decode(),
            integrator_id=rules.integrator_id,
            beneficiary=person.email,
            entitlement=entitlement,
            reviewers=reviewers,
            required=rules.required,
            reject_policy=rules.reject_policy,
            justification=justification,
            window_from=rules.window_from,
            start=now,
            duration_seconds=seconds,
            created_at=now,
            expires_at=now + rules.request_timeout_seconds,
            approval=rules.approval,
        )
        try:
            shown_activation(request)
        except ProtocolError as error:
            return Refusal(error.code, error.message)
        return request

    async def _waiting(self, person: str, now: int) -> list[AccessRequest]:
        """Return the requests of a person that somebody can still decide."""
        own = [one for one in self.store.open_access_requests() if one.beneficiary == person]
        return [
            one for one in own if (await standing_of(self.store, one, now)).status is Status.PENDING
        ]

    async def _too_often(self, person: str, now: int) -> Refusal | None:
        """Refuse who would have reviewers told again and again: each request is an e-mail."""
        last = await self.store.access_requests(
            integrator_id=self.rules.integrator_id,
            beneficiary=person,
            reviewer=None,
            before=None,
            limit=MAX_REQUESTS_AN_HOUR,
        )
        if len(last) < MAX_REQUESTS_AN_HOUR:
            return None
        wait = min(last[-1].created_at - now, 0) + SECONDS_PER_HOUR
        return Refusal("rate_limited", TOO_OFTEN, retry_after=wait) if wait > 0 else None

    async def _open(self, request: AccessRequest, now: int) -> AccessRequestView | Refusal:
        signed: Commit = ()
        if request.approval == "device":
            opened = self.open_signed(request, needed=len(request.reviewers), now=now)
            if isinstance(opened, Refusal):
                return opened
            request_id, signed = opened
            request = replace(request, request_id=request_id)
        link = self.links.link(request)
        if len(link) > MAX_LINK_CHARS:
            return TOO_LONG
        if not await self._mailed(request, link, now):
            return MAIL_FAILED
        told = request_event(
            "jit.requested",
            request,
            now=now,
            mint=self.mint,
            by=(request.beneficiary,),
            link=link,
            base_url=self.rules.public_url,
        )
        await self.store.commit((*signed, PutAccessRequest(None, request), told))
        return await self.views.request(request, request.beneficiary, now)

    async def _mailed(self, request: AccessRequest, link: str, now: int) -> bool:
        """Say whether the reviewers were sent an e-mail, if they are to be."""
        if self.letters is None or self.mailer is None:
            return True
        try:
            letter = self.letters.requested(request, url=link, now=now)
            await self.mailer.send(letter.message, letter.recipients)
        except MailFailed:
            return False
        return True


def _is_same(one: AccessRequest, other: AccessRequest) -> bool:
    """Say whether two requests of one person ask for the same, of the same people."""
    return (
        one.entitlement == other.entitlement
        and set(one.reviewers) == set(other.reviewers)
        and one.justification == other.justification
        and one.duration_seconds == other.duration_seconds
        and one.required == other.required
        and one.approval == other.approval
        and one.window_from == other.window_from
    )
