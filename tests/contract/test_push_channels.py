"""What every push channel does, whatever library it sends through: the faults a sender survives.

Counters are the stand-in's own. A library's known failures stand in its `Implementation`, and are
expected here: one that is mended makes its test fail until it is taken off the list.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest
from tests.contract.push_rigs import IMPLEMENTATIONS, Implementation, Rig, rig
from tests.contract.push_rigs_web import WEB

from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.standins import Counters

pytestmark = pytest.mark.anyio

# A push that nothing answers ends with its message, so a library that hangs costs a test so long.
SHORT_SECONDS = 3


@pytest.fixture(
    params=[
        pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.is_slow else [])
        for one in (*IMPLEMENTATIONS, *WEB)
    ]
)
def implementation(request: pytest.FixtureRequest) -> Implementation:
    """Each implementation in turn; what it is known to fail is expected to fail."""
    chosen: Implementation = request.param
    failure = chosen.known_failures.get(request.function.__name__)
    if failure is not None:
        request.applymarker(pytest.mark.xfail(strict=True, reason=failure))
    return chosen


@pytest.fixture
async def push(
    implementation: Implementation, tmp_path: Path, anyio_backend: object
) -> AsyncGenerator[Rig, None]:
    """A channel and its stand-in."""
    del anyio_backend
    async with rig(implementation, tmp_path) as ready:
        yield ready


async def outcomes(push: Rig, messages: Iterable[Message]) -> Counter[str]:
    """Send all at once; return how often each kind of outcome came."""
    sent = await asyncio.gather(*(push.channel.send(one) for one in messages))
    return Counter(type(one).__name__ for one in sent)


def burst(
    push: Rig, count: int, condition: str = "ok", *, lifetime_seconds: int = SHORT_SECONDS
) -> list[Message]:
    """Messages of different requests to different devices, which do not wait for ever."""
    return [
        push.message(condition, number, lifetime_seconds=lifetime_seconds)
        for number in range(count)
    ]


def pushes(counters: Counters) -> int:
    """The streams that pushes came on; access tokens are asked for on others."""
    return counters.streams - counters.token_requests


# Outcomes


async def test_a_push_that_is_taken_is_accepted(push: Rig) -> None:
    """A live device's push is accepted, and says what it is about."""
    outcome = await push.send("ok", 7)

    assert Accepted() == outcome
    (received,) = push.stand.received
    about = received.payload if "type" in received.payload else data_of(received.payload)
    assert ("approval_request", push.message("ok", 7).delivery.request_id) == (
        about["type"],
        about["request_id"],
    )


def data_of(payload: dict[str, object]) -> dict[str, object]:
    """The ``data`` of a message for Google."""
    sent = cast("dict[str, dict[str, object]]", payload["message"])
    return sent["data"]


async def test_a_withdrawal_is_accepted(push: Rig) -> None:
    """A message that a request is closed goes the same way."""
    outcome = await push.channel.send(push.message("ok", kind="request_resolved"))

    assert Accepted() == outcome


async def test_a_dead_device_is_gone(push: Rig) -> None:
    """What the provider says about a device that is gone reaches the worker."""
    outcome = await push.send("gone")

    assert isinstance(outcome, Gone)


async def test_a_busy_provider_is_tried_again(push: Rig) -> None:
    """A provider that cannot take anything now is asked again; it has not acted on the push."""
    outcome = await push.send("busy")

    assert isinstance(outcome, Retry)
    assert not outcome.ambiguous


async def test_a_bad_credential_is_ours(push: Rig) -> None:
    """What is wrong with our credential is held against nobody's address."""
    outcome = await push.send("our credential")

    assert isinstance(outcome, Misconfigured)


async def test_a_wrong_message_is_not_sent_again(push: Rig) -> None:
    """A push that the provider finds wrong is given up, and no address is to blame."""
    outcome = await push.send("wrong message")

    assert isinstance(outcome, Rejected)
    assert outcome.tolerated is None


async def test_a_provider_that_is_down_is_tried_again(push: Rig) -> None:
    """A provider that cannot be reached has not acted on anything."""
    push.stand.faults.is_down = True

    outcome = await push.send()

    assert Retry(None, "unreachable") == outcome


async def test_silence_ends_with_the_message(push: Rig) -> None:
    """A push that is not answered ends when its message does, and may have arrived."""
    outcome = await push.channel.send(push.message("silent", lifetime_seconds=1))

    assert Retry(None, "timeout", ambiguous=True) == outcome


# The acceptance list


async def test_row_1_thousands_of_refusals_with_bodies(push: Rig) -> None:
    """Bodies of refusals use up no flow-control window: all 3,000 are answered."""
    patience = push.implementation.crowd_seconds
    kinds = await outcomes(push, burst(push, 3_000, "gone", lifetime_seconds=patience))

    assert Counter(Gone=3_000) == kinds
    assert pushes(push.stand.counters) == 3_000


async def test_row_2_reset_streams(push: Rig) -> None:
    """A stream that is reset is an outcome at once, and frees its slot."""
    sent = await asyncio.gather(*(push.channel.send(one) for one in burst(push, 20, "reset")))

    assert {Retry(None, "broken", ambiguous=True)} == set(sent)
    assert await push.send() == Accepted()


@pytest.mark.parametrize("condition", ["empty", "html"])
async def test_row_3_answers_without_json(push: Rig, condition: str) -> None:
    """A 5xx with an empty body, or with a page of HTML, is a provider that is busy."""
    sent = await asyncio.gather(*(push.channel.send(one) for one in burst(push, 5, condition)))

    assert {"Retry"} == {type(one).__name__ for one in sent}
    assert not any(isinstance(one, Retry) and one.ambiguous for one in sent)


async def cancel_one_of(push: Rig, count: int) -> list[asyncio.Task[Outcome]]:
    """Send so many and cancel one while all are in flight; return the others."""
    push.stand.faults.delay_seconds = 0.2
    tasks = [asyncio.create_task(push.channel.send(one)) for one in burst(push, count + 1)]
    await push.stand.until(lambda counters: pushes(counters) == count + 1 + 1)
    tasks.pop(count // 2).cancel()
    return tasks


async def test_row_4_one_caller_is_cancelled(push: Rig) -> None:
    """A caller that gives up harms none of the others: each is answered, none is sent twice."""
    assert await push.send("ok", 1_000) == Accepted()

    others = await cancel_one_of(push, 50)

    assert {Accepted()} == set(await asyncio.gather(*others))
    assert (push.stand.counters.resends, push.stand.counters.duplicates) == (0, 0)
    assert push.stand.counters.connections == 1


async def test_row_5_one_caller_is_cancelled_and_the_connection_lost(push: Rig) -> None:
    """After both, every other caller has an outcome, and the next push is accepted."""
    assert await push.send("ok", 1_000) == Accepted()

    others = await cancel_one_of(push, 50)
    push.stand.lose_connections()

    assert {Retry(None, "broken", ambiguous=True)} == set(await asyncio.gather(*others))
    assert await push.send("ok", 2_000) == Accepted()


async def test_row_6_graceful_goaways(push: Rig) -> None:
    """Connections that end after 100 requests each cost no push and repeat none."""
    push.stand.faults.goaway_after = 100

    kinds = await outcomes(push, burst(push, 300))

    assert Counter(Accepted=300) == kinds
    assert (push.stand.counters.accepted, push.stand.counters.duplicates) == (300, 0)


async def test_row_7_the_same_message_twice_in_flight(push: Rig) -> None:
    """Two sends of one message are answered both."""
    same = push.message("ok", lifetime_seconds=SHORT_SECONDS)

    kinds = await outcomes(push, (same, same))

    assert Counter(Accepted=2) == kinds


async def test_row_8_a_burst_into_a_small_window(push: Rig) -> None:
    """A burst that is larger than the window waits for it: nothing is begun and left half open."""
    assert await push.send("ok", 1_000) == Accepted()

    kinds = await outcomes(push, burst(push, 500))

    counters = push.stand.counters
    assert Counter(Accepted=500) == kinds
    assert (pushes(counters), counters.half_open, counters.duplicates) == (501, 0, 0)


async def test_row_9_one_stream_until_the_first_answer(push: Rig) -> None:
    """A burst on a new connection that allows one stream at first is accepted, each push once."""
    kinds = await outcomes(push, burst(push, 50))

    counters = push.stand.counters
    assert Counter(Accepted=50) == kinds
    assert (pushes(counters), counters.accepted, counters.refused_streams) == (50, 50, 0)
    assert counters.connections == 1


async def test_row_10_a_quiet_hour(push: Rig) -> None:
    """Time without pushes costs neither a new connection nor a new credential."""
    assert await push.send("ok", 1) == Accepted()

    await push.implementation.quiet(push)

    assert await push.send("ok", 2) == Accepted()
    assert (push.stand.counters.connections, push.stand.counters.credentials) == (1, 1)


async def test_row_11_nothing_is_kept_of_pushes_that_are_over(push: Rig) -> None:
    """Thousands of accepted pushes leave no memory behind in the sender."""
    tracemalloc.start()
    try:
        sizes = list[int]()
        for _ in range(6):
            await outcomes(push, burst(push, 250))
            sizes.append(held(push))
    finally:
        tracemalloc.stop()

    # Two rounds of 250 pushes; whoever keeps an entry for each keeps 64 bytes and more of it. What
    # fills up to the number in flight and is used again comes to less.
    assert max(sizes[4:]) - max(sizes[:4]) < 2 * 250 * 64


def held(push: Rig) -> int:
    """Bytes that the relay's own code and the library hold on to."""
    push.stand.reset()
    gc.collect()
    wanted = ("*/quorumkey_relay/delivery/*", "*/aioapns/*", "*/pyreqwest/*", "*/pyfcm/*")
    filters = [tracemalloc.Filter(inclusive=True, filename_pattern=one) for one in wanted]
    snapshot = tracemalloc.take_snapshot().filter_traces(filters)
    return sum(trace.size for trace in snapshot.traces)


async def test_row_12_thousands_wait_for_few_streams(push: Rig) -> None:
    """Far more pushes than the connection has streams are all accepted, one after another."""
    push.stand.faults.max_streams = 100
    messages = [push.message("ok", number) for number in range(2_000)]

    kinds = await outcomes(push, messages)

    counters = push.stand.counters
    assert Counter(Accepted=2_000) == kinds
    assert (counters.accepted, counters.duplicates) == (2_000, 0)
    assert counters.most_concurrent <= 100
