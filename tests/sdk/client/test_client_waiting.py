from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.clock import START, ManualClock
from tests.sdk.relay_double import (
    API_KEY,
    URL,
    RelayDouble,
    answer,
    failure,
)

from quorumkey.client import (
    Approved,
    AsyncClient,
    ClientPorts,
    Status,
    group,
)
from quorumkey.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RelayError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quorumkey.client import Outcome
    from quorumkey.protocol import JsonValue

from tests.sdk.client.world import ACTION, ALICE, BOB, World


@pytest.fixture
def world() -> Iterator[World]:
    """A world for one test."""
    made = World()
    yield made
    made.client.close()


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
