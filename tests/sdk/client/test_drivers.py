from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.clock import ManualClock
from tests.sdk.relay_double import API_KEY, URL, Phone, RelayDouble, failure

from quorumkey.client import AsyncClient, Client, RetryPolicy
from quorumkey.client._exchange import MAX_ANSWER_BYTES
from quorumkey.errors import TransportError, TransportTimeoutError, UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.sdk.relay_double import Reply

NEVER = RetryPolicy(attempts=1)
READ = "GET /v1/info"


def ask_blocking(relay: RelayDouble) -> str:
    """One call of the blocking client."""
    with Client(URL, API_KEY, transport=relay.transport, retry=NEVER) as client:
        return client.info().version


def ask_awaited(relay: RelayDouble) -> str:
    """One call of the awaited client."""

    async def ask() -> str:
        async with AsyncClient(URL, API_KEY, transport=relay.transport, retry=NEVER) as client:
            return (await client.info()).version

    return asyncio.run(ask())


def oversized(_request: httpx2.Request) -> httpx2.Response:
    """An answer with one byte too many."""
    return httpx2.Response(200, content=b" " * (MAX_ANSWER_BYTES + 1))


def compressed(_request: httpx2.Request) -> httpx2.Response:
    """An answer that unfolds."""
    encoding = {"content-encoding": "gzip"}
    return httpx2.Response(200, content=gzip.compress(b"{}"), headers=encoding)


both = pytest.mark.parametrize("ask", [ask_blocking, ask_awaited])
REQUEST = httpx2.Request("GET", URL)


@both
def test_a_call_is_answered(ask: type[str]) -> None:
    """Both clients read the same answer."""
    assert "1.0" == ask(RelayDouble())


@both
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (httpx2.ConnectError("x"), TransportError),
        (httpx2.ReadError("x"), TransportError),
        (httpx2.ReadTimeout("x"), TransportTimeoutError),
        (httpx2.ConnectTimeout("x"), TransportTimeoutError),
        (oversized, UnexpectedAnswerError),
        (compressed, UnexpectedAnswerError),
    ],
)
def test_no_usable_answer(ask: type[str], reply: Reply, kind: type[Exception]) -> None:
    """A broken connection, a timeout, an oversized and a compressed answer are our errors."""
    relay = RelayDouble()
    relay.script(READ, reply)

    with pytest.raises(kind):
        ask(relay)


def test_an_answer_that_comes_for_ever_is_a_timeout() -> None:
    """An answer whose pieces never stop coming is given up, though none of them is late."""

    async def pieces() -> AsyncGenerator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b""

    async def ask() -> None:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=pieces()))
        async with AsyncClient(
            URL, API_KEY, transport=transport, retry=NEVER, timeout_seconds=0.001
        ) as client:
            await client.info()

    with pytest.raises(TransportTimeoutError, match="whole"):
        asyncio.run(ask())


def test_requests_ask_for_plain_json() -> None:
    """A call asks for JSON without compression."""
    relay = RelayDouble()

    ask_blocking(relay)

    assert ("application/json", "identity") == (
        relay.calls[0].headers["accept"],
        relay.calls[0].headers["accept-encoding"],
    )


def test_both_clients_pause_between_attempts() -> None:
    """Both clients sleep as the retry policy says."""
    clock = ManualClock()
    retry = RetryPolicy(base_seconds=1, jitter=lambda: 0.5)
    relay = RelayDouble()
    relay.script(READ, failure(503, "store_unavailable"), httpx2.ReadError("x"))
    with Client(URL, API_KEY, transport=relay.transport, sleep=clock.sleep, retry=retry) as client:
        client.info()

    async def ask() -> None:
        relay.script(READ, failure(503, "store_unavailable"), httpx2.ReadError("x"))
        async with AsyncClient(
            URL, API_KEY, transport=relay.transport, sleep=clock.asleep, retry=retry
        ) as client:
            await client.info()

    asyncio.run(ask())

    assert [1.0, 2.0, 1.0, 2.0] == clock.slept


def test_long_polls_may_take_longer() -> None:
    """The time an answer may take grows by what the call waits for on purpose."""
    relay = RelayDouble()
    stored = relay.ask(Phone("alice"))
    with Client(URL, API_KEY, transport=relay.transport, timeout_seconds=7) as client:
        client.requests.get(stored.document.request_id, wait_seconds=30)

    assert {"connect": 7, "read": 37, "write": 7, "pool": 7} == relay.calls[0].extensions["timeout"]
    assert "wait_seconds=30" == relay.calls[0].url.query.decode()
