"""The OpenAPI 3.1 document, made from the table of routes and the types it names."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field

from quorumkey.errors import ERRORS
from quorumkey_relay.api.answers import NO_CONTENT
from quorumkey_relay.api.cors import DEVICE_PREFIX
from quorumkey_relay.api.gate import ADMIN_KEY, API_KEY, PERSON, PROBE, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quorumkey_relay.api.endpoint import Endpoint, PathId

Schema = dict[str, Any]  # JSON Schema 2020-12, as msgspec writes it

JSON: Final = "application/json"

_REF_TEMPLATE: Final = "#/components/schemas/{name}"
_EVERY_CALL: Final = ("payload_too_large", "unsupported_media_type", "internal_error")
_SWITCHING: Final = 101


class ParameterObject(Struct, omit_defaults=True):
    """A query, path or header parameter."""

    name: str
    where: str = field(name="in")
    description: str
    schema: Schema
    required: bool = False


class MediaType(Struct):
    """What a body of one media type looks like."""

    schema: Schema


class HeaderObject(Struct):
    """A header of an answer."""

    description: str
    schema: Schema


class ResponseObject(Struct, omit_defaults=True):
    """One status of an operation."""

    description: str
    headers: dict[str, HeaderObject] = {}
    content: dict[str, MediaType] = {}


class RequestBodyObject(Struct):
    """The body an operation takes."""

    required: bool
    content: dict[str, MediaType]


class Operation(Struct, rename="camel", omit_defaults=True):
    """One method on one path."""

    operation_id: str
    summary: str
    tags: list[str]
    responses: dict[str, ResponseObject]
    parameters: list[ParameterObject] = []
    request_body: RequestBodyObject | None = None
    security: list[dict[str, list[str]]] = []


class SecurityScheme(Struct):
    """How a caller authenticates."""

    type: str
    scheme: str
    description: str


class Components(Struct, rename="camel"):
    """What operations refer to by name."""

    schemas: dict[str, Schema]
    security_schemes: dict[str, SecurityScheme]


class Info(Struct):
    """What the document is about."""

    title: str
    version: str
    description: str


class Document(Struct):
    """The whole document."""

    openapi: str
    info: Info
    paths: dict[str, dict[str, Operation]]
    components: Components


def build_document(endpoints: Sequence[Endpoint[Any, Any]], *, version: str) -> Document:
    """Return the document of these routes."""
    kinds = [kind for kind in _kinds(endpoints) if not isinstance(kind, str)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF_TEMPLATE)
    references = {repr(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Operation]] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.path, {})
        operations[endpoint.method.lower()] = _operation(endpoint, references)
    return Document(
        openapi="3.1.0",
        info=Info(
            title="Quorumkey relay",
            version=version,
            description="Multi-party approval on devices that hold their own keys. Signed"
            " documents travel as DSSE envelopes; the protocol page says what is in them.",
        ),
        paths=paths,
        components=Components(components, _schemes(endpoints)),
    )


_SECURITY_SCHEMES: Final = {
    "apiKey": SecurityScheme("http", "bearer", "An integrator's API key: qk_live_… or qk_test_…."),
    "deviceSession": SecurityScheme(
        "http", "bearer", "A device's token from /v1/device/session, good for 15 minutes."
    ),
    "person": SecurityScheme(
        "http",
        "bearer",
        "A person's ID token (OpenID Connect); or the session of a browser that signed in, or what"
        " the operator's proxy has signed.",
    ),
}

#: What any call of a person may answer beside the call's own errors.
_OF_PEOPLE: Final = ("forbidden", "not_acceptable", "backend_failed")
_JIT_PREFIXES: Final = ("/jit/", "/v1/jit/", "/health/", "/.well-known/jwks.json")


def _schemes(endpoints: Iterable[Endpoint[Any, Any]]) -> dict[str, SecurityScheme]:
    used = {endpoint.auth.scheme for endpoint in endpoints}
    return {name: scheme for name, scheme in _SECURITY_SCHEMES.items() if name in used}


def group_of(endpoint: Endpoint[Any, Any]) -> str:
    """Return the heading under which a route is shown."""
    if endpoint.path.startswith(DEVICE_PREFIX):
        return "Devices"
    if endpoint.path.startswith(_JIT_PREFIXES):
        return "Just-in-time access"
    if endpoint.auth is SERVICE:
        return "Protected methods"
    return "Integrators" if endpoint.auth is API_KEY else "Relay"


def codes_of(endpoint: Endpoint[Any, Any]) -> list[str]:
    """Return every error code a call of this route may answer, in the order of the table."""
    own = {*endpoint.errors, *_EVERY_CALL}
    if endpoint.auth is not PROBE:
        own |= {"rate_limited"}
    if endpoint.auth.scheme is not None:
        own |= {"unauthorized"}
    if endpoint.auth is PERSON:
        own |= {*_OF_PEOPLE}
    if endpoint.auth is ADMIN_KEY:
        own |= {"forbidden"}
    if endpoint.path_ids:
        own |= {"not_found"}
    own |= {"invalid_request", "invalid_json", "store_unavailable"}
    return [code for code in ERRORS if code in own]


def _kinds(endpoints: Iterable[Endpoint[Any, Any]]) -> Iterable[Any]:
    """Yield every type that a body is described by."""
    for endpoint in endpoints:
        yield endpoint.dialect.document
        if endpoint.answer is not None:
            yield endpoint.answer
        if endpoint.body.document is not None:
            yield endpoint.body.document


def _operation(endpoint: Endpoint[Any, Any], references: dict[str, Schema]) -> Operation:
    scheme = endpoint.auth.scheme
    document = endpoint.body.document
    return Operation(
        operation_id=_operation_id(endpoint),
        summary=endpoint.summary,
        tags=[group_of(endpoint)],
        responses=_responses(endpoint, references),
        parameters=_parameters(endpoint),
        request_body=None
        if document is None
        else RequestBodyObject(True, {JSON: MediaType(references[repr(document)])}),  # noqa: FBT003 - a member of the document
        security=[] if scheme is None else [{scheme: []}],
    )


def _operation_id(endpoint: Endpoint[Any, Any]) -> str:
    """Return a name such as ``getRequestsByRequestId``."""
    path = endpoint.path.removeprefix("/v1").replace("{", "by_").replace(".", "_")
    path = f"{path}index" if path.endswith("/") else path
    words = re.split(r"[/_}]+", path.strip("/}"))
    return endpoint.method.lower() + "".join(word.capitalize() for word in words)


def _parameters(endpoint: Endpoint[Any, Any]) -> list[ParameterObject]:
    return [
        *(_path_parameter(path_id) for path_id in endpoint.path_ids),
        *(
            ParameterObject(item.name, "query", item.help, dict(item.schema), item.required)
            for item in endpoint.query
        ),
        *(
            ParameterObject(item.name, "header", item.help, dict(item.schema), item.required)
            for item in endpoint.headers
        ),
    ]


def _path_parameter(path_id: PathId) -> ParameterObject:
    schema = {"type": "string", "pattern": f"^{path_id.pattern.pattern}$"}
    return ParameterObject(path_id.name, "path", path_id.help, schema, required=True)


_CALL_ID: Final = HeaderObject("Names this call in the relay's logs.", {"type": "string"})
_RETRY_AFTER: Final = HeaderObject("Seconds to wait.", {"type": "integer", "minimum": 1})
_RETRY_STATUSES: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def _responses(
    endpoint: Endpoint[Any, Any], references: dict[str, Schema]
) -> dict[str, ResponseObject]:
    by_status: dict[int, list[str]] = {}
    for code in codes_of(endpoint):
        by_status.setdefault(endpoint.dialect.status_of(code), []).append(code)
    responses = {
        str(status): _response(endpoint, references, status)
        for status in (endpoint.also, _success(endpoint))
        if status is not None
    }
    for status, codes in sorted(by_status.items()):
        headers = {"X-Request-Id": _CALL_ID}
        if status in _RETRY_STATUSES:
            headers["Retry-After"] = _RETRY_AFTER
        content = {JSON: MediaType(references[repr(endpoint.dialect.document)])}
        responses[str(status)] = ResponseObject(", ".join(codes), headers, content)
    return responses


def _success(endpoint: Endpoint[Any, Any]) -> int:
    return _SWITCHING if endpoint.answer == "websocket" else endpoint.success


def _response(
    endpoint: Endpoint[Any, Any], references: dict[str, Schema], status: int
) -> ResponseObject:
    """Describe a success."""
    headers = {"X-Request-Id": _CALL_ID}
    phrase = HTTPStatus(status).phrase
    answer = endpoint.answer
    if status in (NO_CONTENT, _SWITCHING) or answer is None:
        return ResponseObject(phrase, headers)
    if isinstance(answer, str):
        return ResponseObject(phrase, headers, {answer: MediaType({"type": "string"})})
    return ResponseObject(phrase, headers, {JSON: MediaType(references[repr(answer)])})
