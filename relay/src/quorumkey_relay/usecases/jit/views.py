"""What the calls of just-in-time access answer, in the original's spelling (camelCase).

Times are whole seconds since the epoch, durations are in minutes, and absent members are left out.
A person is an object with the member ``email``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from quorumkey_relay.domain.jit.entitlement import ActivationType
from quorumkey_relay.domain.jit.request import ApprovalMode

EntitlementStatus = Literal["ACTIVE", "INACTIVE"]
#: How a request for a role, or an activation, stands. ``REVOKING``: the time is over or somebody
#: revoked it, and the target has not confirmed that yet.
AccessStatus = Literal[
    "ACTIVATION_PENDING",
    "DENIED",
    "WITHDRAWN",
    "EXPIRED",
    "NOT_GRANTED",
    "GRANTING",
    "ACTIVE",
    "FAILED",
    "REVOKING",
    "REVOKED",
    "ENDED",
]


class PersonView(Struct, frozen=True):
    """A person."""

    email: str


class PolicyView(Struct, frozen=True, kw_only=True, rename="camel"):
    """``GET /jit/api/policy``: who is signed in, and the rules that a page has to know."""

    justification_hint: str
    signed_in_user: PersonView
    application_version: str
    default_activation_timeout: int
    max_activation_timeout: int
    approval: ApprovalMode
    max_roles: int
    min_reviewers: int
    max_reviewers: int
    required: int


class ProjectsView(Struct, frozen=True):
    """``GET /jit/api/projects``: where the person may activate something."""

    projects: list[str]


class EntitlementView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A role that the person may activate; ``valid_until`` where it is active."""

    id: str
    name: str
    resource_condition: str | UnsetType = UNSET
    activation_type: ActivationType
    status: EntitlementStatus
    valid_until: int | UnsetType = UNSET


class EntitlementsView(Struct, frozen=True):
    """``GET /jit/api/projects/{project}/roles``; ``warnings`` are sentences."""

    entitlements: list[EntitlementView]
    warnings: list[str]


class PeersView(Struct, frozen=True):
    """``GET /jit/api/projects/{project}/peers``: who may approve the role for the person."""

    peers: list[PersonView]


class AccessEntitlementView(Struct, frozen=True, kw_only=True, rename="camel"):
    """The role that a request is about.

    ``activation_id`` is the request's id until there is an activation, and then that one's.
    ``start_time`` and ``end_time`` are absent while the approval has yet to begin the time.
    """

    activation_id: str
    project_id: str
    id: str
    name: str
    resource_condition: str | UnsetType = UNSET
    status: AccessStatus
    start_time: int | UnsetType = UNSET
    end_time: int | UnsetType = UNSET


class AccessRequestView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A request for a role as a party to it sees it, or roles that somebody activated alone.

    ``activation`` is the token that leads to the request, as links carry it; ``request_id`` is the
    signed request that the reviewers' devices decide. Both are absent for roles that were activated
    alone, as are ``request_time`` and ``expiry_time``.
    """

    beneficiary: PersonView
    reviewers: list[PersonView]
    is_beneficiary: bool
    is_reviewer: bool
    justification: str
    entitlements: list[AccessEntitlementView]
    approval: ApprovalMode | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    required: int | UnsetType = UNSET
    approvals: list[PersonView] | UnsetType = UNSET
    duration_minutes: int | UnsetType = UNSET
    request_time: int | UnsetType = UNSET
    expiry_time: int | UnsetType = UNSET
    activation: str | UnsetType = UNSET


class ActivationView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A role that the person has, or had; ``executor`` says in a sentence who ends it."""

    activation_id: str
    project_id: str
    id: str
    name: str
    resource_condition: str | UnsetType = UNSET
    beneficiary: PersonView
    approvers: list[PersonView]
    justification: str
    status: AccessStatus
    start_time: int
    end_time: int
    executor: str | UnsetType = UNSET


class RolePolicyView(Struct, frozen=True):
    """A policy that was handed to the relay, and its size; times as RFC 3339 text."""

    project: str
    revision: int
    size_bytes: int
    changed_at: str
