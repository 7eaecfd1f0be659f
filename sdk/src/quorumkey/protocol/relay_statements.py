"""What the relay signs besides requests: challenges, successions, receipts (sections 3, 8, 11)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

from quorumkey.protocol._members import (
    Members,
    choice_of,
    digest_in,
    fingerprint_in,
    list_of,
    name_in,
    refuse,
    text_of,
)
from quorumkey.protocol._statement import (
    VERSION,
    Statement,
    allow,
    critical_in,
    extensions_in,
    open_payload,
)
from quorumkey.protocol.dsse import Envelope, Kind, parse_envelope
from quorumkey.protocol.encoding import check_time, format_time, parse_time
from quorumkey.protocol.ids import check_uuid7
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.limits import MAX_APPROVERS, MAX_RECEIPT_PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


__all__ = ["Challenge", "FinalStatus", "Receipt", "Succession"]

FinalStatus: TypeAlias = Literal["approved", "rejected", "timeout", "cancelled"]
_FINAL_STATUSES: Final[Mapping[str, FinalStatus]] = MappingProxyType(
    {
        "approved": "approved",
        "rejected": "rejected",
        "timeout": "timeout",
        "cancelled": "cancelled",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Statement):
    """What a push carries: enough to name the request, nothing of its action.

    Attributes:
        relay: the relay's fingerprint.
        request_id: UUIDv7.
        request_digest: ``sha256:<hex>`` of the request document's bytes.
        device: the fingerprint of the device it is for.
        integrator_name: who asks.
        expires_at: the request's, in epoch seconds.
    """

    KIND: ClassVar[Kind] = Kind.CHALLENGE
    relay: str
    request_id: str
    request_digest: str
    device: str
    integrator_name: str
    expires_at: int

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        check_uuid7(self.request_id, field="request_id")
        digest_in(self.request_digest, field="request_digest")
        fingerprint_in(self.device, field="device")
        name_in(self.integrator_name, field="integrator_name")
        check_time(self.expires_at, field="expires_at")
        self._check_head()

    def _members(self) -> Members:
        members: Members = {
            "relay": self.relay,
            "request_id": self.request_id,
            "request_digest": self.request_digest,
            "device": self.device,
            "integrator_name": self.integrator_name,
            "expires_at": format_time(self.expires_at),
        }
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_CHALLENGE_REQUIRED, allowed=_CHALLENGE_MEMBERS
        )
        return cls(
            relay=text_of(members["relay"], field="relay"),
            request_id=text_of(members["request_id"], field="request_id"),
            request_digest=text_of(members["request_digest"], field="request_digest"),
            device=text_of(members["device"], field="device"),
            integrator_name=text_of(members["integrator_name"], field="integrator_name"),
            expires_at=parse_time(members["expires_at"], field="expires_at"),
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_CHALLENGE_REQUIRED: Final = frozenset(
    {"relay", "request_id", "request_digest", "device", "integrator_name", "expires_at"}
)
_CHALLENGE_MEMBERS: Final = allow(_CHALLENGE_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession(Statement):
    """The outgoing relay key names the next one (section 11).

    Attributes:
        relay: the outgoing key's fingerprint, which signs.
        next_public_key: the next key, 33 bytes in base64.
        not_before: from when the relay signs with it, in epoch seconds.
    """

    KIND: ClassVar[Kind] = Kind.SUCCESSION
    relay: str
    next_public_key: str
    not_before: int

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_public_key`` or ``invalid_request``.
        """
        fingerprint_in(self.relay, field="relay")
        if self.next_key.fingerprint == self.relay:
            message = "next_public_key must be another key than the outgoing one."
            raise refuse(message)
        check_time(self.not_before, field="not_before")
        self._check_head()

    @property
    def next_key(self) -> PublicKey:
        """The next key, loaded."""
        return PublicKey.from_base64(self.next_public_key, field="next_public_key")

    def _members(self) -> Members:
        members: Members = {
            "relay": self.relay,
            "next_public_key": self.next_public_key,
            "not_before": format_time(self.not_before),
        }
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large``, ``invalid_public_key`` or
                ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_SUCCESSION_REQUIRED, allowed=_SUCCESSION_MEMBERS
        )
        return cls(
            relay=text_of(members["relay"], field="relay"),
            next_public_key=text_of(members["next_public_key"], field="next_public_key"),
            not_before=parse_time(members["not_before"], field="not_before"),
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_SUCCESSION_REQUIRED: Final = frozenset({"relay", "next_public_key", "not_before"})
_SUCCESSION_MEMBERS: Final = allow(_SUCCESSION_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Statement):
    """How a request ended, with the approvals as evidence (section 8).

    Attributes:
        status: how it ended. Anything but ``approved`` is the relay's word only.
        completed_at: when, in epoch seconds; of a timeout it is ``expires_at``.
        request: the request envelope.
        decisions: the approvals that satisfied the groups; empty unless approved.
    """

    KIND: ClassVar[Kind] = Kind.RECEIPT
    status: FinalStatus
    completed_at: int
    request: Envelope
    decisions: tuple[Envelope, ...] = ()

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        choice_of(self.status, _FINAL_STATUSES, field="status")
        check_time(self.completed_at, field="completed_at")
        if self.decisions and self.status != "approved":
            message = "decisions must be empty unless the request was approved."
            raise refuse(message)
        if len(self.decisions) > MAX_APPROVERS:
            message = f"decisions must have at most {MAX_APPROVERS} entries."
            raise refuse(message)
        self._check_head()

    def _members(self) -> Members:
        members: Members = {
            "v": VERSION,
            "status": self.status,
            "completed_at": format_time(self.completed_at),
            "request": self.request.to_json(),
            "decisions": [envelope.to_json() for envelope in self.decisions],
        }
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(
            payload,
            kind=cls.KIND,
            required=_RECEIPT_REQUIRED,
            allowed=_RECEIPT_MEMBERS,
            max_bytes=MAX_RECEIPT_PAYLOAD_BYTES,
        )
        return cls(
            status=choice_of(members["status"], _FINAL_STATUSES, field="status"),
            completed_at=parse_time(members["completed_at"], field="completed_at"),
            request=parse_envelope(members["request"], field="request"),
            decisions=tuple(
                parse_envelope(item, field="decisions")
                for item in list_of(members["decisions"], field="decisions")
            ),
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_RECEIPT_REQUIRED: Final = frozenset({"v", "status", "completed_at", "request", "decisions"})
_RECEIPT_MEMBERS: Final = allow(_RECEIPT_REQUIRED)
