"""Every success and every refusal of every route, each with canaries in all that is sent."""

from __future__ import annotations

import json
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

from tests.e2e.secrecy_caller import Caller, asking, now
from tests.e2e.secrecy_canaries import mutated
from tests.relay.sim_devices import SimDevice
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from quorumkey.protocol import Kind, PrivateKey, b64url_encode
from quorumkey_relay.api.routes import ROUTES, STREAM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.secrecy_canaries import Json

    from quorumkey_relay.api.endpoint import Endpoint

CODE = "907351"
WRONG_CODE = "640289"
TOO_LARGE = 300_000
SUBPROTOCOL = Subprotocol("quorumkey.v1")
PATIENCE = 20


def whole_life(caller: Caller) -> tuple[list[SimDevice], str]:
    """Two devices, each kind of push address, an approval and a denial; devices and a token."""
    plant = caller.canaries.plant
    alice, bob = (caller.device(plant("approver id")) for _ in range(2))
    for address in addresses(caller):
        assert "error" not in caller.push(alice, address)
    caller.push(bob, addresses(caller)[0])
    token = caller.session(alice)

    key = plant("Idempotency-Key")
    body = asking(caller.canaries, alice, bob, required=2, match_code=CODE)
    request = caller.ask(body, **{"Idempotency-Key": key})
    assert request == caller.ask(body, **{"Idempotency-Key": key})
    caller.ask(asking(caller.canaries, alice), **{"Idempotency-Key": key})
    path, shown = f"/v1/requests/{request['request_id']}", f"/{request['request_id']}"
    caller.call("GET", f"{path}/receipt", token=caller.api_key)
    caller.decide(alice, request)
    caller.decide(alice, request, code=WRONG_CODE)
    caller.decide(alice, request, code=CODE, decided_at="2020-01-01T00:00:00Z")
    for device in (alice, bob):
        assert caller.decide(device, request, code=CODE)["decision"] == "approve"
    caller.decide(alice, request, decision="deny", reason=plant("reason"))
    caller.call("POST", f"{path}/cancel", token=caller.api_key)
    for end in ("", "/receipt", "/deliveries"):
        caller.call("GET", path + end, token=caller.api_key)
    for end in ("", shown):
        caller.call("GET", f"/v1/device/requests{end}", token=token)
    caller.call("POST", f"/v1/device/requests{shown}/ack", token=token)

    denied = caller.ask(asking(caller.canaries, alice, bob))
    caller.decide(alice, denied, decision="deny", reason=plant("reason"))
    caller.decide(bob, denied)
    with caller.client.stream(
        "GET",
        f"{caller.url}/v1/events",
        headers={"Authorization": f"Bearer {caller.api_key}", "Cookie": plant("Cookie")},
    ) as events:
        assert events.status_code == 200
    for listing in ("/v1/requests", "/v1/devices"):
        caller.call("GET", listing, token=caller.api_key, query="?limit=2")
    return [alice, bob], token


def addresses(caller: Caller) -> list[Json]:
    """A push address of every kind, with a canary for each secret."""
    plant, keep = caller.canaries.plant, caller.canaries.keep
    return [
        {
            "channel": "apns",
            "token": keep("apns token", token_hex(32)),
            "topic": plant("apns topic"),
            "environment": "sandbox",
        },
        {
            "channel": "webpush",
            "endpoint": f"https://updates.push.services.mozilla.com/{plant('endpoint')}",
            "p256dh": keep("p256dh", uncompressed()),
            "auth": keep("auth", b64url_encode(bytes.fromhex(token_hex(16)))),
        },
        {"channel": "fcm", "token": plant("fcm token")},
    ]


def uncompressed() -> str:
    """A browser's public key: a P-256 point in 65 bytes."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - needed here alone
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
        Encoding,
        PublicFormat,
    )

    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    return b64url_encode(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def every_route(caller: Caller, session: str) -> None:
    """Wrong tokens, queries, methods, paths, bodies and headers at each row of the table."""
    rights = {"/v1/device/requests": session}
    for route in ROUTES:
        right = session if route.path.startswith(tuple(rights)) else caller.api_key
        canary = caller.canaries.plant("path id")
        unknown = caller.canaries.keep("path fingerprint", token_hex(32))
        for name in (canary, unknown, f"%00{canary}", f"{canary}/{canary}"):
            path = route.path.replace("{request_id}", name).replace("{pairing_id}", name)
            path = path.replace("{fingerprint}", name).replace("{claim_id}", name)
            at_route(caller, route, path, right)
            if path == route.path:
                break
    for method in ("GET", "POST", "OPTIONS", "TRACE", "CANARY"):
        caller.call(method, f"/v1/{caller.canaries.plant('path')}", query=_query(caller))


def _query(caller: Caller) -> str:
    canary = caller.canaries.plant("query")
    return f"?{canary}={canary}"


def at_route(caller: Caller, route: Endpoint[Any, Any], path: str, right: str) -> None:
    """Whatever may be wrong with a call of one route."""
    plant = caller.canaries.plant

    def call(body: Json | bytes = b"", **more: Any) -> None:  # noqa: ANN401 — handed on
        said: dict[str, Any] = {"method": route.method, "token": right, **more}
        caller.call(path=path, body=body, **said)

    wrong = caller.canaries.keep("API key", f"qk_test_{token_hex(32)}")
    for token in (plant("token"), wrong, plant("long token") * 30):
        call(token=token)
    for scheme in ("Basic", "Digest", "bearer bearer", ""):
        call(headers={"Authorization": f"{scheme} {plant('Authorization')}".strip()})
    queries = [_query(caller), f"?{plant('query')}", f"?%zz{plant('query')}"]
    queries += [f"?{known.name}={plant(known.name)}" for known in route.query]
    for query in queries:
        call(query=query)
    for method in ("PATCH", "PROPFIND"):
        call(method=method, query=_query(caller))
    for name in ("Idempotency-Key", "Last-Event-ID", "Origin", "Upgrade", "Accept"):
        long = plant(name) * 20
        # With an id that is none, even the stream of events is refused and so ends.
        call(_wrong(caller), headers={"Last-Event-ID": plant("Last-Event-ID"), name: long})
    if route.method not in {"GET", "DELETE"}:
        for body in _broken(caller):
            call(body)
        call(_wrong(caller), headers={"Content-Type": f"text/{plant('Content-Type')}"})


def _wrong(caller: Caller) -> bytes:
    canary = caller.canaries.plant("unknown member")
    return json.dumps({canary: canary}).encode()


def _broken(caller: Caller) -> list[bytes]:
    """Bodies that are not JSON as the relay takes it."""
    canary = caller.canaries.plant("malformed body").encode()
    text = b'"%s"' % canary
    return [
        _wrong(caller),
        b"{%s:%s" % (text, text),
        b"%s" % canary,
        b"[%s\xff\xfe]" % text,
        b"{%s:1,%s:2}" % (text, text),
        b"[" * 40 + text + b"]" * 40,
        b'{"a":1.5,%s:%s}' % (text, text),
        text.ljust(TOO_LARGE),
    ]


def every_member(caller: Caller, device: SimDevice) -> None:
    """A canary for each value in each body, and for each value in each signed payload."""

    def canary() -> str:
        return caller.canaries.plant("value of a body")

    body = asking(caller.canaries, device, match_code=CODE, nonce=caller.nonce())
    for other in mutated(body, canary):
        caller.ask(other)
    approver = {"approver": {"id": canary(), "name": canary()}}
    for other in mutated(cast("Json", approver), canary):
        caller.call("POST", "/v1/pairings", other, token=caller.api_key)
    for other in mutated({"pairing_code": caller.pairing(id=canary())}, canary):
        caller.call("POST", "/v1/device/pairing", other)
    caller.call("POST", "/v1/device/pairing", {"pairing_code": "ZZZZ-ZZZZ-ZZZ7"})

    request = caller.ask(asking(caller.canaries, device))
    decision = f"/v1/device/requests/{request['request_id']}/decision"
    makers: list[tuple[str, str, Kind, Callable[[], Json]]] = [
        ("POST", "/v1/device/session", Kind.SESSION, lambda: _said(caller, device)),
        ("PUT", "/v1/device/push", Kind.PUSH, lambda: _push(caller, device)),
        ("POST", "/v1/device/unpair", Kind.UNPAIR, lambda: caller.said(device)),
        ("POST", "/v1/device/enroll", Kind.ENROLLMENT, lambda: _enrollment(caller)),
        ("POST", decision, Kind.DECISION, lambda: _decision(device, request)),
    ]
    for method, path, kind, payload in makers:
        # An unpairing that is in order would end what the others need.
        count = len(list(mutated(payload(), canary)))
        for index in range(count):
            said = list(mutated(payload(), canary))[index]
            caller.call(method, path, {"envelope": caller.sealed(device, kind, said)})
        envelope: Json = {"envelope": caller.sealed(SimDevice("stranger"), kind, payload())}
        for other in [envelope, *mutated(envelope, canary)]:
            caller.call(method, path, other)


def _said(caller: Caller, device: SimDevice) -> Json:
    key = PrivateKey.generate().public_key.base64
    return caller.said(device, audience=caller.url, session_public_key=key)


def _push(caller: Caller, device: SimDevice) -> Json:
    return caller.said(device, push=addresses(caller)[1])


def _enrollment(caller: Caller) -> Json:
    stranger = SimDevice("stranger")
    return caller.enrollment(stranger, caller.pairing(id="someone"), binding="AAAA")


def _decision(device: SimDevice, request: dict[str, Json]) -> Json:
    return {
        "request_digest": request["request_digest"],
        "decision": "deny",
        "device": device.fingerprint,
        "decided_at": now(),
        "reason": "none",
        "code": WRONG_CODE,
    }


def every_rule(caller: Caller, alice: SimDevice, bob: SimDevice) -> None:
    """The refusals that a well-made body meets."""
    ask, plant = caller.ask, caller.canaries.plant
    planted = caller.canaries
    ask(asking(planted, alice, alice, required=2))
    ask(asking(planted, SimDevice(plant("approver id"))))
    ask(asking(planted, alice, min_assurance="passkey"))
    ask(asking(planted, alice, required=9))
    mine: dict[str, Json] = {"id": alice.person, "name": plant("requester name")}
    caller.decide(alice, ask(asking(planted, alice, bob, requester=mine)))
    other = SimDevice(plant("approver id"))
    code = caller.pairing(id=other.person)
    said = caller.enrollment(other, code)
    caller.enroll(other, said, attestation={"format": plant("attestation")})
    evidence: Json = {"format": "apple-app-attest", "key_id": plant("key id"), "object": "AAAA"}
    caller.enroll(other, caller.enrollment(other, code), attestation=evidence)
    caller.enroll(other, caller.enrollment(other, code))
    caller.enroll(other, said)  # a spent nonce
    caller.enroll(bob, caller.enrollment(bob, code))  # a spent code
    caller.enroll(bob, caller.enrollment(bob, caller.pairing(id=plant("approver id"))))
    gone = ask(asking(planted, other))
    caller.call("DELETE", f"/v1/devices/{other.fingerprint}", token=caller.api_key)
    caller.decide(other, gone)
    caller.call(
        "GET",
        "/v1/events",
        token=caller.api_key,
        headers={"Last-Event-ID": "0190a000-0000-7000-8000-000000000001"},
    )
    full = asking(planted, alice)
    while "error" not in ask(full):
        pass


def every_frame(caller: Caller, device: SimDevice) -> None:
    """Sockets that are let in, and sockets that are not."""
    plant = caller.canaries.plant
    _socket(caller, device, [], query=_query(caller))
    for body in _broken(caller):
        _socket(caller, device, [body])
        _socket(caller, device, [body.decode("latin-1")])
    for name in ("device", "nonce", "audience", "relay", plant("unknown member")):
        _socket(caller, device, [], auth={name: plant("auth")})
    ack = json.dumps({"type": "ack", "request_id": plant("ack")})
    again = json.dumps({"type": "auth", "envelope": {plant("envelope"): plant("envelope")}})
    for last in (ack, again, json.dumps({"type": plant("type")}), plant("frame")):
        _socket(caller, device, [last, plant("frame")], auth={})


def _socket(
    caller: Caller,
    device: SimDevice,
    frames: list[str | bytes],
    *,
    auth: dict[str, Json] | None = None,
    query: str = "",
) -> None:
    """Open a socket, say ``auth`` if it is given, send frames, and read until the relay closes."""
    plant = caller.canaries.plant
    address = caller.url.replace("http", "ws", 1) + STREAM_PATH
    headers = {name: plant(name) for name in ("Authorization", "Cookie", "X-Own")}
    with (
        suppress(WebSocketException),
        connect(
            address + query,
            subprotocols=[SUBPROTOCOL],
            additional_headers=headers,
            user_agent_header=plant("User-Agent"),
            proxy=None,
        ) as opened,
    ):
        hello: dict[str, Json] = json.loads(opened.recv(PATIENCE))
        caller.canaries.keep_secrets(hello)
        said = {**caller.said(device, audience=caller.url), "nonce": hello["nonce"]}
        if auth is not None:
            envelope = caller.sealed(device, Kind.SESSION, {**said, **auth})
            opened.send(json.dumps({"type": "auth", "envelope": envelope}))
        for frame in frames:
            opened.send(frame)
        if not frames and auth is None:
            opened.close()
        while True:
            opened.recv(PATIENCE)
