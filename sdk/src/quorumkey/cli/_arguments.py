"""What people and files say of a request, read strictly."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ConfigurationError, ProtocolError
from quorumkey.protocol.encoding import parse_time
from quorumkey.protocol.limits import MAX_POLICY_FILE_BYTES
from quorumkey.protocol.policy import Group, Party
from quorumkey.protocol.statements import Action
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.policy import Approver

__all__ = [
    "Template",
    "UsageError",
    "binding_of",
    "group_of",
    "param_of",
    "party_of",
    "read_input",
    "template_of",
    "time_of",
    "write_output",
]

_FINGERPRINT_CHARS: Final = 64
_STANDARD_STREAM: Final = "-"


class UsageError(ConfigurationError):
    """The command was called wrongly; it exits with 2."""


def read_input(path: str, *, max_bytes: int, cut: bool = False) -> bytes:
    """Read a file, or standard input for ``-``.

    Args:
        path: which.
        max_bytes: the most that is of use.
        cut: answer one byte more than that instead of refusing what is larger.

    Raises:
        UsageError: it cannot be read, or is larger than `max_bytes`.
    """
    try:
        if path == _STANDARD_STREAM:
            data = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(max_bytes + 1)
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from None
    if len(data) > max_bytes and not cut:
        raise UsageError(f"The file {path} is larger than {max_bytes} bytes.")
    return data


def write_output(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"The file {path} cannot be written: {error.strerror}.") from None


def param_of(text: str) -> tuple[str, JsonValue]:
    """Read ``name=text`` or ``name:=JSON``.

    Raises:
        UsageError: it is neither.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.removesuffix(":"):
        raise UsageError(f"A parameter is name=text or name:=JSON, not {text!r}.")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], loads(value.encode(), max_bytes=MAX_POLICY_FILE_BYTES)
    except ProtocolError as error:
        raise UsageError(f"The parameter {name[:-1]!r} is not JSON: {error}") from None


def binding_of(text: str) -> tuple[str, str]:
    """Read ``name=sha256:<hex>``.

    Raises:
        UsageError: it has no name.
    """
    name, equals, digest = text.partition("=")
    if not equals or not name:
        raise UsageError(f"A binding is name=sha256:<hex>, not {text!r}.")
    return name, digest


def party_of(text: str) -> Party:
    """Read ``ID`` or ``ID=Name``.

    Raises:
        UsageError: id or name is not allowed.
    """
    identifier, equals, name = text.partition("=")
    try:
        return Party(identifier, name if equals else None)
    except ProtocolError as error:
        raise UsageError(str(error)) from None


def time_of(text: str) -> int:
    """Read an RFC 3339 time in UTC.

    Raises:
        UsageError: it is another form.
    """
    try:
        return parse_time(text, field="The time")
    except ProtocolError as error:
        raise UsageError(str(error)) from None


def group_of(text: str, approver: Callable[[str], Approver]) -> Group:
    """Read ``Name=fingerprint,fingerprint``; `approver` finds the device of a fingerprint.

    Raises:
        UsageError: it is another form.
    """
    name, equals, members = text.rpartition("=")
    fingerprints = [member.strip() for member in members.split(",")]
    if not equals or any(len(item) != _FINGERPRINT_CHARS for item in fingerprints):
        raise UsageError("A group is NAME=FINGERPRINT,FINGERPRINT with fingerprints in full.")
    try:
        return Group(name, tuple(approver(item) for item in fingerprints))
    except ProtocolError as error:
        raise UsageError(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a file says of a request; options of the command go before it."""

    action: Action | None = None
    groups: tuple[Group, ...] = ()
    required: int | None = None
    requester: Party | None = None
    relay_public_keys: tuple[str, ...] = ()
    integrator_id: str | None = None
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    seconds: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


_TEXTS: Final = ("reject_policy", "distinct", "min_assurance", "match_code")
_SECONDS: Final = ("expires_in_seconds", "use_within_seconds")
#: Members of a policy file that belong to one request and are made anew.
_FRESH: Final = ("nonce", "now", "webauthn")
_MEMBERS: Final = frozenset(
    {
        "action",
        "groups",
        "required",
        "requester",
        "relay_public_keys",
        "integrator_id",
        *_TEXTS,
        *_SECONDS,
        *_FRESH,
    }
)


def template_of(data: bytes) -> Template:
    """Read a request body (PROTOCOL §5) or a policy file.

    Raises:
        UsageError: it is neither.
    """
    try:
        members = loads(data, max_bytes=MAX_POLICY_FILE_BYTES)
        if not isinstance(members, dict) or not members.keys() <= _MEMBERS:
            raise UsageError("The file must be an object with members of a request or a policy.")
        return Template(
            action=Action.from_json(members["action"]) if "action" in members else None,
            groups=tuple(Group.from_json(item) for item in _list(members, "groups")),
            required=_integer(members, "required"),
            requester=(
                Party.from_json(members["requester"], field="requester")
                if "requester" in members
                else None
            ),
            relay_public_keys=tuple(_texts(_list(members, "relay_public_keys"))),
            integrator_id=_text(members, "integrator_id"),
            texts={name: text for name in _TEXTS if (text := _text(members, name)) is not None},
            seconds={
                name: number for name in _SECONDS if (number := _integer(members, name)) is not None
            },
        )
    except ProtocolError as error:
        raise UsageError(f"The file is not usable: {error}") from None


def _list(members: dict[str, JsonValue], name: str) -> list[JsonValue]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise UsageError(f"{name} in the file must be a list.")
    return value


def _texts(values: Iterable[JsonValue]) -> list[str]:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(list(values)):
        raise UsageError("The file has something else where a text must be.")
    return texts


def _text(members: dict[str, JsonValue], name: str) -> str | None:
    value = members.get(name)
    if name in members and not isinstance(value, str):
        raise UsageError(f"{name} in the file must be a text.")
    return value if isinstance(value, str) else None


def _integer(members: dict[str, JsonValue], name: str) -> int | None:
    value = members.get(name)
    if name in members and (not isinstance(value, int) or isinstance(value, bool)):
        raise UsageError(f"{name} in the file must be an integer.")
    return value if isinstance(value, int) else None
