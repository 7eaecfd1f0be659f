"""Sessions, session keys and the inbox of a device (§3, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, Integrator, ok, refused
from tests.e2e.protocol_crypto import Json, Key, epoch
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
UNSIGNED = (400, "invalid_signature")
UNAUTHORIZED = (401, "unauthorized")
NO_SUCH_ID = "0190a000-0000-7000-8000-00000000dead"


def get(device: Device, path: str, session: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and code of a refused read."""
    answer = device.relay.http.get(path, headers=session or device.session())
    return refused(answer)


def with_session_key(integrator: Integrator, person: str) -> tuple[Device, Key]:
    """A device that named a session key at its enrolment."""
    session_key = Key()
    device = Device(integrator.relay, Key(), session_key=session_key)
    ok(device.enrol(integrator.pairing(person)["pairing_code"]), 201)
    return device, session_key


def test_session_lives_15_minutes(world: World) -> None:
    """A session answers a token for 15 minutes, and then it is ``unauthorized``."""
    device = world.acme.device("ann")
    answer = ok(device.open_session())
    session = {"Authorization": f"Bearer {answer['token']}"}
    world.clock.advance(899)
    assert device.inbox(session=session) == []
    world.clock.advance(1)

    assert answer.keys() == {"token", "expires_at"}
    assert epoch(answer["expires_at"]) == world.relay.now()
    assert get(device, "/v1/device/requests", session) == UNAUTHORIZED


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer x", "Basic eDp5", "bearer", "Bearer " + "0" * 5000, "Bearer é"],
)
def test_unknown_token_is_unauthorized(world: World, value: str) -> None:
    """A missing or unknown token is 401 on every call that needs a session."""
    headers = {"Authorization": value.encode()}
    path = f"/v1/device/requests/{NO_SUCH_ID}"
    http = world.relay.http

    for method, url in (("GET", "/v1/device/requests"), ("GET", path), ("POST", f"{path}/ack")):
        assert refused(http.request(method, url)) == UNAUTHORIZED
        answer = http.request(method, url, headers=[(b"Authorization", headers["Authorization"])])
        assert refused(answer) == UNAUTHORIZED


def test_sessions_and_api_keys_are_not_exchanged(world: World) -> None:
    """A session token opens no integrator's call, an API key no device's."""
    device = world.acme.device("mixed")
    session = device.session()

    assert refused(world.relay.http.get("/v1/requests", headers=session)) == UNAUTHORIZED
    assert get(device, "/v1/device/requests", world.acme.bearer) == UNAUTHORIZED


def test_session_nonce_is_good_once(world: World) -> None:
    """A session statement that was used is 410 ``nonce_expired``."""
    device = world.acme.device("once")
    payload = device.said()
    ok(world.relay.send(device, "session", "/v1/device/session", payload))

    again = world.relay.send(device, "session", "/v1/device/session", payload)

    assert refused(again) == (410, "nonce_expired")


def test_session_for_another_relay_is_refused(world: World) -> None:
    """A session statement that names another relay is ``invalid_request``."""
    assert refused(world.acme.device("else").open_session(relay="00" * 32)) == INVALID


def test_session_for_another_audience_is_refused(tmp_path: Path) -> None:
    """A relay with configured origins refuses a session for any other."""
    with served(tmp_path, origins=("https://relay.test",)) as world:
        device = Device(world.relay, Key())
        text = world.acme.pairing("aud")["pairing_code"]
        ok(device.enrol(text, audience="https://relay.test"), 201)

        assert refused(device.open_session(audience="https://relay.tes")) == INVALID
        assert ok(device.open_session(audience="https://relay.test"))["token"]


def test_session_of_an_unknown_device_is_refused(world: World) -> None:
    """A key that never enrolled opens no session."""
    status, _ = refused(Device(world.relay, Key()).open_session())

    assert 400 <= status < 500


def test_session_signed_by_another_device_is_refused(world: World) -> None:
    """A session statement counts only under the key of the device that it names."""
    ann, ben = world.acme.devices("s-ann", "s-ben")

    assert refused(ann.open_session(ben.key)) == UNSIGNED


def test_unpaired_device_opens_no_session(world: World) -> None:
    """A device that unpaired everywhere is 403 ``device_revoked``."""
    device = world.acme.device("unpaired")
    assert device.unpair().status_code == 204

    assert refused(device.open_session()) == (403, "device_revoked")


def test_unpairing_voids_sessions(world: World) -> None:
    """Once an unpairing was answered its sessions are ``unauthorized``."""
    device = world.acme.device("voided")
    session = device.session()
    assert device.unpair().status_code == 204

    assert get(device, "/v1/device/requests", session) == UNAUTHORIZED


@pytest.mark.parametrize("is_deleted", [True, False])
def test_leaving_one_integrator_voids_sessions(world: World, *, is_deleted: bool) -> None:
    """Sessions end with any pairing of the device, and a new one opens while another is left."""
    device = world.acme.device("half-voided")
    ok(device.enrol(world.umbrella.pairing("half-voided")["pairing_code"]), 201)
    theirs = world.acme.asked([device])
    session = device.session()
    if is_deleted:
        assert world.acme.delete(f"/v1/devices/{device.fingerprint}").status_code == 204
    else:
        assert device.unpair(integrator_id=world.acme.integrator_id).status_code == 204

    assert get(device, "/v1/device/requests", session) == UNAUTHORIZED
    assert device.inbox() == []
    assert refused(device.decide(theirs)) == (403, "device_revoked")


def test_session_key_of_the_enrolment_opens_sessions(world: World) -> None:
    """A session key signs sessions with its own fingerprint as ``keyid``."""
    device, session_key = with_session_key(world.acme, "quiet")

    assert ok(device.open_session(session_key))["token"]
    assert ok(device.open_session())["token"]


def test_session_statement_of_the_device_replaces_the_session_key(world: World) -> None:
    """A session key named in a session statement replaces the earlier one."""
    device, old = with_session_key(world.acme, "rotated")
    young = Key()

    ok(device.open_session(session_public_key=young.public))

    assert ok(device.open_session(young))["token"]
    assert refused(device.open_session(old)) == UNSIGNED


def test_session_statement_without_a_key_keeps_it(world: World) -> None:
    """A session statement that names no session key leaves the earlier one."""
    device, session_key = with_session_key(world.acme, "kept")

    ok(device.open_session())

    assert ok(device.open_session(session_key))["token"]


def test_session_key_names_no_session_key(world: World) -> None:
    """Only the device key may name a session key."""
    device, session_key = with_session_key(world.acme, "usurper")
    thief = Key()

    status, _ = refused(device.open_session(session_key, session_public_key=thief.public))

    assert 400 <= status < 500
    assert refused(device.open_session(thief)) == UNSIGNED
    assert ok(device.open_session(session_key))["token"]


def test_session_key_decides_nothing(world: World) -> None:
    """A decision that a session key signed is not one of an approver."""
    device, session_key = with_session_key(world.acme, "tempted")
    request = world.acme.asked([device])
    payload = device.decision(request, "approve")

    answer = device.send_decision(request, session_key.seal("decision", payload))

    assert refused(answer) == (404, "not_found")
    assert world.acme.status(request) == "pending"


def test_session_key_unpairs_nothing(world: World) -> None:
    """An unpairing that a session key signed is ``invalid_signature``."""
    device, session_key = with_session_key(world.acme, "stays")
    envelope = session_key.seal("unpair", device.said(audience=False))

    answer = world.relay.post("/v1/device/unpair", {"envelope": envelope})

    assert refused(answer) == UNSIGNED
    assert world.acme.asked([device])["status"] == "pending"


def test_session_key_is_dropped_with_the_device(world: World) -> None:
    """A device that enrols again has no session key until it names one."""
    device, session_key = with_session_key(world.acme, "dropped")
    assert device.unpair().status_code == 204
    device.session_key = None
    ok(device.enrol(world.acme.pairing("dropped")["pairing_code"]), 201)

    assert refused(device.open_session(session_key)) == UNSIGNED


def test_inbox_item_has_the_members_of_the_page(world: World) -> None:
    """An item carries the request, the challenge, the device's group and the progress."""
    ann, ben = world.acme.devices("i-ann", "i-ben")
    request = world.acme.asked([ann], [ben])
    ok(ben.decide(request))

    (item,) = ann.inbox()
    document = ann.examine(
        item,
        relay_public_key=world.relay.info()["relay_public_key"],
        integrators={world.acme.integrator_id},
    )

    assert item.keys() == {
        "request_id", "request", "challenge", "group", "status", "groups_satisfied_count",
        "groups_required",
    }  # fmt: skip
    assert document["request_id"] == item["request_id"] == request["request_id"]
    assert item["group"] == "Group 1"
    assert item["status"] == "pending"
    assert (item["groups_satisfied_count"], item["groups_required"]) == (1, 2)


def test_inbox_holds_what_is_pending_for_me(world: World) -> None:
    """The inbox has pending requests that name the device; ``status=all`` has every one."""
    device, other = world.acme.devices("mine", "yours")
    done = world.acme.asked([device])
    ok(device.decide(done, "deny"))
    open_one = world.acme.asked([device])
    world.acme.asked([other])

    pending = [item["request_id"] for item in device.inbox()]
    every = {item["request_id"]: item for item in device.inbox("?status=all")}

    assert pending == [open_one["request_id"]]
    assert every.keys() == {done["request_id"], open_one["request_id"]}
    assert every[done["request_id"]]["my_decision"] == "deny"
    assert every[done["request_id"]]["status"] == "rejected"
    assert "my_decision" not in every[open_one["request_id"]]


def test_inbox_drops_what_expired(world: World) -> None:
    """A request that ran out is no longer pending in the inbox, and is ``timeout`` in full."""
    device = world.acme.device("expired")
    world.acme.asked([device], expires_in_seconds=60)
    world.clock.advance(60)

    assert device.inbox() == []
    assert [item["status"] for item in device.inbox("?status=all")] == ["timeout"]


def test_inbox_comes_in_pages(world: World) -> None:
    """The inbox is a list like the others: newest first, in pages."""
    device = world.acme.device("paged")
    made = [world.acme.asked([device])["request_id"] for _ in range(3)]
    session = device.session()
    http = world.relay.http
    first = ok(http.get("/v1/device/requests?limit=2", headers=session))
    path = f"/v1/device/requests?limit=2&cursor={first['next_cursor']}"
    second = ok(http.get(path, headers=session))

    assert [item["request_id"] for item in first["data"] + second["data"]] == made[::-1]
    assert second["next_cursor"] is None


def test_inbox_item_by_id(world: World) -> None:
    """One item answers itself and is the item of the list."""
    device = world.acme.device("single")
    request = world.acme.asked([device])
    path = f"/v1/device/requests/{request['request_id']}"

    item = ok(world.relay.http.get(path, headers=device.session()))

    assert [item] == device.inbox()


def test_challenge_is_signed_once_and_kept(world: World) -> None:
    """The challenge of a request and a device stays the same bytes."""
    device = world.acme.device("constant")
    world.acme.asked([device])

    assert device.inbox() == device.inbox()


@pytest.mark.parametrize("query", ["?status=x", "?status=", "?all=1", "?status=all&status=all"])
def test_inbox_refuses_unknown_queries(world: World, query: str) -> None:
    """Unknown query parameters and values are ``invalid_request``."""
    assert get(world.acme.device("q"), f"/v1/device/requests{query}") == INVALID


def test_request_of_others_is_not_found(world: World) -> None:
    """A request that does not name the device is 404, like one that does not exist."""
    device, other = world.acme.devices("outside", "inside")
    request = world.acme.asked([other])
    session = device.session()
    for request_id in (request["request_id"], NO_SUCH_ID, "x"):
        path = f"/v1/device/requests/{request_id}"
        ack = world.relay.http.post(f"{path}/ack", headers=session)

        assert get(device, path, session) == (404, "not_found")
        assert refused(ack) == (404, "not_found")


def test_ack_is_counted_and_answers_nothing(world: World) -> None:
    """An acknowledgement answers 204, twice too, and decides nothing."""
    device = world.acme.device("acker")
    request = world.acme.asked([device])
    path = f"/v1/device/requests/{request['request_id']}/ack"
    session = device.session()

    answers = [world.relay.http.post(path, headers=session) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert world.acme.status(request) == "pending"
    deliveries = ok(world.acme.get(f"/v1/requests/{request['request_id']}/deliveries"))
    assert '"acknowledged": 1' in str(deliveries).replace("'", '"')


def test_inbox_spans_integrators(world: World) -> None:
    """A device that two integrators paired sees the requests of both."""
    device = world.acme.device("shared")
    ok(device.enrol(world.umbrella.pairing("shared")["pairing_code"]), 201)
    made: list[Json] = [world.acme.asked([device]), world.umbrella.asked([device])]

    seen = {item["request_id"] for item in device.inbox()}

    assert seen == {request["request_id"] for request in made}
