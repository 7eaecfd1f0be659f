"""Push addresses, unpairing and the integrator's view of devices (§4, §5, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, error_of, ok, refused
from tests.e2e.protocol_crypto import Json, Key, b64, b64url, epoch
from tests.e2e.protocol_pictogram import pictogram

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
UNSIGNED = (400, "invalid_signature")
UNKNOWN = (404, "unknown_device")
NOBODY = "/v1/devices/" + "00" * 32
POINT = b64url(b"\x04" + bytes(range(64)))
ADDRESSES: list[Json] = [
    {"channel": "none"},
    {"channel": "apns", "token": "0a" * 32, "topic": "com.acme.app", "environment": "production"},
    {"channel": "apns", "token": "0a" * 32, "topic": "com.acme.app", "environment": "sandbox"},
    {"channel": "fcm", "token": "dQw4:w9WgXcQ-_"},
]
BAD_ADDRESSES: list[object] = [
    {}, {"channel": "sms"}, {"channel": "none", "token": "x"}, {"channel": "fcm"}, "none",
    {"channel": "apns", "token": "zz", "topic": "a", "environment": "production"},
    {"channel": "apns", "token": "0a" * 32, "topic": "a", "environment": "prod"},
    {"channel": "apns", "token": "0a" * 32, "environment": "sandbox"},
    {"channel": "fcm", "token": None}, {"channel": "fcm", "token": ""}, None, [],
    {"channel": "webpush", "endpoint": "http://127.0.0.1/x", "p256dh": POINT, "auth": "AA"},
    {"channel": "webpush", "endpoint": "https://x", "p256dh": "!", "auth": b64url(bytes(16))},
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_push_address_is_set(world: World, address: Json) -> None:
    """A push statement of the device sets its address, in every channel's form."""
    device = world.acme.device("pushed")

    assert device.push(address).status_code == 200
    assert "0a0a0a" not in world.acme.get(f"/v1/devices/{device.fingerprint}").text


def test_push_address_of_web_push(world: World) -> None:
    """A Web Push subscription is taken as browsers give it."""
    key = b64url(Key().private.public_key().public_numbers().x.to_bytes(32, "big"))
    assert len(key) == 43
    device = world.acme.device("browser")
    address = {
        "channel": "webpush",
        "endpoint": "https://fcm.googleapis.com/fcm/send/abc",
        "p256dh": b64url(uncompressed(Key())),
        "auth": b64url(bytes(16)),
    }

    assert device.push(address).status_code == 200


def uncompressed(key: Key) -> bytes:
    """A public point as Web Push writes it."""
    numbers = key.private.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_push_address_of_no_known_form(world: World, address: object) -> None:
    """An address outside the page's forms is ``invalid_request``."""
    device = world.acme.device("badly-pushed")
    payload = device.said(audience=False) | {"push": address}
    envelope = device.key.seal("push", payload)

    answer = world.relay.http.put("/v1/device/push", json={"envelope": envelope})

    assert refused(answer) == INVALID


def test_push_statement_of_a_session_key(world: World) -> None:
    """A session key may change the push address."""
    session_key = Key()
    device = Device(world.relay, Key(), session_key=session_key)
    ok(device.enrol(world.acme.pairing("sk")["pairing_code"]), 201)

    assert device.push({"channel": "none"}, session_key).status_code == 200


def test_push_statement_of_another_key_is_refused(world: World) -> None:
    """Another device's key does not change the address."""
    ann, ben = world.acme.devices("p-ann", "p-ben")

    assert refused(ann.push({"channel": "none"}, ben.key)) == UNSIGNED


def test_push_statement_is_good_once(world: World) -> None:
    """A push statement that was used is 410 ``nonce_expired``."""
    device = world.acme.device("push-once")
    payload = device.said(audience=False) | {"push": {"channel": "none"}}
    body = {"envelope": device.key.seal("push", payload)}
    ok(world.relay.http.put("/v1/device/push", json=body))

    assert refused(world.relay.http.put("/v1/device/push", json=body)) == (410, "nonce_expired")


def test_push_statement_for_another_relay_is_refused(world: World) -> None:
    """A push statement that names another relay is ``invalid_request``."""
    device = world.acme.device("push-relay")

    assert refused(device.push({"channel": "none"}, relay="00" * 32)) == INVALID


def test_push_of_an_unpaired_device_is_refused(world: World) -> None:
    """A device that unpaired has no push address to set."""
    device = world.acme.device("push-gone")
    assert device.unpair().status_code == 204

    assert refused(device.push({"channel": "none"})) == (403, "device_revoked")


def enrol_with_push(device: Device, code: str, members: Json) -> tuple[int, str]:
    """Enrol with a push statement of the same nonce; status and code."""
    payload = device.enrollment(code)
    said = {name: payload[name] for name in ("relay", "nonce")}
    push = said | {"device": device.fingerprint, "push": {"channel": "none"}} | members
    answer = device.send_enrollment(payload, push=device.key.seal("push", push))
    return (201, "") if answer.status_code == 201 else refused(answer)


def test_push_statement_of_an_enrolment(world: World) -> None:
    """An enrolment may carry a push statement with its own nonce."""
    code = world.acme.pairing("with-push")["pairing_code"]

    assert enrol_with_push(Device(world.relay, Key()), code, {}) == (201, "")


@pytest.mark.parametrize(
    "members",
    [
        {"nonce": b64(bytes(32))},
        {"device": "00" * 32},
        {"relay": "00" * 32},
        {"push": {"channel": "x"}},
        {"extra": 1},
    ],
)
def test_push_statement_that_does_not_belong_to_the_enrolment(world: World, members: Json) -> None:
    """An enrolment whose push statement has another nonce, device or relay is refused whole."""
    code = world.acme.pairing("wrong-push")["pairing_code"]
    device = Device(world.relay, Key())

    status, _ = enrol_with_push(device, code, members)

    assert 400 <= status < 500
    assert ok(Device(world.relay, Key()).enrol(code), 201)


def test_push_statement_of_an_enrolment_signed_by_another(world: World) -> None:
    """An enrolment whose push statement another key signed is ``invalid_signature``."""
    device = Device(world.relay, Key())
    payload = device.enrollment(world.acme.pairing("forged-push")["pairing_code"])
    push = {name: payload[name] for name in ("relay", "nonce")} | {"device": device.fingerprint}
    envelope = Key().seal("push", push | {"push": {"channel": "none"}})

    assert refused(device.send_enrollment(payload, push=envelope)) == UNSIGNED


def test_unpairing_is_from_every_integrator(world: World) -> None:
    """Without ``integrator_id`` a device leaves every integrator."""
    device = world.acme.device("both")
    ok(device.enrol(world.umbrella.pairing("both")["pairing_code"]), 201)

    assert device.unpair().status_code == 204

    assert refused(world.acme.ask([device])) == UNKNOWN
    assert refused(world.umbrella.ask([device])) == UNKNOWN


def test_unpairing_from_one_integrator(world: World) -> None:
    """With ``integrator_id`` a device leaves that integrator only."""
    device = world.acme.device("half")
    ok(device.enrol(world.umbrella.pairing("half")["pairing_code"]), 201)

    assert device.unpair(integrator_id=world.acme.integrator_id).status_code == 204

    assert refused(world.acme.ask([device])) == UNKNOWN
    assert world.umbrella.asked([device])["status"] == "pending"
    assert ok(device.open_session())["token"]


def test_unpairing_is_good_once(world: World) -> None:
    """An unpairing that was used is 410 ``nonce_expired``, also after pairing again."""
    device = world.acme.device("replayed")
    body = {"envelope": device.key.seal("unpair", device.said(audience=False))}
    assert world.relay.post("/v1/device/unpair", body).status_code == 204
    ok(device.enrol(world.acme.pairing("replayed")["pairing_code"]), 201)

    assert refused(world.relay.post("/v1/device/unpair", body)) == (410, "nonce_expired")
    assert world.acme.asked([device])["status"] == "pending"


def test_unpairing_for_another_relay_is_refused(world: World) -> None:
    """An unpairing that names another relay is ``invalid_request``."""
    assert refused(world.acme.device("u-relay").unpair(relay="00" * 32)) == INVALID


def test_device_has_the_members_of_the_page(world: World) -> None:
    """A device answers its key, pictogram, platform, level and approver."""
    device = world.acme.device("shown")

    shown = ok(world.acme.get(f"/v1/devices/{device.fingerprint}"))

    assert epoch(shown.pop("enrolled_at")) == world.relay.now()
    assert shown == {
        "fingerprint": device.fingerprint,
        "device_public_key": device.key.public,
        "pictogram": pictogram(device.fingerprint),
        "platform": "cli",
        "assurance": "none",
        "approver": {"id": "shown", "name": "Shown"},
    }


def test_devices_by_approver_newest_first(world: World) -> None:
    """``approver_id`` keeps the devices of that approver, newest first, in pages."""
    made = world.acme.devices(*["pages ü&="] * 3)
    query = "?approver_id=pages%20%C3%BC%26%3D&limit=2"
    first = ok(world.acme.get(f"/v1/devices{query}"))
    second = ok(world.acme.get(f"/v1/devices{query}&cursor={first['next_cursor']}"))

    found = [one["fingerprint"] for one in first["data"] + second["data"]]

    assert found == [device.fingerprint for device in reversed(made)]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("query", ["?approver_id=", "?limit=0", "?cursor=x", "?person=a"])
def test_devices_refuse_unknown_queries(world: World, query: str) -> None:
    """Unknown query parameters and values are ``invalid_request``."""
    assert refused(world.acme.get(f"/v1/devices{query}")) == INVALID


def test_devices_of_another_integrator_are_unknown(world: World) -> None:
    """Another integrator's device is neither shown nor deleted, as if it did not exist."""
    device = world.acme.device("not-yours")
    path = f"/v1/devices/{device.fingerprint}"

    assert error_of(world.umbrella.get(path)) == error_of(world.umbrella.get(NOBODY))
    assert refused(world.umbrella.get(path))[0] == 404
    assert refused(world.umbrella.delete(path))[0] == 404
    assert world.acme.asked([device])["status"] == "pending"


@pytest.mark.parametrize("text", ["00" * 32, "x", "AB" * 32])
def test_unknown_device_is_not_found(world: World, text: str) -> None:
    """A fingerprint that is not there is 404."""
    status, _ = refused(world.acme.get(f"/v1/devices/{text}"))

    assert status == 404
    assert refused(world.acme.delete(f"/v1/devices/{text}"))[0] == 404


def test_deleting_ends_the_pairing(world: World) -> None:
    """Deleting answers 204, and the device is unknown from then on."""
    device = world.acme.device("deleted")
    session = device.session()

    answer = world.acme.delete(f"/v1/devices/{device.fingerprint}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert refused(world.acme.ask([device])) == UNKNOWN
    read = world.relay.http.get("/v1/device/requests", headers=session)
    assert refused(read) == (401, "unauthorized")
    ok(device.enrol(world.acme.pairing("deleted")["pairing_code"]), 201)


def test_deleting_leaves_other_integrators(world: World) -> None:
    """Deleting a device ends the caller's pairing only."""
    device = world.acme.device("kept-there")
    ok(device.enrol(world.umbrella.pairing("kept-there")["pairing_code"]), 201)

    assert world.acme.delete(f"/v1/devices/{device.fingerprint}").status_code == 204

    assert world.umbrella.asked([device])["status"] == "pending"
