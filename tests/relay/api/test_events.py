"""Server-sent events: what flows, how it resumes, and how it ends (PROTOCOL §5)."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.relay.api.harness import NO_SUCH_ID, OTHER_API_KEY, House, ok, refused
from tests.relay.api.harness import house as served

from quorumkey_relay.api.events import event_chunks
from quorumkey_relay.api.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path


pytestmark = pytest.mark.anyio


@dataclass
class Reader:
    """The client's end of a stream."""

    answer: httpx2.Response
    _lines: AsyncIterator[str]

    async def block(self) -> dict[str, str]:
        """The fields of the next block, up to its blank line."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line:
                return fields
            name, _, value = line.partition(": ")
            fields[name] = value
        return fields

    async def event(self) -> tuple[str, str, dict[str, Any]]:
        """Id, type and body of the next event."""
        block = await self.block()
        assert block.keys() == {"id", "event", "data"}
        return block["id"], block["event"], json.loads(block["data"])


@asynccontextmanager
async def following(
    house: House, *, after: str | None = None, key: dict[str, str] | None = None
) -> AsyncGenerator[Reader, None]:
    """An open stream, past its preamble."""
    headers = (house.bearer if key is None else key) | ({"Last-Event-ID": after} if after else {})
    async with house.http.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.status_code == 200
        reader = Reader(answer, answer.aiter_lines())
        assert await reader.block() == {"retry": "2000"}
        yield reader


async def test_events_as_they_happen(house: House) -> None:
    """An event arrives with the webhook's type, id and body."""
    async with following(house) as reader:
        device = await house.device("alice")
        identifier, kind, body = await reader.event()
        request = await house.ask(device)
        ok(await house.decide(device, request))
        _, second, end = await reader.event()

    assert reader.answer.headers["content-type"] == "text/event-stream"
    assert reader.answer.headers["cache-control"] == "no-store"
    assert reader.answer.headers["x-request-id"]
    assert len(identifier) == 36
    assert (kind, body["fingerprint"]) == ("device.enrolled", device.fingerprint)
    assert (second, end["request_id"]) == ("mpa.approved", request["request_id"])


async def test_resuming(house: House) -> None:
    """With Last-Event-ID the stream goes on after that event, and misses none."""
    async with following(house) as reader:
        first, second = await house.device("bob"), await house.device("carol")
        seen, _, _ = await reader.event()

    third = await house.device("dora")
    async with following(house, after=seen) as reader:
        missed = [(await reader.event())[2]["fingerprint"] for _ in range(2)]

    assert missed == [second.fingerprint, third.fingerprint]
    assert first.fingerprint not in missed


async def test_unknown_last_event(house: House) -> None:
    """An event that is no longer kept is 410; what is no id at all is 400."""
    headers = house.bearer | {"Last-Event-ID": NO_SUCH_ID}
    gone = await house.http.get("/v1/events", headers=headers)
    malformed = await house.http.get("/v1/events", headers=headers | {"Last-Event-ID": "7"})

    assert refused(gone)[:2] == (410, "cursor_expired")
    assert refused(malformed) == (
        400,
        "invalid_request",
        "Last-Event-ID must be the id of an event.",
    )


async def test_others_events_do_not_show(house: House) -> None:
    """A stream has the events of its own integrator only."""
    other = {"Authorization": f"Bearer {OTHER_API_KEY}"}
    async with following(house, key=other) as theirs, following(house) as ours:
        device = await house.device("erin")
        assert (await ours.event())[2]["fingerprint"] == device.fingerprint

        code = ok(
            await house.http.post("/v1/pairings", json={"approver": {"id": "x"}}, headers=other),
            201,
        )["pairing_code"]
        envelope = await house.enrollment(device, code)
        body = {"envelope": envelope.to_json()}
        ok(await house.http.post("/v1/device/enroll", json=body), 201)

        assert (await theirs.event())[2]["approver"]["id"] == "x"


async def test_streams_end_at_shutdown(tmp_path: Path) -> None:
    """A stream ends properly when the relay goes down, and a long poll answers what is."""
    async with httpx2.AsyncClient(timeout=20, trust_env=False) as client:
        async with served(tmp_path) as house:
            request = await house.ask(await house.device("alice"))
            path = f"{house.url}/v1/requests/{request['request_id']}?wait_seconds=60"
            poll = asyncio.create_task(client.get(path, headers=house.bearer))
            call = client.build_request("GET", f"{house.url}/v1/events", headers=house.bearer)
            stream = await client.send(call, stream=True)

        assert await stream.aread() == b"retry: 2000\n\n"
        assert ok(await poll)["status"] == "pending"


async def none() -> AsyncIterator[Any]:
    """Have no event for as long as anybody waits."""
    await asyncio.Event().wait()
    yield None


async def test_heartbeats() -> None:
    """A quiet stream has a comment now and then, until the client leaves."""
    leaves = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await leaves.wait()
        return {"type": "http.disconnect"}

    chunks = event_chunks(none(), receive, Shutdown(), heartbeat_seconds=0)

    assert [await anext(chunks) for _ in range(3)] == [b"retry: 2000\n\n", b":\n\n", b":\n\n"]
    leaves.set()
    assert [chunk async for chunk in chunks if chunk != b":\n\n"] == []


async def test_the_end_of_the_events() -> None:
    """When the relay has no more events to give, the stream ends."""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def no_more() -> AsyncIterator[Any]:
        nothing: list[Any] = []
        for event in nothing:
            yield event

    assert [chunk async for chunk in event_chunks(no_more(), receive, Shutdown())] == [
        b"retry: 2000\n\n"
    ]
