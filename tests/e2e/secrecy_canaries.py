"""Canaries: texts that stand nowhere else, planted wherever a caller can put a text."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

#: Members whose values are secret, or signed for one reader, in whatever body they stand.
SECRET_MEMBERS = frozenset(
    {"api_key", "apiKey", "nonce", "pairing_code", "pairing_url", "payload", "sig", "token"}
)
MIN_SECRET_CHARS = 12


class Canaries:
    """Every text that must not be found again, by what it was planted as."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def plant(self, place: str) -> str:
        """A new canary."""
        return self.keep(place, f"cnry{secrets.token_hex(10)}")

    def keep(self, place: str, text: str) -> str:
        """Keep a secret that was not made here."""
        self.planted[text] = place
        return text

    def keep_secrets(self, value: Json) -> None:
        """Keep what a body holds in its secret members."""
        if isinstance(value, list):
            for item in value:
                self.keep_secrets(item)
        elif isinstance(value, dict):
            for name, item in value.items():
                if name in SECRET_MEMBERS and isinstance(item, str):
                    if len(item) >= MIN_SECRET_CHARS:
                        self.keep(name, item)
                else:
                    self.keep_secrets(item)

    def found_in(self, text: str) -> dict[str, str]:
        """Which of them a text holds, in clear or in any usual encoding."""
        return {
            secret: place
            for secret, place in self.planted.items()
            if any(form in text for form in forms(secret))
        }


def forms(secret: str) -> set[str]:
    """A secret and its encodings, base64 at each of the three places it can begin at."""
    raw = secret.encode()
    found = {secret, secret.replace("-", ""), raw.hex(), quote(secret, safe="")}
    found.add(json.dumps(secret)[1:-1])
    for before in range(3):
        # The characters that also hold bits of a neighbour are cut off.
        first, last = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            found.add(encode(bytes(before) + raw).decode()[first:last])
    return found


def mutated(value: Json, canary: Callable[[], str]) -> Iterator[Json]:
    """Copies of a body, each with a canary for one value, or as one member more."""
    yield canary()
    if isinstance(value, dict):
        yield {**value, canary(): canary()}
        for name, inner in value.items():
            for other in mutated(inner, canary):
                yield {**value, name: other}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for other in mutated(inner, canary):
                yield [*value[:index], other, *value[index + 1 :]]
