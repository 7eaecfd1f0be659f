"""The action a request asks approval for, and its rules (protocol section 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from quorumkey.protocol._members import digest_in, members_of, object_of, refuse, text_of
from quorumkey.protocol.encoding import check_text
from quorumkey.protocol.limits import (
    MAX_BINDINGS,
    MAX_DESCRIPTION_CHARS,
    MAX_PARAM_KEY_CHARS,
    MAX_PARAMS_BYTES,
    MAX_PARAMS_DEPTH,
    MAX_SAFE_INTEGER,
    MIN_DESCRIPTION_CHARS,
    MIN_PARAM_KEY_CHARS,
)
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["Action", "check_action", "check_params"]

_TYPE: Final = re.compile(r"[a-z0-9_.:-]{1,64}", re.ASCII)
_BINDING_NAME: Final = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_MEMBERS: Final = frozenset({"type", "description", "params", "bindings"})
_REQUIRED: Final = frozenset({"type", "description"})


def _no_params() -> dict[str, JsonValue]:
    return {}


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be approved. One that breaks a rule of section 5 cannot be made.

    Attributes:
        type: a machine's name for it, ``[a-z0-9_.:-]{1,64}``.
        description: one sentence for the approver, 1 to 200 characters.
        params: what is shown in full: JSON, at most 5 deep and 8192 bytes.
        bindings: digests (``sha256:<hex>``) of what is too large or too private to show.
    """

    type: str
    description: str
    params: Mapping[str, JsonValue] = field(default_factory=_no_params)
    bindings: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Apply `check_action`; empty bindings are the same as none.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        check_action(self)
        if not self.bindings:
            object.__setattr__(self, "bindings", None)

    def to_json(self) -> dict[str, JsonValue]:
        """The action as it stands in a request document."""
        members: dict[str, JsonValue] = {
            "type": self.type,
            "description": self.description,
            "params": dict(self.params),
        }
        if self.bindings is not None:
            members["bindings"] = dict(self.bindings)
        return members

    @staticmethod
    def from_json(value: JsonValue, *, field: str = "action") -> Action:
        """Read an action from its JSON value; ``params`` may be absent.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        members = members_of(value, field=field, required=_REQUIRED, allowed=_MEMBERS)
        bindings = None
        if "bindings" in members:
            # check_action looks at every value before anything else can.
            bindings = cast(
                "dict[str, str]", object_of(members["bindings"], field=f"{field}.bindings")
            )
        return Action(
            text_of(members["type"], field=f"{field}.type"),
            text_of(members["description"], field=f"{field}.description"),
            object_of(members["params"], field=f"{field}.params") if "params" in members else {},
            bindings,
        )


def check_action(action: Action) -> None:
    """Check every rule section 5 has for an action.

    Raises:
        ProtocolError: ``invalid_request`` with a message of its own for each rule.
    """
    if not (type(action.type) is str and _TYPE.fullmatch(action.type)):
        message = "action.type must be 1 to 64 characters of a-z, 0-9, _, ., : and -."
        raise refuse(message)
    check_text(
        action.description,
        field="action.description",
        minimum=MIN_DESCRIPTION_CHARS,
        maximum=MAX_DESCRIPTION_CHARS,
    )
    check_params(action.params)
    if action.bindings is not None:
        _check_bindings(action.bindings)


def _check_bindings(bindings: Mapping[str, str]) -> None:
    if not isinstance(bindings, dict):
        message = "action.bindings must be a JSON object."
        raise refuse(message)
    if len(bindings) > MAX_BINDINGS:
        message = f"action.bindings must have at most {MAX_BINDINGS} names."
        raise refuse(message)
    for name, digest in bindings.items():
        if not (type(name) is str and _BINDING_NAME.fullmatch(name)):
            message = "A name in action.bindings must be 1 to 32 characters of a-z, 0-9 and _."
            raise refuse(message)
        digest_in(digest, field="A value in action.bindings")


def check_params(params: Mapping[str, JsonValue]) -> None:
    """Check ``action.params``: an object, its depth, size, numbers, keys and strings.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if not isinstance(params, dict):
        message = "action.params must be a JSON object."
        raise refuse(message)
    _check_value(params, depth=1)
    if len(dumps(params)) > MAX_PARAMS_BYTES:
        message = f"action.params must be at most {MAX_PARAMS_BYTES} bytes as compact JSON."
        raise refuse(message)


def _check_value(value: JsonValue, *, depth: int) -> None:
    if isinstance(value, str):
        check_text(value, field="A string in action.params", minimum=0, maximum=MAX_PARAMS_BYTES)
    elif isinstance(value, (dict, list)):
        if depth > MAX_PARAMS_DEPTH:
            message = f"action.params must not be nested deeper than {MAX_PARAMS_DEPTH}."
            raise refuse(message)
        for item in _items(value):
            _check_value(item, depth=depth + 1)
    elif value is not None:
        _check_number(value)


def _items(value: dict[str, JsonValue] | list[JsonValue]) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    for name in value:
        check_text(
            name,
            field="A key in action.params",
            minimum=MIN_PARAM_KEY_CHARS,
            maximum=MAX_PARAM_KEY_CHARS,
        )
    return list(value.values())


def _check_number(value: object) -> None:
    # A caller's own dictionary can hold what the strict reader would never have made.
    if type(value) is bool or (
        type(value) is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
    ):
        return
    message = "A number in action.params must be an integer within ±(2^53-1)."
    raise refuse(message)
