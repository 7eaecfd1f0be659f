"""What a service declares: its methods, how their targets are found, and who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from quorumkey.errors import ConfigurationError, ProtocolError
from quorumkey.protocol.encoding import JsonValue, check_text
from quorumkey.protocol.limits import MAX_METHOD_NAME_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Caller", "Method", "MethodKind", "Resolver", "Resource"]

#: How a method may be protected: ``always`` is in any case, ``default`` until an administrator
#: says otherwise, ``eligible`` once one does, ``ineligible`` never.
MethodKind: TypeAlias = Literal["always", "default", "eligible", "ineligible"]
Permission: TypeAlias = Literal["read", "write"]
CallerKind: TypeAlias = Literal["person", "api_key"]

#: What a call acts on, as its condition and its approvers see it.
Resource: TypeAlias = Mapping[str, JsonValue]
#: Finds what a call acts on, from the request as approvers see it. None: there is no such thing.
Resolver: TypeAlias = Callable[[JsonValue], Resource | Awaitable[Resource | None] | None]

_KINDS: Final = ("always", "default", "eligible", "ineligible")
_PERMISSIONS: Final = ("read", "write")
_CALLER_KINDS: Final = ("person", "api_key")
_MAX_ID_CHARS: Final = 128
_MAX_NAME_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service.

    Args:
        name: its name, as administrators protect it; 1 to 200 characters.
        resolver: finds what a call acts on, as ``resource`` for conditions and approvers; a
            function or a coroutine function. Where it fails or finds nothing, the call waits.
        kind: see `MethodKind`.
        permission: a ``read`` method is never protected.
        default_condition: CEL, for the kind ``default``; empty: every call waits.

    Raises:
        ConfigurationError: one of them is not usable.
    """

    name: str
    resolver: Resolver | None = field(default=None, kw_only=True)
    kind: MethodKind = field(default="eligible", kw_only=True)
    permission: Permission = field(default="write", kw_only=True)
    default_condition: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Check what was declared."""
        _text(self.name, "A method's name", MAX_METHOD_NAME_CHARS)
        if self.kind not in _KINDS:
            raise ConfigurationError(f"The kind of {self.name} must be one of {', '.join(_KINDS)}.")
        if self.permission not in _PERMISSIONS:
            raise ConfigurationError(f"The permission of {self.name} must be read or write.")
        if self.permission == "read" and self.kind in {"always", "default"}:
            raise ConfigurationError(f"{self.name} only reads, so it cannot be protected.")
        if self.default_condition and self.kind != "default":
            raise ConfigurationError(
                f"{self.name} has a default condition and is not protected by default."
            )

    @property
    def protectable(self) -> bool:
        """Whether a call of it can ever have to wait."""
        return self.permission == "write" and self.kind != "ineligible"

    def to_json(self) -> dict[str, JsonValue]:
        """The method as it is registered."""
        members: dict[str, JsonValue] = {
            "name": self.name,
            "kind": self.kind,
            "permission": self.permission,
            "resolver": self.resolver is not None,
        }
        if self.default_condition:
            members["default_condition"] = self.default_condition
        return members


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the service has authenticated them.

    Args:
        kind: ``person`` (an approver's id at the relay, where they are one) or ``api_key``.
        id: 1 to 128 characters; compared exactly.
        name: what approvers see, 1 to 80 characters.

    Raises:
        ConfigurationError: one of them is not usable.
    """

    kind: CallerKind
    id: str
    name: str | None = None

    def __post_init__(self) -> None:
        """Check who calls."""
        if self.kind not in _CALLER_KINDS:
            raise ConfigurationError("A caller is a person or an api_key.")
        _text(self.id, "A caller's id", _MAX_ID_CHARS)
        if self.name is not None:
            _text(self.name, "A caller's name", _MAX_NAME_CHARS)

    def to_json(self) -> dict[str, JsonValue]:
        """The caller as the relay is told."""
        members: dict[str, JsonValue] = {"kind": self.kind, "id": self.id}
        if self.name is not None:
            members["name"] = self.name
        return members


def by_name(methods: Iterable[Method]) -> dict[str, Method]:
    """The methods by their names.

    Raises:
        ConfigurationError: there is none, or two have one name.
    """
    named: dict[str, Method] = {}
    for method in methods:
        if method.name in named:
            raise ConfigurationError(f"The method {method.name} is declared twice.")
        named[method.name] = method
    if not named:
        raise ConfigurationError("No method is declared: nothing could be protected.")
    return named


def _text(value: object, what: str, maximum: int) -> None:
    try:
        check_text(value, field=what, minimum=1, maximum=maximum)
    except ProtocolError as error:
        raise ConfigurationError(error.message) from None
