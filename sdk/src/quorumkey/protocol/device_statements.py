"""What a device signs (protocol section 3): decisions, enrolments, sessions, addresses, unpairing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

from quorumkey.protocol._members import (
    Members,
    choice_of,
    digest_in,
    fingerprint_in,
    id_in,
    nonce_in,
    refuse,
    text_of,
)
from quorumkey.protocol._statement import (
    allow,
    check_head,
    critical_in,
    extensions_in,
    open_payload,
    put_head,
)
from quorumkey.protocol.dsse import Kind
from quorumkey.protocol.encoding import b64decode, check_text, check_time, format_time, parse_time
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.limits import BINDING_BYTES, MAX_REASON_CHARS, MIN_REASON_CHARS
from quorumkey.protocol.origin import check_origin
from quorumkey.protocol.pairing import normalise_pairing_code
from quorumkey.protocol.push_address import PushAddress, parse_push_address
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from quorumkey.protocol._statement import Extensions

__all__ = ["Decision", "DecisionValue", "Enrollment", "Platform", "Push", "Session", "Unpair"]

DecisionValue: TypeAlias = Literal["approve", "deny"]
Platform: TypeAlias = Literal["ios", "android", "web", "cli"]

_DECISIONS: Final[Mapping[str, DecisionValue]] = MappingProxyType(
    {"approve": "approve", "deny": "deny"}
)
_PLATFORMS: Final[Mapping[str, Platform]] = MappingProxyType(
    {"ios": "ios", "android": "android", "web": "web", "cli": "cli"}
)
_MATCH_CODE: Final = re.compile(r"[0-9]{2,6}", re.ASCII)


def check_match_code(value: object, *, field: str = "code") -> str:
    """Check a match code's form, 2 to 6 ASCII digits; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if type(value) is str and _MATCH_CODE.fullmatch(value):
        return value
    message = f"{field} must be 2 to 6 digits."
    raise refuse(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A device's answer to one request.

    Attributes:
        request_digest: ``sha256:<hex>`` of the request document's bytes.
        decision: ``approve`` or ``deny``.
        device: the deciding device's fingerprint.
        decided_at: when, in epoch seconds.
        reason: a sentence for people, or None.
        code: the match code the person typed, or None.
        extensions: see section 3.
        critical: see section 3; never with an entry.
    """

    KIND: ClassVar[Kind] = Kind.DECISION
    request_digest: str
    decision: DecisionValue
    device: str
    decided_at: int
    reason: str | None = None
    code: str | None = None
    extensions: Extensions | None = None
    critical: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        digest_in(self.request_digest, field="request_digest")
        choice_of(self.decision, _DECISIONS, field="decision")
        fingerprint_in(self.device, field="device")
        check_time(self.decided_at, field="decided_at")
        if self.reason is not None:
            check_text(
                self.reason, field="reason", minimum=MIN_REASON_CHARS, maximum=MAX_REASON_CHARS
            )
        if self.code is not None:
            check_match_code(self.code)
        if self.extensions is not None or self.critical is not None:
            check_head(self.extensions, self.critical)

    def encode(self) -> bytes:
        """The payload's bytes."""
        members: Members = {
            "request_digest": self.request_digest,
            "decision": self.decision,
            "device": self.device,
            "decided_at": format_time(self.decided_at),
        }
        if self.reason is not None:
            members["reason"] = self.reason
        if self.code is not None:
            members["code"] = self.code
        return dumps(put_head(members, self.extensions, self.critical))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_DECISION_REQUIRED, allowed=_DECISION_MEMBERS
        )
        return cls(
            request_digest=text_of(members["request_digest"], field="request_digest"),
            decision=choice_of(members["decision"], _DECISIONS, field="decision"),
            device=text_of(members["device"], field="device"),
            decided_at=parse_time(members["decided_at"], field="decided_at"),
            reason=text_of(members["reason"], field="reason") if "reason" in members else None,
            code=text_of(members["code"], field="code") if "code" in members else None,
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_DECISION_REQUIRED: Final = ("request_digest", "decision", "device", "decided_at")
_DECISION_MEMBERS: Final = allow(*_DECISION_REQUIRED, "reason", "code")


def _check_session_key(text: str, *, device: str) -> None:
    if PublicKey.from_base64(text, field="session_public_key").fingerprint == device:
        message = "session_public_key must be another key than the device's."
        raise refuse(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
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
        extensions: see section 3.
        critical: see section 3; never with an entry.
    """

    KIND: ClassVar[Kind] = Kind.ENROLLMENT
    relay: str
    audience: str
    nonce: str
    pairing_code: str
    device_public_key: str
    platform: Platform
    session_public_key: str | None = None
    binding: str | None = None
    extensions: Extensions | None = None
    critical: tuple[str, ...] | None = None

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
        check_head(self.extensions, self.critical)

    @property
    def key(self) -> PublicKey:
        """The key this payload names; proven only once the envelope verifies under it."""
        return PublicKey.from_base64(self.device_public_key)

    def encode(self) -> bytes:
        """The payload's bytes."""
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
        return dumps(put_head(members, self.extensions, self.critical))

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


_ENROLLMENT_REQUIRED: Final = (
    "relay",
    "audience",
    "nonce",
    "pairing_code",
    "device_public_key",
    "platform",
)
_ENROLLMENT_MEMBERS: Final = allow(*_ENROLLMENT_REQUIRED, "session_public_key", "binding")


def _key_text(members: Members, name: str) -> str:
    return PublicKey.from_base64(members[name], field=name).base64


def _optional_key_text(members: Members, name: str) -> str | None:
    return _key_text(members, name) if name in members else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A device's wish for a session token or an authenticated socket.

    Attributes:
        relay: the relay's fingerprint.
        audience: the origin the device dialled.
        nonce: 32 bytes in base64.
        device: the device's fingerprint, also when its session key signs.
        session_public_key: a key that replaces the earlier session key, or None.
        extensions: see section 3.
        critical: see section 3; never with an entry.
    """

    KIND: ClassVar[Kind] = Kind.SESSION
    relay: str
    audience: str
    nonce: str
    device: str
    session_public_key: str | None = None
    extensions: Extensions | None = None
    critical: tuple[str, ...] | None = None

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
        check_head(self.extensions, self.critical)

    def encode(self) -> bytes:
        """The payload's bytes."""
        members: Members = {
            "relay": self.relay,
            "audience": self.audience,
            "nonce": self.nonce,
            "device": self.device,
        }
        if self.session_public_key is not None:
            members["session_public_key"] = self.session_public_key
        return dumps(put_head(members, self.extensions, self.critical))

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


_SESSION_REQUIRED: Final = ("relay", "audience", "nonce", "device")
_SESSION_MEMBERS: Final = allow(*_SESSION_REQUIRED, "session_public_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Where a device wants to be woken.

    Attributes:
        relay: the relay's fingerprint.
        nonce: 32 bytes in base64.
        device: the device's fingerprint, also when its session key signs.
        push: the address; a secret that integrators never see.
        extensions: see section 3.
        critical: see section 3; never with an entry.
    """

    KIND: ClassVar[Kind] = Kind.PUSH
    relay: str
    nonce: str
    device: str
    push: PushAddress
    extensions: Extensions | None = None
    critical: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        nonce_in(self.nonce)
        fingerprint_in(self.device, field="device")
        check_head(self.extensions, self.critical)

    def encode(self) -> bytes:
        """The payload's bytes."""
        members: Members = {
            "relay": self.relay,
            "nonce": self.nonce,
            "device": self.device,
            "push": self.push.to_json(),
        }
        return dumps(put_head(members, self.extensions, self.critical))

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


_PUSH_REQUIRED: Final = ("relay", "nonce", "device", "push")
_PUSH_MEMBERS: Final = allow(*_PUSH_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpair:
    """A device's wish to leave one integrator, or all of them.

    Attributes:
        relay: the relay's fingerprint.
        nonce: 32 bytes in base64.
        device: the device's fingerprint.
        integrator_id: the integrator to leave, or None for every one.
        extensions: see section 3.
        critical: see section 3; never with an entry.
    """

    KIND: ClassVar[Kind] = Kind.UNPAIR
    relay: str
    nonce: str
    device: str
    integrator_id: str | None = None
    extensions: Extensions | None = None
    critical: tuple[str, ...] | None = None

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
        check_head(self.extensions, self.critical)

    def encode(self) -> bytes:
        """The payload's bytes."""
        members: Members = {"relay": self.relay, "nonce": self.nonce, "device": self.device}
        if self.integrator_id is not None:
            members["integrator_id"] = self.integrator_id
        return dumps(put_head(members, self.extensions, self.critical))

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


_UNPAIR_REQUIRED: Final = ("relay", "nonce", "device")
_UNPAIR_MEMBERS: Final = allow(*_UNPAIR_REQUIRED, "integrator_id")
