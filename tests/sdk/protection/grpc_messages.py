"""Messages of every kind of field, made from descriptors: no generated code, no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from google.protobuf import (
    any_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

PACKAGE: Final = "quorumkey.tests.view"
_WELL_KNOWN: Final = (
    any_pb2,
    duration_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
_TYPES: Final = {
    name.removeprefix("TYPE_").lower(): number for name, number in FieldDescriptorProto.Type.items()
}
_REPEATED: Final = FieldDescriptorProto.LABEL_REPEATED
_OPTIONAL: Final = FieldDescriptorProto.LABEL_OPTIONAL
_SCALARS: Final = (
    *("double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64"),
    *("fixed32", "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes"),
)
_HELD: Final = {
    "at": "Timestamp",
    "lasting": "Duration",
    "mask": "FieldMask",
    "anything": "Any",
    "structure": "Struct",
    "value": "Value",
    "listing": "ListValue",
    "wrapped": "Int64Value",
    "wrapped_bytes": "BytesValue",
}


def _field(  # noqa: PLR0913 - the parts of a field's line in a .proto file
    kind: DescriptorProto,
    name: str,
    type_: str,
    *,
    label: FieldDescriptorProto.Label.ValueType = _OPTIONAL,
    of: str = "",
    optional: bool = False,
) -> None:
    field = kind.field.add(name=name, number=len(kind.field) + 1, label=label)
    field.type = FieldDescriptorProto.Type.ValueType(_TYPES[type_])
    if of:
        field.type_name = of
    if optional:
        field.proto3_optional = True
        field.oneof_index = len(kind.oneof_decl)
        kind.oneof_decl.add(name=f"_{name}")


def _map(kind: DescriptorProto, name: str, key: str, value: str, of: str = "") -> None:
    entry = kind.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    _field(entry, "key", key)
    _field(entry, "value", value, of=of)
    full = f".{PACKAGE}.{kind.name}.{entry.name}"
    _field(kind, name, "message", label=_REPEATED, of=full)


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="quorumkey/tests/view.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=[known.DESCRIPTOR.name for known in _WELL_KNOWN],
    )
    colour = file.enum_type.add(name="Colour")
    colour.value.add(name="COLOUR_UNSPECIFIED", number=0)
    colour.value.add(name="COLOUR_RED", number=1)
    scalars = file.message_type.add(name="Scalars")
    for name in _SCALARS:
        _field(scalars, f"a_{name}", name)
    _field(scalars, "colour", "enum", of=f".{PACKAGE}.Colour")
    shapes = file.message_type.add(name="Shapes")
    _field(shapes, "child", "message", of=f".{PACKAGE}.Shapes")
    _field(shapes, "children", "message", label=_REPEATED, of=f".{PACKAGE}.Shapes")
    _field(shapes, "numbers", "int64", label=_REPEATED)
    _field(shapes, "named", "string", optional=True)
    _map(shapes, "flags", "bool", "string")
    _map(shapes, "counts", "int32", "message", of=f".{PACKAGE}.Shapes")
    wide = file.message_type.add(name="Wide")
    for number in range(200):
        _field(wide, f"a_field_with_a_long_name_{number}", "string")
    _field(wide, "children", "message", label=_REPEATED, of=f".{PACKAGE}.Wide")
    held = file.message_type.add(name="Held")
    for name, of in _HELD.items():
        _field(held, name, "message", of=f".google.protobuf.{of}")
    return file


def _proto2() -> FileDescriptorProto:
    file = FileDescriptorProto(name="quorumkey/tests/old.proto", package=PACKAGE, syntax="proto2")
    old = file.message_type.add(name="Old")
    _field(old, "wanted", "string", label=FieldDescriptorProto.LABEL_REQUIRED)
    _field(old, "count", "int32")
    old.extension_range.add(start=100, end=200)
    more = file.extension.add(name="more", number=100, label=_OPTIONAL)
    more.type = FieldDescriptorProto.TYPE_STRING
    more.extendee = f".{PACKAGE}.Old"
    return file


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.Default()
    for file in (_file(), _proto2()):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL: Final = _pool()


def kind_of(name: str) -> type[Message]:
    """The class of one of the messages above."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def foreign_kind_of(name: str) -> type[Message]:
    """The same, of a descriptor pool of its own."""
    pool = descriptor_pool.DescriptorPool()
    for known in _WELL_KNOWN:
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_file().SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def extension(message: Message, name: str, text: str) -> None:
    """Set an extension of text."""
    held = cast("MutableMapping[FieldDescriptor, str]", message.Extensions)
    held[_POOL.FindExtensionByName(f"{PACKAGE}.{name}")] = text
