"""Roles, requests and access as the command prints them, for people and for programs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey.device.visible import visible
from quorumkey.errors import ProtocolError
from quorumkey.jit.client import AccessStatus, ActivationType
from quorumkey.protocol.encoding import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quorumkey.cli._output import Output
    from quorumkey.jit.client import AccessRequest, ActiveRole, Entitlement, RequestedRole
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "active_json",
    "entitlement_json",
    "request_json",
    "show_access",
    "show_active",
    "show_entitlement",
    "status_text",
]

_STATUS: Final[Mapping[AccessStatus, str]] = MappingProxyType(
    {
        AccessStatus.PENDING: "waiting for approval",
        AccessStatus.DENIED: "denied",
        AccessStatus.WITHDRAWN: "withdrawn",
        AccessStatus.EXPIRED: "expired without an approval",
        AccessStatus.NOT_GRANTED: "approved, but not granted: the conditions no longer held",
        AccessStatus.GRANTING: "approved; the target is being told",
        AccessStatus.ACTIVE: "active",
        AccessStatus.FAILED: "approved, but the target refused it",
        AccessStatus.REVOKING: "ending; the target is being told",
        AccessStatus.REVOKED: "revoked",
        AccessStatus.ENDED: "ended",
    }
)
_TYPES: Final[Mapping[ActivationType, str]] = MappingProxyType(
    {ActivationType.ALONE: "alone", ActivationType.WITH_PEERS: "with the approval of a peer"}
)


def status_text(status: AccessStatus) -> str:
    """How something stands, in words."""
    return _STATUS[status]


def show_entitlement(out: Output, entitlement: Entitlement) -> None:
    """Print one role that can be activated."""
    rows = [("Entitlement", visible(entitlement.id)), ("Role", visible(entitlement.role))]
    if entitlement.condition:
        rows.append(("Only for", visible(entitlement.condition)))
    rows.append(("Activated", _TYPES[entitlement.activation_type]))
    if entitlement.is_active:
        until = entitlement.valid_until
        rows.append(("Active", "yes" if until is None else f"until {_time(until)}"))
    out.rows(rows)


def show_access(out: Output, request: AccessRequest) -> None:
    """Print a request, or what somebody activated alone."""
    for role in request.roles:
        out.rows(_role_rows(role, request))
    rows = [("Wanted by", visible(request.beneficiary)), ("Reason", visible(request.justification))]
    if request.reviewers:
        rows.append(("Reviewers", _people(request.reviewers)))
        rows.append(("Approved by", _people(request.approvals) or "nobody yet"))
    if request.expires_at is not None:
        rows.append(("Decide by", _time(request.expires_at)))
    if request.request_id is not None:
        rows.append(("Request", visible(request.request_id)))
    if request.activation is not None:
        rows.append(("Token", visible(request.activation)))
    out.rows(rows)


def _role_rows(role: RequestedRole, request: AccessRequest) -> list[tuple[str, str]]:
    rows = [
        ("Role", visible(role.role)),
        ("Project", visible(role.project)),
        ("Status", status_text(role.status)),
    ]
    if role.condition:
        rows.append(("Only for", visible(role.condition)))
    if role.start is not None and role.end is not None:
        rows.append(("Time", f"{_time(role.start)} to {_time(role.end)}"))
    elif request.duration_minutes is not None:
        rows.append(("Time", f"{request.duration_minutes} min from the last approval"))
    if not request.reviewers or role.status.is_in_force:
        rows.append(("Activation", visible(role.activation_id)))
    return rows


def show_active(out: Output, role: ActiveRole) -> None:
    """Print one role that somebody has."""
    rows = [
        ("Role", visible(role.role)),
        ("Project", visible(role.project)),
        ("Status", status_text(role.status)),
    ]
    if role.condition:
        rows.append(("Only for", visible(role.condition)))
    rows += [
        ("Person", visible(role.beneficiary)),
        ("Approved by", _people(role.approvers) or "nobody; activated alone"),
        ("Reason", visible(role.justification)),
        ("Time", f"{_time(role.start)} to {_time(role.end)}"),
    ]
    if role.executor is not None:
        rows.append(("Target", visible(role.executor)))
    if role.fault is not None:
        rows.append(("Trouble", visible(role.fault)))
    rows.append(("Activation", visible(role.activation_id)))
    out.rows(rows)


def _people(people: Iterable[str]) -> str:
    return ", ".join(map(visible, people))


def _time(seconds: int) -> str:
    try:
        return format_time(seconds)
    except ProtocolError:
        return f"{seconds} s"  # a relay that names no real moment


# ---------------------------------------------------------------- for programs


def entitlement_json(entitlement: Entitlement) -> JsonValue:
    """A role that can be activated."""
    value: dict[str, JsonValue] = {
        "id": entitlement.id,
        "role": entitlement.role,
        "condition": entitlement.condition,
        "activation_type": entitlement.activation_type.value,
        "active": entitlement.is_active,
    }
    if entitlement.valid_until is not None:
        value["valid_until"] = _time(entitlement.valid_until)
    return value


def request_json(request: AccessRequest) -> JsonValue:
    """A request, or what somebody activated alone."""
    value: dict[str, JsonValue] = {
        "beneficiary": request.beneficiary,
        "reviewers": list(request.reviewers),
        "justification": request.justification,
        "roles": [_role_json(role) for role in request.roles],
        "approvals": list(request.approvals),
    }
    texts = {
        "approval": request.approval,
        "request_id": request.request_id,
        "activation": request.activation,
    }
    value |= {name: str(text) for name, text in texts.items() if text is not None}
    times = {"requested_at": request.requested_at, "expires_at": request.expires_at}
    value |= {name: _time(time) for name, time in times.items() if time is not None}
    numbers = {"required": request.required, "duration_minutes": request.duration_minutes}
    return value | {name: number for name, number in numbers.items() if number is not None}


def _role_json(role: RequestedRole) -> JsonValue:
    value: dict[str, JsonValue] = {
        "activation_id": role.activation_id,
        "project": role.project,
        "id": role.entitlement_id,
        "role": role.role,
        "condition": role.condition,
        "status": role.status.value,
    }
    times = {"start": role.start, "end": role.end}
    return value | {name: _time(time) for name, time in times.items() if time is not None}


def active_json(role: ActiveRole) -> JsonValue:
    """A role that somebody has."""
    value: dict[str, JsonValue] = {
        "activation_id": role.activation_id,
        "project": role.project,
        "id": role.entitlement_id,
        "role": role.role,
        "condition": role.condition,
        "beneficiary": role.beneficiary,
        "approvers": list(role.approvers),
        "justification": role.justification,
        "status": role.status.value,
        "start": _time(role.start),
        "end": _time(role.end),
    }
    texts = {"executor": role.executor, "fault": role.fault}
    return value | {name: text for name, text in texts.items() if text is not None}
