"""The revocation list is kept new beside the calls, and fails closed."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import START, ManualClock

from quorumkey_attestation.android.fetch import RevocationFetcher, StatusResponse
from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.testing.android import status_list
from quorumkey_relay.attestation.revocation import (
    FetchedSource,
    FileSource,
    RevocationFeed,
    feed_of,
    in_thread,
)
from quorumkey_relay.option_kinds import AndroidApp
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.anyio

NOW = datetime.fromtimestamp(START, UTC)
APPS = (AndroidApp("com.example.approve", "5a" * 32),)


@dataclass
class Web:
    """Answers with what stands there; counts how often it was asked."""

    answers: list[StatusResponse | OSError] = field(
        default_factory=list["StatusResponse | OSError"]
    )
    asked: int = 0

    def __call__(self, url: str, headers: Mapping[str, str]) -> StatusResponse:
        """Give the next answer."""
        del url, headers
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def fresh(*revoked: str) -> StatusResponse:
    """A list, good for an hour."""
    body = status_list(dict.fromkeys(revoked, "REVOKED"))
    return StatusResponse(200, {"cache-control": "max-age=3600"}, body)


def fetched(web: Web, clock: ManualClock) -> RevocationFeed:
    """A feed from the web."""
    fetcher = RevocationFetcher(web, lambda: datetime.fromtimestamp(clock.now(), UTC))
    return RevocationFeed(FetchedSource(fetcher), clock)


def serials(feed: RevocationFeed) -> list[int] | None:
    """What is on the newest list."""
    return None if feed.current is None else sorted(feed.current.entries)


async def test_a_start_waits_for_no_network() -> None:
    """Before the first answer there is no list."""
    web = Web()
    feed = fetched(web, ManualClock())

    await feed.begin()

    assert (None, 0) == (feed.current, web.asked)


async def test_a_list_is_fetched_as_often_as_its_answer_says() -> None:
    """Looking again before that asks nobody."""
    web, clock = Web([fresh("1"), fresh("2")]), ManualClock()
    feed = fetched(web, clock)
    seen: list[list[int] | None] = []
    for seconds in (0, 3_599, 1):
        clock.advance(seconds)
        await feed.refresh()
        seen.append(serials(feed))

    assert [[1], [1], [2]] == seen


async def test_a_failure_leaves_the_last_good_list() -> None:
    """It keeps its age, so that it becomes stale in time."""
    web, clock = Web([fresh("1"), OSError("unreachable")]), ManualClock()
    feed = fetched(web, clock)
    await feed.refresh()
    clock.advance(3_601)
    await feed.refresh()

    assert feed.current is not None
    assert ([1], NOW, 2) == (serials(feed), feed.current.fetched_at, web.asked)


async def test_without_any_answer_there_is_no_list(capsys: pytest.CaptureFixture[str]) -> None:
    """A first failure is told in the log as what it is, and nothing else happens."""
    feed = fetched(Web([OSError("unreachable")]), ManualClock())

    await feed.refresh()

    assert None is feed.current
    assert "revocation_list_not_fetched" in capsys.readouterr().out


async def test_a_file_is_as_old_as_it_was_written(tmp_path: Path) -> None:
    """Reading an old file again does not make it new."""
    path = tmp_path / "status.json"
    path.write_bytes(status_list({"ab": "SUSPENDED"}))
    os.utime(path, (START - 60, START - 60))
    max_age = timedelta(hours=6)
    feed = RevocationFeed(FileSource(path, max_age), ManualClock())

    await feed.begin()

    assert feed.current == RevocationList.from_json(
        path.read_bytes(), fetched_at=NOW - timedelta(seconds=60), max_age=max_age
    )


def test_a_file_that_is_replaced_meanwhile_lends_nobody_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is as old as it is, also where a newer file stands there by now."""
    path, newer = tmp_path / "status.json", tmp_path / "newer.json"
    for file, written in ((path, START - 9000), (newer, START)):
        file.write_bytes(status_list())
        os.utime(file, (written, written))
    opened = type(path).open

    def overtaken(of: Path, mode: str) -> object:
        file = opened(of, mode)
        newer.replace(path)
        return file

    monkeypatch.setattr(type(path), "open", overtaken)

    found = FileSource(path, timedelta(days=2)).read(NOW)

    assert NOW - timedelta(seconds=9000) == found.fetched_at


@pytest.mark.parametrize(
    "settings",
    [
        Settings(android_apps=APPS),
        Settings(attestation="required", app_attest_apps=("ABCDE12345.com.example.a",)),
    ],
    ids=["off", "no Android"],
)
def test_a_relay_that_needs_no_list_asks_nobody(settings: Settings) -> None:
    """Where no Android evidence is judged there is no feed."""
    assert None is feed_of(settings, ManualClock())


@pytest.mark.parametrize(
    "settings",
    [
        Settings(attestation="preferred", android_apps=APPS),
        Settings(attestation="preferred", webauthn_formats=("android-key",)),
    ],
    ids=["phones", "passkeys"],
)
def test_a_relay_that_judges_android_has_a_feed(settings: Settings) -> None:
    """Phones and passkeys of Android rest on the same list; nothing is fetched yet."""
    feed = feed_of(settings, ManualClock())

    assert feed is not None
    assert None is feed.current


async def test_the_event_loop_goes_on_meanwhile() -> None:
    """Reading happens in a thread of its own."""
    begun, allowed = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def read() -> str:
        loop.call_soon_threadsafe(begun.set)
        assert allowed.wait(20)
        return threading.current_thread().name

    reading = asyncio.ensure_future(in_thread(read))
    await begun.wait()
    allowed.set()

    assert "revocation-list" == await reading


async def test_what_a_thread_raises_is_raised() -> None:
    """An error that nobody foresaw reaches who waits."""

    def read() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread(read)


async def test_who_no_longer_waits_is_not_told() -> None:
    """A cancelled reading ends quietly, whatever comes of it."""
    begun, allowed = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    threads: list[threading.Thread] = []

    def read() -> None:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(begun.set)
        assert allowed.wait(20)

    reading = asyncio.ensure_future(in_thread(read))
    await begun.wait()
    reading.cancel()
    allowed.set()
    await in_thread(threads[0].join)  # after this, what it had to tell has been told

    assert reading.cancelled()
