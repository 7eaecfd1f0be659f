"""Rate limits over HTTP: who is charged for what (PROTOCOL §11)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import API_KEY, OTHER_API_KEY, ok, refused
from tests.relay.api.harness import house as served
from tests.relay.simulator import SimDevice

from quorumkey.protocol import b64encode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

WRONG_KEY = {"Authorization": "Bearer qk_test_" + "00" * 32}
NO_CODE = {"pairing_code": "0000-0000-0000"}


async def test_one_api_key(tmp_path: Path) -> None:
    """An API key has its calls a minute; the next is 429 and told when to come back."""
    async with served(tmp_path, rate_api_key=3) as house:
        for _ in range(3):
            ok(await house.get("/v1/requests"))
        over = await house.get("/v1/requests")
        other = await house.http.get(
            "/v1/requests", headers={"Authorization": f"Bearer {OTHER_API_KEY}"}
        )
        house.clock.advance(20)
        later = await house.get("/v1/requests")

    assert refused(over) == (429, "rate_limited", "Too many calls; try again in 20 s.")
    assert over.headers["retry-after"] == "20"
    assert other.status_code == 200
    assert later.status_code == 200


async def test_the_limit_comes_after_the_key_and_before_the_body(tmp_path: Path) -> None:
    """Over the limit, media type and key are still told first, and JSON is not looked at."""
    async with served(tmp_path, rate_api_key=1) as house:
        ok(await house.get("/v1/requests"))
        json = {"Content-Type": "application/json"}
        answers = [
            await house.http.post("/v1/requests", content=b"{", headers=headers)
            for headers in (house.bearer, WRONG_KEY | json, house.bearer | json)
        ]

    assert [refused(answer)[0] for answer in answers] == [415, 401, 429]


async def test_one_address_without_authentication(tmp_path: Path) -> None:
    """An address has its calls without authentication; a token is not charged to it."""
    async with served(tmp_path, rate_ip=3) as house:
        for _ in range(3):
            ok(await house.http.get("/v1/info"))
        over = await house.http.post("/v1/device/challenge")
        with_key = await house.get("/v1/requests")
        probe = await house.http.get("/healthz")
        house.clock.advance(20)
        later = await house.http.get("/v1/info")

    assert refused(over)[:2] == (429, "rate_limited")
    assert over.headers["retry-after"] == "20"
    assert [with_key.status_code, probe.status_code, later.status_code] == [200, 200, 200]


async def test_failures_of_one_address(tmp_path: Path) -> None:
    """After its failures an address is refused what could fail, even with the right code."""
    async with served(tmp_path, rate_ip_failures=2) as house:
        code = await house.pairing_code("alice")
        for _ in range(2):
            answer = await house.http.post("/v1/device/pairing", json=NO_CODE)
            assert refused(answer)[:2] == (404, "pairing_not_found")
        right = await house.http.post("/v1/device/pairing", json={"pairing_code": code})
        with_key = await house.get("/v1/requests")
        house.clock.advance(30)
        later = await house.http.post("/v1/device/pairing", json={"pairing_code": code})

    assert refused(right) == (429, "rate_limited", "Too many calls; try again in 30 s.")
    assert with_key.status_code == 200
    assert later.status_code == 200


async def test_successes_are_no_failures(tmp_path: Path) -> None:
    """Calls that succeed leave the failures' bucket alone."""
    async with served(tmp_path, rate_ip_failures=1) as house:
        for person in ("alice", "bob", "carol"):
            await house.device(person)


async def test_wrong_tokens_are_failures(tmp_path: Path) -> None:
    """A wrong token is 401 while the address may fail, then 429; the right one still works."""
    async with served(tmp_path, rate_ip_failures=2) as house:
        answers = [await house.http.get("/v1/requests", headers=WRONG_KEY) for _ in range(3)]
        right = await house.http.get("/v1/requests", headers={"Authorization": f"Bearer {API_KEY}"})
        without = await house.http.get("/v1/requests")

    assert [refused(answer)[0] for answer in answers] == [401, 401, 429]
    assert right.status_code == 200
    assert refused(without)[0] == 401


async def test_wrong_sessions_nonces_and_signatures_are_failures(tmp_path: Path) -> None:
    """Unknown sessions, spent nonces and wrong signatures are charged to the address."""
    async with served(tmp_path, rate_ip_failures=3) as house:
        device = await house.device("alice")
        codes: list[str] = []
        session = await house.http.get(
            "/v1/device/requests", headers={"Authorization": "Bearer unknown"}
        )
        codes.append(refused(session)[1])
        unknown_nonce = await house.session_envelope(device, b64encode(bytes(32)))
        forged = (await house.session_envelope(device)).to_json() | {
            "signatures": unknown_nonce.to_json()["signatures"]
        }
        for envelope in (unknown_nonce.to_json(), forged):
            answer = await house.http.post("/v1/device/session", json={"envelope": envelope})
            codes.append(refused(answer)[1])
        over = await house.http.get("/v1/info")

    assert codes == ["unauthorized", "nonce_expired", "invalid_signature"]
    assert refused(over)[0] == 429


async def test_one_device(tmp_path: Path) -> None:
    """A device has its calls, charged once its session or signature was verified."""
    async with served(tmp_path, rate_device=4) as house:
        device = SimDevice("alice")
        envelope = await house.enrollment(device, await house.pairing_code("alice"))
        body = {"envelope": envelope.to_json()}
        ok(await house.http.post("/v1/device/enroll", json=body), 201)
        session = await house.session(device)
        statuses = [
            (await house.http.get("/v1/device/requests", headers=session)).status_code
            for _ in range(6)
        ]

    assert 200 in statuses
    assert statuses[-1] == 429
    assert statuses == sorted(statuses)


async def test_addresses_behind_a_trusted_proxy(tmp_path: Path) -> None:
    """Behind a trusted proxy each client has its own bucket; an IPv6 network of /64 shares one."""
    proxies = (ipaddress.ip_network("127.0.0.0/8"),)
    async with served(tmp_path, rate_ip=1, trusted_proxies=proxies) as house:

        async def status(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return (await house.http.get("/v1/info", headers=headers)).status_code

        statuses = [
            await status(address)
            for address in (
                "192.0.2.1",
                "192.0.2.1",
                "192.0.2.2",
                "2001:db8::1",
                "2001:db8::2",
                "2001:db8:0:1::1",
            )
        ]

    assert statuses == [200, 429, 200, 200, 429, 200]


async def test_live_nonces_are_bounded(tmp_path: Path) -> None:
    """When too many nonces are live, no more are given out for the moment."""
    async with served(tmp_path, max_nonces=2) as house:
        for _ in range(2):
            await house.nonce()
        over = await house.http.post("/v1/device/challenge")

    assert refused(over)[:2] == (503, "store_unavailable")
