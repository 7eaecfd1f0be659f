"""A call's request in the one spelling that is approved, and in the form that the relay is sent.

The relay gets one of three forms: JSON, of which it makes the canonical bytes itself; protobuf
bytes with a view of them for conditions and approvers; or, where that is more than 64 KiB or
nested too deep to travel, the digest alone. Without a view no condition can be evaluated, so
such a call waits for approval, and approvers see its digest and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from quorumkey.errors import ProtocolError
from quorumkey.protection.errors import RequestRefused
from quorumkey.protocol import strict_json
from quorumkey.protocol.canonical import canonical_json, request_binding
from quorumkey.protocol.encoding import JsonValue, b64encode
from quorumkey.protocol.limits import MAX_JSON_DEPTH, MAX_REQUEST_VIEW_BYTES
from quorumkey.protocol.protected_call import Hidden

if TYPE_CHECKING:
    from quorumkey.protection.declarations import Resource

__all__ = ["Message", "ProtobufMessage", "Request", "Target", "read_json"]

#: A body ``{"request": {"json": …}}`` stands around what is sent.
_MAX_DEPTH: Final = MAX_JSON_DEPTH - 2


@dataclass(frozen=True, slots=True)
class ProtobufMessage:
    """A protobuf message: its bytes as they are compared, and how people see it.

    Args:
        canonical: the deterministic encoding.
        view: the message as JSON, floats as strings; None where it has no such form.
    """

    canonical: bytes = field(repr=False)
    view: Mapping[str, JsonValue] | None = field(default=None, repr=False)


#: A call's request: a JSON value without floats, or a protobuf message. What a dict holds is
#: looked at when the call is made, so its type need not say so.
Request: TypeAlias = "JsonValue | Mapping[str, object] | ProtobufMessage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request, ready to be asked about.

    Attributes:
        binding: the digest of its canonical form, ``sha256:…``.
        body: what the relay is sent.
        view: what a resolver is given; None also where there is none, see `viewable`.
        shown: what approvers see of it.
        viewable: false for a protobuf message without a view.
    """

    binding: str
    body: dict[str, JsonValue] = field(repr=False)
    view: JsonValue = field(repr=False)
    shown: JsonValue | Hidden = field(repr=False)
    viewable: bool = True

    @staticmethod
    def of(request: Request) -> Message:
        """Prepare a request.

        Raises:
            RequestRefused: it has a float, a non-JSON value, or is nested deeper than 32.
        """
        if isinstance(request, ProtobufMessage):
            return _of_protobuf(request)
        # The kernel's writer looks at the type of everything it touches.
        value = cast("JsonValue", dict(request) if isinstance(request, Mapping) else request)
        canonical = _canonical(value)
        if not _travels(value, canonical):
            return _hidden(canonical, view=value)
        return Message(
            binding=request_binding(canonical), body={"json": value}, view=value, shown=value
        )


def _of_protobuf(message: ProtobufMessage) -> Message:
    canonical = message.canonical
    if message.view is None:
        return _hidden(canonical, view=None, viewable=False)
    view = dict(message.view)
    if len(canonical) > MAX_REQUEST_VIEW_BYTES or not _travels(view, _canonical(view)):
        return _hidden(canonical, view=view)
    body: dict[str, JsonValue] = {"protobuf": b64encode(canonical), "view": view}
    return Message(binding=request_binding(canonical), body=body, view=view, shown=view)


def _hidden(canonical: bytes, *, view: JsonValue, viewable: bool = True) -> Message:
    binding, size = request_binding(canonical), len(canonical)
    body: dict[str, JsonValue] = {"digest": binding, "size": size}
    return Message(binding=binding, body=body, view=view, shown=Hidden(size), viewable=viewable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a call acts on: ``resource`` as it is sent, with its digest; or that it is not known."""

    resource: dict[str, JsonValue] | None = field(default=None, repr=False)
    binding: str | None = None
    failed: bool = False

    @staticmethod
    def of(resource: Resource) -> Target:
        """Prepare what a resolver found.

        Raises:
            RequestRefused: it has a float or a non-JSON value, or is larger than 64 KiB.
        """
        value = dict(resource)
        canonical = _canonical(value)
        if not _travels(value, canonical):
            raise RequestRefused("The resource is larger than 64 KiB or nested too deep.")
        return Target(resource=value, binding=request_binding(canonical))


def read_json(data: bytes, *, max_bytes: int) -> JsonValue:
    """Read a JSON body of which there can be no two readings.

    Raises:
        RequestRefused: a float, a member twice, malformed, or larger than ``max_bytes``.
    """
    try:
        return strict_json.loads(data, max_bytes=max_bytes)
    except ProtocolError as error:
        raise RequestRefused(error.message) from None


def _canonical(value: JsonValue) -> bytes:
    try:
        return canonical_json(value)
    except ProtocolError as error:
        raise RequestRefused(error.message) from None


def _travels(value: JsonValue, canonical: bytes) -> bool:
    if len(canonical) > MAX_REQUEST_VIEW_BYTES:
        return False
    try:
        strict_json.check_depth(value, canonical.decode(), max_depth=_MAX_DEPTH)
    except ProtocolError:
        return False
    return True
