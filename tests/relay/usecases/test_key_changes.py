"""A relay's key is followed by another: announced, in effect from its moment on, or missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    START,
    ManualClock,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import (
    Kind,
    PrivateKey,
    RequestDocument,
    Succession,
    parse_envelope,
    verify_statement,
)
from quorumkey_relay.app import build
from quorumkey_relay.identity.files import write_private
from quorumkey_relay.identity.relaykeys import RelayKeyError, key_path, succession
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import PutSuccession

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import Envelope

pytestmark = pytest.mark.anyio


def rotate(folder: Path, sim: Simulator, *, not_before: int) -> tuple[PrivateKey, Envelope]:
    """The command line names the relay's next key."""
    following = PrivateKey.generate()
    fingerprint = following.public_key.fingerprint
    write_private(key_path(folder, fingerprint), following.to_pem())
    envelope = succession(sim.relay.keys.newest(), following, not_before=not_before)
    with AdminStore(folder, vault=sim.vault) as admin:
        admin.commit(PutSuccession(envelope.encode(), fingerprint, not_before))
    return following, envelope


async def test_a_key_change_is_announced_and_takes_effect(tmp_path: Path) -> None:
    """The succession is listed at once; from ``not_before`` on the new key signs."""
    async with simulator(tmp_path) as sim:
        old = sim.relay.keys.current(START).public_key
        following, envelope = rotate(tmp_path, sim, not_before=START + 60)
        await sim.relay.follow_changes()
        listed = shown(await sim.use.info())
        sim.clock.advance(59)
        before = sim.fingerprint
        sim.clock.advance(1)
        after = shown(await sim.use.info())

    said = verify_statement(envelope, Succession, key=old).statement
    assert [envelope.to_json()] == listed["successions"] == after["successions"]
    assert (old.fingerprint, following.public_key.base64, START + 60) == (
        said.relay,
        said.next_public_key,
        said.not_before,
    )
    assert (old.fingerprint, following.public_key.fingerprint) == (before, after["relay"])


async def test_keys_follow_each_other(tmp_path: Path) -> None:
    """Two changes make a chain, oldest first, which a restart finds again."""
    async with simulator(tmp_path) as sim:
        _, first = rotate(tmp_path, sim, not_before=START + 10)
        await sim.relay.follow_changes()
        last, second = rotate(tmp_path, sim, not_before=START + 20)
    async with simulator(tmp_path, ManualClock(START + 20)) as sim:
        info = shown(await sim.use.info())

    assert ([first.to_json(), second.to_json()], last.public_key.fingerprint) == (
        info["successions"],
        info["relay"],
    )


async def test_documents_are_signed_by_the_key_of_their_time(tmp_path: Path) -> None:
    """A request of before the change keeps its key, one of after it has the new one."""
    async with simulator(tmp_path) as sim:
        old = sim.relay.keys.current(START)
        alice = await sim.device("alice")
        before = await sim.ask([alice])
        following, _ = rotate(tmp_path, sim, not_before=START + 60)
        await sim.relay.follow_changes()
        sim.clock.advance(60)
        after = await sim.ask([alice])
        await sim.approve(before, alice)
        receipt = parse_envelope(json.loads(await sim.receipt(before)))
        stored = [await sim.store.load(request.id) for request in (before, after)]

    for found, key in zip(stored, (old, following), strict=True):
        assert found is not None
        document = verify_statement(found.document, RequestDocument, key=key.public_key)
        assert key.public_key.fingerprint == document.statement.relay
    assert (Kind.RECEIPT in receipt.payload_type, following.public_key.fingerprint) == (
        True,
        receipt.keyid,
    )


async def test_after_the_change_devices_name_the_new_key(tmp_path: Path) -> None:
    """A statement for the old key is refused, one for the new key is accepted."""
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        old = sim.fingerprint
        rotate(tmp_path, sim, not_before=START + 60)
        await sim.relay.follow_changes()
        sim.clock.advance(60)

        refusal = await refused(sim.use.open_session(envelope=await sim.session(alice, relay=old)))
        view = await granted(sim.use.open_session(envelope=await sim.session(alice)))

        assert "invalid_request" == refusal.code
        assert alice.fingerprint == sim.use.device_of_token(view.token)


async def test_a_key_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """A succession without its key file is told, and the folder is let go."""
    async with simulator(tmp_path) as sim:
        following, _ = rotate(tmp_path, sim, not_before=START)
    path = key_path(tmp_path, following.public_key.fingerprint)
    hidden = path.rename(tmp_path / "hidden")

    with pytest.raises(RelayKeyError, match="next key is missing"):
        await build(Settings(data_dir=tmp_path)).start()

    hidden.rename(path)
    async with simulator(tmp_path) as sim:
        assert following.public_key.fingerprint == sim.fingerprint


async def test_a_key_that_is_not_there_signs_nothing(tmp_path: Path) -> None:
    """While serving, a missing key is a problem at once, and an outage from its moment on."""
    async with simulator(tmp_path) as sim:
        before = sim.fingerprint
        following, _ = rotate(tmp_path, sim, not_before=START + 60)
        key_path(tmp_path, following.public_key.fingerprint).unlink()
        await sim.relay.follow_changes()
        problems = sim.relay.ready()
        still = sim.fingerprint
        sim.clock.advance(60)
        with pytest.raises(StoreUnavailable):
            await sim.use.info()

    assert (before, 1) == (still, len(problems))
    assert "the relay's next key is missing" in problems[0]
