"""What operators call: probes, metrics, and the last 500."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import house as served
from tests.relay.api.harness import ok, refused

from quorumkey_relay.api.application import Application
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio


async def test_health(house: House) -> None:
    """The process answers."""
    assert ok(await house.http.get("/healthz")) == {"status": "ok"}


async def test_readiness(house: House) -> None:
    """A relay that can serve says so."""
    assert ok(await house.http.get("/readyz")) == {"status": "ready"}


async def test_ready_with_warnings(house: House) -> None:
    """What an operator has to look at is told while the relay goes on serving."""
    house.relay.alarms.raise_alarm("push_credentials", "fcm", "Push through fcm is refused.")

    assert ok(await house.http.get("/readyz")) == {
        "status": "ready",
        "warnings": ["Push through fcm is refused."],
    }


async def test_not_ready(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that cannot serve answers 503 with the reasons."""

    def ready(_relay: object) -> list[str]:
        return ["The store cannot be written."]

    monkeypatch.setattr(type(house.relay), "ready", ready)

    answer = await house.http.get("/readyz")

    assert refused(answer) == (503, "store_unavailable", "The relay cannot serve now.")
    assert answer.json()["error"]["details"] == {"problems": ["The store cannot be written."]}


async def test_not_ready_while_going_down(house: House) -> None:
    """A relay that is going down says so to who still asks."""
    application = Application(house.relay)
    await application.drain()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/readyz",
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's own type
        sent.append(message)

    await application(scope, receive, send)

    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["details"] == {
        "problems": ["The relay is shutting down."]
    }


async def test_info(house: House) -> None:
    """The relay describes itself to anybody."""
    info = ok(await house.http.get("/v1/info"))

    assert info["relay"] == house.relay.keys.fingerprint(house.clock.now())
    assert info["attestation"] == "off"


async def test_metrics(house: House) -> None:
    """Calls are counted by route, so that ids make no new series."""
    await house.get("/v1/requests/0190a000-0000-7000-8000-00000000dead")
    await house.get("/v1/nowhere/at/all")

    answer = await house.http.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert (
        'quorumkey_http_requests_total{method="GET",route="/v1/requests/{request_id}",status="404"}'
        " 1.0" in lines
    )
    assert 'quorumkey_http_requests_total{method="ANY",route="unmatched",status="404"} 1.0' in lines


async def test_metrics_token(tmp_path: Path) -> None:
    """With a token set, /metrics asks for it."""
    async with served(tmp_path, metrics_token="a-token-of-metrics") as house:
        without = await house.http.get("/metrics")
        given = await house.http.get(
            "/metrics", headers={"Authorization": "Bearer a-token-of-metrics"}
        )

    assert refused(without) == (
        401,
        "unauthorized",
        "/metrics asks for the metrics token as Bearer.",
    )
    assert given.status_code == 200


async def test_a_store_that_is_gone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be reached is 503 with Retry-After."""

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(type(house.relay.usecases.list_requests), "__call__", fail)

    assert refused(await house.get("/v1/requests")) == (
        503,
        "store_unavailable",
        "The relay cannot reach its store; try again later.",
    )


async def test_a_bug(house: House, monkeypatch: pytest.MonkeyPatch, log: io.BytesIO) -> None:
    """A bug is 500 without a word of it; its type and place are logged under the call's id."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(type(house.relay.usecases.list_requests), "__call__", fail)

    answer = await house.get("/v1/requests")

    assert refused(answer) == (
        500,
        "internal_error",
        "The relay failed; the call may be tried again.",
    )
    assert "canary" not in log.getvalue().decode()
    (line,) = [
        line
        for line in map(json.loads, log.getvalue().splitlines())
        if line["event"] == "call_failed"
    ]
    assert line["error"] == "builtins.ZeroDivisionError"
    assert line["call_id"] == answer.headers["x-request-id"]


async def test_access_log(house: House, log: io.BytesIO) -> None:
    """Every call is logged by route, status, time and client, never by its path or headers."""
    path = "/v1/requests/0190a000-0000-7000-8000-00000000dead?wait_seconds=0"
    answer = await house.get(path)

    (line,) = [
        line
        for line in map(json.loads, log.getvalue().splitlines())
        if line.get("call_id") == answer.headers["x-request-id"]
    ]
    assert {name: line[name] for name in ("event", "method", "route", "status", "client")} == {
        "event": "request",
        "method": "GET",
        "route": "/v1/requests/{request_id}",
        "status": 404,
        "client": "127.0.0.1",
    }
    assert line["duration_ms"] >= 0
    assert "dead" not in json.dumps(line)
