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
    from collections.abc import Iterable

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["check_depth", "dumps", "loads"]

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
    message = "The JSON has a number that is not an integer within ±(2^53-1); send it as a string."
    raise _refuse(message)


def _not_integer(_text: str) -> NoReturn:
    message = (
        "The JSON has a number that is not an integer; write it without point or exponent, or "
        "send it as a string."
    )
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


def check_depth(value: JsonValue, text: str, *, max_depth: int) -> None:
    """Refuse containers nested deeper than `max_depth`; the outermost counts.

    Args:
        value: what was read.
        text: what it was read from. With too few brackets in it nothing needs to be walked.
        max_depth: how many containers may stand inside each other.

    Raises:
        ProtocolError: ``invalid_json``.
    """
    if text.count("{") + text.count("[") <= max_depth:
        return
    level = [value]
    for _ in range(max_depth):
        level = [inner for item in level for inner in _inside(item)]
    if any(isinstance(item, (dict, list)) for item in level):
        raise _too_deep(max_depth)


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(max_depth: int) -> ProtocolError:
    return _refuse(f"The JSON is nested deeper than {max_depth}.")


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
        raise _too_deep(max_depth) from None
    if end != len(text):
        message = "The JSON is malformed."
        raise _refuse(message)
    check_depth(value, text, max_depth=max_depth)
    # Only an escape can write half a surrogate pair, and only writing UTF-8 again finds it. (One
    # character is found ten times faster than two, so that search comes first.)
    if "\\" in text and "\\u" in text:
        dumps(value)
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
