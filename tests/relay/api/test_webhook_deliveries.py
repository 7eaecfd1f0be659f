"""What was sent to a webhook, how it went, testing it and sending again (§10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import INTEGRATOR, NO_SUCH_ID, ok, refused
from tests.relay.api.harness import house as served
from tests.relay.api.hooked import DAY_SECONDS, LOCAL, Hooked, hook
from tests.relay.delivery.receiver import OK, answer, receiving

from quorumkey.protocol import format_time
from quorumkey.protocol.webhook import verify
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import AppendEvent
from quorumkey_relay.usecases.advance import device_event

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.relay.delivery.receiver import Received

pytestmark = pytest.mark.anyio

HOUR_SECONDS = 3_600


@pytest.fixture
async def hooked(
    log: io.BytesIO, anyio_backend: object, tmp_path: Path
) -> AsyncGenerator[Hooked, None]:
    """A relay, a receiver that answers 200, and a webhook between them."""
    del anyio_backend, log
    async with receiving() as receiver, served(tmp_path, unsafe_egress_hosts=LOCAL) as house:
        yield Hooked(house, receiver, await hook(house, receiver.url))


def checked(hooked: Hooked, received: Received, secret: str | None = None) -> dict[str, object]:
    """The event that was received, whose signature is checked."""
    verify(
        secret or hooked.webhook["secret"],
        received.headers,
        received.body,
        now=hooked.house.clock.now(),
    )
    event: dict[str, object] = json.loads(received.body)
    return event


async def test_testing(hooked: Hooked) -> None:
    """A test is answered as it is queued, and sends an event that says nothing."""
    now = format_time(hooked.house.clock.now())

    queued = await hooked.call("test")
    (received,) = await hooked.receiver.got(1)

    event_id = queued["event_id"]
    assert {
        "event_id": event_id,
        "type": "webhook.test",
        "status": "queued",
        "created_at": now,
        "next_attempt_at": now,
        "attempts": [],
    } == queued
    assert {
        "type": "webhook.test",
        "webhook_id": hooked.webhook["webhook_id"],
        "timestamp": now,
    } == checked(hooked, received)
    assert event_id == received.headers["webhook-id"]


async def test_a_delivered_event(hooked: Hooked) -> None:
    """Its delivery has the attempt with the status that was answered, and is tried no more."""
    event_id = str((await hooked.call("test"))["event_id"])

    found = await hooked.tried(event_id)

    (attempt,) = found["attempts"]
    assert attempt.pop("duration_ms") >= 0
    assert {"at": format_time(hooked.house.clock.now()), "status": 200} == attempt
    assert "delivered" == found["status"]
    assert "next_attempt_at" not in found


async def test_an_event_that_was_refused(hooked: Hooked) -> None:
    """It stays queued and says when it is tried again; the webhook says since when it fails."""
    hooked.receiver.answers = [answer(500)]
    now = format_time(hooked.house.clock.now())
    event_id = str((await hooked.call("test"))["event_id"])

    found = await hooked.tried(event_id)

    assert [500] == [attempt["status"] for attempt in found["attempts"]]
    assert "queued" == found["status"]
    assert now < found["next_attempt_at"]
    assert now == ok(await hooked.house.get(hooked.path))["failing_since"]


async def test_an_event_that_nobody_took(hooked: Hooked) -> None:
    """An attempt without an answer has the reason instead of a status."""
    async with receiving() as gone:
        url = gone.url
    webhook = await hook(hooked.house, url)
    unheard = Hooked(hooked.house, gone, webhook)
    event_id = str((await unheard.call("test"))["event_id"])

    (attempt,) = (await unheard.tried(event_id))["attempts"]

    assert "status" not in attempt
    assert "unreachable" == attempt["reason"]


async def test_the_end_of_a_request(hooked: Hooked) -> None:
    """A webhook is sent the event that the stream of events has, under the same id."""
    device = await hooked.house.device("alice")
    await hooked.receiver.got(1)
    request = await hooked.house.ask(device)
    ok(await hooked.house.post(f"/v1/requests/{request['request_id']}/cancel"))

    received = (await hooked.receiver.got(2))[1]

    (stored,) = [
        one
        for one in await hooked.house.relay.store.events(
            integrator_id=INTEGRATOR.id, after=None, limit=10
        )
        or ()
        if one.type == "mpa.cancelled"
    ]
    assert (stored.id, stored.body) == (received.headers["webhook-id"], received.body)
    assert {
        "type": "mpa.cancelled",
        "request_id": request["request_id"],
        "status": "cancelled",
        "groups_satisfied": [],
        "timestamp": format_time(hooked.house.clock.now()),
    } == checked(hooked, received)


async def test_what_another_process_does(hooked: Hooked) -> None:
    """A device that the command line revokes is told of like any other."""
    relay = hooked.house.relay
    device = await hooked.house.device("alice")
    await hooked.receiver.got(1)
    known = relay.store.directory.device(device.fingerprint)
    assert known is not None
    now = hooked.house.clock.now()
    (tie,) = known.pairings.values()
    event = device_event("device.revoked", known, tie, now=now, mint=SystemMint())
    data_dir = relay.settings.data_dir
    with AdminStore(data_dir, vault=Vault.open_in(data_dir)) as admin:
        admin.commit(AppendEvent(event))

    await relay.follow_changes()

    assert event.id == (await hooked.receiver.got(2))[1].headers["webhook-id"]


# The log


async def test_the_log_is_in_pages(hooked: Hooked) -> None:
    """Deliveries are listed newest first; a page goes on after the one before."""
    ids = [await hooked.tested() for _ in range(3)]

    first = ok(await hooked.house.get(f"{hooked.path}/deliveries?limit=2"))
    second = ok(
        await hooked.house.get(f"{hooked.path}/deliveries?limit=2&cursor={first['next_cursor']}")
    )

    assert [ids[2], ids[1]] == [one["event_id"] for one in first["data"]]
    assert [ids[0]] == [one["event_id"] for one in second["data"]]
    assert second["next_cursor"] is None
    assert first["data"][0] == await hooked.delivery(ids[2])


@pytest.mark.parametrize("cursor", ["x", NO_SUCH_ID], ids=["no id", "unknown"])
async def test_a_cursor_that_the_log_has_not_answered(hooked: Hooked, cursor: str) -> None:
    """It is refused."""
    found = await hooked.house.get(f"{hooked.path}/deliveries?cursor={cursor}")

    assert (400, "invalid_request") == refused(found)[:2]


@pytest.mark.parametrize("event_id", [NO_SUCH_ID, "word"], ids=["unknown", "malformed"])
async def test_no_such_delivery(hooked: Hooked, event_id: str) -> None:
    """An event that this webhook was never sent is not found, to read and to send again."""
    path = f"{hooked.path}/deliveries/{event_id}"

    found = [await hooked.house.get(path), await hooked.house.post(f"{path}/resend")]

    assert [(404, "not_found")] * 2 == [refused(one)[:2] for one in found]


async def test_anothers_delivery(hooked: Hooked) -> None:
    """A delivery is found under its own webhook alone."""
    event_id = await hooked.tested()
    other = await hook(hooked.house)

    found = await hooked.house.get(f"/v1/webhooks/{other['webhook_id']}/deliveries/{event_id}")

    assert (404, "not_found") == refused(found)[:2]


# Again


async def test_sending_again(hooked: Hooked) -> None:
    """What was delivered is sent again under the same id, and the log goes on."""
    event_id = await hooked.tested()

    queued = ok(await hooked.house.post(f"{hooked.path}/deliveries/{event_id}/resend"))
    found = await hooked.tried(event_id, 2)

    assert "queued" == queued["status"]
    assert format_time(hooked.house.clock.now()) == queued["next_attempt_at"]
    assert 1 == len(queued["attempts"])
    assert ("delivered", [200, 200]) == (
        found["status"],
        [attempt["status"] for attempt in found["attempts"]],
    )
    first, second = hooked.receiver.received
    assert (event_id, first.body) == (second.headers["webhook-id"], second.body)


async def test_sending_again_at_once_what_would_wait(hooked: Hooked) -> None:
    """What waits for its next try is tried now."""
    hooked.receiver.answers = [answer(500), OK]
    event_id = await hooked.tested()

    await hooked.call(f"deliveries/{event_id}/resend")

    assert "delivered" == (await hooked.tried(event_id, 2))["status"]


async def test_a_disabled_webhook_is_neither_tested_nor_sent_again(hooked: Hooked) -> None:
    """Both are refused until it is enabled."""
    event_id = await hooked.tested()
    await hooked.call("disable")

    found = [
        await hooked.house.post(f"{hooked.path}/test"),
        await hooked.house.post(f"{hooked.path}/deliveries/{event_id}/resend"),
    ]

    said = (400, "invalid_request", "This webhook is disabled; enable it first.")
    assert [said] * 2 == [refused(one) for one in found]


async def test_what_is_queued_waits_while_disabled(hooked: Hooked) -> None:
    """It has no next try meanwhile, and goes out once the webhook is enabled."""
    hooked.receiver.answers = [answer(500), OK]
    event_id = await hooked.tested()
    await hooked.call("disable")
    await hooked.pass_time(HOUR_SECONDS)
    waiting = await hooked.delivery(event_id)

    enabled = await hooked.call("enable")
    sent = await hooked.tried(event_id, 2)

    assert "queued" == waiting["status"]
    assert "next_attempt_at" not in waiting
    assert 1 == len(waiting["attempts"])
    assert "failing_since" not in enabled
    assert "delivered" == sent["status"]


async def test_what_waits_too_long_fails(hooked: Hooked) -> None:
    """After its day a delivery has failed, whether or not anybody tried; it can be sent again."""
    hooked.receiver.answers = [answer(500), OK]
    event_id = await hooked.tested()
    await hooked.call("disable")
    await hooked.pass_time(DAY_SECONDS)
    late = await hooked.delivery(event_id)
    await hooked.call("enable")
    await hooked.pass_time(0)

    assert "failed" == late["status"] == (await hooked.delivery(event_id))["status"]
    await hooked.call(f"deliveries/{event_id}/resend")
    assert "delivered" == (await hooked.tried(event_id, 2))["status"]


async def test_nothing_that_happens_while_disabled_is_queued(hooked: Hooked) -> None:
    """An integrator reads what it missed from its requests or from the stream of events."""
    await hooked.call("disable")
    await hooked.house.device("alice")
    await hooked.call("enable")

    assert [] == ok(await hooked.house.get(f"{hooked.path}/deliveries"))["data"]


async def test_an_endpoint_that_is_gone(hooked: Hooked) -> None:
    """One that answers 410 is disabled, and the integrator's other webhook is told."""
    told = Hooked(hooked.house, hooked.receiver, await hook(hooked.house, hooked.receiver.url))
    hooked.receiver.answers = [answer(410), OK]

    event_id = await hooked.tested()
    received = (await hooked.receiver.got(2))[1]

    found = ok(await hooked.house.get(hooked.path))
    assert ("disabled", "gone") == (found["status"], found["disabled_reason"])
    assert "queued" == (await hooked.delivery(event_id))["status"]
    assert {
        "type": "webhook.disabled",
        "webhook_id": hooked.webhook["webhook_id"],
        "host": "localhost",
        "reason": "gone",
        "timestamp": format_time(hooked.house.clock.now()),
    } == checked(told, received)


async def test_a_rotated_secret(hooked: Hooked) -> None:
    """Old and new secret sign for a day; then the new one alone."""
    old, new = hooked.webhook["secret"], (await hooked.call("rotate"))["secret"]
    await hooked.tested()
    await hooked.pass_time(DAY_SECONDS)
    await hooked.tested()

    during, after = hooked.receiver.received

    assert 2 == len(during.headers["webhook-signature"].split(" "))
    assert 1 == len(after.headers["webhook-signature"].split(" "))
    checked(hooked, after, new)
    sent_at = int(during.headers["webhook-timestamp"])
    for secret in (old, new):
        verify(secret, during.headers, during.body, now=sent_at)


async def test_rotating_twice_ends_the_first_secret(hooked: Hooked) -> None:
    """No more than two secrets sign: the oldest does not any more."""
    first = hooked.webhook["secret"]
    second, third = [(await hooked.call("rotate"))["secret"] for _ in range(2)]
    await hooked.tested()

    (received,) = hooked.receiver.received

    assert 2 == len(received.headers["webhook-signature"].split(" "))
    checked(hooked, received, second)
    checked(hooked, received, third)
    with pytest.raises(Exception, match="No signature"):
        checked(hooked, received, first)


async def test_a_deleted_webhook_is_sent_nothing(hooked: Hooked) -> None:
    """What was to be tried again goes with it."""
    hooked.receiver.answers = [answer(500), OK]
    await hooked.tested()
    await hooked.house.http.delete(hooked.path, headers=hooked.house.bearer)

    await hooked.pass_time(HOUR_SECONDS)

    assert 1 == len(hooked.receiver.received)
