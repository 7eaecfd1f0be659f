"""What each of Apple's answers becomes, asked of the stand-in that gives them all."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from tests.contract.push_rigs import APNS, Rig, message, rig
from tests.relay.sim_devices import START

from quorumkey.protocol import ApnsAddress, NoPushAddress
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.push.apns_reasons import REACTIONS, Reaction, reaction_to
from quorumkey_relay.standins import apns_token
from quorumkey_relay.standins.apns_table import STATUSES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.store.records import DeliveryKind

pytestmark = pytest.mark.anyio

OUR_FAULTS = (
    "TopicDisallowed",
    "MissingTopic",
    "BadTopic",
    "BadCollapseId",
    "BadExpirationDate",
    "BadMessageId",
    "BadPriority",
    "InvalidPushType",
    "PayloadEmpty",
    "DuplicateHeaders",
    "MissingDeviceToken",
    "BadPath",
    "MethodNotAllowed",
)
CREDENTIALS = (
    "InvalidProviderToken",
    "MissingProviderToken",
    "UnrelatedKeyIdInToken",
    "BadEnvironmentKeyIdInToken",
    "BadCertificate",
    "BadCertificateEnvironment",
    "Forbidden",
)
KINDS: tuple[DeliveryKind, ...] = ("approval_request", "request_resolved")
LATER = ("InternalServerError", "ServiceUnavailable", "Shutdown")


@pytest.fixture
async def apple(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """The channel and the stand-in, which was told of one good token already."""
    del anyio_backend
    async with rig(APNS, tmp_path) as ready:
        assert await ready.send("ok", 999) == Accepted()
        ready.stand.reset()
        yield ready


def test_every_reason_of_apple_s_has_a_row() -> None:
    """The table has exactly the statuses and reasons that Apple's page lists."""
    assert {(status, reason) for reason, status in STATUSES.items()} == set(REACTIONS)


@pytest.mark.parametrize(
    ("status", "reaction"),
    [
        (400, Reaction.OUR_FAULT),
        (403, Reaction.CREDENTIAL),
        (404, Reaction.OUR_FAULT),
        (410, Reaction.GONE),
        (413, Reaction.SMALLER),
        (429, Reaction.SLOW_DOWN),
        (500, Reaction.LATER),
        (502, Reaction.LATER),
        (302, Reaction.LATER),
    ],
)
def test_an_unknown_reason_is_judged_by_its_status(status: int, reaction: Reaction) -> None:
    """A reason that Apple adds, or an answer without one, has a meaning all the same."""
    assert reaction_to(status, "SomethingNew") is reaction
    assert reaction_to(status, "") is reaction


# One row each


@pytest.mark.parametrize("reason", OUR_FAULTS)
async def test_a_push_that_is_wrong_is_given_up(apple: Rig, reason: str) -> None:
    """It is sent once, and no address is to blame."""
    outcome = await apple.send(reason)

    assert Rejected(reason) == outcome
    assert apple.stand.counters.streams == 1


@pytest.mark.parametrize("reason", CREDENTIALS)
async def test_a_bad_credential_is_ours(apple: Rig, reason: str) -> None:
    """It is sent once; the worker opens the lane's circuit and calls a human."""
    outcome = await apple.send(reason)

    assert Misconfigured(reason) == outcome
    assert apple.stand.counters.streams == 1


@pytest.mark.parametrize("reason", LATER)
async def test_a_busy_apple_is_tried_later(apple: Rig, reason: str) -> None:
    """It is sent once now, and again by the schedule."""
    outcome = await apple.send(reason)

    assert Retry(None, reason) == outcome
    assert apple.stand.counters.streams == 1


@pytest.mark.parametrize("reason", ["Unregistered", "ExpiredToken"])
async def test_a_dead_token_is_gone_since_then(apple: Rig, reason: str) -> None:
    """Apple's milliseconds are cut to the second, as the time that the device was registered is."""
    apple.stand.faults.gone_timestamp_ms = START * 1_000 + 999

    assert Gone(START, reason) == await apple.send(reason)


async def test_a_dead_token_without_a_time_is_not_dropped_at_once(apple: Rig) -> None:
    """Without a time nobody knows whether the device came back: the second refusal counts."""
    apple.stand.faults.answer_status = 410

    assert Rejected("http_410", tolerated=1) == await apple.send()


async def test_a_token_of_another_app_is_wrong(apple: Rig) -> None:
    """It was registered for the topic that it was refused for; the second refusal is its end."""
    assert Rejected("DeviceTokenNotForTopic", tolerated=1) == await apple.send(
        "DeviceTokenNotForTopic"
    )


@pytest.mark.parametrize("status", [400, 403, 413, 429, 500, 503])
async def test_what_no_table_lists_is_named_by_its_status(apple: Rig, status: int) -> None:
    """Text of an answer never becomes a reason: it could be anything."""
    apple.stand.faults.answer_status = status

    outcome = await apple.send()

    assert not isinstance(outcome, Accepted)
    assert outcome.reason == f"http_{status}"


# Too large


async def test_a_payload_that_is_too_large_goes_again_without_the_challenge(apple: Rig) -> None:
    """Once, as the id alone; a push that is too large even so is given up."""
    outcome = await apple.send("PayloadTooLarge")

    first, second = apple.stand.received
    assert Rejected("PayloadTooLarge") == outcome
    assert ("challenge" in first.payload, "challenge" in second.payload) == (True, False)


async def test_a_withdrawal_cannot_be_made_smaller(apple: Rig) -> None:
    """What has no challenge is not sent a second time."""
    outcome = await apple.channel.send(apple.message("PayloadTooLarge", kind="request_resolved"))

    assert Rejected("PayloadTooLarge") == outcome
    assert apple.stand.counters.streams == 1


# Too many


async def test_too_many_pushes_pause_one_token(apple: Rig) -> None:
    """The pause doubles, holds for that token alone, and is kept without asking Apple."""
    outcomes: list[Outcome] = []
    for seconds in (1, 2, 4):
        outcomes.append(await apple.send("TooManyRequests"))
        outcomes.append(await apple.send("TooManyRequests"))
        apple.clock.advance(seconds)

    assert [Retry(pause, "TooManyRequests") for pause in (1, 1, 2, 2, 4, 4)] == outcomes
    assert apple.stand.counters.streams == 3
    assert await apple.send("ok", 1) == Accepted()


# The provider token


async def test_an_expired_token_is_renewed_and_the_push_sent_again(apple: Rig) -> None:
    """A token older than 20 minutes is signed anew, once for all, and the push is accepted."""
    await apple.send("ok", 998)
    apple.clock.advance(1_201)

    outcome = await apple.channel.send(once(apple, "ExpiredProviderToken"))

    _, first, second = (one.headers["authorization"] for one in apple.stand.received)
    assert Accepted() == outcome
    assert first != second


async def test_a_young_token_gets_a_second_chance(apple: Rig) -> None:
    """Within 20 minutes no new one is signed: the push goes again with the same."""
    outcome = await apple.channel.send(once(apple, "ExpiredProviderToken"))

    first, second = (one.headers["authorization"] for one in apple.stand.received)
    assert Accepted() == outcome
    assert first == second


async def test_a_token_that_expires_twice_is_our_fault(apple: Rig) -> None:
    """Apple finds even the new one too old: this machine's clock is wrong. A human must look."""
    outcome = await apple.send("ExpiredProviderToken")

    assert Misconfigured("ExpiredProviderToken") == outcome
    assert apple.stand.counters.streams == 2


async def test_too_many_updates_keep_the_token_and_leave_the_connection(apple: Rig) -> None:
    """Nothing is signed; the next push goes over another connection, with the same token."""
    outcome = await apple.send("TooManyProviderTokenUpdates")
    await apple.send("ok", 1)

    assert Retry(None, "TooManyProviderTokenUpdates") == outcome
    assert apple.stand.counters.credentials == 1
    assert apple.stand.counters.connections == 1  # beside the one from before


# Connections


async def test_an_idle_timeout_reopens_and_sends_at_once(apple: Rig) -> None:
    """The push goes again over a new connection and is accepted."""
    outcome = await apple.channel.send(once(apple, "IdleTimeout"))

    assert Accepted() == outcome
    assert (apple.stand.counters.streams, apple.stand.counters.connections) == (2, 1)


async def test_an_idle_timeout_twice_waits(apple: Rig) -> None:
    """It is no loop: the second one waits for the schedule."""
    outcome = await apple.send("IdleTimeout")

    assert Retry(None, "IdleTimeout") == outcome
    assert apple.stand.counters.streams == 2


async def test_a_shutdown_leaves_the_connection(apple: Rig) -> None:
    """What comes next goes over a new connection."""
    await apple.send("Shutdown")
    await apple.send("ok", 1)

    assert apple.stand.counters.connections == 1  # beside the one from before


# Environments


def once(apple: Rig, behaviour: str) -> Message:
    """A message whose token is refused once, and then taken."""
    token = apns_token(behaviour, once=True)
    return message(
        ApnsAddress(token, apple.stands.files.apns_topic, "production"), now=apple.clock.now()
    )


def of_sandbox(apple: Rig, behaviour: str = "ok", number: int = 0) -> Message:
    """A message to a token of the sandbox whose device named production."""
    token = apns_token(behaviour, environment="sandbox")
    return message(ApnsAddress(token, apple.stands.files.apns_topic, "production"), number)


async def test_a_bad_token_is_tried_in_the_other_environment(apple: Rig) -> None:
    """A token of a development build is found in the sandbox, and goes there straight then."""
    sent = of_sandbox(apple)
    before = apple.channel.lane(sent.address)

    outcomes = [
        await apple.channel.send(sent),
        await apple.channel.send(of_sandbox(apple, number=1)),
    ]

    assert [Accepted(), Accepted()] == outcomes
    assert (apple.stand.counters.streams, apple.stands.apns_sandbox.counters.streams) == (1, 2)
    assert (before, apple.channel.lane(sent.address)) == ("apns/production", "apns/sandbox")


async def test_a_token_of_neither_environment_is_wrong(apple: Rig) -> None:
    """It is tried once in each; the second such refusal is its end."""
    outcome = await apple.send("BadDeviceToken")

    assert Rejected("BadDeviceToken", tolerated=1) == outcome
    assert (apple.stand.counters.streams, apple.stands.apns_sandbox.counters.streams) == (1, 1)


async def test_a_token_that_is_gone_elsewhere_is_gone(apple: Rig) -> None:
    """The environment that knows the token has the last word."""
    outcome = await apple.channel.send(of_sandbox(apple, "gone-before"))

    assert isinstance(outcome, Gone)


async def test_a_key_that_is_not_good_elsewhere_closes_nothing(apple: Rig) -> None:
    """Keys may be good for one environment only: that is no fault of the first one's."""
    outcome = await apple.channel.send(of_sandbox(apple, "BadEnvironmentKeyIdInToken"))

    assert Rejected("BadDeviceToken", tolerated=1) == outcome


async def test_the_other_environment_only_where_it_is_served(
    tmp_path: Path, anyio_backend: object
) -> None:
    """A key for production alone is never shown to the sandbox."""
    del anyio_backend
    async with rig(APNS, tmp_path, apns_environments="production") as apple:
        outcome = await apple.channel.send(of_sandbox(apple))

        assert Rejected("BadDeviceToken", tolerated=1) == outcome
        assert apple.stands.apns_sandbox.counters.connections == 0


async def test_each_of_several_topics_has_a_lane(tmp_path: Path, anyio_backend: object) -> None:
    """A key that is not good for one app's topic holds no other app back."""
    del anyio_backend
    async with rig(APNS, tmp_path, apns_topics="com.example.a,com.example.b") as apple:
        lanes = [
            apple.channel.lane(ApnsAddress(apns_token(), f"com.example.{app}", "production"))
            for app in ("a", "b", "unknown")
        ]

    assert [
        "apns/production/com.example.a",
        "apns/production/com.example.b",
        "apns/production",
    ] == lanes


# What is not sent


async def test_what_is_not_served_is_not_sent(apple: Rig) -> None:
    """Another app's topic, a message that is over, an address of another channel."""
    topic = apple.stands.files.apns_topic
    token = apns_token()

    outcomes = [
        await apple.channel.send(message(ApnsAddress(token, "com.example.other", "production"))),
        await apple.channel.send(
            message(ApnsAddress(token, topic, "production"), lifetime_seconds=0)
        ),
        await apple.channel.send(message(NoPushAddress())),
    ]

    reasons = ("topic_not_served", "too_late", "no_address")
    assert [Rejected(reason) for reason in reasons] == outcomes
    assert apple.stand.counters.streams == 0


async def test_an_environment_that_is_not_served_is_not_sent(
    tmp_path: Path, anyio_backend: object
) -> None:
    """A device of the sandbox is not notified where only production is."""
    del anyio_backend
    async with rig(APNS, tmp_path, apns_environments="production") as apple:
        address = ApnsAddress(apns_token(), apple.stands.files.apns_topic, "sandbox")

        assert Rejected("environment_not_served") == await apple.channel.send(message(address))


# What is sent


async def test_the_headers_of_a_push(apple: Rig) -> None:
    """It expires with the message, replaces what was shown of its request, and comes at once."""
    sent = apple.message("ok", 7)

    await apple.channel.send(sent)

    (received,) = apple.stand.received
    assert (sent.delivery.request_id, str(sent.delivery.not_after)) == (
        received.collapse_id,
        received.expiration,
    )
    assert ("alert", "10") == (received.push_type, received.priority)
    assert apple.stands.files.apns_topic == received.headers["apns-topic"]


async def test_the_id_of_a_push(apple: Rig) -> None:
    """One for the first try of a message to a device, another for later ones; no two share it."""
    address = apple.message().address
    tries = [
        message(address, number, kind=kind, attempts=attempts)
        for number, kind, attempts in itertools.product((1, 2), KINDS, (0, 1, 2))
    ]
    for one in tries:
        await apple.channel.send(one)

    ids = [received.headers["apns-id"] for received in apple.stand.received]
    assert [ids[1] for _ in range(2)] == ids[1:3]
    assert len(set(ids)) == 8


async def test_nothing_secret_can_be_printed(apple: Rig) -> None:
    """A message, an outcome and the channel show no token."""
    sent = apple.message("gone")
    outcome = await apple.channel.send(sent)

    assert isinstance(sent.address, ApnsAddress)
    shown = repr(sent) + repr(outcome) + repr(apple.channel)
    assert sent.address.token not in shown
