"""A device answers a request (PROTOCOL §5 Tally, §6)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Decision, Kind, PublicKey, admits, media_type, verify_statement
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.model import Resolved, Status
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.records import Evidence
from quorumkey_relay.usecases.advance import advance
from quorumkey_relay.usecases.ports import rate_limited
from quorumkey_relay.usecases.protection.take_back import TakeBack, counter
from quorumkey_relay.usecases.protection.votes import lost_votes, may_vote
from quorumkey_relay.usecases.render import status_text
from quorumkey_relay.usecases.views import DecisionView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey.protocol import Envelope, Verified
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.domain.model import Choice, State, Terms
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.usecases.jit.votes import RoleVotes
    from quorumkey_relay.usecases.ports import Limiter, Policy

MAX_CONFLICT_RETRIES: Final = 8
ROLE_PROFILE: Final = "jit_access"

NOT_A_DECISION = Refusal(
    "invalid_request", f"envelope.payloadType: {media_type(Kind.DECISION)} is expected."
)
OTHER_REQUEST = Refusal("invalid_request", "envelope: the decision was signed for another request.")
OTHER_DEVICE = Refusal("invalid_request", "envelope: device is not the key that signed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """Judges a decision envelope and counts it.

    ``role_votes`` judges votes on requests for roles; None where the relay serves none, and then no
    approval of one counts.
    """

    store: Store
    clock: Clock
    mint: Mint
    policy: Policy
    device_limit: Limiter
    decided: Callable[[str], None]
    plan: DeliveryPlan
    take_back: TakeBack
    role_votes: RoleVotes | None = None

    async def __call__(self, *, request_id: str, envelope: Envelope) -> DecisionView | Refusal:
        """Return how the request stands after the decision, or why it was not counted.

        The answer comes when what it says is durable. Raises ``ProtocolError`` for an envelope
        that is not what it claims, and ``StoreUnavailable``.
        """
        try:
            answer = await self._decide(request_id, envelope)
        except ProtocolError as error:
            self.decided(error.code)
            raise
        self.decided(answer.code if isinstance(answer, Refusal) else "accepted")
        return answer

    async def _decide(self, request_id: str, envelope: Envelope) -> DecisionView | Refusal:
        now = self.clock.now()
        if envelope.payload_type != media_type(Kind.DECISION):  # (1)
            return NOT_A_DECISION
        stored = await self.store.load(request_id)
        if stored is None or envelope.keyid not in stored.terms.seats:  # (2)
            return NOT_FOUND
        verified = self._verify(envelope)  # (3), and the strict payload of (4)
        wait = self.device_limit.charge(envelope.keyid)
        if wait is not None:
            return rate_limited(wait)
        said = verified.statement
        if said.device != envelope.keyid:  # (4)
            return OTHER_DEVICE
        if said.request_digest != stored.terms.digest:
            return OTHER_REQUEST

        def judge() -> Awaitable[DecisionView | Refusal]:
            return self._count(stored, verified, now)  # (5) to (10)

        if self.role_votes is None or stored.terms.profile != ROLE_PROFILE:
            counting = judge()
        else:
            counting = self.role_votes.logged(stored, said.device, said.decision, judge)
        return await counting

    async def _count(
        self, stored: Stored, verified: Verified[Decision], now: int
    ) -> DecisionView | Refusal:
        request_id = stored.terms.request_id
        refused = await self._may_not_vote(stored, verified.statement, now)
        if refused is not None:
            return refused
        for _ in range(MAX_CONFLICT_RETRIES):
            role = None
            if self.role_votes is not None and stored.terms.profile == ROLE_PROFILE:
                role = await self.role_votes.request(stored)
                stored = await self.store.load(request_id) or stored
            try:
                return await self._judge(stored, verified, role, now)
            except Conflict:
                stored = await self.store.load(request_id) or stored
        message = f"request {request_id} keeps changing"
        raise StoreUnavailable(message)

    async def _may_not_vote(self, stored: Stored, said: Decision, now: int) -> Refusal | None:
        """Refuse an approval of a role by somebody who is not eligible, or for such a one."""
        if stored.terms.profile != ROLE_PROFILE:
            return None
        if self.role_votes is None:
            return FORBIDDEN if said.decision == "approve" else None
        return await self.role_votes.refused(stored, said.device, said.decision, now)

    def _verify(self, envelope: Envelope) -> Verified[Decision]:
        # The request document holds the same key: fingerprint and key were checked when it was
        # made, and a device's key and the form of its signatures never change.
        device = self.store.directory.device(envelope.keyid)
        if device is None:
            message = f"device {envelope.keyid} stands in a request but is not stored"
            raise LookupError(message)
        try:
            return verify_statement(
                envelope,
                Decision,
                key=PublicKey.from_compressed(device.public_key),
                form=device.form,
                passkeys=self.policy.passkeys,
            )
        except ProtocolError as error:
            if error.code == "invalid_json":  # the payload's; the body was JSON (§5, step 4)
                raise ProtocolError("invalid_request", f"envelope.payload: {error}") from None
            raise

    async def _judge(
        self, stored: Stored, verified: Verified[Decision], role: AccessRequest | None, now: int
    ) -> DecisionView | Refusal:
        terms, state = stored.terms, stored.state
        said = verified.statement
        device = self.store.directory.device(said.device)
        if device is None:
            return NOT_FOUND
        standing = self._standing(device, terms, verified)
        outcome = lifecycle.answer(terms, state, verified, standing, now)
        if outcome.withdraws is not None:
            return await self.take_back(
                stored,
                device,
                verified,
                standing=standing,
                outcome=outcome.withdraws,
                now=now,
            )
        if outcome.repeated is not None or (outcome.refusal is not None and not outcome.events):
            # What is answered may rest on a commit that is still on its way to the disk.
            await self.store.settled()
        elif outcome.events:
            last = outcome.events[-1]
            if isinstance(last, Resolved) and last.status is Status.APPROVED:
                await self._withdraw_lost(stored, now)
            evidence: tuple[Evidence, ...] = ()
            if outcome.refusal is None:
                evidence = (
                    Evidence(device=said.device, choice=said.decision, envelope=verified.envelope),
                )
            state, writes = advance(
                stored, outcome.events, now=now, mint=self.mint, evidence=evidence, plan=self.plan
            )
            if self.role_votes is not None and role is not None:
                writes += self.role_votes.follow(role, stored, outcome.events, state, now)
            await self.store.commit((*writes, *counter(device, verified)))
        if outcome.refusal is not None:
            return outcome.refusal
        return _view(terms, state, said.decision, now)

    async def _withdraw_lost(self, stored: Stored, now: int) -> None:
        """Take back approvals of devices that lost their standing, before they approve anything.

        Raises ``Conflict`` when there was one: the decision is judged anew.
        """
        terms, directory = stored.terms, self.store.directory
        lost = lost_votes(stored, directory, self._protection(terms))
        if lost:
            events = lifecycle.lose_devices(terms, stored.state, lost, now)
            writes = advance(stored, events, now=now, mint=self.mint, plan=self.plan)[1]
            await self.store.commit(writes)
            raise Conflict(terms.request_id)

    def _standing(
        self, device: Device, terms: Terms, verified: Verified[Decision]
    ) -> lifecycle.Standing:
        code = verified.statement.code
        return lifecycle.Standing(
            paired=device.paired_with(terms.integrator_id),
            assured=admits(device.assurance, terms.min_assurance),
            counter_fresh=device.counter_moved(verified.sign_count),
            code_right=terms.match_code is None
            or (code is not None and hmac.compare_digest(code, terms.match_code)),
            may_vote=may_vote(terms, device, self._protection(terms)),
        )

    def _protection(self, terms: Terms) -> Protection | None:
        """Return who may vote, where that is not everybody whose device is paired."""
        if terms.form.voters == "paired":
            return None
        return self.store.directory.protection(terms.integrator_id)


def _view(terms: Terms, state: State, decision: Choice, now: int) -> DecisionView:
    return DecisionView(
        status=status_text(lifecycle.status_at(terms, state, now)),
        groups_satisfied_count=len(state.satisfied),
        groups_required=terms.required,
        decision=decision,
    )
