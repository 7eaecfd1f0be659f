"""A request as a person reads it before deciding (PROTOCOL §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.cli._output import Output, duration, named
from quorumkey.device.visible import visible, visible_json
from quorumkey.protocol.encoding import format_time

if TYPE_CHECKING:
    from quorumkey.device import DeviceRequest
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.policy import Party
    from quorumkey.protocol.request import RequestDocument

__all__ = ["party_text", "request_json", "show_request"]

_REJECT_POLICIES: Final = {
    "any": "the first denial rejects it",
    "quorum_impossible": "it is rejected once too few groups can still approve",
}


def show_request(out: Output, request: DeviceRequest) -> None:
    """Print everything that is decided on, and what keeps it from being approved."""
    document = request.document
    rows = [("Request", visible(request.request_id)), ("Status", _status(request))]
    if document is not None:
        rows += _document_rows(document, request)
    out.rows(rows)
    if request.problem is not None:
        deny = "It can be denied." if request.can_deny else "It cannot be answered."
        out.line(f"Do not approve: {visible(request.problem)} {deny}", style="bold red")


def _document_rows(document: RequestDocument, request: DeviceRequest) -> list[tuple[str, str]]:
    action, policy = document.action, document.policy
    rows = [("From", party_text(document.integrator))]
    if document.requester is not None:
        rows.append(("Wanted by", party_text(document.requester)))
    rows += [("Action", visible(action.description)), ("Type", visible(action.type))]
    params = {name: visible_json(value) for name, value in action.params.items()}
    rows.append(("Parameters", named(params) or "none"))
    if action.bindings:
        rows.append(("Bindings", named(action.bindings)))
    names = ", ".join(visible(group.name) for group in policy.groups)
    rows += [
        ("Your group", visible(request.group) if request.group is not None else "none"),
        (
            "Quorum",
            f"{request.groups_satisfied_count} of {policy.required} required; groups: {names}",
        ),
        ("Denial", _REJECT_POLICIES[policy.reject_policy]),
        ("Asked", format_time(document.created_at)),
        ("Time left", duration(request.seconds_left)),
    ]
    if policy.match_code:
        rows.append(("Match code", "needed to approve: --code"))
    return rows


def _status(request: DeviceRequest) -> str:
    if request.my_decision is None:
        return request.status.value
    return f"{request.status.value}; you decided: {request.my_decision.value}"


def party_text(party: Party) -> str:
    """Name and id of somebody."""
    return (
        visible(party.id) if party.name is None else f"{visible(party.name)} ({visible(party.id)})"
    )


def request_json(request: DeviceRequest) -> JsonValue:
    """The same for programs."""
    value: dict[str, JsonValue] = {
        "request_id": request.request_id,
        "status": request.status.value,
        "groups_satisfied_count": request.groups_satisfied_count,
        "can_approve": request.can_approve,
        "can_deny": request.can_deny,
        "seconds_left": request.seconds_left,
    }
    if request.my_decision is not None:
        value["my_decision"] = request.my_decision.value
    if request.problem is not None:
        value["problem"] = request.problem
    if request.digest is not None:
        value["request_digest"] = request.digest
    if request.group is not None:
        value["group"] = request.group
    document = request.document
    if document is not None:
        value["integrator"] = document.integrator.to_json()
        if document.requester is not None:
            value["requester"] = document.requester.to_json()
        value["action"] = document.action.to_json()
        value["policy"] = document.policy.to_json()
        value["created_at"] = format_time(document.created_at)
        value["expires_at"] = format_time(document.expires_at)
    return value
