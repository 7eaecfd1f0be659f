"""Writing a syntax tree out: the one text of an expression, without a needless bracket or space.

Two texts that mean the same tree are written the same, so the result can stand for the expression.
Precedence is that of the grammar (https://github.com/google/cel-spec, doc/langdef.md).
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey_relay.conditions.tree import (
    Call,
    Comprehension,
    Constant,
    Identifier,
    Literal,
    Node,
    Select,
    TreeError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CONDITIONAL: Final = "_?_:_"
OR: Final = "_||_"
AND: Final = "_&&_"

# How tightly operators bind; what stands inside one is put in brackets where it binds less.
_LOOSEST: Final = 1
_OR: Final = 2
_AND: Final = 3
_UNARY: Final = 7
_TIGHTEST: Final = 8

_BINARY: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        "_==_": ("==", 4),
        "_!=_": ("!=", 4),
        "_<_": ("<", 4),
        "_<=_": ("<=", 4),
        "_>_": (">", 4),
        "_>=_": (">=", 4),
        "@in": ("in", 4),
        "_+_": ("+", 5),
        "_-_": ("-", 5),
        "_*_": ("*", 6),
        "_/_": ("/", 6),
        "_%_": ("%", 6),
    }
)
_LOGICAL: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {OR: ("||", _OR), AND: ("&&", _AND)}
)
_PREFIX: Final[Mapping[str, str]] = MappingProxyType({"!_": "!", "-_": "-"})
_INDEX: Final = "_[_]"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WORDS: Final = frozenset({"in", "true", "false", "null"})
_ESCAPES: Final[Mapping[str, str]] = MappingProxyType(
    {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
)
_BEYOND_FOUR_DIGITS: Final = 0x10000


def written(node: Node) -> str:
    """Write an expression out.

    Raises:
        TreeError: it has a loop (``all``, ``exists``, ``map`` …) or a number without an end.
    """
    return _text(node, _LOOSEST)


def _text(node: Node, least: int) -> str:
    """Write a part out, in brackets where it binds less tightly than ``least``."""
    text, binding = _unbracketed(node)
    return f"({text})" if binding < least else text


def _unbracketed(node: Node) -> tuple[str, int]:
    """Write a part out, and say how tightly it binds."""
    match node:
        case Constant():
            return _constant(node)
        case Identifier(name=name):
            return name, _TIGHTEST
        case Select():
            text = f"{_text(node.operand, _TIGHTEST)}.{_field(node.field)}"
            return (f"has({text})" if node.is_test else text), _TIGHTEST
        case Literal():
            return _literal(node), _TIGHTEST
        case Call():
            return _call(node)
        case Comprehension():
            message = "a loop (all, exists, exists_one, filter, map)"
            raise TreeError(message)


def _call(call: Call) -> tuple[str, int]:
    operands = call.operands
    if call.function in _LOGICAL:
        sign, binding = _LOGICAL[call.function]
        return f" {sign} ".join(_text(one, binding + 1) for one in operands), binding
    if call.function in _BINARY:
        sign, binding = _BINARY[call.function]
        left, right = operands
        return f"{_text(left, binding)} {sign} {_text(right, binding + 1)}", binding
    if call.function in _PREFIX:
        inner = operands[0]
        # Two signs in a row would be taken for none, and one before a number as part of it.
        least = _TIGHTEST + 1 if isinstance(inner, Constant) else _TIGHTEST
        return _PREFIX[call.function] + _text(inner, least), _UNARY
    if call.function == CONDITIONAL:
        asked, then, other = operands
        text = f"{_text(asked, _OR)} ? {_text(then, _OR)} : {_text(other, _LOOSEST)}"
        return text, _LOOSEST
    if call.function == _INDEX:
        return f"{_text(operands[0], _TIGHTEST)}[{_text(operands[1], _LOOSEST)}]", _TIGHTEST
    return _function(call), _TIGHTEST


def _function(call: Call) -> str:
    operands = call.operands
    target = ""
    if call.has_target:
        target = f"{_text(operands[0], _TIGHTEST)}."
        operands = operands[1:]
    arguments = ", ".join(_text(one, _LOOSEST) for one in operands)
    return f"{target}{call.function}({arguments})"


def _literal(literal: Literal) -> str:
    parts = [_text(part, _LOOSEST) for part in literal.parts]
    if literal.is_list:
        return f"[{', '.join(parts)}]"
    if literal.message:
        names = [_field(name) for name in literal.fields]
        members = zip(names, parts, strict=True)
    else:
        members = zip(parts[::2], parts[1::2], strict=True)
    return f"{literal.message}{{{', '.join(f'{name}: {value}' for name, value in members)}}}"


def _field(name: str) -> str:
    return name if _NAME.fullmatch(name) and name not in _WORDS else f"`{name}`"


def _constant(constant: Constant) -> tuple[str, int]:
    match constant.value:
        case None:
            return "null", _TIGHTEST
        case bool(value):
            return str(value).lower(), _TIGHTEST
        case int(value):
            sign = "u" if constant.kind == "uint" else ""
            return f"{value}{sign}", _TIGHTEST if value >= 0 else _UNARY
        case float(value):
            if not math.isfinite(value):
                message = "a number that is too large"
                raise TreeError(message)
            return repr(value), _TIGHTEST if math.copysign(1, value) > 0 else _UNARY
        case str(text):
            return f'"{"".join(map(_character, text))}"', _TIGHTEST
        case bytes(content):
            return f'b"{"".join(_byte(one) for one in content)}"', _TIGHTEST


def _character(character: str) -> str:
    """Write a character of a text; what nobody could see is written as its number."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < _BEYOND_FOUR_DIGITS else f"\\U{code:08x}"


def _byte(byte: int) -> str:
    character = chr(byte)
    if character in '"\\' or not character.isascii() or not character.isprintable():
        return f"\\x{byte:02x}"
    return character
