from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.client.world import World
from tests.sdk.clock import START
from tests.sdk.relay_double import API_KEY, URL, RelayDouble, answer, body_of, failure

from quorumkey.client import (
    AsyncClient,
    Client,
    RetryPolicy,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookDeliveryStatus,
    WebhookStatus,
)
from quorumkey.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    TransportError,
    UnexpectedAnswerError,
)
from quorumkey.protocol import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quorumkey.protocol import JsonValue

HOOK = "01a1fb5c-6c3d-7e5c-95cc-52144387310f"
EVENT = "01a1fb5c-6c3d-7e5c-95cc-521443873110"
ADDRESS = "https://hooks.example.com/quorumkey"
SECRET = "whsec_" + "A" * 43 + "="
PATH = f"/v1/webhooks/{HOOK}"


def hook(**more: JsonValue) -> dict[str, JsonValue]:
    """A webhook as the relay tells it."""
    return {
        "webhook_id": HOOK,
        "url": ADDRESS,
        "events": ["*"],
        "status": "active",
        "created_at": format_time(START),
        **more,
    }


def delivery(**more: JsonValue) -> dict[str, JsonValue]:
    """A delivery as the relay tells it."""
    return {
        "event_id": EVENT,
        "type": "mpa.approved",
        "status": "queued",
        "created_at": format_time(START),
        "attempts": [],
        **more,
    }


WEBHOOK = Webhook(
    webhook_id=HOOK, url=ADDRESS, events=("*",), status=WebhookStatus.ACTIVE, created_at=START
)
DELIVERY = WebhookDelivery(
    event_id=EVENT,
    type="mpa.approved",
    status=WebhookDeliveryStatus.QUEUED,
    created_at=START,
    attempts=(),
)


@pytest.fixture
def world() -> Iterator[World]:
    """A world for one test."""
    made = World()
    yield made
    made.client.close()


# ------------------------------------------------------------------ making one


def test_a_webhook_is_made_with_its_secret(world: World) -> None:
    """Creation sends the address alone and answers the webhook with the secret."""
    world.relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))

    created = world.client.webhooks.create(ADDRESS)

    assert (WEBHOOK, SECRET) == (created.webhook, created.secret)
    assert {"url": ADDRESS} == body_of(world.relay.calls[-1])


def test_a_webhook_for_some_types(world: World) -> None:
    """The types that are wanted are sent as they were given."""
    world.relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))

    world.client.webhooks.create(ADDRESS, ["mpa.approved", "device.revoked"])

    assert ["mpa.approved", "device.revoked"] == body_of(world.relay.calls[-1])["events"]


def test_a_lost_creation_is_repeated_under_its_key(world: World) -> None:
    """After a lost answer the same bytes go out under the same idempotency key."""
    world.relay.script("POST /v1/webhooks", httpx2.ReadError("x"), answer(hook(secret=SECRET), 201))

    world.client.webhooks.create(ADDRESS, idempotency_key="mine")

    first, second = world.relay.calls
    assert first.read() == second.read()
    assert ["mine", "mine"] == [call.headers["idempotency-key"] for call in (first, second)]


def test_the_secret_is_in_no_repr(world: World) -> None:
    """What creation and rotation answer does not show the secret."""
    world.relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))

    assert SECRET not in repr(world.client.webhooks.create(ADDRESS))


# ------------------------------------------------------------------ one and all of them

CALLS: list[tuple[str, str, Callable[[Client], object], dict[str, JsonValue], object]] = [
    ("get", f"GET {PATH}", lambda client: client.webhooks.get(HOOK), hook(), WEBHOOK),
    (
        "disable",
        f"POST {PATH}/disable",
        lambda client: client.webhooks.disable(HOOK).disabled_reason,
        hook(status="disabled", disabled_reason="requested"),
        "requested",
    ),
    ("enable", f"POST {PATH}/enable", lambda c: c.webhooks.enable(HOOK), hook(), WEBHOOK),
    (
        "rotate",
        f"POST {PATH}/rotate",
        lambda client: client.webhooks.rotate(HOOK).webhook.old_secret_expires_at,
        hook(secret=SECRET, old_secret_expires_at=format_time(START + 86_400)),
        START + 86_400,
    ),
    ("test", f"POST {PATH}/test", lambda c: c.webhooks.test(HOOK), delivery(), DELIVERY),
    (
        "delivery",
        f"GET {PATH}/deliveries/{EVENT}",
        lambda client: client.webhooks.delivery(HOOK, EVENT),
        delivery(),
        DELIVERY,
    ),
    (
        "resend",
        f"POST {PATH}/deliveries/{EVENT}/resend",
        lambda client: client.webhooks.resend(HOOK, EVENT),
        delivery(),
        DELIVERY,
    ),
]


@pytest.mark.parametrize(
    ("call", "use", "told", "expected"),
    [pytest.param(*case[1:], id=case[0]) for case in CALLS],
)
def test_each_call_and_its_answer(
    world: World,
    call: str,
    use: Callable[[Client], object],
    told: dict[str, JsonValue],
    expected: object,
) -> None:
    """Each call goes to its own path, and its answer is read."""
    world.relay.script(call, answer(told))

    assert expected == use(world.client)
    assert [call] == world.relay.seen()


def test_deleting(world: World) -> None:
    """Deleting answers nothing; where the answer was lost, a webhook that is gone is deleted."""
    world.relay.script(f"DELETE {PATH}", httpx2.ReadError("x"), failure(404, "not_found"))

    world.client.webhooks.delete(HOOK)

    assert [f"DELETE {PATH}"] * 2 == world.relay.seen()


def test_a_lost_rotation_is_repeated_under_its_key(world: World) -> None:
    """After a lost answer a rotation goes out again as the same one, not as a second."""
    world.relay.script(f"POST {PATH}/rotate", httpx2.ReadError("x"), answer(hook(secret=SECRET)))

    rotated = world.client.webhooks.rotate(HOOK)

    keys = {call.headers["idempotency-key"] for call in world.relay.calls}
    assert (SECRET, 2, 1) == (rotated.secret, len(world.relay.calls), len(keys))


def send_test(client: Client) -> object:
    """Send a test event."""
    return client.webhooks.test(HOOK)


def resend(client: Client) -> object:
    """Send an event again."""
    return client.webhooks.resend(HOOK, EVENT)


@pytest.mark.parametrize(
    ("call", "use"),
    [
        (f"POST {PATH}/test", send_test),
        (f"POST {PATH}/deliveries/{EVENT}/resend", resend),
    ],
    ids=["test", "resend"],
)
def test_what_is_not_repeated(world: World, call: str, use: Callable[[Client], object]) -> None:
    """A test or a re-send whose answer was lost is not sent a second time."""
    world.relay.script(call, httpx2.ReadError("x"), answer(delivery()))

    with pytest.raises(TransportError):
        use(world.client)

    assert 1 == len(world.relay.calls)


def test_webhooks_are_listed_page_by_page(world: World) -> None:
    """Every page is fetched with the cursor of the one before."""
    pages = (
        answer({"data": [hook()], "next_cursor": "more"}),
        answer({"data": [hook(webhook_id=EVENT)], "next_cursor": None}),
    )
    world.relay.script("GET /v1/webhooks", *pages)

    found = [webhook.webhook_id for webhook in world.client.webhooks.list(limit=1)]

    assert [HOOK, EVENT] == found
    assert ["limit=1", "limit=1&cursor=more"] == [
        call.url.query.decode() for call in world.relay.calls
    ]


def test_deliveries_are_listed_page_by_page(world: World) -> None:
    """Deliveries come with every attempt: its answer's status, or why there was none."""
    attempts: list[JsonValue] = [
        {"at": format_time(START), "reason": "timeout", "duration_ms": 10_000},
        {"at": format_time(START + 20), "status": 204, "duration_ms": 12},
    ]
    world.relay.script(
        f"GET {PATH}/deliveries",
        answer({"data": [delivery(attempts=attempts)], "next_cursor": "more"}),
        answer({"data": [], "next_cursor": None}),
    )

    (only,) = world.client.webhooks.deliveries(HOOK)

    assert (
        WebhookAttempt(at=START, duration_ms=10_000, reason="timeout"),
        WebhookAttempt(at=START + 20, duration_ms=12, status=204),
    ) == only.attempts


def test_refusals_are_the_relays(world: World) -> None:
    """An unknown webhook and a disabled one are told apart by their errors."""
    world.relay.script(f"GET {PATH}", failure(404, "not_found"))
    world.relay.script(f"POST {PATH}/test", failure(400, "invalid_request"))

    with pytest.raises(NotFoundError):
        world.client.webhooks.get(HOOK)
    with pytest.raises(InvalidRequestError):
        world.client.webhooks.test(HOOK)


@pytest.mark.parametrize("bad", ["", ".."])
def test_an_id_stays_one_segment(world: World, bad: str) -> None:
    """An id that would lead to another path is refused before anything is sent."""
    with pytest.raises(ConfigurationError):
        world.client.webhooks.delivery(HOOK, bad)

    assert [] == world.relay.seen()


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(hook(status="paused"), id="unknown status"),
        pytest.param(hook(events="*"), id="events is no list"),
        pytest.param(hook(created_at="now"), id="no time"),
    ],
)
def test_answers_that_are_none(world: World, told: dict[str, JsonValue]) -> None:
    """An answer that does not keep its promise is an error of its own."""
    world.relay.script(f"GET {PATH}", answer(told))

    with pytest.raises(UnexpectedAnswerError):
        world.client.webhooks.get(HOOK)


# ------------------------------------------------------------------ awaited


def test_the_awaited_client_does_the_same() -> None:
    """Creating, listing, reading and deleting work from an event loop as they do without one."""
    relay = RelayDouble()
    relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))
    relay.script("GET /v1/webhooks", answer({"data": [hook()], "next_cursor": None}))
    page: JsonValue = {"data": [delivery()], "next_cursor": None}
    relay.script(f"GET {PATH}/deliveries", answer(page))
    relay.script(f"DELETE {PATH}", httpx2.Response(204))
    for _, call, _, told, _ in CALLS:
        relay.script(call, answer(told))

    async def use() -> list[object]:
        async with AsyncClient(
            URL, API_KEY, transport=relay.transport, retry=RetryPolicy(attempts=1)
        ) as client:
            hooks = client.webhooks
            done: list[object] = [(await hooks.create(ADDRESS)).secret]
            done += [found async for found in hooks.list()]
            done += [found async for found in hooks.deliveries(HOOK)]
            done += [await hooks.get(HOOK), (await hooks.disable(HOOK)).disabled_reason]
            done += [await hooks.enable(HOOK), (await hooks.rotate(HOOK)).secret]
            done += [await hooks.test(HOOK), await hooks.delivery(HOOK, EVENT)]
            done += [await hooks.resend(HOOK, EVENT)]
            await hooks.delete(HOOK)
            return done

    assert [
        SECRET,
        WEBHOOK,
        DELIVERY,
        WEBHOOK,
        "requested",
        WEBHOOK,
        SECRET,
        DELIVERY,
        DELIVERY,
        DELIVERY,
    ] == asyncio.run(use())
    assert f"DELETE {PATH}" == relay.seen()[-1]
