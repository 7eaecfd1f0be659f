"""Messages of the service that governs protected methods; its .proto says what they mean.

A field with a default is one that may be left out, and being left out is having the default: the
two are one call (B10). ``UNSET`` is for fields whose absence says something of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

KeyScope = Literal["integrator", "admin"]


class EmptyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """No field."""


class MethodNameBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A method by name."""

    method: str = ""


class ProtectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A method and the condition under which its calls wait; empty for all of them."""

    method: str = ""
    condition: str = ""


class CreateKeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new API key."""

    name: str = ""
    scope: Literal["", "integrator", "admin"] = ""


class UpdateKeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of an API key; what is absent stays."""

    key_id: str = ""
    name: str | UnsetType = UNSET
    scope: KeyScope | UnsetType = UNSET
    revoke: bool = False


class AdministratorBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An approver."""

    approver_id: str = ""


class ListBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a list: 0 is the usual size, an empty cursor the first page."""

    limit: int = 0
    cursor: str = ""


class TxidBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A transaction."""

    txid: str = ""


class ResolveBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A decision as a device has signed it, and what the caller takes it for."""

    txid: str = ""
    decision: Literal["approve", "reject", "cancel"] | UnsetType = UNSET
    envelope: dict[str, Any] | UnsetType = UNSET


def normalised(body: Struct) -> JsonValue:
    """Return a message with its defaults filled in: what a call's canonical request is made of."""
    value: JsonValue = msgspec.to_builtins(body)
    return value
