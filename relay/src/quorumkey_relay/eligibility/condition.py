"""What the condition of a role binding says: that it is eligible, or that it is temporary.

A binding is eligible where one clause of its condition is a marker, ``has({}.jitAccessConstraint)``
or ``has({}.multiPartyApprovalConstraint)``, in any case and with any white space, but not in
brackets, negated, or one side of an ``||``. The other clauses limit the role to some resources. To
IAM a marker is never true, so an eligible binding gives nothing by itself.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.conditions.iam import MAX_EXPRESSION_BYTES, all_of, canonical, clauses
from quorumkey_relay.conditions.tree import Call, Constant, Identifier, Literal, Node, Select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.conditions.iam import Clause
    from quorumkey_relay.domain.jit.entitlement import ActivationType

#: Of a binding that an activation made.
TEMPORARY_TITLE: Final = "JIT access activation"
MAX_CACHED: Final = 2_048

_MARKERS: Final[Mapping[str, ActivationType]] = MappingProxyType(
    {"jitaccessconstraint": "JIT", "multipartyapprovalconstraint": "MPA"}
)
_ANY_MARKER: Final = re.compile("|".join(_MARKERS), re.IGNORECASE | re.ASCII)
_NO_RESOURCE: Final = Literal((), is_list=False, message="")
_REQUEST_TIME: Final = Select(Identifier("request"), "time")
#: RFC 3339, section 5.6.
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


class Marked(NamedTuple):
    """How a binding may be activated, None where it may not; and what limits it, in one form."""

    activation_type: ActivationType | None
    resource_condition: str


class Temporary(NamedTuple):
    """When a temporary binding holds, ``end`` excluded, in seconds since the epoch; its limit."""

    start: int
    end: int
    resource_condition: str


_UNMARKED: Final = Marked(None, "")


def read_condition(expression: str | None) -> Marked:
    """Read whether a binding is eligible; what was read once is remembered.

    Raises:
        ConditionError: it names a marker, but is no condition, or one that cannot be used.
    """
    if not expression or _ANY_MARKER.search(expression) is None:
        return _UNMARKED
    if len(expression) > MAX_EXPRESSION_BYTES:  # so large, it is not worth remembering
        raise ConditionError(f"it has more than {MAX_EXPRESSION_BYTES} bytes")
    found = _remembered(expression)
    if isinstance(found, str):
        raise ConditionError(found)
    return found


def read_temporary(title: str | None, expression: str | None) -> Temporary | None:
    """Read the time in which a temporary binding holds.

    None where it is not one: its title is another, or no clause is the time in brackets,
    ``(request.time >= timestamp("…") && request.time < timestamp("…"))``.
    """
    if title != TEMPORARY_TITLE or not expression:
        return None
    try:
        parts = clauses(expression)
        for number, part in enumerate(parts):
            window = _window(part.node)
            if window is not None:
                others = [other.node for other in (*parts[:number], *parts[number + 1 :])]
                return Temporary(*window, canonical(others))
    except ConditionError:
        pass
    return None


@lru_cache(maxsize=MAX_CACHED)
def _remembered(expression: str) -> Marked | str:
    """Read a condition; a text says what is wrong with it."""
    try:
        parts = clauses(expression)
        markers = [_marker(part) for part in parts]
        if not any(markers):
            return _UNMARKED
        others = [part.node for part, marker in zip(parts, markers, strict=True) if marker is None]
        return Marked("JIT" if "JIT" in markers else "MPA", canonical(others))
    except ConditionError as error:
        return str(error)


def _marker(clause: Clause) -> ActivationType | None:
    """Return what a clause marks; its text shows that it has no brackets and no sign around it."""
    match clause.node:
        case Select(operand=operand, field=field, is_test=True):
            pass
        case Call(function=function, operands=(Select(operand=operand, field=field),)) if (
            function.lower() == "has"
        ):
            pass
        case _:
            return None
    name = field.lower()
    if operand != _NO_RESOURCE or clause.text.lower() != f"has({{}}.{name})":
        return None
    return _MARKERS.get(name)


def _window(node: Node) -> tuple[int, int] | None:
    match all_of([node]):
        case (
            Call(function="_>=_", operands=(start_of, start)),
            Call(function="_<_", operands=(end_of, end)),
        ) if start_of == end_of == _REQUEST_TIME:
            times = _moment(start), _moment(end)
        case _:
            return None
    return None if times[0] is None or times[1] is None else (times[0], times[1])


def _moment(node: Node) -> int | None:
    """Return the time that ``timestamp("…")`` says, without what is less than a second."""
    match node:
        case Call(function="timestamp", operands=(Constant(value=str(text)),), has_target=False):
            pass
        case _:
            return None
    if _TIMESTAMP.fullmatch(text) is None:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return None
