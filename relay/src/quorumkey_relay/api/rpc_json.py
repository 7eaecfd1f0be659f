"""Messages in proto3 JSON, read strictly into the use cases' types and written from them.

https://protobuf.dev/programming-guides/json/: a field goes by its lowerCamelCase name or by its
own, ``null`` is a field that is left out, whole numbers may be strings. Stricter than that: unknown
fields and fields given twice are refused, numbers have no exponent and bytes no URL-safe alphabet.
Written are lowerCamelCase names, and no field that is left out.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from quorumkey.errors import ProtocolError
from quorumkey.protocol import JsonValue, strict_json
from quorumkey.protocol.limits import MAX_BODY_BYTES
from quorumkey_relay.api.bodies import Body

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", bound=Struct)

# An int32, as a string; int() would take more than that.
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,9})", re.ASCII)


class _Field(NamedTuple):
    """A field of a message, and whether it is a whole number."""

    name: str
    is_number: bool


def message(kind: type[S]) -> Body[S]:
    """Return the body that is one message."""

    def read(body: bytes) -> S:
        value = strict_json.loads(body, max_bytes=MAX_BODY_BYTES)
        if not isinstance(value, dict):
            raise ProtocolError("invalid_request", "The message must be a JSON object.")
        try:
            return msgspec.convert(_members(value, _fields_of(kind)), kind)
        except msgspec.ValidationError as error:
            message = f"The message is not valid: {error}."
            raise ProtocolError("invalid_request", message) from None

    return Body(read, None, MAX_BODY_BYTES)


def envelope_of(value: Mapping[str, JsonValue]) -> JsonValue:
    """Return a message ``Envelope`` with the member names of a DSSE envelope."""
    envelope = _renamed(value, {"payload_type": "payloadType"})
    signatures = envelope.get("signatures")
    if isinstance(signatures, list):
        envelope["signatures"] = [_signature_of(one) for one in signatures]
    return envelope


def written(view: Struct) -> bytes:
    """Return a view as a message."""
    return msgspec.json.encode(_camel(msgspec.json.decode(msgspec.json.encode(view))))


def _signature_of(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return value
    signature = _renamed(value, {})
    assertion = signature.get("webauthn")
    if isinstance(assertion, dict):
        names = {"authenticatorData": "authenticator_data", "clientDataJson": "client_data_json"}
        signature["webauthn"] = _renamed(assertion, names)
    return signature


def _renamed(value: Mapping[str, JsonValue], names: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return an object without null members; two spellings of one are refused."""
    members: dict[str, JsonValue] = {}
    for given, item in value.items():
        _put(members, names.get(given, given), item)
    return members


def _members(value: Mapping[str, JsonValue], known: Mapping[str, _Field]) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {}
    for given, item in value.items():
        field = known.get(given)
        if field is None:
            message = f"The message has an unknown field {given[:64]!r}."
            raise ProtocolError("invalid_request", message)
        is_text = field.is_number and isinstance(item, str)
        _put(members, field.name, _number(field.name, str(item)) if is_text else item)
    return members


def _put(members: dict[str, JsonValue], name: str, item: JsonValue) -> None:
    if item is None:
        return
    if name in members:
        raise ProtocolError("invalid_request", f"The message has the field {name!r} twice.")
    members[name] = item


def _number(name: str, text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ProtocolError("invalid_request", f"{name}: must be a whole number.")
    return int(text)


@cache
def _fields_of(kind: type[Struct]) -> Mapping[str, _Field]:
    """Return the fields of a message by both of their names."""
    found: dict[str, _Field] = {}
    for field in fields(kind):
        is_number = field.type is int or int in getattr(field.type, "__args__", ())
        found[field.name] = found[_lower_camel(field.name)] = _Field(field.name, is_number)
    return found


def _lower_camel(name: str) -> str:
    """Return the JSON name of a field."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _camel(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {
            _lower_camel(name): _camel(item) for name, item in value.items() if item is not None
        }
    if isinstance(value, list):
        return [_camel(item) for item in value]
    return value
