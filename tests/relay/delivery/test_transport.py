"""The HTTP client below pushes and webhooks: what is an answer, and what is known without one."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import pytest
from tests.contract.push_rigs import APNS, Rig, rig

from quorumkey_relay.delivery.transport import (
    MAX_ANSWER_BYTES,
    Answer,
    HttpClient,
    TransportFailed,
    extra_roots,
    http2_client,
    pinned_client,
)
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.standins import apns_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


pytestmark = pytest.mark.anyio


@pytest.fixture
async def apple(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """A server of HTTP/2 that misbehaves as told: the stand-in for Apple."""
    del anyio_backend
    async with rig(APNS, tmp_path) as ready:
        ready.stand.faults.first_success_streams = False
        yield ready


@pytest.fixture
async def client(apple: Rig) -> AsyncGenerator[HttpClient, None]:
    """A client that trusts it."""
    opened = http2_client(roots=apple.stands.files.ca_file.read_bytes())
    yield opened
    await opened.close()


async def call(
    apple: Rig, client: HttpClient, behaviour: str = "ok", *, timeout_seconds: float = 5.0
) -> Answer:
    """Send something that the server treats as told; it is refused before that for its form."""
    return await client.post(
        f"{apple.stand.url}/3/device/{apns_token(behaviour)}",
        headers={
            "apns-topic": apple.stands.files.apns_topic,
            "apns-push-type": "alert",
            "authorization": await credential(apple),
        },
        body=b'{"aps":{"alert":"hello"}}',
        timeout_seconds=timeout_seconds,
    )


async def credential(apple: Rig) -> str:
    """A provider token that the server takes."""
    if not apple.stand.received:
        await apple.send()
    return apple.stand.received[0].headers["authorization"]


async def failure(
    apple: Rig, client: HttpClient, behaviour: str, *, timeout_seconds: float = 5.0
) -> TransportFailed:
    """What a call fails with."""
    with pytest.raises(TransportFailed) as caught:
        await call(apple, client, behaviour, timeout_seconds=timeout_seconds)
    return caught.value


async def test_an_answer(apple: Rig, client: HttpClient) -> None:
    """Status, headers by lower-case name, and body."""
    answer = await call(apple, client, "BadPriority")

    assert (400, b'{"reason":"BadPriority"}') == (answer.status, answer.body)
    assert all(name == name.lower() for name in answer.headers)
    assert answer.headers.get("nothing-like-it") is None


async def test_a_stream_that_is_reset(apple: Rig, client: HttpClient) -> None:
    """The server may have acted before: nobody knows."""
    failed = await failure(apple, client, "reset")

    assert ("broken", None) == (failed.reason, failed.processed)


async def test_a_connection_that_is_lost_after_sending(apple: Rig, client: HttpClient) -> None:
    """The same, though the library calls it a failure to connect."""
    failed = await failure(apple, client, "close")

    assert ("broken", None) == (failed.reason, failed.processed)


async def test_an_answer_that_does_not_come(apple: Rig, client: HttpClient) -> None:
    """The caller's time is over; nobody knows."""
    failed = await failure(apple, client, "silent", timeout_seconds=0.3)

    assert ("timeout", None) == (failed.reason, failed.processed)


async def test_no_time_at_all(apple: Rig, client: HttpClient) -> None:
    """Nothing is sent."""
    failed = await failure(apple, client, "ok", timeout_seconds=0.0)

    assert ("timeout", False) == (failed.reason, failed.processed)


async def test_nobody_listens(apple: Rig, client: HttpClient) -> None:
    """Without a connection nothing was processed."""
    await credential(apple)
    apple.stand.faults.is_down = True

    failed = await failure(apple, client, "ok")

    assert ("unreachable", False) == (failed.reason, failed.processed)


async def test_a_certificate_of_nobody_we_trust(apple: Rig) -> None:
    """Without the root the server is not reached; nothing was sent."""
    stranger = http2_client(roots=None)
    await credential(apple)

    failed = await failure(apple, stranger, "ok")

    assert ("unreachable", False) == (failed.reason, failed.processed)
    await stranger.close()


async def test_a_refused_stream_was_not_processed(apple: Rig, client: HttpClient) -> None:
    """The library sends it three times in all; then it is known that it was not processed."""
    await credential(apple)
    apple.stand.faults.goaway_after = 1
    calls = [asyncio.create_task(call_or_failure(apple, client)) for _ in range(30)]

    outcomes = await asyncio.gather(*calls)

    known = {(one.reason, one.processed) for one in outcomes if isinstance(one, TransportFailed)}
    assert known <= {("broken", False)}
    answered = sum(isinstance(one, Answer) for one in outcomes)
    assert known
    assert apple.stand.counters.accepted - 1 == answered > 0


async def call_or_failure(apple: Rig, client: HttpClient) -> Answer | TransportFailed:
    """What comes of a call."""
    try:
        return await call(apple, client)
    except TransportFailed as failed:
        return failed


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("nonsense", {}),
        ("https://localhost:1/", {"name": "two\r\nlines"}),
        ("https://localhost:1/", {"no name": "value"}),
    ],
    ids=["url", "header-value", "header-name"],
)
async def test_what_http_cannot_carry(
    client: HttpClient, url: str, headers: dict[str, str]
) -> None:
    """An address or a header that is none fails as all else does; nothing was sent."""
    with pytest.raises(TransportFailed) as caught:
        await client.post(url, headers=headers, body=b"", timeout_seconds=1.0)

    assert ("broken", False) == (caught.value.reason, caught.value.processed)


async def test_no_failure_shows_the_address(apple: Rig, client: HttpClient) -> None:
    """The library's messages have the URL, which is a secret: none of them comes along."""
    failed = await failure(apple, client, "close")

    text = "".join(traceback.format_exception(failed)) + repr(failed) + repr(failed.__context__)
    assert apns_token("close") not in text


@asynccontextmanager
async def serving(handle: Handler) -> AsyncGenerator[int, None]:
    """A plain server on loopback, by its port; what it still does ends with the block."""
    tasks: set[asyncio.Future[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_answers_are_read_to_a_limit() -> None:
    """Of an endless answer no more than the limit is kept."""
    client = pinned_client(host="localhost", address="127.0.0.1", roots=None)
    async with serving(_endless) as port:
        answer = await client.post(
            f"http://localhost:{port}/", headers={}, body=b"", timeout_seconds=5.0
        )
        await client.close()

    assert (200, MAX_ANSWER_BYTES) == (answer.status, len(answer.body))


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    writer.write(b"x" * 500_000)
    await _until_closed(reader, writer)


async def _until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read()
    finally:
        writer.transport.abort()


async def test_redirects_are_not_followed() -> None:
    """An answer that sends elsewhere is the answer; cookies and referers are not kept."""
    seen: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\n"
            b"set-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
        )
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await _until_closed(reader, writer)

    client = pinned_client(host="localhost", address="127.0.0.1", roots=None)
    async with serving(elsewhere) as port:
        url = f"http://localhost:{port}/"
        first = await client.post(url, headers={}, body=b"", timeout_seconds=5.0)
        second = await client.post(url, headers={}, body=b"", timeout_seconds=5.0)
        await client.close()

    assert (307, 200) == (first.status, second.status)
    for request in seen:
        lines = request.lower().splitlines()
        assert lines[0] == b"post / http/1.1"
        assert not [one for one in lines if one.startswith((b"cookie", b"referer", b"accept-enc"))]


async def test_the_environment_s_proxies_are_not_asked(
    apple: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a proxy would be configured for everybody, the relay's calls go straight."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    direct = http2_client(roots=apple.stands.files.ca_file.read_bytes())

    assert (await call(apple, direct)).status == 200
    await direct.close()


async def test_a_pinned_client_asks_no_resolver() -> None:
    """A name that no resolver knows is reached at the address that was given for it."""
    pinned = pinned_client(host="push.invalid", address="127.0.0.1", roots=None)
    async with serving(_endless) as port:
        answer = await pinned.post(
            f"http://push.invalid:{port}/", headers={}, body=b"", timeout_seconds=5.0
        )
        await pinned.close()

    assert answer.status == 200


async def test_a_pinned_client_wants_its_host_s_certificate(apple: Rig) -> None:
    """At that address, another host's certificate is refused."""
    roots = apple.stands.files.ca_file.read_bytes()
    pinned = pinned_client(host="push.invalid", address="127.0.0.1", roots=roots)
    port = apple.stand.url.rsplit(":", 1)[1]

    with pytest.raises(TransportFailed) as caught:
        await pinned.post(
            f"https://push.invalid:{port}/", headers={}, body=b"", timeout_seconds=5.0
        )

    assert ("unreachable", False) == (caught.value.reason, caught.value.processed)
    await pinned.close()


async def test_a_caller_that_is_cancelled_harms_no_other(apple: Rig, client: HttpClient) -> None:
    """Half of the callers give up; the others are answered, over the same connection."""
    await call(apple, client)
    apple.stand.faults.delay_seconds = 0.2
    calls = [asyncio.create_task(call(apple, client)) for _ in range(40)]
    await apple.stand.until(lambda counters: counters.streams == 42)

    for given_up in calls[::2]:
        given_up.cancel()

    assert {200} == {(await one).status for one in calls[1::2]}
    assert apple.stand.counters.connections == 2  # one is the channel's own


async def test_a_retired_client_ends_its_calls(apple: Rig, client: HttpClient) -> None:
    """It closes once they are answered; a client without calls closes at once."""
    await call(apple, client)
    apple.stand.faults.delay_seconds = 0.2
    under_way = asyncio.create_task(call(apple, client))
    await apple.stand.until(lambda counters: counters.streams == 3)

    await client.retire()

    assert (await under_way).status == 200
    failed = await failure(apple, client, "ok")
    assert failed.reason == "broken"


async def test_closing_ends_calls_under_way(apple: Rig, client: HttpClient) -> None:
    """They fail, and nobody knows whether they were processed."""
    await call(apple, client)
    under_way = asyncio.create_task(failure(apple, client, "silent"))
    await apple.stand.until(lambda counters: counters.streams == 3)

    await client.close()

    failed = await under_way
    assert ("broken", None) == (failed.reason, failed.processed)


def test_no_file_means_no_roots() -> None:
    """Only the public roots count then."""
    assert extra_roots(None) is None


async def test_every_certificate_of_the_file_counts(apple: Rig, tmp_path: Path) -> None:
    """What stands around the certificates is left out."""
    text = apple.stands.files.ca_file.read_bytes()
    path = tmp_path / "roots.pem"
    path.write_bytes(b"# ours\n" + text + b"# and again\n" + text)

    roots = extra_roots(path)

    assert roots is not None
    assert roots.count(b"BEGIN CERTIFICATE") == 2
    assert b"ours" not in roots


@pytest.mark.parametrize("text", [b"", b"nonsense"], ids=["empty", "no-pem"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, text: bytes) -> None:
    """The library would pass over it in silence; the start must not."""
    path = tmp_path / "roots.pem"
    path.write_bytes(text)

    with pytest.raises(ConfigError, match="must hold certificates in PEM"):
        extra_roots(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The start fails with the file's name."""
    with pytest.raises(ConfigError, match="cannot be read"):
        extra_roots(tmp_path / "nothing.pem")
