"""What is kept of just-in-time access: as long as approval requests, and as what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.contract.jit_material import BOB, asked, closed, given, mail, moved
from tests.contract.material import ended, furnish, request
from tests.relay.simulator import ACME, START

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.sqlite import hot_jit
from quorumkey_relay.store.writes import OpenRequest, PutAccessRequest, PutActivation, PutMail

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio

#: When everything of this module's material is over.
OVER = START + 7_200


async def prune(store: Store, before: int = OVER) -> int:
    """Prune what was over before a time."""
    return await store.prune(requests_before=before, events_before=0, answers_before=0)


async def left(store: Store) -> tuple[list[str], list[str]]:
    """The ids of requests for roles and of activations that are listed."""
    requests = await store.access_requests(
        integrator_id=ACME.id, beneficiary=None, reviewer=None, before=None, limit=9
    )
    roles = await store.activations(integrator_id=ACME.id, beneficiary=None, before=None, limit=9)
    return [one.id for one in requests], [one.activation_id for one in roles]


async def test_what_is_over_goes(store: Store) -> None:
    """Activation, request for a role and signed request go together, from memory too."""
    await furnish(store, "bob")
    stored = request("bob")
    one = asked(signed=stored)
    role = given(one)
    after = replace(one, activation_id=role.activation_id, version=1)
    done = moved(role, "active", "ended")
    await store.commit((OpenRequest(stored), PutAccessRequest(None, one)))
    await store.commit(ended(stored, Status.APPROVED))
    await store.commit((PutAccessRequest(one, after), PutActivation(None, role)))
    await store.commit((PutActivation(role, done),))
    early = await prune(store, START + 5), await left(store)

    gone = await prune(store)

    assert (0, ([one.id], [role.activation_id])) == early
    assert (3, ([], []), None, None, None, None, None) == (
        gone,
        await left(store),
        await store.access_request(one.id),
        await store.access_request_of(stored.terms.request_id),
        await store.activation(role.activation_id),
        await store.activation_of(one.id),
        await store.load(stored.terms.request_id),
    )
    listed = await store.access_requests(
        integrator_id=ACME.id, beneficiary=None, reviewer=BOB, before=None, limit=9
    )
    assert [] == listed


@pytest.mark.parametrize("state", ["granting", "active", "revoking"])
async def test_what_can_still_happen_is_kept(store: Store, state: str) -> None:
    """As long as an activation is open, its request and its signed request stay."""
    await furnish(store, "bob")
    stored = request("bob")
    one = asked(signed=stored)
    role = given(one)
    after = replace(one, activation_id=role.activation_id, version=1)
    await store.commit((OpenRequest(stored), PutAccessRequest(None, one)))
    await store.commit(ended(stored, Status.APPROVED))
    await store.commit((PutAccessRequest(one, after), PutActivation(None, role)))
    if state != "granting":
        now = moved(role, "active") if state == "active" else moved(role, "revoking")
        await store.commit((PutActivation(role, now),))

    assert 0 == await prune(store)
    assert ([one.id], [role.activation_id]) == await left(store)
    assert None is not await store.load(stored.terms.request_id)


async def test_a_request_that_waits_is_kept(store: Store) -> None:
    """A request goes once it was written down that nothing comes of it."""
    waiting, over = asked(), asked()
    await store.commit((PutAccessRequest(None, waiting), PutAccessRequest(None, over)))
    await store.commit((PutAccessRequest(over, closed(over)),))

    assert 1 == await prune(store)
    assert ([waiting.id], []) == await left(store)


async def test_a_failed_activation_goes(store: Store) -> None:
    """One that was never granted is over when it failed; one by a person alone has no request."""
    role = given()
    await store.commit((PutActivation(None, role),))
    await store.commit((PutActivation(role, moved(role, "failed")),))

    assert [0, 1] == [await prune(store, START + 5), await prune(store, START + 6)]


async def test_mail_goes(store: Store) -> None:
    """Mail goes once it is of no use any more, sent or not."""
    sent, queued, young = mail(), mail(), mail(not_after=OVER)
    await store.commit((PutMail(sent), PutMail(queued), PutMail(young)))
    await store.commit((PutMail(replace(sent, state="sent")),))
    await prune(store)

    assert [young] == await store.due_mail(now=OVER, limit=9)


async def test_what_memory_let_go_of_is_on_the_disk(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last few that ended are held; the others are read, and guarded, all the same."""
    monkeypatch.setattr(hot_jit, "RECENT_ACCESS", 1)
    requests = [asked() for _ in range(3)]
    roles = [given(one) for one in requests]
    async with backend.open() as store:
        for one, role in zip(requests, roles, strict=True):
            done = replace(closed(one), activation_id=role.activation_id)
            await store.commit((PutAccessRequest(None, one), PutAccessRequest(one, done)))
            await store.commit(
                (PutActivation(None, role), PutActivation(role, moved(role, "failed")))
            )

        assert [moved(role, "failed") for role in roles] == [
            await store.activation_of(one.id) for one in requests
        ]
        assert [role.activation_id for role in roles] == [
            found.activation_id
            for one in requests
            if (found := await store.access_request(one.id)) is not None
        ]
