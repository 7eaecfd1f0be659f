"""Google's list of revoked attestation keys, as a value with an age.

Source: https://developer.android.com/privacy-and-security/security-key-attestation#certificate_status
and the list itself, https://android.googleapis.com/attestation/status.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.moment import require_aware

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["DEFAULT_MAX_AGE", "RevocationEntry", "RevocationList"]

DEFAULT_MAX_AGE: Final = timedelta(days=2)
MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=5)  # a list may seem to come from the future by
MAX_BYTES: Final = 16 * 1024 * 1024  # bytes of JSON; the list of January 2025 has 46,000
MAX_ENTRIES: Final = 200_000  # entries; the list of January 2025 has 467

#: At most the 20 octets that RFC 5280 gives a serial number, and room for leading zeros.
_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{1,64}", re.ASCII)

_Json: TypeAlias = "dict[str, _Json] | list[_Json] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """Why a certificate is on the list. Whatever it says, the certificate is refused.

    Attributes:
        status: ``"REVOKED"`` or ``"SUSPENDED"``.
        reason: such as ``"KEY_COMPROMISE"``.
        comment: for people.
        expires: the date from which Google may drop the entry, ``YYYY-MM-DD``; until it does, the
            certificate stays refused.
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
        fetched_at: when it was fetched, or last confirmed to be current.
        max_age: for how long after that it may be used.

    Raises:
        ValueError: ``fetched_at`` has no time zone, or ``max_age`` is not positive.
    """

    entries: Mapping[int, RevocationEntry] = field(repr=False)
    fetched_at: datetime
    max_age: timedelta = DEFAULT_MAX_AGE

    def __post_init__(self) -> None:
        require_aware(self.fetched_at, "fetched_at")
        if self.max_age <= timedelta(0):
            msg = "max_age must be positive"
            raise ValueError(msg)

    @classmethod
    def from_json(
        cls, data: bytes, *, fetched_at: datetime, max_age: timedelta = DEFAULT_MAX_AGE
    ) -> RevocationList:
        """Return the list that Google's JSON holds.

        1. At most ``MAX_BYTES`` of JSON in UTF-8, with no name twice in one object.
        2. An object whose ``entries`` is an object of at most ``MAX_ENTRIES``; further members are
           passed over.
        3. The name of each entry is a serial number in hexadecimal, digits alone included. Leading
           zeros and upper case, which Google's format excludes, mean the same number here.
        4. Each entry is an object with the text ``status``; ``reason``, ``comment`` and
           ``expires`` are texts where they are present.

        Args:
            data: the JSON as it was fetched.
            fetched_at: when that was.
            max_age: for how long it may be used.

        Raises:
            AttestationError: ``malformed``: a list that cannot be read revokes nothing, so it
                must not replace one that can.
            ValueError: as for the class.
        """
        if len(data) > MAX_BYTES:
            raise _malformed(f"has more than {MAX_BYTES} bytes", "1-size")
        try:
            document: _Json = json.loads(
                data.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse
            )
        except (ValueError, RecursionError) as error:
            raise _malformed("is not JSON, or has a name twice", "1-json") from error
        if not isinstance(document, dict) or not isinstance(
            entries := document.get("entries"), dict
        ):
            raise _malformed("has no object called entries", "2-entries")
        if len(entries) > MAX_ENTRIES:
            raise _malformed(f"has more than {MAX_ENTRIES} entries", "2-count")
        return cls(
            MappingProxyType({_serial(name): _entry(entry) for name, entry in entries.items()}),
            fetched_at,
            max_age,
        )

    def check(self, serial: int) -> RevocationEntry | None:
        """Return the entry of the certificate with this serial number, or None."""
        return self.entries.get(serial)

    def require_fresh(self, now: datetime, audit: Audit | None = None) -> None:
        """Refuse to judge by a list that is too old.

        5. It is at most ``max_age`` old at ``now``, and not from after ``now`` by more than
           ``MAX_CLOCK_DIFFERENCE``: with a clock that is wrong no list would ever grow old.

        Args:
            now: the moment of judgement.
            audit: the trail of this verification.

        Raises:
            AttestationError: ``revocation_stale``.
            ValueError: ``now`` has no time zone.
        """
        require_aware(now)
        age = now - self.fetched_at
        (audit or Audit()).require(
            "android.revocation/5-age",
            -MAX_CLOCK_DIFFERENCE <= age <= self.max_age,
            Reason.REVOCATION_STALE,
            f"The revocation list is of {self.fetched_at.isoformat()}: too old, or in the future.",
        )


def _malformed(detail: str, step: str) -> AttestationError:
    return AttestationError(
        Reason.MALFORMED, f"The revocation list {detail}.", check=f"android.revocation/{step}"
    )


def _without_duplicates(pairs: list[tuple[str, _Json]]) -> dict[str, _Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a name stands there twice"
        raise ValueError(msg)
    return members


def _refuse(constant: str) -> _Json:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def _serial(name: str) -> int:
    if _SERIAL.fullmatch(name) is None:
        raise _malformed("has an entry whose name is no hexadecimal number", "3-serial")
    return int(name, 16)


def _entry(entry: _Json) -> RevocationEntry:
    if not isinstance(entry, dict):
        raise _malformed("has an entry that is no object", "4-entry")
    status = _text(entry, "status")
    if status is None:
        raise _malformed("has an entry without a status", "4-entry")
    return RevocationEntry(
        status, _text(entry, "reason"), _text(entry, "comment"), _text(entry, "expires")
    )


def _text(entry: dict[str, _Json], name: str) -> str | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise _malformed(f"has an entry whose {name} is no text", "4-entry")
    return value
