"""API keys: listed by integrator, changed, and revoked for good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import api_key, furnish
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.store.writes import PutApiKey

if TYPE_CHECKING:
    from tests.contract.backends import Backend

pytestmark = pytest.mark.anyio


async def test_an_integrators_keys(backend: Backend) -> None:
    """They are listed oldest first, revoked ones too, and nobody else's among them."""
    newer = replace(api_key("one"), created_at=START + 1)
    older = api_key("two", revoked_at=START)
    others = replace(api_key("three"), integrator_id=UMBRELLA.id)
    async with backend.open() as store:
        await furnish(store)
        await store.commit((PutApiKey(newer), PutApiKey(older), PutApiKey(others)))
        listed = store.directory.keys_of(ACME.id)
    async with backend.open() as store:
        again = store.directory.keys_of(ACME.id)

    assert [older, newer] == list(listed) == list(again)


async def test_a_changed_key(backend: Backend) -> None:
    """A key's name and scope can change, and stay so."""
    key = api_key("one")
    changed = replace(key, name="second", scope="admin")
    async with backend.open() as store:
        await furnish(store)
        await store.commit((PutApiKey(key),))
        await store.commit((PutApiKey(changed),))
        found = store.directory.api_key(key.digest)
    async with backend.open() as store:
        again = store.directory.api_key(key.digest)

    assert changed == found == again


async def test_a_revoked_key_stays_so(backend: Backend) -> None:
    """Whoever changes a key without knowing that it was revoked does not take that back."""
    key = api_key("one")
    async with backend.open() as store:
        await furnish(store)
        await store.commit((PutApiKey(replace(key, revoked_at=START)),))
        await store.commit((PutApiKey(replace(key, name="second")),))
    async with backend.open() as store:
        found = store.directory.api_key(key.digest)

    assert replace(key, name="second", revoked_at=START) == found


async def test_a_key_on_its_way(backend: Backend) -> None:
    """A key that is not on the disk yet stays known while others' changes are followed."""
    key, others = api_key("one"), api_key("two")
    async with backend.open() as store:
        await furnish(store)
        backend.administer(PutApiKey(others))
        made = store.commit((PutApiKey(key),))
        backend.follow(store)
        found = store.directory.api_key(key.digest), store.directory.api_key(others.digest)
        await made

    assert (key, others) == found
