"""Protected methods over HTTP: a service checks, waits, runs once, and records the result."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import (
    API_KEY,
    INTEGRATOR,
    NO_SUCH_ID,
    OTHER_API_KEY,
    House,
    ok,
    refused,
)
from tests.relay.api.harness import house as served

from quorumkey_relay.domain.protection import Protection, ProtectionSettings
from quorumkey_relay.store.writes import PutApiKey, PutProtection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    import httpx2
    from tests.relay.simulator import SimDevice

pytestmark = pytest.mark.anyio

CHECK = "/v1/protection/check"
METHODS = [
    {"name": "KillProcess", "kind": "default"},
    {"name": "CreateRule", "kind": "default", "default_condition": 'request.tag == "global"'},
    {"name": "ListRules", "permission": "read"},
]
CATALOGUE: dict[str, object] = {"service": "workshop", "methods": METHODS}
_KEYS = count()


def call(method: str = "KillProcess", **members: object) -> dict[str, Any]:
    """The body of a check."""
    return {
        "method": method,
        "caller": {"kind": "person", "id": "alice"},
        "request": {"json": {"tag": "staging"}},
        "claim_key": f"key-of-this-call-{next(_KEYS)}",
    } | members


async def prepare(house: House) -> SimDevice:
    """Register the catalogue and turn protection on for alice and bob; answers bob's device."""
    answer = await house.http.put("/v1/protection/catalogue", json=CATALOGUE, headers=house.bearer)
    ok(answer)
    await house.device("alice")
    bob = await house.device("bob")
    before = house.relay.store.directory.protection(INTEGRATOR.id)
    assert before is not None
    after = Protection(
        integrator_id=INTEGRATOR.id,
        revision=before.revision + 1,
        settings=ProtectionSettings(enabled=True),
        methods=before.methods,
        protected=before.protected,
        seeded=before.seeded,
        administrators=("alice", "bob"),
    )
    await house.relay.store.commit((PutProtection(before, after),))
    return bob


@pytest.fixture
async def protected(
    tmp_path: Path, anyio_backend: object
) -> AsyncGenerator[tuple[House, SimDevice], None]:
    """A served relay with protection on, and the device of its second administrator."""
    del anyio_backend
    async with served(tmp_path) as running:
        yield running, await prepare(running)


async def approve(house: House, device: SimDevice, txid: str) -> None:
    """An administrator approves, as their device does it."""
    session = await house.session(device)
    request = ok(await house.http.get(f"/v1/device/requests/{txid}", headers=session))
    stored = await house.relay.store.load(txid)
    assert stored is not None
    assert request["status"] == "pending"
    ok(await house.decide(device, {"request_id": txid, "request_digest": stored.terms.digest}))


async def test_b09_whole_life_of_a_call(protected: tuple[House, SimDevice]) -> None:
    """Check, wait, approve, run, result: and the third identical call waits anew."""
    house, bob = protected
    wait = ok(await house.post(CHECK, call()))
    txid = wait["transaction"]["txid"]
    pending = ok(await house.post(CHECK, call()))
    await approve(house, bob, txid)
    run = ok(await house.post(CHECK, call()))
    claim_id = run["claim"]["claim_id"]
    path = f"/v1/claims/{claim_id}"
    done = ok(await house.post(f"{path}/result", {"result": "ok"}))
    third = ok(await house.post(CHECK, call()))
    read = ok(await house.get(f"/v1/protection/transactions/{txid}"))

    assert (wait["verdict"], wait["transaction"]["state"]) == ("wait", "requested")
    assert pending["transaction"]["txid"] == txid
    assert (run["verdict"], run["transaction"]["state"]) == ("run", "claimed")
    assert run["receipt"] == ok(await house.get(f"/v1/requests/{txid}/receipt"))
    assert done == ok(await house.get(path))
    assert done["result"] == "ok"
    assert done["execution"]["payloadType"] == "application/vnd.quorumkey.execution.v1+json"
    assert third["transaction"]["txid"] != txid
    assert read["state"] == "executed"
    assert [vote["approver_id"] for vote in read["votes"]] == ["bob"]


async def test_b01_proceeds(protected: tuple[House, SimDevice]) -> None:
    """What needs no approval is told so, with the revision that it was judged by."""
    house, _ = protected
    reasons = [
        ok(await house.post(CHECK, call(method))) for method in ("ListRules", "Other", "CreateRule")
    ]

    assert reasons == [
        {"verdict": "proceed", "reason": reason, "revision": 2}
        for reason in ("unprotected", "unprotected", "condition_false")
    ]


async def test_b13_parallel_calls_over_http_run_once(protected: tuple[House, SimDevice]) -> None:
    """Of 32 calls over many connections one runs, and all others get one new txid."""
    house, bob = protected
    txid = ok(await house.post(CHECK, call()))["transaction"]["txid"]
    await approve(house, bob, txid)
    verdicts = [
        ok(answer)
        for answer in await asyncio.gather(*(house.post(CHECK, call()) for _ in range(32)))
    ]
    runs = [verdict for verdict in verdicts if verdict["verdict"] == "run"]
    others = {
        verdict["transaction"]["txid"] for verdict in verdicts if verdict["verdict"] == "wait"
    }

    assert [run["claim"]["txid"] for run in runs] == [txid]
    assert len(others) == 1
    assert txid not in others


BAD: dict[str, tuple[str, int, str, str]] = {
    "float": ('{"n": 1.5}', 400, "invalid_json", "integer"),
    "exponent": ('{"n": 1e3}', 400, "invalid_json", "integer"),
    "minus_zero": ('{"n": -0}', 400, "invalid_json", "integer"),
    "huge_integer": ('{"n": 9007199254740993}', 400, "invalid_json", "integer"),
    "duplicate_key": ('{"a": 1, "a": 2}', 400, "invalid_json", "twice"),
    "lone_surrogate": ('{"a": "\\ud800"}', 400, "invalid_json", "surrogate"),
    "too_deep": ("[" * 40 + "]" * 40, 400, "invalid_json", "nested"),
    "too_large_to_see": (json.dumps({"text": "x" * 70_000}), 400, "invalid_request", "65536"),
    "too_large_at_all": (json.dumps({"text": "x" * 262_144}), 413, "payload_too_large", "262144"),
}


@pytest.mark.parametrize(("request_", "status", "code", "says"), BAD.values(), ids=BAD)
async def test_b11_refused_with_a_clear_error(
    protected: tuple[House, SimDevice], request_: str, status: int, code: str, says: str
) -> None:
    """What has no one spelling, or is too large, is refused in words that say what to do."""
    house, _ = protected
    body = json.dumps(call(request={"json": "HERE"})).replace('"HERE"', request_)
    answer = await house.http.post(
        CHECK, content=body, headers=house.bearer | {"Content-Type": "application/json"}
    )
    found = refused(answer)

    assert found[:2] == (status, code)
    assert says in found[2]
    assert ok(await house.get("/v1/protection/transactions"))["data"] == []


MALFORMED: dict[str, dict[str, Any]] = {
    "protobuf_base64": {"request": {"protobuf": "not base64", "view": {}}},
    "two_forms": {"request": {"json": {}, "protobuf": "", "view": {}}},
    "unknown_member": {"more": 1},
    "caller_kind": {"caller": {"kind": "robot", "id": "r2"}},
    "caller_id": {"caller": {"kind": "person", "id": ""}},
    "caller_name": {"caller": {"kind": "person", "id": "a", "name": "\u202eevil"}},
    "method": {"method": ""},
    "method_long": {"method": "m" * 201},
    "claim_key": {"claim_key": "short"},
    "resource_no_object": {"resource": []},
    "resource_null": {"resource": None},
}


@pytest.mark.parametrize("members", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_members_are_refused(
    protected: tuple[House, SimDevice], members: dict[str, Any]
) -> None:
    """Every member of a check has a form."""
    house, _ = protected

    assert refused(await house.post(CHECK, call(**members)))[:2] == (400, "invalid_request")


async def test_snapshot_is_held_and_told_of_changes(protected: tuple[House, SimDevice]) -> None:
    """A poll with the newest revision answers as soon as the catalogue changes."""
    house, _ = protected
    first = ok(await house.get("/v1/protection/snapshot"))
    assert first["revision"] == 2
    poll = asyncio.ensure_future(house.get("/v1/protection/snapshot?revision=2"))
    grown = CATALOGUE | {"methods": [*METHODS, {"name": "StopHost"}]}
    registered = ok(
        await house.http.put("/v1/protection/catalogue", json=grown, headers=house.bearer)
    )
    told = ok(await poll)

    assert registered["revision"] == 3
    assert told in (registered, {"revision": 2, "enabled": True, "exclude_api_keys": False})
    names = [method["name"] for method in registered["methods"]]
    assert names == ["CreateRule", "KillProcess", "ListRules", "StopHost"]


async def test_weaker_catalogue_is_refused_while_protection_is_on(
    protected: tuple[House, SimDevice],
) -> None:
    """A service cannot end the protection of a method by leaving it out."""
    house, _ = protected
    less = {"service": "workshop", "methods": [{"name": "ListRules"}]}
    answer = await house.http.put("/v1/protection/catalogue", json=less, headers=house.bearer)

    assert refused(answer)[:2] == (409, "failed_precondition")


async def test_ordinary_approval_is_claimed_once(protected: tuple[House, SimDevice]) -> None:
    """Claim, lost answer, another key, result: the same table serves ordinary approvals."""
    house, bob = protected
    asked = await house.ask(bob)
    path = f"/v1/requests/{asked['request_id']}/claim"
    early = refused(await house.post(path, {"claim_key": "k" * 16}))
    ok(await house.decide(bob, asked))
    first = ok(await house.post(path, {"claim_key": "k" * 16}))
    again = ok(await house.post(path, {"claim_key": "k" * 16}))
    other = refused(await house.post(path, {"claim_key": "o" * 16}))
    result = f"/v1/claims/{first['claim_id']}/result"
    settled = ok(await house.post(result, {"result": "error"}))
    changed = refused(await house.post(result, {"result": "ok"}))

    assert early[:2] == (409, "not_completed")
    assert first == again
    assert other[:2] == changed[:2] == (409, "request_completed")
    assert settled["result"] == "error"


PATHS: list[tuple[str, str, object]] = [
    ("GET", f"/v1/protection/transactions/{NO_SUCH_ID}", None),
    ("GET", "/v1/protection/transactions/nothing", None),
    ("POST", f"/v1/requests/{NO_SUCH_ID}/claim", {"claim_key": "k" * 16}),
    ("GET", f"/v1/claims/{NO_SUCH_ID}", None),
    ("POST", f"/v1/claims/{NO_SUCH_ID}/result", {"result": "ok"}),
]


@pytest.mark.parametrize(
    ("method", "path", "body"), PATHS, ids=[f"{row[0]}-{row[1][4:24]}" for row in PATHS]
)
async def test_unknown_is_not_found(
    protected: tuple[House, SimDevice], method: str, path: str, body: object
) -> None:
    """What is not there is not found."""
    house, _ = protected
    answer = await house.http.request(method, path, json=body, headers=house.bearer)

    assert refused(answer)[:2] == (404, "not_found")


async def test_each_integrator_sees_its_own(protected: tuple[House, SimDevice]) -> None:
    """Another integrator's key is not gated by this one's protection, and finds nothing of it."""
    house, _ = protected
    txid = ok(await house.post(CHECK, call()))["transaction"]["txid"]
    other = {"Authorization": f"Bearer {OTHER_API_KEY}"}
    verdict = ok(await house.http.post(CHECK, json=call(), headers=other))
    read = await house.http.get(f"/v1/protection/transactions/{txid}", headers=other)

    assert verdict == {"verdict": "proceed", "reason": "disabled", "revision": 0}
    assert refused(read)[:2] == (404, "not_found")


async def test_only_api_keys_of_integrators(protected: tuple[House, SimDevice]) -> None:
    """No token, a device's session and an admin key are refused."""
    house, bob = protected
    session = await house.session(bob)
    nobody = await house.http.post(CHECK, json=call())
    device = await house.http.post(CHECK, json=call(), headers=session)
    admin = await as_admin(house)

    assert refused(nobody)[:2] == (401, "unauthorized")
    assert refused(device)[:2] == (401, "unauthorized")
    assert refused(admin)[:2] == (403, "forbidden")


async def as_admin(house: House) -> httpx2.Response:
    """A check with the integrator's key, which has the scope admin from now on."""
    found = house.relay.usecases.api_key(API_KEY)
    assert found is not None
    await house.relay.store.commit((PutApiKey(replace(found[0], scope="admin")),))
    return await house.post(CHECK, call())


LIMITED: list[tuple[str, Callable[[House], Awaitable[httpx2.Response]]]] = [
    ("check", lambda house: house.post(CHECK, call("ListRules"))),
    ("snapshot", lambda house: house.get("/v1/protection/snapshot")),
]


@pytest.mark.parametrize(("_name", "send"), LIMITED, ids=[row[0] for row in LIMITED])
async def test_calls_have_a_bucket_of_their_own(
    tmp_path: Path, _name: str, send: Callable[[House], Awaitable[httpx2.Response]]
) -> None:
    """Calls about protected methods are charged apart from a key's other calls."""
    async with served(tmp_path, rate_protection=3, rate_api_key=100) as house:
        answers = [await send(house) for _ in range(4)]
        others = await house.get("/v1/requests")

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert refused(answers[-1])[1] == "rate_limited"
        assert others.status_code == 200


async def test_catalogues_are_charged_with_the_other_calls(tmp_path: Path) -> None:
    """Registering costs more than asking, so a key may do it as seldom as anything else."""
    async with served(tmp_path, rate_protection=100, rate_api_key=2) as house:
        put = [
            await house.http.put("/v1/protection/catalogue", json=CATALOGUE, headers=house.bearer)
            for _ in range(3)
        ]

        assert [answer.status_code for answer in put] == [200, 200, 429]
        assert (await house.post(CHECK, call())).status_code == 200
