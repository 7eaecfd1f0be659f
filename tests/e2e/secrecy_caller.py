"""A caller who plants a canary in everything that is sent to a relay, and keeps all it answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tests.e2e.sdk_relay_process import ENVIRONMENT, STOP_SECONDS
from tests.relay.sim_devices import SimDevice

from quorumkey.protocol import Kind

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    import httpx2
    from tests.e2e.secrecy_canaries import Canaries, Json

UNLIMITED = "10000000"
GENEROUS = (
    *("--rate-ip", UNLIMITED, "--rate-ip-failures", UNLIMITED),
    *("--rate-api-key", UNLIMITED, "--rate-device", UNLIMITED),
    *("--rate-protection", UNLIMITED),
)


@contextmanager
def serving(data: Path, log: Path, *options: str) -> Generator[str, None, None]:
    """A relay at DEBUG in a process of its own; its URL. What it logs is added to a file."""
    command = [sys.executable, "-m", "quorumkey_relay", "serve", "--data-dir", str(data)]
    with log.open("ab") as file:
        process = subprocess.Popen(
            [*command, "--port", "0", "--json", "--log-level", "debug", *options],
            stdout=subprocess.PIPE,
            stderr=file,
            env=ENVIRONMENT,
        )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        process.stdout.close()


@dataclass
class Caller:
    """An integrator and devices, all with loose tongues."""

    url: str
    api_key: str
    canaries: Canaries
    client: httpx2.Client
    codes: set[str] = field(default_factory=set[str])

    def call(  # noqa: PLR0913 — every part of a call is a place for a canary
        self,
        method: str,
        path: str,
        body: Json | bytes = b"",
        *,
        token: str | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Json]:
        """Send a call with canaries in its headers; the members of its answer."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not isinstance(body, bytes):
            self.canaries.keep_secrets(body)
        spoken = {
            name: self.canaries.plant(name)
            for name in ("Cookie", "User-Agent", "Referer", "X-Request-Id", "Forwarded", "X-Own")
        }
        spoken["X-Forwarded-For"] = self.canaries.plant("X-Forwarded-For")
        if sent:
            spoken["Content-Type"] = "application/json"
        if token is not None:
            spoken["Authorization"] = f"Bearer {token}"
        answer = self.client.request(
            method,
            f"{self.url}{path}{query}",
            content=sent,
            headers={**spoken, **(headers or {})},
        )
        assert answer.status_code != 500, (method, path)
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return {}
        if not answer.content:
            return {}
        members = cast("dict[str, Json]", answer.json())
        self.canaries.keep_secrets(members)
        error = members.get("error")
        if isinstance(error, dict):
            self.codes.add(str(error["code"]))
        elif "x-quorumkey-error" in answer.headers:
            self.codes.add(answer.headers["x-quorumkey-error"])
        return members

    def ask(self, body: Json, **headers: str) -> dict[str, Json]:
        """Send a request for approval."""
        return self.call("POST", "/v1/requests", body, token=self.api_key, headers=headers)

    def nonce(self) -> str:
        """A nonce of the relay."""
        return str(self.call("POST", "/v1/device/challenge")["nonce"])

    def relay(self) -> str:
        """The relay's fingerprint."""
        return str(self.call("GET", "/v1/info")["relay"])

    def sealed(self, device: SimDevice, kind: Kind, payload: Json) -> Json:
        """A payload signed by a device."""
        envelope = cast("Json", device.sign(kind, json.dumps(payload).encode()).to_json())
        self.canaries.keep_secrets(envelope)
        return envelope

    def said(self, device: SimDevice, **members: Json) -> dict[str, Json]:
        """What a session, push or unpair statement says, over a fresh nonce."""
        head: dict[str, Json] = {"relay": self.relay(), "nonce": self.nonce()}
        return {**head, "device": device.fingerprint, **members}

    def pairing(self, **approver: Json) -> str:
        """A new pairing code."""
        made = self.call("POST", "/v1/pairings", {"approver": approver}, token=self.api_key)
        return str(made["pairing_code"])

    def enrollment(self, device: SimDevice, code: str, **members: Json) -> dict[str, Json]:
        """What an enrollment says."""
        return {
            "relay": self.relay(),
            "audience": self.url,
            "nonce": self.nonce(),
            "pairing_code": code,
            "device_public_key": device.key.public_key.base64,
            "platform": device.platform,
            **members,
        }

    def enroll(self, device: SimDevice, said: Json, **beside: Json) -> dict[str, Json]:
        """Sign and send an enrollment."""
        envelope = self.sealed(device, Kind.ENROLLMENT, said)
        return self.call("POST", "/v1/device/enroll", {"envelope": envelope, **beside})

    def device(self, person: str) -> SimDevice:
        """A paired device of a person."""
        device = SimDevice(person)
        code = self.pairing(id=person, name=self.canaries.plant("approver name"))
        assert "fingerprint" in self.enroll(device, self.enrollment(device, code))
        return device

    def session(self, device: SimDevice) -> str:
        """A session token."""
        said = self.said(device, audience=self.url)
        envelope = self.sealed(device, Kind.SESSION, said)
        return str(self.call("POST", "/v1/device/session", {"envelope": envelope})["token"])

    def push(self, device: SimDevice, address: Json) -> dict[str, Json]:
        """Sign and send a push address."""
        envelope = self.sealed(device, Kind.PUSH, self.said(device, push=address))
        return self.call("PUT", "/v1/device/push", {"envelope": envelope})

    def decide(
        self, device: SimDevice, request: Mapping[str, Json], **members: Json
    ) -> dict[str, Json]:
        """Sign and send a decision."""
        payload: dict[str, Json] = {
            "request_digest": request["request_digest"],
            "decision": "approve",
            "device": device.fingerprint,
            "decided_at": now(),
            **members,
        }
        envelope = self.sealed(device, Kind.DECISION, payload)
        path = f"/v1/device/requests/{request['request_id']}/decision"
        return self.call("POST", path, {"envelope": envelope})


def now() -> str:
    """The time as statements say it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def asking(canaries: Canaries, *groups: SimDevice, **members: Json) -> dict[str, Json]:
    """A request for approval by one device a group, with a canary in each text."""
    named: list[Json] = [
        {
            "name": canaries.plant("group name"),
            "approvers": [
                {
                    "fingerprint": device.fingerprint,
                    "device_public_key": device.key.public_key.base64,
                    "approver_id": device.person,
                }
            ],
        }
        for device in groups
    ]
    return {
        "required": 1,
        "groups": named,
        "action": {
            "type": canaries.plant("action.type"),
            "description": canaries.plant("action.description"),
            "params": {canaries.plant("key of params"): [canaries.plant("params")]},
            "bindings": {canaries.plant("key of bindings"): digest(canaries)},
        },
        "requester": {"id": canaries.plant("requester"), "name": canaries.plant("requester name")},
        **members,
    }


def digest(canaries: Canaries) -> str:
    """A binding's value whose digits are a canary."""
    return "sha256:" + canaries.keep("binding", canaries.plant("seed")[4:].rjust(64, "7"))
