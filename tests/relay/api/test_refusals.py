"""What every call is refused for before it is looked at, and in which order (PROTOCOL §2, §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import NO_SUCH_DEVICE, NO_SUCH_ID, OTHER_API_KEY, compact, refused

from quorumkey.protocol.limits import MAX_BODY_BYTES, MAX_REQUEST_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
TOO_LONG = b" " * (MAX_BODY_BYTES + 1)


async def in_parts(body: bytes, size: int = 30_000) -> AsyncGenerator[bytes, None]:
    """Give a body of unannounced length in parts."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/requests/",
        "/v1/unknown",
        "/V1/info",
        "/v1/requests/a/b",
        f"/v1/requests/{NO_SUCH_ID}/",
        "/v1//info",
        "/%00",
        "/\N{SNOWMAN}",
    ],
)
async def test_unknown_path(house: House, path: str) -> None:
    """A path of no route is 404 before anything else."""
    answer = await house.http.request("PATCH", path, content=TOO_LONG)

    assert refused(answer) == (404, "not_found", "There is nothing at this address.")


async def test_method_not_allowed(house: House) -> None:
    """A method that a path does not have is 405 and says which it has."""
    answer = await house.http.request("PATCH", "/v1/requests", content=TOO_LONG)

    assert refused(answer) == (
        405,
        "method_not_allowed",
        "This address does not answer that method.",
    )
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_body_over_its_limit(house: House) -> None:
    """An announced length over the limit is 413, before media type and authentication."""
    answer = await house.http.post("/v1/pairings", content=TOO_LONG)

    assert refused(answer) == (
        413,
        "payload_too_large",
        "The body may have at most 65536 bytes.",
    )


async def test_unannounced_body_over_its_limit(house: House) -> None:
    """A body without announced length is 413 once it is longer than the limit."""
    answer = await house.http.post("/v1/pairings", content=in_parts(TOO_LONG))

    assert refused(answer)[:2] == (413, "payload_too_large")


async def test_request_creation_takes_more(house: House) -> None:
    """Creating a request takes 256 KiB and not one byte more."""
    largest = b" " * MAX_REQUEST_BODY_BYTES
    headers = house.bearer | JSON

    taken = await house.http.post("/v1/requests", content=largest, headers=headers)
    over = await house.http.post("/v1/requests", content=largest + b" ", headers=headers)
    parts = await house.http.post("/v1/requests", content=in_parts(largest), headers=headers)

    assert refused(taken)[:2] == (400, "invalid_json")
    assert refused(over)[:2] == (413, "payload_too_large")
    assert refused(parts)[:2] == (400, "invalid_json")


@pytest.mark.parametrize(
    "given",
    [
        None,
        "text/plain",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json; profile=x",
        "application/problem+json",
        "multipart/form-data",
    ],
)
async def test_media_type(house: House, given: str | None) -> None:
    """A body that is not declared application/json is 415, before authentication."""
    headers = {} if given is None else {"Content-Type": given}
    answer = await house.http.post("/v1/requests", content=b"{}", headers=headers)

    assert refused(answer) == (
        415,
        "unsupported_media_type",
        "The body must be application/json.",
    )


@pytest.mark.parametrize(
    "given",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'],
)
async def test_media_type_with_charset(house: House, given: str) -> None:
    """application/json is taken in any case, with charset=utf-8 or without parameter."""
    answer = await house.http.post("/v1/requests", content=b"{}", headers={"Content-Type": given})

    assert refused(answer)[:2] == (401, "unauthorized")


async def test_compressed_body(house: House) -> None:
    """A compressed body is 415."""
    answer = await house.http.post(
        "/v1/requests", content=b"{}", headers=JSON | {"Content-Encoding": "gzip"}
    )

    assert refused(answer) == (
        415,
        "unsupported_media_type",
        "The body must not be compressed.",
    )


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "qk_test_" + "1a" * 32,
        "Bearer " + "x" * 600,
    ],
)
async def test_no_bearer_token(house: House, given: str | None) -> None:
    """A call without a Bearer token is 401 and told how to send one, before its body is read."""
    headers = JSON if given is None else JSON | {"Authorization": given}
    answer = await house.http.post("/v1/requests", content=b"not json", headers=headers)

    assert refused(answer) == (
        401,
        "unauthorized",
        "Send the token as 'Authorization: Bearer …'.",
    )
    assert answer.headers["www-authenticate"] == 'Bearer realm="quorumkey"'


@pytest.mark.parametrize("token", ["qk_test_" + "00" * 32, "x", "\xe4\xf6"])
async def test_unknown_api_key(house: House, token: str) -> None:
    """An unknown API key is 401."""
    answer = await house.http.get(
        "/v1/requests", headers={b"Authorization": b"Bearer " + token.encode("latin-1")}
    )

    assert refused(answer) == (401, "unauthorized", "This API key is unknown or revoked.")


async def test_tokens_are_not_mixed_up(house: House) -> None:
    """An API key opens no device route, and a session no integrator route."""
    device = await house.device("mallory")
    session = await house.session(device)

    with_key = await house.http.get("/v1/device/requests", headers=house.bearer)
    with_session = await house.http.get("/v1/requests", headers=session)

    assert refused(with_key) == (
        401,
        "unauthorized",
        "This session is unknown or expired; open a new one.",
    )
    assert refused(with_session)[:2] == (401, "unauthorized")


async def test_scheme_in_any_case(house: House) -> None:
    """The name of the Bearer scheme has no case (RFC 9110 §11.1)."""
    token = house.bearer["Authorization"].removeprefix("Bearer ")
    answer = await house.http.get("/v1/requests", headers={"Authorization": f"bEARER  {token}"})

    assert answer.status_code == 200


async def test_json_before_schema_before_existence(house: House) -> None:
    """What is no JSON is told first, then what breaks the schema, then what does not exist."""
    path = f"/v1/device/requests/{NO_SUCH_ID}/decision?unknown=1"
    envelope = {"payloadType": "x", "payload": "", "signatures": [{"keyid": "", "sig": ""}]}

    async def code(path: str, body: bytes) -> str:
        return refused(await house.http.post(path, content=body, headers=JSON))[1]

    assert await code(path, b"{") == "invalid_json"
    assert await code(path, compact({"envelope": envelope})) == "invalid_request"
    assert await code("/v1/device/requests/x/decision", b"{}") == "invalid_request"


@pytest.mark.parametrize("text", ["x", "", NO_SUCH_ID.upper(), NO_SUCH_ID[:-1], "%2e%2e", "\xe9"])
@pytest.mark.parametrize("path", ["/v1/requests/{}", "/v1/requests/{}/receipt", "/v1/pairings/{}"])
async def test_malformed_id(house: House, path: str, text: str) -> None:
    """An id that is not a UUIDv7 in lower case names nothing."""
    assert refused(await house.get(path.format(text)))[:2] == (404, "not_found")


@pytest.mark.parametrize("text", ["x", NO_SUCH_DEVICE.replace("0", "A"), NO_SUCH_DEVICE + "0"])
async def test_malformed_fingerprint(house: House, text: str) -> None:
    """A fingerprint that is none names no device."""
    assert refused(await house.get(f"/v1/devices/{text}"))[:2] == (404, "not_found")


async def test_what_belongs_to_others_does_not_exist(house: House) -> None:
    """A request of another integrator is 404, as one that never was."""
    request = await house.ask(await house.device("alice"))
    path = f"/v1/requests/{request['request_id']}"
    headers = {"Authorization": f"Bearer {OTHER_API_KEY}"}

    theirs = await house.http.get(path, headers=headers)
    nobodys = await house.get(f"/v1/requests/{NO_SUCH_ID}")

    assert refused(theirs) == refused(nobodys)
    assert refused(theirs)[:2] == (404, "not_found")


async def test_every_answer_has_an_id_of_its_own(house: House) -> None:
    """Two answers never share an X-Request-Id."""
    answers = [await house.http.get("/healthz") for _ in range(2)]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
