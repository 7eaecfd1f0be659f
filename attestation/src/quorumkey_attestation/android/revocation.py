"""Google's list of revoked attestation keys, as a value with an age."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.audit import Audit

__all__ = ["DEFAULT_MAX_AGE", "RevocationEntry", "RevocationList"]

DEFAULT_MAX_AGE: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """Why a certificate is on the list. Whatever it says, the certificate is refused.

    Attributes:
        status: ``"REVOKED"`` or ``"SUSPENDED"``.
        reason: such as ``"KEY_COMPROMISE"``.
        comment: for people.
        expires: the date after which Google may drop the entry, ``YYYY-MM-DD``.
    """

    status: str
    reason: str | None = None
    comment: str | None = None
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class RevocationList:
    """The list as it was at ``fetched_at``.

    Args:
        entries: serial number → entry.
        fetched_at: when it was fetched, or last confirmed.
        max_age: how long after that it may be used.

    Raises:
        ValueError: ``fetched_at`` has no time zone, or ``max_age`` is not positive.
    """

    entries: Mapping[int, RevocationEntry] = field(repr=False)
    fetched_at: datetime
    max_age: timedelta = DEFAULT_MAX_AGE

    @classmethod
    def from_json(
        cls, data: bytes, *, fetched_at: datetime, max_age: timedelta = DEFAULT_MAX_AGE
    ) -> RevocationList:
        """Return the list that Google's JSON holds."""
        raise NotImplementedError

    def check(self, serial: int) -> RevocationEntry | None:
        """Return the entry of a certificate's serial number, or None."""
        return self.entries.get(serial)

    def require_fresh(self, now: datetime, audit: Audit | None = None) -> None:
        """Refuse a list that is older than ``max_age`` at ``now``, or from its future."""
        raise NotImplementedError
