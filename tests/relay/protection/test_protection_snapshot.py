"""What services are told of their protection, and how soon they hear of a change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET
from tests.relay.protection.workshop import ACME, KILL
from tests.relay.simulator import UMBRELLA

from quorumkey_relay.usecases.protection import snapshot as module
from quorumkey_relay.usecases.protection import watch as watching
from quorumkey_relay.usecases.protection.views import SnapshotMethod, SnapshotView

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio

#: Longer than any test: who waits that long was not woken.
FOR_EVER = 600.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls are held until something happens."""
    monkeypatch.setattr(module, "SNAPSHOT_HOLD_SECONDS", FOR_EVER)


async def held(shop: Workshop) -> asyncio.Future[SnapshotView]:
    """A poll with the newest revision, waiting."""
    read = shop.sim.use.protection.snapshot
    poll = asyncio.ensure_future(read(integrator_id=ACME.id, revision=shop.protection.revision))
    await asyncio.sleep(0)
    assert not poll.done()
    return poll


async def test_it_says_what_waits(shop: Workshop) -> None:
    """Every method with whether it is protected, always, under a condition, with a resolver."""
    await shop.protect("DeleteRule", "true")
    view = await shop.sim.use.protection.snapshot(integrator_id=ACME.id, revision=None)

    assert (view.enabled, view.exclude_api_keys) == (True, False)
    assert view.methods == [
        SnapshotMethod("CreateRule", False, False, False, False),  # noqa: FBT003 - the row
        SnapshotMethod("DeleteRule", True, False, True, True),  # noqa: FBT003 - the row
        SnapshotMethod(KILL, True, False, False, False),  # noqa: FBT003 - the row
        SnapshotMethod("ListRules", False, False, False, False),  # noqa: FBT003 - the row
        SnapshotMethod("RotateRoot", True, True, False, False),  # noqa: FBT003 - the row
    ]


async def test_nothing_was_ever_said(shop: Workshop) -> None:
    """An integrator without a protection has revision 0 and no methods."""
    view = await shop.sim.use.protection.snapshot(integrator_id=UMBRELLA.id, revision=None)

    assert view == SnapshotView(0, enabled=False, exclude_api_keys=False, methods=[])


async def test_older_revision_is_answered_at_once(shop: Workshop, patient: None) -> None:
    """Who has an older revision gets the methods without waiting."""
    del patient
    revision = shop.protection.revision
    view = await shop.sim.use.protection.snapshot(integrator_id=ACME.id, revision=revision - 1)

    assert view.revision == revision
    assert view.methods is not UNSET


async def test_newest_revision_is_held_no_longer_than_said(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a change the poll ends, and says that nothing changed."""
    monkeypatch.setattr(module, "SNAPSHOT_HOLD_SECONDS", 0.0)
    revision = shop.protection.revision
    view = await shop.sim.use.protection.snapshot(integrator_id=ACME.id, revision=revision)

    assert (view.revision, view.methods) == (revision, UNSET)


async def test_change_wakes_all_who_wait(shop: Workshop, patient: None) -> None:
    """A change is told to every poll at once."""
    del patient
    polls = [await held(shop) for _ in range(3)]
    await shop.protect("CreateRule")
    views = await asyncio.gather(*polls)

    assert {view.revision for view in views} == {shop.protection.revision}
    assert all(view.methods is not UNSET for view in views)


async def test_change_of_another_integrator_wakes_nobody(shop: Workshop, patient: None) -> None:
    """A poll hears of its own integrator only."""
    del patient
    poll = await held(shop)
    shop.sim.relay.protection.watch.changed("protection", UMBRELLA.id)
    shop.sim.relay.protection.watch.changed("api_key", ACME.id)
    await asyncio.sleep(0)
    assert not poll.done()
    poll.cancel()
    await asyncio.wait((poll,))

    assert poll.cancelled()


async def test_change_by_the_command_line_wakes_too(shop: Workshop, patient: None) -> None:
    """What another process changed is told as soon as it is heard of."""
    del patient
    poll = await held(shop)
    shop.sim.relay.protection.watch.changed("protection", ACME.id)

    assert (await poll).revision == shop.protection.revision


async def test_shutdown_lets_polls_go(shop: Workshop, patient: None) -> None:
    """A relay that goes down answers who waits, and holds nobody any more."""
    del patient
    poll = await held(shop)
    shop.sim.relay.begin_shutdown()
    revision = shop.protection.revision
    later = await shop.sim.use.protection.snapshot(integrator_id=ACME.id, revision=revision)

    assert (await poll).methods is UNSET
    assert later.methods is UNSET


async def test_held_polls_are_bounded(
    shop: Workshop, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound a poll is answered without waiting; whoever leaves makes room."""
    del patient
    monkeypatch.setattr(watching, "MAX_HELD_POLLS", 1)
    poll = await held(shop)
    read = shop.sim.use.protection.snapshot
    crowded = await read(integrator_id=ACME.id, revision=shop.protection.revision)
    poll.cancel()
    await asyncio.wait((poll,))
    again = await held(shop)
    await shop.protect("CreateRule")

    assert crowded.methods is UNSET
    assert (await again).revision == shop.protection.revision


async def test_one_integrator_takes_no_place_of_another(
    shop: Workshop, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its own bound an integrator's polls are not held, while another's are."""
    del patient
    monkeypatch.setattr(watching, "MAX_HELD_POLLS_OF_ONE", 1)
    poll = await held(shop)
    read = shop.sim.use.protection.snapshot
    crowded = await read(integrator_id=ACME.id, revision=shop.protection.revision)
    other = asyncio.ensure_future(read(integrator_id=UMBRELLA.id, revision=0))
    await asyncio.sleep(0)

    assert crowded.methods is UNSET
    assert not other.done()
    shop.sim.relay.begin_shutdown()
    await asyncio.gather(poll, other)
