"""HEAD, OPTIONS and cross-origin calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import house as served
from tests.relay.api.harness import ok, refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

APP = "https://approve.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


async def test_head_is_get_without_a_body(house: House) -> None:
    """HEAD answers what GET does, without content."""
    head = await house.http.head("/v1/info")
    get = await house.http.get("/v1/info")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/device/stream"])
async def test_streams_have_no_head(house: House, path: str) -> None:
    """What never ends cannot be asked for its head."""
    answer = await house.http.head(path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, OPTIONS"


async def test_options_tells_the_methods(house: House) -> None:
    """OPTIONS on a path answers 204 and what it allows."""
    answer = await house.http.options("/v1/device/push")

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "OPTIONS, PUT"
    assert answer.headers["x-request-id"]
    assert "content-length" not in answer.headers
    assert refused(await house.http.options("/v1/unknown"))[:2] == (404, "not_found")


async def test_without_an_app_origin_there_is_no_cors(house: House) -> None:
    """A relay that serves its own app lets no other origin read."""
    headers = {"Origin": APP}
    call = await house.http.post("/v1/device/challenge", headers=headers)
    preflight = await house.http.options("/v1/device/challenge", headers=headers | PREFLIGHT)

    for answer in (call, preflight):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_app_origin_may_call_devices_routes(tmp_path: Path) -> None:
    """The configured app may send, and read answers and refusals, without credentials."""
    async with served(tmp_path, app_origin=APP) as house:
        headers = {"Origin": APP}
        call = await house.http.post("/v1/device/challenge", headers=headers)
        refusal = await house.http.post("/v1/device/session", headers=headers)
        preflight = await house.http.options(
            "/v1/device/session",
            headers=headers | PREFLIGHT | {"Access-Control-Request-Headers": "content-type"},
        )

    ok(call)
    assert refused(refusal)[:2] == (400, "invalid_json")
    assert preflight.status_code == 204
    for answer in (call, refusal, preflight):
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers
    assert preflight.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert preflight.headers["access-control-allow-headers"] == "authorization, content-type"
    assert call.headers["access-control-expose-headers"] == "x-request-id, retry-after"


async def test_other_origins_and_routes_get_no_cors(tmp_path: Path) -> None:
    """Neither another origin nor another part of the API is opened by the app's origin."""
    async with served(tmp_path, app_origin=APP) as house:
        other = {"Origin": "https://evil.example"}
        answers = [
            await house.http.post("/v1/device/challenge", headers=other),
            await house.http.options("/v1/device/challenge", headers=other | PREFLIGHT),
            await house.http.get("/v1/requests", headers={"Origin": APP}),
            await house.http.options("/v1/requests", headers={"Origin": APP} | PREFLIGHT),
        ]

    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert [answer.headers.get("vary") for answer in answers] == ["origin", "origin", None, None]
