"""No secret, token, key or action parameter reaches a log at DEBUG, nor the disk in clear."""

from __future__ import annotations

import json
import re
import sqlite3
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.e2e.sdk_relay_process import operate
from tests.e2e.secrecy_caller import GENEROUS, Caller, asking, serving
from tests.e2e.secrecy_canaries import Canaries
from tests.e2e.secrecy_drive import (
    CODE,
    WRONG_CODE,
    addresses,
    every_frame,
    every_member,
    every_route,
    every_rule,
    whole_life,
)
from tests.e2e.secrecy_protection import every_protected_call
from tests.relay.sim_devices import SimDevice

from quorumkey.errors import ERRORS
from quorumkey_relay.api.routes import ROUTES
from quorumkey_relay.api.rpc_routes import RPC_ROUTES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.secrecy_canaries import Json

pytestmark = pytest.mark.slow

#: No call can bring the first about on purpose: it is what a defect answers. The others are
#: answered by just-in-time access alone, which this relay does not serve.
UNPROVOKED = {"internal_error", "not_acceptable", "not_configured", "backend_failed"}

#: What the database must not hold in clear.
SEALED = {
    "API key",
    "apns token",
    "auth",
    "claim_key",
    "endpoint",
    "fcm token",
    "p256dh",
    "stored answer",
    "token",
}


@dataclass
class Driven:
    """What is left of a relay that was driven through everything."""

    canaries: Canaries
    codes: set[str]
    log: str
    database: bytes
    match_codes: list[bytes]


def database(data: Path) -> bytes:
    """Every byte of the database and its write-ahead log."""
    return b"".join(path.read_bytes() for path in sorted(data.glob("relay.db*")))


def strict(caller: Caller, folder: Path, log: Path) -> None:
    """The refusals of a relay that asks for evidence and has no room."""
    options = ("--attestation", "required", "--max-nonces", "2", "--rate-ip-failures", "3")
    with serving(folder, log, *options, "--metrics-token", caller.canaries.plant("metrics")) as url:
        caller.url = url
        device = SimDevice(caller.canaries.plant("approver id"))
        caller.enroll(device, caller.enrollment(device, caller.pairing(id=device.person)))
        for _ in range(5):
            caller.call("POST", "/v1/device/challenge")
            caller.call("GET", "/metrics", token=caller.canaries.plant("metrics"))


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """A relay's log and database after everything was tried."""
    folder = tmp_path_factory.mktemp("secrecy")
    data, log, canaries = folder / "data", folder / "log", Canaries()
    made = operate("init", "--data-dir", data, "--integrator", "Acme Corp")
    canaries.keep("API key", made["api_key"])
    canaries.keep("API key", made["api_key"].rpartition("_")[2])
    owner = made["integrator.id"]
    admin = operate("keys", "create", "--data-dir", data, "--integrator", owner, "--scope", "admin")
    canaries.keep("API key", admin["api_key"])
    first = canaries.plant("administrator")
    operate("admins", "add", "--data-dir", data, "--integrator", owner, first)
    with httpx2.Client(timeout=60, trust_env=False) as client:
        with serving(data, log, *GENEROUS) as url:
            caller = Caller(url, made["api_key"], canaries, client)
            (alice, bob), session = whole_life(caller)
            caller.call("GET", "/v1/requests", token=admin["api_key"])
            every_frame(caller, bob)
            every_route(caller, session)
            every_member(caller, caller.device(canaries.plant("approver id")))
            every_protected_call(caller, admin["api_key"], first)
            every_rule(caller, alice, bob)
            caller.push(alice, addresses(caller)[0])
            caller.ask(asking(canaries, bob, match_code=CODE))
            approver: Json = {"approver": {"id": canaries.plant("approver id")}}
            key = {"Idempotency-Key": canaries.plant("Idempotency-Key")}
            path, token = "/v1/pairings", caller.api_key
            answer = caller.call("POST", path, approver, token=token, headers=key)
            assert answer == caller.call("POST", path, approver, token=token, headers=key)
            canaries.keep("stored answer", str(answer["pairing_code"]))
            kept = database(data)
        strict(caller, data, log)
    with sqlite3.connect(data / "relay.db") as reader:
        rows = reader.execute("SELECT match_code FROM documents WHERE match_code IS NOT NULL")
        codes = [bytes(row[0]) for row in rows]
    reader.close()
    return Driven(canaries, caller.codes, log.read_text("utf-8"), kept + database(data), codes)


@pytest.mark.parametrize("before", range(3))
def test_an_encoded_canary_is_found(before: int) -> None:
    """The search sees a canary inside base64, wherever in it the canary begins."""
    canaries = Canaries()
    text = "x" * before + canaries.plant("somewhere") + "y"

    assert list(canaries.found_in(b64encode(text.encode()).decode()).values()) == ["somewhere"]


def test_every_error_was_provoked(driven: Driven) -> None:
    """Each error code of the protocol was answered at least once."""
    assert set(ERRORS) - driven.codes - UNPROVOKED == set()


def test_every_line_of_the_log_is_json(driven: Driven) -> None:
    """The log has a line for a call of each route, and each line is one JSON object."""
    lines = [json.loads(line) for line in driven.log.splitlines()]

    assert all(isinstance(line, dict) for line in lines)
    assert {route.path for route in (*ROUTES, *RPC_ROUTES)} <= {line.get("route") for line in lines}


def test_no_canary_is_in_the_log(driven: Driven) -> None:
    """Nothing that was planted or answered as a secret is in the log, however encoded."""
    assert len(driven.canaries.planted) > 1_000
    assert driven.canaries.found_in(driven.log) == {}


def test_no_match_code_is_in_the_log(driven: Driven) -> None:
    """Neither the right match code nor a wrong one is in the log."""
    assert not re.search(rf"(?<![0-9a-f.])({CODE}|{WRONG_CODE})(?![0-9a-f])", driven.log)


def test_the_database_holds_no_secret_in_clear(driven: Driven) -> None:
    """Push addresses, keys, tokens and the code of a stored answer are sealed on the disk."""
    sealed = Canaries()
    sealed.planted = {
        secret: place for secret, place in driven.canaries.planted.items() if place in SEALED
    }

    assert set(sealed.planted.values()) == SEALED
    assert sealed.found_in(driven.database.decode("latin-1")) == {}


def test_match_codes_are_sealed(driven: Driven) -> None:
    """A stored match code does not hold its digits."""
    assert driven.match_codes
    assert not [sealed for sealed in driven.match_codes if CODE.encode() in sealed]
