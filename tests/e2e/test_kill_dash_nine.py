"""``kill -9`` in the middle of decisions: what was acknowledged is there, the tally is right."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
import pytest

from quorumkey import Approver, Group
from quorumkey.protocol import Decision, Enrollment, Kind, PrivateKey, b64encode, sign
from quorumkey.receipts import UnsafeAny, verify_receipt

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from quorumkey.protocol import JsonValue

ROUNDS = 10
DEVICES = 50
REQUESTS = 10
DECISIONS = DEVICES * REQUESTS
ACKNOWLEDGED_AT_KILL = 60
AT_LEAST = 50
START_SECONDS = 30.0
RELAY = (sys.executable, "-m", "quorumkey_relay")
# Nobody is limited here: the test is about durability.
LIMITS = ("RATE_API_KEY", "RATE_DEVICE", "RATE_IP", "RATE_IP_FAILURES")
RAISED = {f"QUORUMKEY_RELAY_{name}": "1000000" for name in LIMITS}
KEYS = [PrivateKey.generate() for _ in range(DEVICES)]
ACTION: dict[str, JsonValue] = {"type": "cold_boot", "description": "Cold boot", "params": {}}


def environment() -> dict[str, str]:
    """The variables of a relay that limits nobody."""
    kept = {name: value for name, value in os.environ.items() if "QUORUMKEY_" not in name}
    return kept | RAISED


@dataclass
class Served:
    """A serving relay process."""

    process: subprocess.Popen[bytes]
    port: int
    http: httpx2.Client


@contextmanager
def served(data_dir: Path, api_key: str) -> Generator[Served]:
    """Serve a data directory until the process ends, however it ends."""
    with subprocess.Popen(
        [*RELAY, "serve", "--data-dir", data_dir, "--port", "0", "--json", "--log-level", "error"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            headers = {"authorization": f"Bearer {api_key}"}
            with httpx2.Client(base_url=url, headers=headers, timeout=30) as http:
                yield Served(process, int(url.rpartition(":")[2]), http)
        finally:
            process.kill()


def post(http: httpx2.Client, path: str, body: object) -> dict[str, str]:
    """Call the relay and return what it answers."""
    answer = http.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    value: dict[str, str] = answer.json()
    return value


def enrol(http: httpx2.Client) -> None:
    """Pair every device, each for a person of its own."""
    for number, key in enumerate(KEYS):
        code = post(http, "/v1/pairings", {"approver": {"id": f"person-{number}"}})["pairing_code"]
        challenge = post(http, "/v1/device/challenge", {})
        statement = Enrollment(
            relay=challenge["relay"],
            audience=str(http.base_url).rstrip("/"),
            nonce=challenge["nonce"],
            pairing_code=code,
            device_public_key=key.public_key.base64,
            platform="cli",
        )
        envelope = sign(Kind.ENROLLMENT, statement.encode(), key).to_json()
        post(http, "/v1/device/enroll", {"envelope": envelope})


def groups() -> list[Group]:
    """A group for each device; every one of them is required."""
    return [
        Group(f"Group {number}", (Approver(key.public_key.fingerprint, key.public_key.base64),))
        for number, key in enumerate(KEYS)
    ]


@dataclass
class Round:
    """The requests of one round, the decisions on them, and which were acknowledged."""

    requests: dict[str, str]
    calls: list[tuple[str, int, bytes]]
    nonces: dict[str, str]
    acknowledged: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    in_flight_at_kill: int = 0
    acknowledged_at_kill: int = 0


def ask(http: httpx2.Client) -> Round:
    """Make the requests of a round and sign every decision on them."""
    requests: dict[str, str] = {}
    nonces: dict[str, str] = {}
    calls: list[tuple[str, int, bytes]] = []
    body = {"required": DEVICES, "groups": [g.to_json() for g in groups()], "action": ACTION}
    for _ in range(REQUESTS):
        nonce = b64encode(os.urandom(32))
        made = post(http, "/v1/requests", body | {"nonce": nonce, "expires_in_seconds": 900})
        request_id, digest = made["request_id"], made["request_digest"]
        requests[request_id], nonces[request_id] = digest, nonce
        calls += [(request_id, n, decision(key, request_id, digest)) for n, key in enumerate(KEYS)]
    return Round(requests, calls, nonces)


def decision(key: PrivateKey, request_id: str, digest: str) -> bytes:
    """The whole HTTP call of one approval."""
    statement = Decision(
        request_digest=digest,
        decision="approve",
        device=key.public_key.fingerprint,
        decided_at=int(time.time()),
    )
    body = json.dumps({"envelope": sign(Kind.DECISION, statement.encode(), key).to_json()}).encode()
    head = (
        f"POST /v1/device/requests/{request_id}/decision HTTP/1.1\r\nhost: relay\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answered(relay: Served, played: Round) -> None:
    """Send all decisions at once and kill the relay when enough are acknowledged."""
    opened = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", relay.port) for _ in played.calls)
    )

    async def one(index: int) -> None:
        request_id, number, call = played.calls[index]
        reader, writer = opened[index]
        try:
            writer.write(call)
            head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError):
            return  # killed before it answered
        finally:
            writer.transport.abort()
        assert head.startswith(b"HTTP/1.1 200 "), head
        played.acknowledged.add((request_id, number))
        if len(played.acknowledged) == ACKNOWLEDGED_AT_KILL:
            os.kill(relay.process.pid, signal.SIGKILL)
            played.acknowledged_at_kill = len(played.acknowledged)
            played.in_flight_at_kill = len(played.calls) - len(played.acknowledged)

    await asyncio.gather(*(one(index) for index in range(len(played.calls))))


def settle(relay: Served, played: Round) -> None:
    """Send every decision that was not acknowledged again, one after the other."""
    for request_id, number, call in played.calls:
        if (request_id, number) not in played.acknowledged:
            path, body = (
                f"/v1/device/requests/{request_id}/decision",
                call.partition(b"\r\n\r\n")[2],
            )
            headers = {"content-type": "application/json"}
            answer = relay.http.post(path, content=body, headers=headers)
            assert answer.status_code == 200, answer.text


def satisfied(relay: Served, request_id: str) -> dict[str, JsonValue]:
    """The request as the relay reports it."""
    view: dict[str, JsonValue] = relay.http.get(f"/v1/requests/{request_id}").json()
    return view


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """After ``kill -9`` every acknowledged decision is there, and each request ends once."""
    made = subprocess.run(
        [*RELAY, "init", "--data-dir", tmp_path, "--integrator", "Acme Corp", "--json"],
        check=True,
        capture_output=True,
        env=environment(),
    )
    identity = json.loads(made.stdout)
    api_key, integrator_id = identity["api_key"], identity["integrator"]["id"]
    with served(tmp_path, api_key) as relay:
        enrol(relay.http)
        relay_key = relay.http.get("/v1/info").json()["relay_public_key"]

    for _ in range(ROUNDS):
        with served(tmp_path, api_key) as relay:
            played = ask(relay.http)
            asyncio.run(answered(relay, played))
            relay.process.wait(START_SECONDS)

        assert played.acknowledged_at_kill >= AT_LEAST
        assert played.in_flight_at_kill >= AT_LEAST

        with served(tmp_path, api_key) as relay:
            for request_id in played.requests:
                view = satisfied(relay, request_id)
                names = view["groups_satisfied"]
                assert isinstance(names, list)
                kept = {f"Group {n}" for found, n in played.acknowledged if found == request_id}
                assert kept <= set(names)
                assert len(names) == len(set(names))
                assert view["status"] == ("approved" if len(names) == DEVICES else "pending")

            settle(relay, played)
            for request_id, nonce in played.nonces.items():
                assert satisfied(relay, request_id)["status"] == "approved"
                receipt = relay.http.get(f"/v1/requests/{request_id}/receipt").content
                verify_receipt(
                    receipt,
                    relay_public_keys=[relay_key],
                    integrator_id=integrator_id,
                    nonce=nonce,
                    now=UnsafeAny(),
                    action=ACTION,
                    required=DEVICES,
                    groups=groups(),
                )
            approved = relay.http.get("/v1/requests", params={"status": "approved", "limit": 100})
            assert set(played.requests) <= {one["request_id"] for one in approved.json()["data"]}

    with closing(sqlite3.connect(tmp_path / "relay.db")) as database:
        ends = database.execute("SELECT body FROM events WHERE type LIKE 'mpa.%'").fetchall()
    ended = [json.loads(body)["request_id"] for (body,) in ends]
    assert (ROUNDS * REQUESTS, ROUNDS * REQUESTS) == (len(ended), len(set(ended)))
