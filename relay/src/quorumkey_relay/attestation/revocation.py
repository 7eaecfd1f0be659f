"""Google's list of revoked attestation keys, kept new beside the calls that it is needed for.

The list is an immutable value. A thread of its own reads a newer one and puts it in the old one's
place; who judges evidence takes what is there. A list that grows too old is refused by the
verifier, so a source that fails for long fails closed.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from quorumkey_attestation.android.fetch import RevocationFetcher
from quorumkey_attestation.android.revocation import MAX_BYTES, RevocationList
from quorumkey_attestation.android.transport import HttpsTransport
from quorumkey_attestation.errors import AttestationError
from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.settings import Settings

T = TypeVar("T")

log = logs.get()


class ListSource(Protocol):
    """Where the list comes from; called in a thread, one call at a time."""

    def at_hand(self, now: datetime) -> RevocationList | None:
        """Return a list that needs no network, if there is one; raises as ``read``."""
        ...

    def read(self, now: datetime) -> RevocationList:
        """Return the newest list; raises ``AttestationError`` or ``OSError``."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that somebody else keeps new: the list is as old as the file."""

    path: Path
    max_age: timedelta

    def at_hand(self, now: datetime) -> RevocationList | None:
        """Read the file."""
        return self.read(now)

    def read(self, now: datetime) -> RevocationList:
        """Read the file."""
        del now  # what counts is when the file was written
        with self.path.open("rb") as file:
            # Of the open file, and first: another may take its place, or its end be still written.
            written = os.fstat(file.fileno()).st_mtime
            data = file.read(MAX_BYTES + 1)
        return RevocationList.from_json(
            data, fetched_at=datetime.fromtimestamp(written, UTC), max_age=self.max_age
        )


class FetchedSource:
    """An address that is asked as often as its answers say (RFC 9111).

    Without a new answer the last good one stays, with its age; ``failure`` says why there is none.
    """

    def __init__(self, fetcher: RevocationFetcher) -> None:
        """Ask nothing yet."""
        self._fetcher = fetcher

    def at_hand(self, now: datetime) -> None:
        """Have none: a list is not kept over a restart."""
        del now

    def read(self, now: datetime) -> RevocationList:
        """Fetch the list where that is due."""
        del now  # the fetcher reads the same clock
        try:
            return self._fetcher.current()
        finally:
            if self._fetcher.failure is not None:
                log.warning("revocation_list_not_fetched")


class RevocationFeed:
    """The newest list that a source gave; None before the first."""

    def __init__(self, source: ListSource, clock: Clock) -> None:
        """Read nothing yet."""
        self.current: RevocationList | None = None
        self._source = source
        self._clock = clock

    def age_seconds(self) -> float:
        """Return how old the list is, in whole seconds; infinitely old before the first."""
        if self.current is None:
            return float("inf")
        return float(self._clock.now() - int(self.current.fetched_at.timestamp()))

    async def begin(self) -> None:
        """Take what is at hand, so that a start waits for no network."""
        await self._take(self._source.at_hand)

    async def refresh(self) -> None:
        """Put a newer list in place, if the source has one; an old one stays until it is stale."""
        await self._take(self._source.read)

    async def _take(self, read: Callable[[datetime], RevocationList | None]) -> None:
        now = moment(self._clock)
        try:
            found = await in_thread(lambda: read(now))
            self.current = found or self.current
        except AttestationError as error:
            log.warning("revocation_list_not_read", reason=error.reason.value)
        except OSError:
            log.warning("revocation_list_not_read", reason="unreachable")


def feed_of(settings: Settings, clock: Clock) -> RevocationFeed | None:
    """Return the feed that these settings ask for; None where no evidence needs a list."""
    judged = settings.android_apps or "android-key" in settings.webauthn_formats
    if settings.attestation == "off" or not judged:
        return None
    return RevocationFeed(source_of(settings, clock), clock)


def source_of(settings: Settings, clock: Clock) -> ListSource:
    """Return where these settings have the list come from."""
    max_age = timedelta(seconds=settings.android_revocation_max_age_seconds)
    location = settings.android_revocation
    if isinstance(location, Path):
        return FileSource(location, max_age)
    return FetchedSource(
        RevocationFetcher(HttpsTransport(), lambda: moment(clock), url=location, max_age=max_age)
    )


def moment(clock: Clock) -> datetime:
    """Return the relay's time as the verifiers take it."""
    return datetime.fromtimestamp(clock.now(), UTC)


async def in_thread(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread that a process which ends does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not done.done():  # cancelled: nobody waits for it any more
            set_it()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for it
            outcome = _failing(done, error)
        else:
            outcome = _succeeding(done, result)
        with suppress(RuntimeError):  # the loop has ended, and nobody waits for it any more
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name="revocation-list", daemon=True).start()
    return await done


def _failing(done: asyncio.Future[T], error: Exception) -> Callable[[], None]:
    return lambda: done.set_exception(error)


def _succeeding(done: asyncio.Future[T], result: T) -> Callable[[], None]:
    return lambda: done.set_result(result)
