"""The devices' WebSocket (§7): its frames, its order and every close code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import ok
from tests.e2e.protocol_crypto import Json, payload_of, verify
from tests.e2e.protocol_stream import dial, greeted, streaming, until
from tests.e2e.protocol_world import served
from websockets.exceptions import InvalidStatus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_world import World

MESSAGE_TOO_BIG = 1009  # RFC 6455, 7.4.1
UNEXPECTED, REVOKED, LATE, REPLACED, SHUTTING_DOWN = 4400, 4403, 4408, 4409, 4503


def asked_for(frame: Json) -> str:
    """The request that an ``approval_request`` frame is about."""
    assert frame.keys() == {"type", "challenge"}
    assert frame["type"] == "approval_request"
    return str(payload_of(frame["challenge"])["request_id"])


def test_new_request_reaches_a_connected_device(world: World) -> None:
    """A connected device gets the signed challenge of a new request."""
    device = world.acme.device("ann")
    with streaming(device) as stream:
        request = world.acme.asked([device])
        frame = stream.next()

    challenge = verify(frame["challenge"], "challenge", world.relay.info()["relay_public_key"])
    assert challenge == {
        "relay": world.relay.info()["relay"],
        "request_id": request["request_id"],
        "request_digest": request["request_digest"],
        "device": device.fingerprint,
        "integrator_name": world.acme.name,
        "expires_at": request["expires_at"],
    }
    assert asked_for(frame) == request["request_id"]


def test_challenge_of_the_socket_is_that_of_the_inbox(world: World) -> None:
    """The challenge is signed once: socket and inbox carry the same envelope."""
    device = world.acme.device("same")
    with streaming(device) as stream:
        world.acme.asked([device])
        frame = stream.next()

    assert frame["challenge"] == device.inbox()[0]["challenge"]


def test_pending_requests_come_oldest_first(world: World) -> None:
    """After ``ready`` come the requests that are pending, oldest first, and no finished one."""
    device = world.acme.device("backlog")
    requests = [world.acme.asked([device]) for _ in range(4)]
    ok(world.acme.post(f"/v1/requests/{requests[1]['request_id']}/cancel"))
    with streaming(device) as stream:
        seen = [asked_for(stream.next()) for _ in range(3)]

    expected = [requests[index]["request_id"] for index in (0, 2, 3)]
    assert seen == expected


def test_progress_and_end_are_told(world: World) -> None:
    """The others hear of each change of the quorum and of the end."""
    ann, ben, cem = world.acme.devices("p-ann", "p-ben", "p-cem")
    with streaming(cem) as stream:
        request = world.acme.asked([ann], [ben], [cem], required=2)
        asked_for(stream.next())
        ok(ann.decide(request))
        progress = stream.next()
        ok(ben.decide(request))
        frames = [stream.next()]
        if frames[-1]["type"] == "request_progress":
            frames.append(stream.next())

    request_id = request["request_id"]
    assert progress == {
        "type": "request_progress",
        "request_id": request_id,
        "groups_satisfied_count": 1,
        "groups_required": 2,
    }
    assert frames[-1] == {
        "type": "request_resolved",
        "request_id": request_id,
        "status": "approved",
    }


@pytest.mark.parametrize("end", ["rejected", "cancelled", "timeout"])
def test_every_end_is_told(world: World, end: str) -> None:
    """Denial, cancellation and running out are told to a connected device."""
    ann, ben = world.acme.devices("e-ann", "e-ben")
    with streaming(ann) as stream:
        request = world.acme.asked([ann], [ben], expires_in_seconds=60)
        asked_for(stream.next())
        if end == "rejected":
            ok(ben.decide(request, "deny"))
        elif end == "cancelled":
            ok(world.acme.post(f"/v1/requests/{request['request_id']}/cancel"))
        else:
            world.clock.advance(60)
        frame = stream.next()

    assert frame == {
        "type": "request_resolved",
        "request_id": request["request_id"],
        "status": end,
    }


def test_requests_of_others_are_not_told(world: World) -> None:
    """A device hears nothing of requests that do not name it."""
    device, other = world.acme.devices("deaf", "named")
    with streaming(device) as stream:
        ok(other.decide(world.acme.asked([other])))
        mine = world.acme.asked([device])

        assert asked_for(stream.next()) == mine["request_id"]


def test_ack_is_counted(world: World) -> None:
    """An acknowledgement over the socket stands in the deliveries."""
    device = world.acme.device("acker")
    request = world.acme.asked([device])
    path = f"/v1/requests/{request['request_id']}/deliveries"
    with streaming(device) as stream:
        asked_for(stream.next())
        stream.send({"type": "ack", "request_id": request["request_id"]})

        assert until(lambda: "'acknowledged': 1" in str(ok(world.acme.get(path))))


@pytest.mark.parametrize("offered", ["quorumkey.v2", "chat", "QUORUMKEY.V1"])
def test_other_subprotocol_is_refused(world: World, offered: str) -> None:
    """Without ``quorumkey.v1`` among the offered sub-protocols the answer is 400."""
    with pytest.raises(InvalidStatus) as caught, dial(world.relay, offered):
        pass

    assert caught.value.response.status_code == 400
    assert caught.value.response.headers["x-request-id"]


def test_subprotocol_among_others_is_chosen(world: World) -> None:
    """``quorumkey.v1`` is chosen wherever it stands among the offered."""
    with dial(world.relay, "chat", "quorumkey.v1") as socket:
        assert socket.subprotocol == "quorumkey.v1"


def test_socket_refuses_query_parameters(world: World) -> None:
    """The socket has no query parameters."""
    with pytest.raises(InvalidStatus) as caught, dial(world.relay, query="?token=x"):
        pass

    assert caught.value.response.status_code == 400


FRAMES: list[object] = [
    b"{}", "", "x", "{}", "[]", {"type": "ping"}, {"type": "ack", "request_id": "x"}, {"type": 1},
    {"type": "auth"}, {"type": "hello"}, '{"type":"auth","type":"auth"}', '{"type":"auth"',
    {"type": "auth", "envelope": {}, "extra": 1}, "\ud7ff",
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_unexpected_first_frame_is_4400(world: World, frame: object) -> None:
    """Before ``ready`` anything but a well-formed ``auth`` closes with 4400."""
    with greeted(world.acme.device("first")) as stream:
        stream.send(frame)

        assert stream.code() == UNEXPECTED


LATER: list[object] = [
    b"{}", "", "x", "{}", {"type": "ping"}, {"type": "ack"}, {"type": "ack", "request_id": 1},
    {"type": "ack", "request_id": "0190a000-0000-7000-8000-00000000dead", "extra": 1},
    {"type": "decision"}, '{"type":"ack","type":"ack"}', {"type": "ready"}, {"type": "Ack"},
]  # fmt: skip


@pytest.mark.parametrize("frame", LATER, ids=range(len(LATER)))
def test_unexpected_later_frame_is_4400(world: World, frame: object) -> None:
    """After ``ready`` anything but an ``ack`` closes with 4400."""
    with streaming(world.acme.device("later")) as stream:
        stream.send(frame)

        assert stream.code() == UNEXPECTED


def test_second_auth_is_4400(world: World) -> None:
    """A second ``auth`` closes with 4400."""
    with streaming(world.acme.device("twice")) as stream:
        stream.send(stream.auth())

        assert stream.code() == UNEXPECTED


def test_frame_over_64_kib_closes(world: World) -> None:
    """A frame of more than 64 KiB ends the connection."""
    with greeted(world.acme.device("long")) as stream:
        stream.send("x" * 65_537)

        assert stream.code() == MESSAGE_TOO_BIG


def test_unpairing_closes_the_socket_with_4403(world: World) -> None:
    """Once an unpairing was answered the device's socket is closed with 4403."""
    device = world.acme.device("leaving")
    with streaming(device) as stream:
        assert device.unpair().status_code == 204

        assert stream.code() == REVOKED


def test_deleting_closes_the_socket_with_4403(world: World) -> None:
    """Once an integrator deleted a device its socket is closed with 4403."""
    device = world.acme.device("thrown-out")
    with streaming(device) as stream:
        assert world.acme.delete(f"/v1/devices/{device.fingerprint}").status_code == 204

        assert stream.code() == REVOKED


def test_newer_connection_replaces_the_older(world: World) -> None:
    """A second connection of a device closes the first with 4409 and goes on itself."""
    device = world.acme.device("doubled")
    with streaming(device) as older, streaming(device) as newer:
        assert older.code() == REPLACED
        request = world.acme.asked([device])

        assert asked_for(newer.next()) == request["request_id"]


@pytest.mark.slow
def test_no_auth_in_ten_seconds_is_4408(world: World) -> None:
    """A connection that does not authenticate in 10 s is closed with 4408."""
    with greeted(world.acme.device("slow")) as stream:
        assert stream.code() == LATE


def test_shutdown_is_4503(tmp_path: Path) -> None:
    """A relay that shuts down closes sockets with 4503, authenticated or not."""
    with served(tmp_path) as world:
        cut, early = world.acme.devices("cut", "early")
        with streaming(cut) as ready, greeted(early) as waiting:
            world.stopping.set()

            assert [ready.code(), waiting.code()] == [SHUTTING_DOWN] * 2


def test_unauthenticated_sockets_are_bounded(tmp_path: Path) -> None:
    """Beyond the bound of unauthenticated sockets the answer is 503 with ``Retry-After``."""
    with served(tmp_path, max_unauthenticated_sockets=2) as world:
        device = world.acme.device("crowd")
        with greeted(device) as first, greeted(device):
            with pytest.raises(InvalidStatus) as caught, dial(world.relay):
                pass
            first.opened()
            with greeted(device) as third:
                assert third.hello["relay"] == first.hello["relay"]

        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["retry-after"]
