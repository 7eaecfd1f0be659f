"""B28: transactions with what each administrator can do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME, KEY
from tests.relay.simulator import UMBRELLA, granted, refused

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.usecases.protection.views import TransactionView

pytestmark = pytest.mark.anyio


async def acts(shop: Workshop, txid: str, *people: str) -> list[object]:
    """What each of these people can do."""
    read = shop.sim.use.protection.transaction
    views = [
        await granted(read(integrator_id=ACME.id, txid=txid, person=person)) for person in people
    ]
    return [view.can_act for view in views]


async def test_b28_pending(shop: Workshop) -> None:
    """While it is pending the caller can cancel, others approve or reject, strangers nothing."""
    txid = (await shop.waits()).txid

    assert await acts(shop, txid, "alice", "bob", "mallory") == [
        ["cancel"],
        ["approve", "reject"],
        [],
    ]


async def test_b28_whoever_has_voted_is_done(shop: Workshop) -> None:
    """Each acts once: after their vote an administrator can do nothing more."""
    await shop.set(required=3)
    txid = await shop.approved("bob")

    assert await acts(shop, txid, "alice", "bob", "carol") == [
        ["cancel"],
        [],
        ["approve", "reject"],
    ]


async def test_b28_approved_until_it_is_claimed(shop: Workshop) -> None:
    """An approval can be taken back by its caller or rejected, until it is claimed."""
    txid = await shop.approved("bob")
    before = await acts(shop, txid, "alice", "bob", "carol")
    await shop.runs()

    assert before == [["cancel"], [], ["reject"]]
    assert await acts(shop, txid, "alice", "bob", "carol") == [[], [], []]


async def test_b28_api_keys_call_has_nobody_to_cancel_it(shop: Workshop) -> None:
    """A call by an API key can be approved or rejected by any administrator."""
    txid = (await shop.waits(shop.body(caller=KEY))).txid

    assert await acts(shop, txid, "alice", "bob") == [["approve", "reject"]] * 2


async def test_b28_what_can_be_done_can_be_done(shop: Workshop) -> None:
    """Rejecting an approval ends it, and the view says by whom and shows the denial."""
    txid = await shop.approved("bob")
    await granted(shop.vote("carol", txid, "deny"))
    view = await shop.read(txid)

    assert (view.state, view.ended_by) == ("rejected", "carol")
    assert [(vote.approver_id, vote.decision) for vote in view.votes] == [
        ("bob", "approve"),
        ("carol", "deny"),
    ]


async def test_b28_unknown_is_not_found(shop: Workshop) -> None:
    """No txid, another integrator's, an ordinary request's: not found."""
    txid = (await shop.waits()).txid
    ordinary = await shop.sim.ask([shop.devices["bob"]])
    read = shop.sim.use.protection.transaction
    answers = [
        await refused(read(integrator_id=ACME.id, txid="no-id")),
        await refused(read(integrator_id=ACME.id, txid="0190a000-0000-7000-8000-00000000dead")),
        await refused(read(integrator_id=UMBRELLA.id, txid=txid)),
        await refused(read(integrator_id=ACME.id, txid=ordinary.id)),
    ]

    assert {answer.code for answer in answers} == {"not_found"}


async def test_b28_pages_are_newest_first(shop: Workshop) -> None:
    """The list goes on where the page before ended; nobody else's are in it."""
    made = [(await shop.waits(shop.body(request={"n": number}))).txid for number in range(5)]
    use = shop.sim.use.protection.transactions
    found: list[TransactionView] = []
    cursor = None
    while True:
        page = await granted(use(integrator_id=ACME.id, limit=2, cursor=cursor))
        found += page.data
        cursor = page.next_cursor
        if cursor is None:
            break
    others = await granted(use(integrator_id=UMBRELLA.id, limit=2, cursor=None))
    bad = await refused(use(integrator_id=UMBRELLA.id, limit=2, cursor=made[0]))

    assert [view.txid for view in found] == made[::-1]
    assert (others.data, bad.code) == ([], "invalid_request")
