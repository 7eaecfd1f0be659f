"""The governing service's messages, compiled from its .proto by the stock compiler."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connectrpc.method import IdempotencyLevel, MethodInfo
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

PROTO_DIR: Final = Path(__file__).parents[3] / "relay" / "proto"
PROTO_FILE: Final = "quorumkey/mpa/v1/mpa.proto"
SERVICE: Final = "quorumkey.mpa.v1.MultipartyApprovalService"


@functools.cache
def service() -> ServiceDescriptor:
    """The service as its .proto describes it."""
    pool = descriptor_pool.DescriptorPool()
    for file in _compiled().file:
        pool.Add(file)
    return pool.FindServiceByName(SERVICE)


def _compiled() -> FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "mpa.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO_DIR}"]
        command += [f"--descriptor_set_out={out}", "--include_imports", PROTO_FILE]
        subprocess.run(command, check=True)
        return FileDescriptorSet.FromString(out.read_bytes())


def method_of(name: str) -> MethodDescriptor:
    """One method of the service."""
    found = service().methods_by_name[name]
    assert found is not None
    return found


def class_of(descriptor: Descriptor) -> type[Message]:
    """The class of a message."""
    return message_factory.GetMessageClass(descriptor)


@functools.cache
def info_of(name: str) -> MethodInfo[Any, Any]:
    """One method of the service, as generated client code describes it."""
    method = method_of(name)
    return MethodInfo(
        name=name,
        service_name=SERVICE,
        input=class_of(method.input_type),
        output=class_of(method.output_type),
        idempotency_level=IdempotencyLevel.UNKNOWN,
    )
