"""Every call about protected methods, over REST and RPC, with canaries in all that is sent."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, cast

from tests.e2e.secrecy_canaries import mutated
from tests.e2e.secrecy_drive import at_route

from quorumkey.protocol import Kind
from quorumkey_relay.api.rpc import SERVICE_PREFIX
from quorumkey_relay.api.rpc_routes import RPC_ROUTES

if TYPE_CHECKING:
    from tests.e2e.secrecy_caller import Caller
    from tests.e2e.secrecy_canaries import Json
    from tests.relay.sim_devices import SimDevice

CHECK = "/v1/protection/check"
GZIP = {"Content-Encoding": "gzip"}


def every_protected_call(caller: Caller, admin_key: str, first: str) -> None:
    """A protection is set up, used, governed and tried; ``first`` is its administrator so far."""
    alice, bob = caller.device(first), caller.device(caller.canaries.plant("administrator"))
    session = caller.session(bob)
    methods = _register(caller)
    named = rpc(caller, "AddAdministrator", admin_key, approverId=bob.person)
    assert "code" not in named, named
    added = rpc(caller, "AddMPAProtectedMethod", admin_key, method=methods[2])
    assert "code" not in added, added
    on = rpc(caller, "SetMultipartyApprovalSettings", admin_key, enabled=True)
    assert cast("dict[str, Json]", on["settings"])["enabled"] is True
    _whole_life(caller, alice, bob, methods)
    _governed(caller, alice, bob, admin_key)
    _every_rpc(caller, session, admin_key)
    for wrong in _checks(caller, alice, methods):
        caller.call("POST", CHECK, wrong, token=caller.api_key)


def rpc(caller: Caller, name: str, token: str, /, **message: Json) -> dict[str, Json]:
    """Call the governing service as its clients do; the members of its answer."""
    caller.canaries.keep_secrets(message)
    body = gzip.compress(json.dumps(message).encode())
    return caller.call("POST", SERVICE_PREFIX + name, body, token=token, headers=GZIP)


def _register(caller: Caller) -> list[str]:
    """A catalogue; the names of its methods."""
    plant = caller.canaries.plant
    names = [plant("method") for _ in range(3)]
    condition = f"request.tag == '{plant('default_condition')}'"
    catalogue: Json = {
        "service": plant("service"),
        "methods": [
            {"name": names[0], "kind": "always"},
            {"name": names[1], "kind": "default", "default_condition": condition},
            {"name": names[2]},
        ],
    }
    path = "/v1/protection/catalogue"
    answer = caller.call("PUT", path, catalogue, token=caller.api_key)
    assert "revision" in answer, answer
    for other in mutated(catalogue, lambda: plant("value of a catalogue")):
        caller.call("PUT", path, other, token=caller.api_key)
    assert "revision" in caller.call("PUT", path, catalogue, token=caller.api_key)
    for query in ("", "?revision=0", f"?revision={plant('revision')}"):
        caller.call("GET", "/v1/protection/snapshot", token=caller.api_key, query=query)
    return names


def _check(caller: Caller, person: SimDevice, method: str) -> dict[str, Json]:
    """A call that waits, with a canary in each of its texts."""
    plant = caller.canaries.plant
    return {
        "method": method,
        "caller": {"kind": "person", "id": person.person, "name": plant("caller name")},
        "request": {"json": {plant("key of a request"): [plant("request"), {"tag": "global"}]}},
        "resource": {plant("key of a resource"): plant("resource")},
        "claim_key": plant("claim_key"),
    }


def _checks(caller: Caller, person: SimDevice, methods: list[str]) -> list[Json]:
    """Checks of all forms, most of them wrong in one place."""
    plant = caller.canaries.plant
    whole = cast("Json", _check(caller, person, methods[1]))
    made = list(mutated(whole, lambda: plant("value of a check")))
    seen: dict[str, Json] = {plant("key of a view"): plant("view")}
    forms: list[Json] = [
        {"protobuf": caller.canaries.plant("protobuf"), "view": cast("Json", seen)},
        {"digest": plant("digest"), "size": 70_000},
        {"json": plant("request") * 3_000},
    ]
    for method in methods:
        made += [{**_check(caller, person, method), "request": form} for form in forms]
    return made


def _whole_life(caller: Caller, alice: SimDevice, bob: SimDevice, methods: list[str]) -> None:
    """A call waits, is approved, runs, and is settled; everything about it is read."""
    plant, key = caller.canaries.plant, caller.api_key
    assert caller.call("POST", CHECK, cast("Json", _check(caller, alice, methods[1])), token=key)
    body = _check(caller, alice, methods[2])
    txid = _txid(caller.call("POST", CHECK, cast("Json", body), token=key))
    request = caller.call("GET", f"/v1/requests/{txid}", token=key)
    assert caller.decide(bob, request)["decision"] == "approve"
    run = caller.call("POST", CHECK, cast("Json", body), token=key)
    assert run["verdict"] == "run", run
    claim = cast("dict[str, Json]", run["claim"])["claim_id"]
    result: dict[str, Json] = {"result": "ok", "result_digest": f"sha256:{'7' * 64}"}
    for other in mutated(cast("Json", result), lambda: plant("result")):
        caller.call("POST", f"/v1/claims/{claim}/result", other, token=key)
    done = caller.call("POST", f"/v1/claims/{claim}/result", cast("Json", result), token=key)
    assert done["result"] == "ok"
    for path in (f"/v1/claims/{claim}", f"/v1/protection/transactions/{txid}"):
        caller.call("GET", path, token=key)
    again = _txid(caller.call("POST", CHECK, cast("Json", body), token=key))
    denied = caller.call("GET", f"/v1/requests/{again}", token=key)
    caller.decide(bob, denied, decision="deny", reason=plant("reason"))
    for query in ("", "?limit=1", f"?cursor={txid}", f"?cursor={plant('cursor')}"):
        caller.call("GET", "/v1/protection/transactions", token=key, query=query)
    # It is claimed by issuing the call again, not by its request's id.
    wanted: Json = {"claim_key": plant("claim_key")}
    caller.call("POST", f"/v1/requests/{txid}/claim", wanted, token=key)


def _txid(verdict: dict[str, Json]) -> str:
    assert verdict["verdict"] == "wait", verdict
    return str(cast("dict[str, Json]", verdict["transaction"])["txid"])


def _governed(caller: Caller, alice: SimDevice, bob: SimDevice, admin_key: str) -> None:
    """A governing call waits, is approved over RPC, and answers a new API key."""
    name = caller.canaries.plant("name of a key")
    asking = caller.session(alice)
    assert rpc(caller, "CreateAPIKey", asking, name=name)["code"] == "failed_precondition"
    listed = rpc(caller, "ListMultipartyApprovalRequestsForSession", admin_key, limit=1)
    (waiting,) = cast("list[dict[str, Json]]", listed["requests"])
    txid = str(waiting["txid"])
    request = caller.call("GET", f"/v1/requests/{txid}", token=caller.api_key)
    payload: Json = {
        "request_digest": request["request_digest"],
        "decision": "approve",
        "device": bob.fingerprint,
        "decided_at": str(request["created_at"]),
    }
    envelope = caller.sealed(bob, Kind.DECISION, payload)
    resolved = rpc(
        caller,
        "ResolveMultipartyApprovalRequest",
        caller.session(bob),
        txid=txid,
        decision="approve",
        envelope=envelope,
    )
    assert "request" in resolved, resolved
    made = rpc(caller, "CreateAPIKey", asking, name=name)
    caller.canaries.keep("API key", str(made["apiKey"]))
    key_id = str(cast("dict[str, Json]", made["key"])["keyId"])
    rpc(caller, "UpdateAPIKey", asking, keyId=key_id, name=caller.canaries.plant("name of a key"))


def _every_rpc(caller: Caller, session: str, admin_key: str) -> None:
    """Whatever may be wrong at each method, and a canary for each value of its message."""
    plant = caller.canaries.plant
    messages: dict[str, dict[str, Json]] = {
        "AddMPAProtectedMethod": {
            "method": plant("method"),
            "condition": f"request.a == '{plant('condition')}' ||",
        },
        "RemoveMPAProtectedMethod": {"method": plant("method")},
        "CreateAPIKey": {"name": plant("name of a key"), "scope": plant("scope")},
        "UpdateAPIKey": {"keyId": plant("key id"), "name": plant("name of a key")},
        "AddAdministrator": {"approverId": plant("administrator")},
        "RemoveAdministrator": {"approverId": plant("administrator")},
        "GetMultipartyApprovalRequest": {"txid": plant("txid")},
        "ListMultipartyApprovalRequestsForSession": {"cursor": plant("cursor")},
        "ResolveMultipartyApprovalRequest": {
            "txid": plant("txid"),
            "decision": "approve",
            "envelope": {"payloadType": plant("payload type"), "payload": "e30="},
        },
    }
    for route in RPC_ROUTES:
        at_route(caller, route, route.path, admin_key)
        name = route.path.rpartition("/")[2]
        message = cast("Json", messages.get(name, {}))
        for other in [message, *mutated(message, lambda: plant("value of a message"))]:
            caller.call("POST", route.path, other, token=session)
        named = {"X-Quorumkey-Integrator": plant("integrator"), **GZIP}
        truncated = gzip.compress(plant("message").encode())[:-4]
        caller.call("POST", route.path, truncated, token=admin_key, headers=GZIP)
        caller.call("POST", route.path, truncated, token=session, headers=named)
        encoded = {"Content-Encoding": plant("encoding")}
        caller.call("POST", route.path, message, token=session, headers=encoded)
    caller.call("POST", SERVICE_PREFIX + plant("unknown method"), {}, token=admin_key)
