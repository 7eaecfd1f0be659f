"""The store fails while access is granted and ended: nothing is forgotten, nothing told twice."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.relay.jit.grant_world import (
    BOB,
    CAROL,
    MINUTE,
    Surroundings,
    Target,
    World,
    world,
)

from quorumkey_relay.domain.jit.activation import changed
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutActivation
from quorumkey_relay.usecases.jit.grant import MAX_CONFLICT_RETRIES
from quorumkey_relay.usecases.jit.watch import WAITING_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from pathlib import Path

    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


@pytest.fixture
async def one(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay that ends access."""
    del anyio_backend
    async with world(Surroundings(tmp_path, Target(expires_by_itself=False))) as opened:
        yield opened


async def test_the_disk_is_full_at_the_end(one: World) -> None:
    """The target is asked once it can be written down that it is, and then it is told once."""
    request = await one.approved()
    one.clock.advance(30 * MINUTE)
    with SqliteBackend(one.around.folder).unwritable():
        await one.settle()
        calls = list(one.target.calls)
    await one.pass_time(1)

    assert ["grant"] == calls
    assert ("ended", ["grant", "revoke"]) == ((await one.role(request)).state, one.target.calls)
    assert ["jit.granted", "jit.ended"] == await one.told()


async def test_no_target_is_asked_for_what_was_not_written_down(one: World) -> None:
    """What is on its way to the disk is waited for; where it does not arrive, nothing is asked."""
    made = one.alone()
    with SqliteBackend(one.around.folder).unwritable():
        lost = one.store.commit((PutActivation(None, made),))
        with pytest.raises(StoreUnavailable):
            await one.granter.grant_now(made.activation_id)
        with pytest.raises(StoreUnavailable):
            await lost

    assert ([], None) == (one.target.calls, await one.store.activation(made.activation_id))


async def test_the_disk_is_full_after_the_target_was_asked(one: World) -> None:
    """What a target has confirmed and nobody wrote down is asked for again."""
    request = await one.approved()
    one.target.will("hangs after")
    one.clock.advance(30 * MINUTE)
    one.target.asked.clear()
    await one.sweeper.sweep()
    await one.target.asked.wait()
    with SqliteBackend(one.around.folder).unwritable():
        one.target.held.set()
        await one.sweeper.drain()
    await one.pass_time(1)

    assert ("ended", 2) == ((await one.role(request)).state, one.target.calls.count("revoke"))
    assert ["jit.granted", "jit.ended"] == await one.told()


async def test_what_was_not_written_down_is_not_relied_on(one: World) -> None:
    """An end that never reached the disk is none: the role is taken back when it can be."""
    role = await one.activate_alone()
    await one.settle()
    one.clock.advance(30 * MINUTE)
    with SqliteBackend(one.around.folder).unwritable():
        lost = one.store.commit((PutActivation(role, changed(role, "ended")),))
        await one.sweeper.sweep()
        await one.sweeper.drain()
        with pytest.raises(StoreUnavailable):
            await lost
    await one.pass_time(1)

    assert ("expired", None) == ((await one.role(role)).end_reason, one.target.has())


async def test_memory_cannot_be_read_again(one: World) -> None:
    """While the store is gone nothing is done; what was due then is done when it is back."""
    waiting = await one.ask(BOB, approval="click")
    request = await one.approved(CAROL)
    one.clock.advance(30 * MINUTE)
    backend = SqliteBackend(one.around.folder)
    with backend.unreachable():
        await lose_table(one, waiting)
        await one.settle()
        calls = list(one.target.calls)
    await one.pass_time(WAITING_SECONDS)

    assert ["grant"] == calls
    assert ("ended", ["jit.granted", "jit.ended", "jit.expired"]) == (
        (await one.role(request)).state,
        sorted(await one.told(), key=["jit.granted", "jit.ended", "jit.expired"].index),
    )


async def lose_table(one: World, request: AccessRequest) -> None:
    """A vote that cannot be written, because there is no table for it."""
    with suppress(StoreUnavailable):
        await one.ask(BOB, beneficiary=request.beneficiary)


async def test_an_approval_that_could_not_be_looked_up(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store could not say to which request an approval belongs, all are looked at."""
    request = await one.ask(BOB)

    async def unreadable(request_id: str) -> AccessRequest | None:
        raise StoreUnavailable(request_id)

    with monkeypatch.context() as patched:
        patched.setattr(one.store, "access_request_of", unreadable)
        await one.decide(request)
        await one.sweeper.drain()
    await one.settle()

    assert "active" == (await one.role(request)).state


async def test_a_mistake_in_what_knows_who_is_eligible(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and the approval is looked at again; nothing is granted meanwhile."""
    request = await one.ask(BOB)

    async def mistaken(*asked: object) -> bool:
        raise KeyError(asked)

    with monkeypatch.context() as patched:
        patched.setattr(one.around, "is_eligible", mistaken)
        await one.decide(request)
        await one.settle()
        calls = list(one.target.calls)
    await one.pass_time(WAITING_SECONDS)

    assert ([], "active") == (calls, (await one.role(request)).state)


async def test_a_mistake_in_what_writes_letters(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and the grant is written down when it can be."""
    request = await one.ask(BOB)

    def mistaken(*asked: object, now: int) -> None:
        raise KeyError(asked, now)

    with monkeypatch.context() as patched:
        patched.setattr(one.granter, "letters", type("Mistaken", (), {"approved": mistaken})())
        await one.decide(request)
        await one.settle()
        waiting = await one.role(request)
    await one.pass_time(WAITING_SECONDS)

    assert ("granting", "active") == (waiting.state, (await one.role(request)).state)
    assert ["jit.granted"] == await one.told()


async def test_what_always_changes_meanwhile(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries it is left for a moment, as where the store is gone."""
    commit, tries = one.store.commit, 0

    def conflicting(writes: Commit) -> Awaitable[None]:
        nonlocal tries
        is_change = any(isinstance(one, PutActivation) and one.before for one in writes)
        if is_change and tries < MAX_CONFLICT_RETRIES:
            tries += 1
            raise Conflict
        return commit(writes)

    monkeypatch.setattr(one.store, "commit", conflicting)
    with pytest.raises(StoreUnavailable):
        await one.activate_alone()
    await one.pass_time(1)

    assert "jit.granted" in await one.told()
