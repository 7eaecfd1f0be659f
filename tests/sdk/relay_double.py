"""A relay in memory behind the HTTP port: it signs for real and can be told to lie.

It keeps what a client or a device has to see answered and checks next to nothing; the real relay
is what tests/e2e uses. Scripted replies go before its own.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import httpx2
from tests.sdk.clock import START

from quorumkey.protocol import (
    Action,
    Approver,
    Challenge,
    Decision,
    Envelope,
    Group,
    Party,
    Policy,
    PrivateKey,
    Receipt,
    RequestDocument,
    Succession,
    b64encode,
    format_time,
    parse_envelope,
    pictogram,
    request_digest,
    sign,
    speakable,
    strict_json,
    uuid7,
)

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

URL = "https://relay.example.com"
API_KEY = "qk_test_" + "0" * 64
INTEGRATOR = Party("acme", "Acme Corp")
CODE = "7Q4M2XKD90FZ"

Reply = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


def answer(value: JsonValue, status: int = 200, **headers: str) -> httpx2.Response:
    """A JSON answer; ``Retry_After="3"`` becomes a header."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx2.Response(status, content=strict_json.dumps(value), headers=named)


def failure(status: int, code: str, **details: JsonValue) -> httpx2.Response:
    """An error answer of PROTOCOL §9."""
    error: dict[str, JsonValue] = {"code": code, "message": f"It is {code}."}
    if details:
        error["details"] = dict(details)
    return answer({"error": error}, status, X_Request_Id="req-1")


def body_of(request: httpx2.Request) -> dict[str, JsonValue]:
    """The JSON object that a request carries."""
    value = strict_json.loads(request.read(), max_bytes=300_000)
    assert isinstance(value, dict)
    return value


def text_of(value: JsonValue) -> str:
    """A string."""
    assert isinstance(value, str)
    return value


@dataclass
class Phone:
    """An approver's key."""

    person: str
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def approver(self) -> Approver:
        """The phone as a member of a group."""
        public = self.key.public_key
        return Approver(public.fingerprint, public.base64, self.person)

    def decide(self, digest: str, *, decision: str = "approve", at: int = START) -> Envelope:
        """Sign a decision."""
        statement = Decision(
            request_digest=digest,
            decision="approve" if decision == "approve" else "deny",
            device=self.key.public_key.fingerprint,
            decided_at=at,
        )
        return sign(Decision.KIND, statement.encode(), self.key)


@dataclass
class Stored:
    """One request of the double."""

    document: RequestDocument
    envelope: Envelope
    status: str = "pending"
    decisions: list[Envelope] = field(default_factory=list[Envelope])

    @property
    def digest(self) -> str:
        """The digest that decisions name."""
        return request_digest(self.envelope.payload)


class RelayDouble:
    """See the module's text; `calls` keeps every request it was sent."""

    def __init__(self) -> None:
        self.key = PrivateKey.generate()
        self.now = START
        self.calls: list[httpx2.Request] = []
        self.successions: list[Envelope] = []
        self.requests: dict[str, Stored] = {}
        self.pairing: dict[str, JsonValue] = {"pairing_id": "pairing-1", "status": "pending"}
        self.approver: JsonValue = {"id": "alice", "name": "Alice"}
        self.scripts: dict[str, deque[Reply]] = defaultdict(deque)
        self._made = 0

    # ------------------------------------------------------------ what tests say

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its present key."""
        return self.key.public_key.fingerprint

    @property
    def transport(self) -> httpx2.MockTransport:
        """The port to hand to a client or a device."""
        return httpx2.MockTransport(self.handle)

    def script(self, call: str, *replies: Reply) -> None:
        """Answer the next calls of ``"METHOD /path"`` with these."""
        self.scripts[call].extend(replies)

    def seen(self) -> list[str]:
        """The calls so far as ``"METHOD /path"``."""
        return [f"{call.method} {call.url.path}" for call in self.calls]

    def succeed(self, *, not_before: int) -> PrivateKey:
        """Change the relay's key, properly; answers the old one."""
        old, self.key = self.key, PrivateKey.generate()
        statement = Succession(
            relay=old.public_key.fingerprint,
            next_public_key=self.key.public_key.base64,
            not_before=not_before,
        )
        self.successions.append(sign(Succession.KIND, statement.encode(), old))
        return old

    def ask(self, *phones: Phone, change: Mapping[str, object] | None = None) -> Stored:
        """Put a request for these phones, each in a group of its own, into the relay."""
        groups = tuple(Group(phone.person.title(), (phone.approver,)) for phone in phones)
        document = RequestDocument(
            profile="approval",
            relay=self.fingerprint,
            integrator=INTEGRATOR,
            request_id=self._id(),
            nonce=b64encode(bytes(32)),
            action=Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001"}),
            policy=Policy(required=len(groups), groups=groups),
            created_at=self.now,
            expires_at=self.now + 300,
            use_by=self.now + 1200,
        )
        return self.store(replace(document, **(change or {})))  # type: ignore[arg-type]  # any member

    def store(self, document: RequestDocument, key: PrivateKey | None = None) -> Stored:
        """Sign a document and keep it."""
        envelope = sign(RequestDocument.KIND, document.encode(), key or self.key)
        stored = Stored(document, envelope)
        self.requests[document.request_id] = stored
        return stored

    def receipt(self, stored: Stored, key: PrivateKey | None = None) -> Envelope:
        """Sign a receipt of what the request says now."""
        statement = Receipt(
            status="approved" if stored.status == "approved" else "rejected",
            completed_at=stored.document.created_at + 60,
            request=stored.envelope,
            decisions=tuple(stored.decisions),
        )
        return sign(Receipt.KIND, statement.encode(), key or self.key)

    def challenge(self, stored: Stored, device: str) -> Envelope:
        """Sign a challenge for a device."""
        statement = Challenge(
            relay=self.fingerprint,
            request_id=stored.document.request_id,
            request_digest=stored.digest,
            device=device,
            integrator_name="Acme Corp",
            expires_at=stored.document.expires_at,
        )
        return sign(Challenge.KIND, statement.encode(), self.key)

    # ------------------------------------------------------------ what it answers

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a call."""
        self.calls.append(request)
        script = self.scripts[f"{request.method} {request.url.path}"]
        if script:
            reply = script.popleft()
            if isinstance(reply, Exception):
                raise reply
            return reply if isinstance(reply, httpx2.Response) else reply(request)
        return self.respond(request)

    def respond(self, request: httpx2.Request) -> httpx2.Response:  # noqa: PLR0911 - a table of calls
        """Answer as an honest relay."""
        match (request.method, *request.url.path.strip("/").split("/")):
            case ("GET", "v1", "info"):
                return answer(self.info())
            case ("POST", "v1", "requests"):
                return self._create(body_of(request))
            case ("GET", "v1", "requests", request_id):
                return answer(self.state(self.requests[request_id]))
            case ("GET", "v1", "requests", request_id, "receipt"):
                return answer(self.receipt(self.requests[request_id]).to_json())
            case ("POST", "v1", "pairings"):
                return self._pair(body_of(request))
            case ("GET", "v1", "pairings", "pairing-1"):
                return answer(self.pairing)
            case (method, "v1", "device", *rest):
                return self._device(request, method, rest)
            case _:
                return failure(404, "not_found")

    def info(self) -> dict[str, JsonValue]:
        """``GET /v1/info``."""
        return {
            "relay": self.fingerprint,
            "relay_public_key": self.key.public_key.base64,
            "pictogram": list(pictogram(self.fingerprint)),
            "pictogram_speakable": speakable(self.fingerprint),
            "version": "1.0",
            "attestation": "off",
            "webauthn": {"rp_id": "relay.example.com", "origins": [URL]},
            "successions": [envelope.to_json() for envelope in self.successions],
            "time": format_time(self.now),
        }

    def state(self, stored: Stored) -> dict[str, JsonValue]:
        """The request object."""
        document = stored.document
        value: dict[str, JsonValue] = {
            "request_id": document.request_id,
            "profile": document.profile,
            "status": stored.status,
            "groups_required": document.policy.required,
            "groups_total": len(document.policy.groups),
            "groups_satisfied": [],
            "request_digest": stored.digest,
            "created_at": format_time(document.created_at),
            "expires_at": format_time(document.expires_at),
            "use_by": format_time(document.use_by),
        }
        if stored.status != "pending":
            value["completed_at"] = format_time(document.created_at + 60)
        return value

    def _id(self) -> str:
        self._made += 1
        return uuid7(milliseconds=self.now * 1000, random=self._made.to_bytes(10, "big"))

    def _create(self, body: dict[str, JsonValue]) -> httpx2.Response:
        groups = body["groups"]
        assert isinstance(groups, list)
        expires_in = body.get("expires_in_seconds", 300)
        assert isinstance(expires_in, int)
        stored = self.store(
            RequestDocument(
                profile="approval",
                relay=self.fingerprint,
                integrator=INTEGRATOR,
                request_id=self._id(),
                nonce=text_of(body["nonce"]),
                requester=(
                    Party.from_json(body["requester"], field="requester")
                    if "requester" in body
                    else None
                ),
                action=Action.from_json(body["action"]),
                policy=Policy.of(
                    required=body["required"],
                    groups=tuple(Group.from_json(item) for item in groups),
                    reject_policy=body.get("reject_policy", "any"),
                    distinct=body.get("distinct", "person"),
                    min_assurance=body.get("min_assurance", "none"),
                    match_code="match_code" in body,
                ),
                created_at=self.now,
                expires_at=self.now + expires_in,
                use_by=self.now + expires_in + 900,
            )
        )
        return answer(self.state(stored), 201)

    def _pair(self, body: dict[str, JsonValue]) -> httpx2.Response:
        self.approver = body["approver"]
        fragment = f"code={CODE}&relay={self.fingerprint}"
        return answer(
            {
                "pairing_id": "pairing-1",
                "pairing_code": "7Q4M-2XKD-90FZ",
                "pairing_url": f"{URL}/app/pair#{fragment}",
                "expires_at": format_time(self.now + 600),
            },
            201,
        )

    def _device(  # noqa: PLR0911 - a table of calls
        self, request: httpx2.Request, method: str, rest: list[str]
    ) -> httpx2.Response:
        match (method, *rest):
            case ("POST", "pairing"):
                return answer(self.preview())
            case ("POST", "challenge"):
                return answer(self.nonce())
            case ("POST", "enroll"):
                return self._enroll(parse_envelope(body_of(request)["envelope"]))
            case ("POST", "session"):
                expires_at = format_time(self.now + 900)
                return answer({"token": "token-1", "expires_at": expires_at})
            case ("POST", "unpair") | ("POST", "requests", _, "ack"):
                return httpx2.Response(204)
            case ("GET", "requests"):
                items = [self.item(stored) for stored in self.requests.values()]
                return answer({"data": list(items), "next_cursor": None})
            case ("GET", "requests", request_id):
                return answer(self.item(self.requests[request_id]))
            case ("POST", "requests", request_id, "decision"):
                return self._decide(self.requests[request_id], request)
            case _:
                return failure(404, "not_found")

    def preview(self) -> dict[str, JsonValue]:
        """``POST /v1/device/pairing``."""
        return {
            "integrator": INTEGRATOR.to_json(),
            "approver": {"name": "Alice"},
            "relay": self.fingerprint,
            "expires_at": format_time(self.now + 600),
        }

    def nonce(self) -> dict[str, JsonValue]:
        """``POST /v1/device/challenge``."""
        return {
            "nonce": b64encode(len(self.calls).to_bytes(32, "big")),
            "expires_at": format_time(self.now + 300),
            "relay": self.fingerprint,
            "relay_public_key": self.key.public_key.base64,
        }

    def _enroll(self, envelope: Envelope) -> httpx2.Response:
        payload = json.loads(envelope.payload)
        self.pairing = {
            "pairing_id": "pairing-1",
            "status": "paired",
            "device": {
                "fingerprint": envelope.keyid,
                "device_public_key": payload["device_public_key"],
                "platform": payload["platform"],
                "assurance": "none",
                "enrolled_at": format_time(self.now),
            },
            "enrollment": envelope.to_json(),
        }
        return answer(self.enrolled(envelope.keyid), 201)

    def enrolled(self, fingerprint: str) -> dict[str, JsonValue]:
        """``POST /v1/device/enroll``."""
        return {
            "fingerprint": fingerprint,
            "pictogram": list(pictogram(fingerprint)),
            "pictogram_speakable": speakable(fingerprint),
            "integrator": INTEGRATOR.to_json(),
            "relay_public_key": self.key.public_key.base64,
            "assurance": "none",
        }

    def item(self, stored: Stored) -> dict[str, JsonValue]:
        """A request as the only device of this double sees it."""
        device = stored.document.policy.groups[0].approvers[0].fingerprint
        return {
            "request_id": stored.document.request_id,
            "request": stored.envelope.to_json(),
            "challenge": self.challenge(stored, device).to_json(),
            "group": stored.document.policy.groups[0].name,
            "status": stored.status,
            "groups_satisfied_count": 0,
            "groups_required": stored.document.policy.required,
        }

    def _decide(self, stored: Stored, request: httpx2.Request) -> httpx2.Response:
        envelope = parse_envelope(body_of(request)["envelope"])
        stored.decisions.append(envelope)
        decision = text_of(json.loads(envelope.payload)["decision"])
        return answer(
            {
                "status": "pending",
                "groups_satisfied_count": int(decision == "approve"),
                "groups_required": stored.document.policy.required,
                "decision": decision,
            }
        )
