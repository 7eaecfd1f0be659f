from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, cast

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import canonical_json, canonical_json_of, request_binding

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue


class Colour(StrEnum):
    """A caller's own enumeration."""

    RED = "red"


class Level(IntEnum):
    """A caller's own enumeration."""

    LOW = 1


def _nested(depth: int) -> JsonValue:
    value: JsonValue = []
    for _ in range(depth - 1):
        value = [value]
    return value


def _endless() -> JsonValue:
    value: dict[str, JsonValue] = {}
    value["a"] = value
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "The request is a number that is not an integer; send it as a string."),
        (
            {"rule": {"weight": 1.0}},
            "The request.rule.weight is a number that is not an integer; send it as a string.",
        ),
        (
            {"hosts": [1, {"port": float("nan")}]},
            "The request.hosts[1].port is a number that is not an integer; send it as a string.",
        ),
        ([2**53], "The request[0] is an integer beyond ±(2^53-1); send it as a string."),
        ([-(2**53)], "The request[0] is an integer beyond ±(2^53-1); send it as a string."),
        ({1: "a"}, "The request has a member whose name is not a string."),
        ({Colour.RED: 1}, "The request has a member whose name is not a string."),
        ([b"x"], "The request[0] is no JSON value but a bytes."),
        ({"a": (1, 2)}, "The request.a is no JSON value but a tuple."),
        ({"a": Level.LOW}, "The request.a is no JSON value but a Level."),
        ({"a": Colour.RED}, "The request.a is no JSON value but a Colour."),
        ({"a": "\ud800"}, "The request has a string with a lone surrogate."),
        ({"\udfff": 1}, "The request has a string with a lone surrogate."),
    ],
    ids=[
        "fraction",
        "member",
        "nan",
        "too_large",
        "too_small",
        "name",
        "name_of_enum",
        "bytes",
        "tuple",
        "integer_enum",
        "string_enum",
        "surrogate",
        "surrogate_in_name",
    ],
)
def test_what_has_no_canonical_form(value: object, message: str) -> None:
    """What could be written in two ways is refused, with the place and what to do."""
    with pytest.raises(ProtocolError) as caught:
        canonical_json(cast("JsonValue", value))

    assert ("invalid_json", message) == (caught.value.code, caught.value.message)


@pytest.mark.parametrize("value", [_nested(33), _endless()], ids=["33_deep", "endless"])
def test_depth_ends(value: JsonValue) -> None:
    """A value nested deeper than 32 is refused, an endless one too."""
    with pytest.raises(ProtocolError, match="nested deeper than 32"):
        canonical_json(value)


def test_depth_of_32() -> None:
    """A value may be nested 32 deep."""
    assert b"[" * 32 + b"]" * 32 == canonical_json(_nested(32))


def test_size_ends() -> None:
    """A document beyond the caller's limit is refused as that."""
    assert b"[1]" == canonical_json_of(b" [1]", max_bytes=4)
    with pytest.raises(ProtocolError) as caught:
        canonical_json_of(b" [1] ", max_bytes=4)

    assert "payload_too_large" == caught.value.code


def test_binding_is_a_digest_of_any_bytes() -> None:
    """A binding is the SHA-256 of the bytes, as a digest is written in the protocol."""
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert empty == request_binding(b"")
    assert empty != request_binding(b"\x00")
