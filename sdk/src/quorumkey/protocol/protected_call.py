"""What the approvers of a protected method are shown and sign: one text for every call.

The relay writes it into the request document, and whoever executes the call writes it again and
compares (`quorumkey.protected`). A relay that shows a harmless call and binds the digest of
another one is found out by that, so nothing here may depend on anything but the call itself.

A value is shown as one line for each of its leaves, ``path: value``, in the order of the canonical
request::

    host.tags[0]: "staging"
    process: "nginx"

Strings stand in quotes, so that ``1`` and ``"1"`` differ, and what people must not be shown
(protocol section 2) is escaped as JSON does. A member name that is no plain word is written
``["like this"]``. What does not fit is cut, and says so; its digest is signed all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum, unique
from json import JSONEncoder
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from quorumkey.protocol._members import digest_in, id_in, name_in, refuse
from quorumkey.protocol.action import Action
from quorumkey.protocol.canonical import canonical_json, request_binding
from quorumkey.protocol.encoding import check_text, cut_text, escape_text
from quorumkey.protocol.limits import (
    MAX_DESCRIPTION_CHARS,
    MAX_METHOD_NAME_CHARS,
    MAX_PARAMS_BYTES,
)
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["ACTION_TYPE", "CallerKind", "Hidden", "ProtectedCall", "TransactionState"]

#: ``action.type`` of every protected method.
ACTION_TYPE: Final = "protected_method"

#: Who calls: a person, by approver id, or an API key, by its id.
CallerKind: TypeAlias = Literal["person", "api_key"]

_CALLER_KINDS: Final = frozenset({"person", "api_key"})
_TEXT: Final = JSONEncoder(ensure_ascii=False).encode
_is_word: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII).fullmatch

# Shares of MAX_PARAMS_BYTES, as compact JSON; the request has what the others leave.
_MAX_CONDITION_BYTES: Final = 2_560
_MAX_RESOURCE_BYTES: Final = 1_536
_MAX_LINE_CHARS: Final = 1_000
_LINE_OVERHEAD_BYTES: Final = 1  # the comma after it
# "truncated", the marks that lines were left out, and the quotes and names of members.
_RESERVE_BYTES: Final = 256


@unique
class TransactionState(StrEnum):
    """Where a gated call stands; only ``requested``, ``approved`` and ``claimed`` go on."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CLAIMED = "claimed"
    EXECUTED = "executed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Hidden:
    """In place of a request that is not shown: too large, or without a readable form.

    Attributes:
        size: of its canonical form, in bytes.
    """

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedCall:
    """A call of a protected method, as the executing service received it.

    Attributes:
        method: its name.
        caller_kind: a person or an API key.
        caller_id: the approver id, or the API key's id.
        request: what is shown of the request, or that it is not shown.
        request_binding: ``sha256:<hex>`` of its canonical form.
        resource: what the method's resolver found that the call acts on, or None.
        resource_failed: the resolver was asked and found nothing.
        caller_name: the caller's name for people, or None.
    """

    method: str
    caller_kind: CallerKind
    caller_id: str
    request: JsonValue | Hidden = field(repr=False)
    request_binding: str
    resource: Mapping[str, JsonValue] | None = field(default=None, repr=False)
    resource_failed: bool = False
    caller_name: str | None = None

    def __post_init__(self) -> None:
        """Check every member but the JSON values, which `action` checks.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        check_text(self.method, field="method", minimum=1, maximum=MAX_METHOD_NAME_CHARS)
        if self.caller_kind not in _CALLER_KINDS:
            message = "caller.kind must be one of person, api_key."
            raise refuse(message)
        id_in(self.caller_id, field="caller.id")
        if self.caller_name is not None:
            name_in(self.caller_name, field="caller.name")
        digest_in(self.request_binding, field="request_binding")
        if self.resource is not None and self.resource_failed:
            message = "resource must be absent where it could not be found."
            raise refuse(message)

    @property
    def resource_binding(self) -> str | None:
        """``sha256:<hex>`` of the resource's canonical JSON, or None without a resource.

        Raises:
            ProtocolError: ``invalid_json``; it has no canonical form.
        """
        if self.resource is None:
            return None
        return request_binding(canonical_json(dict(self.resource)))

    def action(self, condition: str = "") -> Action:
        """The action that the approvers sign.

        Args:
            condition: the one that made the call wait; empty for a method that always waits.

        Raises:
            ProtocolError: ``invalid_json``; the request or the resource has no canonical form.
        """
        bindings = {"request": self.request_binding}
        if self.resource_binding is not None:
            bindings["resource"] = self.resource_binding
        return Action(
            ACTION_TYPE,
            cut_text(f"{self.method}, called by {self.caller_id}", MAX_DESCRIPTION_CHARS),
            self._params(condition),
            bindings,
        )

    def _params(self, condition: str) -> dict[str, JsonValue]:
        caller: dict[str, JsonValue] = {"kind": self.caller_kind, "id": self.caller_id}
        if self.caller_name is not None:
            caller["name"] = self.caller_name
        params: dict[str, JsonValue] = {"method": self.method, "caller": caller}
        if condition:
            params["condition"] = _condition(condition)
        cut = False
        resource = self._resource_lines()
        if resource:
            params["resource"], cut = _fitting(resource, _MAX_RESOURCE_BYTES)
        room = MAX_PARAMS_BYTES - len(dumps(params)) - _RESERVE_BYTES
        params["request"], fewer = _fitting(self._request_lines(), room)
        if cut or fewer:
            params["truncated"] = True
        return params

    def _resource_lines(self) -> list[str]:
        if self.resource is None:
            return ["(not found)"] if self.resource_failed else []
        return _lines(dict(self.resource))

    def _request_lines(self) -> list[str]:
        if isinstance(self.request, Hidden):
            return [f"(not shown: {self.request.size} bytes)"]
        return _lines(self.request)


def _lines(value: JsonValue) -> list[str]:
    canonical_json(value)  # refuses what is no JSON, before anything walks into it
    return [f"{path}: {text}" if path else text for path, text in _leaves(value, "")]


def _leaves(value: JsonValue, path: str) -> Iterator[tuple[str, str]]:
    """The path and the text of every scalar and every empty container, in canonical order."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _leaves(value[name], _member(path, name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, escape_text(_TEXT(value))


def _member(path: str, name: str) -> str:
    if not _is_word(name):
        return f"{path}[{escape_text(_TEXT(name))}]"
    return f"{path}.{name}" if path else name


def _condition(text: str) -> str:
    """The condition on one line, cut with a mark where it is too long to be shown whole."""
    shown = escape_text(text.strip())
    while len(dumps(shown)) > _MAX_CONDITION_BYTES:
        shown = cut_text(shown, len(shown) * 3 // 4)
    return shown


def _fitting(lines: list[str], room: int) -> tuple[list[JsonValue], bool]:
    """As many lines, from the first, as `room` bytes of JSON hold; and whether any was cut."""
    shown: list[JsonValue] = []
    cut = False
    for number, line in enumerate(lines):
        text = cut_text(line, _MAX_LINE_CHARS)
        room -= len(dumps(text)) + _LINE_OVERHEAD_BYTES
        if room < 0:
            return [*shown, f"(not shown: {len(lines) - number} more lines)"], True
        cut = cut or text != line
        shown.append(text)
    return shown, cut
