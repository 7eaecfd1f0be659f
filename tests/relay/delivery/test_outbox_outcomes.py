"""What becomes of a delivery after each outcome, of the address it went to, and of its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.contract.material import delivery, request
from tests.relay.delivery.post import (
    Post,
    addressed,
    again,
    asked,
    iphone,
    known,
    log,
    queue,
    work,
)
from tests.relay.simulator import START

from quorumkey_relay.delivery.channel import (
    Accepted,
    Gone,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
)
from quorumkey_relay.delivery.circuit import OUTAGE_FAILURES
from quorumkey_relay.delivery.eviction import ALWAYS_ALLOWED_EVICTIONS
from quorumkey_relay.delivery.settlement import MAX_REASON_CHARS, word
from quorumkey_relay.observe.alarms import Alarms
from quorumkey_relay.observe.metrics import Metrics
from quorumkey_relay.store.writes import OpenRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.delivery.channel import Message
    from quorumkey_relay.delivery.worker import Worker
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.records import Delivery
    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def pushed(
    backend: SqliteBackend, store: SqliteStore, *outcomes: Outcome, set_at: int = START
) -> tuple[Delivery, Device, Worker, Post]:
    """What became of a push to alice's iPhone, and of the address."""
    stored, post = await asked(store, "alice"), Post("apns")
    post.next_outcomes = list(outcomes)
    await addressed(backend, store, "alice", iphone("aa"), at=set_at)
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="apns"))
    await worker.rest()
    (found,) = await log(store, stored)
    return found, known(store, "alice"), worker, post


# Where a message goes


async def test_a_push_goes_to_the_devices_address(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Opened, with the time at which the device gave it."""
    _, _, _, post = await pushed(backend, store, set_at=START - 9)

    (message,) = post.messages
    assert (iphone("aa"), START - 9, "Acme Corp") == (
        message.address,
        message.registered_at,
        message.integrator_name,
    )


@pytest.mark.parametrize(
    ("outcomes", "state", "reason"),
    [([Retry(0, "broken")], "accepted", None), ([Retry(0, "broken")] * 2, "queued", "broken")],
    ids=["once", "twice"],
)
async def test_what_was_not_processed_is_sent_once_more_at_once(
    backend: SqliteBackend,
    store: SqliteStore,
    outcomes: list[Outcome],
    state: str,
    reason: str | None,
) -> None:
    """Both are one try; where it is not processed again, the next try follows the schedule."""
    found, _, _, post = await pushed(backend, store, *outcomes)

    assert (state, reason, 1, 2) == (found.state, found.reason, found.attempts, len(post.sent))
    assert (state == "queued") == (found.next_at > START)


async def test_what_went_unanswered_is_sent_once_more(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Nobody knows whether it arrived: one more try, whatever was said between, is all it gets."""
    unknown = Retry(None, "timeout", ambiguous=True)
    first, _, worker, post = await pushed(backend, store, unknown, Retry(5, "busy"), unknown)
    states = [(first.state, first.reason)]
    for _ in range(3):
        await again(backend, worker)
        (found,) = await store.deliveries(first.request_id)
        states.append((found.state, found.reason))

    assert [
        ("queued", "unanswered_timeout"),
        ("queued", "unanswered_timeout"),
        ("failed", "unanswered_timeout"),
        ("failed", "unanswered_timeout"),
    ] == states
    assert 3 == len(post.sent)


# What becomes of an address


@pytest.mark.parametrize(
    ("since", "state", "channel"),
    [(START + 1, "dropped", "none"), (START, "failed", "apns"), (None, "dropped", "none")],
    ids=["given before", "given since", "always wrong"],
)
async def test_a_dead_address_is_dropped_if_it_was_not_given_since(
    backend: SqliteBackend, store: SqliteStore, since: int | None, state: str, channel: str
) -> None:
    """An address that the device gave after it was said to be dead stands."""
    found, device, _, _ = await pushed(backend, store, Gone(since, "Unregistered"))

    assert (state, "Unregistered", channel) == (found.state, found.reason, device.push_channel)
    assert (channel == "none") == (device.push is None)


async def test_an_address_that_was_replaced_meanwhile_stands(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The verdict is about another one; the message goes to the new one."""
    stored, post = await asked(store, "alice"), Replaces("apns")
    post.next_outcomes = [Gone(None, "Unregistered")]
    await addressed(backend, store, "alice", iphone("aa"))
    post.replace = lambda: addressed(backend, store, "alice", iphone("bb"))
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="apns"))
    await worker.rest()
    await again(backend, worker)

    (found,) = await log(store, stored)
    assert [iphone("aa"), iphone("bb")] == [message.address for message in post.messages]
    assert ("accepted", "apns") == (found.state, known(store, "alice").push_channel)


class Replaces(Post):
    """A channel during whose first send the device says another address."""

    async def send(self, message: Message) -> Outcome:
        """Send, and have the address replaced."""
        if not self.sent:
            await self.replace()
        return await super().send(message)

    replace: Callable[[], Awaitable[object]]


@pytest.mark.parametrize(
    ("last", "faults", "channel"),
    [(Rejected("BadDeviceToken", tolerated=1), [1, 0], "none"), (Accepted(), [1, 0], "apns")],
    ids=["refused again", "accepted"],
)
async def test_refusals_in_a_row_are_an_addresss_end(
    backend: SqliteBackend, store: SqliteStore, last: Outcome, faults: list[int], channel: str
) -> None:
    """They are counted with the device; an acceptance in between forgives them."""
    post = Post("apns")
    post.next_outcomes = [Rejected("BadDeviceToken", tolerated=1), last]
    requests = [await asked(store, "alice"), request("alice")]
    await store.commit((OpenRequest(requests[1]),))
    await addressed(backend, store, "alice", iphone("aa"))
    worker = work(backend, store, post)
    counted: list[int] = []
    for stored in requests:
        await queue(store, delivery(stored, "alice", channel="apns"))
        await worker.rest()
        counted.append(known(store, "alice").push_faults)

    (first,) = await log(store, requests[0])
    assert ("failed", "BadDeviceToken") == (first.state, first.reason)
    assert (faults, channel) == (counted, known(store, "alice").push_channel)


async def test_a_refusal_that_no_address_is_to_blame_for_counts_nowhere(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The delivery has failed, and that is all."""
    found, device, _, _ = await pushed(backend, store, Rejected("BadPriority"))

    assert ("failed", "BadPriority", 0) == (found.state, found.reason, device.push_faults)


@pytest.mark.parametrize(
    ("outcome", "standing"),
    [
        pytest.param(Rejected("BadPriority"), 1, id="our bug"),
        pytest.param(Rejected("BadDeviceToken", tolerated=1), 0, id="an address"),
        pytest.param(Rejected("too_late"), 0, id="not sent"),
    ],
)
async def test_our_own_bugs_raise_an_alarm(
    backend: SqliteBackend, store: SqliteStore, outcome: Outcome, standing: int
) -> None:
    """A provider that refuses the message itself is for a person to look at."""
    alarms, stored = Alarms(), await asked(store, "alice")
    worker = work(backend, store, Post(outcome=outcome), alarms=alarms)
    await queue(store, delivery(stored, "alice", channel="post"))
    await worker.rest()

    assert standing == len(alarms.standing())


async def test_what_was_not_sent_ends_no_outage(backend: SqliteBackend, store: SqliteStore) -> None:
    """A message that a channel itself turns away says nothing of its provider."""
    names = [f"phone-{number}" for number in range(OUTAGE_FAILURES + 1)]
    stored, post = await asked(store, *names), Post(outcome=Retry(None, "unreachable"))
    worker = work(backend, store, post)
    for name in names:
        await queue(store, delivery(stored, name, channel="post"))
        await worker.rest()
    post.outcome = Rejected("too_late")
    await again(backend, worker, 1)

    assert ["outage"] == [lane.circuit.fault for lane in worker.lanes]


async def test_the_guard_stops_what_would_drop_everybody(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Some addresses may go; then they stay, their deliveries fail, and an alarm stands."""
    names = [f"device {number}" for number in range(ALWAYS_ALLOWED_EVICTIONS + 3)]
    alarms, post = Alarms(), Post("apns", Gone(None, "BadDeviceToken"))
    stored = await asked(store, *(name.replace(" ", "-") for name in names))
    names = [name.replace(" ", "-") for name in names]
    for name in names:
        await addressed(backend, store, name, iphone("aa"))
    worker = work(backend, store, post, alarms=alarms)
    await queue(store, *(delivery(stored, name, channel="apns") for name in names))
    await worker.rest()
    (sentence,) = alarms.standing()

    backend.clock.advance(400)
    await worker.scan()

    assert 3 == sum(known(store, name).push_channel == "apns" for name in names)
    assert {"dropped": ALWAYS_ALLOWED_EVICTIONS, "failed": 3} == {
        state: sum(one.state == state for one in await log(store, stored))
        for state in ("dropped", "failed")
    }
    assert "apns/production" in sentence
    assert [] == alarms.standing()


# What becomes of a lane


async def test_a_refused_credential_holds_the_lane_back_and_drops_nobody(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """One message finds out, the others wait with the reason; one probe ends it for all."""
    names, alarms = ("alice", "bob", "carol"), Alarms()
    stored = await asked(store, *names)
    post = Post("apns", Misconfigured("InvalidProviderToken"))
    for name in names:
        await addressed(backend, store, name, iphone("aa"))
    worker = work(backend, store, post, alarms=alarms)
    await queue(store, delivery(stored, "alice", channel="apns"))
    await worker.rest()
    await queue(store, *(delivery(stored, name, channel="apns") for name in ("bob", "carol")))
    await worker.rest()
    waiting = await log(store, stored)
    (sentence,) = alarms.standing()
    tries = [len(post.sent)]
    await again(backend, worker, 29)
    tries.append(len(post.sent))
    await again(backend, worker, 1)
    tries.append(len(post.sent))
    post.outcome = Accepted()
    for _ in range(2):
        await again(backend, worker, 30)

    assert {("queued", "InvalidProviderToken", START + 30)} == {
        (one.state, one.reason, one.next_at) for one in waiting
    }
    assert [0, 0, 1] == sorted(one.attempts for one in waiting)
    assert [1, 1, 2] == tries
    assert "InvalidProviderToken" in sentence
    assert ({"accepted"}, []) == (
        {one.state for one in await log(store, stored)},
        alarms.standing(),
    )
    assert {"apns"} == {known(store, name).push_channel for name in names}


async def test_an_outage_costs_one_probe_at_a_time(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """After some failures in a row the others wait unsent; nobody is alarmed."""
    names = [f"phone-{number}" for number in range(OUTAGE_FAILURES + 20)]
    alarms, stored = Alarms(), await asked(store, *names)
    post = Post("post", Retry(None, "unreachable"))
    worker = work(backend, store, post, alarms=alarms)
    for name in names:
        await queue(store, delivery(stored, name, channel="post"))
        await worker.rest()
    sent = [len(post.sent)]
    await again(backend, worker, 1)
    sent.append(len(post.sent))
    post.outcome = Accepted()
    for _ in range(4):
        await again(backend, worker, 5)

    assert [OUTAGE_FAILURES, OUTAGE_FAILURES + 1] == sent
    assert {"accepted"} == {one.state for one in await log(store, stored)}
    assert [] == alarms.standing()


async def test_a_lane_that_is_held_back_holds_no_other_back(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Wrong credentials for the sandbox say nothing of production's."""
    stored, post = await asked(store, "alice", "bob"), Post("apns")
    await addressed(backend, store, "alice", iphone("aa", "sandbox"))
    await addressed(backend, store, "bob", iphone("bb"))
    worker = work(backend, store, post)
    post.next_outcomes = [Misconfigured("BadEnvironmentKeyIdInToken")]
    for name in ("alice", "bob"):
        await queue(store, delivery(stored, name, channel="apns"))
        await worker.rest()

    faults = {lane.name: lane.circuit.fault for lane in worker.lanes}

    assert {"apns/sandbox": "misconfigured", "apns/production": None} == faults
    assert {"queued", "accepted"} == {one.state for one in await log(store, stored)}


async def test_who_cannot_be_told_before_the_end_has_failed(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A delivery that is held back beyond its deadline says why it failed."""
    stored, post = await asked(store, "alice"), Post(outcome=Misconfigured("Forbidden"))
    worker = work(backend, store, post)
    backend.clock.advance(280)
    await queue(store, delivery(stored, "alice", channel="post"))
    await worker.rest()

    (found,) = await log(store, stored)
    assert ("failed", "Forbidden") == (found.state, found.reason)


# What is counted


async def test_outcomes_and_faults_are_counted(backend: SqliteBackend, store: SqliteStore) -> None:
    """By channel and outcome, by reason, how long it took, and how the lanes are."""
    metrics, stored = Metrics(), await asked(store, "alice")
    post = Post(outcome=Misconfigured("Forbidden"))
    post.next_outcomes = [Retry(2, "busy"), Accepted()]
    worker = work(backend, store, post, metrics=metrics)
    metrics.deliveries.watch_lanes(list)
    await queue(store, delivery(stored, "alice", channel="post"))
    await worker.rest()
    await again(backend, worker, 5)

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    assert (1.0, 1.0, 1.0, 5.0) == (
        samples["quorumkey_deliveries_total", "post", "retried"],
        samples["quorumkey_deliveries_total", "post", "accepted"],
        samples["quorumkey_delivery_faults_total", "post", "busy"],
        samples["quorumkey_delivery_seconds_sum", "post"],
    )


@pytest.mark.parametrize(
    ("said", "kept"),
    [("BadDeviceToken", "BadDeviceToken"), ("a b\n<c>", "a_b_c_"), ("", "unknown")],
    ids=["a word", "other characters", "nothing"],
)
def test_reasons_are_words(said: str, kept: str) -> None:
    """Letters, digits and underscores, cut to a length."""
    assert (kept, MAX_REASON_CHARS) == (word(said), len(word("x" * 100)))
