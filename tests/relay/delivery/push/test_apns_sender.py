"""How pushes get to Apple: which connection they go over, and when it is given up."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.push_rigs import APNS, Rig, message, rig
from tests.relay.sim_devices import ManualClock

from quorumkey_relay.delivery.channel import Accepted, Retry
from quorumkey_relay.delivery.push.apns import NAMESPACE, apns_channel, push_id
from quorumkey_relay.delivery.push.apns_memory import MAX_TOKENS, Environments, Pauses
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
async def apple(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """The channel and the stand-in."""
    del anyio_backend
    async with rig(APNS, tmp_path) as ready:
        yield ready


async def test_one_connection_for_everything(apple: Rig) -> None:
    """Bursts and single pushes, taken and refused, share a connection and a credential."""
    for number in range(3):
        await asyncio.gather(*(apple.send("ok", number * 100 + each) for each in range(100)))
        await apple.send("gone", number)

    counters = apple.stand.counters
    assert (counters.connections, counters.credentials, counters.streams) == (1, 1, 303)


async def test_the_others_do_not_wait_for_a_first_push_for_ever(apple: Rig) -> None:
    """Where the first push on a connection is not answered, the others open another."""
    first = asyncio.create_task(apple.channel.send(apple.message("silent", lifetime_seconds=8)))
    await apple.stand.until(lambda counters: counters.streams == 1)

    outcomes = await asyncio.gather(*(apple.send("ok", number) for number in range(1, 20)))

    assert {Accepted()} == set(outcomes)
    assert not first.done()
    assert (apple.stand.counters.connections, apple.stand.counters.streams) == (2, 20)
    first.cancel()


async def test_what_is_not_wanted_after_a_wait_is_not_sent(apple: Rig) -> None:
    """A request that ends while its pushes wait for the first answer is not pushed any more."""
    apple.stand.faults.delay_seconds = 0.2
    first = asyncio.create_task(apple.send("ok", 0))
    await apple.stand.until(lambda counters: counters.streams == 1)
    waiting = replace(apple.message("ok", 1), is_wanted=lambda: False)

    assert Retry(0, "broken") == await apple.channel.send(waiting)
    assert (Accepted(), 1) == (await first, apple.stand.counters.streams)


async def test_a_provider_that_is_down_is_asked_once_for_all(apple: Rig) -> None:
    """Of pushes that wait for the first one, none tries to connect where that found nobody."""
    apple.stand.faults.is_down = True

    outcomes = await asyncio.gather(*(apple.send("ok", number) for number in range(50)))

    assert {Retry(None, "unreachable")} == set(outcomes)


async def test_a_first_push_that_is_cancelled_lets_the_others_go(apple: Rig) -> None:
    """Its caller gives up; who waits behind it is accepted."""
    apple.stand.faults.delay_seconds = 0.2
    first = asyncio.create_task(apple.send("ok", 1))
    await apple.stand.until(lambda counters: counters.streams == 1)
    second = asyncio.create_task(apple.send("ok", 2))

    first.cancel()

    assert await second == Accepted()


async def test_a_lost_connection_is_opened_again(apple: Rig) -> None:
    """What comes after a connection was lost goes over a new one, with the same credential."""
    await apple.send("ok", 1)
    apple.stand.lose_connections()

    outcomes = [await apple.send("ok", number) for number in (2, 3)]

    assert Accepted() == outcomes[-1]
    assert (apple.stand.counters.connections, apple.stand.counters.credentials) == (2, 1)


async def test_a_herd_reopens_once(apple: Rig) -> None:
    """A hundred pushes that are told to leave a connection make one new one together."""
    await apple.send("ok", 1)
    apple.stand.reset()

    await asyncio.gather(*(apple.send("Shutdown", number) for number in range(100)))
    await apple.send("ok", 2)

    assert apple.stand.counters.connections == 1  # beside the one from before


async def test_pushes_on_the_old_connection_end_there(apple: Rig) -> None:
    """A connection that is left is closed only when its pushes were answered."""
    await apple.send("ok", 1)
    apple.stand.faults.delay_seconds = 0.2
    under_way = [asyncio.create_task(apple.send("ok", number)) for number in range(10, 20)]
    await apple.stand.until(lambda counters: counters.streams == 11)
    apple.stand.faults.delay_seconds = 0.0

    await apple.send("Shutdown", 2)

    assert {Accepted()} == set(await asyncio.gather(*under_way))
    assert apple.stand.counters.resends == 0


async def test_a_provider_that_refuses_every_stream_is_no_loop(apple: Rig) -> None:
    """Apple that processes nothing costs a bounded number of streams, then the schedule's time."""
    apple.stand.faults.first_success_streams = False
    apple.stand.faults.max_streams = 0

    outcome = await apple.channel.send(apple.message("ok", 2, lifetime_seconds=1))

    assert isinstance(outcome, Retry)
    assert apple.stand.counters.accepted == 0
    assert apple.stand.counters.refused_streams <= 9


def test_ids_are_uuids_of_version_5() -> None:
    """They are what the standard library makes of the same names (RFC 9562, section 5.5)."""
    one = message(None, 7)
    delivery = one.delivery

    named = f"{delivery.request_id}/{delivery.device}/approval_request/first"
    assert str(uuid.uuid5(NAMESPACE, named)) == push_id(one)


# Memory


def test_environments_are_remembered_up_to_a_bound() -> None:
    """The tokens that were found elsewhere last are kept, so many of them."""
    known = Environments()
    for number in range(MAX_TOKENS + 1):
        known.accepted(str(number), "production", by="sandbox")

    assert (known.of("0", "production"), known.of("1", "production")) == ("production", "sandbox")


def test_a_token_that_moves_back_is_forgotten() -> None:
    """A token that its named environment takes needs no memory."""
    known = Environments()
    known.accepted("token", "production", by="sandbox")

    known.accepted("token", "production", by="production")

    assert known.of("token", "production") == "production"


def test_a_pause_has_a_bound() -> None:
    """However often Apple refuses, a token is tried again within a minute."""
    pauses = Pauses(lambda: 0.0)

    assert [pauses.refused("token") for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_pause_ends_with_an_accepted_push() -> None:
    """The next refusal begins with a second again."""
    pauses = Pauses(lambda: 0.0)
    pauses.refused("token")
    pauses.refused("token")

    pauses.accepted("token")

    assert (pauses.left("token"), pauses.refused("token")) == (0, 1)


# Starting


def test_without_settings_there_is_no_channel() -> None:
    """Nothing is notified, and nothing is read."""
    assert apns_channel(Settings(), ManualClock()) is None


def test_aioapns_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start fails with a sentence that says what to install."""
    from quorumkey_relay.delivery.push import apns_aioapns  # noqa: PLC0415 - patched here only

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(apns_aioapns, "import_module", missing)

    with pytest.raises(ConfigError, match=r"pip install 'quorumkey-relay\[aioapns\]'"):
        apns_aioapns.AioapnsSender({}, roots=None)
