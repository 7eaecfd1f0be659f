"""The part of the table of routes that is about just-in-time access; served where it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from quorumkey_relay.api import jit, jit_pages, queries
from quorumkey_relay.api.answers import NO_CONTENT
from quorumkey_relay.api.bodies import NO_BODY, Body, structured
from quorumkey_relay.api.endpoint import Endpoint, Header
from quorumkey_relay.api.gate import ADMIN_KEY, ANYONE, PERSON, PROBE, SIGN_IN_PATH
from quorumkey_relay.api.jit_dialect import API_PATH, CALL_HEADER, JIT, JIT_ANYONE
from quorumkey_relay.domain.jit.policy import MAX_POLICY_BYTES
from quorumkey_relay.usecases.jit import commands, views
from quorumkey_relay.usecases.views import Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.usecases.jit.ports import Person

_CALL: Final = Header(
    CALL_HEADER,
    {"type": "string", "const": "1"},
    "Says that the call comes from the relay's own page or from a program.",
    required=True,
)
_PROJECT: Final = f"{API_PATH}/projects/{{project}}"
_REQUEST: Final = f"{API_PATH}/activation-request"
_LIST: Final = (queries.LIMIT, queries.CURSOR)


class HealthView(Struct, frozen=True):
    """Whether the relay can serve, and what keeps it from that."""

    healthy: bool
    details: dict[str, list[str]]


class JwkSet(Struct, frozen=True):
    """The keys of the tokens in links (RFC 7517)."""

    keys: list[dict[str, str]]


class RolePolicyDocument(Struct, frozen=True):
    """The IAM policy of a project, as its source wrote it; more members may stand beside these."""

    bindings: list[dict[str, Any]] = []


def _row(  # noqa: PLR0913 - the columns of a table
    method: str,
    path: str,
    summary: str,
    handle: Callable[[Call[Person, Any]], Awaitable[Result]],
    answer: object,
    *,
    body: Body[Any] = NO_BODY,
    query: tuple[queries.Parameter, ...] = (),
    errors: tuple[str, ...] = (),
) -> Endpoint[Any, Any]:
    """Return a call by a person."""
    return Endpoint(
        method=method,
        path=path,
        summary=summary,
        auth=PERSON,
        body=body,
        handle=handle,
        answer=answer,
        query=query,
        headers=(_CALL,),
        errors=errors,
        dialect=JIT,
    )


PEOPLE_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    _row(
        "GET",
        f"{API_PATH}/policy",
        "Who is signed in, and the rules that a page has to know.",
        jit.policy,
        views.PolicyView,
    ),
    _row(
        "GET",
        f"{API_PATH}/projects",
        "List the projects in which you may activate something.",
        jit.projects,
        views.ProjectsView,
    ),
    _row(
        "GET",
        f"{_PROJECT}/roles",
        "List the roles that you may activate in a project.",
        jit.roles,
        views.EntitlementsView,
    ),
    _row(
        "GET",
        f"{_PROJECT}/peers",
        "List who may approve a role for you.",
        jit.peers,
        views.PeersView,
        query=(queries.ENTITLEMENT_ID,),
    ),
    _row(
        "POST",
        f"{_PROJECT}/roles/self-activate",
        "Activate roles alone.",
        jit.self_activate,
        views.AccessRequestView,
        body=structured(commands.SelfActivateBody),
        errors=("not_configured",),
    ),
    _row(
        "POST",
        f"{_PROJECT}/roles/request",
        "Ask peers for a role.",
        jit.request,
        views.AccessRequestView,
        body=structured(commands.AccessRequestBody),
        errors=("failed_precondition", "not_configured"),
    ),
    _row(
        "GET",
        _REQUEST,
        "Read a request that you made or may decide.",
        jit.read_request,
        views.AccessRequestView,
        query=(queries.ACTIVATION,),
    ),
    _row(
        "POST",
        _REQUEST,
        "Approve a request, where clicks decide.",
        jit.approve,
        views.AccessRequestView,
        query=(queries.ACTIVATION,),
        errors=(
            "requester_cannot_approve",
            "failed_precondition",
            "already_decided",
            "request_completed",
            "not_configured",
        ),
    ),
    _row(
        "POST",
        f"{_REQUEST}/deny",
        "Deny a request, where clicks decide.",
        jit.deny,
        views.AccessRequestView,
        query=(queries.ACTIVATION,),
        errors=("failed_precondition", "already_decided", "request_completed"),
    ),
    _row(
        "POST",
        f"{_REQUEST}/withdraw",
        "Take your request back.",
        jit.withdraw,
        views.AccessRequestView,
        query=(queries.ACTIVATION,),
        errors=("request_completed",),
    ),
    _row(
        "GET",
        f"{API_PATH}/activation-requests",
        "List requests that you may decide, or your own, newest first.",
        jit.list_requests,
        Page[views.AccessRequestView],
        query=(queries.ROLE, *_LIST),
    ),
    _row(
        "GET",
        f"{API_PATH}/activations",
        "List the access that you have, are about to have, or had, newest first.",
        jit.list_active,
        Page[views.ActivationView],
        query=_LIST,
    ),
    _row(
        "POST",
        f"{API_PATH}/activations/{{activation_id}}/revoke",
        "End access before its time.",
        jit.revoke,
        views.ActivationView,
        errors=("not_configured",),
    ),
)

_POLICY: Final = "/v1/jit/policies/{project}"

POLICY_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    Endpoint(
        method="PUT",
        path=_POLICY,
        summary="Hand in the IAM policy of a project; what it was before goes.",
        auth=ADMIN_KEY,
        body=Body(bytes, RolePolicyDocument, MAX_POLICY_BYTES),
        handle=jit.put_policy,
        answer=views.RolePolicyView,
        errors=("failed_precondition",),
    ),
    Endpoint(
        method="GET",
        path="/v1/jit/policies",
        summary="List the policies that were handed in.",
        auth=ADMIN_KEY,
        body=NO_BODY,
        handle=jit.list_policies,
        answer=Page[views.RolePolicyView],
        query=_LIST,
        errors=("not_found", "failed_precondition"),
    ),
    Endpoint(
        method="GET",
        path=_POLICY,
        summary="Read a policy as it was handed in.",
        auth=ADMIN_KEY,
        body=NO_BODY,
        handle=jit.read_policy,
        answer=RolePolicyDocument,
        errors=("failed_precondition",),
    ),
    Endpoint(
        method="DELETE",
        path=_POLICY,
        summary="Forget the policy of a project; nobody can activate a role by it any more.",
        auth=ADMIN_KEY,
        body=NO_BODY,
        handle=jit.remove_policy,
        success=NO_CONTENT,
        errors=("failed_precondition",),
    ),
)

_OPEN_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    Endpoint(
        method="GET",
        path=API_PATH,
        summary="Tell pages of an earlier version to be refreshed: 404 with a link.",
        auth=ANYONE,
        body=NO_BODY,
        handle=jit.outdated,
        errors=("not_found", "not_acceptable"),
        dialect=JIT_ANYONE,
    ),
    Endpoint(
        method="GET",
        path="/.well-known/jwks.json",
        summary="The keys that the tokens in links are signed with (RFC 7517).",
        auth=ANYONE,
        body=NO_BODY,
        handle=jit.jwks,
        answer=JwkSet,
    ),
    Endpoint(
        method="GET",
        path="/health/alive",
        summary="Is the process alive?",
        auth=PROBE,
        body=NO_BODY,
        handle=jit.alive,
        answer=HealthView,
    ),
    Endpoint(
        method="GET",
        path="/health/ready",
        summary="Can the relay serve? 503 with details.problems when it cannot.",
        auth=PROBE,
        body=NO_BODY,
        handle=jit.ready,
        answer=HealthView,
    ),
)

_PAGE_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    *(
        Endpoint(
            method="GET",
            path=page.path,
            summary=page.summary,
            auth=ANYONE,
            body=NO_BODY,
            handle=page.handle,
            answer=page.media_type,
            is_open=True,
        )
        for page in jit_pages.PAGES
    ),
    Endpoint(
        method="GET",
        path="/jit",
        summary="Go to the page.",
        auth=ANYONE,
        body=NO_BODY,
        handle=jit_pages.moved,
        success=jit_pages.MOVED,
        is_open=True,
    ),
    Endpoint(
        method="GET",
        path=SIGN_IN_PATH,
        summary="Send a browser to the identity provider.",
        auth=ANYONE,
        body=NO_BODY,
        handle=jit_pages.sign_in,
        success=jit_pages.ELSEWHERE,
        query=(queries.RETURN_TO,),
        errors=("not_found", "backend_failed"),
    ),
    Endpoint(
        method="GET",
        path="/jit/callback",
        summary="Take a browser back from the identity provider.",
        auth=ANYONE,
        body=NO_BODY,
        handle=jit_pages.callback,
        success=jit_pages.ELSEWHERE,
        query=(queries.CODE, queries.STATE, queries.ISSUER, queries.SIGN_IN_ERROR),
        errors=("unauthorized", "not_found", "backend_failed"),
        is_open=True,
    ),
    Endpoint(
        method="POST",
        path="/jit/sign-out",
        summary="End the browser's session.",
        auth=ANYONE,
        body=NO_BODY,
        handle=jit_pages.sign_out,
        success=NO_CONTENT,
        headers=(_CALL,),
        errors=("not_found", "not_acceptable"),
        dialect=JIT,
    ),
)

JIT_ROUTES: Final = (*PEOPLE_ROUTES, *POLICY_ROUTES, *_OPEN_ROUTES, *_PAGE_ROUTES)
