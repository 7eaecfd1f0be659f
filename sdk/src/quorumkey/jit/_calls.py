"""Each call of just-in-time access as a value: what to send and how to read the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.client._calls import get, post, query, segment
from quorumkey.client._exchange import json_of
from quorumkey.client.models import page_of
from quorumkey.jit.models import AccessRequest, ActiveRole, JitPolicy, Roles, email_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey.client._exchange import Call
    from quorumkey.client._fields import Fields
    from quorumkey.client.models import Page
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "act_on_request",
    "activate",
    "get_policy",
    "get_request",
    "list_activations",
    "list_peers",
    "list_projects",
    "list_requests",
    "list_reviews",
    "list_roles",
    "request",
    "revoke",
]

T = TypeVar("T")

_BASE: Final = "/jit/api"
_REQUEST: Final = f"{_BASE}/activation-request"
#: How much longer an answer may take that waits for a mail server, or for what grants roles.
_OTHERS_SECONDS: Final = 30


def get_policy() -> Call[JitPolicy]:
    """``GET /jit/api/policy``."""
    return get(f"{_BASE}/policy", JitPolicy.parse)


def list_projects() -> Call[tuple[str, ...]]:
    """``GET /jit/api/projects``."""
    return get(f"{_BASE}/projects", lambda fields: fields.texts("projects"))


def list_roles(project: str) -> Call[Roles]:
    """``GET /jit/api/projects/{project}/roles``."""
    return get(f"{_project(project)}/roles", Roles.parse)


def list_peers(project: str, entitlement_id: str) -> Call[tuple[str, ...]]:
    """``GET /jit/api/projects/{project}/peers``."""

    def parse(fields: Fields) -> tuple[str, ...]:
        return tuple(map(email_of, fields.children("peers")))

    return get(f"{_project(project)}/peers", parse, query=query(id=entitlement_id))


def activate(
    project: str, entitlement_ids: Iterable[str], justification: str, minutes: int | None
) -> Call[AccessRequest]:
    """``POST …/roles/self-activate``, once: a second call begins the time anew."""
    body: dict[str, JsonValue] = {
        "entitlementIds": list(entitlement_ids),
        "justification": justification,
        **_timeout(minutes),
    }
    return _post(f"{_project(project)}/roles/self-activate", body, repeatable=False)


def request(
    project: str,
    entitlement_id: str,
    justification: str,
    peers: Iterable[str],
    minutes: int | None,
) -> Call[AccessRequest]:
    """``POST …/roles/request``; the same request, as long as it is pending, answers again."""
    body: dict[str, JsonValue] = {
        "entitlementId": entitlement_id,
        "justification": justification,
        "peers": list(peers),
        **_timeout(minutes),
    }
    return _post(f"{_project(project)}/roles/request", body, repeatable=True)


def get_request(activation: str) -> Call[AccessRequest]:
    """``GET /jit/api/activation-request``."""
    return get(_REQUEST, AccessRequest.parse, query=query(activation=activation))


def act_on_request(activation: str, act: str = "") -> Call[AccessRequest]:
    """``POST /jit/api/activation-request``, or below it ``/deny`` and ``/withdraw``."""
    call = _post(f"{_REQUEST}/{act}".rstrip("/"), {}, repeatable=True)
    return call.with_query(*query(activation=activation))


def list_reviews(cursor: str | None) -> Call[Page[AccessRequest]]:
    """``GET /jit/api/activation-requests`` of a reviewer, one page."""
    return _list_requests("reviewer", cursor)


def list_requests(cursor: str | None) -> Call[Page[AccessRequest]]:
    """``GET /jit/api/activation-requests`` of a beneficiary, one page."""
    return _list_requests("beneficiary", cursor)


def list_activations(cursor: str | None) -> Call[Page[ActiveRole]]:
    """``GET /jit/api/activations``, one page."""
    return get(f"{_BASE}/activations", page_of(ActiveRole.parse), query=query(cursor=cursor))


def revoke(activation_id: str) -> Call[ActiveRole]:
    """``POST /jit/api/activations/{id}/revoke``; what is revoked answers again."""
    path = f"{_BASE}/activations/{segment(activation_id)}/revoke"
    call = post(path, {}, lambda answer: ActiveRole.parse(json_of(answer)), repeatable=True)
    return _patient(call)


def _list_requests(role: str, cursor: str | None) -> Call[Page[AccessRequest]]:
    asked = query(role=role, cursor=cursor)
    return get(f"{_BASE}/activation-requests", page_of(AccessRequest.parse), query=asked)


def _post(path: str, body: dict[str, JsonValue], *, repeatable: bool) -> Call[AccessRequest]:
    call = post(
        path, body, lambda answer: AccessRequest.parse(json_of(answer)), repeatable=repeatable
    )
    return _patient(call)


def _patient(call: Call[T]) -> Call[T]:
    return replace(call, outgoing=replace(call.outgoing, extra_seconds=_OTHERS_SECONDS))


def _project(project: str) -> str:
    return f"{_BASE}/projects/{segment(project)}"


def _timeout(minutes: int | None) -> dict[str, JsonValue]:
    return {} if minutes is None else {"activationTimeout": minutes}
