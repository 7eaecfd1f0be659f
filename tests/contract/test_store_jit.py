"""Requests for roles and activations: changed from their newest state alone, one for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.contract.jit_material import (
    ALICE,
    BOB,
    CAROL,
    asked,
    closed,
    given,
    moved,
    voted,
)
from tests.contract.material import api_key, furnish, request
from tests.relay.simulator import ACME, UMBRELLA

from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation, PutApiKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contract.backends import Backend

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

SIGNED = request("bob")


async def listed(
    store: Store,
    *,
    beneficiary: str | None = None,
    reviewer: str | None = None,
    before: str | None = None,
    limit: int = 9,
) -> list[AccessRequest]:
    """What a list of ACME's requests for roles shows."""
    return list(
        await store.access_requests(
            integrator_id=ACME.id,
            beneficiary=beneficiary,
            reviewer=reviewer,
            before=before,
            limit=limit,
        )
    )


async def active(
    store: Store, *, beneficiary: str | None = None, before: str | None = None, limit: int = 9
) -> Sequence[Activation]:
    """What a list of ACME's activations shows."""
    return await store.activations(
        integrator_id=ACME.id, beneficiary=beneficiary, before=before, limit=limit
    )


# Requests for roles


async def test_a_request_for_a_role_survives(backend: Backend) -> None:
    """It is read by its id and by that of its signed request, as it was, while open and after."""
    first, second = asked(), asked(BOB, CAROL, signed=SIGNED)
    async with backend.open() as store:
        await store.commit((PutAccessRequest(None, first), PutAccessRequest(None, second)))
        await store.commit((PutAccessRequest(first, closed(first)),))
        at_once = [await store.access_request(one.id) for one in (first, second)]
        waiting = list(store.open_access_requests())
    async with backend.open() as store:
        found = [await store.access_request(one.id) for one in (first, second)]
        signed = await store.access_request_of(SIGNED.terms.request_id)

        assert [waiting, [second]] == [list(store.open_access_requests()), waiting]
    assert [[closed(first), second]] * 2 == [at_once, found]
    assert second == signed


async def test_nobody_asked_for_a_role(store: Store) -> None:
    """What does not exist is not found."""
    assert [None, None, None, None] == [
        await store.access_request("mpa-1"),
        await store.access_request_of("a"),
        await store.activation("a"),
        await store.activation_of("mpa-1"),
    ]


async def test_a_change_of_a_request_that_is_not_the_newest(backend: Backend) -> None:
    """One that starts from anything but the newest state is refused, also after a restart."""
    first = asked()
    second = voted(first)
    stale: list[Commit] = [
        (PutAccessRequest(None, first),),
        (PutAccessRequest(first, closed(first)),),
        (PutAccessRequest(closed(first), second),),
    ]
    async with backend.open() as store:
        await store.commit((PutAccessRequest(None, first),))
        await store.commit((PutAccessRequest(first, second),))
        for commit in stale:
            with pytest.raises(Conflict):
                await store.commit(commit)
    async with backend.open() as store:
        for commit in stale:
            with pytest.raises(Conflict):
                await store.commit(commit)
        await store.commit((PutAccessRequest(second, closed(second)),))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((PutAccessRequest(second, second),))

        assert closed(second) == await store.access_request(first.id)


async def test_a_first_change_of_no_request(store: Store) -> None:
    """Where there is none, only a first one can be put."""
    one = asked()
    with pytest.raises(Conflict):
        await store.commit((PutAccessRequest(one, voted(one)),))

    assert None is await store.access_request(one.id)


async def test_two_changes_of_a_request_in_one_commit(backend: Backend) -> None:
    """A commit may make a request and change it."""
    one = asked()
    async with backend.open() as store:
        await store.commit((PutAccessRequest(None, one), PutAccessRequest(one, voted(one))))
        with pytest.raises(Conflict):
            await store.commit(
                (
                    PutAccessRequest(voted(one), closed(one)),
                    PutAccessRequest(voted(one), closed(one)),
                )
            )
    async with backend.open() as store:
        assert voted(one) == await store.access_request(one.id)


async def test_a_signed_request_decides_one_role(backend: Backend) -> None:
    """A second request for a role with the same signed request is refused, whenever it comes."""
    first, second = asked(signed=SIGNED), asked(signed=SIGNED)
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((PutAccessRequest(None, first), PutAccessRequest(None, second)))
        await store.commit((PutAccessRequest(None, first),))
        with pytest.raises(Conflict):
            await store.commit((PutAccessRequest(None, second),))
        await store.commit((PutAccessRequest(first, closed(first)),))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((PutAccessRequest(None, second),))

        assert closed(first) == await store.access_request_of(SIGNED.terms.request_id)


async def test_lists_of_requests(store: Store) -> None:
    """They are of one beneficiary, one reviewer or all of an integrator, newest first, in pages."""
    first, second = asked(BOB), asked(BOB, CAROL, BOB)
    third, foreign = asked(ALICE, by=CAROL), asked(integrator=UMBRELLA)
    await store.commit(
        tuple(PutAccessRequest(None, one) for one in (first, second, third, foreign))
    )

    assert [third, second, first] == await listed(store)
    assert [second, first] == await listed(store, beneficiary=ALICE)
    assert [second] == await listed(store, reviewer=CAROL)
    assert [second, first] == await listed(store, reviewer=BOB)
    assert [] == await listed(store, reviewer="dave@example.com")
    assert [second] == await listed(store, beneficiary=ALICE, reviewer=CAROL)
    assert [second] == await listed(store, before=third.id, limit=1)
    assert [first] == await listed(store, reviewer=BOB, before=second.id)
    assert [] == await listed(store, before="mpa-unknown")


# Activations


async def test_an_activation_survives(backend: Backend) -> None:
    """It is read by its id and by its request's, as it was, while it is open and after."""
    request_for = asked()
    first, second = given(request_for), given()
    done = moved(first, "active", "ended")
    async with backend.open() as store:
        await store.commit((PutActivation(None, first), PutActivation(None, second)))
        await store.commit((PutActivation(first, done),))
        at_once = [await store.activation(one.activation_id) for one in (first, second)]
        of_request = await store.activation_of(request_for.id)
    async with backend.open() as store:
        found = [await store.activation(one.activation_id) for one in (first, second)]

        assert [done, done, [second]] == [
            of_request,
            await store.activation_of(request_for.id),
            list(store.open_activations()),
        ]
    assert [[done, second]] * 2 == [at_once, found]


async def test_a_request_has_one_activation(backend: Backend) -> None:
    """A second one is refused: in the same commit, at once, when the first is over, and later."""
    request_for = asked()
    first, second = given(request_for), given(request_for)
    failed = moved(first, "failed")
    key = api_key("a key")
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((PutActivation(None, first), PutActivation(None, second)))
        await store.commit((PutActivation(None, first),))
        with pytest.raises(Conflict):
            await store.commit((PutApiKey(key), PutActivation(None, second)))
        await store.commit((PutActivation(first, failed),))
        with pytest.raises(Conflict):
            await store.commit((PutActivation(None, second),))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((PutActivation(None, second),))

        assert (failed, None, None) == (
            await store.activation_of(request_for.id),
            await store.activation(second.activation_id),
            store.directory.api_key(key.digest),
        )


async def test_a_change_of_an_activation_that_is_not_the_newest(backend: Backend) -> None:
    """One that starts from anything but the newest state is refused, also after a restart."""
    first = given()
    second = moved(first, "active")
    async with backend.open() as store:
        await store.commit((PutActivation(None, first),))
        await store.commit((PutActivation(first, second),))
        for before in (None, first, moved(first, "revoking")):
            with pytest.raises(Conflict):
                await store.commit((PutActivation(before, moved(first, "failed")),))
    async with backend.open() as store:
        for before in (None, first, moved(first, "revoking")):
            with pytest.raises(Conflict):
                await store.commit((PutActivation(before, moved(first, "failed")),))
        await store.commit((PutActivation(second, moved(second, "ended")),))

        assert [] == list(store.open_activations())
        assert [moved(second, "ended")] == await active(store)


async def test_activations_on_one_target(backend: Backend) -> None:
    """The open ones of a role and person are told, oldest first, whatever the resource."""
    first, second = given(), given()
    whole = replace(given(), entitlement=replace(first.entitlement, condition=""))
    others = [
        given(to=BOB),
        replace(given(), executor="another"),
        replace(given(), entitlement=replace(first.entitlement, project="project-2")),
    ]
    done = moved(first, "active", "ended")
    async with backend.open() as store:
        await store.commit(
            tuple(PutActivation(None, one) for one in (first, *others, second, whole))
        )
        before = store.activations_on(first.target)
        await store.commit((PutActivation(first, done),))
    async with backend.open() as store:
        after = store.activations_on(first.target)
        for one in (second, whole):
            await store.commit((PutActivation(one, moved(one, "failed")),))
        none = store.activations_on(first.target)

    assert [[first, second, whole], [second, whole], []] == [
        list(told) for told in (before, after, none)
    ]


async def test_lists_of_activations(store: Store) -> None:
    """They are of one beneficiary or of all of an integrator, newest first, in pages."""
    first, second, theirs = given(), given(to=BOB), given(integrator=UMBRELLA)
    await store.commit(tuple(PutActivation(None, one) for one in (first, second, theirs)))
    done = moved(first, "failed")
    await store.commit((PutActivation(first, done),))

    assert [second, done] == await active(store)
    assert [done] == await active(store, beneficiary=ALICE)
    assert [[second], [done]] == [
        await active(store, limit=1),
        await active(store, before=second.activation_id),
    ]


# Failures


async def test_what_could_not_be_written_was_not_asked_nor_given(
    backend: Backend, store: Store
) -> None:
    """After a batch that failed, memory holds what the disk does, and the change can follow."""
    await furnish(store)
    one = asked()
    role = given(one)
    await store.commit((PutAccessRequest(None, one),))
    after = replace(one, activation_id=role.activation_id, version=1)
    commit: Commit = (PutAccessRequest(one, after), PutActivation(None, role))

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(commit)

    assert ([one], [], None) == (
        list(store.open_access_requests()),
        list(store.activations_on(role.target)),
        await store.activation_of(one.id),
    )
    await store.commit(commit)
    assert ([], [role]) == (list(store.open_access_requests()), list(store.open_activations()))
