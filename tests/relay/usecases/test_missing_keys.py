"""What happens when a file that the relay needs is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import START, simulator

from quorumkey.protocol import PrivateKey
from quorumkey_relay.identity.relaykeys import RelayKeyError, RelayKeys, succession
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import PutSuccession

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

FOLLOWING = PrivateKey.generate()


def missing(relay: RelayKeys, data_dir: Path, not_before: int) -> list[str]:
    """Tell the keys of a follower whose file is not there; return what they find wrong."""
    envelope = succession(relay.newest(), FOLLOWING, not_before=not_before).encode()
    return relay.take_successions(
        data_dir, [(envelope, FOLLOWING.public_key.fingerprint, not_before)]
    )


def test_a_retired_key_signs_nothing_more(tmp_path: Path) -> None:
    """Where the next key is missing, nothing is signed from the moment at which it should."""
    keys = RelayKeys(PrivateKey.generate())

    problems = missing(keys, tmp_path, START + 10)

    assert keys.fingerprint(START + 9)
    with pytest.raises(StoreUnavailable):
        keys.current(START + 10)
    with pytest.raises(RelayKeyError):
        keys.newest()
    assert 1 == len(problems)


async def test_a_serving_relay_says_that_a_key_is_missing(tmp_path: Path) -> None:
    """A succession without its key file makes a serving relay unready."""
    async with simulator(tmp_path) as sim:
        not_before = START + 10
        envelope = succession(sim.relay.keys.newest(), FOLLOWING, not_before=not_before).encode()
        write = PutSuccession(envelope, FOLLOWING.public_key.fingerprint, not_before)
        await sim.relay.store.commit((write,))
        await sim.relay.take_successions()

        (problem,) = sim.relay.ready()

    assert "next key is missing" in problem


async def test_a_relay_does_not_start_without_its_next_key(tmp_path: Path) -> None:
    """A start with a succession whose key file is missing is refused."""
    async with simulator(tmp_path) as sim:
        envelope = succession(sim.relay.keys.newest(), FOLLOWING, not_before=START).encode()
        write = PutSuccession(envelope, FOLLOWING.public_key.fingerprint, START)
        await sim.relay.store.commit((write,))

    with pytest.raises(RelayKeyError):
        async with simulator(tmp_path):
            pass
