"""What asking about a call writes: nothing, unless a request opens or an approval is claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME, KEY
from tests.relay.simulator import granted

from quorumkey_relay.store.writes import (
    AppendEvent,
    OpenRequest,
    OpenTransaction,
    PutProtection,
    WithdrawTransaction,
)
from quorumkey_relay.usecases.protection.commands import CatalogueBody, MethodBody

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


@pytest.fixture
def commits(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> list[Commit]:
    """Every commit from now on."""
    made: list[Commit] = []
    commit = shop.sim.store.commit

    def noted(writes: Commit) -> Awaitable[None]:
        made.append(writes)
        return commit(writes)

    monkeypatch.setattr(shop.sim.store, "commit", noted)
    return made


async def test_calls_that_proceed_write_nothing(shop: Workshop, commits: list[Commit]) -> None:
    """Unprotected, excluded, with a false condition: the disk is left alone."""
    await shop.protect("CreateRule", "false")
    await shop.set(exclude_api_keys=True)
    commits.clear()
    for body in (shop.body("ListRules"), shop.body("CreateRule"), shop.body(caller=KEY)):
        await shop.proceeds(body)

    assert commits == []


async def test_calls_that_wait_already_write_nothing(shop: Workshop, commits: list[Commit]) -> None:
    """A call whose request is pending is told its txid without a write."""
    await shop.waits()
    commits.clear()
    await shop.waits()

    assert commits == []


async def test_lost_answers_write_nothing(shop: Workshop, commits: list[Commit]) -> None:
    """A claim that is asked for again is only read."""
    await shop.approved("bob")
    body = shop.body()
    await shop.runs(body)
    commits.clear()
    await shop.runs(body)

    assert commits == []


async def test_request_opens_in_one_commit(shop: Workshop, commits: list[Commit]) -> None:
    """Request, transaction and event are written together."""
    await shop.waits()
    ((request, transaction, event),) = commits

    assert isinstance(request, OpenRequest)
    assert isinstance(transaction, OpenTransaction)
    assert isinstance(event, AppendEvent)


async def test_lapse_and_new_request_are_one_commit(shop: Workshop, commits: list[Commit]) -> None:
    """An approval whose votes no longer count ends in the commit that opens the next request."""
    txid = await shop.approved("bob")
    await shop.dismiss("bob")
    commits.clear()
    fresh = await shop.waits()
    ((withdrawn, _, request, transaction, _),) = commits

    assert isinstance(withdrawn, WithdrawTransaction)
    assert isinstance(request, OpenRequest)
    assert isinstance(transaction, OpenTransaction)
    assert fresh.txid != txid
    assert (await shop.read(txid)).ended_reason == "votes_lost"


async def test_lapse_is_written_also_where_no_request_can_open(
    shop: Workshop, commits: list[Commit]
) -> None:
    """With too few administrators left the approval lapses, and the call is refused."""
    txid = await shop.approved("bob")
    await shop.dismiss("bob")
    await shop.dismiss("carol")
    commits.clear()
    refusal = await shop.why_not(shop.body())

    assert (refusal.code, len(commits)) == ("failed_precondition", 1)
    assert (await shop.read(txid)).state == "lapsed"


async def test_same_catalogue_again_changes_nothing(shop: Workshop, commits: list[Commit]) -> None:
    """A service that registers what it had registered writes nothing."""
    register = shop.sim.use.protection.register_catalogue
    body = CatalogueBody("other", [MethodBody("Stop", default_condition="")])
    first = await granted(register(integrator=ACME, body=body))
    again = await granted(register(integrator=ACME, body=body))

    assert [type(write) for commit in commits for write in commit] == [PutProtection, AppendEvent]
    assert first == again
