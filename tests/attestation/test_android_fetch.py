"""Tests of quorumkey_attestation.android.fetch: no network, a clock that the test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation.android.fetch import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    RETRY_AFTER,
    STATUS_URL,
    RevocationFetcher,
    StatusResponse,
)
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing.android import status_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.android.revocation import RevocationList

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class World:
    """A server, the way to it and a clock, all of which the test sets."""

    def __init__(self) -> None:
        self.now = START
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.down = False
        self.answer = StatusResponse(200, {}, status_list({"a": "REVOKED"}))
        self.fetcher = RevocationFetcher(self.transport, lambda: self.now)

    def transport(self, url: str, headers: Mapping[str, str]) -> StatusResponse:
        """Answer, or be down."""
        self.requests.append((url, dict(headers)))
        if self.down:
            raise TimeoutError
        return self.answer

    def says(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
        body: bytes | None = None,
    ) -> None:
        """Let the server answer this from now on."""
        self.answer = StatusResponse(status, headers or {}, status_list() if body is None else body)

    def after(self, passed: timedelta) -> RevocationList:
        """The list that the fetcher hands out once some time has passed."""
        self.now += passed
        return self.fetcher.current()


def test_first_list() -> None:
    """The first question is asked of Google's address, and answered with the list of now."""
    world = World()

    revocation = world.fetcher.current()

    assert [(STATUS_URL, {})] == world.requests
    assert START == revocation.fetched_at
    assert revocation.check(0xA) is not None
    assert world.fetcher.failure is None


@pytest.mark.parametrize(
    ("headers", "lifetime"),
    [
        ({"cache-control": "public, max-age=600"}, timedelta(seconds=600)),
        ({"cache-control": 'MAX-AGE="600"'}, timedelta(seconds=600)),
        ({"cache-control": "max-age=600", "age": "500"}, timedelta(seconds=100)),
        ({"cache-control": "max-age=99999999999999"}, MAX_LIFETIME),
        ({}, DEFAULT_LIFETIME),
        ({"cache-control": "public"}, DEFAULT_LIFETIME),
        ({"cache-control": "max-age=600, max-age=5"}, timedelta(seconds=600)),
    ],
    ids=["max-age", "quoted", "age", "bounded", "nothing", "no-max-age", "twice"],
)
def test_lifetime(headers: dict[str, str], lifetime: timedelta) -> None:
    """A list is used without asking again for as long as its answer says, and no longer."""
    world = World()
    world.says(headers)
    world.fetcher.current()

    world.after(lifetime - SECOND)
    assert 1 == len(world.requests)
    world.after(SECOND)
    assert 2 == len(world.requests)


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "no-store"},
        {"cache-control": "max-age=600, no-store"},
        {"cache-control": "No-Cache"},
        {"cache-control": "max-age=0"},
        {"cache-control": "max-age=soon"},
        {"cache-control": "max-age"},
        {"cache-control": "max-age=600", "age": "600"},
    ],
    ids=["no-store", "no-store-after", "no-cache", "zero", "unreadable", "bare", "spent"],
)
def test_no_lifetime(headers: dict[str, str]) -> None:
    """An answer that may not be kept is asked for every time."""
    world = World()
    world.says(headers)
    world.fetcher.current()

    world.fetcher.current()

    assert 2 == len(world.requests)


def test_age_counts() -> None:
    """A list that a cache has held for an hour is an hour old."""
    world = World()
    world.says({"age": "3600"})

    assert START - timedelta(hours=1) == world.fetcher.current().fetched_at


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (404, b"{}"), (302, b""), (200, b"<html>"), (200, b"{}"), (206, None), (304, b"")],
    ids=["error", "not-found", "redirect", "html", "no-list", "partial", "unasked-304"],
)
def test_failure_keeps_the_last_good_list(status: int, body: bytes | None) -> None:
    """An answer that is no list leaves the last good one in place, with its age."""
    world = World()
    world.says({"cache-control": "max-age=60"})
    first = world.fetcher.current()
    world.says(status=status, body=body)

    later = world.after(timedelta(hours=1))

    assert first is later
    assert world.fetcher.failure is not None


def test_outage_ends_in_refusal() -> None:
    """While the server is down the list grows old, until every verification refuses it."""
    world = World()
    world.fetcher.current()
    world.down = True

    kept = world.after(timedelta(days=2))
    kept.require_fresh(world.now)
    stale = world.after(SECOND)

    with pytest.raises(AttestationError) as caught:
        stale.require_fresh(world.now)
    assert Reason.REVOCATION_STALE is caught.value.reason
    assert "TimeoutError" == world.fetcher.failure


def test_no_list_at_all() -> None:
    """Without a list, and without a way to one, the fetcher refuses."""
    world = World()
    world.down = True

    with pytest.raises(AttestationError) as caught:
        world.fetcher.current()

    assert Reason.REVOCATION_STALE is caught.value.reason


def test_failing_server_is_left_alone() -> None:
    """After a failure nothing is asked for a while, and then it is, and works again."""
    world = World()
    world.says({"cache-control": "no-store"})
    world.fetcher.current()
    world.down = True
    world.fetcher.current()

    world.after(RETRY_AFTER - SECOND)
    assert 2 == len(world.requests)
    world.down = False
    world.after(SECOND)
    assert 3 == len(world.requests)
    assert world.fetcher.failure is None


def test_confirmation() -> None:
    """An entity tag is sent back, and 304 makes the list as good as new."""
    world = World()
    listed = status_list({"b": "REVOKED"})
    world.says({"cache-control": "max-age=60", "etag": '"v1"'}, body=listed)
    world.fetcher.current()
    world.says({"cache-control": "max-age=60"}, status=304, body=b"")

    confirmed = world.after(timedelta(days=1))

    assert (STATUS_URL, {"If-None-Match": '"v1"'}) == world.requests[-1]
    assert START + timedelta(days=1) == confirmed.fetched_at
    assert confirmed.check(0xB) is not None


def test_new_list_replaces_the_old_one() -> None:
    """What is no longer on the new list is no longer denied, and what is new on it is."""
    world = World()
    world.fetcher.current()
    world.says(body=status_list({"b": "SUSPENDED"}))

    later = world.after(DEFAULT_LIFETIME)

    assert later.check(0xA) is None
    assert later.check(0xB) is not None


def test_clock_set_back() -> None:
    """A clock that is set back makes the fetcher ask, instead of waiting for the old time."""
    world = World()
    world.fetcher.current()

    world.after(-timedelta(days=30))

    assert 2 == len(world.requests)
