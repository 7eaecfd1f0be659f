"""``/openapi.json`` and ``/docs``: the routes that show the others."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from quorumkey_relay.api import operations
from quorumkey_relay.api.answers import Answer, encode, page
from quorumkey_relay.api.bodies import NO_BODY
from quorumkey_relay.api.docs_page import CONTENT_SECURITY_POLICY, render
from quorumkey_relay.api.endpoint import Endpoint
from quorumkey_relay.api.gate import ANYONE
from quorumkey_relay.api.openapi import build_document

if TYPE_CHECKING:
    from collections.abc import Sequence


def document_routes(
    endpoints: Sequence[Endpoint[Any, Any]],
) -> tuple[Endpoint[None, None], Endpoint[None, None]]:
    """Return the two routes that describe ``endpoints``, and themselves."""
    blank = Answer(200)
    shown = (*endpoints, *_routes(blank, blank))
    document = build_document(shown, version=version("quorumkey-relay"))
    policy = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode())
    readable = page(render(document).encode(), b"text/html; charset=utf-8", policy)
    return _routes(Answer(200, encode(document)), readable)


def _routes(
    document: Answer, readable: Answer
) -> tuple[Endpoint[None, None], Endpoint[None, None]]:
    return (
        Endpoint(
            method="GET",
            path="/openapi.json",
            summary="This API as an OpenAPI 3.1 document.",
            auth=ANYONE,
            body=NO_BODY,
            handle=operations.fixed(document),
            answer=dict[str, Any],
        ),
        Endpoint(
            method="GET",
            path="/docs",
            summary="This API as a page for people.",
            auth=ANYONE,
            body=NO_BODY,
            handle=operations.fixed(readable),
            answer="text/html",
        ),
    )
