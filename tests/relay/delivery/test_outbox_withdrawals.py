"""Withdrawing what a push has shown: when the request ends, and only where it was shown."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.post import Post
from tests.relay.simulator import ACME, START, SimDevice, Simulator, granted, simulator

from quorumkey.protocol import FcmAddress
from quorumkey_relay import composition
from quorumkey_relay.delivery.channel import Accepted, Rejected, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.relay.simulator import Asked

    from quorumkey_relay.delivery.channel import Outcome

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def notified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome
) -> AsyncGenerator[tuple[Simulator, Post, list[SimDevice], Asked], None]:
    """A request to alice, bob and carol; only bob and carol have a push address."""
    post = Post("fcm")
    post.next_outcomes = list(outcomes)

    def channels(*_: object, **__: object) -> tuple[Post, ...]:
        return (post,)

    monkeypatch.setattr(composition, "push_channels", channels)
    async with simulator(tmp_path) as sim:
        people = await sim.devices("alice", "bob", "carol")
        for device in people[1:]:
            envelope = await sim.push(device, FcmAddress(f"token-of-{device.person}"))
            assert None is await sim.use.set_push(envelope=envelope)
        asked = await sim.ask(people)
        yield sim, post, people, asked


async def told(sim: Simulator, asked: Asked, people: list[SimDevice]) -> dict[str, tuple[str, str]]:
    """What became of each withdrawal, by person."""
    await sim.relay.worker.rest()
    names = {device.fingerprint: device.person for device in people}
    return {
        names[one.device]: (one.state, one.reason or "")
        for one in await sim.store.deliveries(asked.id)
        if one.kind == "request_resolved"
    }


async def test_the_others_are_told_when_one_has_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a push address and did not decide; the message carries no challenge."""
    async with notified(tmp_path, monkeypatch) as (sim, post, people, asked):
        await sim.relay.worker.rest()
        await granted(sim.decide(people[1], asked))

        assert {"carol": ("accepted", "")} == await told(sim, asked, people)
        last = post.messages[-1]
        assert ("request_resolved", None, START + 300) == (
            last.delivery.kind,
            last.challenge,
            last.delivery.not_after,
        )
        assert FcmAddress("token-of-carol") == last.address


async def test_a_cancellation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To everybody with a push address, since nobody decided."""
    async with notified(tmp_path, monkeypatch) as (sim, _, people, asked):
        await sim.relay.worker.rest()
        await granted(sim.use.cancel_request(integrator_id=ACME.id, request_id=asked.id))

        assert {"bob": ("accepted", ""), "carol": ("accepted", "")} == await told(
            sim, asked, people
        )


async def test_a_channel_that_waits_is_told_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message knows whether it is of use still; one that is not is not sent again."""
    async with notified(tmp_path, monkeypatch) as (sim, post, people, _):
        await sim.relay.worker.rest()
        post.hold, post.messages, post.next_outcomes = asyncio.Event(), [], [Retry(0, "broken")]
        post.begun.clear()
        asked = await sim.ask([people[1]])
        await post.begun.wait()
        (message,) = post.messages
        wanted = [message.is_wanted()]
        await granted(sim.use.cancel_request(integrator_id=ACME.id, request_id=asked.id))
        wanted.append(message.is_wanted())
        post.hold.set()
        await sim.relay.worker.rest()

        assert ([True, False], [message]) == (wanted, post.messages)


async def test_an_end_that_follows_from_leaving_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To those who are still there; who has left is told nothing."""
    async with notified(tmp_path, monkeypatch) as (sim, _, people, _):
        alice, bob, carol = people
        asked = await sim.ask([bob], [carol], required=2, reject_policy="quorum_impossible")
        await sim.relay.worker.rest()
        await sim.unpair(bob)

        assert {"bob": ("dropped", "unpaired"), "carol": ("accepted", "")} == await told(
            sim, asked, people
        )
        assert alice.fingerprint not in {one.device for one in await sim.store.deliveries(asked.id)}


async def test_a_timeout_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push itself was good until then and no longer."""
    async with notified(tmp_path, monkeypatch) as (sim, _, people, asked):
        await sim.relay.worker.rest()
        sim.clock.advance(300)
        await sim.relay.sweeper.sweep()

        assert {} == await told(sim, asked, people)


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Rejected("INVALID_ARGUMENT"), "dropped", "never_shown"),
        (Retry(60, "UNAVAILABLE"), "dropped", "never_shown"),
        (Retry(60, "timeout", ambiguous=True), "accepted", ""),
    ],
    ids=["refused", "still to be sent", "unanswered"],
)
async def test_what_was_never_shown_is_not_withdrawn(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome,
    state: str,
    reason: str,
) -> None:
    """Where nobody knows whether it arrived, it is withdrawn."""
    outcomes = (Accepted(), outcome)
    async with notified(tmp_path, monkeypatch, *outcomes) as (sim, post, people, asked):
        await sim.relay.worker.rest()
        shown = post.messages[1].delivery.device
        decider = next(one for one in people[1:] if one.fingerprint != shown)
        await granted(sim.decide(decider, asked))

        (withdrawn,) = (await told(sim, asked, people)).values()
        assert (state, reason) == withdrawn


async def test_a_withdrawal_does_not_overtake_what_it_withdraws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the message is in flight the withdrawal waits, a second at a time."""
    async with notified(tmp_path, monkeypatch) as (sim, post, people, asked):
        await sim.relay.worker.rest()
        post.hold, post.begun = asyncio.Event(), asyncio.Event()
        second = await sim.ask(people)
        await post.begun.wait()
        await granted(sim.decide(people[0], second))
        while any(lane.waiting for lane in sim.relay.worker.lanes):
            await sim.store.settled()
        await sim.relay.worker.scan()
        early = [message.delivery.kind for message in post.messages[2:]]
        post.hold.set()
        await sim.relay.worker.rest()
        sim.clock.advance(1)
        await sim.relay.worker.scan()

        assert ["approval_request"] * 2 == early
        assert {"bob": ("accepted", ""), "carol": ("accepted", "")} == await told(
            sim, second, people
        )
        assert {} == await told(sim, asked, people)


async def test_no_request_is_shown_after_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for another try when the request ends is dropped, and nothing is withdrawn."""
    outcomes = (Retry(5, "UNAVAILABLE"), Retry(5, "UNAVAILABLE"))
    async with notified(tmp_path, monkeypatch, *outcomes) as (sim, post, people, asked):
        await sim.relay.worker.rest()
        await granted(sim.decide(people[0], asked))
        sim.clock.advance(5)
        await sim.relay.worker.scan()
        await sim.relay.worker.rest()

        assert 2 == len(post.sent)
        assert {("dropped", "never_shown"), ("dropped", "request_finished")} == {
            (one.state, one.reason) for one in await sim.store.deliveries(asked.id)
        }


async def test_withdrawals_are_not_among_who_was_notified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The integrator's counts are of messages that ask."""
    async with notified(tmp_path, monkeypatch) as (sim, _, people, asked):
        await sim.relay.worker.rest()
        await granted(sim.decide(people[0], asked))
        await sim.relay.worker.rest()

        view = await granted(sim.use.read_deliveries(integrator_id=ACME.id, request_id=asked.id))
        assert {"fcm": 2} == {
            name: counts.accepted for name, counts in view.groups[0].channels.items()
        }


async def test_an_acknowledgement_leaves_withdrawals_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the person saw is the message that asks; its withdrawal still goes out."""
    async with notified(tmp_path, monkeypatch) as (sim, _, people, asked):
        await sim.relay.worker.rest()
        bob = people[1].fingerprint
        await sim.use.inbox.acknowledge(device=bob, request_id=asked.id)
        await granted(sim.decide(people[0], asked))

        assert ("accepted", "") == (await told(sim, asked, people))["bob"]


async def test_an_acknowledgement_stops_what_is_still_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has seen the request by other means is not woken for it."""
    async with notified(tmp_path, monkeypatch, Retry(5, "busy"), Retry(5, "busy")) as (
        sim,
        post,
        people,
        asked,
    ):
        await sim.relay.worker.rest()
        for device in people[1:]:
            await sim.use.inbox.acknowledge(device=device.fingerprint, request_id=asked.id)
        sim.clock.advance(5)
        await sim.relay.worker.scan()
        await sim.relay.worker.rest()

        assert 2 == len(post.sent)


async def test_a_new_address_is_told_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; and what the channel has taken already is not sent again."""
    async with notified(tmp_path, monkeypatch) as (sim, post, people, asked):
        await sim.relay.worker.rest()
        for token in ("first", "second"):
            envelope = await sim.push(people[0], FcmAddress(token))
            assert None is await sim.use.set_push(envelope=envelope)
            await sim.relay.worker.rest()

        alice = people[0].fingerprint
        told_at = [one.address for one in post.messages if one.delivery.device == alice]
        assert [FcmAddress("first")] == told_at
        assert asked.id == post.messages[-1].delivery.request_id
