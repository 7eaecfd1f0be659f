"""Conditions: taken with limits, and evaluated so that only a plain ``false`` lets a call pass.

Four traps of the library, each held by a test: an error comes back as a value whose plain form is
a text, which Python takes for true; an endless loop is a ``RuntimeError``; whatever else goes wrong
inside it is a ``RuntimeError`` too; and for it a text of the call ends at its first NUL. So a call
with a NUL in it is not evaluated, nothing but a value of type BOOL that is ``False`` counts, and
everything else waits.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from cel_expr_python import (  # type: ignore[import-untyped]  # its stubs come without py.typed
    cel,
)

from quorumkey.protocol.limits import MAX_JSON_DEPTH, MAX_REQUEST_VIEW_BYTES
from quorumkey_relay.conditions.cost import Polynomial, TooCostly, cost_of, patterns_of
from quorumkey_relay.conditions.tree import TreeError, read_tree
from quorumkey_relay.conditions.whole_text import is_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import JsonValue

MAX_CONDITION_BYTES: Final = 2_048
#: Of one evaluation as it is estimated; none may take more than 50 ms of CPU.
BUDGET_NANOSECONDS: Final = 20_000_000
#: A condition that could not be evaluated even for a call of this size is refused when it is added.
ORDINARY_COUNT: Final = 100
ORDINARY_BYTES: Final = 4_096
MAX_CACHED: Final = 1_024

_MAX_MESSAGE_CHARS: Final = 300
_BOOL: Final = cel.Type.BOOL
# As JSON writes them.
_NUL: Final = rb"\u0000"
_BACKSLASH: Final = rb"\\"
_NOT_BOOLEAN: Final = (
    "it has the type {}, and has to be true or false (BOOL): compare it, as in request.flag == true"
)
#: What the library adds to its sentences, and what helps instead.
_CONTAINER: Final = " (in container '')"
_KNOWN: Final = "; a condition knows request and resource"
_SAID: Final = re.compile(r"ERROR: <input>:(-?[0-9]+):(-?[0-9]+): ([^\n]*)")


class Position(NamedTuple):
    """Where in the text of a condition; both counted from 1."""

    line: int
    column: int


class ConditionError(Exception):
    """A condition cannot be used; the message is a sentence that says why.

    ``position`` is where in the text, where there is one place.
    """

    def __init__(self, message: str, position: Position | None = None) -> None:
        where = "" if position is None else f" (line {position.line}, column {position.column})"
        super().__init__(message + where)
        self.position = position


class Condition:
    """A condition that may be evaluated; empty for every call."""

    __slots__ = ("_cost", "_expression", "text")

    def __init__(self, text: str, expression: cel.Expression | None, cost: Polynomial) -> None:
        self.text = text
        self._expression = expression
        self._cost = cost

    def waits(self, request: JsonValue, resource: Mapping[str, JsonValue] | None) -> bool:
        """Say whether a call waits.

        Args:
            request: what the service was asked, an object; None where it cannot be looked at.
            resource: what the call acts on; absent is an empty object.

        Returns:
            False only where the condition is certainly false for this call. Never raises.
        """
        try:
            return not self._is_false(request, {} if resource is None else dict(resource))
        except Exception:  # noqa: BLE001 - whatever went wrong, a call of which nothing is known waits
            return True

    def _is_false(self, request: JsonValue, resource: dict[str, JsonValue]) -> bool:
        if self._expression is None or not isinstance(request, dict):
            return False
        if not self._may_cost(_encoded(request), _encoded(resource) if resource else b"{}"):
            return False
        value = self._expression.eval(data={"request": request, "resource": resource})
        return value.value() is False and value.type() == _BOOL

    def _may_cost(self, *texts: bytes | None) -> bool:
        """Say whether evaluating this for a call, as JSON, is within the budget."""
        elements = size = 0
        for text in texts:
            if text is None:
                return False
            elements += text.count(b",") + text.count(b":") + 1
            size += len(text)
        return self._cost.at(count=elements, size=size) <= BUDGET_NANOSECONDS


def _encoded(value: dict[str, JsonValue]) -> bytes | None:
    """Return what a condition looks at as JSON; None where it cannot be looked at.

    That is what is too large or too deep, and what the library would not see as it is.
    """
    for member in value.values():  # at a glance, before anything is written out
        if isinstance(member, (str, list, dict)) and len(member) > MAX_REQUEST_VIEW_BYTES:
            return None
    text = msgspec.json.encode(value)
    if len(text) > MAX_REQUEST_VIEW_BYTES:
        return None
    if text.count(b"[") + text.count(b"{") > MAX_JSON_DEPTH and _is_deep(value):
        return None
    return None if _has_nul(text) else text


def _has_nul(text: bytes) -> bool:
    """Say whether a text in JSON has a NUL: the library takes it for the text's end."""
    return _NUL in text and _NUL in text.replace(_BACKSLASH, b"")


def compile_condition(text: str) -> Condition:
    """Take a condition: CEL over ``request`` and ``resource`` that is true where a call waits.

    Args:
        text: the expression; empty for every call.

    Returns:
        The condition, which can be evaluated within the budget.

    Raises:
        ConditionError: it is too long, no CEL, not a boolean, or could cost too much.
    """
    if not text:
        return Condition("", None, Polynomial())
    expression = _checked(text)
    cost = _bounded(expression)
    return Condition(text, expression, cost)


def _checked(text: str) -> cel.Expression:
    """Parse and type-check; the size comes first, so that neither takes long."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConditionError("it has half a character in it (a lone surrogate)") from None
    if size > MAX_CONDITION_BYTES:
        raise ConditionError(f"it has {size} bytes; at most {MAX_CONDITION_BYTES} are allowed")
    try:
        expression = _environment().compile(text)
    except Exception as error:  # noqa: BLE001 - the library says everything with RuntimeError
        raise explained(str(error)) from None
    kind = expression.return_type()
    if kind != _BOOL:
        raise ConditionError(_NOT_BOOLEAN.format(kind.name()))
    return expression


def _bounded(expression: cel.Expression) -> Polynomial:
    """Return what an expression can cost; raises `ConditionError` where that is too much."""
    try:
        tree = read_tree(expression.serialize())
        cost = cost_of(tree)
    except TooCostly as error:
        raise ConditionError(str(error)) from None
    except TreeError as error:
        raise ConditionError(f"its syntax tree cannot be read: {error}") from None
    for pattern in patterns_of(tree):
        if not is_pattern(pattern):
            raise ConditionError(f"{pattern!a} is no pattern (RE2)")
    if cost.at(count=ORDINARY_COUNT, size=ORDINARY_BYTES) > BUDGET_NANOSECONDS:
        raise ConditionError("it could take too long even for a call of ordinary size")
    return cost


def why_unusable(text: str) -> str | None:
    """Say in a sentence why a condition cannot be used, None where it can."""
    try:
        compile_condition(text)
    except ConditionError as error:
        return str(error)
    return None


class Conditions:
    """Conditions by their text, compiled once each; the one not used for longest goes first."""

    def __init__(self, limit: int = MAX_CACHED) -> None:
        self._find = lru_cache(maxsize=limit)(_usable)

    def __len__(self) -> int:
        return self._find.cache_info().currsize

    def waits(
        self, text: str, request: JsonValue, resource: Mapping[str, JsonValue] | None
    ) -> bool:
        """Say whether a call waits, as `Condition.waits`; also where the condition is unusable."""
        condition = self._find(text)
        return condition is None or condition.waits(request, resource)


def _usable(text: str) -> Condition | None:
    try:
        return compile_condition(text)
    except ConditionError:
        return None


@cache
def _environment() -> cel.Env:
    members = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables={"request": members, "resource": members})


def _is_deep(value: JsonValue) -> bool:
    """Say whether more containers stand inside each other than a body may have."""
    level: list[JsonValue] = [value]
    for _ in range(MAX_JSON_DEPTH):
        inner: list[JsonValue] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not inner:
            return False
        level = inner
    return any(isinstance(one, (dict, list)) for one in level)


def explained(text: str, known: str = _KNOWN) -> ConditionError:
    """Make a sentence of what the library says; it repeats the text, so that is cut off.

    ``known`` follows where the text names what does not exist.
    """
    found = _SAID.search(text)
    message = text if found is None else found[3]
    told = "".join(one if one.isprintable() else "?" for one in message)[:_MAX_MESSAGE_CHARS]
    position = None
    if found is not None and int(found[1]) > 0:
        position = Position(int(found[1]), int(found[2]))
    if told.startswith("undeclared reference to "):
        told = told.removesuffix(_CONTAINER) + known
    return ConditionError(told.strip() or "it is no CEL expression", position)
