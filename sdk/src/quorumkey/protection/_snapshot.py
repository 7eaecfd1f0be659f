"""What is known of the protection without asking: the last snapshot, and how old it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from quorumkey.errors import UnexpectedAnswerError
from quorumkey.protection.verdicts import Proceed

if TYPE_CHECKING:
    from quorumkey.protection.declarations import Caller, Method
    from quorumkey.protection.models import ProceedAnswer, Snapshot

__all__ = ["MAX_STALENESS_SECONDS", "SnapshotCache"]

#: A snapshot decides for so long after its question was sent, in seconds.
MAX_STALENESS_SECONDS: Final = 1.0

_DISABLED: Final = Proceed("disabled")
_EXCLUDED: Final = Proceed("api_key_excluded")
_UNPROTECTED: Final = Proceed("unprotected")


class SnapshotCache:
    """The last snapshot; each decision is the gate's own order (disabled, API key, unprotected)."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self.revision: int | None = None
        self._asked_at = -math.inf
        self._enabled = True
        self._exclude_api_keys = False
        self._free: frozenset[str] = frozenset()
        self._always: frozenset[str] = frozenset()
        self._newest = (-1, -math.inf)

    def take(self, snapshot: Snapshot, asked_at: float) -> None:
        """Believe a snapshot from the moment at which it was asked for.

        One that was asked for before a newer revision was heard of, and is older, comes too late.

        Raises:
            UnexpectedAnswerError: it is another revision and has no methods.
        """
        revision, heard_at = self._newest
        if snapshot.revision < revision and asked_at <= heard_at:
            return
        if snapshot.methods is not None:
            self._free = frozenset(each.name for each in snapshot.methods if not each.protected)
            self._always = frozenset(each.name for each in snapshot.methods if each.always)
        elif snapshot.revision != self.revision:
            raise UnexpectedAnswerError("The relay's snapshot lacks the methods of its revision.")
        self.revision = snapshot.revision
        self._enabled = snapshot.enabled
        self._exclude_api_keys = snapshot.exclude_api_keys
        self._asked_at = max(self._asked_at, asked_at)

    def hear(self, revision: int, now: float) -> None:
        """Believe the snapshot no more where another answer names a newer revision."""
        if self.revision is None or revision > self.revision:
            self._asked_at = -math.inf
            self._newest = (revision, now)

    def denies(self, answer: ProceedAnswer, method: Method, caller: Caller) -> bool:
        """Whether a call cannot proceed for the reason that the relay gives.

        By what the service itself declares and knows, or by the snapshot of the same revision.
        """
        known = answer.revision == self.revision
        if answer.reason == _DISABLED.reason:
            return known and self._enabled
        if answer.reason == _EXCLUDED.reason:
            return caller.kind != "api_key" or (known and not self._exclude_api_keys)
        return method.kind == "always"

    def decide(self, method: Method, caller: Caller, now: float) -> Proceed | None:
        """Say that a call proceeds; None: the relay has to be asked."""
        if now - self._asked_at > MAX_STALENESS_SECONDS:
            return None
        if not self._enabled:
            return _DISABLED
        if self._exclude_api_keys and caller.kind == "api_key":
            return _EXCLUDED
        if method.name in self._free and method.kind != "always":
            return _UNPROTECTED
        return None

    def last_known(self, method: Method) -> Proceed | None:
        """Say that a method was unprotected when the relay was last heard, however long ago."""
        if self._asked_at == -math.inf:
            return None  # nothing was heard yet, or only that something has changed
        free = method.name in self._free and method.name not in self._always
        return _UNPROTECTED if free and method.kind != "always" else None
