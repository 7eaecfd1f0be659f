"""Challenges are signed when they are needed, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.material import RELAY, fingerprint, furnish, request
from tests.relay.simulator import START, UMBRELLA

from quorumkey.protocol import Challenge, verify_statement
from quorumkey_relay.delivery import challenges as challenges_module
from quorumkey_relay.delivery.challenges import Challenges
from quorumkey_relay.identity.relaykeys import RelayKeys

if TYPE_CHECKING:
    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def test_a_challenge_is_signed_once(store: SqliteStore) -> None:
    """The second time the same envelope is handed out."""
    await furnish(store, "alice")
    stored, challenges = request("alice"), Challenges(RelayKeys(RELAY), store)

    first, second = (
        challenges.envelope(stored, fingerprint("alice"), START + offset) for offset in (0, 99)
    )

    assert first is second


async def test_so_many_are_kept(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest gives way, and is made again with the same bytes."""
    monkeypatch.setattr(challenges_module, "MAX_KEPT_CHALLENGES", 1)
    await furnish(store, "alice", "bob")
    stored, challenges = request("alice", "bob"), Challenges(RelayKeys(RELAY), store)
    first = challenges.envelope(stored, fingerprint("alice"), START)
    challenges.envelope(stored, fingerprint("bob"), START)

    again = challenges.envelope(stored, fingerprint("alice"), START)

    assert (True, False) == (first == again, first is again)


async def test_an_integrator_that_is_gone_is_named_as_in_the_document(store: SqliteStore) -> None:
    """Where the directory does not know the integrator, the request document does."""
    stored = request("alice", integrator=UMBRELLA)

    envelope = Challenges(RelayKeys(RELAY), store).envelope(stored, fingerprint("alice"), START)

    said = verify_statement(envelope, Challenge, key=RELAY.public_key).statement
    assert UMBRELLA.name == said.integrator_name
