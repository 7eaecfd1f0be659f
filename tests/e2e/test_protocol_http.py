"""HTTP as §2 says: order of refusal, methods, sizes, media types and JSON itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_calls import CALLS, NO_ID
from tests.e2e.protocol_client import error_of, ok, refused, request_body
from tests.e2e.protocol_crypto import Json, b64, compact, epoch, fingerprint_of, unb64
from tests.e2e.protocol_pictogram import pictogram, speakable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2
    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
BAD_JSON = (400, "invalid_json")
BODY_LIMIT = 65_536
REQUEST_LIMIT = 262_144

WITH_BODY = [(method, path) for method, path, body in CALLS if body]
INTEGRATORS = [
    (method, path)
    for method, path, _ in CALLS
    if path.startswith(("/v1/requests", "/v1/pairings", "/v1/devices", "/v1/events"))
]


def call(
    world: World, method: str, path: str, content: object = b"", **headers: str
) -> tuple[int, str]:
    """Status and code of a refused call with the integrator's key."""
    return refused(send(world, method, path, content, **headers))


def send(
    world: World, method: str, path: str, content: object = b"", **headers: str
) -> httpx2.Response:
    """Call with a raw body and the integrator's key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert isinstance(content, bytes)
    return world.relay.http.request(
        method, path, content=content, headers=world.acme.bearer | named
    )


def test_info_has_the_members_of_the_page(world: World) -> None:
    """``/v1/info`` tells key, pictogram, version, attestation, passkeys, successions and time."""
    info = ok(world.relay.http.get("/v1/info"))

    assert info.keys() == {
        "relay", "relay_public_key", "pictogram", "pictogram_speakable", "version",
        "attestation", "webauthn", "successions", "time",
    }  # fmt: skip
    assert info["relay"] == fingerprint_of(unb64(info["relay_public_key"]))
    assert info["pictogram"] == pictogram(info["relay"])
    assert info["pictogram_speakable"] == speakable(info["relay"])
    assert info["attestation"] == "off"
    assert info["webauthn"].keys() == {"rp_id", "origins"}
    assert info["successions"] == []
    assert epoch(info["time"]) == world.clock.now()


PATHS = [
    "/", "/v1", "/v1/", "/v1/request", "/v2/requests", "/v1/requests/", "/V1/info", "/v1/info/",
    "//v1/info", "/v1/device", "/v1/device/stream/x", "/v1/webhook", "/v1/requests/a/b", "/%00",
    "/v1/requests/a/receipt/", "/v1/%69nfo%00", "/v1/../v1/nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_unknown_path_comes_first(world: World, path: str) -> None:
    """An unknown path is 404 whatever method, size, type and key the call has."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        answer = world.relay.http.request(
            method, path, content=bytes(BODY_LIMIT + 1), headers={"Content-Type": "text/plain"}
        )
        assert refused(answer) == (404, "not_found")


@pytest.mark.parametrize(("method", "path", "_body"), CALLS)
def test_other_methods_come_second(world: World, method: str, path: str, _body: bool) -> None:  # noqa: FBT001 - a column of the table
    """A method that a path does not have is 405, before size, type and key are looked at."""
    has = {each for each, where, _ in CALLS if where == path}
    for other in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"} - has:
        answer = world.relay.http.request(
            other, path, content=bytes(BODY_LIMIT + 1), headers={"Content-Type": "text/plain"}
        )
        assert refused(answer) == (405, "method_not_allowed"), other
        assert method in answer.headers["allow"]


@pytest.mark.parametrize("method", ["BREW", "get", "OPTIONS"])
def test_methods_of_nobody(world: World, method: str) -> None:
    """A method that nothing has reaches nothing and changes nothing."""
    answer = world.relay.http.request(method, "/v1/device/challenge")

    assert answer.headers["x-request-id"]
    assert answer.status_code in {204, 400, 405}
    assert answer.status_code == 204 or refused(answer)
    assert "nonce" not in answer.text


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_size_comes_third(world: World, method: str, path: str) -> None:
    """A body over the limit is 413, before its type and the key are looked at."""
    limit = REQUEST_LIMIT if path == "/v1/requests" else BODY_LIMIT
    headers = {"Content-Type": "text/plain"}

    over = world.relay.http.request(method, path, content=bytes(limit + 1), headers=headers)
    within = world.relay.http.request(method, path, content=bytes(limit), headers=headers)

    assert refused(over) == (413, "payload_too_large")
    assert refused(within) == (415, "unsupported_media_type")


def chunks(total: int) -> Iterator[bytes]:
    """A body whose length is not told."""
    for _ in range(total // 1024):
        yield b" " * 1024
    yield b"{}"


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_size_of_a_chunked_body(world: World, method: str, path: str) -> None:
    """A body over the limit is 413 also when its length was not told."""
    headers = {"Content-Type": "application/json"}
    content = chunks(REQUEST_LIMIT if path == "/v1/requests" else BODY_LIMIT)

    answer = world.relay.http.request(method, path, content=content, headers=headers)

    assert refused(answer) == (413, "payload_too_large")


def test_body_of_exactly_the_limit_is_taken(world: World) -> None:
    """64 KiB are read, and 256 KiB at the creation of a request."""
    pairing = compact({"approver": {"id": "padded"}}).ljust(BODY_LIMIT)
    request = compact(request_body([world.acme.device("padded")])).ljust(REQUEST_LIMIT)

    assert world.acme.raw("/v1/pairings", pairing).status_code == 201
    assert world.acme.raw("/v1/requests", request).status_code == 201


KINDS = [
    "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json", "",
    "application/json; charset=latin-1", "application/json; charset=utf-16", "json",
    "application/json, text/plain", "application/vnd.api+json",
    "multipart/form-data; boundary=x", "application/json; version=1",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_media_type_comes_fourth(world: World, kind: str) -> None:
    """Another media type is 415, before the key is looked at."""
    for method, path in WITH_BODY:
        answer = world.relay.http.request(
            method, path, content=b"{}", headers={"Content-Type": kind}
        )
        assert refused(answer) == (415, "unsupported_media_type"), path


def test_media_type_is_needed(world: World) -> None:
    """A body without a media type is 415."""
    assert call(world, "POST", "/v1/pairings", b"{}") == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
    ],
)
def test_media_type_with_charset(world: World, kind: str) -> None:
    """``application/json`` is taken with and without ``charset=utf-8``, in any case."""
    body = compact({"approver": {"id": "typed"}})

    assert world.acme.raw("/v1/pairings", body, kind).status_code == 201


KEYS = [
    "", "Bearer", "Bearer x", "Bearer qk_test_" + "00" * 32, "Basic eDp5",
    "qk_test_" + "1a" * 32, "Bearer qk_live_" + "1a" * 32, "Bearer qk_test_" + "1A" * 32,
    "Bearer  qk_test_" + "1a" * 33,
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_authentication_comes_fifth(world: World, key: str) -> None:
    """A missing or unknown API key is 401, before the body is read."""
    for method, path in INTEGRATORS:
        content = b"no json" if method == "POST" and "/cancel" not in path else b""
        headers = {"Authorization": key, "Content-Type": "application/json"}
        answer = world.relay.http.request(method, path, content=content, headers=headers)
        assert refused(answer) == (401, "unauthorized"), path


@pytest.mark.parametrize("key", ["Bearer", "bearer", "BEARER"])
def test_authentication_scheme_has_no_case(world: World, key: str) -> None:
    """The scheme's name is compared without case (RFC 9110, 11.1)."""
    headers = {"Authorization": f"{key} {world.acme.api_key}"}

    assert world.relay.http.get("/v1/requests", headers=headers).status_code == 200


def deep(depth: int) -> bytes:
    """A body of a depth under an unknown member."""
    return b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


BROKEN: list[bytes] = [
    b"", b" ", b"{", b"}", b"{}{}", b"{} x", b"{'a':1}", b'{"a":1,}', b"[1,]", b'{"a"}', b"\xff",
    b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'\xef\xbb\xbf{"a":1}', b"nul",
    '{"a":1}'.encode("utf-16"), b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":"\\ud800\\u0041"}',
    b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}',
    b'{"a":1,"\\u0061":1}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}', b'{"a":1.}', b'{"a":0x1}',
    b'{"a":"\x00"}', b'{"a":"\t"}', b'{"a":"\\x"}', b"/**/{}", deep(33), deep(500), b"[" * 60_000,
    b'{"a":' * 10_000, b'{"a":1.0}', b'{"a":1e1}', b'{"a":-0}', b'{"a":9007199254740992}',
    b'{"a":-9007199254740992}', b'{"a":' + b"9" * 20_000 + b"}", b"\x00", b'{"a":1}\x00',
    b"NaN", b"1.5", b"\xc2\xa0{}", b'{"a":"\\ud83d"}',
]  # fmt: skip


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_json_comes_sixth(world: World, content: bytes) -> None:
    """Bytes that are not JSON as the page has it are ``invalid_json`` on every call."""
    for method, path in WITH_BODY:
        found = call(world, method, path, content, Content_Type="application/json")
        assert found == BAD_JSON, path


@pytest.mark.parametrize("content", [deep(32), b"[]", b"1", b'"x"', b"null", b"true", b'{"x":1}'])
def test_members_come_after_json(world: World, content: bytes) -> None:
    """JSON that is not the body of a call is ``invalid_request``, up to a depth of 32."""
    for method, path in WITH_BODY:
        found = call(world, method, path, content, Content_Type="application/json")
        assert found == INVALID, path


NO_BODY = [(method, path) for method, path, body in CALLS if not body and method == "POST"]


@pytest.mark.parametrize(("method", "path"), NO_BODY)
def test_calls_without_a_body_take_an_empty_object(world: World, method: str, path: str) -> None:
    """A call with no documented body takes none or ``{}``, and no other."""
    device = world.acme.device("bodiless")
    headers = device.session() if "/v1/device/" in path else world.acme.bearer
    headers |= {"Content-Type": "application/json"}
    http = world.relay.http
    none = http.request(method, path, headers=headers)
    empty = http.request(method, path, content=b"{}", headers=headers)
    other = http.request(method, path, content=b'{"a":1}', headers=headers)
    broken = http.request(method, path, content=b"{", headers=headers)

    assert none.status_code == empty.status_code
    assert none.status_code in {200, 404}
    assert refused(other) == INVALID
    assert refused(broken) == BAD_JSON


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_unknown_query_parameters_are_refused(
    world: World,
    method: str,
    path: str,
    body: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A query parameter that a call does not have is ``invalid_request``."""
    device = world.acme.device("asker")
    headers = device.session() if path.startswith("/v1/device/requests") else world.acme.bearer
    if body:
        headers |= {"Content-Type": "application/json"}
    content = b"{}" if body else b""

    answer = world.relay.http.request(
        method, f"{path}?surprise=1", content=content, headers=headers
    )

    assert refused(answer) == INVALID


def test_message_tells_nothing_of_others(world: World) -> None:
    """Refusals of one kind say the same whether the object exists for someone else or not."""
    request = world.acme.asked([world.acme.device("hidden")])
    theirs = world.umbrella.get(f"/v1/requests/{request['request_id']}")
    nobodys = world.umbrella.get(f"/v1/requests/{NO_ID}")

    assert error_of(theirs) == error_of(nobodys)


def test_request_ids_differ(world: World) -> None:
    """Every response has an ``X-Request-Id`` of its own."""
    seen = {world.relay.http.get("/v1/info").headers["x-request-id"] for _ in range(20)}

    assert len(seen) == 20


def test_non_canonical_base64_is_refused(world: World) -> None:
    """Spare bits, white space, the url-safe alphabet and missing padding are refused."""
    device = world.acme.device("strict")
    request = world.acme.asked([device])
    envelope = device.key.seal("decision", device.decision(request, "approve"))
    sig = str(envelope["signatures"][0]["sig"])
    payload = str(envelope["payload"])
    for changed in (f" {payload}", payload + "\n", payload + "=", "*" + payload, payload + "===="):
        answer = device.send_decision(request, envelope | {"payload": changed})
        assert refused(answer) == INVALID
    for changed in (sig.rstrip("=") + "A", sig + " ", "_" + sig[1:], b64(unb64(sig))[:-1]):
        entry: Json = {"keyid": device.fingerprint, "sig": changed}
        status, _ = refused(device.send_decision(request, envelope | {"signatures": [entry]}))
        assert status == 400
    assert world.acme.status(request) == "pending"
