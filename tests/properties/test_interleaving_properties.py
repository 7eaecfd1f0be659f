"""Decisions at the same time over the real store: as if they had come one after the other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties.requests import CODE, WRONG, Rules, rules
from tests.relay.domain.play import person
from tests.relay.simulator import START, Asked, SimDevice, Simulator, simulator

from quorumkey.protocol import Decision, DecisionValue, verify_statement
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import State, Status, Terms
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.commands import PartyBody
from quorumkey_relay.usecases.views import DecisionView

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.relay.sim_members import AskMembers

ROUNDS = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Said:
    """A device's decision, sent after so many turns of the event loop."""

    name: str
    choice: DecisionValue
    code: str | None
    turns: int


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Rules, list[Said]]:
    """A request and what its devices say, each perhaps more than once, all at about one time."""
    wanted = draw(rules())
    codes = st.none() if wanted.match_code is None else st.sampled_from([CODE, WRONG])
    choices: list[DecisionValue] = ["approve", "deny"]
    said = st.builds(
        Said,
        name=st.sampled_from(wanted.names),
        choice=st.sampled_from(choices),
        code=codes,
        turns=st.integers(0, 3),
    )
    return wanted, draw(st.lists(said, min_size=2, max_size=14))


class Stage:
    """A relay that goes on over many examples, and the devices that they use."""

    def __init__(self, runner: asyncio.Runner, sim: Simulator) -> None:
        self.runner = runner
        self.sim = sim
        self.devices: dict[str, SimDevice] = {}

    async def device(self, name: str) -> SimDevice:
        """The device of a name."""
        if name not in self.devices:
            self.devices[name] = await self.sim.device(person(name))
        return self.devices[name]

    async def ask(self, wanted: Rules) -> Asked:
        """Make a request."""
        groups = [[await self.device(name) for name in group.split()] for group in wanted.groups]
        members: AskMembers = {"reject_policy": wanted.reject_policy, "distinct": wanted.distinct}
        if wanted.match_code is not None:
            members["match_code"] = wanted.match_code
        if wanted.requester is not None:
            members["requester"] = PartyBody(id=wanted.requester)
        return await self.sim.ask(*groups, required=wanted.required, **members)

    async def decide(self, request: Asked, said: Said) -> Answer:
        """Send a decision in its turn."""
        for _ in range(said.turns):
            await asyncio.sleep(0)
        answer = await self.sim.decide(
            self.devices[said.name], request, said.choice, code=said.code
        )
        return replied(answer)

    async def all_at_once(
        self, wanted: Rules, said: list[Said]
    ) -> tuple[Terms, State, list[Answer], list[str]]:
        """Terms and state at the end, the answers, and the kinds of events about the request."""
        request = await self.ask(wanted)
        answers = await asyncio.gather(*(self.decide(request, one) for one in said))
        stored = await self.sim.store.load(request.id)
        assert stored is not None
        await self.sim.store.settled()
        events = await self.sim.events()
        kinds = [str(one["type"]) for one in events if one.get("request_id") == request.id]
        return stored.terms, stored.state, answers, kinds


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage, None, None]:
    """A started relay and the event loop that it runs in."""
    stack = AsyncExitStack()
    relay = simulator(tmp_path_factory.mktemp("relay"), max_pending_per_device=1_000_000)
    with asyncio.Runner() as runner:
        sim = runner.run(stack.enter_async_context(relay))
        yield Stage(runner, sim)
        runner.run(stack.aclose())


# An answer as it can be compared: a view, or the code and details of a refusal.
Answer = DecisionView | tuple[str, str]


def replied(answer: DecisionView | Refusal) -> Answer:
    """An answer of the relay."""
    if isinstance(answer, Refusal):
        return answer.code, str(answer.details)
    return answer


def alone(terms: Terms, state: State, said: Said, device: SimDevice) -> tuple[State, Answer]:
    """What the lifecycle by itself makes of a decision: the state after it, and the answer."""
    envelope = device.decision(terms.digest, said.choice, at=START, code=said.code)
    standing = lifecycle.Standing(
        paired=True,
        assured=True,
        counter_fresh=True,
        code_right=terms.match_code is None or said.code == terms.match_code,
    )
    verified = verify_statement(envelope, Decision, key=device.key.public_key)
    outcome = lifecycle.answer(terms, state, verified, standing, START)
    for event in outcome.events:
        state = lifecycle.apply(terms, state, event)
    if outcome.refusal is not None:
        return state, replied(outcome.refusal)
    return state, DecisionView(
        state.status.value, len(state.satisfied), terms.required, said.choice
    )


class Search:
    """Looks for an order of decisions that explains every answer and the state at the end."""

    def __init__(self, stage: Stage, terms: Terms, end: State) -> None:
        self.devices = stage.devices
        self.terms = terms
        self.end = end
        self.dead_ends: set[tuple[str, frozenset[int]]] = set()

    def succeeds(self, state: State, left: dict[int, tuple[Said, Answer]]) -> bool:
        """Whether what is left can follow on a state; takes any decision whose answer fits."""
        if not left:
            return state == self.end
        # The whole state: which of a person's devices was counted first is part of it.
        here = (repr(state), frozenset(left))
        if here in self.dead_ends:
            return False
        for number, (said, answer) in left.items():
            after, expected = alone(self.terms, state, said, self.devices[said.name])
            rest = {other: one for other, one in left.items() if other != number}
            if expected == answer and self.succeeds(after, rest):
                return True
        self.dead_ends.add(here)
        return False


@ROUNDS
@given(crowd=crowds())
def test_any_interleaving_is_some_serial_order(
    stage: Stage, crowd: tuple[Rules, list[Said]]
) -> None:
    """There is an order in which the same decisions, one by one, get the same answers and end."""
    wanted, said = crowd

    terms, state, answers, kinds = stage.runner.run(stage.all_at_once(wanted, said))

    left = dict(enumerate(zip(said, answers, strict=True)))
    assert Search(stage, terms, state).succeeds(State(), left)
    assert ([] if state.status is Status.PENDING else [f"mpa.{state.status}"]) == kinds
