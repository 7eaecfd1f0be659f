"""A relay that gates calls, in memory behind the HTTP port: it signs for real, and can lie.

It keeps what a guard has to see answered; conditions are a set of methods whose condition holds.
Scripted replies go before its own, as in `tests.sdk.relay_double`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
from tests.sdk.clock import START
from tests.sdk.relay_double import API_KEY, INTEGRATOR, URL, Phone, answer, body_of, failure

from quorumkey.client import ClientPorts, RetryPolicy
from quorumkey.protection import Caller, Guard, Method, Roster
from quorumkey.protocol import (
    Envelope,
    Group,
    Hidden,
    Party,
    Policy,
    PrivateKey,
    ProtectedCall,
    Receipt,
    RequestDocument,
    b64decode,
    b64encode,
    canonical_json,
    format_time,
    request_binding,
    request_digest,
    sign,
    uuid7,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protection import Unreachable, UnsafeTrustRelay
    from quorumkey.protocol import JsonValue

Reply = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]

CHECK = "POST /v1/protection/check"
CATALOGUE = "PUT /v1/protection/catalogue"
SNAPSHOT = "GET /v1/protection/snapshot"

ALICE = Caller("person", "alice", "Alice")
ROBOT = Caller("api_key", "key-1")
KILL = Method("KillProcess")
WIPE = Method("WipeHost", kind="always")
RENAME = Method("RenameHost")
LIST = Method("ListHosts", permission="read")
CHAT = Method("Chat", kind="ineligible")
METHODS = (KILL, WIPE, RENAME, LIST, CHAT)


@dataclass
class World:
    """The guard's clock, which only moves when a test says so, and its sleep.

    A pause of no length ends at once; any other one lasts until `wake`.
    """

    time: float = START
    naps: list[float] = field(default_factory=list[float])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> float:
        """The time, of both clocks."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Sleep until woken."""
        if seconds:
            self.naps.append(seconds)
            await self._woken.wait()

    def wake(self) -> None:
        """End every sleep."""
        self._woken.set()
        self._woken = asyncio.Event()


@dataclass
class Gated:
    """One transaction of the double."""

    call: ProtectedCall
    document: RequestDocument
    envelope: Envelope
    state: str = "requested"
    votes: list[Envelope] = field(default_factory=list[Envelope])
    claim_key: str | None = None
    claim_id: str = ""
    result: str | None = None

    @property
    def txid(self) -> str:
        """Its id."""
        return self.document.request_id


class GateDouble:
    """See the module's text; `calls` keeps every request it was sent."""

    def __init__(self) -> None:
        self.key = PrivateKey.generate()
        self.phones = {person: Phone(person) for person in ("alice", "bob", "carol")}
        self.calls: list[httpx2.Request] = []
        self.scripts: dict[str, deque[Reply]] = defaultdict(deque)
        self.down = False
        self.silent = False
        self.revision = 1
        self.enabled = True
        self.exclude_api_keys = False
        self.registered: list[str] = []
        self.protected: set[str] = set()
        self.never_true: set[str] = set()
        self.gated: dict[str, Gated] = {}
        self.results: list[tuple[str, str]] = []
        self.receipt_of: Callable[[Gated], Envelope] = self.receipt
        self._changed = asyncio.Event()
        self._made = 0

    # ------------------------------------------------------------ what tests say

    @property
    def transport(self) -> httpx2.MockTransport:
        """The port to hand to a guard."""
        return httpx2.MockTransport(self.handle)

    def script(self, call: str, *replies: Reply) -> None:
        """Answer the next calls of ``"METHOD /path"`` with these."""
        self.scripts[call].extend(replies)

    def count(self, call: str) -> int:
        """How often this was called."""
        return sum(f"{each.method} {each.url.path}" == call for each in self.calls)

    def bodies(self, call: str) -> list[dict[str, JsonValue]]:
        """The bodies of those calls."""
        return [body_of(each) for each in self.calls if f"{each.method} {each.url.path}" == call]

    def change(self) -> int:
        """Tell everybody who waits for news that the protection changed; answers the revision."""
        self.revision += 1
        self.release()
        return self.revision

    def release(self) -> None:
        """Answer every held poll."""
        self._changed.set()
        self._changed = asyncio.Event()

    def protect(self, *names: str) -> int:
        """Have these methods wait from now on."""
        self.protected |= set(names)
        return self.change()

    def approve(self, txid: str, *people: str) -> None:
        """Have these people's phones sign, and call it approved."""
        gated = self.gated[txid]
        digest = request_digest(gated.envelope.payload)
        gated.votes += [self.phones[person].decide(digest, at=START) for person in people]
        gated.state = "approved"

    @property
    def roster(self) -> Roster:
        """What an honest service has pinned."""
        return Roster.of(phone.approver for phone in self.phones.values())

    def receipt(self, gated: Gated) -> Envelope:
        """Sign a receipt of what the transaction says now."""
        statement = Receipt(
            status="approved",
            completed_at=START,
            request=gated.envelope,
            decisions=tuple(gated.votes),
        )
        return sign(Receipt.KIND, statement.encode(), self.key)

    def open(self, call: ProtectedCall) -> Gated:
        """Open a transaction for a call, and sign its document."""
        person = Party(call.caller_id, call.caller_name) if call.caller_kind == "person" else None
        counted = person is not None and person.id in self.phones
        document = RequestDocument(
            profile="protected_method",
            relay=self.key.public_key.fingerprint,
            integrator=INTEGRATOR,
            request_id=self.uuid(),
            nonce=b64encode(bytes(32)),
            requester=person,
            action=call.action("request.tag == 'x'" if call.method in self.never_true else ""),
            policy=Policy(
                required=1 if counted else 2,
                groups=tuple(
                    Group(phone.person, (phone.approver,)) for phone in self.phones.values()
                ),
            ),
            created_at=START,
            expires_at=START + 86_400,
            use_by=START + 2 * 86_400,
        )
        envelope = sign(RequestDocument.KIND, document.encode(), self.key)
        gated = Gated(call, document, envelope)
        self.gated[gated.txid] = gated
        return gated

    def uuid(self) -> str:
        """A new id."""
        self._made += 1
        return uuid7(milliseconds=START * 1000, random=self._made.to_bytes(10, "big"))

    # ------------------------------------------------------------ what it answers

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a call."""
        self.calls.append(request)
        try:
            return await self._answer(request)
        finally:
            await asyncio.sleep(0)  # the answer is on its way

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.silent:
            await asyncio.Event().wait()
        if self.down:
            raise httpx2.ConnectError("nobody is there")
        script = self.scripts[f"{request.method} {request.url.path}"]
        if script:
            reply = script.popleft()
            if isinstance(reply, Exception):
                raise reply
            return reply if isinstance(reply, httpx2.Response) else reply(request)
        if request.url.path == "/v1/protection/snapshot":
            asked = request.url.params.get("revision")
            if asked == str(self.revision):
                await self._changed.wait()
            return answer(self.snapshot(whole=asked != str(self.revision)))
        return self.respond(request)

    def respond(self, request: httpx2.Request) -> httpx2.Response:  # noqa: PLR0911 - a table of calls
        """Answer as an honest relay."""
        match (request.method, *request.url.path.strip("/").split("/")):
            case ("PUT", "v1", "protection", "catalogue"):
                return self._register(body_of(request))
            case ("POST", "v1", "protection", "check"):
                return answer(self._check(body_of(request)))
            case ("POST", "v1", "claims", claim_id, "result"):
                return self._settle(claim_id, body_of(request))
            case ("GET", "v1", "protection", "transactions"):
                data: list[JsonValue] = [self._transaction(each) for each in self.gated.values()]
                return answer({"data": data, "next_cursor": None})
            case ("GET", "v1", "protection", "transactions", txid):
                return answer(self._transaction(self.gated[txid]))
            case ("GET", "v1", "info"):
                return answer(self._info())
            case _:
                return failure(404, "not_found")

    def snapshot(self, *, whole: bool) -> dict[str, JsonValue]:
        """``GET /v1/protection/snapshot``."""
        value: dict[str, JsonValue] = {
            "revision": self.revision,
            "enabled": self.enabled,
            "exclude_api_keys": self.exclude_api_keys,
        }
        if whole:
            value["methods"] = [
                {
                    "name": name,
                    "protected": name in self.protected or name == WIPE.name,
                    "always": name == WIPE.name,
                    "conditional": name in self.never_true,
                    "resolver": False,
                }
                for name in self.registered
            ]
        return value

    def _info(self) -> dict[str, JsonValue]:
        return {
            "relay": self.key.public_key.fingerprint,
            "relay_public_key": self.key.public_key.base64,
            "pictogram": [],
            "pictogram_speakable": "",
            "version": "1.0",
            "attestation": "off",
            "successions": [],
            "time": format_time(START),
        }

    def _register(self, body: Mapping[str, JsonValue]) -> httpx2.Response:
        methods = body["methods"]
        assert isinstance(methods, list)
        self.registered = [str(each["name"]) for each in methods if isinstance(each, dict)]
        return answer(self.snapshot(whole=True))

    def _check(self, body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        call, key = _call(body), str(body["claim_key"])
        reason = self._free(call)
        if reason is not None:
            return {"verdict": "proceed", "reason": reason, "revision": self.revision}
        same = [each for each in self.gated.values() if _same(each.call, call)]
        mine = next((each for each in same if each.claim_key == key and not each.result), None)
        ready = next((each for each in same if each.state == "approved"), None)
        if mine is None and ready is not None:
            ready.state, ready.claim_key, ready.claim_id = "claimed", key, self.uuid()
            mine = ready
        if mine is not None:
            return {
                "verdict": "run",
                "claim": self.claim(mine),
                "transaction": self._transaction(mine),
                "receipt": self.receipt_of(mine).to_json(),
                "revision": self.revision,
            }
        pending = next((each for each in same if each.state == "requested"), None)
        waiting = self._transaction(pending or self.open(call))
        return {"verdict": "wait", "transaction": waiting, "revision": self.revision}

    def _free(self, call: ProtectedCall) -> str | None:
        if not self.enabled:
            return "disabled"
        if self.exclude_api_keys and call.caller_kind == "api_key":
            return "api_key_excluded"
        if call.method not in self.protected and call.method != WIPE.name:
            return "unprotected"
        return "condition_false" if call.method in self.never_true else None

    def claim(self, gated: Gated) -> dict[str, JsonValue]:
        """A claim as it travels."""
        return {
            "claim_id": gated.claim_id,
            "txid": gated.txid,
            "executor": "reissue",
            "claimed_at": format_time(START),
            "result_by": format_time(START + 3_600),
        }

    def _transaction(self, gated: Gated) -> dict[str, JsonValue]:
        call = gated.call
        return {
            "txid": gated.txid,
            "method": call.method,
            "caller": {"kind": call.caller_kind, "id": call.caller_id},
            "state": gated.state,
            "request_digest": call.request_binding,
            "condition": "",
            "approvals_required": gated.document.policy.required,
            "votes": [],
            "created_at": format_time(START),
            "expires_at": format_time(gated.document.expires_at),
        }

    def _settle(self, claim_id: str, body: Mapping[str, JsonValue]) -> httpx2.Response:
        gated = next(each for each in self.gated.values() if each.claim_id == claim_id)
        result = str(body["result"])
        if gated.result not in {None, result}:
            return failure(409, "request_completed")
        gated.result, gated.state = result, "executed" if result == "ok" else "failed"
        self.results.append((gated.txid, result))
        return answer(self.claim(gated) | {"result": result})


def _same(one: ProtectedCall, other: ProtectedCall) -> bool:
    return (
        (one.method, one.caller_kind, one.caller_id)
        == (other.method, other.caller_kind, other.caller_id)
        and one.request_binding == other.request_binding
        and one.resource_binding == other.resource_binding
    )


def _call(body: Mapping[str, JsonValue]) -> ProtectedCall:
    """The call of a check's body, as an honest relay reads it."""
    caller, message, resource = body["caller"], body["request"], body.get("resource")
    assert isinstance(caller, dict)
    assert isinstance(message, dict)
    assert resource is None or isinstance(resource, dict)
    shown: JsonValue | Hidden
    if "json" in message:
        shown = message["json"]
        binding = request_binding(canonical_json(shown))
    elif "protobuf" in message:
        shown = message["view"]
        binding = request_binding(b64decode(message["protobuf"], field="protobuf"))
    else:
        size = message["size"]
        assert isinstance(size, int)
        shown, binding = Hidden(size), str(message["digest"])
    return ProtectedCall(
        method=str(body["method"]),
        caller_kind="person" if caller["kind"] == "person" else "api_key",
        caller_id=str(caller["id"]),
        caller_name=str(caller["name"]) if "name" in caller else None,
        request=shown,
        request_binding=binding,
        resource=resource,
        resource_failed=body.get("resource_failed") is True,
    )


def guard_of(
    relay: GateDouble,
    world: World | None = None,
    *,
    methods: tuple[Method, ...] = METHODS,
    administrators: Roster | UnsafeTrustRelay | None = None,
    unreachable: Unreachable = "refuse",
) -> Guard:
    """A guard of this relay's, that repeats without a pause."""
    world = world or World()
    return Guard(
        URL,
        API_KEY,
        service="workshop",
        methods=methods,
        administrators=administrators or relay.roster,
        unreachable=unreachable,
        relay_public_keys=[relay.key.public_key],
        integrator_id=INTEGRATOR.id,
        retry=RetryPolicy(attempts=3, base_seconds=0),
        transport=relay.transport,
        sleep=world.sleep,
        ports=ClientPorts(now=world.now, monotonic=world.now),
    )


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until this holds."""
    while not condition():  # noqa: ASYNC110 - the others have no event to set
        await asyncio.sleep(0)


async def polled(relay: GateDouble, times: int) -> None:
    """Let the guard come to its so many-th question for news."""
    await until(lambda: relay.count(SNAPSHOT) == times)
