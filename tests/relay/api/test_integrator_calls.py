"""Every call of an integrator, once as it is meant (PROTOCOL §4, §5, §8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import NO_SUCH_DEVICE, NO_SUCH_ID, ok, refused, request_body

from quorumkey.errors import MESSAGE_EXPIRES_IN_SECONDS, MESSAGE_REQUIRED_EXCEEDS_GROUPS

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio


async def test_asking(house: House) -> None:
    """A new request answers 201 with the request object, which a read answers too."""
    body = request_body(await house.device("alice"))

    created = ok(await house.post("/v1/requests", body), 201)

    assert created["status"] == "pending"
    assert ok(await house.get(f"/v1/requests/{created['request_id']}")) == created


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"required": 2}, MESSAGE_REQUIRED_EXCEEDS_GROUPS),
        ({"expires_in_seconds": 59}, MESSAGE_EXPIRES_IN_SECONDS),
        ({"expires_in_seconds": 901}, MESSAGE_EXPIRES_IN_SECONDS),
    ],
)
async def test_fixed_messages(house: House, members: dict[str, int], message: str) -> None:
    """Two refusals have their words from the protocol."""
    body = request_body(await house.device("alice")) | members

    answer = await house.post("/v1/requests", body)

    assert answer.status_code == 400
    assert answer.json()["error"] == {"code": "invalid_request", "message": message}


async def test_idempotency(house: House) -> None:
    """The same key and body answers the first answer again, the same key and another body 409."""
    device = await house.device("alice")
    body = request_body(device)

    first = await house.post("/v1/requests", body, Idempotency_Key="k 1")
    again = await house.post("/v1/requests", body, Idempotency_Key="k 1")
    other = await house.post(
        "/v1/requests", body | {"expires_in_seconds": 61}, Idempotency_Key="k 1"
    )
    elsewhere = await house.post(
        "/v1/pairings", {"approver": {"id": "alice"}}, Idempotency_Key="k 1"
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert refused(other)[:2] == (409, "idempotency_conflict")
    assert elsewhere.status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 256, "k\xe9y", "k\ty"])
async def test_malformed_idempotency_key(house: House, key: str) -> None:
    """An Idempotency-Key is 1 to 255 printable ASCII characters."""
    answer = await house.http.post(
        "/v1/pairings",
        json={"approver": {"id": "alice"}},
        headers={
            b"authorization": house.bearer["Authorization"].encode(),
            b"idempotency-key": key.encode("latin-1"),
        },
    )

    assert refused(answer) == (
        400,
        "invalid_request",
        "Idempotency-Key must be 1 to 255 printable ASCII characters.",
    )


async def test_waiting_for_the_end(house: House) -> None:
    """A long poll answers as soon as the request is no longer pending."""
    device = await house.device("alice")
    request = await house.ask(device)
    path = f"/v1/requests/{request['request_id']}?wait_seconds=60"
    polls = [asyncio.create_task(house.get(path)) for _ in range(2)]
    await house.http.get("/healthz")

    ok(await house.decide(device, request))

    assert [ok(await poll)["status"] for poll in polls] == ["approved", "approved"]
    assert ok(await house.get(path))["status"] == "approved"


async def test_waiting_for_what_is_not_there(house: House) -> None:
    """A long poll of an unknown request does not wait."""
    answer = await house.get(f"/v1/requests/{NO_SUCH_ID}?wait_seconds=60")

    assert refused(answer)[:2] == (404, "not_found")


async def test_leaving_while_waiting(house: House) -> None:
    """A client that leaves during a long poll ends it; nobody is answered."""
    request = await house.ask(await house.device("alice"))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.relay.settings.port)
    writer.write(
        f"GET /v1/requests/{request['request_id']}?wait_seconds=60 HTTP/1.1\r\nhost: relay\r\n"
        f"authorization: {house.bearer['Authorization']}\r\n\r\n".encode()
    )
    await house.http.get("/healthz")
    writer.write_eof()

    assert await reader.read() == b""
    writer.close()


async def test_cancelling(house: House) -> None:
    """A pending request can be withdrawn, and withdrawn again; a finished one cannot."""
    device = await house.device("alice")
    pending, approved = await house.ask(device), await house.ask(device)
    ok(await house.decide(device, approved))

    for _ in range(2):
        answer = ok(await house.post(f"/v1/requests/{pending['request_id']}/cancel"))
        assert answer["status"] == "cancelled"
    late = await house.post(f"/v1/requests/{approved['request_id']}/cancel", {})

    assert refused(late)[:2] == (409, "request_completed")


async def test_receipts(house: House) -> None:
    """A finished request has a receipt, which is an envelope; a pending one has none yet."""
    device = await house.device("alice")
    request = await house.ask(device)
    path = f"/v1/requests/{request['request_id']}/receipt"

    early = await house.get(path)
    ok(await house.decide(device, request))

    assert refused(early)[:2] == (409, "not_completed")
    assert ok(await house.get(path)).keys() == {"payloadType", "payload", "signatures"}


async def test_deliveries(house: House) -> None:
    """Deliveries are counted by group and channel."""
    request = await house.ask(await house.device("alice"))

    answer = ok(await house.get(f"/v1/requests/{request['request_id']}/deliveries"))

    assert answer["request_id"] == request["request_id"]
    assert [group["group"] for group in answer["groups"]] == ["Group 1"]


async def test_pairings(house: House) -> None:
    """A pairing is pending until a device has used its code, and then shows the device."""
    made = ok(await house.post("/v1/pairings", {"approver": {"id": "zoe"}}), 201)
    path = f"/v1/pairings/{made['pairing_id']}"

    assert ok(await house.get(path)) == {"pairing_id": made["pairing_id"], "status": "pending"}
    assert made["pairing_url"].startswith(f"{house.url}/app/pair#code={made['pairing_code']}&")
    assert refused(await house.get(f"/v1/pairings/{NO_SUCH_ID}"))[:2] == (404, "not_found")


async def test_devices(house: House) -> None:
    """A paired device is listed and read; once its pairing is ended requests cannot name it."""
    device = await house.device("yves")
    path = f"/v1/devices/{device.fingerprint}"

    (listed,) = ok(await house.get("/v1/devices?approver_id=yves"))["data"]
    assert ok(await house.get(path)) == listed
    assert listed["approver"] == {"id": "yves", "name": "Yves"}

    removed = await house.http.delete(path, headers=house.bearer)
    again = await house.http.delete(f"/v1/devices/{NO_SUCH_DEVICE}", headers=house.bearer)

    assert (removed.status_code, removed.content) == (204, b"")
    assert refused(again)[:2] in {(404, "not_found"), (404, "unknown_device")}
    assert refused(await house.post("/v1/requests", request_body(device)))[:2] == (
        404,
        "unknown_device",
    )
