"""Who calls the example: whoever knows one of the tokens in its file of users.

A service of yours has its own way to authenticate; what counts is that the guard is told whom it
has found, and nothing that the call says of itself.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from quorumkey.protection import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BEARER: Final = "Bearer "


class Callers:
    """The callers by the digests of their tokens, so that looking one up takes no secret's time."""

    def __init__(self, tokens: Mapping[str, Caller]) -> None:
        """Know these callers by their tokens."""
        self._by_digest = {_digest(token): caller for token, caller in tokens.items()}

    @staticmethod
    def load(path: Path) -> Callers:
        """Read ``{token: {"kind": …, "id": …, "name": …}}``."""
        members: dict[str, dict[str, str]] = json.loads(path.read_bytes())
        return Callers(
            {
                token: Caller(
                    "api_key" if who["kind"] == "api_key" else "person", who["id"], who.get("name")
                )
                for token, who in members.items()
            }
        )

    def of(self, authorization: str) -> Caller | None:
        """Return whose token this header carries; None where it is nobody's."""
        if not authorization.startswith(_BEARER):
            return None
        return self._by_digest.get(_digest(authorization.removeprefix(_BEARER)))


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
