"""What the relay signs besides requests (protocol sections 3, 8 and 11).

Challenges, successions, receipts, and what became of an approved call.
"""

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


__all__ = ["Challenge", "Execution", "ExecutionResult", "FinalStatus", "Receipt", "Succession"]

FinalStatus: TypeAlias = Literal["approved", "rejected", "timeout", "cancelled"]
_FINAL_STATUSES: Final[Mapping[str, FinalStatus]] = MappingProxyType(
    {
        "approved": "approved",
        "rejected": "rejected",
        "timeout": "timeout",
        "cancelled": "cancelled",
    }
)
#: What became of a call: it ran, it ran and failed, or nobody can say.
ExecutionResult: TypeAlias = Literal["ok", "error", "indeterminate"]
_RESULTS: Final[Mapping[str, ExecutionResult]] = MappingProxyType(
    {"ok": "ok", "error": "error", "indeterminate": "indeterminate"}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(Statement):
    """What became of an approved call: the relay's word, not evidence of the call itself.

    Attributes:
        request_digest: ``sha256:<hex>`` of the request document's bytes.
        claim_id: the one claim on the approval, UUIDv7.
        claimed_at: when it was taken, before the call ran, in epoch seconds.
        result: ``ok`` or ``error`` as the executor told; ``indeterminate`` if it never did.
        completed_at: when the relay was told, in epoch seconds; None if it never was.
        result_digest: ``sha256:<hex>`` of what the call answered, if the executor gave one.
    """

    KIND: ClassVar[Kind] = Kind.EXECUTION
    request_digest: str
    claim_id: str
    claimed_at: int
    result: ExecutionResult
    completed_at: int | None = None
    result_digest: str | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        digest_in(self.request_digest, field="request_digest")
        check_uuid7(self.claim_id, field="claim_id")
        check_time(self.claimed_at, field="claimed_at")
        choice_of(self.result, _RESULTS, field="result")
        if self.result_digest is not None:
            digest_in(self.result_digest, field="result_digest")
        if self.completed_at is not None:
            check_time(self.completed_at, field="completed_at")
        self._check_outcome()
        self._check_head()

    def _check_outcome(self) -> None:
        """Check that a known result has a time, and an unknown one nothing."""
        if self.result == "indeterminate":
            if self.completed_at is not None or self.result_digest is not None:
                message = "completed_at and result_digest must be absent of an unknown result."
                raise refuse(message)
        elif self.completed_at is None or self.completed_at < self.claimed_at:
            message = "completed_at must be a time that is not before claimed_at."
            raise refuse(message)

    def _members(self) -> Members:
        members: Members = {
            "v": VERSION,
            "request_digest": self.request_digest,
            "claim_id": self.claim_id,
            "claimed_at": format_time(self.claimed_at),
        }
        if self.completed_at is not None:
            members["completed_at"] = format_time(self.completed_at)
        members["result"] = self.result
        if self.result_digest is not None:
            members["result_digest"] = self.result_digest
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(
            payload, kind=cls.KIND, required=_EXECUTION_REQUIRED, allowed=_EXECUTION_MEMBERS
        )
        return cls(
            request_digest=text_of(members["request_digest"], field="request_digest"),
            claim_id=text_of(members["claim_id"], field="claim_id"),
            claimed_at=parse_time(members["claimed_at"], field="claimed_at"),
            result=choice_of(members["result"], _RESULTS, field="result"),
            completed_at=parse_time(members["completed_at"], field="completed_at")
            if "completed_at" in members
            else None,
            result_digest=text_of(members["result_digest"], field="result_digest")
            if "result_digest" in members
            else None,
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_EXECUTION_REQUIRED: Final = frozenset({"v", "request_digest", "claim_id", "claimed_at", "result"})
_EXECUTION_MEMBERS: Final = allow(_EXECUTION_REQUIRED, "completed_at", "result_digest")
