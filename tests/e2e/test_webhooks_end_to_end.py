"""A real receiver, checking with the reference implementation, gets what a real relay tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import ok, refused
from tests.e2e.protocol_stream import until
from tests.e2e.push_relay import PushRelay, pushing_relay
from tests.e2e.sdk_relay_process import operate
from tests.e2e.webhook_receiver import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.protocol_client import Integrator
    from tests.e2e.protocol_crypto import Json

ENDS = ["mpa.approved", "mpa.rejected", "mpa.timeout", "mpa.cancelled"]
EVERY = [*ENDS, "device.enrolled", "device.revoked"]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Generator[PushRelay, None, None]:
    """A relay that may call receivers on loopback."""
    settings = {"QUORUMKEY_RELAY_UNSAFE_EGRESS_HOSTS": "localhost"}
    with pushing_relay(tmp_path_factory.mktemp("webhooks"), settings) as running:
        yield running


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    """A receiver of its own for each test."""
    with receiving() as running:
        yield running


@pytest.fixture
def acme(relay: PushRelay) -> Generator[Integrator, None, None]:
    """The integrator, who has no webhook but those of the test."""
    yield relay.acme
    for hook in ok(relay.acme.get("/v1/webhooks"))["data"]:
        assert relay.acme.delete(f"/v1/webhooks/{hook['webhook_id']}").status_code == 204


def hooked(acme: Integrator, receiver: Receiver, *events: str) -> Json:
    """A new webhook at the receiver."""
    body: Json = {"url": receiver.url} | ({"events": list(events)} if events else {})
    return ok(acme.post("/v1/webhooks", body), 201)


def deliveries(acme: Integrator, hook: Json) -> list[Json]:
    """The deliveries of a webhook, newest first."""
    found: list[Json] = ok(acme.get(f"/v1/webhooks/{hook['webhook_id']}/deliveries"))["data"]
    return found


def test_an_approval_arrives_once(acme: Integrator, receiver: Receiver) -> None:
    """The event verifies, has the protocol's body, and its delivery is reported as delivered."""
    hook = hooked(acme, receiver, *ENDS)
    alice, bob = acme.devices("alice", "bob")
    request = acme.asked([alice], [bob])
    for device in (alice, bob):
        ok(device.decide(request))
    after = acme.asked([alice])
    ok(acme.post(f"/v1/requests/{after['request_id']}/cancel"))

    calls = receiver.wait(2)

    body = next(
        found
        for found in (call.verified(hook["secret"]) for call in calls)
        if found["request_id"] == request["request_id"]
    )
    assert body == {
        "type": "mpa.approved",
        "request_id": request["request_id"],
        "status": "approved",
        "groups_satisfied": ["Group 1", "Group 2"],
        "timestamp": body["timestamp"],
    }
    assert until(lambda: {each["status"] for each in deliveries(acme, hook)} == {"delivered"})
    assert len({call.event_id for call in receiver.calls}) == len(receiver.calls) == 2


def test_a_device_that_the_operator_revokes_is_told_after_its_enrolment(
    relay: PushRelay, acme: Integrator, receiver: Receiver
) -> None:
    """What another process appends reaches the webhook, in the order in which it happened."""
    hook = hooked(acme, receiver, "device.enrolled", "device.revoked")
    alice = acme.device("alice-revoked")
    operate("devices", "revoke", alice.fingerprint, "--data-dir", relay.data, "--yes")

    events = [call.verified(hook["secret"]) for call in receiver.wait(2)]

    assert [event["type"] for event in events] == ["device.enrolled", "device.revoked"]
    assert {event["fingerprint"] for event in events} == {alice.fingerprint}
    assert {event["approver"]["id"] for event in events} == {"alice-revoked"}


def test_other_types_are_not_sent(acme: Integrator, receiver: Receiver) -> None:
    """A webhook gets the types that it asked for, and no others."""
    hook = hooked(acme, receiver, "mpa.cancelled")
    alice = acme.device("alice-types")
    denied, withdrawn = acme.asked([alice]), acme.asked([alice])
    ok(alice.decide(denied, "deny"))
    ok(acme.post(f"/v1/requests/{withdrawn['request_id']}/cancel"))

    (call,) = receiver.wait(1)

    assert "mpa.cancelled" == call.verified(hook["secret"])["type"]
    assert ["mpa.cancelled"] == [each["type"] for each in deliveries(acme, hook)]


def test_a_rotated_secret_signs_beside_the_old_one(acme: Integrator, receiver: Receiver) -> None:
    """A receiver that knows either secret accepts the same call."""
    hook = hooked(acme, receiver)
    rotated = ok(acme.post(f"/v1/webhooks/{hook['webhook_id']}/rotate"))
    ok(acme.post(f"/v1/webhooks/{hook['webhook_id']}/test"))

    (call,) = receiver.wait(1)

    assert rotated["secret"] != hook["secret"]
    assert call.verified(hook["secret"]) == call.verified(rotated["secret"])


def test_a_secret_is_shown_once(acme: Integrator, receiver: Receiver) -> None:
    """Neither the list nor the webhook itself holds the secret that the creation answered."""
    hook = hooked(acme, receiver)
    shown = [
        acme.get("/v1/webhooks").text,
        acme.get(f"/v1/webhooks/{hook['webhook_id']}").text,
    ]

    assert not [text for text in shown if hook["secret"] in text or "secret" in text]


def test_a_disabled_webhook_gets_nothing(acme: Integrator, receiver: Receiver) -> None:
    """After it was disabled events are not queued for it; enabled again, it gets later ones."""
    hook = hooked(acme, receiver, *ENDS)
    path = f"/v1/webhooks/{hook['webhook_id']}"
    alice = acme.device("alice-disabled")
    missed, seen = acme.asked([alice]), acme.asked([alice])
    disabled = ok(acme.post(f"{path}/disable"))
    ok(alice.decide(missed))
    enabled = ok(acme.post(f"{path}/enable"))
    ok(alice.decide(seen))

    (call,) = receiver.wait(1)

    assert ("disabled", "active") == (disabled["status"], enabled["status"])
    assert seen["request_id"] == call.verified(hook["secret"])["request_id"]
    assert [call.event_id] == [each["event_id"] for each in deliveries(acme, hook)]


def test_a_delivered_event_can_be_sent_again(acme: Integrator, receiver: Receiver) -> None:
    """A re-send is the same event under the same id, and one attempt more."""
    hook = hooked(acme, receiver, *ENDS)
    alice = acme.device("alice-again")
    ok(alice.decide(acme.asked([alice]), "deny"))
    (first,) = receiver.wait(1)
    path = f"/v1/webhooks/{hook['webhook_id']}/deliveries/{first.event_id}"
    assert until(lambda: ok(acme.get(path))["status"] == "delivered")
    ok(acme.post(f"{path}/resend"))

    _, again = receiver.wait(2)

    assert (first.event_id, first.body) == (again.event_id, again.body)
    assert until(lambda: [204, 204] == [one["status"] for one in ok(acme.get(path))["attempts"]])


@pytest.mark.slow
def test_a_receiver_that_comes_back_gets_what_it_missed_in_order(
    acme: Integrator, receiver: Receiver
) -> None:
    """While the first event of a device fails the second waits; then both come, first one first."""
    hook = hooked(acme, receiver, "device.enrolled", "device.revoked")
    receiver.status = 503
    alice = acme.device("alice-waits")
    assert acme.delete(f"/v1/devices/{alice.fingerprint}").status_code == 204
    receiver.wait_refused(1)
    receiver.status = 204

    events = [call.verified(hook["secret"])["type"] for call in receiver.wait(2)]

    assert ["device.enrolled", "device.revoked"] == events
    assert {call.verified(hook["secret"])["type"] for call in receiver.refused} == {
        "device.enrolled"
    }
    assert until(lambda: {each["status"] for each in deliveries(acme, hook)} == {"delivered"})
    newest, oldest = deliveries(acme, hook)
    assert ([204], [503, 204]) == (
        [one["status"] for one in newest["attempts"]],
        [one["status"] for one in oldest["attempts"]],
    )


def test_an_address_that_is_not_public_is_refused(acme: Integrator) -> None:
    """Outside the named hosts a webhook cannot point into the operator's network."""
    answer = acme.post("/v1/webhooks", {"url": "https://127.0.0.1:8443/events"})

    assert (400, "invalid_request") == refused(answer)
