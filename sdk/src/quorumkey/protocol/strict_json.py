"""The one JSON reader for bodies, signed payloads, frames, receipts and policy files.

RFC 8259 with every point it leaves open closed (protocol section 2): UTF-8 without a byte order
mark, no duplicate members, integers only within ±(2^53-1) and never ``-0``, no lone surrogates,
bounded size and depth. Two readers of one document can therefore not see different things.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NoReturn, cast

from quorumkey.errors import ProtocolError
from quorumkey.protocol.limits import MAX_JSON_DEPTH, MAX_SAFE_INTEGER

if TYPE_CHECKING:
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["dumps", "loads"]

_WHITE_SPACE: Final = " \t\n\r"  # RFC 8259, section 2
# "-9007199254740991": longer digits are refused before int() does quadratic work on them.
_MAX_INTEGER_CHARS: Final = len(str(-MAX_SAFE_INTEGER))


def _refuse(message: str) -> ProtocolError:
    return ProtocolError("invalid_json", message)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    message = "The JSON has an object with the same member twice."
    raise _refuse(message)


def _integer(text: str) -> int:
    # isascii(): json's pure-Python scanner takes digits of any script, its C scanner does not.
    if len(text) <= _MAX_INTEGER_CHARS and text.isascii() and text != "-0":
        value = int(text)
        if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            return value
    message = "The JSON has a number that is not an integer within ±(2^53-1)."
    raise _refuse(message)


def _not_integer(_text: str) -> NoReturn:
    message = "The JSON has a number that is not an integer; write it without point or exponent."
    raise _refuse(message)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_not_integer,
    parse_constant=_not_integer,
)
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)


def _check_tree(value: JsonValue, max_depth: int) -> None:
    """Refuse containers nested deeper than `max_depth` and strings with lone surrogates."""
    level: list[JsonValue] = [value]
    depth = 0
    while level:
        deeper: list[JsonValue] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item)  # the names are strings and checked like values
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
            elif isinstance(item, str) and not item.isascii():
                _check_surrogates(item)
        if any(isinstance(item, (dict, list)) for item in level):
            depth += 1
            if depth > max_depth:
                message = f"The JSON is nested deeper than {max_depth}."
                raise _refuse(message)
        level = deeper


def _check_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "The JSON has a string with a lone surrogate."
        raise _refuse(message) from None


def loads(data: bytes, *, max_bytes: int, max_depth: int = MAX_JSON_DEPTH) -> JsonValue:
    r"""Read one JSON document strictly.

    Args:
        data: the whole document, UTF-8.
        max_bytes: the greatest length of `data` in bytes.
        max_depth: how many containers may stand inside each other; the outermost counts.

    Returns:
        The value; every number in it is an int.

    Raises:
        ProtocolError: ``payload_too_large`` beyond `max_bytes`, else ``invalid_json``.
    """
    if len(data) > max_bytes:
        message = f"The JSON is larger than {max_bytes} bytes."
        raise ProtocolError("payload_too_large", message)
    try:
        # raw_decode() saves decode()'s two searches for white space.
        text = data.decode().strip(_WHITE_SPACE)
        value, end = cast("tuple[JsonValue, int]", _DECODER.raw_decode(text))
    except UnicodeDecodeError:
        message = "The JSON is not UTF-8."
        raise _refuse(message) from None
    except ValueError:
        message = "The JSON is malformed."
        raise _refuse(message) from None
    except RecursionError:
        message = f"The JSON is nested deeper than {max_depth}."
        raise _refuse(message) from None
    if end != len(text):
        message = "The JSON is malformed."
        raise _refuse(message)
    # Without that many brackets it cannot be that deep, and only an escape can write a surrogate
    # (one character is found ten times faster than two, so that search comes first).
    if text.count("{") + text.count("[") > max_depth or ("\\" in text and "\\u" in text):
        _check_tree(value, max_depth)
    return value


def dumps(value: JsonValue) -> bytes:
    """Write compact UTF-8 JSON: no white space, no ASCII escaping, members in given order.

    Raises:
        ProtocolError: ``invalid_json``; a string has a lone surrogate, or it is too deep.
    """
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        message = "The JSON has a string with a lone surrogate."
        raise _refuse(message) from None
    except (ValueError, TypeError, RecursionError):
        message = "The value cannot be written as JSON."
        raise _refuse(message) from None
