"""Every call of a device, once as it is meant (PROTOCOL §4, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import NO_SUCH_ID, ok, refused
from tests.relay.simulator import SimDevice

from quorumkey.protocol import Kind, NoPushAddress, Push, sign

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio


async def test_enrolling(house: House) -> None:
    """A code is previewed, spent by one device with 201, and answers that device again with 200."""
    code = await house.pairing_code("alice")
    device = SimDevice("alice")

    preview = ok(await house.http.post("/v1/device/pairing", json={"pairing_code": code}))
    answers = [
        await house.http.post(
            "/v1/device/enroll",
            json={
                "envelope": (await house.enrollment(device, code)).to_json(),
                "attestation": {"format": "none"},
            },
        )
        for _ in range(2)
    ]

    assert preview["integrator"]["name"] == "Acme Corp"
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["fingerprint"] == device.fingerprint


async def test_enrolling_with_a_spent_code(house: House) -> None:
    """A code that another device has used enrols no more."""
    code = await house.pairing_code("alice")
    answers = [
        await house.http.post(
            "/v1/device/enroll",
            json={"envelope": (await house.enrollment(SimDevice("alice"), code)).to_json()},
        )
        for _ in range(2)
    ]

    assert answers[0].status_code == 201
    assert refused(answers[1])[:2] == (410, "pairing_expired")


async def test_enrolling_with_a_push_address(house: House) -> None:
    """A push envelope with the enrollment's nonce is taken along."""
    device = SimDevice("alice")
    nonce = await house.nonce()
    envelope = await house.enrollment(device, await house.pairing_code("alice"), nonce=nonce)
    push = Push(
        relay=await house.fingerprint(),
        nonce=nonce,
        device=device.fingerprint,
        push=NoPushAddress(),
    )
    body = {
        "envelope": envelope.to_json(),
        "push": sign(Kind.PUSH, push.encode(), device.key).to_json(),
    }

    ok(await house.http.post("/v1/device/enroll", json=body), 201)


async def test_reading(house: House) -> None:
    """With a session a device lists and reads what waits for it, and says that it was shown."""
    device = await house.device("alice")
    session = await house.session(device)
    request = await house.ask(device)
    path = f"/v1/device/requests/{request['request_id']}"

    page = ok(await house.http.get("/v1/device/requests", headers=session))
    one = ok(await house.http.get(path, headers=session))
    shown = await house.http.post(f"{path}/ack", headers=session)

    assert page == {"data": [one], "next_cursor": None}
    assert one["request_id"] == request["request_id"]
    assert one["request"].keys() == {"payloadType", "payload", "signatures"}
    assert (shown.status_code, shown.content) == (204, b"")


async def test_reading_what_is_not_for_it(house: House) -> None:
    """A request that does not name the device is 404 to read and to acknowledge."""
    session = await house.session(await house.device("bob"))
    request = await house.ask(await house.device("alice"))
    path = f"/v1/device/requests/{request['request_id']}"

    assert refused(await house.http.get(path, headers=session))[:2] == (404, "not_found")
    ack = await house.http.post(f"{path}/ack", headers=session)
    assert refused(ack)[:2] == (404, "not_found")


async def test_deciding(house: House) -> None:
    """A signed decision is counted; the same again answers the same."""
    device = await house.device("alice")
    request = await house.ask(device)

    first = ok(await house.decide(device, request))
    again = ok(await house.decide(device, request))
    other = await house.decide(device, request, "deny")

    assert (
        first
        == again
        == {
            "status": "approved",
            "groups_satisfied_count": 1,
            "groups_required": 1,
            "decision": "approve",
        }
    )
    assert refused(other)[:2] == (409, "already_decided")


async def test_deciding_what_is_not_there(house: House) -> None:
    """A decision on an unknown request, or by a stranger, is 404."""
    request = await house.ask(await house.device("alice"))
    stranger = SimDevice("mallory")

    by_stranger = await house.decide(stranger, request)
    unknown = await house.decide(stranger, request | {"request_id": NO_SUCH_ID})

    assert refused(by_stranger) == refused(unknown)
    assert refused(unknown)[:2] == (404, "not_found")


async def test_changing_the_push_address(house: House) -> None:
    """A signed push statement is answered with an empty object."""
    device = await house.device("alice")
    push = Push(
        relay=await house.fingerprint(),
        nonce=await house.nonce(),
        device=device.fingerprint,
        push=NoPushAddress(),
    )
    envelope = sign(Kind.PUSH, push.encode(), device.key).to_json()

    answer = await house.http.put("/v1/device/push", json={"envelope": envelope})

    assert ok(answer) == {}


async def test_unpairing(house: House) -> None:
    """A device ends its pairings with 204, and its session is void with it."""
    device = await house.device("alice")
    session = await house.session(device)
    envelope = (await house.unpair_envelope(device)).to_json()

    answer = await house.http.post("/v1/device/unpair", json={"envelope": envelope})
    late = await house.http.get("/v1/device/requests", headers=session)

    assert (answer.status_code, answer.content) == (204, b"")
    assert refused(late)[:2] == (401, "unauthorized")
