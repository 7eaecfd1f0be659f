"""What a relay says of roles, requests and active access (protocol section 18)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quorumkey.client._fields import Fields

__all__ = [
    "AccessRequest",
    "AccessStatus",
    "ActivationType",
    "ActiveRole",
    "ApprovalMode",
    "Entitlement",
    "JitPolicy",
    "RequestedRole",
    "Roles",
]


@unique
class ActivationType(StrEnum):
    """How a role is activated: alone, or with the approval of peers."""

    ALONE = "JIT"
    WITH_PEERS = "MPA"


@unique
class ApprovalMode(StrEnum):
    """How reviewers approve: signed by their devices, or by a call as themselves."""

    DEVICE = "device"
    CLICK = "click"


@unique
class AccessStatus(StrEnum):
    """How a request for a role, or access itself, stands."""

    PENDING = "ACTIVATION_PENDING"
    DENIED = "DENIED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    NOT_GRANTED = "NOT_GRANTED"
    """It was approved, and somebody had lost what made them eligible, or the time was over."""
    GRANTING = "GRANTING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"
    REVOKING = "REVOKING"
    """The time is over, or somebody revoked it; the target has not confirmed the end yet."""
    REVOKED = "REVOKED"
    ENDED = "ENDED"

    @property
    def is_in_force(self) -> bool:
        """Whether the person has the role, or may have it already or still."""
        return self in {AccessStatus.GRANTING, AccessStatus.ACTIVE, AccessStatus.REVOKING}


@dataclass(frozen=True, slots=True, kw_only=True)
class JitPolicy:
    """Who calls, and the rules that a request has to keep.

    Attributes:
        signed_in_user: the caller's e-mail address.
        justification_hint: what a justification should be.
        default_minutes: how long access lasts where a request does not say.
        max_minutes: the longest access.
    """

    signed_in_user: str
    justification_hint: str
    default_minutes: int
    max_minutes: int

    @staticmethod
    def parse(fields: Fields) -> JitPolicy:
        """Read it."""
        return JitPolicy(
            signed_in_user=email_of(fields.child("signedInUser")),
            justification_hint=fields.text("justificationHint"),
            default_minutes=fields.integer("defaultActivationTimeout"),
            max_minutes=fields.integer("maxActivationTimeout"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """A role that the caller may activate.

    Attributes:
        id: ``project:role``, or ``project:role:BASE64(condition)``.
        role: its name.
        condition: what limits it to some resources, in CEL; empty where nothing does.
        activation_type: alone or with peers.
        is_active: whether the caller has it now.
        valid_until: until when, in epoch seconds, where it is active.
    """

    id: str
    role: str
    condition: str
    activation_type: ActivationType
    is_active: bool
    valid_until: int | None

    @staticmethod
    def parse(fields: Fields) -> Entitlement:
        """Read one."""
        return Entitlement(
            id=fields.text("id"),
            role=fields.text("name"),
            condition=fields.optional_text("resourceCondition") or "",
            activation_type=fields.choice("activationType", ActivationType),
            is_active=fields.text("status") == AccessStatus.ACTIVE,
            valid_until=_optional_integer(fields, "validUntil"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What the caller may activate in a project.

    Attributes:
        entitlements: the roles.
        warnings: sentences about what could not be read.
    """

    entitlements: tuple[Entitlement, ...]
    warnings: tuple[str, ...]

    @staticmethod
    def parse(fields: Fields) -> Roles:
        """Read a listing."""
        return Roles(
            entitlements=tuple(map(Entitlement.parse, fields.children("entitlements"))),
            warnings=fields.texts("warnings"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedRole:
    """A role that somebody asked for, or activated.

    Attributes:
        activation_id: of the activation; of the request as long as there is none.
        project: where the role counts.
        entitlement_id: the entitlement that was activated.
        role: the role's name.
        condition: what limits it to some resources, in CEL; empty where nothing does.
        status: how it stands.
        start: from when, in epoch seconds; None where the approval begins it, and is not there.
        end: the first second after it; None as `start`.
    """

    activation_id: str
    project: str
    entitlement_id: str
    role: str
    condition: str
    status: AccessStatus
    start: int | None
    end: int | None

    @staticmethod
    def parse(fields: Fields) -> RequestedRole:
        """Read one."""
        return RequestedRole(
            activation_id=fields.text("activationId"),
            project=fields.text("projectId"),
            entitlement_id=fields.text("id"),
            role=fields.text("name"),
            condition=fields.optional_text("resourceCondition") or "",
            status=fields.choice("status", AccessStatus),
            start=_optional_integer(fields, "startTime"),
            end=_optional_integer(fields, "endTime"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """A request for a role as a party to it sees it, or what somebody activated alone.

    Attributes:
        beneficiary: who asked, by e-mail address.
        reviewers: who was asked.
        is_beneficiary: whether the caller asked.
        is_reviewer: whether the caller was asked.
        justification: the beneficiary's reason.
        roles: what was asked for; one, or several that were activated alone.
        approval: how reviewers approve; None for what was activated alone.
        request_id: the signed request that the reviewers' devices decide, or None.
        required: how many reviewers have to approve, or None.
        approvals: who has approved so far.
        duration_minutes: how long the access lasts, or None.
        requested_at: when it was asked for, in epoch seconds, or None.
        expires_at: until when it can be decided, or None.
        activation: the token that leads to the request, as links carry it, or None.
    """

    beneficiary: str
    reviewers: tuple[str, ...]
    is_beneficiary: bool
    is_reviewer: bool
    justification: str
    roles: tuple[RequestedRole, ...]
    approval: ApprovalMode | None
    request_id: str | None
    required: int | None
    approvals: tuple[str, ...]
    duration_minutes: int | None
    requested_at: int | None
    expires_at: int | None
    activation: str | None = field(repr=False)

    @property
    def status(self) -> AccessStatus | None:
        """How the one role stands that was asked for; None where there are several."""
        return self.roles[0].status if len(self.roles) == 1 else None

    @staticmethod
    def parse(fields: Fields) -> AccessRequest:
        """Read one."""
        return AccessRequest(
            beneficiary=email_of(fields.child("beneficiary")),
            reviewers=_emails(fields, "reviewers"),
            is_beneficiary=fields.flag("isBeneficiary"),
            is_reviewer=fields.flag("isReviewer"),
            justification=fields.text("justification"),
            roles=tuple(map(RequestedRole.parse, fields.children("entitlements"))),
            approval=fields.choice("approval", ApprovalMode) if fields.has("approval") else None,
            request_id=fields.optional_text("requestId"),
            required=_optional_integer(fields, "required"),
            approvals=_emails(fields, "approvals") if fields.has("approvals") else (),
            duration_minutes=_optional_integer(fields, "durationMinutes"),
            requested_at=_optional_integer(fields, "requestTime"),
            expires_at=_optional_integer(fields, "expiryTime"),
            activation=fields.optional_text("activation"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRole:
    """A role that somebody has, or had.

    Attributes:
        activation_id: its id, by which it is revoked.
        project: where the role counts.
        entitlement_id: the entitlement that was activated.
        role: the role's name.
        condition: what limits it to some resources, in CEL; empty where nothing does.
        beneficiary: who has it.
        approvers: the peers who approved; empty where the beneficiary activated it alone.
        justification: the beneficiary's reason.
        status: how it stands.
        start: from when, in epoch seconds.
        end: the first second after it.
        executor: a sentence about what grants it and who ends it, or None.
        fault: what went wrong last at its target, or None.
    """

    activation_id: str
    project: str
    entitlement_id: str
    role: str
    condition: str
    beneficiary: str
    approvers: tuple[str, ...]
    justification: str
    status: AccessStatus
    start: int
    end: int
    executor: str | None
    fault: str | None

    @staticmethod
    def parse(fields: Fields) -> ActiveRole:
        """Read one."""
        return ActiveRole(
            activation_id=fields.text("activationId"),
            project=fields.text("projectId"),
            entitlement_id=fields.text("id"),
            role=fields.text("name"),
            condition=fields.optional_text("resourceCondition") or "",
            beneficiary=email_of(fields.child("beneficiary")),
            approvers=_emails(fields, "approvers"),
            justification=fields.text("justification"),
            status=fields.choice("status", AccessStatus),
            start=fields.integer("startTime"),
            end=fields.integer("endTime"),
            executor=fields.optional_text("executor"),
            fault=fields.optional_text("fault"),
        )


def email_of(fields: Fields) -> str:
    """Read a person."""
    return fields.text("email")


def _emails(fields: Fields, name: str) -> tuple[str, ...]:
    return tuple(map(email_of, fields.children(name)))


def _optional_integer(fields: Fields, name: str) -> int | None:
    return fields.integer(name) if fields.has(name) else None
