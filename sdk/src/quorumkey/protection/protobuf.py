"""A protobuf message as the relay takes it: its deterministic bytes, and a view for people.

Needs the extra ``grpc``. The bytes are what approvers' signatures bind (`protobuf_message`). The
view is plain JSON, for conditions and for what approvers read. It is not the JSON mapping of
protobuf: names are those of the ``.proto`` file, and nothing is left out that has a value.

- a field without presence is there with its default; one with presence only where it is set
- integers within ±(2^53-1) are numbers, others decimal strings; ``float`` and ``double`` are
  strings, also ``NaN``, ``Infinity`` and ``-Infinity``; bytes are base64
- an enumeration's value is its name, or its number where it has none
- a map's keys are strings; an extension's name is in brackets
- ``Timestamp`` and ``Duration`` are the strings of protobuf's own JSON, ``FieldMask`` its paths
  with commas between them; a wrapper is its value; ``Struct``, ``Value`` and ``ListValue`` are
  what they hold; ``Any`` is ``{"@type": …, "value": …}``, with a view or with base64
- unknown fields are in the bytes and not in the view
- the whole view is an object: where the request itself is one of these and no object, its fields
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, cast

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from quorumkey.errors import ProtocolError
from quorumkey.protection.messages import ProtobufMessage
from quorumkey.protocol.encoding import b64encode
from quorumkey.protocol.limits import MAX_REQUEST_VIEW_BYTES, MAX_SAFE_INTEGER
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.field_mask_pb2 import FieldMask
    from google.protobuf.struct_pb2 import ListValue, Struct, Value
    from google.protobuf.timestamp_pb2 import Timestamp

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["MAX_VIEW_DEPTH", "message_view", "protobuf_message"]

#: How many objects and lists of a view may stand inside each other; a body around it has room.
MAX_VIEW_DEPTH: Final = 24

_FLOAT_DIGITS: Final = range(1, 10)  # as many as any 32-bit float needs at most
#: What brackets, quotes and commas of a member or an item take at least, in bytes.
_LEAST_BYTES: Final = 2
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in (
        *("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"),
    )
)


def protobuf_message(message: Message) -> ProtobufMessage:
    """Make of a message what the relay takes.

    The bytes are those of deterministic serialisation, unknown fields included as they came:
    one sender's identical message has identical bytes, and no two different messages share them.

    Returns:
        The bytes, and the view where it is neither too deep nor larger than 64 KiB.
    """
    # Partial: a required field of proto2 that is missing is the handler's to refuse.
    canonical = message.SerializePartialToString(deterministic=True)
    view = None if len(canonical) > MAX_REQUEST_VIEW_BYTES else message_view(message)
    return ProtobufMessage(canonical=canonical, view=view)


def message_view(message: Message) -> dict[str, JsonValue] | None:
    """Return a message as plain JSON; None where that is too deep or larger than 64 KiB."""
    try:
        view = _View().message(message, MAX_VIEW_DEPTH)
        if not isinstance(view, dict):  # a request is an object, so a wrapper shows its field
            view = _View().fields(message, MAX_VIEW_DEPTH)
        return view if len(dumps(view)) <= MAX_REQUEST_VIEW_BYTES else None
    except (_TooMuchError, ProtocolError):
        return None


class _TooMuchError(Exception):
    """The view is deeper or larger than it may be."""


class _View:
    """One view in the making; it stops where it has become too large.

    Defaults make a view many times larger than its message, so size is counted on the way.
    """

    def __init__(self) -> None:
        self._bytes_left = MAX_REQUEST_VIEW_BYTES

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _TooMuchError

    def fields(self, message: Message, depth: int) -> dict[str, JsonValue]:
        """Every field of a message that has a value."""
        if not depth:
            raise _TooMuchError
        members: dict[str, JsonValue] = {}
        for field in _fields_of(message):
            if not field.has_presence or message.HasField(field.name):
                self._spend(len(field.name) + _LEAST_BYTES)
                members[field.name] = self._field(field, getattr(message, field.name), depth)
        for field, value in message.ListFields():
            if field.is_extension:
                self._spend(len(field.full_name) + _LEAST_BYTES)
                members[f"[{field.full_name}]"] = self._field(field, value, depth)
        return members

    def _field(self, field: FieldDescriptor, value: object, depth: int) -> JsonValue:
        if not field.is_repeated:
            return self._one(field, value, depth)
        if depth < 2:  # noqa: PLR2004 - the message and this container
            raise _TooMuchError
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return self._map(kind, value, depth - 1)
        return [self._one(field, item, depth - 1) for item in cast("Iterable[object]", value)]

    def _map(self, kind: Descriptor, value: object, depth: int) -> dict[str, JsonValue]:
        of_value = kind.fields_by_name["value"]
        held = cast("Mapping[object, object]", value)
        entries = {_key(key): held[key] for key in held}
        members: dict[str, JsonValue] = {}
        for key in sorted(entries):
            self._spend(len(key) + _LEAST_BYTES)
            members[key] = self._one(of_value, entries[key], depth)
        return members

    def _one(self, field: FieldDescriptor, value: object, depth: int) -> JsonValue:
        if isinstance(value, Message):
            return self.message(value, depth - 1)
        return self._scalar(field, value)

    def _scalar(self, field: FieldDescriptor, value: object) -> JsonValue:
        shown: JsonValue
        if isinstance(value, bool | str):
            shown = value
        elif isinstance(value, bytes):
            shown = b64encode(value)
        elif isinstance(value, float):
            single = field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT
            shown = _single(value) if single else _double(value)
        else:
            shown = _integer(field, cast("int", value))
        self._spend(len(str(shown)) + _LEAST_BYTES)
        return shown

    # ------------------------------------------------------------ well-known types

    def message(self, message: Message, depth: int) -> JsonValue:
        """A message inside another, the well-known types as themselves."""
        shown: JsonValue
        # By name: a message of another descriptor pool has classes of its own for these.
        match message.DESCRIPTOR.full_name:
            case "google.protobuf.Timestamp" | "google.protobuf.Duration":
                shown = self._time(cast("Timestamp | Duration", message), depth)
            case "google.protobuf.FieldMask":
                shown = self._text(",".join(cast("FieldMask", message).paths))
            case "google.protobuf.Any":
                shown = self._any(cast("AnyMessage", message), depth)
            case "google.protobuf.Struct":
                shown = self._struct(cast("Struct", message), depth)
            case "google.protobuf.ListValue":
                shown = self._list(cast("ListValue", message), depth)
            case "google.protobuf.Value":
                shown = self._value(cast("Value", message), depth)
            case name if name in _WRAPPERS:
                (field,) = _fields_of(message)
                shown = self._scalar(field, getattr(message, field.name))
            case _:
                shown = self.fields(message, depth)
        return shown

    def _text(self, text: str) -> str:
        self._spend(len(text) + _LEAST_BYTES)
        return text

    def _time(self, message: Timestamp | Duration, depth: int) -> JsonValue:
        try:
            return self._text(message.ToJsonString())
        except (ValueError, OverflowError):  # outside of what protobuf allows, yet it came
            return self.fields(message, depth)

    def _any(self, message: AnyMessage, depth: int) -> JsonValue:
        if not depth:
            raise _TooMuchError
        held = _unpacked(message)
        members: dict[str, JsonValue] = {"@type": self._text(message.type_url)}
        if held is None:
            members["value"] = self._text(b64encode(message.value))
        else:
            members["value"] = self.message(held, depth - 1)
        return members

    def _struct(self, message: Struct, depth: int) -> JsonValue:
        if not depth:
            raise _TooMuchError
        members: dict[str, JsonValue] = {}
        for key in sorted(message.fields):
            members[self._text(key)] = self._value(message.fields[key], depth - 1)
        return members

    def _list(self, message: ListValue, depth: int) -> JsonValue:
        if not depth:
            raise _TooMuchError
        return [self._value(item, depth - 1) for item in message.values]

    def _value(self, message: Value, depth: int) -> JsonValue:
        self._spend(_LEAST_BYTES)
        match message.WhichOneof("kind"):
            case "bool_value":
                return message.bool_value
            case "string_value":
                return self._text(message.string_value)
            case "number_value":
                return _number(message.number_value)
            case "struct_value":
                return self._struct(message.struct_value, depth)
            case "list_value":
                return self._list(message.list_value, depth)
            case _:
                return None


def _unpacked(message: AnyMessage) -> Message | None:
    """Return what an ``Any`` holds, where its type is known here and its bytes are that."""
    try:
        found = message.DESCRIPTOR.file.pool.FindMessageTypeByName(message.TypeName())
        held = message_factory.GetMessageClass(found)()
        held.ParseFromString(message.value)
    except (KeyError, DecodeError):
        return None
    return held


def _fields_of(message: Message) -> list[FieldDescriptor]:
    return cast("list[FieldDescriptor]", message.DESCRIPTOR.fields)


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _integer(field: FieldDescriptor, value: int) -> JsonValue:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value if abs(value) <= MAX_SAFE_INTEGER else str(value)


def _number(value: float) -> JsonValue:
    """Return a number of a ``Struct``, which knows no integers: as one where it is one."""
    if value.is_integer() and abs(value) <= MAX_SAFE_INTEGER:
        return int(value)
    return _double(value)


def _double(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _single(value: float) -> str:
    """Return the shortest text that is read as this 32-bit float."""
    if not math.isfinite(value):
        return _double(value)
    for digits in _FLOAT_DIGITS:
        text = f"{value:.{digits}g}"
        if _as_single(float(text)) == value:
            return _double(float(text))
    raise AssertionError


def _as_single(value: float) -> float:
    try:
        (held,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:  # the greatest float, rounded up
        return math.inf
    return float(held)
