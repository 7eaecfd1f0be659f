"""proto3 JSON, as far as the governing service reads and writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET, Struct, UnsetType

from quorumkey.errors import ProtocolError
from quorumkey_relay.api.rpc_json import envelope_of, message, written
from quorumkey_relay.usecases.protection.commands import SettingsBody
from quorumkey_relay.usecases.protection.govern_commands import (
    CreateKeyBody,
    EmptyBody,
    UpdateKeyBody,
)

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue


def read(text: str) -> SettingsBody:
    """New settings, as a client writes them."""
    return message(SettingsBody).read(text.encode())


@pytest.mark.parametrize("name", ["maxDurationSeconds", "max_duration_seconds"])
def test_both_names(name: str) -> None:
    """A field goes by its JSON name and by its own."""
    assert read(f'{{"{name}": 60}}') == SettingsBody(max_duration_seconds=60)


def test_both_at_once() -> None:
    """A field that is given under both names is refused."""
    with pytest.raises(ProtocolError, match="twice"):
        read('{"maxDurationSeconds": 60, "max_duration_seconds": 60}')


def test_null_is_left_out() -> None:
    """A field that is null is one that is left out."""
    assert read('{"required": null, "enabled": true}') == SettingsBody(enabled=True)


@pytest.mark.parametrize(("text", "number"), [("3", 3), ('"3"', 3), ('"-1"', -1), ('"0"', 0)])
def test_whole_numbers(text: str, number: int) -> None:
    """A whole number may be a string."""
    assert read(f'{{"required": {text}}}') == SettingsBody(required=number)


@pytest.mark.parametrize(
    "text", ["3.0", "3e0", '"3.0"', '"03"', '" 3"', '""', '"٣"', "true", "[3]", '"99999999999"']
)
def test_other_numbers(text: str) -> None:
    """Points, exponents, spaces and what is no number are refused."""
    with pytest.raises(ProtocolError):
        read(f'{{"required": {text}}}')


@pytest.mark.parametrize("text", ['"true"', "1", '""'])
def test_other_booleans(text: str) -> None:
    """Only true and false are booleans."""
    with pytest.raises(ProtocolError):
        read(f'{{"enabled": {text}}}')


@pytest.mark.parametrize("name", ["Enabled", "enable", "administrators", "revision", ""])
def test_unknown_fields(name: str) -> None:
    """A field that the message does not have is refused, not dropped."""
    with pytest.raises(ProtocolError, match="unknown field"):
        read(f'{{"{name}": true}}')


@pytest.mark.parametrize("text", ["", "[]", "null", '"{}"', "{", '{"enabled":true,"enabled":true}'])
def test_what_is_no_message(text: str) -> None:
    """Anything but one JSON object without duplicates is refused."""
    with pytest.raises(ProtocolError):
        message(EmptyBody).read(text.encode())


def test_left_out_is_the_default() -> None:
    """A field without presence that is left out has its default; an optional one has none."""
    assert message(CreateKeyBody).read(b'{"name": ""}') == CreateKeyBody("", "")
    assert message(UpdateKeyBody).read(b"{}").name is UNSET


def test_numbers_stay_text_where_text_is_asked() -> None:
    """A text that looks like a number stays one."""
    assert message(CreateKeyBody).read(b'{"name": "12"}') == CreateKeyBody("12")


class Inner(Struct):
    """A view within a view."""

    decided_at: str
    can_act: list[str] | UnsetType = UNSET


class Outer(Struct):
    """A view."""

    next_cursor: str | None
    last_of_all: list[Inner]


def test_written() -> None:
    """Members are written in lowerCamelCase, at every depth; what is absent or null is left out."""
    view = Outer(None, [Inner("now"), Inner("then", ["approve"])])

    assert json.loads(written(view)) == {
        "lastOfAll": [{"decidedAt": "now"}, {"decidedAt": "then", "canAct": ["approve"]}]
    }


def test_an_envelope_by_other_names() -> None:
    """An envelope's members are known by both names; those of a passkey's assertion too."""
    webauthn: JsonValue = {"authenticatorData": "AA", "clientDataJson": "BB"}

    signature: JsonValue = {"keyid": "k", "sig": "cw==", "webauthn": webauthn}

    assert envelope_of({"payload_type": "t", "payload": "cA==", "signatures": [signature]}) == {
        "payloadType": "t",
        "payload": "cA==",
        "signatures": [
            {
                "keyid": "k",
                "sig": "cw==",
                "webauthn": {"authenticator_data": "AA", "client_data_json": "BB"},
            }
        ],
    }


@pytest.mark.parametrize(
    "value", [{}, {"signatures": None}, {"signatures": ["s"]}, {"signatures": [{"webauthn": 1}]}]
)
def test_what_is_no_envelope_is_left_as_it_is(value: dict[str, object]) -> None:
    """What is malformed is left for the kernel to refuse."""
    kept = {name: item for name, item in value.items() if item is not None}

    assert envelope_of(json.loads(json.dumps(value))) == kept
