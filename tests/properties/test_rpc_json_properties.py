"""The reader of proto3 JSON against the stock one: what both take, they take for the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields
from tests.relay.protection.rpc_messages import class_of, method_of

from quorumkey.errors import ProtocolError
from quorumkey_relay.api.rpc_json import message
from quorumkey_relay.usecases.protection.commands import SettingsBody
from quorumkey_relay.usecases.protection.govern_commands import (
    CreateKeyBody,
    ListBody,
    ProtectBody,
    UpdateKeyBody,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from msgspec import Struct

BODIES: dict[str, type[Struct]] = {
    "SetMultipartyApprovalSettings": SettingsBody,
    "AddMPAProtectedMethod": ProtectBody,
    "CreateAPIKey": CreateKeyBody,
    "UpdateAPIKey": UpdateKeyBody,
    "ListMultipartyApprovalRequestsForSession": ListBody,
}
INT32 = st.integers(-(2**31), 2**31 - 1)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    INT32,
    INT32.map(str),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "admin", "integrator", "true", "1e2", " 1", "01", "-0", "1.0"]),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.just([]),
    st.just({}),
)


def members_of(read: Struct) -> dict[str, Any]:
    """What a body says, field by field."""
    return {field.name: getattr(read, field.name) for field in fields(type(read))}


def said_by(stock: Message, kind: type[Struct]) -> dict[str, Any]:
    """What a message of the stock library says, with absence as the body writes it."""
    given_fields = {descriptor.name for descriptor, _ in stock.ListFields()}
    optional = {one.name for one in stock.DESCRIPTOR.fields if one.has_presence}
    return {
        field.name: field.default
        if field.name in optional - given_fields
        else getattr(stock, field.name)
        for field in fields(kind)
    }


@pytest.mark.parametrize("method", BODIES)
@given(data=st.data())
def test_what_is_taken_is_taken_for_the_same(method: str, data: st.DataObject) -> None:
    """A message that the relay takes is one, and says what the stock parser says it says."""
    kind = BODIES[method]
    descriptor = method_of(method).input_type
    names = [name for field in descriptor.fields for name in (field.name, field.json_name)]
    text = json.dumps(data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=4)))
    try:
        read = message(kind).read(text.encode())
    except ProtocolError:
        return
    stock = Parse(text, class_of(descriptor)())

    assert members_of(read) == said_by(stock, kind)


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize("own_names", [False, True])
@given(data=st.data())
def test_what_a_stock_client_writes_is_taken(
    method: str,
    own_names: bool,  # noqa: FBT001 - a parameter of the test
    data: st.DataObject,
) -> None:
    """Whatever a stock client sends is read, and says what it was made to say."""
    kind = BODIES[method]
    descriptor = method_of(method).input_type
    stock = class_of(descriptor)()
    values: dict[type, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: INT32,
        str: st.text(st.characters(codec="utf-8"), max_size=20),
    }
    for field in descriptor.fields:
        if data.draw(st.booleans()):
            allowed = values[type(field.default_value)]
            if field.name == "scope":
                allowed = st.sampled_from(["integrator", "admin"])
            setattr(stock, field.name, data.draw(allowed))
    text = MessageToJson(stock, preserving_proto_field_name=own_names)
    read = message(kind).read(text.encode())

    assert members_of(read) == said_by(stock, kind)


@pytest.mark.parametrize(
    "text", ['{"enabledd":true}', '{"enabled":true,"enabled":true}', '{"required":"x"}']
)
def test_both_refuse(text: str) -> None:
    """Unknown fields, fields given twice and values of another type are refused by both."""
    with pytest.raises(ProtocolError):
        message(SettingsBody).read(text.encode())
    with pytest.raises(ParseError):
        Parse(text, class_of(method_of("SetMultipartyApprovalSettings").input_type)())
