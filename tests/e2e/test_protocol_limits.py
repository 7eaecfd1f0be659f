"""Rates and bounds of §11, and what browsers of other origins may call (§1)."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, ok, refused
from tests.e2e.protocol_crypto import Key, b64
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import httpx2
    from tests.e2e.protocol_world import World

LIMITED = (429, "rate_limited")
NO_TOKEN = {"Authorization": "Bearer " + "x" * 43}
APP = "https://app.test"
CORS_ANSWER = "access-control-allow-origin"


def limited(answer: httpx2.Response) -> bool:
    """Whether a call was over a rate; then the answer says when to come back."""
    if answer.status_code != 429:
        return False
    assert refused(answer) == LIMITED
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    return True


def test_api_key_has_a_rate(tmp_path: Path) -> None:
    """Calls of one API key beyond its rate are 429, and another key is not touched."""
    with served(tmp_path, rate_api_key=5) as world:
        answers = [world.acme.get("/v1/requests") for _ in range(6)]

        assert [limited(answer) for answer in answers] == [False] * 5 + [True]
        assert world.umbrella.get("/v1/requests").status_code == 200
        world.clock.advance(60)
        assert world.acme.get("/v1/requests").status_code == 200


def test_rate_comes_before_the_body(tmp_path: Path) -> None:
    """A call over the rate is 429 whatever its body is, and 401 comes before it."""
    with served(tmp_path, rate_api_key=1) as world:
        ok(world.acme.get("/v1/requests"))

        assert refused(world.acme.raw("/v1/requests", b"no json")) == LIMITED
        assert refused(world.relay.http.get("/v1/requests")) == (401, "unauthorized")


def test_address_has_a_rate_without_authentication(tmp_path: Path) -> None:
    """Calls of one address without authentication beyond the rate are 429."""
    with served(tmp_path, rate_ip=5) as world:
        answers = [world.relay.http.post("/v1/device/challenge") for _ in range(6)]

        assert [limited(answer) for answer in answers] == [False] * 5 + [True]
        assert world.acme.get("/v1/requests").status_code == 200


NO_CODE = {"pairing_code": "0000-0000-0000"}
FAILURES: dict[str, Callable[[World], httpx2.Response]] = {
    "code": lambda world: world.relay.post("/v1/device/pairing", NO_CODE),
    "token": lambda world: world.relay.http.get("/v1/device/requests", headers=NO_TOKEN),
    "API key": lambda world: world.relay.http.get("/v1/requests", headers=NO_TOKEN),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_address_has_a_rate_of_failures(tmp_path: Path, kind: str) -> None:
    """Unknown codes, tokens and API keys beyond the rate of failures are 429."""
    with served(tmp_path, rate_ip_failures=5) as world:
        answers = [FAILURES[kind](world) for _ in range(6)]

        assert [limited(answer) for answer in answers] == [False] * 5 + [True]


@pytest.mark.parametrize("is_known", [True, False])
def test_address_has_a_rate_of_bad_statements(tmp_path: Path, *, is_known: bool) -> None:
    """Statements with an unknown nonce, or signed by nobody's key, beyond it are 429."""
    with served(tmp_path, rate_ip_failures=5) as world:
        stranger = Device(world.relay, Key())
        payloads = [stranger.said() for _ in range(6)]
        if not is_known:
            payloads = [payload | {"nonce": b64(bytes(32))} for payload in payloads]
        answers = [
            world.relay.send(stranger, "session", "/v1/device/session", payload)
            for payload in payloads
        ]

        assert [limited(answer) for answer in answers] == [False] * 5 + [True]


def test_configured_proxy_is_believed(tmp_path: Path) -> None:
    """``X-Forwarded-For`` from a configured proxy tells whose budget a call takes."""
    with served(tmp_path, rate_ip=2, trusted_proxies=(ip_network("127.0.0.0/8"),)) as world:
        addresses = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "198.51.100.1, 192.0.2.1"]
        answers = [
            world.relay.http.post("/v1/device/challenge", headers={"X-Forwarded-For": address})
            for address in addresses
        ]

        assert [limited(answer) for answer in answers] == [False, False, True, False, True]


def test_forwarded_address_is_not_believed(tmp_path: Path) -> None:
    """``X-Forwarded-For`` from a caller that is no configured proxy gives no new budget."""
    with served(tmp_path, rate_ip=5) as world:
        answers = [
            world.relay.http.post(
                "/v1/device/challenge", headers={"X-Forwarded-For": f"10.0.0.{n}"}
            )
            for n in range(6)
        ]

        assert [limited(answer) for answer in answers] == [False] * 5 + [True]


def test_device_has_a_rate(tmp_path: Path) -> None:
    """Verified calls of one device beyond its rate are 429."""
    with served(tmp_path, rate_device=10) as world:
        device, other = world.acme.devices("busy", "calm")
        session = device.session()
        answers = [world.relay.http.get("/v1/device/requests", headers=session) for _ in range(12)]

        assert any(limited(answer) for answer in answers)
        assert other.inbox() == []


def test_forgeries_spend_no_rate_of_the_device(tmp_path: Path) -> None:
    """Decisions under a device's name that do not verify leave its budget alone."""
    with served(tmp_path, rate_device=10) as world:
        device = world.acme.device("victim")
        request = world.acme.asked([device])
        forged = Key().seal("decision", device.decision(request, "approve"))
        forged["signatures"][0]["keyid"] = device.fingerprint
        for _ in range(30):
            assert refused(device.send_decision(request, forged)) == (400, "invalid_signature")

        assert ok(device.decide(request))["status"] == "approved"


def test_live_nonces_are_bounded(tmp_path: Path) -> None:
    """Beyond the bound of live nonces a challenge is 503, until some have run out."""
    with served(tmp_path, max_nonces=5) as world:
        answers = [world.relay.http.post("/v1/device/challenge") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [503]
        assert refused(answers[-1]) == (503, "store_unavailable")

        world.clock.advance(301)

        assert ok(world.relay.http.post("/v1/device/challenge"))["nonce"]


def test_info_counts_as_unauthenticated(tmp_path: Path) -> None:
    """``/v1/info`` needs no authentication and has the rate of calls without it."""
    with served(tmp_path, rate_ip=2) as world:
        answers = [world.relay.http.get("/v1/info") for _ in range(3)]

        assert [limited(answer) for answer in answers] == [False, False, True]


def preflight(world: World, path: str, origin: str) -> httpx2.Response:
    """What a browser asks before a call of a page of an origin."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    return world.relay.http.request("OPTIONS", path, headers=headers)


def test_no_other_origin_without_app_origin(world: World) -> None:
    """Without ``app_origin`` nothing answers CORS."""
    for path in ("/v1/device/challenge", "/v1/info", "/v1/requests"):
        assert CORS_ANSWER not in preflight(world, path, APP).headers
    answer = world.relay.http.post("/v1/device/challenge", headers={"Origin": APP})
    assert CORS_ANSWER not in answer.headers


@pytest.fixture(name="apart")
def app_apart(tmp_path: Path) -> Generator[World, None, None]:
    """A relay whose app is served from another origin."""
    with served(tmp_path, app_origin=APP) as running:
        yield running


def test_app_origin_may_call_the_devices_api(apart: World) -> None:
    """With ``app_origin`` the devices' API answers CORS for it, without credentials."""
    asked = preflight(apart, "/v1/device/challenge", APP)
    answer = apart.relay.http.post("/v1/device/challenge", headers={"Origin": APP})
    wrong = apart.relay.post("/v1/device/pairing", {}, Origin=APP)

    assert asked.status_code in {200, 204}
    assert asked.headers[CORS_ANSWER] == answer.headers[CORS_ANSWER] == APP
    assert wrong.headers[CORS_ANSWER] == APP
    assert "access-control-allow-credentials" not in answer.headers
    assert "POST" in asked.headers["access-control-allow-methods"]
    allowed = asked.headers["access-control-allow-headers"].lower()
    assert "content-type" in allowed
    assert "authorization" in allowed


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://app.test.evil.test"])
def test_no_origin_but_the_app(apart: World, origin: str) -> None:
    """Another origin gets no CORS answer."""
    answer = apart.relay.http.post("/v1/device/challenge", headers={"Origin": origin})

    assert CORS_ANSWER not in answer.headers
    assert CORS_ANSWER not in preflight(apart, "/v1/device/challenge", origin).headers


def test_app_origin_may_not_call_the_integrators_api(apart: World) -> None:
    """Outside of ``/v1/device/*`` nothing answers CORS."""
    for path in ("/v1/requests", "/v1/pairings", "/v1/devices", "/v1/events"):
        assert CORS_ANSWER not in preflight(apart, path, APP).headers


def test_pairing_url_and_passkeys_belong_to_the_app(apart: World) -> None:
    """With ``app_origin`` the pairing address, ``rp_id`` and origins are the app's."""
    assert str(apart.acme.pairing("a")["pairing_url"]).startswith(f"{APP}/app/pair#code=")
    assert apart.relay.info()["webauthn"] == {"rp_id": "app.test", "origins": [APP]}


def test_session_opens_with_generous_limits(world: World) -> None:
    """A device that is new to the relay can do all it needs within the default rates."""
    device = Device(world.relay, Key())
    ok(device.enrol(world.acme.pairing("fresh")["pairing_code"]), 201)

    assert device.inbox() == []
