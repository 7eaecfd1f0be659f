"""A shared credential: obtained once for everybody, renewed in the background, never too often."""

from __future__ import annotations

import asyncio

import pytest
from tests.relay.sim_devices import ManualClock

from quorumkey_relay.delivery.renewal import PAUSE_AFTER_FAILURE_SECONDS, Renewal

pytestmark = pytest.mark.anyio


class RefusedError(Exception):
    """The source gives nothing."""


class Source:
    """Where credentials come from: counts, waits when told to, fails when told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.obtained = 0
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def obtain(self) -> str:
        """A new credential."""
        self.obtained += 1
        number = self.obtained
        await self.gate.wait()
        if self.fails:
            raise RefusedError
        return f"credential {number}"

    def renewal(self) -> Renewal[str]:
        """As for an access token of an hour."""
        return Renewal(
            self.obtain,
            monotonic=self.clock.monotonic,
            refresh_after_seconds=3_000,
            expires_after_seconds=3_500,
            least_seconds_between=1_200,
        )


async def settle() -> None:
    """Let tasks that are ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def source(anyio_backend: object) -> Source:
    """A source that gives."""
    del anyio_backend
    return Source()


async def test_everybody_waits_for_one(source: Source) -> None:
    """Fifty callers at once have it obtained once."""
    renewal = source.renewal()

    values = await asyncio.gather(*(renewal.current() for _ in range(50)))

    assert {"credential 1"} == set(values)
    assert source.obtained == 1


async def test_a_young_one_is_kept(source: Source) -> None:
    """Until it is old enough nothing is renewed."""
    renewal = source.renewal()
    await renewal.current()
    source.clock.advance(2_999)

    assert await renewal.current() == "credential 1"
    assert source.obtained == 1


async def test_an_old_one_serves_while_it_is_renewed(source: Source) -> None:
    """Nobody waits for a renewal in the background; the next callers get the new one."""
    renewal = source.renewal()
    await renewal.current()
    source.clock.advance(3_000)

    during = [await renewal.current() for _ in range(10)]
    await settle()

    assert ["credential 1"] * 10 == during
    assert await renewal.current() == "credential 2"
    assert source.obtained == 2


async def test_an_expired_one_is_not_handed_out(source: Source) -> None:
    """After a quiet time longer than its life, callers wait for a new one."""
    renewal = source.renewal()
    await renewal.current()
    source.clock.advance(3_500)

    assert await renewal.current() == "credential 2"


async def test_a_failed_renewal_leaves_the_old_one(source: Source) -> None:
    """While the old one serves, a source that fails is asked again only after a pause."""
    renewal = source.renewal()
    await renewal.current()
    source.fails = True
    source.clock.advance(3_000)

    for _ in range(10):
        assert await renewal.current() == "credential 1"
        await settle()
    asked = source.obtained
    source.fails = False
    source.clock.advance(int(PAUSE_AFTER_FAILURE_SECONDS))
    await renewal.current()
    await settle()

    assert (asked, await renewal.current()) == (2, "credential 3")


async def test_without_any_the_failure_is_raised(source: Source) -> None:
    """Who waits for the first one hears why there is none; the next caller asks again."""
    renewal = source.renewal()
    source.fails = True

    with pytest.raises(RefusedError):
        await renewal.current()
    source.fails = False

    assert await renewal.current() == "credential 2"


async def test_a_caller_that_is_cancelled_ends_nobody_else_s(source: Source) -> None:
    """One of two that wait is cancelled; the other gets the value."""
    renewal = source.renewal()
    source.gate.clear()
    first, second = (asyncio.create_task(renewal.current()) for _ in range(2))
    await settle()

    first.cancel()
    await settle()
    source.gate.set()

    assert await second == "credential 1"
    assert source.obtained == 1


async def test_a_refused_one_is_renewed_once(source: Source) -> None:
    """All whose credential was refused get the same new one."""
    renewal = source.renewal()
    old = await renewal.current()
    source.clock.advance(1_200)

    values = await asyncio.gather(*(renewal.refused(old) for _ in range(20)))

    assert {"credential 2"} == set(values)
    assert source.obtained == 2


async def test_a_refused_one_that_is_too_young_stays(source: Source) -> None:
    """A renewal cannot be forced before its time."""
    renewal = source.renewal()
    old = await renewal.current()
    source.clock.advance(1_199)

    assert await renewal.refused(old) is None
    assert await renewal.current() == old


async def test_an_old_refusal_renews_nothing(source: Source) -> None:
    """Who was refused with an earlier one is given the present one."""
    renewal = source.renewal()
    await renewal.current()
    source.clock.advance(2_000)

    assert await renewal.refused("credential 0") == "credential 1"
    assert source.obtained == 1


async def test_closing_ends_a_renewal(source: Source) -> None:
    """A renewal that is under way ends with the relay."""
    renewal = source.renewal()
    await renewal.close()
    source.gate.clear()
    waiting = asyncio.create_task(renewal.current())
    await settle()

    await renewal.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
