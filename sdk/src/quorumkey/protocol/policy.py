"""Who may approve, and how many groups have to (protocol section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from quorumkey.errors import MESSAGE_REQUIRED_EXCEEDS_GROUPS, ProtocolError
from quorumkey.protocol._members import (
    choice_of,
    flag_of,
    id_in,
    integer_of,
    list_of,
    members_of,
    name_in,
    refuse,
    text_of,
)
from quorumkey.protocol.assurance import Assurance, assurance_of
from quorumkey.protocol.keys import PublicKey, check_fingerprint
from quorumkey.protocol.limits import (
    MAX_APPROVERS,
    MAX_GROUP_APPROVERS,
    MAX_GROUPS_PROTECTED_METHOD,
    MIN_GROUP_APPROVERS,
    MIN_GROUPS,
    MIN_REQUIRED,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["Approver", "Distinct", "Group", "Party", "Policy", "RejectPolicy"]

RejectPolicy: TypeAlias = Literal["any", "quorum_impossible"]
Distinct: TypeAlias = Literal["person", "device"]

_REJECT_POLICIES: Final[Mapping[str, RejectPolicy]] = MappingProxyType(
    {"any": "any", "quorum_impossible": "quorum_impossible"}
)
_DISTINCT: Final[Mapping[str, Distinct]] = MappingProxyType(
    {"person": "person", "device": "device"}
)
_PARTY_REQUIRED: Final = frozenset({"id"})
_PARTY_MEMBERS: Final = frozenset({"id", "name"})
_APPROVER_REQUIRED: Final = frozenset({"fingerprint", "device_public_key"})
_APPROVER_MEMBERS: Final = frozenset({*_APPROVER_REQUIRED, "approver_id"})
_GROUP_MEMBERS: Final = frozenset({"name", "approvers"})
_POLICY_MEMBERS: Final = frozenset(
    {"required", "reject_policy", "distinct", "min_assurance", "match_code", "groups"}
)


@dataclass(frozen=True, slots=True)
class Party:
    """An integrator, a requester or an approver by name.

    Attributes:
        id: 1 to 128 characters, compared exactly.
        name: 1 to 80 characters, or None where the protocol lets it be absent.
    """

    id: str
    name: str | None = None

    def __post_init__(self) -> None:
        """Check both texts.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        id_in(self.id, field="id")
        if self.name is not None:
            name_in(self.name, field="name")

    def to_json(self) -> dict[str, JsonValue]:
        """The party's JSON object."""
        members: dict[str, JsonValue] = {"id": self.id}
        if self.name is not None:
            members["name"] = self.name
        return members

    @staticmethod
    def from_json(value: JsonValue, *, field: str) -> Party:
        """Read a party from its JSON value.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        members = members_of(value, field=field, required=_PARTY_REQUIRED, allowed=_PARTY_MEMBERS)
        return Party(
            id_in(members["id"], field=f"{field}.id"),
            name_in(members["name"], field=f"{field}.name") if "name" in members else None,
        )


@dataclass(frozen=True, slots=True)
class Approver:
    """One device that may approve.

    Attributes:
        fingerprint: lower-case hex SHA-256 of the key.
        device_public_key: the key's 33 bytes in base64.
        approver_id: the person's id at the integrator, or None when the integrator gave none.
    """

    fingerprint: str
    device_public_key: str
    approver_id: str | None = None

    def __post_init__(self) -> None:
        """Check the three against each other.

        Raises:
            ProtocolError: ``invalid_fingerprint``, ``invalid_public_key``, ``invalid_request``.
        """
        check_fingerprint(self.fingerprint, field="fingerprint")
        if self.key.fingerprint != self.fingerprint:
            message = "A fingerprint must be the SHA-256 of the device_public_key beside it."
            raise ProtocolError("invalid_fingerprint", message)
        if self.approver_id is not None:
            id_in(self.approver_id, field="approver_id")

    @property
    def key(self) -> PublicKey:
        """The loaded key."""
        return PublicKey.from_base64(self.device_public_key)

    def to_json(self) -> dict[str, JsonValue]:
        """The approver's JSON object."""
        members: dict[str, JsonValue] = {
            "fingerprint": self.fingerprint,
            "device_public_key": self.device_public_key,
        }
        if self.approver_id is not None:
            members["approver_id"] = self.approver_id
        return members

    @staticmethod
    def from_json(value: JsonValue, *, field: str = "approver") -> Approver:
        """Read an approver from its JSON value.

        Raises:
            ProtocolError: as for the constructor.
        """
        members = members_of(
            value, field=field, required=_APPROVER_REQUIRED, allowed=_APPROVER_MEMBERS
        )
        return Approver(
            text_of(members["fingerprint"], field="fingerprint"),
            text_of(members["device_public_key"], field="device_public_key"),
            id_in(members["approver_id"], field="approver_id")
            if "approver_id" in members
            else None,
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A named group; any one of its approvers satisfies it.

    Attributes:
        name: 1 to 80 characters, unique in its request.
        approvers: 1 to 50 of them, in the caller's order.
    """

    name: str
    approvers: tuple[Approver, ...]

    def __post_init__(self) -> None:
        """Check name and number.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        name_in(self.name, field="A group's name")
        if not MIN_GROUP_APPROVERS <= len(self.approvers) <= MAX_GROUP_APPROVERS:
            message = f"A group must have 1 to {MAX_GROUP_APPROVERS} approvers."
            raise refuse(message)

    def to_json(self) -> dict[str, JsonValue]:
        """The group's JSON object."""
        return {
            "name": self.name,
            "approvers": [approver.to_json() for approver in self.approvers],
        }

    @staticmethod
    def from_json(value: JsonValue, *, field: str = "group") -> Group:
        """Read a group from its JSON value.

        Raises:
            ProtocolError: as for `Approver` and the constructor.
        """
        members = members_of(value, field=field, required=_GROUP_MEMBERS, allowed=_GROUP_MEMBERS)
        return Group(
            text_of(members["name"], field=f"{field}.name"),
            tuple(
                Approver.from_json(item)
                for item in list_of(members["approvers"], field=f"{field}.approvers")
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a request needs to be approved. One that contradicts itself cannot be made.

    Attributes:
        required: how many groups have to be satisfied.
        groups: the groups, in the caller's order.
        reject_policy: whether the first denial rejects, or only an impossible quorum.
        distinct: whether no person, or only no device, may stand in two groups.
        min_assurance: the level every named device has to reach.
        match_code: whether an approval carries the code the person was told.
    """

    required: int
    groups: tuple[Group, ...]
    reject_policy: RejectPolicy = "any"
    distinct: Distinct = "person"
    min_assurance: Assurance = "none"
    match_code: bool = False

    def __post_init__(self) -> None:
        """Check the rules of section 5 that need nothing but the policy.

        Raises:
            ProtocolError: ``duplicate_approver`` or ``invalid_request``.
        """
        choice_of(self.reject_policy, _REJECT_POLICIES, field="reject_policy")
        choice_of(self.distinct, _DISTINCT, field="distinct")
        assurance_of(self.min_assurance)
        flag_of(self.match_code, field="match_code")
        if not MIN_GROUPS <= len(self.groups) <= MAX_GROUPS_PROTECTED_METHOD:
            message = f"There must be at least 1 group and at most {MAX_GROUPS_PROTECTED_METHOD}."
            raise refuse(message)
        check_required(self.required, countable=len(self.groups))
        if len({group.name for group in self.groups}) != len(self.groups):
            message = "The names of groups must be unique."
            raise refuse(message)
        if sum(len(group.approvers) for group in self.groups) > MAX_APPROVERS:
            message = f"There must be at most {MAX_APPROVERS} approvers in all groups together."
            raise refuse(message)
        _check_devices(self.groups)
        if self.distinct == "person":
            _check_persons(self.groups)

    @staticmethod
    def of(  # noqa: PLR0913 - one argument for each member of the document's policy
        *,
        required: object,
        groups: tuple[Group, ...],
        reject_policy: object = "any",
        distinct: object = "person",
        min_assurance: object = "none",
        match_code: object = False,
    ) -> Policy:
        """Make a policy of values whose types are not yet known.

        Raises:
            ProtocolError: as for the constructor.
        """
        return Policy(
            required=integer_of(required, field="required"),
            groups=groups,
            reject_policy=choice_of(reject_policy, _REJECT_POLICIES, field="reject_policy"),
            distinct=choice_of(distinct, _DISTINCT, field="distinct"),
            min_assurance=assurance_of(min_assurance),
            match_code=flag_of(match_code, field="match_code"),
        )

    def to_json(self) -> dict[str, JsonValue]:
        """The policy's JSON object, with every member written."""
        return {
            "required": self.required,
            "reject_policy": self.reject_policy,
            "distinct": self.distinct,
            "min_assurance": self.min_assurance,
            "match_code": self.match_code,
            "groups": [group.to_json() for group in self.groups],
        }

    @staticmethod
    def from_json(value: JsonValue, *, field: str = "policy") -> Policy:
        """Read a policy from its JSON value, in which every member has to stand.

        Raises:
            ProtocolError: as for `Group` and the constructor.
        """
        members = members_of(value, field=field, required=_POLICY_MEMBERS, allowed=_POLICY_MEMBERS)
        return Policy.of(
            required=members["required"],
            groups=tuple(
                Group.from_json(item) for item in list_of(members["groups"], field="groups")
            ),
            reject_policy=members["reject_policy"],
            distinct=members["distinct"],
            min_assurance=members["min_assurance"],
            match_code=members["match_code"],
        )


def check_required(required: object, *, countable: int) -> None:
    """Check ``1 <= required <= countable``, the groups that can count.

    Raises:
        ProtocolError: ``invalid_request``, with the message the protocol fixes for too many.
    """
    if integer_of(required, field="required") < MIN_REQUIRED:
        message = "Invalid MPA request: required must be at least 1"
        raise refuse(message)
    if integer_of(required, field="required") > countable:
        raise refuse(MESSAGE_REQUIRED_EXCEEDS_GROUPS)


def _check_devices(groups: tuple[Group, ...]) -> None:
    seen: set[str] = set()
    for group in groups:
        for approver in group.approvers:
            if approver.fingerprint in seen:
                message = "A device can stand in one group only, and once."
                raise ProtocolError(
                    "duplicate_approver", message, {"fingerprint": approver.fingerprint}
                )
            seen.add(approver.fingerprint)


def _check_persons(groups: tuple[Group, ...]) -> None:
    home: dict[str, str] = {}
    for group in groups:
        for approver in group.approvers:
            person = approver.approver_id
            if person is not None and home.setdefault(person, group.name) != group.name:
                message = "A person can stand in one group only."
                raise ProtocolError("duplicate_approver", message, {"approver_id": person})
