"""Expected refusals are values: a use case returns one instead of raising (PROTOCOL §9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import JsonValue


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command was not carried out.

    ``code`` is one of ``quorumkey.errors.ERRORS``; ``message`` one sentence a person can act on;
    ``retry_after`` whole seconds, for 429 and 503 only.
    """

    code: str
    message: str
    details: Mapping[str, JsonValue] | None = None
    retry_after: int | None = None


NOT_FOUND = Refusal("not_found", "There is nothing here under this id.")
