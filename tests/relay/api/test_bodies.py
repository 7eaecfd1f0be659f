"""Bodies are read by the one strict JSON reader, then against their type (PROTOCOL §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import NO_SUCH_ID, compact, ok, refused, request_body
from tests.relay.simulator import SimDevice

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
PAIRING = {"approver": {"id": "alice"}}

NOT_JSON = {
    "nothing": b"",
    "text": b"required",
    "unfinished": b'{"approver":{"id":"alice"}',
    "two values": b"{}{}",
    "invalid UTF-8": b'{"approver":{"id":"\xff"}}',
    "UTF-16": '{"approver":{"id":"alice"}}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"approver":{"id":"alice"}}',
    "duplicate key": b'{"approver":{"id":"alice"},"approver":{"id":"bob"}}',
    "inner duplicate key": b'{"approver":{"id":"alice","id":"bob"}}',
    "lone surrogate": b'{"approver":{"id":"\\ud800"}}',
    "NaN": b'{"approver":{"id":"alice"},"expires_in_seconds":NaN}',
    "a point": b'{"approver":{"id":"alice"},"expires_in_seconds":600.0}',
    "an exponent": b'{"approver":{"id":"alice"},"expires_in_seconds":6e2}',
    "minus zero": b'{"approver":{"id":"alice"},"expires_in_seconds":-0}',
    "a great number": b'{"approver":{"id":"alice"},"expires_in_seconds":9007199254740992}',
    "deep nesting": b'{"approver":' + b"[" * 32 + b"]" * 32 + b"}",
    "very deep nesting": b"[" * 60_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_invalid_json(house: House, body: bytes) -> None:
    """What the strict reader refuses is 400 invalid_json."""
    answer = await house.http.post("/v1/pairings", content=body, headers=house.bearer | JSON)

    assert refused(answer)[:2] == (400, "invalid_json")


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_invalid_json_where_an_envelope_is_due(house: House, body: bytes) -> None:
    """Bodies that the kernel parses go through the same reader."""
    answer = await house.http.post("/v1/device/session", content=body, headers=JSON)

    assert refused(answer)[:2] == (400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "Expected `object`, got `array`"),
        ("x", "Expected `object`, got `str`"),
        (None, "Expected `object`, got `null`"),
        ({}, "Object missing required field `approver`"),
        ({"approver": {}}, "Object missing required field `id` - at `$.approver`"),
        (PAIRING | {"x": 1}, "Object contains unknown field `x`"),
        ({"approver": {"id": "a", "x": 1}}, "Object contains unknown field `x` - at `$.approver`"),
        ({"approver": {"id": 1}}, "Expected `str`, got `int` - at `$.approver.id`"),
        (PAIRING | {"expires_in_seconds": None}, "Expected `int`, got `null`"),
        (PAIRING | {"expires_in_seconds": True}, "Expected `int`, got `bool`"),
        (PAIRING | {"expires_in_seconds": "600"}, "Expected `int`, got `str`"),
    ],
)
async def test_body_of_another_shape(house: House, body: object, reason: str) -> None:
    """Unknown, missing, null and mistyped members are 400 invalid_request, saying where."""
    answer = await house.post("/v1/pairings", body if body is not None else None)
    if body is None:
        answer = await house.http.post("/v1/pairings", content=b"null", headers=house.bearer | JSON)

    status, code, message = refused(answer)

    assert (status, code) == (400, "invalid_request")
    assert message.startswith(f"The body is not valid: {reason}")


async def test_unknown_members_deep_inside(house: House) -> None:
    """A member that the protocol does not have is refused at any depth of a request."""
    body: dict[str, Any] = request_body(SimDevice("alice"))
    body["groups"][0]["approvers"][0]["surprise"] = 1

    status, code, message = refused(await house.post("/v1/requests", body))

    assert (status, code) == (400, "invalid_request")
    assert message == (
        "The body is not valid: Object contains unknown field `surprise`"
        " - at `$.groups[0].approvers[0]`."
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b"{}", "The body lacks its member 'envelope'."),
        (b'{"push":{}}', "The body has an unknown member 'push'."),
        (b'{"envelope":{},"x":1}', "The body has an unknown member 'x'."),
    ],
)
async def test_envelope_bodies(house: House, body: bytes, message: str) -> None:
    """A body that is to hold an envelope holds it and nothing else."""
    answer = await house.http.post("/v1/device/session", content=body, headers=JSON)

    assert refused(answer) == (400, "invalid_request", message)


@pytest.mark.parametrize("envelope", [None, [], {}, "x", {"payloadType": 1}])
async def test_envelopes_of_another_shape(house: House, envelope: object) -> None:
    """An envelope that is none is 400 invalid_request, on every route that takes one."""
    for method, path in (
        ("POST", "/v1/device/session"),
        ("POST", "/v1/device/enroll"),
        ("POST", "/v1/device/unpair"),
        ("PUT", "/v1/device/push"),
        ("POST", f"/v1/device/requests/{NO_SUCH_ID}/decision"),
    ):
        body = compact({"envelope": envelope})
        answer = await house.http.request(method, path, content=body, headers=JSON)

        assert refused(answer)[:2] == (400, "invalid_request")


@pytest.mark.parametrize(
    "extra",
    [
        {"push": None},
        {"attestation": None},
        {"attestation": {}},
        {"attestation": {"format": "tpm"}},
        {"attestation": {"format": "none", "x": 1}},
        {"x": 1},
    ],
)
async def test_enrolment_members(house: House, extra: dict[str, object]) -> None:
    """The optional members of an enrolment are absent or of their type."""
    device = SimDevice("alice")
    envelope = await house.enrollment(device, await house.pairing_code("alice"))
    body = {"envelope": envelope.to_json()} | extra

    assert refused(await house.http.post("/v1/device/enroll", json=body))[:2] == (
        400,
        "invalid_request",
    )


@pytest.mark.parametrize("body", [b"", b"{}", b" { } "])
async def test_calls_without_a_documented_body(house: House, body: bytes) -> None:
    """Such a call takes no body, or an empty object."""
    headers = JSON if body else {}

    ok(await house.http.post("/v1/device/challenge", content=body, headers=headers))


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"x":1}', "invalid_request"), (b"[]", "invalid_request"), (b"x", "invalid_json")],
)
async def test_calls_without_a_documented_body_take_no_other(
    house: House, body: bytes, code: str
) -> None:
    """Anything else in their body is refused."""
    answer = await house.http.post("/v1/device/challenge", content=body, headers=JSON)

    assert refused(answer)[:2] == (400, code)


async def test_reads_refuse_a_body_too(house: House) -> None:
    """A GET with a body is held to the same rule."""
    answer = await house.http.request(
        "GET", "/v1/devices", content=b"[1]", headers=house.bearer | JSON
    )

    assert refused(answer) == (
        400,
        "invalid_request",
        "This call takes no body, or an empty object.",
    )
