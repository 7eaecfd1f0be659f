"""The canonical request of a protected method: one spelling of every call.

A call that is issued again has to match the one that was approved byte for byte, whoever wrote
its JSON. So a request is read strictly and written in one way: compact UTF-8, members sorted by
code point, nothing escaped that need not be (RFC 8785, whose sorting by UTF-16 units differs for
member names beyond U+FFFF only), and integers as the only numbers, because two programs do not
write one float alike. What has a fraction is sent as a string.

Strings are not normalised: ``"é"`` in two forms is two requests.
"""

from __future__ import annotations

from hashlib import sha256
from json import JSONEncoder
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from quorumkey.errors import ProtocolError
from quorumkey.protocol.limits import MAX_JSON_DEPTH, MAX_SAFE_INTEGER
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["canonical_json", "canonical_json_of", "request_binding"]

_ENCODER: Final = JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
    sort_keys=True,
    check_circular=False,  # _fault() has been everywhere by then
)

# What is wrong with a value of these types where _fault() could not accept it.
_REFUSED: Final[Mapping[type, str]] = MappingProxyType(
    {
        int: "is an integer beyond ±(2^53-1); send it as a string",
        float: "is a number that is not an integer; send it as a string",
        dict: f"is nested deeper than {MAX_JSON_DEPTH}",
        list: f"is nested deeper than {MAX_JSON_DEPTH}",
    }
)


def canonical_json(value: JsonValue) -> bytes:
    """Write the one spelling of a JSON value.

    Args:
        value: of dict (with str keys), list, str, int, bool and None, exactly these types.

    Returns:
        Compact UTF-8 JSON, members sorted by code point.

    Raises:
        ProtocolError: ``invalid_json``; a float (send it as a string), an integer beyond
            ±(2^53-1), any other type, a lone surrogate, or nested deeper than 32.
    """
    fault = _fault(value, MAX_JSON_DEPTH)
    if fault is not None:
        message = f"The request{fault.place} {fault.what}."
        raise _refuse(message)
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        message = "The request has a string with a lone surrogate."
        raise _refuse(message) from None


def canonical_json_of(text: bytes, *, max_bytes: int) -> bytes:
    """Write the one spelling of a JSON document.

    Args:
        text: the whole document, UTF-8.
        max_bytes: the greatest length of `text` in bytes.

    Raises:
        ProtocolError: ``payload_too_large`` beyond `max_bytes`, else ``invalid_json``: a member
            twice, a number that is not an integer within ±(2^53-1) (``1.0``, ``1e3`` and ``-0``
            too; send it as a string), a lone surrogate, nested deeper than 32, or malformed.
    """
    # What the strict reader answers keeps every rule of canonical_json().
    return _ENCODER.encode(loads(text, max_bytes=max_bytes)).encode()


def request_binding(canonical: bytes) -> str:
    """Return the digest of a canonical request, as ``action.bindings`` carries it.

    Args:
        canonical: the bytes of `canonical_json`, or of a deterministic protobuf encoding.

    Returns:
        ``sha256:`` and 64 lower-case hex digits.
    """
    return f"sha256:{sha256(canonical).hexdigest()}"


def _refuse(message: str) -> ProtocolError:
    return ProtocolError("invalid_json", message)


class _Fault(NamedTuple):
    """What keeps a value from having one spelling, and where it stands."""

    place: str
    what: str

    def within(self, step: str) -> _Fault:
        """The same fault, seen from one container further out."""
        return _Fault(step + self.place, self.what)


def _fault(value: object, depth: int) -> _Fault | None:
    """The first fault of a value; the place is made only where there is one."""
    kind = type(value)
    if kind is dict and depth:
        return _fault_inside(cast("dict[object, object]", value), depth - 1)
    if kind is list and depth:
        return _fault_among(cast("list[object]", value), depth - 1)
    if kind is str or kind is bool or value is None or (kind is int and _is_exact(value)):
        return None
    what = _REFUSED.get(kind, f"is no JSON value but a {kind.__name__}")
    return _Fault("", what)


def _is_exact(value: object) -> bool:
    return isinstance(value, int) and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER


def _fault_inside(value: dict[object, object], depth: int) -> _Fault | None:
    for name, item in value.items():
        if type(name) is not str:
            return _Fault("", "has a member whose name is not a string")
        fault = _fault(item, depth)
        if fault is not None:
            return fault.within(f".{name}")
    return None


def _fault_among(value: list[object], depth: int) -> _Fault | None:
    for index, item in enumerate(value):
        fault = _fault(item, depth)
        if fault is not None:
            return fault.within(f"[{index}]")
    return None
