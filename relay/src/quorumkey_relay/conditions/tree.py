"""The syntax tree of a checked expression, read from the bytes that the CEL library gives out.

The library hands an expression over as ``google.protobuf.Any`` around ``cel.expr.CheckedExpr``, or
around ``cel.expr.ParsedExpr`` where it did not look at types (https://github.com/google/cel-spec,
proto/cel/expr/checked.proto and syntax.proto). Reading the few fields that matter here takes no
protobuf runtime. The bytes come from our own process, yet the reader is bounded like any other:
what it does not expect is a `TreeError`, and an expression whose tree cannot be read is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack
from typing import TYPE_CHECKING, Final
from typing import Literal as OneOf

if TYPE_CHECKING:
    from collections.abc import Generator

#: The library parses 32 levels; macros add a few to each.
MAX_TREE_DEPTH: Final = 200
_MAX_VARINT_BYTES: Final = 10

# Field numbers of google.protobuf.Any, cel.expr.CheckedExpr and cel.expr.Expr.
_ANY_VALUE: Final = 2
_CHECKED_EXPR: Final = 4
_PARSED_EXPR: Final = 2
_CONSTANT: Final = 3
_IDENT: Final = 4
_SELECT: Final = 5
_CALL: Final = 6
_LIST: Final = 7
_STRUCT: Final = 8
_COMPREHENSION: Final = 9
# Of cel.expr.Constant.
_BOOL_VALUE: Final = 2
_INT_VALUE: Final = 3
_UINT_VALUE: Final = 4
_DOUBLE_VALUE: Final = 5
_STRING_VALUE: Final = 6
_BYTES_VALUE: Final = 7

_TWO_TO_63: Final = 1 << 63
_DOUBLE_BYTES: Final = 8

ConstantKind = OneOf["null", "bool", "int", "uint", "double", "string", "bytes"]


class TreeError(Exception):
    """The bytes are not the tree of an expression."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: the kind is needed, since for Python ``1``, ``1.0`` and ``True`` are equal."""

    kind: ConstantKind
    value: bool | int | float | str | bytes | None

    @property
    def text(self) -> str | None:
        """Return the text where it is a string."""
        return self.value if isinstance(self.value, str) else None

    @property
    def size(self) -> int:
        """Return how many bytes it has where it is a string or bytes, else 0."""
        match self.value:
            case str(text):
                return len(text.encode())
            case bytes(content):
                return len(content)
            case _:
                return 0


@dataclass(frozen=True, slots=True)
class Identifier:
    """A variable, a type's name, or what a macro made up."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, and with ``is_test`` ``has(operand.field)``."""

    operand: Node
    field: str
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator; ``operands`` are its target, if it has one, and its arguments."""

    function: str
    operands: tuple[Node, ...]
    has_target: bool = False


@dataclass(frozen=True, slots=True)
class Literal:
    """A list, map or message that is written out; ``message`` is the type's name of the last.

    ``parts`` are the elements, keys and values in turn, or the values of a message's ``fields``.
    """

    parts: tuple[Node, ...]
    is_list: bool
    message: str
    fields: tuple[str, ...] = ()


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


def read_parsed(serialized: bytes) -> Node:
    """Read the tree of an expression whose types were not looked at, as `read_tree`."""
    parsed = _Message(serialized).message(_ANY_VALUE)
    return _node(parsed.message(_PARSED_EXPR), 0)


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

    def number(self, number: int) -> int:
        """Return the one value of a field of a number; 0 where there is none."""
        for found, value in self._fields:
            if found == number and isinstance(value, int):
                return value
        return 0

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
        select = expr.message(_SELECT)
        is_test = select.number(3) != 0
        return Select(_node(select.message(1), deeper), select.text(2), is_test=is_test)
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


def _constant(constant: _Message) -> Constant:  # noqa: PLR0911 - one case a kind of constant
    if constant.has(_STRING_VALUE):
        return Constant("string", constant.text(_STRING_VALUE))
    if constant.has(_BYTES_VALUE):
        return Constant("bytes", constant.bytes(_BYTES_VALUE))
    if constant.has(_BOOL_VALUE):
        return Constant("bool", constant.number(_BOOL_VALUE) != 0)
    if constant.has(_INT_VALUE):
        value = constant.number(_INT_VALUE)
        return Constant("int", value - 2 * _TWO_TO_63 if value >= _TWO_TO_63 else value)
    if constant.has(_UINT_VALUE):
        return Constant("uint", constant.number(_UINT_VALUE))
    if constant.has(_DOUBLE_VALUE):
        return Constant("double", _double(constant.bytes(_DOUBLE_VALUE)))
    return Constant("null", None)


def _double(data: bytes) -> float:
    if len(data) != _DOUBLE_BYTES:
        message = "a number of another size"
        raise TreeError(message)
    (value,) = unpack("<d", data)
    return float(value)


def _call(call: _Message, depth: int) -> Call:
    operands = (*call.all(1), *call.all(3))
    return Call(
        call.text(2),
        tuple(_node(_Message(operand), depth) for operand in operands),
        has_target=call.has(1),
    )


def _struct(struct: _Message, depth: int) -> Literal:
    parts: list[Node] = []
    fields: list[str] = []
    for data in struct.all(2):
        entry = _Message(data)
        parts += [_node(entry.message(part), depth) for part in (3, 4) if entry.has(part)]
        fields += [entry.text(2)] if entry.has(2) else []
    return Literal(tuple(parts), is_list=False, message=struct.text(1), fields=tuple(fields))


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
