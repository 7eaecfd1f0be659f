"""From an approval to a role: one activation, granted however often its target has to be asked.

An activation is committed before its target is asked, with the claim on the signed approval, so no
approval is used twice and none that was used is forgotten. The target is asked again until it says
yes or no, also after a crash: every executor may be asked for the same thing again. What it said is
committed with the result of the claim, as the relay signs it, and with what is told of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from quorumkey_relay.domain.jit.activation import Activation, changed
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutActivation, PutMail, SettleClaim
from quorumkey_relay.usecases.jit.events import activation_event
from quorumkey_relay.usecases.jit.letters import queued
from quorumkey_relay.usecases.jit.ports import MailFailed
from quorumkey_relay.usecases.jit.targets import Targets, backoff_seconds
from quorumkey_relay.usecases.protection.endings import settled_claim
from quorumkey_relay.usecases.read import receipt_of

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.domain.transactions import ClaimResult
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit, Write
    from quorumkey_relay.usecases.jit.events import ActivationKind
    from quorumkey_relay.usecases.jit.ports import Letters
    from quorumkey_relay.usecases.jit.targets import Fault

#: For so long whoever asked for a role is kept waiting for the target; it is asked on meanwhile.
PATIENCE_SECONDS: Final = 15.0
#: For so long it is tried to send a mail that tells of access.
MAIL_SECONDS: Final = 86_400
MAX_CONFLICT_RETRIES: Final = 8

TIME_IS_OVER: Final = "Its time was over before the target had confirmed it."

log = logs.get()


def activation_of_request(  # noqa: PLR0913 - what an activation is made of
    request: AccessRequest,
    *,
    approvers: tuple[str, ...],
    executor: str,
    start: int,
    now: int,
    mint: Mint,
) -> Activation:
    """Return the activation of an approved request; it lasts as long as was asked for."""
    return Activation(
        activation_id=mint.uuid7(),
        integrator_id=request.integrator_id,
        beneficiary=request.beneficiary,
        entitlement=request.entitlement,
        justification=request.justification,
        approvers=approvers,
        executor=executor,
        start=start,
        end=start + request.duration_seconds,
        created_at=now,
        access_request=request.id,
        request_id=request.request_id,
    )


def with_approver(activation: Activation, approver: str, *, now: int) -> Activation:
    """Return an activation that one peer more approved; the target is to be told (C12).

    Raises ``ValueError`` for one that is over.
    """
    if activation.state not in {"granting", "active"}:
        message = f"an activation that is {activation.state} takes no approver more"
        raise ValueError(message)
    approvers = tuple(one for one in activation.approvers if one != approver)
    return replace(
        changed(activation, activation.state, next_at=now), approvers=(*approvers, approver)
    )


@dataclass(slots=True, kw_only=True)
class Granter:
    """Brings activations on: to granted, to ended, to taken back; each by one task at a time.

    ``patience_seconds`` is for how long somebody waits for a target; what they wait for goes on.
    """

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys
    targets: Targets
    letters: Letters | None = None
    patience_seconds: float = PATIENCE_SECONDS
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _unsure: set[str] = field(default_factory=set[str])
    _ending: dict[str, float] = field(default_factory=dict[str, float])

    # Asking

    async def grant_now(self, activation_id: str) -> Activation:
        """Have the target asked at once; return how the activation stands then, or after a while.

        One that is active already is granted again as it is now. Raises ``LookupError`` where there
        is none, and ``StoreUnavailable``.
        """
        return await self.bring_on(activation_id, again=True)

    async def bring_on(self, activation_id: str, *, again: bool = False) -> Activation:
        """Do what is due; as `grant_now`, but that what is active is not granted again."""
        running = self.start(activation_id, again=again)
        await asyncio.wait((running,), timeout=self.patience_seconds)
        if running.done() and not running.cancelled():
            running.result()
        await self.store.settled()
        activation = await self.store.activation(activation_id)
        if activation is None:
            raise LookupError(activation_id)
        return activation

    def start(self, activation_id: str, *, again: bool = False) -> asyncio.Task[None]:
        """Return the task that brings an activation on; at most one runs for each."""
        running = self._running.get(activation_id)
        if running is None:
            running = asyncio.create_task(self._bring_on(activation_id, again=again))
            self._running[activation_id] = running
            running.add_done_callback(lambda done: self._over(activation_id, done))
        return running

    def _over(self, activation_id: str, done: asyncio.Task[None]) -> None:
        del self._running[activation_id]
        if not done.cancelled():
            done.exception()  # whoever waits gets it; where nobody does, it is tried again

    def begin(self) -> None:
        """Take in that a process before this one may have asked for what is not confirmed."""
        self._unsure = {
            one.activation_id for one in self.store.open_activations() if one.state == "granting"
        }

    def overdue(self, seconds: float) -> list[str]:
        """Return the activations that are being taken back since longer than ``seconds``."""
        before = self.clock.monotonic() - seconds
        return [one for one, since in self._ending.items() if since <= before]

    def running(self) -> tuple[asyncio.Task[None], ...]:
        """Return the tasks that bring activations on."""
        return tuple(self._running.values())

    async def close(self) -> None:
        """Let go of what runs; it goes on at the next start."""
        running = self.running()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # One step after the other

    async def _bring_on(self, activation_id: str, *, again: bool) -> None:
        for _ in range(MAX_CONFLICT_RETRIES):
            activation = await self.store.activation(activation_id)
            if activation is None or not activation.is_open:
                return
            try:
                async with self.targets.turn(activation):
                    await self._step(activation_id, again=again)
            except Conflict:
                continue
            return
        raise StoreUnavailable(activation_id)

    async def _step(self, activation_id: str, *, again: bool) -> None:
        """Do what is to be done now; raises ``Conflict`` where the activation changed meanwhile."""
        await self.store.settled()  # no target is asked for what may still be undone
        activation = await self.store.activation(activation_id)
        if activation is None:
            return
        now = self.clock.now()
        is_over = now >= activation.end
        match activation.state:
            case "granting" if is_over:
                await self._give_up(activation)
            case "granting":
                await self._grant(activation)
            case "active" if is_over:
                await self._end(activation)
            case "active" if again or activation.next_at:
                await self._grant_again(activation)
            case "revoking" if is_over and self.targets.ends_by_itself(activation):
                await self._ended(activation, activation, now)
            case "revoking":
                await self._revoke(activation)
            case _:
                pass

    async def _grant(self, activation: Activation) -> None:
        name = activation.activation_id
        was_asked = activation.attempts > 0 or name in self._unsure
        self._unsure.add(name)
        fault = await self._ask_for(activation)
        now = self.clock.now()
        if fault is None:
            await self._granted(activation, now)
        elif not fault.is_final:
            await self.store.commit((_later(activation, fault, now),))
        elif was_asked:
            # Of an earlier call nobody knows what it did.
            await self._take_back(activation, fault.sentence, now)
        else:
            await self._failed(activation, fault.sentence, "error", now)

    async def _granted(self, activation: Activation, now: int) -> None:
        after = changed(activation, "active", attempts=0, next_at=0, fault=None)
        writes: list[Write] = [PutActivation(activation, after)]
        replaced = self._older(activation)
        for older in replaced:
            gone = changed(
                older, "ended", end_reason="replaced", ended_at=now, next_at=0, attempts=0
            )
            writes.append(PutActivation(older, gone))
            writes.append(activation_event("jit.ended", gone, now=now, mint=self.mint))
            writes += await self._settle(gone, "indeterminate", now)
        writes.append(
            activation_event("jit.granted", after, now=now, mint=self.mint, by=after.approvers)
        )
        writes += await self._settle(after, "ok", now)
        writes += await self._mail(after, now)
        await self.store.commit(tuple(writes))
        for over in (activation, *replaced):
            self._forget(over)

    async def _grant_again(self, activation: Activation) -> None:
        """Have the target take what has changed of an activation; the access stands meanwhile."""
        fault = await self._ask_for(activation)
        if fault is not None and not fault.is_final:
            await self.store.commit((_later(activation, fault, self.clock.now()),))
            return
        sentence = None if fault is None else fault.sentence
        if activation.next_at or activation.fault != sentence:
            after = changed(activation, "active", attempts=0, next_at=0, fault=sentence)
            await self.store.commit((PutActivation(activation, after),))

    async def _give_up(self, activation: Activation) -> None:
        """End what the target never confirmed: take it back, unless that happens by itself."""
        was_asked = activation.attempts > 0 or activation.activation_id in self._unsure
        now = self.clock.now()
        if was_asked and not self.targets.ends_by_itself(activation):
            await self._take_back(activation, TIME_IS_OVER, now)
        else:
            result: ClaimResult = "indeterminate" if was_asked else "error"
            await self._failed(activation, TIME_IS_OVER, result, now)

    async def _failed(
        self, activation: Activation, fault: str, result: ClaimResult, now: int
    ) -> None:
        after = changed(activation, "failed", fault=fault, next_at=0, ended_at=now)
        told = activation_event("jit.grant_failed", after, now=now, mint=self.mint)
        settled = await self._settle(after, result, now)
        await self.store.commit((PutActivation(activation, after), told, *settled))
        self._forget(activation)

    async def _take_back(self, activation: Activation, fault: str, now: int) -> None:
        """Have a role taken back that may have been given, though nobody has confirmed it."""
        after = changed(
            activation, "revoking", fault=fault, end_reason="unconfirmed", attempts=0, next_at=0
        )
        told = activation_event("jit.grant_failed", after, now=now, mint=self.mint)
        settled = await self._settle(after, "indeterminate", now)
        await self.store.commit((PutActivation(activation, after), told, *settled))
        await self._revoke(after)

    async def _end(self, activation: Activation) -> None:
        """End what was granted: its time is over."""
        now = self.clock.now()
        if self.targets.ends_by_itself(activation):
            await self._ended(replace(activation, end_reason="expired"), activation, now)
        elif not self._newer(activation):
            after = changed(activation, "revoking", end_reason="expired", attempts=0, next_at=0)
            await self.store.commit((PutActivation(activation, after),))
            await self._revoke(after)

    async def _revoke(self, activation: Activation) -> None:
        """Ask the target to take the role back, however often it has to be asked.

        While a newer activation of the role is open it is not asked: that one would be taken too.
        """
        if self._newer(activation):
            return
        self._ending.setdefault(activation.activation_id, self.clock.monotonic())
        fault = await self.targets.revoke(activation)
        now = self.clock.now()
        if fault is not None:
            await self.store.commit((_later(activation, fault, now),))
            return
        # An older activation that still lasts lost the role with this one; it is given again.
        again = tuple(
            PutActivation(older, changed(older, "active", next_at=now))
            for older in self._older(activation)
            if older.state == "active"
        )
        await self._ended(activation, activation, now, beside=again)

    async def _ended(
        self, ending: Activation, before: Activation, now: int, *, beside: Commit = ()
    ) -> None:
        after = changed(ending, "ended", ended_at=now, next_at=0, attempts=0, fault=None)
        by = () if after.revoked_by is None else (after.revoked_by,)
        kind: ActivationKind = "jit.revoked" if after.end_reason == "revoked" else "jit.ended"
        told = activation_event(kind, after, now=now, mint=self.mint, by=by)
        settled = await self._settle(after, "indeterminate", now)
        await self.store.commit((PutActivation(before, after), told, *settled, *beside))
        self._forget(before)

    # What goes with it

    def _older(self, activation: Activation) -> list[Activation]:
        name = activation.activation_id
        same = self.store.activations_on(activation.target)
        return list(takewhile(lambda one: one.activation_id != name, same))

    def _newer(self, activation: Activation) -> bool:
        same = self.store.activations_on(activation.target)
        return bool(same) and same[-1].activation_id != activation.activation_id

    def _forget(self, activation: Activation) -> None:
        self._unsure.discard(activation.activation_id)
        self._ending.pop(activation.activation_id, None)
        self.targets.quiet(activation)

    async def _ask_for(self, activation: Activation) -> Fault | None:
        evidence = await self._evidence(activation)
        return await self.targets.grant(
            activation, evidence, seconds_left=lambda: activation.end - self.clock.now()
        )

    async def _evidence(self, activation: Activation) -> bytes | None:
        """Return the receipt of the signed approval, if there is one."""
        if activation.request_id is None:
            return None
        stored = await self.store.load(activation.request_id)
        if stored is None:
            return None
        votes = await self.store.evidence(activation.request_id)
        return receipt_of(stored, votes, keys=self.keys, now=self.clock.now())

    async def _settle(self, activation: Activation, result: ClaimResult, now: int) -> Commit:
        """Return the write of the claim's result, unless it has one already."""
        if activation.claim_id is None or activation.request_id is None:
            return ()
        claim = await self.store.claim(activation.claim_id)
        stored = await self.store.load(activation.request_id)
        if claim is None or stored is None or claim.result is not None:
            return ()
        return (SettleClaim(settled_claim(claim, stored.terms, result, keys=self.keys, now=now)),)

    async def _mail(self, activation: Activation, now: int) -> Commit:
        """Return the mail that tells who asked, where somebody else approved."""
        if self.letters is None or activation.access_request is None:
            return ()
        request = await self.store.access_request(activation.access_request)
        if request is None:
            return ()
        try:
            letter = self.letters.approved(request, activation, now=now)
        except MailFailed:
            log.warning("jit_mail_unaddressed", access_request=request.id)
            return ()
        until = now + MAIL_SECONDS
        mail = queued(letter, request, mail_id=self.mint.uuid7(), now=now, not_after=until)
        return (PutMail(mail),)


def _later(activation: Activation, fault: Fault, now: int) -> PutActivation:
    """Return the write by which an activation waits for another try."""
    attempts = activation.attempts + 1
    next_at = now + backoff_seconds(attempts)
    after = changed(
        activation, activation.state, attempts=attempts, next_at=next_at, fault=fault.sentence
    )
    return PutActivation(activation, after)
