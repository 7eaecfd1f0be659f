"""A real store, and what grants and ends access on it, with a target that fails in every way.

People vote with signed decisions that the engine judges, as those of a device; who is eligible, and
what the target does, is the test's to say. The same folder again is the relay after a crash.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace
from tests.contract.material import MINT, RELAY, admission
from tests.relay.domain.play import GOOD, key
from tests.relay.simulator import ACME, START, ManualClock

from quorumkey.protocol import Decision, Kind, sign, verify_statement
from quorumkey_relay.delivery.plan import DeliveryPlan
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.domain.jit.request import AccessRequest, vote
from quorumkey_relay.identity.relaykeys import RelayKeys
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.observe.alarms import Alarms
from quorumkey_relay.store.records import Evidence
from quorumkey_relay.store.sqlite import SqliteStore
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation, PutIntegrator
from quorumkey_relay.usecases.advance import advance
from quorumkey_relay.usecases.jit.endings import Endings
from quorumkey_relay.usecases.jit.follow import Follower
from quorumkey_relay.usecases.jit.grant import Granter
from quorumkey_relay.usecases.jit.ports import (
    GrantFailed,
    Letter,
    Person,
    SourceUnavailable,
)
from quorumkey_relay.usecases.jit.revoke import RevokeActivation
from quorumkey_relay.usecases.jit.signed import OpenSignedRequest
from quorumkey_relay.usecases.jit.targets import Targets
from quorumkey_relay.usecases.jit.watch import AccessSweeper

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.domain.jit.entitlement import ActivationType, Listing
    from quorumkey_relay.domain.model import Choice
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.store.records import Stored

ALICE, BOB, CAROL, DAVE = (f"{name}@example.com" for name in ("alice", "bob", "carol", "dave"))
ROLE = EntitlementId("project-1", "roles/compute.admin")
MINUTE, HOUR = 60, 3_600

#: What a target does when it is asked: what it should; refuses; fails before it has done anything,
#: or after; breaks in a way that no executor should; or never answers, before or after.
Deed = Literal[
    "does", "refuses", "fails before", "loses its answer", "breaks", "hangs before", "hangs after"
]
#: Those after which nobody can know whether it was done.
UNSURE: tuple[Deed, ...] = (
    "fails before",
    "loses its answer",
    "breaks",
    "hangs before",
    "hangs after",
)


class Target:
    """Something that roles are granted at; ``roles`` is who has which, with the newest grant."""

    description = "Grants in a test."

    def __init__(self, *, expires_by_itself: bool, name: str = "target") -> None:
        self.name = name
        self.expires_by_itself = expires_by_itself
        self.roles: dict[tuple[str, str], Activation] = {}
        self.deeds: deque[Deed] = deque()
        self.calls: list[str] = []
        self.evidence: bytes | None = None
        self.asked = asyncio.Event()
        self.held = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Give a role, as the next deed says."""
        self.evidence = evidence
        await self._do("grant", activation)

    async def revoke(self, activation: Activation) -> None:
        """Take a role back, as the next deed says."""
        await self._do("revoke", activation)

    async def close(self) -> None:
        """Nothing is open."""

    def will(self, *deeds: Deed, times: int = 1) -> None:
        """What it does at the next calls, and how often; then what it should."""
        self.deeds.extend(deeds * times)

    def has(self, person: str = ALICE, role: EntitlementId = ROLE) -> Activation | None:
        """The grant by which somebody has a role."""
        return self.roles.get((role.role, person))

    async def _do(self, verb: str, activation: Activation) -> None:
        self.calls.append(verb)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked.set()
        try:
            await self._deed(verb, activation)
        finally:
            self.at_once -= 1

    async def _deed(self, verb: str, activation: Activation) -> None:
        deed = self.deeds.popleft() if self.deeds else "does"
        match deed:
            case "refuses":
                message = "The target refuses."
                raise GrantFailed(message, is_final=True)
            case "fails before":
                message = "The target is down."
                raise GrantFailed(message, is_final=False)
            case "breaks":
                raise KeyError(verb)
            case "hangs before":
                await self.held.wait()
            case _:
                pass
        name = (activation.entitlement.role, activation.beneficiary)
        if verb == "grant":
            self.roles[name] = activation
        else:
            self.roles.pop(name, None)
        if deed == "loses its answer":
            message = "The connection was lost."
            raise GrantFailed(message, is_final=False)
        if deed == "hangs after":
            await self.held.wait()


@dataclass
class Surroundings:
    """What outlives a relay: its folder, the clock, the target, and who is eligible."""

    folder: Path
    target: Target
    clock: ManualClock = field(default_factory=ManualClock)
    eligible: set[str] = field(default_factory=lambda: {ALICE, BOB, CAROL})
    is_source_down: bool = False
    is_target_gone: bool = False
    call_seconds: float = 60.0
    patience_seconds: float = 15.0

    # Who is eligible

    async def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Whether a person is eligible now; the port of eligibility."""
        assert (ROLE, "MPA") == (entitlement, activation_type)
        if self.is_source_down:
            raise SourceUnavailable
        return person in self.eligible

    async def projects(self, person: str) -> tuple[str, ...]:
        """Nobody asks here."""
        raise NotImplementedError(person)

    async def listing(self, person: str, project: str) -> Listing:
        """Nobody asks here."""
        raise NotImplementedError(person, project)

    async def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Nobody asks here."""
        raise NotImplementedError(entitlement)

    # What grants

    def for_project(self, project: str) -> Target | None:
        """Which target serves a project."""
        return None if self.is_target_gone or project != ROLE.project else self.target

    def named(self, name: str) -> Target | None:
        """A target by name."""
        return self.target if name == self.target.name and not self.is_target_gone else None


class Postbox:
    """Writes letters that say only what they are about."""

    def requested(self, request: AccessRequest, *, url: str, now: int) -> Letter:
        """Nobody asks here."""
        raise NotImplementedError(request, url, now)

    def approved(self, request: AccessRequest, activation: Activation, *, now: int) -> Letter:
        """A letter about an approval."""
        text = f"approved {request.id} by {activation.approvers[-1]} at {now}"
        return Letter((request.beneficiary,), text.encode())

    def denied(self, request: AccessRequest, *, reviewer: str, now: int) -> Letter:
        """A letter about a denial."""
        return Letter((request.beneficiary,), f"denied by {reviewer} at {now}".encode())


@dataclass
class World:
    """A running relay, as far as access needs it."""

    around: Surroundings
    store: SqliteStore
    keys: RelayKeys
    alarms: Alarms
    plan: DeliveryPlan
    granter: Granter
    follower: Follower
    sweeper: AccessSweeper
    revoke: RevokeActivation

    @property
    def target(self) -> Target:
        """What roles are granted at."""
        return self.around.target

    @property
    def clock(self) -> ManualClock:
        """The relay's clock."""
        return self.around.clock

    # What people do

    def asked(self, *reviewers: str, **members: object) -> AccessRequest:
        """A request for half an hour of the role, of these reviewers."""
        now = self.clock.now()
        return replace(
            AccessRequest(
                id="mpa-" + base64.b64encode(MINT.random(12)).decode(),
                integrator_id=ACME.id,
                beneficiary=ALICE,
                entitlement=ROLE,
                reviewers=reviewers or (BOB, CAROL),
                required=1,
                reject_policy="any",
                justification="BUG-12345",
                window_from="request",
                start=now,
                duration_seconds=30 * MINUTE,
                created_at=now,
                expires_at=now + HOUR,
                approval="device",
            ),
            **members,
        )

    async def ask(self, *reviewers: str, **members: object) -> AccessRequest:
        """Ask reviewers for the role; with approval by device, in a signed request."""
        request = self.asked(*reviewers, **members)
        if request.approval == "click":
            await self.store.commit((PutAccessRequest(None, request),))
            return request
        opened = OpenSignedRequest(
            store=self.store, mint=MINT, keys=self.keys, plan=self.plan, max_pending_per_device=20
        )(request, needed=request.required, now=self.clock.now())
        assert isinstance(opened, tuple), opened
        request_id, writes = opened
        signed = replace(request, request_id=request_id)
        await self.store.commit((*writes, PutAccessRequest(None, signed)))
        return signed

    async def decide(
        self, request: AccessRequest, by: str = BOB, choice: Choice = "approve"
    ) -> None:
        """A reviewer decides: on their device, or by a click."""
        if request.request_id is None:
            before = await self.request(request)
            after = vote(before, by, choice, self.clock.now())
            await self.store.commit((PutAccessRequest(before, after),))
            await self.follower.follow(request.id)
            return
        stored, now = await self.signed(request), self.clock.now()
        decision = Decision(
            request_digest=stored.terms.digest,
            decision=choice,
            device=key(by).public_key.fingerprint,
            decided_at=now,
        )
        envelope = sign(Kind.DECISION, decision.encode(), key(by))
        verified = verify_statement(envelope, Decision, key=key(by).public_key)
        said = Evidence(device=decision.device, choice=choice, envelope=envelope)
        outcome = lifecycle.answer(stored.terms, stored.state, verified, GOOD, now)
        assert outcome.refusal is None, outcome.refusal
        writes = advance(stored, outcome.events, now=now, mint=MINT, evidence=(said,))[1]
        await self.store.commit(writes)

    async def approved(self, *reviewers: str, **members: object) -> AccessRequest:
        """A request that the first reviewer has approved, and all that followed at once."""
        request = await self.ask(*reviewers, **members)
        await self.decide(request, by=request.reviewers[0])
        await self.settle()
        return await self.request(request)

    def alone(self, **members: object) -> Activation:
        """An activation of the role for half an hour that needs nobody else."""
        now = self.clock.now()
        return replace(
            Activation(
                activation_id=MINT.uuid7(),
                integrator_id=ACME.id,
                beneficiary=ALICE,
                entitlement=ROLE,
                justification="BUG-12345",
                approvers=(),
                executor=self.target.name,
                start=now,
                end=now + 30 * MINUTE,
                created_at=now,
            ),
            **members,
        )

    async def activate_alone(self, **members: object) -> Activation:
        """Somebody activates the role alone."""
        made = self.alone(**members)
        await self.store.commit((PutActivation(None, made),))
        return await self.granter.grant_now(made.activation_id)

    async def take_back(self, activation: Activation, by: str = ALICE) -> Activation | Refusal:
        """Somebody revokes an activation."""
        return await self.revoke(Person(email=by), activation.activation_id)

    # Time

    async def settle(self) -> None:
        """Do all that is due now, and wait for it."""
        await self.sweeper.drain()
        while await self.sweeper.sweep():
            await self.sweeper.drain()

    async def pass_time(self, seconds: int) -> None:
        """Let time pass, then do what is due."""
        self.clock.advance(seconds)
        await self.settle()

    # What there is

    async def request(self, request: AccessRequest) -> AccessRequest:
        """A request as it is now."""
        found = await self.store.access_request(request.id)
        assert found is not None
        return found

    async def signed(self, request: AccessRequest) -> Stored:
        """The signed request of a request."""
        found = await self.store.load(request.request_id or "")
        assert found is not None
        return found

    async def role(self, of: AccessRequest | Activation) -> Activation:
        """The activation of a request, or an activation, as it is now."""
        if isinstance(of, AccessRequest):
            found = await self.store.activation_of(of.id)
        else:
            found = await self.store.activation(of.activation_id)
        assert found is not None
        return found

    async def result(self, activation: Activation) -> str | None:
        """The result of the claim behind an activation."""
        claim = await self.store.claim(activation.claim_id or "")
        assert claim is not None
        assert claim.executor == "builtin"
        return claim.result

    async def told(self) -> list[str]:
        """The types of the events about access, in order."""
        return [str(event["type"]) for event in await self.events()]

    async def events(self) -> list[dict[str, Any]]:
        """The events about access, in order."""
        found = await self.store.events(integrator_id=ACME.id, after=None, limit=1_000)
        assert found is not None
        return [json.loads(one.body) for one in found if one.type.startswith("jit.")]

    async def letters(self) -> list[str]:
        """What people are told by mail."""
        queued = await self.store.due_mail(now=self.clock.now(), limit=100)
        return [one.message.decode() for one in queued]


@asynccontextmanager
async def world(around: Surroundings) -> AsyncGenerator[World]:
    """A relay on the folder; left without a word, as by a crash, where what runs is cancelled."""
    store = SqliteStore(around.folder, vault=Vault.open_in(around.folder), clock=around.clock)
    await store.start()
    alarms = Alarms(monotonic=around.clock.monotonic)
    keys = RelayKeys(RELAY)
    plan = DeliveryPlan(store=store, presence=Absent(), channels=())
    granter = Granter(
        store=store,
        clock=around.clock,
        mint=MINT,
        keys=keys,
        targets=Targets(executors=around, alarms=alarms, call_seconds=around.call_seconds),
        letters=Postbox(),
        patience_seconds=around.patience_seconds,
    )
    follower = Follower(
        store=store,
        clock=around.clock,
        mint=MINT,
        source=around,
        executors=around,
        granter=granter,
        endings=Endings(store=store, mint=MINT, plan=plan, letters=Postbox()),
        alarms=alarms,
    )
    sweeper = AccessSweeper(store=store, clock=around.clock, granter=granter, follower=follower)
    sweeper.watch_all()
    store.subscribe(sweeper.heard)
    try:
        if store.directory.integrator(ACME.id) is None:
            await store.commit((PutIntegrator(ACME),))
            for person in (ALICE, BOB, CAROL):
                await store.commit(admission(person))
        yield World(
            around=around,
            store=store,
            keys=keys,
            alarms=alarms,
            plan=plan,
            granter=granter,
            follower=follower,
            sweeper=sweeper,
            revoke=RevokeActivation(store=store, clock=around.clock, granter=granter),
        )
    finally:
        await sweeper.close()
        await store.close()


class Absent:
    """Nobody is connected."""

    def connected(self, device: str) -> bool:
        """Whether a device listens."""
        del device
        return False


__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "DAVE",
    "HOUR",
    "MINUTE",
    "ROLE",
    "START",
    "UNSURE",
    "Deed",
    "Postbox",
    "Surroundings",
    "Target",
    "World",
    "world",
]
