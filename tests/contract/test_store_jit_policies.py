"""Policies that were handed to the relay, and mail that is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.contract.backends import SqliteBackend
from tests.contract.jit_material import mail, policy
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import PutMail, PutPolicy

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.domain.jit.policy import StoredPolicy

pytestmark = pytest.mark.anyio

FIRST, SECOND = policy(), policy(revision=2)


async def test_a_policy_survives(backend: Backend) -> None:
    """It is read again as it was put or changed, each for its integrator and project."""
    other, foreign = policy("project-2"), policy(integrator=UMBRELLA)
    async with backend.open() as store:
        await store.commit(tuple(PutPolicy(None, one) for one in (FIRST, other, foreign)))
        await store.commit((PutPolicy(FIRST, SECOND),))
        at_once = [dict(store.policies(one.id)) for one in (ACME, UMBRELLA)]
    async with backend.open() as store:
        found = [dict(store.policies(one.id)) for one in (ACME, UMBRELLA)]

    expected = [{"project-1": SECOND, "project-2": other}, {"project-1": foreign}]
    assert [expected, expected] == [at_once, found]


async def test_a_policy_is_removed(backend: Backend) -> None:
    """One that was removed is gone, also after a restart, and may be put again."""
    async with backend.open() as store:
        await store.commit((PutPolicy(None, FIRST),))
        await store.commit((PutPolicy(FIRST, None),))
        at_once = dict(store.policies(ACME.id))
    async with backend.open() as store:
        assert [{}, {}] == [at_once, dict(store.policies(ACME.id))]
        await store.commit((PutPolicy(None, SECOND),))
        assert {"project-1": SECOND} == dict(store.policies(ACME.id))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, SECOND, id="one that is not the first"),
        pytest.param(SECOND, FIRST, id="one that never was"),
        pytest.param(SECOND, None, id="removing what never was"),
    ],
)
async def test_a_change_of_a_policy_that_is_not_the_newest(
    store: Store, before: StoredPolicy | None, after: StoredPolicy | None
) -> None:
    """A change that starts from anything but the newest edition is refused."""
    await store.commit((PutPolicy(None, FIRST),))

    with pytest.raises(Conflict):
        await store.commit((PutPolicy(before, after),))
    with pytest.raises(Conflict):
        await store.commit((PutPolicy(FIRST, None), PutPolicy(FIRST, SECOND)))

    assert {"project-1": FIRST} == dict(store.policies(ACME.id))


async def test_nothing_in_place_of_nothing(store: Store) -> None:
    """Removing no policy changes nothing."""
    await store.commit((PutPolicy(None, None),))

    assert {} == dict(store.policies(ACME.id))


async def test_a_policy_that_cannot_be_written(backend: Backend, store: Store) -> None:
    """After a batch that failed, memory holds what the disk does."""
    await store.commit((PutPolicy(None, FIRST),))

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit((PutPolicy(FIRST, SECOND),))

    assert {"project-1": FIRST} == dict(store.policies(ACME.id))


# Mail


async def test_mail_is_told_when_it_is_due(backend: Backend) -> None:
    """What is queued and due is told, the longest due first and no more than was asked for."""
    late, early, future = mail(next_at=START), mail(next_at=START - 1), mail(next_at=START + 1)
    async with backend.open() as store:
        await store.commit(tuple(map(PutMail, (late, early, future))))
        told = [await store.due_mail(now=now, limit=9) for now in (START - 2, START, START + 1)]
    async with backend.open() as store:
        again = await store.due_mail(now=START + 1, limit=2)

    assert [[], [early, late], [early, late, future], [early, late]] == [*told, again]


async def test_what_became_of_mail(store: Store) -> None:
    """One that waits for another try is told as it is then; one that is over is not told."""
    first, second, third = mail(), mail(), mail()
    await store.commit(tuple(map(PutMail, (first, second, third))))
    later = replace(first, attempts=1, next_at=START + 30, fault="The server is down.")
    await store.commit(
        (
            PutMail(later),
            PutMail(replace(second, state="sent", attempts=1)),
            PutMail(replace(third, state="failed", attempts=9, fault="No such address.")),
        )
    )

    assert [[], [later]] == [
        list(await store.due_mail(now=now, limit=9)) for now in (START + 29, START + 30)
    ]


async def test_mail_is_sealed(backend: Backend, store: Store) -> None:
    """What people are told does not lie readable on the disk."""
    assert isinstance(backend, SqliteBackend)
    await store.commit((PutMail(mail()),))

    files = backend.folder.glob("relay.db*")
    assert not any(b"an unmistakable text" in path.read_bytes() for path in files)
