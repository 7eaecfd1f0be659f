"""HTTP/1.1 on the wire: what is no request, what is too large or too late, and what is allowed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.wire import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

INFO = b"GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n"


async def sent(house: House, *parts: bytes, end: bool = False) -> bytes:
    """What the relay answers to these bytes until it closes; ``end`` ends the client's side."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.relay.settings.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if end:
            writer.write_eof()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def refusal(answer: bytes) -> tuple[str, str]:
    """Code and message of a 400 that has the form of every refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "http/1.1 400 bad request"
    names = {line.partition(":")[0] for line in lines[1:]}
    assert {"x-request-id", "content-length", "date", "connection", "cache-control"} <= names
    error = json.loads(body)["error"]
    return error["code"], error["message"]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: relay\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_request(house: House, data: bytes) -> None:
    """Bytes that are no HTTP/1.1 request are answered 400 in the form of every refusal."""
    assert refusal(await sent(house, data)) == (
        "invalid_request",
        "Invalid HTTP request received.",
    )


def handshake(more: bytes = b"") -> bytes:
    """A handshake that would be right, with more headers."""
    return (
        b"GET /v1/device/stream HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\n"
        b"upgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"sec-websocket-protocol: quorumkey.v1\r\nsec-websocket-version: 13\r\n" + more + b"\r\n"
    )


@pytest.mark.parametrize(
    "data",
    [
        handshake().replace(b"GET", b"POST"),
        handshake().replace(b"sec-websocket-version: 13", b"sec-websocket-version: 12"),
        handshake().replace(b"AAAAAAAAAAAAAAAAAAAAAA==", b"short"),
        handshake(b"x-filler: " + b"y" * 9_000 + b"\r\n"),
        handshake(b"x-filler: 1\r\n" * 200),
    ],
    ids=["method", "version", "key", "long header", "many headers"],
)
async def test_what_is_no_handshake(house: House, data: bytes) -> None:
    """A handshake that RFC 6455 does not allow is answered 400 in the form of every refusal."""
    assert refusal(await sent(house, data)) == (
        "invalid_request",
        "This is no WebSocket handshake that the relay understands (RFC 6455).",
    )


@pytest.mark.parametrize(
    "frame",
    [b"\x81\x05hello", b"\xff\xff\xff\xff", b"\x81\x82\x00\x00\x00\x00\xff\xff"],
    ids=["unmasked", "reserved bits", "no UTF-8"],
)
async def test_what_is_no_frame(house: House, frame: bytes) -> None:
    """Bytes that are no frame of RFC 6455 close the socket, and nothing else breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.relay.settings.port)
    writer.write(handshake())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(frame)
    await reader.read()
    writer.close()

    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert (await house.http.get("/healthz")).status_code == 200


async def test_another_upgrade(house: House) -> None:
    """An upgrade to something else is passed over, as RFC 9110 allows."""
    answer = await sent(
        house,
        b"GET /healthz HTTP/1.1\r\nhost: relay\r\nconnection: upgrade, http2-settings\r\n"
        b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
        end=True,
    )

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_endless_head(house: House) -> None:
    """A head that does not end is refused after its bound."""
    lines = b"x-filler: " + b"y" * 8_000 + b"\r\n"
    parts = [b"GET /healthz HTTP/1.1\r\n", *[lines] * (300_000 // len(lines))]

    answer = await sent(house, *parts)

    assert len(b"".join(parts)) > MAX_HEAD_BYTES
    if answer:  # what is still being sent may reset the connection before it is read
        assert refusal(answer) == ("invalid_request", "The head of the request is too large.")


async def test_an_endless_header(house: House) -> None:
    """One header that does not end is bounded as well."""
    parts = [b"GET /healthz HTTP/1.1\r\nx-filler: ", *[b"y" * 30_000] * 10]

    answer = await sent(house, *parts)

    if answer:
        assert refusal(answer) == ("invalid_request", "The head of the request is too large.")


async def test_a_request_in_small_pieces(house: House) -> None:
    """A request that arrives byte by byte is answered like any other."""
    head = b"GET /healthz HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n"

    answer = await sent(house, *(bytes((byte,)) for byte in head))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_requests_one_after_the_other(house: House) -> None:
    """Requests sent at once on one connection are answered in order."""
    last = INFO.replace(b"/healthz", b"/readyz").replace(
        b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"
    )

    answer = await sent(house, INFO + INFO + last)

    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.endswith(b'{"status":"ready"}')


async def test_a_client_that_asks_before_it_sends(house: House) -> None:
    """Expect: 100-continue is answered, so that the body comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.relay.settings.port)
    writer.write(
        b"POST /v1/device/challenge HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n"
        b"content-type: application/json\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")

    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


@pytest.mark.parametrize(
    "head",
    [b"content-length: 20\r\n", b"transfer-encoding: chunked\r\n"],
    ids=["announced", "chunked"],
)
@pytest.mark.parametrize("start", [b"", b"5\r\n{}   \r\n"], ids=["nothing", "a part"])
async def test_a_client_that_leaves_in_the_middle(house: House, head: bytes, start: bytes) -> None:
    """A client that leaves before its body is complete gets no answer, and nothing breaks."""
    request = (
        b"POST /v1/device/challenge HTTP/1.1\r\nhost: relay\r\n"
        b"content-type: application/json\r\n" + head + b"\r\n" + start
    )

    assert await sent(house, request, end=True) == b""
    assert (await house.http.get("/healthz")).status_code == 200


async def test_a_request_that_does_not_arrive(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection on which no whole request arrives in time is closed."""
    monkeypatch.setattr("quorumkey_relay.wire.ARRIVAL_SECONDS", 0.0)

    assert await sent(house, b"GET /healthz HT") == b""
    assert await sent(house) == b""


async def test_a_body_that_does_not_arrive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs for a second request on a connection too, up to the end of its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.relay.settings.port)
    writer.write(INFO)
    await reader.readuntil(b'{"status":"ok"}')
    monkeypatch.setattr("quorumkey_relay.wire.ARRIVAL_SECONDS", 0.0)
    writer.write(b"POST /v1/device/challenge HTTP/1.1\r\ncontent-length: 2\r\n\r\n{")

    assert await reader.read() == b""
    writer.close()
