"""What a device signs about itself (protocol section 3): to enrol, connect, be woken and leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

from quorumkey.protocol._members import (
    Members,
    choice_of,
    fingerprint_in,
    id_in,
    nonce_in,
    refuse,
    text_of,
)
from quorumkey.protocol._statement import (
    Statement,
    allow,
    critical_in,
    extensions_in,
    open_payload,
)
from quorumkey.protocol.dsse import Kind
from quorumkey.protocol.encoding import b64decode
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.limits import BINDING_BYTES
from quorumkey.protocol.origin import check_origin
from quorumkey.protocol.pairing import normalise_pairing_code
from quorumkey.protocol.push_address import PushAddress, parse_push_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


__all__ = ["Enrollment", "Platform", "Push", "Session", "Unpair"]

Platform: TypeAlias = Literal["ios", "android", "web", "cli"]

_PLATFORMS: Final[Mapping[str, Platform]] = MappingProxyType(
    {"ios": "ios", "android": "android", "web": "web", "cli": "cli"}
)


def _check_session_key(text: str, *, device: str) -> None:
    if PublicKey.from_base64(text, field="session_public_key").fingerprint == device:
        message = "session_public_key must be another key than the device's."
        raise refuse(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment(Statement):
    """A device's wish to be paired, signed by the key it brings.

    Attributes:
        relay: the relay's fingerprint.
        audience: the origin the device dialled.
        nonce: 32 bytes in base64.
        pairing_code: the code, as the person or the link gave it.
        device_public_key: the key that signs this, 33 bytes in base64.
        platform: what kind of device it is.
        session_public_key: a second key that may open sessions, or None.
        binding: HMAC under the pairing's secret, 32 bytes in base64, or None.
    """

    KIND: ClassVar[Kind] = Kind.ENROLLMENT
    relay: str
    audience: str
    nonce: str
    pairing_code: str = field(repr=False)
    device_public_key: str
    platform: Platform
    session_public_key: str | None = None
    binding: str | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_public_key`` or ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        check_origin(self.audience, field="audience")
        nonce_in(self.nonce)
        normalise_pairing_code(self.pairing_code)
        device = self.key.fingerprint
        choice_of(self.platform, _PLATFORMS, field="platform")
        if self.session_public_key is not None:
            _check_session_key(self.session_public_key, device=device)
        if self.binding is not None:
            b64decode(self.binding, field="binding", length=BINDING_BYTES)
        self._check_head()

    @property
    def key(self) -> PublicKey:
        """The key this payload names; proven only once the envelope verifies under it."""
        return PublicKey.from_base64(self.device_public_key)

    def _members(self) -> Members:
        members: Members = {
            "relay": self.relay,
            "audience": self.audience,
            "nonce": self.nonce,
            "pairing_code": self.pairing_code,
            "device_public_key": self.device_public_key,
            "platform": self.platform,
        }
        if self.session_public_key is not None:
            members["session_public_key"] = self.session_public_key
        if self.binding is not None:
            members["binding"] = self.binding
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large``, ``invalid_public_key`` or
                ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_ENROLLMENT_REQUIRED, allowed=_ENROLLMENT_MEMBERS
        )
        return cls(
            relay=text_of(members["relay"], field="relay"),
            audience=text_of(members["audience"], field="audience"),
            nonce=text_of(members["nonce"], field="nonce"),
            pairing_code=text_of(members["pairing_code"], field="pairing_code"),
            device_public_key=_key_text(members, "device_public_key"),
            platform=choice_of(members["platform"], _PLATFORMS, field="platform"),
            session_public_key=_optional_key_text(members, "session_public_key"),
            binding=text_of(members["binding"], field="binding") if "binding" in members else None,
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_ENROLLMENT_REQUIRED: Final = frozenset(
    {"relay", "audience", "nonce", "pairing_code", "device_public_key", "platform"}
)
_ENROLLMENT_MEMBERS: Final = allow(_ENROLLMENT_REQUIRED, "session_public_key", "binding")


def _key_text(members: Members, name: str) -> str:
    return PublicKey.from_base64(members[name], field=name).base64


def _optional_key_text(members: Members, name: str) -> str | None:
    return _key_text(members, name) if name in members else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Statement):
    """A device's wish for a session token or an authenticated socket.

    Attributes:
        relay: the relay's fingerprint.
        audience: the origin the device dialled.
        nonce: 32 bytes in base64.
        device: the device's fingerprint, also when its session key signs.
        session_public_key: a key that replaces the earlier session key, or None.
    """

    KIND: ClassVar[Kind] = Kind.SESSION
    relay: str
    audience: str
    nonce: str
    device: str
    session_public_key: str | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_public_key`` or ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        check_origin(self.audience, field="audience")
        nonce_in(self.nonce)
        fingerprint_in(self.device, field="device")
        if self.session_public_key is not None:
            _check_session_key(self.session_public_key, device=self.device)
        self._check_head()

    def _members(self) -> Members:
        members: Members = {
            "relay": self.relay,
            "audience": self.audience,
            "nonce": self.nonce,
            "device": self.device,
        }
        if self.session_public_key is not None:
            members["session_public_key"] = self.session_public_key
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large``, ``invalid_public_key`` or
                ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_SESSION_REQUIRED, allowed=_SESSION_MEMBERS
        )
        return cls(
            relay=text_of(members["relay"], field="relay"),
            audience=text_of(members["audience"], field="audience"),
            nonce=text_of(members["nonce"], field="nonce"),
            device=text_of(members["device"], field="device"),
            session_public_key=_optional_key_text(members, "session_public_key"),
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_SESSION_REQUIRED: Final = frozenset({"relay", "audience", "nonce", "device"})
_SESSION_MEMBERS: Final = allow(_SESSION_REQUIRED, "session_public_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push(Statement):
    """Where a device wants to be woken.

    Attributes:
        relay: the relay's fingerprint.
        nonce: 32 bytes in base64.
        device: the device's fingerprint, also when its session key signs.
        push: the address; a secret that integrators never see.
    """

    KIND: ClassVar[Kind] = Kind.PUSH
    relay: str
    nonce: str
    device: str
    push: PushAddress = field(repr=False)

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        nonce_in(self.nonce)
        fingerprint_in(self.device, field="device")
        self._check_head()

    def _members(self) -> Members:
        members: Members = {
            "relay": self.relay,
            "nonce": self.nonce,
            "device": self.device,
            "push": self.push.to_json(),
        }
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_PUSH_REQUIRED, allowed=_PUSH_MEMBERS
        )
        return cls(
            relay=text_of(members["relay"], field="relay"),
            nonce=text_of(members["nonce"], field="nonce"),
            device=text_of(members["device"], field="device"),
            push=parse_push_address(members["push"]),
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_PUSH_REQUIRED: Final = frozenset({"relay", "nonce", "device", "push"})
_PUSH_MEMBERS: Final = allow(_PUSH_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpair(Statement):
    """A device's wish to leave one integrator, or all of them.

    Attributes:
        relay: the relay's fingerprint.
        nonce: 32 bytes in base64.
        device: the device's fingerprint.
        integrator_id: the integrator to leave, or None for every one.
    """

    KIND: ClassVar[Kind] = Kind.UNPAIR
    relay: str
    nonce: str
    device: str
    integrator_id: str | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        nonce_in(self.nonce)
        fingerprint_in(self.device, field="device")
        if self.integrator_id is not None:
            id_in(self.integrator_id, field="integrator_id")
        self._check_head()

    def _members(self) -> Members:
        members: Members = {"relay": self.relay, "nonce": self.nonce, "device": self.device}
        if self.integrator_id is not None:
            members["integrator_id"] = self.integrator_id
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_UNPAIR_REQUIRED, allowed=_UNPAIR_MEMBERS
        )
        return cls(
            relay=text_of(members["relay"], field="relay"),
            nonce=text_of(members["nonce"], field="nonce"),
            device=text_of(members["device"], field="device"),
            integrator_id=text_of(members["integrator_id"], field="integrator_id")
            if "integrator_id" in members
            else None,
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_UNPAIR_REQUIRED: Final = frozenset({"relay", "nonce", "device"})
_UNPAIR_MEMBERS: Final = allow(_UNPAIR_REQUIRED, "integrator_id")
