from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.protection.grpc_messages import extension, foreign_kind_of, kind_of

from quorumkey.protection.protobuf import MAX_VIEW_DEPTH, message_view, protobuf_message
from quorumkey.protocol import JsonValue, strict_json
from quorumkey.protocol.limits import MAX_REQUEST_VIEW_BYTES, MAX_SAFE_INTEGER

if TYPE_CHECKING:
    from google.protobuf.message import Message

Scalars, Shapes, Wide, Held, Old = (
    kind_of(name) for name in ("Scalars", "Shapes", "Wide", "Held", "Old")
)


def held(**members: object) -> Message:
    """A message of well-known types, from their JSON."""
    return json_format.ParseDict(members, Held())


def test_fields_without_presence_are_there_with_their_defaults() -> None:
    """An empty proto3 message shows every scalar field, floats as text, enumerations by name."""
    integers = ("int32", "int64", "uint32", "uint64", "sint32", "sint64")
    fixed = ("fixed32", "fixed64", "sfixed32", "sfixed64")
    expected: dict[str, JsonValue] = {f"a_{name}": 0 for name in (*integers, *fixed)}
    expected |= {"a_double": "0.0", "a_float": "0.0", "a_bool": False}
    expected |= {"a_string": "", "a_bytes": "", "colour": "COLOUR_UNSPECIFIED"}

    assert expected == message_view(Scalars())


def test_what_has_presence_is_there_only_where_it_is_set() -> None:
    """An unset message or optional field is absent; one set to its default is there."""
    empty: dict[str, JsonValue] = {"children": [], "numbers": [], "flags": {}, "counts": {}}

    assert empty == message_view(Shapes())
    assert {**empty, "named": "", "child": empty} == message_view(Shapes(named="", child={}))


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
        (-MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER),
        (MAX_SAFE_INTEGER + 1, "9007199254740992"),
        (-(2**63), "-9223372036854775808"),
    ],
    ids=["greatest", "least", "greater", "smallest-of-all"],
)
def test_integers_that_json_does_not_keep_are_text(number: int, shown: JsonValue) -> None:
    """An integer is a number within ±(2^53-1) and decimal text beyond."""
    view = message_view(Scalars(a_int64=number))

    assert view is not None
    assert shown == view["a_int64"]


@pytest.mark.parametrize(
    ("number", "double", "single"),
    [
        (1.0, "1.0", "1.0"),
        (0.1, "0.1", "0.1"),
        (-0.0, "-0.0", "-0.0"),
        (16_777_217.0, "16777217.0", "16777216.0"),
        (math.nan, "NaN", "NaN"),
        (math.inf, "Infinity", "Infinity"),
        (-math.inf, "-Infinity", "-Infinity"),
        (3.4028234663852886e38, "3.4028234663852886e+38", "3.4028235e+38"),
        (1.401298464324817e-45, "1.401298464324817e-45", "1e-45"),
    ],
    ids=["one", "tenth", "minus-zero", "rounded", "nan", "inf", "minus-inf", "greatest", "least"],
)
def test_floats_are_text(number: float, double: str, single: str) -> None:
    """A float is the shortest text that is read as itself, by its own width."""
    view = message_view(Scalars(a_double=number, a_float=number))

    assert view is not None
    assert (double, single) == (view["a_double"], view["a_float"])


def test_bytes_and_enumerations() -> None:
    """Bytes are base64; an enumeration's value without a name is its number."""
    view = message_view(Scalars(a_bytes=b"\xff\x00", colour=1))
    unknown = message_view(Scalars(colour=7))

    assert view is not None
    assert unknown is not None
    assert ("/wA=", "COLOUR_RED", 7) == (view["a_bytes"], view["colour"], unknown["colour"])


def test_maps_are_objects_with_text_for_keys() -> None:
    """A map's keys are text, in order, and its values are shown like fields."""
    view = message_view(
        Shapes(flags={True: "yes", False: "no"}, counts={10: {"named": "x"}, 9: {}})
    )

    assert view is not None
    assert {"false": "no", "true": "yes"} == view["flags"]
    counts = view["counts"]
    assert isinstance(counts, dict)
    assert ["10", "9"] == list(counts)


def test_well_known_types_are_what_they_mean() -> None:
    """Times are the strings of protobuf's JSON, wrappers their value, structures what they hold."""
    view = message_view(
        held(
            at="2026-04-01T12:00:00.5Z",
            lasting="-1.500s",
            mask="userName,tag",
            structure={"a": [1, 2.5, None, True, {"b": "c"}]},
            value=3,
            listing=["x", -(2**53)],
            wrapped="9007199254740993",
            wrappedBytes="/wA=",
        )
    )

    assert {
        "at": "2026-04-01T12:00:00.500Z",
        "lasting": "-1.500s",
        "mask": "user_name,tag",
        "structure": {"a": [1, "2.5", None, True, {"b": "c"}]},
        "value": 3,
        "listing": ["x", "-9007199254740992.0"],
        "wrapped": "9007199254740993",
        "wrapped_bytes": "/wA=",
    } == view


def test_a_time_that_no_calendar_has_is_shown_by_its_fields() -> None:
    """A Timestamp beyond the year 9999, which protobuf's JSON cannot write, is still shown."""
    message = Held()
    message.at.seconds = 2**60  # type: ignore[attr-defined]  # made from a descriptor

    assert {"at": {"seconds": "1152921504606846976", "nanos": 0}} == message_view(message)


def test_an_any_shows_what_it_holds_where_that_is_known() -> None:
    """``Any`` shows its type with a view of what it holds, or with base64."""
    known, unknown = AnyMessage(), AnyMessage(type_url="type.example/nobody.Knows", value=b"\xff")
    known.Pack(held(at="2026-04-01T12:00:00Z").at)  # type: ignore[attr-defined]  # as above
    broken = AnyMessage(type_url=known.type_url, value=b"\xff")

    assert {
        "@type": "type.googleapis.com/google.protobuf.Timestamp",
        "value": "2026-04-01T12:00:00Z",
    } == (message_view(Held(anything=known)) or {})["anything"]
    for message in (unknown, broken):
        assert {"@type": message.type_url, "value": "/w=="} == (
            message_view(Held(anything=message)) or {}
        )["anything"]


def test_messages_of_another_pool_are_shown_alike() -> None:
    """A message whose classes come from a descriptor pool of its own has the same view."""
    message = held(at="2026-04-01T12:00:00Z", structure={"a": 1}, wrapped="5", mask="tag")
    foreign = foreign_kind_of("Held").FromString(message.SerializeToString())

    assert message_view(message) == message_view(foreign)


def test_extensions_are_shown_in_brackets() -> None:
    """A proto2 extension is shown by its full name; a missing required field changes nothing."""
    message = Old(count=0)
    extension(message, "more", "text")
    made = protobuf_message(message)

    assert {"count": 0, "[quorumkey.tests.view.more]": "text"} == made.view
    assert message.SerializePartialToString() == made.canonical


def test_unknown_fields_are_bound_and_not_shown() -> None:
    """What a newer client sends is in the bytes that are approved, as it came."""
    newer = b"\xfa\x06\x03new"
    made = protobuf_message(Shapes.FromString(newer))

    assert (newer, message_view(Shapes())) == (made.canonical, made.view)


def test_the_order_of_a_map_on_the_wire_is_not_in_the_bytes() -> None:
    """Two encodings of one map have the same canonical bytes, and another value has others."""
    one, other = Shapes(flags={True: "a"}), Shapes(flags={False: "b"})
    first = protobuf_message(Shapes.FromString(one.SerializeToString() + other.SerializeToString()))
    again = protobuf_message(Shapes.FromString(other.SerializeToString() + one.SerializeToString()))

    assert first == again
    assert first.canonical != protobuf_message(one).canonical


def nested(depth: int) -> Message:
    """A message with so many messages inside each other, itself included."""
    message = Shapes()
    for _ in range(depth - 1):
        message = Shapes(child=message)
    return message


def test_depth_is_bounded() -> None:
    """A message at the greatest depth has a view, and one deeper has its bytes alone."""
    deepest, deeper = nested(MAX_VIEW_DEPTH - 1), nested(MAX_VIEW_DEPTH + 1)

    assert protobuf_message(deepest).view is not None
    assert protobuf_message(deeper).view is None
    assert deeper.SerializeToString() == protobuf_message(deeper).canonical


@pytest.mark.parametrize("kind", ["structure", "value", "listing", "anything"])
def test_depth_is_bounded_in_well_known_types(kind: str) -> None:
    """Structures and ``Any`` inside each other count like messages."""
    value: object = {"x": "y"}
    for _ in range(MAX_VIEW_DEPTH // 2 + 1):
        value = {"x": [value]}
    if kind == "anything":
        message = Held()
        for _ in range(MAX_VIEW_DEPTH):
            holder = Held()
            holder.anything.Pack(message)  # type: ignore[attr-defined]  # made from a descriptor
            message = holder
    else:
        message = held(**{kind: [value] if kind == "listing" else value})

    assert message_view(message) is None


def test_a_message_with_a_list_in_the_last_level_is_too_deep() -> None:
    """A list counts as a level of its own, also one that is empty."""
    assert message_view(nested(MAX_VIEW_DEPTH)) is None


def test_a_request_is_always_an_object() -> None:
    """A structure is its members then, an ``Any`` its type and value, a wrapper its field."""
    structure, wrapped = held(structure={"a": 1}), held(wrapped="5", at="2026-04-01T12:00:00Z")
    anything = AnyMessage()
    anything.Pack(wrapped.at)  # type: ignore[attr-defined]  # made from a descriptor

    assert {"a": 1} == message_view(structure.structure)  # type: ignore[attr-defined]  # as above
    assert {"value": 5} == message_view(wrapped.wrapped)  # type: ignore[attr-defined]  # as above
    assert {
        "@type": "type.googleapis.com/google.protobuf.Timestamp",
        "value": "2026-04-01T12:00:00Z",
    } == message_view(anything)


def boxed(kind: str, depth: int) -> Message:
    """So many messages inside each other, by lists, maps or ``Any``."""
    by_any = kind.startswith("any")
    message = Held() if by_any else Shapes()
    for _ in range(depth):
        if by_any:
            holder = Held()
            holder.anything.Pack(message)  # type: ignore[attr-defined]  # made from a descriptor
            message = holder
        else:
            message = Shapes(**{kind: {1: message} if kind == "counts" else [message]})
    return message


def levels(value: JsonValue) -> int:
    """How many objects and lists stand inside each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(levels, inner), default=0) + isinstance(value, dict | list)


@pytest.mark.parametrize("kind", ["children", "counts", "anything", "any-first"])
def test_no_view_is_deeper_than_the_bound(kind: str) -> None:
    """Up to some depth there is a view within the bound, and beyond it there is none."""
    messages = [boxed(kind, depth) for depth in range(MAX_VIEW_DEPTH)]
    if kind == "any-first":
        messages = [message.anything for message in messages[1:]]  # type: ignore[attr-defined]  # as above
    views = [message_view(message) for message in messages]
    shown = [view for view in views if view is not None]

    assert MAX_VIEW_DEPTH - 2 <= max(map(levels, shown)) <= MAX_VIEW_DEPTH
    assert [None] * (len(views) - len(shown)) == views[len(shown) :]


@pytest.mark.parametrize(
    "message",
    [
        Scalars(a_string="x" * (MAX_REQUEST_VIEW_BYTES - 2)),
        Scalars(a_string="\u0001" * (MAX_REQUEST_VIEW_BYTES // 5)),
        Wide(children=[{}] * 30_000),
        Shapes(numbers=[1] * 40_000),
    ],
    ids=["string", "escapes", "defaults", "list"],
)
def test_size_is_bounded(message: Message) -> None:
    """A view larger than 64 KiB is none, also where the message itself is small."""
    assert protobuf_message(message).view is None


def test_a_message_larger_than_a_view_may_be_is_not_looked_at() -> None:
    """Beyond 64 KiB there are the bytes and no view."""
    made = protobuf_message(Scalars(a_bytes=bytes(MAX_REQUEST_VIEW_BYTES + 1)))

    assert made.view is None
    assert len(made.canonical) > MAX_REQUEST_VIEW_BYTES


@given(st.binary(max_size=200))
def test_a_view_is_always_json(data: bytes) -> None:
    """Whatever parses has a view that the strict reader reads back as it was."""
    for kind in (Scalars, Shapes, Held):
        try:
            message = kind.FromString(data)
        except Exception:  # noqa: BLE001, S112 - bytes that are no message are the parser's matter
            continue
        view = message_view(message)
        if view is not None:
            assert view == strict_json.loads(strict_json.dumps(view), max_bytes=1 << 20)
