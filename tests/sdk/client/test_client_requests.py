from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.clock import START
from tests.sdk.relay_double import (
    Phone,
    RelayDouble,
    Stored,
    answer,
    body_of,
)

from quorumkey.client import (
    Approved,
    CreatedRequest,
    NotApproved,
    Status,
    group,
)
from quorumkey.errors import (
    ConfigurationError,
    ProtocolError,
    ReceiptRefused,
    RefusalReason,
)
from quorumkey.protocol import Action, Party, PrivateKey, Succession, b64encode, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


from tests.sdk.client.world import ACTION, ALICE, BOB, World


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
