"""The request document: what the relay writes once, signs, and approvers decide on (section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

from quorumkey.errors import MESSAGE_EXPIRES_IN_SECONDS
from quorumkey.protocol._members import (
    Members,
    choice_of,
    fingerprint_in,
    integer_of,
    nonce_in,
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
from quorumkey.protocol.action import Action
from quorumkey.protocol.dsse import Kind
from quorumkey.protocol.encoding import check_time, format_time, parse_time
from quorumkey.protocol.ids import check_uuid7
from quorumkey.protocol.limits import (
    MAX_EXPIRES_IN_SECONDS,
    MAX_EXPIRES_IN_SECONDS_JIT_ACCESS,
    MAX_EXPIRES_IN_SECONDS_PROTECTED_METHOD,
    MAX_GROUPS,
    MAX_GROUPS_PROTECTED_METHOD,
    MAX_REQUEST_DOCUMENT_BYTES,
    MAX_USE_WITHIN_SECONDS,
    MIN_EXPIRES_IN_SECONDS,
    MIN_USE_WITHIN_SECONDS,
)
from quorumkey.protocol.policy import Party, Policy, check_required

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from quorumkey.protocol.encoding import JsonValue


__all__ = [
    "PROFILES",
    "Profile",
    "ProfileLimits",
    "RequestDocument",
    "check_expires_in",
    "check_use_within",
    "request_digest",
]

Profile: TypeAlias = Literal["approval", "protected_method", "jit_access"]


@dataclass(frozen=True, slots=True)
class ProfileLimits:
    """What differs between the profiles of a request document.

    Attributes:
        max_expires_in_seconds: the longest time a request stays open.
        max_groups: the most groups it may have.
    """

    max_expires_in_seconds: int
    max_groups: int


#: The limits of each profile (section 5).
PROFILES: Final[Mapping[Profile, ProfileLimits]] = MappingProxyType(
    {
        "approval": ProfileLimits(MAX_EXPIRES_IN_SECONDS, MAX_GROUPS),
        "protected_method": ProfileLimits(
            MAX_EXPIRES_IN_SECONDS_PROTECTED_METHOD, MAX_GROUPS_PROTECTED_METHOD
        ),
        "jit_access": ProfileLimits(MAX_EXPIRES_IN_SECONDS_JIT_ACCESS, MAX_GROUPS),
    }
)
_PROFILE_NAMES: Final[Mapping[str, Profile]] = MappingProxyType({name: name for name in PROFILES})


def request_digest(payload: bytes) -> str:
    """``"sha256:" + hex(SHA-256(payload))`` of a request document's exact bytes."""
    return "sha256:" + sha256(payload).hexdigest()


def check_expires_in(seconds: object, *, profile: Profile = "approval") -> int:
    """Check how long a request of `profile` may stay open; answers it.

    Raises:
        ProtocolError: ``invalid_request``, for ``approval`` with the protocol's fixed message.
    """
    maximum = PROFILES[profile].max_expires_in_seconds
    if MIN_EXPIRES_IN_SECONDS <= integer_of(seconds, field="expires_in_seconds") <= maximum:
        return integer_of(seconds, field="expires_in_seconds")
    if profile == "approval":
        raise refuse(MESSAGE_EXPIRES_IN_SECONDS)
    message = f"Invalid expires_in_seconds: must be between {MIN_EXPIRES_IN_SECONDS} and {maximum}"
    raise refuse(message)


def check_use_within(seconds: object) -> int:
    """Check how long after the end of a request its approval may be used; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    value = integer_of(seconds, field="use_within_seconds")
    if MIN_USE_WITHIN_SECONDS <= value <= MAX_USE_WITHIN_SECONDS:
        return value
    message = f"Invalid use_within_seconds: must be between 0 and {MAX_USE_WITHIN_SECONDS}"
    raise refuse(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDocument(Statement):
    """The immutable request document. One that breaks a rule of section 5 cannot be made.

    Attributes:
        profile: which endpoint made it; sets the limits.
        relay: the fingerprint of the relay's key, which signs it.
        integrator: who asks; always with a name.
        request_id: UUIDv7.
        nonce: the integrator's 32 bytes in base64.
        action: what is to be approved.
        policy: who has to approve.
        created_at: epoch seconds.
        expires_at: epoch seconds; the request is open while ``now < expires_at``.
        use_by: epoch seconds; the last moment at which an approval may be acted on.
        requester: the person who wants the action done, or None.
    """

    KIND: ClassVar[Kind] = Kind.REQUEST
    profile: Profile
    relay: str
    integrator: Party
    request_id: str
    nonce: str
    action: Action
    policy: Policy
    created_at: int
    expires_at: int
    use_by: int
    requester: Party | None = None

    def __post_init__(self) -> None:
        """Check every rule of section 5 that the document itself can show.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        limits = PROFILES[choice_of(self.profile, _PROFILE_NAMES, field="profile")]
        fingerprint_in(self.relay, field="relay")
        if self.integrator.name is None:
            message = "integrator must have the member name."
            raise refuse(message)
        check_uuid7(self.request_id, field="request_id")
        nonce_in(self.nonce)
        if len(self.policy.groups) > limits.max_groups:
            message = f"There must be at least 1 group and at most {limits.max_groups}."
            raise refuse(message)
        check_required(self.policy.required, countable=self._countable_groups())
        check_time(self.created_at, field="created_at")
        check_time(self.expires_at, field="expires_at")
        check_time(self.use_by, field="use_by")
        check_expires_in(self.expires_at - self.created_at, profile=self.profile)
        check_use_within(self.use_by - self.expires_at)
        self._check_head()

    def _countable_groups(self) -> int:
        """How many groups have an approver who is not known to be the requester."""
        if self.requester is None:
            return len(self.policy.groups)
        return sum(
            any(approver.approver_id != self.requester.id for approver in group.approvers)
            for group in self.policy.groups
        )

    def _members(self) -> Members:
        members: Members = {
            "v": VERSION,
            "profile": self.profile,
            "relay": self.relay,
            "integrator": self.integrator.to_json(),
            "request_id": self.request_id,
            "nonce": self.nonce,
        }
        if self.requester is not None:
            members["requester"] = self.requester.to_json()
        members["action"] = self.action.to_json()
        members["policy"] = self.policy.to_json()
        members["created_at"] = format_time(self.created_at)
        members["expires_at"] = format_time(self.expires_at)
        members["use_by"] = format_time(self.use_by)
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large``, ``invalid_fingerprint``,
                ``invalid_public_key``, ``duplicate_approver`` or ``invalid_request``.
        """
        members = open_payload(
            payload,
            kind=cls.KIND,
            required=_REQUIRED,
            allowed=_MEMBERS,
            max_bytes=MAX_REQUEST_DOCUMENT_BYTES,
        )
        return cls(
            profile=choice_of(members["profile"], _PROFILE_NAMES, field="profile"),
            relay=text_of(members["relay"], field="relay"),
            integrator=Party.from_json(members["integrator"], field="integrator"),
            request_id=text_of(members["request_id"], field="request_id"),
            nonce=text_of(members["nonce"], field="nonce"),
            action=_written_action(members["action"]),
            policy=Policy.from_json(members["policy"]),
            created_at=parse_time(members["created_at"], field="created_at"),
            expires_at=parse_time(members["expires_at"], field="expires_at"),
            use_by=parse_time(members["use_by"], field="use_by"),
            requester=Party.from_json(members["requester"], field="requester")
            if "requester" in members
            else None,
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_REQUIRED: Final = frozenset(
    {
        "v",
        "profile",
        "relay",
        "integrator",
        "request_id",
        "nonce",
        "action",
        "policy",
        "created_at",
        "expires_at",
        "use_by",
    }
)
_MEMBERS: Final = allow(_REQUIRED, "requester")


def _written_action(value: JsonValue) -> Action:
    """An action in which, unlike in a body, ``params`` has to stand."""
    if isinstance(value, dict) and "params" not in value:
        message = "action must have the member params."
        raise refuse(message)
    return Action.from_json(value)
