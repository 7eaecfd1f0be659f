"""What happened to requests for roles and to activations: events of the integrator's stream.

The subject is the id of the access request, or of the activation where there is no request or it
has become one. They are written in the commit of what they tell, so none is missing, and are kept
for as long as requests are. Those of the three moments at which people are to be told carry a
``notification`` and its ``attributes``: asked, granted after an approval, granted without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec

from quorumkey.protocol import format_time
from quorumkey_relay.store.records import EventRecord
from quorumkey_relay.store.writes import AppendEvent

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue
    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.entitlement import EntitlementId
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.mint import Mint

RequestKind = Literal[
    "jit.requested",
    "jit.approved",
    "jit.denied",
    "jit.withdrawn",
    "jit.expired",
    "jit.not_granted",
]
ActivationKind = Literal[
    "jit.self_approved", "jit.granted", "jit.grant_failed", "jit.ended", "jit.revoked"
]
JIT_EVENTS: Final[tuple[str, ...]] = (*get_args(RequestKind), *get_args(ActivationKind))

Members = dict[str, "JsonValue"]


def request_event(  # noqa: PLR0913 - what an event tells
    kind: RequestKind,
    request: AccessRequest,
    *,
    now: int,
    mint: Mint,
    by: tuple[str, ...] = (),
    link: str | None = None,
    base_url: str | None = None,
) -> AppendEvent:
    """Return the event of what happened to a request; ``by`` are the persons who did it.

    ``link`` leads to the request, and ``base_url`` is the relay's address: for ``jit.requested``.
    """
    members: Members = {"access_request": _request_members(request)}
    if by:
        members["by"] = list(by)
    if kind == "jit.requested":
        attributes = _attributes(
            request.beneficiary, request.entitlement, request.justification
        ) | _window(request)
        attributes["reviewers"] = list(request.reviewers)
        attributes["request_expiry_time"] = format_time(request.decide_by)
        attributes |= {"action_url": link, "base_url": base_url}
        members |= {"notification": "RequestActivation", "attributes": attributes}
    return _event(
        kind, members, integrator_id=request.integrator_id, subject=request.id, now=now, mint=mint
    )


def activation_event(
    kind: ActivationKind, activation: Activation, *, now: int, mint: Mint, by: tuple[str, ...] = ()
) -> AppendEvent:
    """Return the event of what happened to an activation; ``by`` are the persons who did it."""
    members: Members = {"activation": _activation_members(activation)}
    if by:
        members["by"] = list(by)
    if kind == "jit.granted":
        attributes = _attributes(
            activation.beneficiary, activation.entitlement, activation.justification
        )
        attributes["start_time"] = format_time(activation.start)
        attributes["end_time"] = format_time(activation.end)
        if activation.approvers:
            attributes["approver"] = activation.approvers[-1]
        members["notification"] = (
            "ActivationApproved" if activation.approvers else "ActivationSelfApproved"
        )
        members["attributes"] = attributes
    return _event(
        kind,
        members,
        integrator_id=activation.integrator_id,
        subject=activation.activation_id,
        now=now,
        mint=mint,
    )


def _event(  # noqa: PLR0913 - what an event record holds
    kind: str, members: Members, *, integrator_id: str, subject: str, now: int, mint: Mint
) -> AppendEvent:
    body = {"type": kind, **members, "timestamp": format_time(now)}
    return AppendEvent(
        EventRecord(
            id=mint.uuid7(),
            integrator_id=integrator_id,
            type=kind,
            subject=subject,
            body=msgspec.json.encode(body),
            created_at=now,
        )
    )


def _request_members(request: AccessRequest) -> Members:
    members: Members = {
        "id": request.id,
        "beneficiary": request.beneficiary,
        **_entitlement(request.entitlement),
        "reviewers": list(request.reviewers),
        "required": request.required,
        "justification": request.justification,
        "duration_seconds": request.duration_seconds,
        "created_at": format_time(request.created_at),
        "expires_at": format_time(request.decide_by),
        "approval": request.approval,
    }
    if request.request_id is not None:
        members["request_id"] = request.request_id
    if request.not_granted is not None:
        members["not_granted"] = request.not_granted
    if request.activation_id is not None:
        members["activation_id"] = request.activation_id
    return members


def _activation_members(activation: Activation) -> Members:
    members: Members = {
        "id": activation.activation_id,
        "beneficiary": activation.beneficiary,
        **_entitlement(activation.entitlement),
        "justification": activation.justification,
        "approvers": list(activation.approvers),
        "executor": activation.executor,
        "start": format_time(activation.start),
        "end": format_time(activation.end),
        "state": activation.state,
    }
    if activation.access_request is not None:
        members["access_request"] = activation.access_request
    if activation.request_id is not None:
        members["request_id"] = activation.request_id
    if activation.fault is not None:
        members["fault"] = activation.fault
    if activation.end_reason is not None:
        members["end_reason"] = activation.end_reason
    return members


def _entitlement(entitlement: EntitlementId) -> Members:
    members: Members = {"project": entitlement.project, "role": entitlement.role}
    if entitlement.condition:
        members["condition"] = entitlement.condition
    return members


def _attributes(beneficiary: str, entitlement: EntitlementId, justification: str) -> Members:
    attributes: Members = {
        "beneficiary": beneficiary,
        "project_id": entitlement.project,
        "role": entitlement.role,
        "justification": justification,
    }
    if entitlement.condition:
        attributes["resource_condition"] = entitlement.condition
    return attributes


def _window(request: AccessRequest) -> Members:
    if request.window_from == "approval":
        return {"duration_seconds": request.duration_seconds}
    return {"start_time": format_time(request.start), "end_time": format_time(request.end)}
