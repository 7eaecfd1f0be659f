"""Which calls wait for approval at the moment, by who calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.material import ended, furnish, request
from tests.contract.protection_material import bare, opened
from tests.relay.simulator import ACME

from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.store.protocol import Store, StoreUnavailable
from quorumkey_relay.store.writes import OpenRequest, OpenTransaction

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.records import Stored

pytestmark = pytest.mark.anyio


async def test_waiting_calls_are_told_by_caller(backend: Backend) -> None:
    """Pending requests of calls, of one caller or of all, and apart by who executes them."""
    async with backend.open() as store:
        await furnish(store, "alice")
        (first, _), (second, _), (done, _) = [
            await opened(store, "alice", call=f"call {number}") for number in range(3)
        ]
        await store.commit(ended(done, Status.APPROVED))
        other = request("alice")
        await store.commit((OpenRequest(other), OpenTransaction(bare(other, call="a key's"))))
        before = waiting(store)
    async with backend.open() as store:
        again = waiting(store)
        await store.commit(ended(await stored_of(store, first), Status.REJECTED))
        left = waiting(store)

    ids = [first.terms.request_id, second.terms.request_id]
    key = [other.terms.request_id]
    assert {"reissue": ids, "alice": ids, "alice's key": [], "builtin": key} == before == again
    assert {"reissue": ids[1:], "alice": ids[1:], "alice's key": [], "builtin": key} == left


async def stored_of(store: Store, stored: Stored) -> Stored:
    """A request as it was read again after a restart."""
    found = await store.load(stored.terms.request_id)
    assert found is not None
    return found


def waiting(store: Store) -> dict[str, list[str]]:
    """Which calls wait: of all, of alice, of an API key of her name, and of the relay itself."""
    alice, key = Caller("person", "alice"), Caller("api_key", "alice")
    return {
        "reissue": list(store.waiting_calls(ACME.id, executor="reissue")),
        "alice": list(store.waiting_calls(ACME.id, executor="reissue", caller=alice)),
        "alice's key": list(store.waiting_calls(ACME.id, executor="reissue", caller=key)),
        "builtin": list(store.waiting_calls(ACME.id, executor="builtin")),
    }


async def test_a_call_that_could_not_be_stored_does_not_wait(
    backend: Backend, store: Store
) -> None:
    """What was opened in a failed batch takes nobody's room."""
    await furnish(store, "alice")
    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await opened(store, "alice")

    assert [] == waiting(store)["reissue"]
