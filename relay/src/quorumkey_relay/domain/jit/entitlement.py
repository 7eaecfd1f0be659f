"""An entitlement: a role that somebody is not given, but may activate for a while.

Its id is ``project:role`` or ``project:role:BASE64(condition)``, where the condition is the CEL
expression that limits the role to some resources, in the one form that the parser writes it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, Literal

from msgspec import Struct

#: How an entitlement is activated: alone, or with the approval of a peer (multi-party approval).
ActivationType = Literal["JIT", "MPA"]

MAX_ENTITLEMENT_ID_CHARS: Final = 4_096

_SEPARATOR: Final = ":"
_MAX_PARTS: Final = 3


class EntitlementError(ValueError):
    """A text is no entitlement id; the message is a sentence."""


class EntitlementId(Struct, frozen=True, order=True):
    """A role in a project, limited to some resources where ``condition`` is not empty."""

    project: str
    role: str
    condition: str = ""

    def __str__(self) -> str:
        """Return the id as people and tokens carry it."""
        parts = [self.project, self.role]
        if self.condition:
            parts.append(base64.b64encode(self.condition.encode()).decode())
        return _SEPARATOR.join(parts)

    @classmethod
    def parse(cls, text: str) -> EntitlementId:
        """Read an id; raises `EntitlementError`."""
        if len(text) > MAX_ENTITLEMENT_ID_CHARS:
            message = f"An entitlement id has at most {MAX_ENTITLEMENT_ID_CHARS} characters."
            raise EntitlementError(message)
        parts = text.split(_SEPARATOR)
        if not 1 < len(parts) <= _MAX_PARTS or not all(part.strip() for part in parts):
            message = "An entitlement id is project:role or project:role:BASE64(condition)."
            raise EntitlementError(message)
        condition = _condition(parts[2]) if len(parts) == _MAX_PARTS else ""
        return cls(parts[0], parts[1], condition)


def _condition(text: str) -> str:
    try:
        condition = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        condition = ""
    if not condition.strip() or base64.b64encode(condition.encode()).decode() != text:
        message = "The third part of an entitlement id is the Base64 of a condition."
        raise EntitlementError(message)
    return condition


class Entitlement(Struct, frozen=True, order=True):
    """A role that one person may activate, and how."""

    id: EntitlementId
    activation_type: ActivationType


class TemporaryAccess(Struct, frozen=True):
    """A role that a temporary binding gives one person from ``start`` until before ``end``.

    Times in seconds since the epoch.
    """

    id: EntitlementId
    start: int
    end: int


class Listing(Struct, frozen=True):
    """What one person may activate in a project, and what a policy says is active already.

    ``warnings`` are sentences about what could not be read, without names of other people.
    """

    entitlements: tuple[Entitlement, ...] = ()
    active: tuple[TemporaryAccess, ...] = ()
    warnings: tuple[str, ...] = ()
