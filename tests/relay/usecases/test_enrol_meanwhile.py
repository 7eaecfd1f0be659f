"""What happens to a key while its attestation is looked at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.relay.simulator import SimDevice, Simulator, refused

from quorumkey_relay.usecases.attest import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import Enrollment
    from quorumkey_relay.usecases.commands import AttestationBody

pytestmark = pytest.mark.anyio


@dataclass
class SlowAttestor:
    """Looks at evidence for as long as the test wants."""

    looking: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict:
        """Prove nothing, after a while."""
        del enrollment, attestation, now
        self.looking.set()
        await self.done.wait()
        return Verdict(None)


async def test_a_key_that_is_revoked_meanwhile_does_not_enrol(
    sim: Simulator, tmp_path: Path
) -> None:
    """Evidence takes time, and a revocation in that time counts."""
    attestor = SlowAttestor()
    enroll = replace(sim.use.enroll, attestor=attestor)
    alice = await sim.device("alice")
    known = sim.store.directory.device(alice.fingerprint)
    assert known is not None
    envelope = await sim.enrollment(alice, await sim.code("alice"))
    elsewhere = SqliteBackend(tmp_path)
    enrolling = asyncio.ensure_future(enroll(envelope=envelope, push=None, attestation=None))
    await attestor.looking.wait()
    elsewhere.revoke(known, at=sim.clock.now())
    elsewhere.follow(sim.store)
    attestor.done.set()

    assert "device_revoked" == (await refused(enrolling)).code


async def test_of_two_enrolments_under_way_one_wins(sim: Simulator) -> None:
    """A code whose evidence is looked at twice is spent once."""
    attestor = SlowAttestor()
    enroll = replace(sim.use.enroll, attestor=attestor)
    code = await sim.code("alice")
    envelopes = [await sim.enrollment(SimDevice("alice"), code) for _ in range(2)]
    enrolling = [
        asyncio.ensure_future(enroll(envelope=envelope, push=None, attestation=None))
        for envelope in envelopes
    ]
    await attestor.looking.wait()
    attestor.done.set()

    first, second = await asyncio.gather(*enrolling)

    assert "pairing_expired" == getattr(second, "code", None)
    assert not hasattr(first, "code")
