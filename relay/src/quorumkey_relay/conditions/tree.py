"""The syntax tree of a checked expression, read from the bytes that the CEL library gives out.

The library hands a compiled expression over as ``google.protobuf.Any`` around
``cel.expr.CheckedExpr`` (https://github.com/google/cel-spec, proto/cel/expr/checked.proto and
syntax.proto). Reading the few fields that matter here takes no protobuf runtime. The bytes come
from our own process, yet the reader is bounded like any other: what it does not expect is a
`TreeError`, and an expression whose tree cannot be read is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

#: The library parses 32 levels; macros add a few to each.
MAX_TREE_DEPTH: Final = 200
_MAX_VARINT_BYTES: Final = 10

# Field numbers of google.protobuf.Any, cel.expr.CheckedExpr and cel.expr.Expr.
_ANY_VALUE: Final = 2
_CHECKED_EXPR: Final = 4
_CONSTANT: Final = 3
_IDENT: Final = 4
_SELECT: Final = 5
_CALL: Final = 6
_LIST: Final = 7
_STRUCT: Final = 8
_COMPREHENSION: Final = 9
# Of cel.expr.Constant.
_STRING_VALUE: Final = 6
_BYTES_VALUE: Final = 7


class TreeError(Exception):
    """The bytes are not the tree of an expression."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; ``text`` where it is a string, ``size`` in bytes where it is one or bytes."""

    text: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Identifier:
    """A variable, a type's name, or what a macro made up."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, and ``has(operand.field)``."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator; ``operands`` are its target, if any, and its arguments."""

    function: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A list, map or message that is written out; ``message`` is the type's name of the last."""

    parts: tuple[Node, ...]
    is_list: bool
    message: str


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What ``all``, ``exists``, ``exists_one``, ``filter`` and ``map`` are written out to."""

    variables: tuple[str, ...]
    range: Node
    accumulator: str
    start: Node
    goes_on: Node
    step: Node
    result: Node


Node = Constant | Identifier | Select | Call | Literal | Comprehension
_Field = tuple[int, int | bytes]


def read_tree(serialized: bytes) -> Node:
    """Read the tree of a serialized expression.

    Raises:
        TreeError: it is not one, or deeper than `MAX_TREE_DEPTH`.
    """
    checked = _Message(serialized).message(_ANY_VALUE)
    return _node(checked.message(_CHECKED_EXPR), 0)


class _Message:
    """The fields of one protobuf message, as far as anybody asks for them."""

    def __init__(self, data: bytes) -> None:
        self._fields = tuple(_fields(data))

    def all(self, number: int) -> list[bytes]:
        """Return every value of a field of bytes."""
        return [_bytes(value) for found, value in self._fields if found == number]

    def bytes(self, number: int) -> bytes:
        """Return the one value of a field of bytes, empty where there is none."""
        found = self.all(number)
        return found[-1] if found else b""

    def text(self, number: int) -> str:
        """Return the one value of a string."""
        try:
            return self.bytes(number).decode()
        except UnicodeDecodeError as error:
            message = "a string that is not UTF-8"
            raise TreeError(message) from error

    def has(self, number: int) -> bool:
        """Say whether a field is there."""
        return any(found == number for found, _ in self._fields)

    def message(self, number: int) -> _Message:
        """Return the one message of a field; raises `TreeError` where there is none."""
        if not self.has(number):
            message = f"no field {number}"
            raise TreeError(message)
        return _Message(self.bytes(number))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        message = "a number where bytes belong"
        raise TreeError(message)
    return value


def _fields(data: bytes) -> Generator[_Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                yield key >> 3, value
            case 1:
                yield key >> 3, data[at : at + 8]
                at += 8
            case 2:
                size, at = _varint(data, at)
                yield key >> 3, data[at : at + size]
                at += size
            case 5:
                yield key >> 3, data[at : at + 4]
                at += 4
            case _:
                message = "a wire type that nobody writes"
                raise TreeError(message)
    if at != len(data):
        message = "a field that ends after its message"
        raise TreeError(message)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        if at + position >= len(data):
            break
        byte = data[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says whether another byte follows
            return value, at + position + 1
    message = "a number without an end"
    raise TreeError(message)


def _node(  # noqa: PLR0911 - one case a kind of expression
    expr: _Message, depth: int
) -> Node:
    if depth > MAX_TREE_DEPTH:
        message = "too deep"
        raise TreeError(message)
    deeper = depth + 1
    if expr.has(_CONSTANT):
        return _constant(expr.message(_CONSTANT))
    if expr.has(_IDENT):
        return Identifier(expr.message(_IDENT).text(1))
    if expr.has(_SELECT):
        return Select(_node(expr.message(_SELECT).message(1), deeper))
    if expr.has(_CALL):
        return _call(expr.message(_CALL), deeper)
    if expr.has(_LIST):
        parts = (_node(_Message(part), deeper) for part in expr.message(_LIST).all(1))
        return Literal(tuple(parts), is_list=True, message="")
    if expr.has(_STRUCT):
        return _struct(expr.message(_STRUCT), deeper)
    if expr.has(_COMPREHENSION):
        return _comprehension(expr.message(_COMPREHENSION), deeper)
    message = "an expression of no kind"
    raise TreeError(message)


def _constant(constant: _Message) -> Constant:
    if constant.has(_STRING_VALUE):
        text = constant.text(_STRING_VALUE)
        return Constant(text, len(text.encode()))
    return Constant(None, len(constant.bytes(_BYTES_VALUE)))


def _call(call: _Message, depth: int) -> Call:
    operands = (*call.all(1), *call.all(3))
    return Call(call.text(2), tuple(_node(_Message(operand), depth) for operand in operands))


def _struct(struct: _Message, depth: int) -> Literal:
    parts: list[Node] = []
    for data in struct.all(2):
        entry = _Message(data)
        parts += [_node(entry.message(part), depth) for part in (3, 4) if entry.has(part)]
    return Literal(tuple(parts), is_list=False, message=struct.text(1))


def _comprehension(loop: _Message, depth: int) -> Comprehension:
    return Comprehension(
        variables=tuple(loop.text(number) for number in (1, 8) if loop.has(number)),
        range=_node(loop.message(2), depth),
        accumulator=loop.text(3),
        start=_node(loop.message(4), depth),
        goes_on=_node(loop.message(5), depth),
        step=_node(loop.message(6), depth),
        result=_node(loop.message(7), depth),
    )
