"""A client of the protocol written from its page alone: integrators and devices over HTTP.

It imports nothing of quorumkey's: only ``cryptography``, ``httpx2``, ``websockets`` and the
standard library, so it shares no mistake with the relay.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from tests.e2e.protocol_calls import CODES
from tests.e2e.protocol_crypto import (
    Json,
    Key,
    PasskeyRules,
    b64,
    digest_of,
    epoch,
    fingerprint_of,
    unb64,
    utc,
    verify,
)
from tests.e2e.protocol_receipt import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2

#: How long a test waits for an answer that must come, in seconds.
PATIENCE = 20.0

ERROR_MEMBERS = ({"code", "message"}, {"code", "message", "details"})
REQUEST_MEMBERS = {"v", "profile", "relay", "integrator", "request_id", "nonce", "action"} | {
    "policy", "created_at", "expires_at", "use_by", "requester", "extensions", "critical",
}  # fmt: skip


def ok(answer: httpx2.Response, status: int = 200) -> Json:
    """The body of an answer that must be a success."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert answer.headers["x-request-id"]
    return cast("Json", answer.json())


def error_of(answer: httpx2.Response) -> Json:
    """The error object of a refusal, whose form is checked (§9)."""
    assert answer.headers["x-request-id"]
    document = cast("Json", answer.json())
    assert document.keys() == {"error"}, document
    error = cast("Json", document["error"])
    assert error.keys() in ERROR_MEMBERS, error
    assert isinstance(error["message"], str)
    assert error["message"].strip()
    assert isinstance(error.get("details", {}), dict)
    assert error["code"] in CODES[answer.status_code]
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    return error


def refused(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.status_code >= 400, answer.text
    return answer.status_code, str(error_of(answer)["code"])


@dataclass
class Relay:
    """A relay as its clients see it: an address, and what ``/v1/info`` says."""

    url: str
    http: httpx2.Client

    def info(self) -> Json:
        """Call ``GET /v1/info``."""
        return ok(self.http.get("/v1/info"))

    def now(self) -> int:
        """The relay's clock."""
        return epoch(self.info()["time"])

    def challenge(self) -> Json:
        """Call ``POST /v1/device/challenge``."""
        return ok(self.http.post("/v1/device/challenge"))

    def nonce(self) -> str:
        """A fresh nonce."""
        return str(self.challenge()["nonce"])

    def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        """Post JSON without authentication."""
        return self.http.post(path, json=body, headers=headers)

    def send(self, device: Device, name: str, path: str, payload: Json | bytes) -> httpx2.Response:
        """Post a device's envelope."""
        return self.post(path, {"envelope": device.key.seal(name, payload)})


@dataclass
class Integrator:
    """A backend with an API key."""

    relay: Relay
    api_key: str
    integrator_id: str
    name: str

    @property
    def bearer(self) -> dict[str, str]:
        """Its authentication."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def get(self, path: str) -> httpx2.Response:
        """Get a page of the API."""
        return self.relay.http.get(path, headers=self.bearer, timeout=90)

    def delete(self, path: str) -> httpx2.Response:
        """Delete an object."""
        return self.relay.http.delete(path, headers=self.bearer)

    def post(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Post JSON."""
        every = self.bearer | dict(headers or {})
        if body is None:
            return self.relay.http.post(path, headers=every)
        return self.relay.http.post(path, json=body, headers=every)

    def raw(self, path: str, content: bytes, kind: str = "application/json") -> httpx2.Response:
        """Post bytes."""
        headers = self.bearer | {"Content-Type": kind}
        return self.relay.http.post(path, content=content, headers=headers)

    def pairing(self, person: str, **members: object) -> Json:
        """Make a pairing for a person."""
        approver = {"id": person, "name": person.title()}
        return ok(self.post("/v1/pairings", {"approver": approver} | members), 201)

    def device(self, person: str, key: Key | None = None) -> Device:
        """A new device of a person, enrolled with a typed code."""
        device = Device(self.relay, key or Key())
        ok(device.enrol(str(self.pairing(person)["pairing_code"])), 201)
        return device

    def devices(self, *people: str) -> list[Device]:
        """A new device for each person."""
        return [self.device(person) for person in people]

    def ask(self, *groups: list[Device], **members: object) -> httpx2.Response:
        """Post a request; ``members`` replace or add members of its body."""
        return self.post("/v1/requests", request_body(*groups) | members)

    def asked(self, *groups: list[Device], **members: object) -> Json:
        """A new request object."""
        return ok(self.ask(*groups, **members), 201)

    def read(self, request: Json) -> Json:
        """The request object as it is now."""
        return ok(self.get(f"/v1/requests/{request['request_id']}"))

    def status(self, request: Json) -> str:
        """The status of a request."""
        return str(self.read(request)["status"])

    def receipt(self, request: Json) -> Json:
        """The receipt of a finished request."""
        return ok(self.get(f"/v1/requests/{request['request_id']}/receipt"))

    def kept(self, body: Json, **members: object) -> Asked:
        """What a verifier needs to know of the request that was made with a body."""
        optional = {
            name: body[name]
            for name in ("reject_policy", "distinct", "min_assurance", "requester", "match_code")
            if name in body
        }
        said: Json = {
            "integrator_id": self.integrator_id,
            "nonce": body["nonce"],
            "action": {"params": {}} | cast("Json", body["action"]),
            "required": body["required"],
            "groups": body["groups"],
            "relay_public_keys": [self.relay.info()["relay_public_key"]],
        }
        return Asked(**(said | optional | cast("Json", members)))

    def confirm(self, pairing: Json, *, secret: bytes, pin: str) -> bool:
        """Check what ``GET /v1/pairings/{id}`` reports (§4.4); tells whether it is bound."""
        report = ok(self.get(f"/v1/pairings/{pairing['pairing_id']}"))
        device = cast("Json", report["device"])
        said = verify(report["enrollment"], "enrollment", device["device_public_key"])
        assert report["status"] == "paired"
        assert fingerprint_of(unb64(device["device_public_key"])) == device["fingerprint"]
        assert said["relay"] == pin
        assert plain(said["pairing_code"]) == plain(pairing["pairing_code"])
        assert said["device_public_key"] == device["device_public_key"]
        assert said["platform"] == device["platform"]
        expected = binding(secret, pin, unb64(device["device_public_key"]))
        return "binding" in said and hmac.compare_digest(str(said["binding"]), expected)


def plain(code: str) -> str:
    """A pairing code without what people may add or mistake."""
    dropped = code.replace("-", "").replace(" ", "").upper()
    return dropped.replace("O", "0").replace("I", "1").replace("L", "1")


def binding(secret: bytes, relay: str, device_public_key: bytes) -> str:
    """The binding of a device to the integrator's secret (§4.3)."""
    text = b"quorumkey pairing v1\0" + relay.encode() + device_public_key
    return b64(hmac.digest(secret, text, hashlib.sha256))


def fragment(pairing_url: str) -> dict[str, str]:
    """What a device reads in the fragment of a QR code's address."""
    return {name: each[0] for name, each in parse_qs(urlsplit(pairing_url).fragment).items()}


def request_body(*groups: list[Device], **members: object) -> Json:
    """A request body in which every group must approve."""
    body: Json = {
        "required": len(groups),
        "groups": [
            {"name": f"Group {number}", "approvers": [device.named() for device in group]}
            for number, group in enumerate(groups, start=1)
        ],
        "action": {"type": "cold_boot", "description": "Cold boot engine ENG-001"},
        "nonce": b64(secrets.token_bytes(32)),
    }
    return body | members


@dataclass
class Device:
    """An approver's device: a key, and the address and pin of one relay."""

    relay: Relay
    key: Key
    session_key: Key | None = None
    stored: dict[str, Json] = field(default_factory=dict[str, Json])

    @property
    def fingerprint(self) -> str:
        """Its id."""
        return self.key.fingerprint

    def named(self, approver_id: str | None = None) -> Json:
        """The device as an integrator names it in a group."""
        named: Json = {"fingerprint": self.fingerprint, "device_public_key": self.key.public}
        return named if approver_id is None else named | {"approver_id": approver_id}

    def said(self, *, device: bool = True, audience: bool = True) -> Json:
        """The members that statements to a relay begin with, with a fresh nonce."""
        fresh = self.relay.challenge()
        said: Json = {"relay": fresh["relay"], "nonce": fresh["nonce"]}
        said |= {"device": self.fingerprint} if device else {}
        return said | ({"audience": self.relay.url} if audience else {})

    def enrollment(self, code: str, *, secret: bytes | None = None, **members: object) -> Json:
        """The payload of an enrollment."""
        said = self.said(device=False) | {
            "pairing_code": code,
            "device_public_key": self.key.public,
            "platform": "cli",
        }
        if self.session_key is not None:
            said["session_public_key"] = self.session_key.public
        if secret is not None:
            said["binding"] = binding(secret, said["relay"], self.key.compressed)
        return said | members

    def enrol(
        self, code: str, *, secret: bytes | None = None, **members: object
    ) -> httpx2.Response:
        """Enrol with a code, bound to a secret if there is one."""
        return self.send_enrollment(self.enrollment(code, secret=secret, **members))

    def send_enrollment(self, payload: Json | bytes, **members: object) -> httpx2.Response:
        """Sign and send an enrollment; ``members`` are added to the body."""
        body = {"envelope": self.key.seal("enrollment", payload)} | members
        return self.relay.post("/v1/device/enroll", body)

    def open_session(self, key: Key | None = None, **members: object) -> httpx2.Response:
        """Ask for a session, signed by the device key unless told otherwise."""
        envelope = (key or self.key).seal("session", self.said() | members)
        return self.relay.post("/v1/device/session", {"envelope": envelope})

    def session(self) -> dict[str, str]:
        """The authentication of a new session."""
        return {"Authorization": f"Bearer {ok(self.open_session())['token']}"}

    def inbox(self, query: str = "", session: dict[str, str] | None = None) -> list[Json]:
        """The requests of this device."""
        path = f"/v1/device/requests{query}"
        answer = self.relay.http.get(path, headers=session or self.session())
        return cast("list[Json]", ok(answer)["data"])

    def push(self, address: Json, key: Key | None = None, **members: object) -> httpx2.Response:
        """Change the push address."""
        payload = self.said(audience=False) | {"push": address} | members
        envelope = (key or self.key).seal("push", payload)
        return self.relay.http.put("/v1/device/push", json={"envelope": envelope})

    def unpair(self, **members: object) -> httpx2.Response:
        """Unpair."""
        payload = self.said(audience=False) | members
        return self.relay.send(self, "unpair", "/v1/device/unpair", payload)

    def decision(self, request: Json, decision: str, **members: object) -> Json:
        """The payload of a decision, decided now by the relay's clock."""
        said: Json = {
            "request_digest": request["request_digest"],
            "decision": decision,
            "device": self.fingerprint,
            "decided_at": utc(self.relay.now()),
        }
        return said | members

    def decide(
        self, request: Json, decision: str = "approve", **members: object
    ) -> httpx2.Response:
        """Sign and send a decision without looking at the request first."""
        envelope = self.key.seal("decision", self.decision(request, decision, **members))
        return self.send_decision(request, envelope)

    def send_decision(self, request: Json, envelope: object) -> httpx2.Response:
        """Send an envelope as a decision on a request."""
        path = f"/v1/device/requests/{request['request_id']}/decision"
        return self.relay.post(path, {"envelope": envelope})

    def examine(self, item: Json, *, relay_public_key: str, integrators: set[str]) -> Json:
        """Every check that §6 asks for before Approve is shown; the request document."""
        document = verify(item["request"], "request", relay_public_key)
        pin = fingerprint_of(unb64(relay_public_key))
        assert document["v"] == 1
        assert document["relay"] == pin
        assert document["request_id"] == item["request_id"]
        assert document.keys() <= REQUEST_MEMBERS
        assert document["integrator"]["id"] in integrators
        challenge = verify(item["challenge"], "challenge", relay_public_key)
        assert challenge["relay"] == pin
        assert challenge["device"] == self.fingerprint
        assert challenge["request_id"] == document["request_id"]
        assert challenge["request_digest"] == digest_of(unb64(item["request"]["payload"]))
        assert challenge["expires_at"] == document["expires_at"]
        assert challenge["integrator_name"] == document["integrator"]["name"]
        named = [
            group["name"]
            for group in document["policy"]["groups"]
            for one in group["approvers"]
            if one["fingerprint"] == self.fingerprint
            and one["device_public_key"] == self.key.public
        ]
        assert named == [item["group"]]
        assert self.relay.now() < epoch(document["expires_at"])
        return document


def passkey_rules(relay: Relay) -> PasskeyRules:
    """The relying party id and origins that a relay says it uses."""
    webauthn = cast("Json", relay.info()["webauthn"])
    return PasskeyRules(str(webauthn["rp_id"]), tuple(webauthn["origins"]))


def digest_in(item: Json) -> str:
    """The digest of the request in a device's item, from the bytes themselves."""
    return digest_of(unb64(item["request"]["payload"]))
