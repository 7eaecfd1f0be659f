"""A relay on a loopback socket, an integrator with an API key, and devices that speak HTTP."""

from __future__ import annotations

import functools
import hashlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import httpx2
from tests.relay.simulator import START, ManualClock, SimDevice

from quorumkey.protocol import Enrollment, Kind, Session, Unpair, sign
from quorumkey_relay.app import build
from quorumkey_relay.identity.principals import ApiKey, Integrator
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.server import serving
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutApiKey, PutIntegrator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey.protocol import DecisionValue, Envelope, JsonValue
    from quorumkey_relay.app import Relay

INTEGRATOR = Integrator("0190a000-0000-7000-8000-000000000001", "Acme Corp")
OTHER_INTEGRATOR = Integrator("0190a000-0000-7000-8000-000000000002", "Umbrella")
API_KEY = "qk_test_" + "1a" * 32
OTHER_API_KEY = "qk_test_" + "2b" * 32
NO_SUCH_ID = "0190a000-0000-7000-8000-00000000dead"
NO_SUCH_DEVICE = "00" * 32

GENEROUS: dict[str, Any] = {
    "rate_api_key": 1_000_000,
    "rate_device": 1_000_000,
    "rate_person": 1_000_000,
    "rate_ip": 1_000_000,
    "rate_ip_failures": 1_000_000,
}


@dataclass
class House:
    """A served relay and what tests do with it over HTTP."""

    relay: Relay
    clock: ManualClock
    http: httpx2.AsyncClient
    url: str

    @property
    def bearer(self) -> dict[str, str]:
        """The integrator's header."""
        return {"Authorization": f"Bearer {API_KEY}"}

    async def get(self, path: str) -> httpx2.Response:
        """Call as the integrator."""
        return await self.http.get(path, headers=self.bearer)

    async def post(self, path: str, body: object = None, **headers: str) -> httpx2.Response:
        """Call as the integrator, with a JSON body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(path, json=body, headers=self.bearer | named)

    async def nonce(self) -> str:
        """A fresh nonce."""
        return str(ok(await self.http.post("/v1/device/challenge"))["nonce"])

    async def pairing_code(self, person: str) -> str:
        """A pairing code for a person."""
        body = {"approver": {"id": person, "name": person.title()}}
        return str(ok(await self.post("/v1/pairings", body), 201)["pairing_code"])

    async def fingerprint(self) -> str:
        """The relay's own."""
        return str(ok(await self.http.get("/v1/info"))["relay"])

    async def enrollment(self, device: SimDevice, code: str, **members: str) -> Envelope:
        """A signed enrollment."""
        said: dict[str, Any] = {
            "relay": await self.fingerprint(),
            "audience": self.url,
            "nonce": await self.nonce(),
            "pairing_code": code,
            "device_public_key": device.key.public_key.base64,
            "platform": "cli",
        }
        said.update(members)
        return sign(Kind.ENROLLMENT, Enrollment(**said).encode(), device.key)

    async def device(self, person: str) -> SimDevice:
        """A new device, paired for a person."""
        device = SimDevice(person)
        envelope = await self.enrollment(device, await self.pairing_code(person))
        ok(await self.http.post("/v1/device/enroll", json={"envelope": envelope.to_json()}), 201)
        return device

    async def session_envelope(
        self, device: SimDevice, nonce: str | None = None, **members: str
    ) -> Envelope:
        """A signed session statement."""
        said: dict[str, Any] = {
            "relay": await self.fingerprint(),
            "audience": self.url,
            "nonce": nonce or await self.nonce(),
            "device": device.fingerprint,
        }
        said.update(members)
        return sign(Kind.SESSION, Session(**said).encode(), device.key)

    async def session(self, device: SimDevice) -> dict[str, str]:
        """The header of a new session of a device."""
        envelope = await self.session_envelope(device)
        answer = await self.http.post("/v1/device/session", json={"envelope": envelope.to_json()})
        return {"Authorization": f"Bearer {ok(answer)['token']}"}

    async def unpair_envelope(self, device: SimDevice) -> Envelope:
        """A signed unpair statement for every integrator."""
        statement = Unpair(
            relay=await self.fingerprint(), nonce=await self.nonce(), device=device.fingerprint
        )
        return sign(Kind.UNPAIR, statement.encode(), device.key)

    async def ask(self, *devices: SimDevice, **members: JsonValue) -> dict[str, Any]:
        """A new request with each device in a group of its own."""
        answer = await self.post("/v1/requests", request_body(*devices) | members)
        return ok(answer, 201)

    async def decide(
        self, device: SimDevice, request: dict[str, Any], decision: DecisionValue = "approve"
    ) -> httpx2.Response:
        """Send a signed decision."""
        envelope = device.decision(request["request_digest"], decision, at=self.clock.now())
        return await self.http.post(
            f"/v1/device/requests/{request['request_id']}/decision",
            json={"envelope": envelope.to_json()},
        )


def request_body(*devices: SimDevice) -> dict[str, Any]:
    """The body of a request that every one of the devices has to approve."""
    return {
        "required": len(devices),
        "groups": [
            {
                "name": f"Group {number}",
                "approvers": [
                    {
                        "fingerprint": device.fingerprint,
                        "device_public_key": device.key.public_key.base64,
                    }
                ],
            }
            for number, device in enumerate(devices, start=1)
        ],
        "action": {"type": "cold_boot", "description": "Cold boot engine ENG-001"},
    }


def ok(answer: httpx2.Response, status: int = 200) -> dict[str, Any]:
    """The body of an answer that must be a success."""
    assert answer.status_code == status, answer.text
    return cast("dict[str, Any]", answer.json())


def refused(answer: httpx2.Response) -> tuple[int, str, str]:
    """Status, code and message of a refusal, whose form is checked (§9)."""
    document = cast("dict[str, Any]", answer.json())
    assert document.keys() == {"error"}
    error = cast("dict[str, Any]", document["error"])
    assert error.keys() - {"details"} == {"code", "message"}
    assert error["message"].endswith(".")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    return answer.status_code, str(error["code"]), str(error["message"])


@asynccontextmanager
async def house(
    data_dir: Path, clock: ManualClock | None = None, **settings: object
) -> AsyncGenerator[House, None]:
    """A relay that is served on a free port, with generous limits unless told otherwise."""
    clock = clock or ManualClock(START)
    said: dict[str, Any] = GENEROUS | settings
    chosen = Settings(data_dir=data_dir, port=0, **said)
    made = functools.partial(build, clock=clock, mint=SystemMint())
    async with serving(chosen, made) as service:
        relay = cast("Relay", service)
        for integrator, key in ((INTEGRATOR, API_KEY), (OTHER_INTEGRATOR, OTHER_API_KEY)):
            await relay.store.commit((PutIntegrator(integrator), _api_key(integrator, key)))
        url = relay.settings.url
        async with httpx2.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
            yield House(relay, clock, http, url)


def _api_key(integrator: Integrator, text: str) -> PutApiKey:
    return PutApiKey(
        ApiKey(
            key_id=integrator.id,
            integrator_id=integrator.id,
            scope="integrator",
            name="tests",
            digest=hashlib.sha256(text.encode()).digest(),
            created_at=START,
        )
    )


def compact(value: object) -> bytes:
    """A value as JSON without white space."""
    return json.dumps(value, separators=(",", ":")).encode()
