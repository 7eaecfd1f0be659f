"""What every signed statement has in common, and the one way to a verified one."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Generic, Protocol, TypeVar

from quorumkey.protocol._members import Members, integer_of, list_of, members_of, object_of, refuse
from quorumkey.protocol.dsse import Envelope, Form, Kind, PasskeyPolicy, verify_signature
from quorumkey.protocol.limits import MAX_EXTENSION_NAMES, MAX_STATEMENT_BYTES
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Self

    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.keys import PublicKey

__all__ = ["Extensions", "Statement", "Verified", "verify_statement"]

VERSION: Final = 1

#: ``extensions`` of a statement: unknown names in it mean nothing.
Extensions = dict[str, "JsonValue"]


def allow(*names: str) -> frozenset[str]:
    """The members a payload may have: `names` and those every payload may carry."""
    return frozenset({*names, "v", "extensions", "critical"})


def open_payload(
    payload: bytes,
    *,
    kind: Kind,
    required: Collection[str],
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
    """``critical``, or None where absent; `check_head` says what may stand in it."""
    if "critical" not in members:
        return None
    names: list[str] = []
    for item in list_of(members["critical"], field="critical"):
        if not isinstance(item, str):
            message = "critical must be a list of extension names."
            raise refuse(message)
        names.append(item)
    return tuple(names)


def check_head(
    extensions: Mapping[str, JsonValue] | None, critical: tuple[str, ...] | None
) -> None:
    """Refuse a payload that insists on an extension: none of them is implemented here.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if critical:
        message = "The document needs an extension that is not supported here."
        raise refuse(message)
    if extensions is not None and len(extensions) > MAX_EXTENSION_NAMES:
        message = f"extensions must have at most {MAX_EXTENSION_NAMES} names."
        raise refuse(message)


def put_head(
    members: Members, extensions: Mapping[str, JsonValue] | None, critical: tuple[str, ...] | None
) -> Members:
    """Add ``extensions`` and ``critical`` to a payload where they are present."""
    if extensions is not None:
        members["extensions"] = dict(extensions)
    if critical is not None:
        members["critical"] = list(critical)
    return members


class Statement(Protocol):
    """A payload type as a class: its kind, and its strict encoding both ways."""

    KIND: ClassVar[Kind]

    def encode(self) -> bytes:
        """The payload's bytes."""
        ...

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly; raises `quorumkey.errors.ProtocolError`."""
        ...


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
