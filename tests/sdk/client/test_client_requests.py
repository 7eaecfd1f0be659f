from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.clock import START, ManualClock
from tests.sdk.relay_double import (
    API_KEY,
    URL,
    Phone,
    RelayDouble,
    Stored,
    answer,
    body_of,
    failure,
)

from quorumkey.client import (
    Approved,
    AsyncClient,
    Client,
    ClientPorts,
    CreatedRequest,
    NotApproved,
    RetryPolicy,
    Status,
    group,
)
from quorumkey.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    ProtocolError,
    ReceiptRefused,
    RefusalReason,
    RelayError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from quorumkey.protocol import Action, Party, PrivateKey, Succession, b64encode, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quorumkey.client import Outcome
    from quorumkey.protocol import JsonValue

ACTION = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001"})
ALICE, BOB = Phone("alice"), Phone("bob")


class World:
    """A client, its relay, and the clock of both."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.relay = RelayDouble()
        self.client = self.connect()

    def connect(self, **options: object) -> Client:
        """Another client of the same relay."""
        return Client(
            URL,
            API_KEY,
            transport=self.relay.transport,
            sleep=self.clock.sleep,
            ports=ClientPorts(now=self.clock.now, monotonic=self.clock.now),
            retry=RetryPolicy(attempts=2, jitter=lambda: 0.5),
            **options,  # type: ignore[arg-type]
        )

    def create(self, *phones: Phone) -> CreatedRequest:
        """Ask for the approval of each of these phones."""
        groups = [group(phone.person.title(), phone.approver) for phone in phones]
        return self.client.requests.create(action=ACTION, groups=groups, required=len(groups))

    def stored(self, created: CreatedRequest) -> Stored:
        """The relay's side of a request."""
        return self.relay.requests[created.request_id]

    def approve(self, created: CreatedRequest, *phones: Phone) -> Stored:
        """Let these phones approve, and the relay say that this is enough."""
        stored = self.stored(created)
        stored.decisions = [phone.decide(stored.digest) for phone in phones]
        stored.status = "approved"
        return stored


@pytest.fixture
def world() -> Iterator[World]:
    """A world for one test."""
    made = World()
    yield made
    made.client.close()


# ------------------------------------------------------------------ creating


def test_creation_sends_what_was_asked(world: World) -> None:
    """The body holds action, groups, required and a nonce of 32 bytes, and nothing unsaid."""
    world.create(ALICE)
    body = body_of(world.relay.calls[-1])

    assert {"required", "groups", "action", "nonce"} == body.keys()
    assert ACTION.to_json() == body["action"]
    assert [{"name": "Alice", "approvers": [ALICE.approver.to_json()]}] == body["groups"]


def test_creation_sends_options(world: World) -> None:
    """Every option that is given is sent under its own name."""
    world.client.requests.create(
        action=ACTION,
        groups=[group("Alice", ALICE.approver)],
        required=1,
        expires_in_seconds=60,
        reject_policy="quorum_impossible",
        distinct="device",
        min_assurance="none",
        requester=Party("dana", "Dana"),
        use_within_seconds=0,
        match_code="4711",
        nonce=bytes(32),
        idempotency_key="mine",
    )
    call = world.relay.calls[-1]
    body = body_of(call)

    assert {
        "expires_in_seconds": 60,
        "reject_policy": "quorum_impossible",
        "distinct": "device",
        "min_assurance": "none",
        "requester": {"id": "dana", "name": "Dana"},
        "use_within_seconds": 0,
        "match_code": "4711",
        "nonce": b64encode(bytes(32)),
    } == {name: body[name] for name in body if name not in {"action", "groups", "required"}}
    assert "mine" == call.headers["idempotency-key"]


def test_nonces_and_idempotency_keys_are_fresh(world: World) -> None:
    """Two requests have two nonces and two idempotency keys."""
    world.create(ALICE)
    first = world.relay.calls[-1]
    world.create(ALICE)
    second = world.relay.calls[-1]

    assert body_of(first)["nonce"] != body_of(second)["nonce"]
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


def test_a_repeated_creation_is_the_same_call(world: World) -> None:
    """After a lost answer the same bytes go out under the same idempotency key."""
    world.relay.script("POST /v1/requests", httpx2.ReadError("x"))
    world.create(ALICE)
    first, second = world.relay.calls[-2:]

    assert first.read() == second.read()
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\nb"])
def test_bad_idempotency_keys(world: World, key: str) -> None:
    """An idempotency key that could not travel is refused here."""
    with pytest.raises(ConfigurationError, match="idempotency"):
        world.client.requests.create(
            action=ACTION, groups=[group("A", ALICE.approver)], required=1, idempotency_key=key
        )


def test_the_protocols_rules_are_checked_before_sending(world: World) -> None:
    """A request that breaks a rule of the protocol is refused with the protocol's words."""
    with pytest.raises(ProtocolError, match="required cannot exceed number of groups"):
        world.client.requests.create(action=ACTION, groups=[group("A", ALICE.approver)], required=2)

    assert ["GET /v1/info"] == world.relay.seen()


def test_what_a_receipt_must_prove_is_kept(world: World) -> None:
    """The created request holds the nonce, the action, the policy and the relay's key."""
    created = world.create(ALICE, BOB)
    policy = created.policy

    assert world.stored(created).document.nonce == policy.nonce
    assert ACTION == policy.action
    assert world.stored(created).document.policy == policy.policy
    assert (world.relay.key.public_key,) == policy.relay_public_keys


def test_a_created_request_can_be_stored(world: World) -> None:
    """What encode wrote, decode reads."""
    created = world.create(ALICE)

    assert created == CreatedRequest.decode(created.encode())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"request": {}, "policy": {}}'])
def test_something_else_is_no_stored_request(data: bytes) -> None:
    """Bytes that encode did not write are refused."""
    with pytest.raises(ConfigurationError, match="stored request"):
        CreatedRequest.decode(data)


# ------------------------------------------------------------------ outcomes


def test_approved_with_proof(world: World) -> None:
    """Approved is reported with the verified receipt and who approved."""
    created = world.create(ALICE, BOB)
    stored = world.approve(created, BOB, ALICE)
    outcome = world.client.requests.wait(created)

    assert isinstance(outcome, Approved)
    assert ("Bob", "Alice") == outcome.groups_satisfied
    assert (BOB.approver, ALICE.approver) == outcome.approvers
    assert world.relay.receipt(stored) == outcome.receipt
    assert "acme" == outcome.policy.integrator_id
    assert created.policy.nonce == outcome.policy.nonce
    assert Status.APPROVED is outcome.status


@pytest.mark.parametrize("status", ["rejected", "timeout", "cancelled"])
def test_other_ends_are_typed(world: World, status: str) -> None:
    """Rejected, timed out and cancelled are outcomes, for which no receipt is fetched."""
    created = world.create(ALICE)
    world.stored(created).status = status
    outcome = world.client.requests.wait(created)

    assert isinstance(outcome, NotApproved)
    assert status == outcome.status
    assert not any(call.endswith("receipt") for call in world.relay.seen())


def another_action(relay: RelayDouble, stored: Stored) -> None:
    """The relay had another action approved."""
    lie = relay.ask(ALICE, change={"nonce": stored.document.nonce, "action": Action("x", "Other")})
    lie.decisions, lie.status = [ALICE.decide(lie.digest)], "approved"
    relay.requests[stored.document.request_id] = lie


def another_key(relay: RelayDouble, stored: Stored) -> None:
    """The relay approves with a key of its own."""
    phone = Phone("alice")
    lie = relay.ask(phone, change={"nonce": stored.document.nonce})
    lie.decisions, lie.status = [phone.decide(lie.digest)], "approved"
    relay.requests[stored.document.request_id] = lie


def another_nonce(relay: RelayDouble, stored: Stored) -> None:
    """The relay hands out the receipt of an earlier, equal request."""
    lie = relay.ask(ALICE, change={"policy": stored.document.policy})
    lie.decisions, lie.status = [ALICE.decide(lie.digest)], "approved"
    relay.requests[stored.document.request_id] = lie


def nobody_approved(_relay: RelayDouble, stored: Stored) -> None:
    """The relay claims approval without any."""
    stored.status = "approved"


def a_denial(_relay: RelayDouble, stored: Stored) -> None:
    """The relay counts a denial as approval."""
    stored.decisions, stored.status = [ALICE.decide(stored.digest, decision="deny")], "approved"


def another_relay(relay: RelayDouble, stored: Stored) -> None:
    """Somebody else answers in the relay's place."""
    relay.key = PrivateKey.generate()
    stored.decisions, stored.status = [ALICE.decide(stored.digest)], "approved"


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (another_action, RefusalReason.ACTION_MISMATCH),
        (another_key, RefusalReason.POLICY_MISMATCH),
        (another_nonce, RefusalReason.NONCE_MISMATCH),
        (nobody_approved, RefusalReason.QUORUM_NOT_MET),
        (a_denial, RefusalReason.INVALID_DECISION),
        (another_relay, RefusalReason.UNTRUSTED_RELAY),
    ],
)
def test_a_lying_relay_makes_no_approval(
    world: World, lie: Callable[[RelayDouble, Stored], None], reason: RefusalReason
) -> None:
    """What the relay calls approved is raised where its receipt does not prove it."""
    created = world.create(ALICE)
    lie(world.relay, world.stored(created))
    world.relay.script(
        f"GET /v1/requests/{created.request_id}",
        answer({**created.state.to_json(), "status": "approved"}),
    )

    with pytest.raises(ReceiptRefused) as caught:
        world.client.requests.wait(created)

    assert reason is caught.value.reason


def test_another_integrators_receipt_is_refused(world: World) -> None:
    """A receipt that names another integrator than the caller's own is refused."""
    world.client.close()
    world.client = world.connect(integrator_id="somebody-else")
    created = world.create(ALICE)
    world.approve(created, ALICE)

    with pytest.raises(ReceiptRefused) as caught:
        world.client.requests.wait(created)

    assert RefusalReason.INTEGRATOR_MISMATCH is caught.value.reason


def test_the_first_receipt_names_the_integrator(world: World) -> None:
    """Without an id of its own, the client takes it from the first receipt and keeps to it."""
    first = world.create(ALICE)
    world.approve(first, ALICE)
    before = world.client.integrator_id
    world.client.requests.wait(first)
    after = world.client.integrator_id

    second = world.create(ALICE)
    lie = world.relay.ask(
        ALICE,
        change={
            "nonce": world.stored(second).document.nonce,
            "integrator": Party("evil", "Evil Corp"),
        },
    )
    lie.decisions, lie.status = [ALICE.decide(lie.digest)], "approved"
    world.relay.requests[second.request_id] = lie

    with pytest.raises(ReceiptRefused) as caught:
        world.client.requests.wait(second)

    assert (None, "acme") == (before, after)
    assert RefusalReason.INTEGRATOR_MISMATCH is caught.value.reason


def test_a_late_receipt_is_refused(world: World) -> None:
    """An approval is not reported after the time in which it may be used."""
    created = world.create(ALICE)
    world.approve(created, ALICE)
    world.clock.time = world.stored(created).document.use_by + 1

    with pytest.raises(ReceiptRefused) as caught:
        world.client.requests.resolve(created)

    assert RefusalReason.EXPIRED is caught.value.reason


def test_resolving_a_pending_request(world: World) -> None:
    """Asked once, a pending request has no outcome yet."""
    created = world.create(ALICE)

    assert world.client.requests.resolve(created) is None


# ------------------------------------------------------------------ relay keys


def test_the_first_key_is_trusted_from_then_on(world: World) -> None:
    """The key that the relay named first stays the trusted one."""
    created = world.create(ALICE)
    trusted = world.client.relay_public_keys
    another_relay(world.relay, world.stored(created))
    world.create(ALICE)

    assert trusted == world.client.relay_public_keys
    assert 1 == world.relay.seen().count("GET /v1/info")


def test_a_key_change_is_followed(world: World) -> None:
    """A receipt by the next relay key passes once its succession was read."""
    created = world.create(ALICE)
    world.approve(created, ALICE)
    world.relay.succeed(not_before=START + 10)
    outcome = world.client.requests.wait(created)

    assert outcome.approved
    assert 2 == len(world.client.relay_public_keys)


def test_a_replaced_key_signs_no_new_request(world: World) -> None:
    """A request made after the key change and signed by the old key is refused."""
    created = world.create(ALICE)
    old = world.relay.succeed(not_before=START)
    stored = world.relay.store(world.stored(created).document, old)
    stored.decisions, stored.status = [ALICE.decide(stored.digest)], "approved"

    with pytest.raises(ReceiptRefused) as caught:
        world.client.requests.wait(created)

    assert RefusalReason.UNTRUSTED_RELAY is caught.value.reason


def test_keys_of_a_stored_request_stay_trusted(world: World) -> None:
    """A new client accepts a receipt under the keys that were pinned at creation."""
    created = world.create(ALICE)
    world.approve(created, ALICE)
    old = world.relay.succeed(not_before=START + 10)
    with world.connect() as client:
        outcome = client.requests.wait(created)

    assert outcome.approved
    assert old.public_key not in client.relay_public_keys


def test_without_any_valid_key_nothing_passes(world: World) -> None:
    """Where every trusted key had been replaced, the receipt is refused."""
    created = world.create(ALICE)
    world.approve(created, ALICE)
    old = world.relay.succeed(not_before=0)
    circle = Succession(
        relay=world.relay.fingerprint, next_public_key=old.public_key.base64, not_before=0
    )
    world.relay.successions.append(sign(Succession.KIND, circle.encode(), world.relay.key))

    with pytest.raises(ReceiptRefused, match="replaced"):
        world.client.requests.wait(created)


def test_a_malformed_receipt_is_refused(world: World) -> None:
    """A receipt that cannot be read is refused, whatever it is."""
    created = world.create(ALICE)
    stored = world.approve(created, ALICE)
    damaged = replace(world.relay.receipt(stored), payload=b"{}")
    world.relay.script(f"GET /v1/requests/{created.request_id}/receipt", answer(damaged.to_json()))

    with pytest.raises(ReceiptRefused) as caught:
        world.client.requests.wait(created)

    assert 1 == caught.value.step


# ------------------------------------------------------------------ waiting


def test_waiting_asks_the_relay_to_wait(world: World) -> None:
    """Each question stays with the relay for up to a minute, and for no longer than is left."""
    created = world.create(ALICE)
    path = f"GET /v1/requests/{created.request_id}"

    def later(seconds: int) -> Callable[[httpx2.Request], httpx2.Response]:
        def reply(request: httpx2.Request) -> httpx2.Response:
            world.clock.time += seconds
            return world.relay.respond(request)

        return reply

    world.relay.script(path, later(60), later(30))
    with pytest.raises(WaitTimeoutError):
        world.client.requests.wait(created, timeout=90)

    asked = [call.url.query.decode() for call in world.relay.calls if call.url.query]
    assert ["wait_seconds=60", "wait_seconds=30"] == asked


def test_an_impatient_relay_is_not_hammered(world: World) -> None:
    """Where the relay does not hold the question, a second passes before the next one."""
    created = world.create(ALICE)

    with pytest.raises(WaitTimeoutError, match="still pending"):
        world.client.requests.wait(created, timeout=3.5)

    assert [1.0, 1.0, 1.0, 0.5] == world.clock.slept


def test_waiting_ends_by_itself(world: World) -> None:
    """Without a timeout, waiting ends a minute after the request must have."""
    created = world.create(ALICE)

    with pytest.raises(WaitTimeoutError):
        world.client.requests.wait(created)

    assert 360 == world.clock.time - START


def test_passing_failures_do_not_end_the_waiting(world: World) -> None:
    """While time is left, a relay that cannot be reached or fails is asked again."""
    created = world.create(ALICE)
    world.approve(created, ALICE)
    path = f"GET /v1/requests/{created.request_id}"
    world.relay.script(path, httpx2.ConnectError("x"), failure(503, "store_unavailable"))
    world.relay.script(path, httpx2.ReadError("x"), failure(429, "rate_limited"))

    assert world.client.requests.wait(created).approved


def test_a_failure_at_the_end_is_raised(world: World) -> None:
    """When the time is over, the failure that stands in the way is raised."""
    created = world.create(ALICE)
    path = f"GET /v1/requests/{created.request_id}"
    world.relay.script(path, *(failure(503, "store_unavailable") for _ in range(4)))

    with pytest.raises(RelayError):
        world.client.requests.wait(created, timeout=1)


def test_nonsense_ends_the_waiting(world: World) -> None:
    """An answer that is none of the protocol is raised at once."""
    created = world.create(ALICE)
    world.relay.script(f"GET /v1/requests/{created.request_id}", httpx2.Response(200))

    with pytest.raises(UnexpectedAnswerError):
        world.client.requests.wait(created)


# ------------------------------------------------------------------ reading


def test_lists_fetch_every_page(world: World) -> None:
    """Iterating a list fetches page after page, with the caller's filter on each."""
    first, second = world.create(ALICE), world.create(BOB)
    world.relay.script(
        "GET /v1/requests",
        answer({"data": [second.state.to_json()], "next_cursor": "c1"}),
        answer({"data": [first.state.to_json()], "next_cursor": None}),
    )
    found = list(world.client.requests.list(status="pending", limit=1))

    assert [second.state, first.state] == found
    assert ["status=pending&limit=1", "status=pending&limit=1&cursor=c1"] == [
        call.url.query.decode() for call in world.relay.calls[-2:]
    ]


def test_cancelling(world: World) -> None:
    """Cancelling answers the cancelled request."""
    created = world.create(ALICE)
    world.relay.script(
        f"POST /v1/requests/{created.request_id}/cancel",
        httpx2.ReadError("x"),
        answer({**created.state.to_json(), "status": "cancelled"}),
    )

    assert Status.CANCELLED is world.client.requests.cancel(created.request_id).status


def test_a_receipt_of_a_pending_request(world: World) -> None:
    """Asking for a receipt too early is the relay's not_completed."""
    created = world.create(ALICE)
    world.relay.script(
        f"GET /v1/requests/{created.request_id}/receipt", failure(409, "not_completed")
    )

    with pytest.raises(ConflictError, match="not_completed"):
        world.client.requests.receipt(created.request_id)


def test_deliveries(world: World) -> None:
    """Deliveries are counts by group and channel."""
    counts: dict[str, JsonValue] = dict.fromkeys(
        ("queued", "sent", "accepted", "failed", "dropped", "acknowledged"), 0
    )
    world.relay.script(
        "GET /v1/requests/r-1/deliveries",
        answer(
            {
                "request_id": "r-1",
                "groups": [{"group": "A", "channels": {"websocket": {**counts, "sent": 2}}}],
            }
        ),
    )
    (delivery,) = world.client.requests.deliveries("r-1")

    assert ("A", 2) == (delivery.group, delivery.channels["websocket"].sent)


@pytest.mark.parametrize(
    ("request_id", "path"), [("a/b", b"a%2Fb"), ("../devices", b"..%2Fdevices"), ("a?b", b"a%3Fb")]
)
def test_ids_stay_inside_their_segment(world: World, request_id: str, path: bytes) -> None:
    """An id with a slash or a question mark in it reaches no other address."""
    with pytest.raises(NotFoundError):
        world.client.requests.cancel(request_id)

    assert b"/v1/requests/" + path + b"/cancel" == world.relay.calls[0].url.raw_path


@pytest.mark.parametrize("request_id", ["", ".", ".."])
def test_ids_that_are_no_segment(world: World, request_id: str) -> None:
    """An empty id, and one that a path would swallow, is refused."""
    with pytest.raises(ConfigurationError):
        world.client.requests.get(request_id)


# ------------------------------------------------------------------ in an event loop


def test_the_awaited_client_does_the_same() -> None:
    """Creating, waiting, listing, reading and cancelling work awaited too."""
    clock, relay = ManualClock(), RelayDouble()

    async def work() -> Outcome:
        async with AsyncClient(
            URL,
            API_KEY,
            transport=relay.transport,
            sleep=clock.asleep,
            ports=ClientPorts(now=clock.now, monotonic=clock.now),
        ) as client:
            assert not client.relay_public_keys
            created = await client.requests.create(
                action=ACTION, groups=[group("Alice", ALICE.approver)], required=1
            )
            assert await client.requests.resolve(created) is None
            stored = relay.requests[created.request_id]
            stored.decisions, stored.status = [ALICE.decide(stored.digest)], "approved"
            state = await client.requests.get(created.request_id)
            page: dict[str, JsonValue] = {"data": [state.to_json()], "next_cursor": "c"}
            last: dict[str, JsonValue] = {"data": [], "next_cursor": None}
            relay.script("GET /v1/requests", answer(page), answer(last))
            assert [state] == [item async for item in client.requests.list()]
            relay.script(
                f"POST /v1/requests/{state.request_id}/cancel", failure(409, "request_completed")
            )
            with pytest.raises(ConflictError):
                await client.requests.cancel(state.request_id)
            relay.script("GET /v1/requests/r/deliveries", answer({"groups": []}))
            assert await client.requests.deliveries("r") == ()
            outcome = await client.requests.wait(created)
            assert isinstance(outcome, Approved)
            assert outcome.receipt == await client.requests.receipt(created.request_id)
            assert client.integrator_id == "acme"
            assert client.relay_public_keys == (relay.key.public_key,)
            return outcome

    assert asyncio.run(work()).approved
