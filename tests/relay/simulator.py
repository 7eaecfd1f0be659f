"""A whole relay in the test's own process, with a clock that the test moves.

Everything is real but the clock: SQLite on disk, keys, signatures. Devices answer through the
same use cases that the HTTP layer calls, so a test reads as a scenario.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from tests.relay.sim_devices import ORIGIN, START, ManualClock, SimDevice, SimPasskey, SimStream

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Enrollment, Envelope, Kind, Push, Session, Unpair, sign
from quorumkey_relay.app import Relay, build
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutIntegrator
from quorumkey_relay.usecases.commands import (
    ActionBody,
    AskBody,
    GroupBody,
    PairingBody,
    PartyBody,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from pathlib import Path
    from typing import Unpack

    from tests.relay.sim_members import (
        AskMembers,
        EnrollmentMembers,
        SessionMembers,
        SettingsMembers,
    )

    from quorumkey.protocol import DecisionValue, PrivateKey, PushAddress
    from quorumkey_relay.usecases.commands import AttestationBody
    from quorumkey_relay.usecases.enrol import Enrolled
    from quorumkey_relay.usecases.idempotency import Idempotency
    from quorumkey_relay.usecases.views import DecisionView, RequestView

__all__ = [
    "ACME",
    "AUDIENCE",
    "START",
    "UMBRELLA",
    "Asked",
    "ManualClock",
    "SimDevice",
    "SimPasskey",
    "SimStream",
    "Simulator",
    "granted",
    "refused",
    "shown",
    "simulator",
]

AUDIENCE = ORIGIN
ACME = Integrator("0190a000-0000-7000-8000-000000000001", "Acme Corp")
UMBRELLA = Integrator("0190a000-0000-7000-8000-000000000002", "Umbrella")

T = TypeVar("T")


async def granted(call: Awaitable[T | Refusal]) -> T:
    """What a call answers; it must not be refused."""
    answer = await call
    assert not isinstance(answer, Refusal), answer
    return answer


async def refused(call: Awaitable[object]) -> Refusal:
    """Why a call is refused, as the HTTP layer would say it; it must not be granted."""
    try:
        answer = await call
    except ProtocolError as error:
        return Refusal(error.code, error.message, error.details or None)
    assert isinstance(answer, Refusal), answer
    return answer


def shown(view: object) -> dict[str, Any]:
    """A view as the HTTP layer writes it: JSON, absent members left out."""
    read: dict[str, Any] = json.loads(msgspec.json.encode(view))
    return read


@dataclass(frozen=True)
class Asked:
    """A request that was made: its body, and the answer as JSON."""

    body: AskBody
    answer: dict[str, Any]

    @property
    def id(self) -> str:
        """The request's id."""
        return str(self.answer["request_id"])

    @property
    def digest(self) -> str:
        """The digest of its document."""
        return str(self.answer["request_digest"])


class Simulator:
    """A started relay, an integrator, and short names for what people do."""

    def __init__(self, relay: Relay, clock: ManualClock) -> None:
        self.relay = relay
        self.clock = clock
        self.use = relay.usecases
        self.store = relay.store

    @property
    def fingerprint(self) -> str:
        """The relay's own."""
        return self.relay.keys.fingerprint(self.clock.now())

    @property
    def vault(self) -> Vault:
        """What seals secrets in the data directory."""
        return Vault.open_in(self.relay.settings.data_dir)

    def on_disk(self) -> bytes:
        """Every byte of the database as it lies on the disk."""
        files = self.relay.settings.data_dir.glob("relay.db*")
        return b"".join(path.read_bytes() for path in files)

    # Devices

    async def nonce(self) -> str:
        """A fresh nonce."""
        return (await granted(self.use.issue_nonce())).nonce

    async def pairing(self, person: str, integrator: Integrator = ACME) -> dict[str, Any]:
        """A new pairing for a person, as its integrator is answered."""
        body = PairingBody(approver=PartyBody(id=person, name=person.title()))
        made = await granted(
            self.use.create_pairing(integrator=integrator, body=body, idempotency=None)
        )
        answer: dict[str, Any] = json.loads(made)
        return answer

    async def code(self, person: str, integrator: Integrator = ACME) -> str:
        """A pairing code for a person."""
        return str((await self.pairing(person, integrator))["pairing_code"])

    async def enrollment(
        self, device: SimDevice, code: str, **members: Unpack[EnrollmentMembers]
    ) -> Envelope:
        """A signed enrollment with a fresh nonce; ``members`` replace what it says."""
        said: dict[str, Any] = {
            "relay": self.fingerprint,
            "audience": AUDIENCE,
            "nonce": members.get("nonce") or await self.nonce(),
            "pairing_code": code,
            "device_public_key": device.key.public_key.base64,
            "platform": device.platform,
        }
        said.update(members)
        return device.sign(Kind.ENROLLMENT, Enrollment(**said).encode())

    async def enroll(
        self,
        envelope: Envelope,
        *,
        push: Envelope | None = None,
        attestation: AttestationBody | None = None,
    ) -> Enrolled | Refusal:
        """Send an enrollment."""
        return await self.use.enroll(envelope=envelope, push=push, attestation=attestation)

    async def admit(
        self, device: SimDevice, integrator: Integrator = ACME, **members: Unpack[EnrollmentMembers]
    ) -> Enrolled:
        """Pair a device for its person."""
        code = await self.code(device.person, integrator)
        return await granted(self.enroll(await self.enrollment(device, code, **members)))

    async def device(self, person: str, integrator: Integrator = ACME) -> SimDevice:
        """A new device, paired for a person."""
        device = SimDevice(person)
        await self.admit(device, integrator)
        return device

    async def devices(self, *people: str) -> list[SimDevice]:
        """A device for each person."""
        return [await self.device(person) for person in people]

    async def session(
        self, device: SimDevice, *, key: PrivateKey | None = None, **members: Unpack[SessionMembers]
    ) -> Envelope:
        """A signed session statement with a fresh nonce; ``key`` signs instead of the device."""
        said: dict[str, Any] = {
            "relay": self.fingerprint,
            "audience": AUDIENCE,
            "nonce": members.get("nonce") or await self.nonce(),
            "device": device.fingerprint,
        }
        said.update(members)
        return _signed(device, Kind.SESSION, Session(**said).encode(), key)

    async def token(self, device: SimDevice) -> str:
        """A session's token."""
        return (await granted(self.use.open_session(envelope=await self.session(device)))).token

    async def push(
        self,
        device: SimDevice,
        address: PushAddress,
        *,
        key: PrivateKey | None = None,
        nonce: str | None = None,
    ) -> Envelope:
        """A signed push address; ``key`` signs instead of the device."""
        statement = Push(
            relay=self.fingerprint,
            nonce=nonce or await self.nonce(),
            device=device.fingerprint,
            push=address,
        )
        return _signed(device, Kind.PUSH, statement.encode(), key)

    async def unpairing(
        self,
        device: SimDevice,
        integrator_id: str | None = None,
        *,
        key: PrivateKey | None = None,
    ) -> Envelope:
        """A signed unpairing."""
        statement = Unpair(
            relay=self.fingerprint,
            nonce=await self.nonce(),
            device=device.fingerprint,
            integrator_id=integrator_id,
        )
        return _signed(device, Kind.UNPAIR, statement.encode(), key)

    async def unpair(self, device: SimDevice, integrator_id: str | None = None) -> None:
        """A device leaves."""
        envelope = await self.unpairing(device, integrator_id)
        assert None is await self.use.unpair(envelope=envelope)

    def listen(self, device: SimDevice, *, room: int = 1_000) -> SimStream:
        """A device's stream begins: what is pending, then whatever comes."""
        stream = SimStream(room)
        for frame in self.use.pending_frames(device.fingerprint):
            stream.offer(frame)
        self.relay.hub.attach(device.fingerprint, stream)
        return stream

    # Requests

    def body(
        self, *groups: list[SimDevice], required: int = 1, **members: Unpack[AskMembers]
    ) -> AskBody:
        """A request body for groups of devices."""
        said: dict[str, Any] = {
            "required": required,
            "groups": [
                GroupBody(name=f"Group {number}", approvers=[one.named() for one in group])
                for number, group in enumerate(groups, start=1)
            ],
            "action": ActionBody(type="cold_boot", description="Cold boot engine ENG-001"),
        }
        said.update(members)
        return AskBody(**said)

    async def send(
        self,
        body: AskBody,
        *,
        integrator: Integrator = ACME,
        idempotency: Idempotency | None = None,
    ) -> bytes | Refusal:
        """Ask for an approval with a body."""
        return await self.use.ask(integrator=integrator, body=body, idempotency=idempotency)

    async def ask(
        self,
        *groups: list[SimDevice],
        required: int = 1,
        integrator: Integrator = ACME,
        **members: Unpack[AskMembers],
    ) -> Asked:
        """Make a request."""
        body = self.body(*groups, required=required, **members)
        return Asked(body, json.loads(await granted(self.send(body, integrator=integrator))))

    async def ask_refused(
        self, *groups: list[SimDevice], required: int = 1, **members: Unpack[AskMembers]
    ) -> Refusal:
        """Make a request that breaks a rule."""
        return await refused(self.send(self.body(*groups, required=required, **members)))

    async def decide(
        self,
        device: SimDevice,
        request: Asked,
        decision: DecisionValue = "approve",
        *,
        code: str | None = None,
    ) -> DecisionView | Refusal:
        """Sign and send a decision."""
        envelope = device.decision(request.digest, decision, at=self.clock.now(), code=code)
        return await self.use.decide(request_id=request.id, envelope=envelope)

    async def approve(self, request: Asked, *devices: SimDevice) -> None:
        """Each device approves."""
        for device in devices:
            await granted(self.decide(device, request))

    async def deny(self, request: Asked, *devices: SimDevice) -> None:
        """Each device denies."""
        for device in devices:
            await granted(self.decide(device, request, "deny"))

    async def read(self, request: Asked, *, wait_seconds: int = 0) -> RequestView:
        """The request object as its integrator reads it."""
        return await granted(
            self.use.read_request(
                integrator_id=ACME.id, request_id=request.id, wait_seconds=wait_seconds
            )
        )

    async def cancel(self, request: Asked) -> RequestView:
        """The integrator takes a request back."""
        return await granted(self.use.cancel_request(integrator_id=ACME.id, request_id=request.id))

    async def receipt(self, request: Asked) -> bytes:
        """The receipt of a finished request."""
        return await granted(self.use.read_receipt(integrator_id=ACME.id, request_id=request.id))

    async def events(self, integrator: Integrator = ACME) -> list[dict[str, Any]]:
        """Every event of an integrator so far."""
        found = await self.store.events(integrator_id=integrator.id, after=None, limit=10_000)
        assert found is not None
        return [json.loads(event.body) for event in found]

    async def outcomes(self, integrator: Integrator = ACME) -> list[str]:
        """The types of the events about requests."""
        kinds = [str(event["type"]) for event in await self.events(integrator)]
        return [kind for kind in kinds if kind.startswith("mpa.")]


def _signed(device: SimDevice, kind: Kind, payload: bytes, key: PrivateKey | None) -> Envelope:
    return device.sign(kind, payload) if key is None else sign(kind, payload, key)


@asynccontextmanager
async def simulator(
    data_dir: Path, clock: ManualClock | None = None, **settings: Unpack[SettingsMembers]
) -> AsyncGenerator[Simulator, None]:
    """A started relay on ``data_dir``; the same folder again is the same relay after a restart."""
    clock = clock or ManualClock()
    said: dict[str, Any] = {"data_dir": data_dir, "rate_device": 1_000_000}
    said.update(settings)
    relay = build(Settings(**said), clock=clock, mint=SystemMint())
    await relay.start()
    try:
        for integrator in (ACME, UMBRELLA):
            if relay.store.directory.integrator(integrator.id) is None:
                await relay.store.commit((PutIntegrator(integrator),))
        yield Simulator(relay, clock)
    finally:
        await relay.stop()
