"""A relay that serves just-in-time access, its people, and short names for what they do.

Everything is real but the clock, the target that grants roles, and the letter box: SQLite on disk,
a policy file that is edited, tokens, signatures of devices. The target and the letter box note what
they are asked for, and fail when a test says so.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict
from zoneinfo import ZoneInfo

from tests.relay.simulator import ACME, Asked, SimDevice, Simulator, granted, refused, simulator

from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.eligibility.policy_file import PolicyFileSource
from quorumkey_relay.identity.activation_tokens import ActivationTokens
from quorumkey_relay.identity.token_keys import open_token_keys
from quorumkey_relay.jit_settings import TokenSettings
from quorumkey_relay.mail.messages import LetterWriter
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.observe.alarms import Alarms
from quorumkey_relay.usecases.jit.catalog import JitCases, jit_cases, role_votes
from quorumkey_relay.usecases.jit.commands import AccessRequestBody, SelfActivateBody
from quorumkey_relay.usecases.jit.follow import Follower
from quorumkey_relay.usecases.jit.grant import Granter
from quorumkey_relay.usecases.jit.ports import GrantFailed, JitRules, MailFailed, Person
from quorumkey_relay.usecases.jit.revoke import RevokeActivation
from quorumkey_relay.usecases.jit.targets import Targets
from quorumkey_relay.usecases.jit.watch import AccessSweeper

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path
    from typing import Unpack

    from tests.relay.simulator import ManualClock

    from quorumkey.protocol import DecisionValue
    from quorumkey_relay.domain.jit.request import AccessRequest, ApprovalMode, WindowFrom
    from quorumkey_relay.domain.model import RejectPolicy
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.usecases.jit.ports import Mailer
    from quorumkey_relay.usecases.jit.views import AccessRequestView
    from quorumkey_relay.usecases.views import DecisionView

__all__ = ["ALICE", "BOB", "CAROL", "EVE", "PROJECT", "ROLE", "Desk", "desk", "person"]

PROJECT = "project-1"
ROLE = "roles/compute.admin"
#: A role that some may activate alone.
ALONE = "roles/browser"
BUG = "BUG-12345"
JIT = "has({}.jitAccessConstraint)"
MPA = "has({}.multiPartyApprovalConstraint)"


def person(name: str) -> Person:
    """Somebody of example.com."""
    return Person(email=f"{name}@example.com")


ALICE, BOB, CAROL, EVE = map(person, ("alice", "bob", "carol", "eve"))


class Wanted(TypedDict, total=False):
    """What a test may say of a request; the rest is made up."""

    justification: str
    minutes: int
    role: str
    project: str


class Rules(TypedDict, total=False):
    """The rules that a test may set."""

    approval: ApprovalMode
    max_duration_seconds: int
    request_timeout_seconds: int
    min_reviewers: int
    max_reviewers: int
    required: int
    reject_policy: RejectPolicy
    window_from: WindowFrom
    is_stateless: bool
    justification_pattern: str
    justification_hint: str
    notifies_by_push: bool
    version: str


@dataclass
class Surroundings:
    """What a desk stands on, where a test wants something else than usual."""

    clock: ManualClock | None = None
    target: RecordedTarget | None = None
    mailer: Mailer | None = None
    has_mail: bool = True
    takes_policies: bool = False


@dataclass
class RecordedTarget:
    """A target that notes what it is asked for; ``faults`` are raised one after the other."""

    name: str = "target"
    description: str = "Grants roles for tests; the target ends them."
    serves: str = PROJECT
    expires_by_itself: bool = True
    faults: list[Exception] = field(default_factory=list[Exception])
    grants: list[Activation] = field(default_factory=list[Activation])
    receipts: list[bytes | None] = field(default_factory=list["bytes | None"])
    revoked: list[str] = field(default_factory=list[str])

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Note the grant."""
        if self.faults:
            raise self.faults.pop(0)
        self.grants.append(activation)
        self.receipts.append(evidence)

    async def revoke(self, activation: Activation) -> None:
        """Note what was taken back."""
        self.revoked.append(activation.activation_id)

    async def close(self) -> None:
        """Nothing to let go of."""

    # One target serves the project, or none does.

    def for_project(self, project: str) -> RecordedTarget | None:
        """Serve the one project."""
        return self if project == self.serves else None

    def named(self, name: str) -> RecordedTarget | None:
        """Answer to its own name."""
        return self if name == self.name else None


@dataclass
class Postbox:
    """Takes every message, or none."""

    is_down: bool = False
    sent: list[tuple[str, tuple[str, ...]]] = field(
        default_factory=list["tuple[str, tuple[str, ...]]"]
    )

    async def send(self, message: bytes, recipients: tuple[str, ...]) -> None:
        """Keep a message."""
        if self.is_down:
            raise MailFailed("The mail server does not answer.", is_final=False)
        self.sent.append((message.decode(), recipients))


class PolicyFile:
    """The file that says who is eligible; each change is another file under the same name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[tuple[str, str], list[str]] = {
            (ROLE, MPA): ["alice", "bob", "carol", "dave"],
            (ALONE, JIT): ["alice"],
        }
        #: Further holders of the role, by their whole address.
        self.people: list[str] = []
        self.write()

    def write(self) -> None:
        """Put the members into the file."""
        bindings: list[dict[str, Any]] = [
            {
                "role": role,
                "members": [f"user:{name}@example.com" for name in names],
                "condition": {"title": "eligible", "expression": condition},
            }
            for (role, condition), names in self.members.items()
        ]
        bindings[0]["members"] += [f"user:{address}" for address in self.people]
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"projects": {PROJECT: {"bindings": bindings}}}))
        fresh.replace(self.path)

    def drop(self, who: Person, role: str = ROLE, condition: str = MPA) -> None:
        """Take somebody out of a binding."""
        self.members[role, condition].remove(who.email.partition("@")[0])
        self.write()

    def put(self, role: str, condition: str, *names: str) -> None:
        """Add a binding."""
        self.members[role, condition] = list(names)
        self.write()


@dataclass
class Desk:
    """The relay, what it stands on here, and short names for what people do."""

    sim: Simulator
    rules: JitRules
    cases: JitCases
    policy: PolicyFile
    target: RecordedTarget
    post: Postbox
    granter: Granter
    sweeper: AccessSweeper
    tokens: ActivationTokens
    devices: dict[str, SimDevice] = field(default_factory=dict[str, SimDevice])

    # People

    async def equip(self, *people: Person) -> None:
        """Pair a device for each of these."""
        for one in people:
            self.devices[one.email] = await self._device(one)

    async def _device(self, one: Person) -> SimDevice:
        device = SimDevice(one.email)
        await self.sim.admit(device)
        return device

    # Asking

    def body(
        self,
        *reviewers: Person,
        justification: str = BUG,
        minutes: int = 30,
        role: str = ROLE,
        project: str = PROJECT,
    ) -> AccessRequestBody:
        """What somebody asks these for; bob where nobody is named."""
        return AccessRequestBody(
            entitlement_id=f"{project}:{role}",
            justification=justification,
            peers=[one.email for one in reviewers or (BOB,)],
            activation_timeout=minutes,
        )

    async def send(self, body: AccessRequestBody, who: Person = ALICE) -> object:
        """Ask for a role."""
        return await self.cases.request(who, PROJECT, body)

    async def ask(
        self, *reviewers: Person, who: Person = ALICE, **members: Unpack[Wanted]
    ) -> AccessRequestView:
        """Ask for a role; it must not be refused."""
        return await granted(self.cases.request(who, PROJECT, self.body(*reviewers, **members)))

    async def why_not(self, body: AccessRequestBody, who: Person = ALICE) -> Refusal:
        """Why a request is refused."""
        return await refused(self.cases.request(who, PROJECT, body))

    def alone(self, *roles: str, minutes: int = 30, justification: str = BUG) -> SelfActivateBody:
        """What somebody activates alone."""
        return SelfActivateBody(
            entitlement_ids=[f"{PROJECT}:{role}" for role in roles or (ALONE,)],
            justification=justification,
            activation_timeout=minutes,
        )

    # Deciding

    async def approve(self, view: AccessRequestView, who: Person = BOB) -> AccessRequestView:
        """Approve by a click."""
        return await granted(self.cases.approve(who, token_of(view)))

    async def deny(self, view: AccessRequestView, who: Person = BOB) -> AccessRequestView:
        """Deny by a click."""
        return await granted(self.cases.deny(who, token_of(view)))

    async def withdraw(self, view: AccessRequestView) -> AccessRequestView:
        """Take a request back."""
        return await granted(self.cases.withdraw(ALICE, token_of(view)))

    async def signed(self, view: AccessRequestView) -> Asked:
        """The signed request beside a request."""
        request_id = str(view.request_id)
        stored = await self.sim.store.load(request_id)
        assert stored is not None
        answer = {"request_id": request_id, "request_digest": stored.terms.digest}
        return Asked(self.sim.body(), answer)

    async def vote(
        self, view: AccessRequestView, who: Person = BOB, decision: DecisionValue = "approve"
    ) -> DecisionView | Refusal:
        """Decide on a device, and have done what follows."""
        answer = await self.sim.decide(self.devices[who.email], await self.signed(view), decision)
        await self.done()
        return answer

    async def done(self) -> None:
        """Everything that is due has been done."""
        await self.sim.store.settled()
        await self.sweeper.sweep()
        await self.sweeper.drain()

    # What became of it

    async def read(self, view: AccessRequestView, who: Person = ALICE) -> AccessRequestView:
        """A request as one of its parties sees it."""
        return await granted(self.cases.read_request(who, token_of(view)))

    async def status(self, view: AccessRequestView, who: Person = ALICE) -> str:
        """The one word for how a request stands."""
        return (await self.read(view, who)).entitlements[0].status

    async def stored(self, view: AccessRequestView) -> AccessRequest:
        """A request as the store has it."""
        claims = self.tokens.read(token_of(view), now=self.sim.clock.now())
        found = await self.sim.store.access_request(claims.id)
        assert found is not None
        return found

    async def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The events about roles, of some types or all."""
        return [
            event
            for event in await self.sim.events()
            if str(event["type"]).startswith("jit.") and (not kinds or event["type"] in kinds)
        ]

    async def told(self) -> list[str]:
        """The types of the events about roles."""
        return [str(event["type"]).removeprefix("jit.") for event in await self.events()]


def token_of(view: AccessRequestView) -> str:
    """The token that leads to a request."""
    assert isinstance(view.activation, str)
    return view.activation


def emails(people: Iterable[object]) -> list[str]:
    """The addresses of people in a view."""
    return [str(one.email) for one in people]  # type: ignore[attr-defined] # a PersonView


@asynccontextmanager
async def desk(
    data_dir: Path, around: Surroundings | None = None, **rules: Unpack[Rules]
) -> AsyncGenerator[Desk, None]:
    """A desk on ``data_dir``; by default reviewers click, and hear of requests by e-mail."""
    around = around or Surroundings()
    has_mail = around.has_mail
    said: dict[str, Any] = {"approval": "click", "notifies_by_mail": has_mail, **rules}
    made = JitRules(integrator_id=ACME.id, public_url="https://relay.example", **said)
    async with simulator(data_dir, around.clock) as sim:
        policy = PolicyFile(data_dir / "policy.json")
        source = PolicyFileSource(policy.path)
        post = Postbox()
        target = around.target or RecordedTarget()
        writer = LetterWriter(
            sender_address="relay@example.com",
            sender_name="Relay",
            zone=ZoneInfo("UTC"),
            address=lambda email: email,
        )
        letters = writer if has_mail else None
        store, keys, mint = sim.store, sim.relay.keys, SystemMint()
        plan = sim.use.ask.plan
        votes = role_votes(
            store=store, mint=mint, plan=plan, rules=made, source=source, letters=letters
        )
        alarms = Alarms()
        granter = Granter(
            store=store,
            clock=sim.clock,
            mint=mint,
            keys=keys,
            targets=Targets(executors=target, alarms=alarms),
            letters=letters,
        )
        follower = Follower(
            store=store,
            clock=sim.clock,
            mint=mint,
            source=source,
            executors=target,
            granter=granter,
            endings=votes.endings,
            alarms=alarms,
        )
        sweeper = AccessSweeper(store=store, clock=sim.clock, granter=granter, follower=follower)
        tokens = ActivationTokens(
            open_token_keys(TokenSettings(), data_dir), issuer="https://relay.example"
        )
        cases = jit_cases(
            store=store,
            clock=sim.clock,
            mint=mint,
            keys=keys,
            plan=plan,
            max_pending_per_device=20,
            rules=made,
            source=source,
            executors=target,
            granter=granter,
            revoking=RevokeActivation(store=store, clock=sim.clock, granter=granter),
            votes=votes,
            tokens=tokens,
            letters=letters,
            mailer=(around.mailer or post) if has_mail else None,
            takes_policies=around.takes_policies,
        )
        sim.use = replace(sim.use, decide=replace(sim.use.decide, role_votes=votes))
        sweeper.watch_all()
        store.subscribe(sweeper.heard)
        opened = Desk(sim, made, cases, policy, target, post, granter, sweeper, tokens)
        try:
            yield opened
        finally:
            await sweeper.close()


def final(sentence: str = "The target refuses.") -> GrantFailed:
    """A target's last word."""
    return GrantFailed(sentence, is_final=True)
