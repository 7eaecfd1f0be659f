"""The committed .proto and the relay's own types say the same."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from msgspec import Struct, UnsetType
from msgspec.structs import fields
from tests.relay.protection.rpc_messages import PROTO_DIR, SERVICE, method_of, service

from quorumkey_relay.api.rpc import SERVICE_PREFIX
from quorumkey_relay.api.rpc_routes import RPC_ROUTES
from quorumkey_relay.domain.protection import GOVERNING_METHODS
from quorumkey_relay.usecases.commands import EnvelopeDocument
from quorumkey_relay.usecases.protection import (
    commands,
    govern_commands,
    govern_keys,
    govern_people,
    govern_requests,
    govern_settings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.descriptor import Descriptor

#: What each method takes and answers.
TYPES: Final[dict[str, tuple[type[Struct], type[Struct]]]] = {
    "GetMultipartyApprovalSettings": (govern_commands.EmptyBody, govern_settings.SettingsAnswer),
    "SetMultipartyApprovalSettings": (commands.SettingsBody, govern_settings.SettingsAnswer),
    "DisableMultipartyApproval": (govern_commands.EmptyBody, govern_settings.SettingsAnswer),
    "ListMultipartyApprovalRequestsForSession": (
        govern_commands.ListBody,
        govern_requests.RequestsAnswer,
    ),
    "GetMultipartyApprovalRequest": (govern_commands.TxidBody, govern_requests.RequestAnswer),
    "ResolveMultipartyApprovalRequest": (
        govern_commands.ResolveBody,
        govern_requests.RequestAnswer,
    ),
    "ListMPAProtectedMethods": (govern_commands.EmptyBody, govern_settings.MethodsAnswer),
    "AddMPAProtectedMethod": (govern_commands.ProtectBody, govern_settings.MethodAnswer),
    "RemoveMPAProtectedMethod": (govern_commands.MethodNameBody, govern_settings.MethodAnswer),
    "ResetMPAProtectedMethods": (govern_commands.EmptyBody, govern_settings.MethodsAnswer),
    "CreateAPIKey": (govern_commands.CreateKeyBody, govern_keys.NewKeyAnswer),
    "UpdateAPIKey": (govern_commands.UpdateKeyBody, govern_keys.KeyAnswer),
    "ListAPIKeys": (govern_commands.EmptyBody, govern_keys.KeysAnswer),
    "ListAdministrators": (govern_commands.EmptyBody, govern_people.AdministratorsAnswer),
    "AddAdministrator": (govern_commands.AdministratorBody, govern_people.AdministratorAnswer),
    "RemoveAdministrator": (govern_commands.AdministratorBody, govern_people.NothingAnswer),
}
_TIMESTAMP: Final = "google.protobuf.Timestamp"


def shape_of_message(descriptor: Descriptor) -> dict[str, Any]:
    """The fields of a message: kinds, and the shapes of messages within; lists in lists."""
    return {field.name: _shape_of_field(field) for field in descriptor.fields}


def _shape_of_field(field: FieldDescriptor) -> Any:  # noqa: ANN401 - a nested shape
    kinds = {
        FieldDescriptor.TYPE_STRING: "text",
        FieldDescriptor.TYPE_BYTES: "text",
        FieldDescriptor.TYPE_INT32: "number",
        FieldDescriptor.TYPE_BOOL: "flag",
    }
    message = field.message_type
    if message is None:
        kind: Any = kinds[field.type]
    else:
        kind = "text" if message.full_name == _TIMESTAMP else shape_of_message(message)
    return [kind] if field.is_repeated else kind


def shape_of_struct(kind: type[Struct]) -> dict[str, Any]:
    """The same of one of the relay's types; a signed envelope is what the protocol says it is."""
    hints = get_type_hints(kind)
    return {field.name: _shape_of_type(hints[field.name]) for field in fields(kind)}


def _shape_of_type(hint: Any) -> Any:  # noqa: ANN401 - a type, and a nested shape
    given = [one for one in get_args(hint) if one not in (UnsetType, type(None))]
    if hint is msgspec.Raw or hint == dict[str, Any]:
        return shape_of_struct(EnvelopeDocument)
    if get_origin(hint) is list:
        return [_shape_of_type(given[0])]
    if isinstance(hint, type):
        return shape_of_struct(hint) if issubclass(hint, Struct) else _KINDS[hint]
    return _shape_of_type(given[0]) if not isinstance(given[0], str) else "text"


_KINDS: Final = {str: "text", int: "number", bool: "flag"}


def test_every_method_is_served() -> None:
    """The service has the methods of its .proto, each at its path, and no other."""
    described = {SERVICE_PREFIX + method.name for method in service().methods}

    assert f"/{SERVICE}/" == SERVICE_PREFIX
    assert described == {route.path for route in RPC_ROUTES}
    assert {route.method for route in RPC_ROUTES} == {"POST"}
    assert TYPES.keys() == {method.name for method in service().methods}


def test_governing_methods_are_methods_of_the_service() -> None:
    """What the relay protects of itself are methods of this service."""
    assert TYPES.keys() >= set(GOVERNING_METHODS)


def test_nothing_streams() -> None:
    """Every method is unary."""
    streaming = [
        method.name
        for method in service().methods
        if method.client_streaming or method.server_streaming
    ]

    assert streaming == []


@pytest.mark.parametrize("name", TYPES, ids=str)
def test_what_a_method_takes(name: str) -> None:
    """A request message has the fields of the command that is read from it."""
    assert shape_of_message(method_of(name).input_type) == shape_of_struct(TYPES[name][0])


@pytest.mark.parametrize("name", TYPES, ids=str)
def test_what_a_method_answers(name: str) -> None:
    """A response message has the fields of the view that is written."""
    assert shape_of_message(method_of(name).output_type) == shape_of_struct(TYPES[name][1])


def test_fields_with_presence() -> None:
    """Exactly the fields whose absence means something of its own are optional."""
    optional = {
        (name, field.name)
        for name in TYPES
        for field in method_of(name).input_type.fields
        if field.has_presence and field.message_type is None
    }
    unset = {
        (name, field.name)
        for name, (takes, _) in TYPES.items()
        for field in fields(takes)
        if field.default is msgspec.UNSET and name != "ResolveMultipartyApprovalRequest"
    }

    assert optional == unset


def test_python_code_beside_the_sdk(tmp_path: Path) -> None:
    """Code that protoc writes for Python can be imported where the SDK is installed."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--python_out={tmp_path}"]
    subprocess.run(
        [*command, f"--proto_path={PROTO_DIR / 'quorumkey'}", "mpa/v1/mpa.proto"], check=True
    )
    program = "import quorumkey; from mpa.v1 import mpa_pb2; print(mpa_pb2.DESCRIPTOR.package)"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    assert said.stdout == "quorumkey.mpa.v1\n"
