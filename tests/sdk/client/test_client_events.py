from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.clock import START, ManualClock
from tests.sdk.relay_double import API_KEY, URL, Phone, RelayDouble, failure

from quorumkey.client import (
    Approved,
    AsyncClient,
    Client,
    ClientPorts,
    CreatedRequest,
    RetryPolicy,
    group,
    parse_webhook,
)
from quorumkey.errors import AuthenticationError, GoneError, ProtocolError, UnexpectedAnswerError
from quorumkey.protocol import Action, Party, webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quorumkey.client import Event

STREAM = "GET /v1/events"
SECRET = webhook.generate_secret(bytes(range(32)))
OLD_SECRET = webhook.generate_secret(bytes(32))
APPROVED = (
    b'{"type":"mpa.approved","request_id":"r-1","status":"approved",'
    b'"groups_satisfied":["A","B"],"timestamp":"2026-04-24T10:35:42Z"}'
)
REVOKED = (
    b'{"type":"device.revoked","fingerprint":"f","approver":{"id":"alice"},"assurance":"none",'
    b'"reason":"lost","timestamp":"2026-04-24T10:35:42Z"}'
)


def stream(*events: tuple[str, bytes]) -> Callable[[httpx2.Request], httpx2.Response]:
    """An event stream that ends after these."""
    text = b": hello\n\n" + b"".join(
        f"id: {name}\nevent: x\ndata: ".encode() + data + b"\n\n" for name, data in events
    )
    headers = {"content-type": "text/event-stream"}
    return lambda _request: httpx2.Response(200, content=text, headers=headers)


class World:
    """A client, its relay, and the clock of both."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.relay = RelayDouble()
        self.client = Client(
            URL,
            API_KEY,
            transport=self.relay.transport,
            sleep=self.clock.sleep,
            ports=ClientPorts(now=self.clock.now, monotonic=self.clock.now),
            retry=RetryPolicy(base_seconds=1, jitter=lambda: 0.5),
        )

    def take(self, count: int, last_event_id: str | None = None) -> list[Event]:
        """The next events."""
        with closing(self.client.events(last_event_id)) as events:
            return [next(events) for _ in range(count)]

    def asked_after(self) -> list[str | None]:
        """Which last event each stream was opened with."""
        return [call.headers.get("last-event-id") for call in self.relay.calls]


@pytest.fixture
def world() -> Iterator[World]:
    """A world for one test."""
    made = World()
    yield made
    made.client.close()


def test_events_are_typed(world: World) -> None:
    """An event holds what the relay claims, under names that say so."""
    world.relay.script(STREAM, stream(("e-1", APPROVED), ("e-2", REVOKED)))
    approved, revoked = world.take(2)

    assert ("e-1", "mpa.approved", "r-1", "approved", ("A", "B"), START) == (
        approved.event_id,
        approved.type,
        approved.request_id,
        approved.claimed_status,
        approved.groups_satisfied,
        approved.timestamp,
    )
    assert ("f", Party("alice"), "none", "lost") == (
        revoked.fingerprint,
        revoked.approver,
        revoked.assurance,
        revoked.reason,
    )


def test_a_broken_stream_goes_on_after_the_last_event(world: World) -> None:
    """A stream that ends or breaks is opened again after the last event that was handed out."""
    world.relay.script(
        STREAM,
        stream(("e-1", APPROVED)),
        httpx2.ReadError("x"),
        stream(),
        stream(("e-2", REVOKED)),
    )
    events = world.take(2)

    assert ["e-1", "e-2"] == [event.event_id for event in events]
    assert [None, "e-1", "e-1", "e-1"] == world.asked_after()
    assert [1.0, 2.0, 4.0] == world.clock.slept


def test_a_stream_begins_where_the_caller_says(world: World) -> None:
    """The caller's last event id is asked for."""
    world.relay.script(STREAM, stream(("e-8", APPROVED)))
    world.take(1, "e-7")

    assert ["e-7"] == world.asked_after()


def test_a_busy_relay_is_asked_later(world: World) -> None:
    """429 and 5xx open the stream again, after what Retry-After asks."""
    busy = failure(503, "store_unavailable")
    busy.headers["retry-after"] = "7"
    world.relay.script(STREAM, busy, failure(429, "rate_limited"), stream(("e-1", APPROVED)))
    world.take(1)

    assert [8.0, 2.0] == world.clock.slept


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failure(410, "cursor_expired"), GoneError),
        (failure(401, "unauthorized"), AuthenticationError),
    ],
)
def test_a_refusal_for_good_is_raised(
    world: World, reply: httpx2.Response, kind: type[Exception]
) -> None:
    """A cursor that is too old and a wrong API key end the iteration."""
    world.relay.script(STREAM, reply)

    with pytest.raises(kind):
        world.take(1)


@pytest.mark.parametrize("data", [b"no json", b"{}", b'{"type": 1}'])
def test_events_that_are_none(world: World, data: bytes) -> None:
    """Data that is no event of the protocol is raised."""
    world.relay.script(STREAM, stream(("e-1", data)))

    with pytest.raises(UnexpectedAnswerError):
        world.take(1)


def test_something_else_than_a_stream_is_asked_again(world: World) -> None:
    """An answer that is no event stream counts as a broken one."""
    world.relay.script(STREAM, httpx2.Response(200, text="<html>"), stream(("e-1", APPROVED)))

    assert 1 == len(world.take(1))


def test_an_id_alone_is_no_event(world: World) -> None:
    """A message without data is passed over."""
    headers = {"content-type": "text/event-stream"}
    world.relay.script(
        STREAM,
        httpx2.Response(200, text="id: e-0\n\n", headers=headers),
        stream(("e-1", APPROVED)),
    )

    assert ["e-1"] == [event.event_id for event in world.take(1)]


def test_events_awaited() -> None:
    """The awaited client yields the same events, across streams."""
    clock, relay = ManualClock(), RelayDouble()
    relay.script(STREAM, stream(("e-1", APPROVED)), httpx2.ReadError("x"))
    relay.script(STREAM, failure(503, "store_unavailable"), stream(("e-2", REVOKED)))

    async def work() -> list[str]:
        found: list[str] = []
        async with (
            AsyncClient(URL, API_KEY, transport=relay.transport, sleep=clock.asleep) as client,
            aclosing(client.events()) as events,
        ):
            async for event in events:
                found.append(event.event_id)
                if len(found) == 2:
                    break
        return found

    assert ["e-1", "e-2"] == asyncio.run(work())


# ------------------------------------------------------------------ webhooks


def headers_for(body: bytes, *, at: int = START, secret: str = SECRET) -> dict[str, str]:
    """The headers that a relay sends with a webhook."""
    return {
        "Webhook-Id": "e-1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": webhook.sign(secret, "e-1", at, body),
    }


def test_a_signed_webhook_is_read() -> None:
    """A webhook under one of the secrets is an event with its id."""
    event = parse_webhook(headers_for(APPROVED), APPROVED, [OLD_SECRET, SECRET], START)

    assert ("e-1", "mpa.approved", "r-1") == (event.event_id, event.type, event.request_id)


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        (headers_for(APPROVED), APPROVED + b" ", "invalid_signature"),
        (headers_for(APPROVED, at=START - 301), APPROVED, "invalid_signature"),
        (headers_for(APPROVED, secret=OLD_SECRET), APPROVED, "invalid_signature"),
        ({}, APPROVED, "invalid_signature"),
        (headers_for(b"no json"), b"no json", "invalid_json"),
        (headers_for(b"{}"), b"{}", "invalid_request"),
        (headers_for(b"[]"), b"[]", "invalid_request"),
    ],
)
def test_other_webhooks_are_refused(headers: dict[str, str], body: bytes, code: str) -> None:
    """Unsigned, late, and unreadable webhooks are one kind of error with a code each."""
    with pytest.raises(ProtocolError) as caught:
        parse_webhook(headers, body, SECRET, START)

    assert code == caught.value.code


ALICE = Phone("alice")


def approved_request(world: World) -> CreatedRequest:
    """A request that Alice has approved."""
    created = world.client.requests.create(
        action=Action("x", "X"), groups=[group("A", ALICE.approver)], required=1
    )
    stored = world.relay.requests[created.request_id]
    stored.decisions, stored.status = [ALICE.decide(stored.digest)], "approved"
    return created


def test_a_received_approval_is_proven(world: World) -> None:
    """Receiving a webhook fetches and verifies the receipt before it says approved."""
    created = approved_request(world)
    body = APPROVED.replace(b"r-1", created.request_id.encode())
    asked: list[str] = []

    def find(request_id: str) -> CreatedRequest:
        asked.append(request_id)
        return created

    event, outcome = world.client.webhooks.receive(headers_for(body), body, SECRET, find=find)

    assert [created.request_id] == asked
    assert "approved" == event.claimed_status
    assert isinstance(outcome, Approved)


def test_a_claimed_approval_is_none(world: World) -> None:
    """A webhook that says approved has no outcome while the request is pending."""
    created = approved_request(world)
    world.relay.requests[created.request_id].status = "pending"
    body = APPROVED.replace(b"r-1", created.request_id.encode())
    _, outcome = world.client.webhooks.receive(
        headers_for(body), body, SECRET, find=lambda _: created
    )

    assert outcome is None


@pytest.mark.parametrize("body", [APPROVED, REVOKED])
def test_events_about_nothing_known(world: World, body: bytes) -> None:
    """An event about an unknown request, or about a device, has no outcome."""
    event, outcome = world.client.webhooks.receive(
        headers_for(body), body, SECRET, find=lambda _: None
    )

    assert event.type in {"mpa.approved", "device.revoked"}
    assert outcome is None


def test_receiving_awaited(world: World) -> None:
    """The awaited client proves a received approval as well."""
    created = approved_request(world)
    body = APPROVED.replace(b"r-1", created.request_id.encode())

    async def find(_request_id: str) -> CreatedRequest:
        return created

    async def work() -> bool:
        async with AsyncClient(
            URL,
            API_KEY,
            transport=world.relay.transport,
            ports=ClientPorts(now=world.clock.now, monotonic=world.clock.now),
        ) as client:
            _, outcome = await client.webhooks.receive(headers_for(body), body, SECRET, find=find)
            return outcome is not None and outcome.approved

    assert asyncio.run(work())
