"""Filling a data directory with finished requests: ``python -m bench.seeding DIR COUNT``.

They go through the store's own commits, as a relay would make them, and in batches as large as
the store's. Prints the ids of the requests, a line each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from quorumkey.protocol import (
    Action,
    Approver,
    Decision,
    Envelope,
    Group,
    Kind,
    Party,
    Policy,
    PrivateKey,
    RequestDocument,
    b64encode,
    limits,
    media_type,
    request_digest,
    sign,
)
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Counted, Resolved, State, Status, terms_of
from quorumkey_relay.identity.principals import Device, Integrator, Pairing
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.records import Evidence, Stored
from quorumkey_relay.store.sqlite import AdminStore, SqliteStore
from quorumkey_relay.store.sqlite.writer import MAX_BATCH_COMMITS
from quorumkey_relay.store.writes import AdvanceRequest, Commit, OpenRequest, PutDevice, PutPairing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.domain.model import Event

GROUPS: Final = 3
GROUP_SIZE: Final = 2


class Seeder:
    """Makes requests that two of three groups have approved.

    Keys are real; the signature of one document and one decision stands for all of them, because
    nothing that is measured afterwards looks at it.
    """

    def __init__(self, integrator: Integrator) -> None:
        """Ask as ``integrator``."""
        self._integrator = integrator
        self._mint = SystemMint()
        self._now = int(time.time())
        self._keys = [PrivateKey.generate() for _ in range(GROUPS * GROUP_SIZE)]
        self._relay = PrivateKey.generate()
        self._policy = Policy(
            required=GROUPS - 1,
            groups=tuple(
                Group(f"Group {n + 1}", self._approvers(n * GROUP_SIZE)) for n in range(GROUPS)
            ),
        )
        self._persons = {
            key.public_key.fingerprint: f"person-{n}" for n, key in enumerate(self._keys)
        }
        self._signature = self._relay.sign(b"")
        voters = (self._keys[0], self._keys[GROUP_SIZE])
        self._evidence = tuple(self._approval(key) for key in voters)

    def _approvers(self, start: int) -> tuple[Approver, ...]:
        keys = (key.public_key for key in self._keys[start : start + GROUP_SIZE])
        return tuple(Approver(key.fingerprint, key.base64) for key in keys)

    def _approval(self, key: PrivateKey) -> Evidence:
        device = key.public_key.fingerprint
        decision = Decision(
            request_digest=request_digest(b""),
            decision="approve",
            device=device,
            decided_at=self._now,
        )
        envelope = sign(Kind.DECISION, decision.encode(), key)
        return Evidence(device=device, choice="approve", envelope=envelope)

    def devices(self) -> Commit:
        """Return the writes that make the approvers known."""
        return tuple(write for key in self._keys for write in self._paired(key))

    def _paired(self, key: PrivateKey) -> tuple[PutDevice, PutPairing]:
        public = key.public_key
        device = Device(
            fingerprint=public.fingerprint,
            public_key=public.compressed,
            platform="cli",
            form="native",
            assurance="none",
            enrolled_at=self._now,
        )
        pairing = Pairing(
            pairing_id=self._mint.uuid7(),
            integrator_id=self._integrator.id,
            approver_id=self._persons[public.fingerprint],
            approver_name=None,
            code_digest=os.urandom(limits.DIGEST_BYTES),
            created_at=self._now,
            expires_at=self._now,
            device=public.fingerprint,
            enrolled_at=self._now,
            enrollment=b"{}",
        )
        return PutDevice(device), PutPairing(pairing)

    def asked(self) -> Stored:
        """Return a new request."""
        document = RequestDocument(
            profile="approval",
            relay=self._relay.public_key.fingerprint,
            integrator=Party(self._integrator.id, self._integrator.name),
            request_id=self._mint.uuid7(),
            nonce=b64encode(os.urandom(limits.NONCE_BYTES)),
            action=Action(type="cold_boot", description="Cold boot engine ENG-001", params={}),
            policy=self._policy,
            created_at=self._now,
            expires_at=self._now + limits.DEFAULT_EXPIRES_IN_SECONDS,
            use_by=self._now + limits.DEFAULT_EXPIRES_IN_SECONDS,
        )
        payload = document.encode()
        terms = terms_of(
            document, digest=request_digest(payload), persons=self._persons, match_code=None
        )
        envelope = Envelope(
            media_type(Kind.REQUEST), payload, document.relay, self._signature, None
        )
        return Stored(terms=terms, state=State(), document=envelope, nonce=document.nonce)

    def approved(self, stored: Stored) -> AdvanceRequest:
        """Return the write that ends a new request."""
        events: tuple[Event, ...] = (
            *(Counted(one.device, one.choice) for one in self._evidence),
            Resolved(Status.APPROVED, self._now),
        )
        after = stored.state
        for event in events:
            after = lifecycle.apply(stored.terms, after, event)
        return AdvanceRequest(stored.terms, stored.state, after, events, self._evidence)


async def seed(data_dir: Path, count: int) -> list[str]:
    """Put ``count`` approved requests of the directory's integrator into it; return their ids."""
    vault = Vault.open_in(data_dir)
    with AdminStore(data_dir, vault=vault) as admin:
        (integrator,) = admin.read.integrators()
    store = SqliteStore(data_dir, vault=vault, clock=SystemClock())
    await store.start()
    try:
        seeder = Seeder(integrator)
        await store.commit(seeder.devices())
        ids: list[str] = []
        while len(ids) < count:
            batch = [seeder.asked() for _ in range(min(MAX_BATCH_COMMITS, count - len(ids)))]
            await _finish(store, seeder, batch)
            ids += [stored.terms.request_id for stored in batch]
        return ids
    finally:
        await store.close()


async def _finish(store: SqliteStore, seeder: Seeder, batch: Sequence[Stored]) -> None:
    """Store new requests and their ends, a transaction each."""
    await asyncio.gather(*(store.commit((OpenRequest(stored),)) for stored in batch))
    await asyncio.gather(*(store.commit((seeder.approved(stored),)) for stored in batch))


def main() -> None:
    """Read the command line and seed."""
    parser = argparse.ArgumentParser(prog="python -m bench.seeding")
    parser.add_argument("directory", type=Path)
    parser.add_argument("count", type=int)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ids = runner.run(seed(given.directory, given.count))
    sys.stdout.write("".join(f"{one}\n" for one in ids))


if __name__ == "__main__":
    main()
