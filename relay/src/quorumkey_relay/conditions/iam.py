"""Conditions of IAM role bindings: taken apart at ``&&``, and put together again.

The library parses and does not look at types: a condition may ask for whatever attributes and
functions a target knows. What it takes for a top-level ``&&`` counts. Only whether a clause stands
in brackets is not in its tree, so the text is cut at the ``&&`` outside of brackets and the parts
are parsed one by one: where they are not the parts of the whole, the whole is one clause.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cel_expr_python import (  # type: ignore[import-untyped]  # its stubs come without py.typed
    cel,
)

from quorumkey_relay.conditions.condition import ConditionError, explained
from quorumkey_relay.conditions.tree import (
    Call,
    Comprehension,
    Constant,
    Identifier,
    Literal,
    Node,
    Select,
    TreeError,
    read_parsed,
)
from quorumkey_relay.conditions.writing import AND, OR, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Of one condition; Google itself takes twelve logical operators.
MAX_EXPRESSION_BYTES: Final = 4_096
#: Of its tree as the library gives it out, which has some 20 for each part. It is read by Python,
#: which takes much longer over it than the library needs to parse the text.
MAX_TREE_BYTES: Final = 16_384

_TOKEN: Final = re.compile(
    r"""
    (?P<nothing> [\t\n\f\r ]+ | //[^\n]* )
    | [bB]?[rR] (?: \"{3}[\s\S]*?\"{3} | '{3}[\s\S]*?'{3} | "[^"\r\n]*" | '[^'\r\n]*' )
    | [bB]? (?:
        \"{3} (?: \\[\s\S] | [^\\] )*? \"{3} | '{3} (?: \\[\s\S] | [^\\] )*? '{3}
        | " (?: \\. | [^"\\\r\n] )* " | ' (?: \\. | [^'\\\r\n] )* '
      )
    | `[^`\r\n]*`
    | [A-Za-z0-9_]+
    | && | \|\|
    | [\s\S]
    """,
    re.VERBOSE | re.ASCII,
)


class Clause(NamedTuple):
    """A part of a condition between two ``&&``: its tree, and its text without white space."""

    node: Node
    text: str


def parse(text: str) -> Node:
    """Parse a condition; ``&&`` and ``||`` have all that they join as operands, two or more.

    Raises:
        ConditionError: it is no CEL, or larger or deeper than is taken.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConditionError("it has half a character in it (a lone surrogate)") from None
    if size > MAX_EXPRESSION_BYTES:
        raise ConditionError(f"it has {size} bytes; at most {MAX_EXPRESSION_BYTES} are allowed")
    if "\0" in text:  # the library could take it for the end
        raise ConditionError("it has a NUL in it")
    try:
        expression = _environment().compile(text, disable_check=True)
    except Exception as error:  # noqa: BLE001 - the library says everything with RuntimeError
        raise explained(str(error)) from None
    serialized: bytes = expression.serialize()
    if len(serialized) > MAX_TREE_BYTES:
        raise ConditionError("it has too many parts")
    try:
        return _joined(read_parsed(serialized))
    except TreeError as error:
        raise ConditionError(f"its syntax tree cannot be read: {error}") from None


def clauses(text: str) -> tuple[Clause, ...]:
    """Return what a condition joins by ``&&`` outside of brackets; at least one clause.

    Raises:
        ConditionError: as `parse`.
    """
    whole = parse(text)
    parts = _cut(text)
    if len(parts) > 1:
        try:
            found = tuple(Clause(parse(part), _squeezed(part)) for part in parts)
        except ConditionError:
            found = ()
        if all_of(clause.node for clause in found) == all_of([whole]):
            return found
    return (Clause(whole, _squeezed(text)),)


def all_of(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return everything that has to be true so that all of ``nodes`` are."""
    return tuple(part for node in nodes for part in _operands(node, AND))


def canonical(nodes: Sequence[Node]) -> str:
    """Write out the condition that all of ``nodes`` are true; empty for none.

    Raises:
        ConditionError: it has a loop in it, or cannot be written so that it means the same.
    """
    if not nodes:
        return ""
    joined = all_of(nodes)
    node = joined[0] if len(joined) == 1 else Call(AND, joined)
    try:
        text = written(node)
    except TreeError as error:
        raise ConditionError(f"it has {error} in it") from None
    if parse(text) != node:
        raise ConditionError("it cannot be written out")
    return text


def _operands(node: Node, operator: str) -> tuple[Node, ...]:
    return node.operands if isinstance(node, Call) and node.function == operator else (node,)


def _joined(node: Node) -> Node:
    """Return a tree in which nested ``&&`` are one, and so are nested ``||``."""
    match node:
        case Constant() | Identifier():
            return node
        case Select(operand=operand, field=field, is_test=is_test):
            return Select(_joined(operand), field, is_test=is_test)
        case Literal(parts=parts, is_list=is_list, message=message, fields=fields):
            return Literal(tuple(map(_joined, parts)), is_list, message, fields)
        case Call(function=function, operands=operands, has_target=has_target):
            inner = tuple(map(_joined, operands))
            if function in (AND, OR):
                inner = tuple(part for one in inner for part in _operands(one, function))
            return Call(function, inner, has_target=has_target)
        case Comprehension():  # it cannot be written out, so nothing in it matters
            return node


def _cut(text: str) -> list[str]:
    """Cut a text at each ``&&`` outside of brackets, strings and comments."""
    parts: list[str] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case "(" | "[" | "{":
                depth += 1
            case ")" | "]" | "}":
                depth -= 1
            case "&&" if depth == 0:
                parts.append(text[start : token.start()])
                start = token.end()
            case _:
                pass
    return [*parts, text[start:]]


def _squeezed(text: str) -> str:
    """Leave out white space and comments, but not what stands in a string."""
    return "".join(token[0] for token in _TOKEN.finditer(text) if token["nothing"] is None)


@cache
def _environment() -> cel.Env:
    return cel.NewEnv()
