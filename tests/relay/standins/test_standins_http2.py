"""HTTP/2 at its edges: streams, windows, GOAWAY, and connections that end badly."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from tests.relay.standins.raw import (
    ALERT,
    Answer,
    RawClient,
    apns_headers,
    connected,
    provider_token,
)

from quorumkey_relay.standins import apns_token

if TYPE_CHECKING:
    from quorumkey_relay.standins import StandIns

pytestmark = pytest.mark.anyio

WINDOW_BYTES = 65_535


class Pusher:
    """Pushes on one raw connection with one provider token."""

    def __init__(self, stands: StandIns, client: RawClient) -> None:
        self._stands = stands
        self._client = client
        self._token = provider_token(stands)

    def push(self, behaviour: str = "ok", number: int = 0, body: bytes = ALERT) -> int:
        """Send one; the stream."""
        headers = apns_headers(self._stands, self._token)
        return self._client.send(headers, body, path=f"/3/device/{apns_token(behaviour, number)}")

    def begin(self) -> int:
        """Send the headers of one, and not the body; the stream."""
        headers = apns_headers(self._stands, self._token)
        return self._client.begin(headers, path=f"/3/device/{apns_token()}")


async def test_one_stream_until_a_good_token(stands: StandIns) -> None:
    """A new connection says MAX_CONCURRENT_STREAMS 1, and 1,000 once a token was good."""
    async with connected(stands, stands.apns.url) as client:
        first = client.settings[0][SettingCodes.MAX_CONCURRENT_STREAMS]
        await client.answer(Pusher(stands, client).push())
        await client.until(lambda: len(client.settings) > 1)

    assert (1, {SettingCodes.MAX_CONCURRENT_STREAMS: 1_000}) == (first, client.settings[1])


async def test_a_bad_token_leaves_one_stream(stands: StandIns) -> None:
    """An answer to a request whose provider token is bad widens nothing."""
    headers = apns_headers(stands, "bearer nonsense")
    async with connected(stands, stands.apns.url) as client:
        await client.answer(client.send(headers, ALERT, path=f"/3/device/{apns_token()}"))
        await client.answer(client.send(headers, ALERT, path=f"/3/device/{apns_token()}"))

    assert 1 == len(client.settings)


async def test_more_streams_are_refused(stands: StandIns) -> None:
    """A second stream before the first answer gets RST_STREAM with REFUSED_STREAM."""
    async with connected(stands, stands.apns.url) as client:
        # What the peer was told is what it would keep to; this one does not.
        client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        client.h2.remote_settings.acknowledge()
        pusher = Pusher(stands, client)
        waiting, refused = pusher.begin(), pusher.push()
        answer = await client.answer(refused)
        client.h2.send_data(waiting, ALERT, end_stream=True)
        client.flush()
        first = await client.answer(waiting)

    assert (ErrorCodes.REFUSED_STREAM, 200) == (answer.reset, first.status)
    assert 1 == stands.apns.counters.refused_streams
    assert 1 == stands.apns.counters.accepted


async def test_a_grace_for_tests_allows_all_at_once(stands: StandIns) -> None:
    """Without ``first_success_streams`` a connection says at once how many it allows."""
    stands.apns.faults.first_success_streams = False
    stands.apns.faults.max_streams = 7
    async with connected(stands, stands.apns.url) as client:
        pass

    assert 7 == client.settings[0][SettingCodes.MAX_CONCURRENT_STREAMS]


async def test_its_windows_are_64_kib(stands: StandIns) -> None:
    """It grants windows of 65,535 bytes, and gives back what it has read."""
    stands.apns.faults.first_success_streams = False
    async with connected(stands, stands.apns.url) as client:
        granted = client.h2.outbound_flow_control_window
        pusher = Pusher(stands, client)
        for number in range(40):
            await client.answer(pusher.push(number=number, body=ALERT[:-1] + b" " * 3_000 + b"}"))

    assert WINDOW_BYTES == granted
    assert WINDOW_BYTES == client.settings[0][SettingCodes.INITIAL_WINDOW_SIZE]
    assert 40 == stands.apns.counters.accepted


async def test_a_smaller_window_can_be_asked_for(stands: StandIns) -> None:
    """``window_bytes`` is what each stream's window begins with."""
    stands.apns.faults.window_bytes = 100
    async with connected(stands, stands.apns.url) as client:
        stream = Pusher(stands, client).begin()
        window = client.h2.local_flow_control_window(stream)

    assert 100 == window


async def test_bodies_wait_for_the_peers_window(stands: StandIns) -> None:
    """Answers stop at the 65,535th byte of their bodies, and go on after WINDOW_UPDATE."""
    stands.apns.faults.first_success_streams = False
    fitting = WINDOW_BYTES // 51
    async with connected(stands, stands.apns.url) as client:
        pusher = Pusher(stands, client)
        for first in range(0, fitting + 10, 400):
            for number in range(first, min(first + 400, fitting + 10)):
                pusher.push("Unregistered", number)
            await client.until(lambda: all(one.status for one in client.answers.values()))
        got = sum(len(answer.body) for answer in client.answers.values())
        ended = sum(answer.has_ended for answer in client.answers.values())
        client.h2.increment_flow_control_window(10_000)
        client.flush()
        await client.until(lambda: all(one.has_ended for one in client.answers.values()))

    assert (WINDOW_BYTES, fitting) == (got, ended)


async def test_a_graceful_goaway_answers_what_it_names(stands: StandIns) -> None:
    """Streams up to the last one that GOAWAY names are answered, later ones never."""
    faults = stands.apns.faults
    faults.first_success_streams = False
    faults.goaway_after = 2
    faults.goaway_reason = "Shutdown"
    faults.delay_seconds = 0.05
    async with connected(stands, stands.apns.url) as client:
        pusher = Pusher(stands, client)
        first, second, third = (pusher.push(number=number) for number in range(3))
        statuses = [(await client.answer(stream)).status for stream in (first, second)]
        await client.until(lambda: client.is_closed)

    assert client.goaway is not None
    assert (ErrorCodes.NO_ERROR, second) == (client.goaway.error_code, client.goaway.last_stream_id)
    assert {"reason": "Shutdown"} == json.loads(client.goaway.additional_data or b"")
    assert [200, 200] == statuses
    assert not client.answers[third].has_ended
    counters = stands.apns.counters
    assert (1, 2, 1) == (counters.goaways, counters.accepted, counters.unprocessed)


async def test_a_goaway_on_demand(stands: StandIns) -> None:
    """``go_away`` ends an idle connection by GOAWAY."""
    async with connected(stands, stands.apns.url) as client:
        await client.answer(Pusher(stands, client).push())
        stands.apns.go_away()
        await client.until(lambda: client.goaway is not None)


async def test_a_lost_connection_answers_nothing(stands: StandIns) -> None:
    """``lose_connection_after`` drops the connection at that request, which is unanswered."""
    stands.apns.faults.lose_connection_after = 2
    async with connected(stands, stands.apns.url) as client:
        pusher = Pusher(stands, client)
        await client.answer(pusher.push())
        lost = pusher.push(number=1)
        await client.until(lambda: client.is_closed)

    assert not client.answers[lost].has_ended
    counters = await stands.apns.until(lambda counters: counters.open_connections == 0)
    assert (1, 1) == (counters.accepted, counters.unanswered)


async def test_half_a_request_is_counted(stands: StandIns) -> None:
    """HEADERS whose body never came are half open when their connection ends."""
    async with connected(stands, stands.apns.url) as client:
        Pusher(stands, client).begin()
        await stands.apns.until(lambda counters: counters.streams == 1)
    counters = await stands.apns.until(lambda counters: counters.open_connections == 0)

    assert (1, 0) == (counters.half_open, counters.unanswered)


async def test_a_cancelled_push_is_counted(stands: StandIns) -> None:
    """RST_STREAM by the sender ends a stream without harm to the connection."""
    async with connected(stands, stands.apns.url) as client:
        pusher = Pusher(stands, client)
        silent = pusher.push("silent")
        await stands.apns.until(lambda counters: counters.unanswered == 1)
        client.h2.reset_stream(silent, ErrorCodes.CANCEL)
        client.flush()
        answer = await client.answer(pusher.push())

    assert 200 == answer.status
    assert (1, 1) == (stands.apns.counters.cancelled, stands.apns.counters.unanswered)


async def test_an_idle_connection_is_closed(stands: StandIns) -> None:
    """``idle_close_seconds`` after the last answer the connection ends by GOAWAY."""
    stands.apns.faults.idle_close_seconds = 0.01
    async with connected(stands, stands.apns.url) as client:
        await client.until(lambda: client.goaway is not None)


async def test_a_service_that_is_down_refuses_connections(stands: StandIns) -> None:
    """``is_down`` loses connections and refuses new ones, until it is lifted on the same port."""
    async with connected(stands, stands.apns.url) as client:
        stands.apns.faults.is_down = True
        await client.until(lambda: client.is_closed)
    with pytest.raises(OSError, match="Connect"):
        async with connected(stands, stands.apns.url):
            pass
    stands.apns.faults.is_down = False
    async with connected(stands, stands.apns.url) as client:
        answer = await client.answer(Pusher(stands, client).push())

    assert 200 == answer.status


async def test_malformed_headers_reset_the_stream(stands: StandIns) -> None:
    """A request without ``:path`` is a malformed one (RFC 9113, section 8.1.1)."""
    async with connected(stands, stands.apns.url) as client:
        client.h2.config.validate_outbound_headers = False
        stream = client.h2.get_next_available_stream_id()
        answer = client.answers[stream] = Answer()
        client.h2.send_headers(stream, [(":method", "POST"), (":scheme", "https")], end_stream=True)
        client.flush()
        await client.answer(stream)

    assert ErrorCodes.PROTOCOL_ERROR == answer.reset


async def test_nonsense_ends_the_connection(stands: StandIns) -> None:
    """What is no frame is answered by GOAWAY with an error."""
    async with connected(stands, stands.apns.url) as client:
        client.write(b"\0\0\1\0\0\0\0\0\1x")  # DATA on a stream that nobody opened
        await client.until(lambda: client.is_closed)

    assert client.goaway is not None
    assert ErrorCodes.NO_ERROR != client.goaway.error_code


async def test_a_busy_connection_says_how_busy(stands: StandIns) -> None:
    """``most_concurrent`` is the most streams that one connection had open."""
    stands.apns.faults.first_success_streams = False
    stands.apns.faults.delay_seconds = 0.05
    async with connected(stands, stands.apns.url) as client:
        pusher = Pusher(stands, client)
        await asyncio.gather(*(client.answer(pusher.push(number=one)) for one in range(9)))

    assert 9 == stands.apns.counters.most_concurrent
