"""Sessions of people in browsers: opaque tokens in a cookie, kept in memory.

After a restart somebody signs in again; nothing is lost with a session.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import b64url_encode

if TYPE_CHECKING:
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.usecases.jit.ports import Person

TOKEN_BYTES: Final = 32
SESSION_SECONDS: Final = 28_800
MAX_SESSIONS: Final = 100_000
MAX_SESSIONS_PER_PERSON: Final = 16


class BrowserSessions:
    """People by the SHA-256 of their tokens; a person has a few, the oldest gives way."""

    def __init__(self, mint: Mint) -> None:
        """Start with none."""
        self._mint = mint
        self._live: OrderedDict[bytes, tuple[Person, int]] = OrderedDict()
        self._of_person: dict[str, list[bytes]] = {}

    def open(self, person: Person, now: int) -> str:
        """Return a new token, which is good for ``SESSION_SECONDS``."""
        token = b64url_encode(self._mint.random(TOKEN_BYTES))
        digest = _digest(token)
        self._live[digest] = (person, now + SESSION_SECONDS)
        own = self._of_person.setdefault(person.email, [])
        own.append(digest)
        if len(own) > MAX_SESSIONS_PER_PERSON:
            self._drop(own[0])
        self._make_room(now)
        return token

    def person(self, token: str, now: int) -> Person | None:
        """Return whose session this is, or None when it is unknown or over."""
        digest = _digest(token)
        found = self._live.get(digest)
        if found is None:
            return None
        person, expires_at = found
        if now >= expires_at:
            self._drop(digest)
            return None
        return person

    def close(self, token: str) -> None:
        """End a session, if it is one."""
        digest = _digest(token)
        if digest in self._live:
            self._drop(digest)

    def _make_room(self, now: int) -> None:
        while self._live:
            digest, (_, expires_at) = next(iter(self._live.items()))
            if expires_at > now and len(self._live) <= MAX_SESSIONS:
                return
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        person, _ = self._live.pop(digest)
        own = self._of_person[person.email]
        own.remove(digest)
        if not own:
            del self._of_person[person.email]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
