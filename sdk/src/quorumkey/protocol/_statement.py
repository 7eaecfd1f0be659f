"""What every signed statement has in common, and the one way to a verified one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeAlias, TypeVar

from quorumkey.protocol._members import Members, integer_of, list_of, members_of, object_of, refuse
from quorumkey.protocol.dsse import verify_signature
from quorumkey.protocol.limits import MAX_EXTENSION_NAMES, MAX_STATEMENT_BYTES
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from typing import Self

    from quorumkey.protocol.dsse import Envelope, Form, Kind, PasskeyPolicy
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.keys import PublicKey

__all__ = ["Extensions", "Statement", "Verified", "verify_statement"]

VERSION: Final = 1

#: ``extensions`` of a statement: names unknown here mean nothing.
Extensions: TypeAlias = "dict[str, JsonValue]"


def allow(required: frozenset[str], *optional: str) -> frozenset[str]:
    """The members a payload may have: those named and those every payload may carry."""
    return required | {*optional, "v", "extensions", "critical"}


def open_payload(
    payload: bytes,
    *,
    kind: Kind,
    required: frozenset[str],
    allowed: frozenset[str],
    max_bytes: int = MAX_STATEMENT_BYTES,
) -> Members:
    """Read a payload's members strictly and check its version.

    Raises:
        ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
    """
    members = members_of(
        loads(payload, max_bytes=max_bytes), field=kind.value, required=required, allowed=allowed
    )
    if "v" in members and integer_of(members["v"], field="v") != VERSION:
        message = f"v must be {VERSION}."
        raise refuse(message)
    return members


def extensions_in(members: Members) -> Extensions | None:
    """``extensions``, or None where absent."""
    if "extensions" in members:
        return object_of(members["extensions"], field="extensions")
    return None


def critical_in(members: Members) -> tuple[str, ...] | None:
    """``critical``, or None where absent. The constructor says what may stand in it."""
    if "critical" not in members:
        return None
    names: list[str] = []
    for item in list_of(members["critical"], field="critical"):
        if not isinstance(item, str):
            message = "critical must be a list of extension names."
            raise refuse(message)
        names.append(item)
    return tuple(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(ABC):
    """A signed payload (protocol section 3). One that breaks a rule cannot be made.

    Attributes:
        extensions: names unknown here mean nothing; None where absent.
        critical: the extensions a reader must understand. None of the protocol's reserved names
            is implemented here, so an entry refuses the whole payload; None where absent.
    """

    KIND: ClassVar[Kind]
    extensions: Extensions | None = None
    critical: tuple[str, ...] | None = None

    def _check_head(self) -> None:
        """Check what every payload may carry.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        if self.critical:
            message = "The document needs an extension that is not supported here."
            raise refuse(message)
        if self.extensions is not None and len(self.extensions) > MAX_EXTENSION_NAMES:
            message = f"extensions must have at most {MAX_EXTENSION_NAMES} names."
            raise refuse(message)

    def to_json(self) -> Members:
        """The payload's JSON object."""
        members = self._members()
        if self.extensions is not None:
            members["extensions"] = self.extensions
        if self.critical is not None:
            members["critical"] = list(self.critical)
        return members

    def encode(self) -> bytes:
        """The payload's bytes: compact JSON, which is what is signed.

        Raises:
            ProtocolError: ``invalid_json``; ``extensions`` cannot be written as JSON.
        """
        return dumps(self.to_json())

    @abstractmethod
    def _members(self) -> Members:
        """The payload's own members, in the protocol's order."""

    @classmethod
    @abstractmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``; where
                the payload names keys, also their own codes.
        """


_S = TypeVar("_S", bound=Statement)
_S_co = TypeVar("_S_co", bound=Statement, covariant=True)
_TOKEN: Final = object()


@dataclass(frozen=True, slots=True)
class Verified(Generic[_S_co]):
    """A statement whose signature was checked. Only `verify_statement` makes one.

    Attributes:
        statement: the decoded payload.
        envelope: the envelope it came in, whose payload bytes were signed.
        sign_count: a passkey's signature counter, None for a native signature.
    """

    statement: _S_co
    envelope: Envelope
    sign_count: int | None
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        """Refuse to be made elsewhere.

        Raises:
            TypeError: always, except for `verify_statement`.
        """
        if token is not _TOKEN:
            message = "a Verified statement comes from verify_statement() only"
            raise TypeError(message)


def verify_statement(
    envelope: Envelope,
    cls: type[_S],
    *,
    key: PublicKey,
    form: Form = "native",
    passkeys: PasskeyPolicy | None = None,
) -> Verified[_S]:
    """Check the signature, then decode the payload strictly.

    What the statement says is left to the caller: that it is for this relay, request, device,
    nonce and time, and a passkey's counter.

    Args:
        envelope: what was received.
        cls: the statement's class; its kind is the one payload type accepted.
        key: the key that has to have signed, from a source the caller trusts.
        form: how this key is known to sign.
        passkeys: the relying party for passkey signatures; None refuses them.

    Raises:
        ProtocolError: as `quorumkey.protocol.dsse.verify_signature`, then as ``cls.decode``.
    """
    sign_count = verify_signature(envelope, kind=cls.KIND, key=key, form=form, passkeys=passkeys)
    return Verified(cls.decode(envelope.payload), envelope, sign_count, _TOKEN)
