"""A person's device at a relay in another process, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from quorumkey.client import group
from quorumkey.device import SoftwareDevice
from quorumkey.protocol import Action, PrivateKey, Session, sign

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.cli.prompt import RunningRelay

    from quorumkey.client import Client, ConfirmedDevice, CreatedRequest
    from quorumkey.device import Answered

BOOT = Action("cold_boot", "Cold boot engine ENG-001", {})


@dataclass(frozen=True)
class Person:
    """Somebody with a software device, and what the integrator knows of it."""

    home: Path
    confirmed: ConfirmedDevice

    @property
    def fingerprint(self) -> str:
        """The device's id."""
        return self.confirmed.fingerprint

    @property
    def key(self) -> PrivateKey:
        """The device's key, from its file."""
        (path,) = self.home.glob("relays/*/key.pem")
        return PrivateKey.from_pem(path.read_bytes())

    def approve(self, request: CreatedRequest) -> Answered:
        """Approve with the device."""

        async def approve() -> Answered:
            async with SoftwareDevice(self.home) as device:
                return await device.approve(request.request_id)

        return asyncio.run(approve())


def enrolled(acme: Client, name: str, folder: Path) -> Person:
    """Pair a new device for a person."""
    pairing = acme.pairings.create(name)
    enroll(folder / name, pairing.url)
    return Person(folder / name, acme.pairings.confirm(pairing))


def enroll(home: Path, link: str) -> str:
    """Pair a new device with a link; its fingerprint."""

    async def enroll() -> str:
        async with SoftwareDevice(home) as device:
            return (await device.enroll(link)).fingerprint

    return asyncio.run(enroll())


def ask(acme: Client, *groups: tuple[Person, ...]) -> CreatedRequest:
    """Ask every one of the groups for an approval."""
    return acme.requests.create(
        action=BOOT,
        groups=[
            group(f"Group {number}", *(person.confirmed for person in people))
            for number, people in enumerate(groups, start=1)
        ],
        required=len(groups),
    )


@dataclass(frozen=True)
class Bearer:
    """A session of a device, as its token."""

    relay: RunningRelay
    token: str

    def status(self) -> int:
        """The HTTP status of a read with this session."""
        answer = httpx2.get(
            f"{self.relay.url}/v1/device/requests",
            headers={"Authorization": f"Bearer {self.token}"},
            trust_env=False,
        )
        return answer.status_code


def session(relay: RunningRelay, person: Person) -> Bearer:
    """Open a session with the device's key."""
    with httpx2.Client(base_url=relay.url, trust_env=False) as http:
        challenge = http.post("/v1/device/challenge").json()
        statement = Session(
            relay=challenge["relay"],
            audience=relay.url,
            nonce=challenge["nonce"],
            device=person.fingerprint,
        )
        envelope = sign(Session.KIND, statement.encode(), person.key)
        answer = http.post("/v1/device/session", json={"envelope": envelope.to_json()})
    return Bearer(relay, str(answer.json()["token"]))
