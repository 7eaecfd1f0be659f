"""What happens to a device while its session key is stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.relay.simulator import Simulator, refused

from quorumkey.protocol import PrivateKey, b64decode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("stream", [False, True])
async def test_a_revocation_meanwhile_lets_nobody_in(
    sim: Simulator, tmp_path: Path, *, stream: bool
) -> None:
    """A device that is revoked before its session key is on the disk gets no token or stream."""
    alice = await sim.device("alice")
    known = sim.store.directory.device(alice.fingerprint)
    assert known is not None
    nonce = await sim.nonce()
    envelope = await sim.session(
        alice, nonce=nonce, session_public_key=PrivateKey.generate().public_key.base64
    )
    elsewhere = SqliteBackend(tmp_path)
    elsewhere.revoke(known, at=sim.clock.now())
    opening = asyncio.ensure_future(
        sim.use.authenticate_stream(envelope=envelope, nonce=b64decode(nonce, field="nonce"))
        if stream
        else sim.use.open_session(envelope=envelope)
    )
    await asyncio.sleep(0)  # its commit is on the way
    elsewhere.follow(sim.store)

    assert "device_revoked" == (await refused(opening)).code
