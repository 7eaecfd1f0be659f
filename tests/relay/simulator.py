"""A whole relay in the test's own process, with a clock that the test moves.

Everything is real but the clock: SQLite on disk, keys, signatures. Devices answer through the
same use cases that the HTTP layer calls, so a test reads as a scenario.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quorumkey.protocol import (
    Decision,
    Enrollment,
    Envelope,
    Kind,
    PrivateKey,
    Session,
    Unpair,
    sign,
)
from quorumkey_relay.app import Relay, build
from quorumkey_relay.config import Settings
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.protocol import PutIntegrator
from quorumkey_relay.usecases.commands import (
    ActionBody,
    ApproverBody,
    AskBody,
    GroupBody,
    PairingBody,
    PartyBody,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from quorumkey.protocol import DecisionValue
    from quorumkey_relay.usecases.enrol import Enrolled
    from quorumkey_relay.usecases.views import DecisionView, RequestView

START = 1_800_000_000
AUDIENCE = "http://127.0.0.1:8080"


class ManualClock:
    """A clock that moves when the test says so."""

    def __init__(self, now: int = START) -> None:
        self.seconds = now

    def now(self) -> int:
        return self.seconds

    def monotonic(self) -> float:
        return float(self.seconds)

    def advance(self, seconds: int) -> None:
        self.seconds += seconds


@dataclass
class SimDevice:
    """A phone of one person: a key, and what it signs."""

    person: str
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def fingerprint(self) -> str:
        return self.key.public_key.fingerprint

    def named(self, approver_id: str | None = None) -> ApproverBody:
        """The device as an integrator names it."""
        body = {"fingerprint": self.fingerprint, "device_public_key": self.key.public_key.base64}
        if approver_id is not None:
            body["approver_id"] = approver_id
        return ApproverBody(**body)

    def decision(
        self,
        digest: str,
        decision: DecisionValue,
        *,
        at: int,
        code: str | None = None,
        reason: str | None = None,
    ) -> Envelope:
        """A signed decision."""
        statement = Decision(
            request_digest=digest,
            decision=decision,
            device=self.fingerprint,
            decided_at=at,
            code=code,
            reason=reason,
        )
        return sign(Kind.DECISION, statement.encode(), self.key)


class Simulator:
    """A started relay, one integrator, and short names for what people do."""

    def __init__(self, relay: Relay, clock: ManualClock) -> None:
        self.relay = relay
        self.clock = clock
        self.use = relay.usecases
        self.integrator = Integrator("0190a000-0000-7000-8000-000000000001", "Acme Corp")

    async def nonce(self) -> str:
        """A fresh nonce."""
        issued = await self.use.issue_nonce()
        assert not isinstance(issued, Refusal)
        return issued.nonce

    async def pair(self, person: str, integrator: Integrator | None = None) -> str:
        """A pairing code for a person."""
        body = PairingBody(approver=PartyBody(id=person, name=person.title()))
        made = await self.use.create_pairing(
            integrator=integrator or self.integrator, body=body, idempotency=None
        )
        assert isinstance(made, bytes)
        code = json.loads(made)["pairing_code"]
        assert isinstance(code, str)
        return code

    async def enrollment(self, device: SimDevice, code: str, **members: Any) -> Envelope:
        """A signed enrollment with a fresh nonce; ``members`` replace what it says."""
        said: dict[str, Any] = {
            "relay": self.relay.keys.fingerprint(self.clock.now()),
            "audience": AUDIENCE,
            "nonce": await self.nonce(),
            "pairing_code": code,
            "device_public_key": device.key.public_key.base64,
            "platform": "cli",
        }
        statement = Enrollment(**(said | members))
        return sign(Kind.ENROLLMENT, statement.encode(), device.key)

    async def enroll(self, device: SimDevice, code: str) -> Enrolled | Refusal:
        """Enrol a device with a code."""
        envelope = await self.enrollment(device, code)
        return await self.use.enroll(envelope=envelope, push=None, attestation=None)

    async def device(self, person: str, integrator: Integrator | None = None) -> SimDevice:
        """A new device, paired for a person."""
        device = SimDevice(person)
        enrolled = await self.enroll(device, await self.pair(person, integrator))
        assert not isinstance(enrolled, Refusal), enrolled
        return device

    async def devices(self, *people: str) -> list[SimDevice]:
        """A device for each person."""
        return [await self.device(person) for person in people]

    def body(self, *groups: list[SimDevice], required: int = 1, **members: Any) -> AskBody:
        """A request body for groups of devices."""
        said: dict[str, Any] = {
            "required": required,
            "groups": [
                GroupBody(name=f"Group {number}", approvers=[one.named() for one in group])
                for number, group in enumerate(groups, start=1)
            ],
            "action": ActionBody(type="cold_boot", description="Cold boot engine ENG-001"),
        }
        return AskBody(**(said | members))

    async def ask(self, *groups: list[SimDevice], required: int = 1, **members: Any) -> Any:
        """Create a request; its request object as JSON, or the refusal."""
        made = await self.use.ask(
            integrator=self.integrator,
            body=self.body(*groups, required=required, **members),
            idempotency=None,
        )
        return made if isinstance(made, Refusal) else json.loads(made)

    async def decide(
        self,
        device: SimDevice,
        request: dict[str, Any],
        decision: DecisionValue = "approve",
        *,
        code: str | None = None,
    ) -> DecisionView | Refusal:
        """Sign and send a decision."""
        envelope = device.decision(
            request["request_digest"], decision, at=self.clock.now(), code=code
        )
        return await self.use.decide(request_id=request["request_id"], envelope=envelope)

    async def read(self, request: dict[str, Any]) -> RequestView:
        """The request object as its integrator reads it."""
        view = await self.use.read_request(
            integrator_id=self.integrator.id, request_id=request["request_id"]
        )
        assert not isinstance(view, Refusal), view
        return view

    async def session(self, device: SimDevice) -> Envelope:
        """A signed session statement with a fresh nonce."""
        statement = Session(
            relay=self.relay.keys.fingerprint(self.clock.now()),
            audience=AUDIENCE,
            nonce=await self.nonce(),
            device=device.fingerprint,
        )
        return sign(Kind.SESSION, statement.encode(), device.key)

    async def unpair(self, device: SimDevice, integrator_id: str | None = None) -> Refusal | None:
        """Sign and send an unpairing."""
        statement = Unpair(
            relay=self.relay.keys.fingerprint(self.clock.now()),
            nonce=await self.nonce(),
            device=device.fingerprint,
            integrator_id=integrator_id,
        )
        return await self.use.unpair(envelope=sign(Kind.UNPAIR, statement.encode(), device.key))

    async def events(self) -> list[dict[str, Any]]:
        """Every event of the integrator so far."""
        found = await self.relay.store.events(
            integrator_id=self.integrator.id, after=None, limit=10_000
        )
        assert found is not None
        return [json.loads(event.body) for event in found]


@asynccontextmanager
async def simulator(
    data_dir: Path, clock: ManualClock | None = None, **settings: Any
) -> AsyncIterator[Simulator]:
    """A started relay on ``data_dir``; the same folder again is the same relay after a restart."""
    clock = clock or ManualClock()
    said: dict[str, Any] = {"rate_device": 1_000_000}
    relay = build(Settings(data_dir=data_dir, **(said | settings)), clock=clock, mint=SystemMint())
    await relay.start()
    try:
        sim = Simulator(relay, clock)
        if relay.store.directory.integrator(sim.integrator.id) is None:
            await relay.store.commit((PutIntegrator(sim.integrator),))
        yield sim
    finally:
        await relay.stop()
