"""Get Google's revocation list, keep it as long as Google says, and keep the last good one.

Nothing that verifies imports this module: a verifier is handed the list as a value. A caller that
already has a way to fetch a file needs only :meth:`.revocation.RevocationList.from_json`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_attestation.android.revocation import DEFAULT_MAX_AGE, RevocationList
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["STATUS_URL", "RevocationFetcher", "StatusResponse", "Transport"]

STATUS_URL: Final = "https://android.googleapis.com/attestation/status"

DEFAULT_LIFETIME: Final = timedelta(hours=1)  # of an answer that does not say
MAX_LIFETIME: Final = timedelta(days=1)  # whatever an answer says: a theft has to get through
RETRY_AFTER: Final = timedelta(minutes=1)  # between attempts, while they fail

_MAX_SECONDS: Final = 1 << 31  # what RFC 9111 section 1.2.2 has for "too many"
_OK: Final = 200
_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True)
class StatusResponse:
    """What a transport brought back.

    Attributes:
        status: the HTTP status code.
        headers: the header fields, their names in lower case.
        body: the content, whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Fetches one URL: :class:`.transport.HttpsTransport`, or a caller's own."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> StatusResponse:
        """Return what ``url`` answers.

        Args:
            url: what to fetch.
            headers: the header fields to send.

        Raises:
            OSError: there is no answer.
        """
        ...


class RevocationFetcher:
    """Fetches the list when it has to, and has the last good one when that fails.

    How long an answer is used without asking again is what its Cache-Control says (RFC 9111):
    ``max-age`` less ``Age``; not at all with ``no-store`` or ``no-cache``. How long it may be
    *judged by* is the list's own ``max_age``, counted from when the origin server vouched for it:
    once that has passed, a fetcher that cannot fetch hands out a list that every verification
    refuses as stale. One instance may be used by several threads.

    Args:
        transport: how to fetch.
        clock: the time, with a time zone.
        url: where the list is.
        max_age: how long a list may be judged by.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        url: str = STATUS_URL,
        max_age: timedelta = DEFAULT_MAX_AGE,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._url = url
        self._max_age = max_age
        self._lock = threading.Lock()
        self._list: RevocationList | None = None
        self._tag: str | None = None
        self._asked_at: datetime | None = None
        self._rest = timedelta(0)
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why the last attempt failed, in words; None if it did not."""
        return self._failure

    def current(self) -> RevocationList:
        """Return the list, fetched if that is due.

        1. While the last answer may be used, or the last failure is less than ``RETRY_AFTER`` ago,
           nothing is asked.
        2. An answer is a list only with status 200, and if it reads as one; 304 confirms the list
           that its entity tag was sent for. Anything else is a failure.
        3. After a failure the last good list stays what it is, with its age.

        Raises:
            AttestationError: ``revocation_stale``: there is none, and none could be fetched.
        """
        with self._lock:
            now = self._clock()
            if self._asked_at is None or not self._asked_at <= now < self._asked_at + self._rest:
                self._asked_at = now  # before that, the clock was set back: ask as well
                self._rest = self._ask(now)
            if self._list is None:
                raise AttestationError(
                    Reason.REVOCATION_STALE,
                    f"The revocation list could not be fetched: {self._failure}.",
                )
            return self._list

    def _ask(self, now: datetime) -> timedelta:
        """Ask for the list, and return for how long that need not be repeated."""
        previous = self._list
        headers = {} if previous is None or self._tag is None else {"If-None-Match": self._tag}
        try:
            response = self._transport(self._url, headers)
            vouched_at = now - _age(response.headers)
            if response.status == _OK:
                self._list = RevocationList.from_json(
                    response.body, fetched_at=vouched_at, max_age=self._max_age
                )
                self._tag = response.headers.get("etag")
            elif response.status == _NOT_MODIFIED and previous is not None and headers:
                self._list = replace(previous, fetched_at=vouched_at)
            else:
                self._failure = f"the server answered {response.status}"
                return RETRY_AFTER
        except (OSError, AttestationError) as error:
            self._failure = str(error) or type(error).__name__
            return RETRY_AFTER
        self._failure = None
        return _lifetime(response.headers)


def _seconds(text: str | None) -> int | None:
    # RFC 9111 section 1.2.2: digits; a number too large to matter counts as one that is large.
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return min(int(text[:12]), _MAX_SECONDS)


def _age(headers: Mapping[str, str]) -> timedelta:
    return timedelta(seconds=_seconds(headers.get("age", "").strip()) or 0)


def _lifetime(headers: Mapping[str, str]) -> timedelta:
    """Return for how long an answer may be used without asking again (RFC 9111 section 4.2)."""
    directives: dict[str, str] = {}
    for directive in headers.get("cache-control", "").split(","):
        name, _, value = directive.partition("=")
        directives.setdefault(name.strip().lower(), value.strip().strip('"'))
    if "no-store" in directives or "no-cache" in directives:
        return timedelta(0)
    if "max-age" not in directives:
        return DEFAULT_LIFETIME
    # A max-age that cannot be read is stale, says section 4.2.1.
    lifetime = timedelta(seconds=_seconds(directives["max-age"]) or 0)
    return max(min(lifetime - _age(headers), MAX_LIFETIME), timedelta(0))
