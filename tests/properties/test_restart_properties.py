"""A store that is opened again at any moment holds the same state."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.backends import SqliteBackend
from tests.contract.material import admission, evidence, request, step
from tests.properties.requests import Move, Rules, follow, histories
from tests.relay.domain.play import Play
from tests.relay.simulator import ACME

from quorumkey_relay.domain.model import Counted
from quorumkey_relay.store.writes import OpenRequest, PutIntegrator

if TYPE_CHECKING:
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored

ROUNDS = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
EVERYTHING = ("approve", "deny", "miscode", "lose", "cancel", "expire")


def made(wanted: Rules) -> Stored:
    """The request, signed."""
    return request(
        *wanted.groups,
        required=wanted.required,
        reject_policy=wanted.reject_policy,
        distinct=wanted.distinct,
        requester=wanted.requester,
        match_code=wanted.match_code,
    )


class Reopened:
    """A store that is closed and opened again when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.backend = SqliteBackend(folder)
        self.stack = AsyncExitStack()

    async def open(self) -> Store:
        """The store, opened anew."""
        await self.stack.aclose()
        return await self.stack.enter_async_context(self.backend.open())


async def play_through(folder: Path, wanted: Rules, moves: list[Move], cuts: set[int]) -> None:
    """Let everything happen with restarts at ``cuts``; each finds the state of before."""
    place, stored = Reopened(folder), made(wanted)
    play, store = Play(stored.terms), await place.open()
    await store.commit((PutIntegrator(ACME),))
    for name in wanted.names:
        await store.commit(admission(name))
    await store.commit((OpenRequest(stored),))
    for number, move in enumerate(moves):
        if number in cuts:
            store = await place.open()
        found = await store.load(stored.terms.request_id)
        assert found is not None
        assert (play.terms, play.state) == (found.terms, found.state)
        events = follow(wanted, play, move)
        if events:
            counted = isinstance(events[0], Counted)
            said = (evidence(found, move.name, move.choice),) if counted else ()
            await store.commit(step(found, *events, evidence=said))
            play.take(events)
    store = await place.open()
    found = await store.load(stored.terms.request_id)
    assert found is not None
    assert play.state == found.state
    await place.stack.aclose()


@ROUNDS
@given(history=histories(kinds=EVERYTHING), cuts=st.sets(st.integers(0, 11)))
def test_a_restart_at_any_point_gives_an_equal_state(
    history: tuple[Rules, list[Move]], cuts: set[int]
) -> None:
    """Whatever happened and whenever the process ended: terms and state are as they were."""
    wanted, moves = history

    with TemporaryDirectory() as folder:
        asyncio.run(play_through(Path(folder), wanted, moves, cuts))
