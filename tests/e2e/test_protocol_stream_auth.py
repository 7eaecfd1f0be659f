"""Authentication on the devices' WebSocket (§3, §7): whose statement opens it, and whose not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from tests.e2e.protocol_client import Device, ok, refused
from tests.e2e.protocol_crypto import Json, Key, b64, payload_of, unb64
from tests.e2e.protocol_spoilt import SHAPES, SIGNATURES, with_sig
from tests.e2e.protocol_statements import KINDS, Statement, entry_of, sealed
from tests.e2e.protocol_stream import greeted, streaming
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_world import World

UNEXPECTED, BAD_AUTH, REVOKED = 4400, 4401, 4403


def asked_for(frame: Json) -> str:
    """The request that an ``approval_request`` frame is about."""
    assert frame.keys() == {"type", "challenge"}
    assert frame["type"] == "approval_request"
    return str(payload_of(frame["challenge"])["request_id"])


BAD_AUTHS: list[Json] = [
    {"nonce": b64(bytes(32))}, {"relay": "00" * 32}, {"device": "00" * 32},
    {"audience": "nonsense"}, {"v": 2}, {"extra": 1},
]  # fmt: skip


@pytest.mark.parametrize("members", BAD_AUTHS)
def test_bad_auth_is_4401(world: World, members: Json) -> None:
    """A session statement for another nonce, relay or device closes with 4401."""
    with greeted(world.acme.device("bad-auth")) as stream:
        stream.send(stream.auth(**members))

        assert stream.code() == BAD_AUTH


def test_auth_of_another_key_is_4401(world: World) -> None:
    """A session statement that another key signed closes with 4401."""
    ann, ben = world.acme.devices("k-ann", "k-ben")
    with greeted(ann) as stream:
        stream.send(stream.auth(ben.key))

        assert stream.code() == BAD_AUTH


def test_auth_of_a_stranger_is_4401(world: World) -> None:
    """A device that never enrolled is closed with 4401."""
    with greeted(Device(world.relay, Key())) as stream:
        stream.send(stream.auth())

        assert stream.code() == BAD_AUTH


def test_nonce_of_a_challenge_is_not_one_of_the_socket(world: World) -> None:
    """A nonce from ``/v1/device/challenge`` opens no socket."""
    with greeted(world.acme.device("challenged")) as stream:
        stream.send(stream.auth(nonce=world.relay.nonce()))

        assert stream.code() == BAD_AUTH


def test_nonce_of_another_socket_is_refused(world: World) -> None:
    """A nonce from one socket's hello opens no other socket."""
    device = world.acme.device("crossed")
    with greeted(device) as first, greeted(device) as second:
        second.send(second.auth(nonce=first.hello["nonce"]))

        assert second.code() == BAD_AUTH


def test_nonce_of_a_socket_is_not_one_of_the_calls(world: World) -> None:
    """A nonce from hello opens no session over HTTP."""
    device = world.acme.device("outside")
    with greeted(device) as stream:
        answer = device.open_session(nonce=stream.hello["nonce"])

        assert refused(answer) == (410, "nonce_expired")


def test_unpaired_device_is_4403(world: World) -> None:
    """A device that unpaired earlier is closed with 4403."""
    device = world.acme.device("gone")
    assert device.unpair().status_code == 204
    with greeted(device) as stream:
        stream.send(stream.auth())

        assert stream.code() == REVOKED


def test_session_key_opens_the_socket(world: World) -> None:
    """A session key authenticates the socket of its device."""
    session_key = Key()
    device = Device(world.relay, Key(), session_key=session_key)
    ok(device.enrol(world.acme.pairing("quiet")["pairing_code"]), 201)
    with greeted(device) as stream:
        stream.send(stream.auth(session_key))

        assert stream.next() == {"type": "ready"}


def test_socket_takes_no_other_audience(tmp_path: Path) -> None:
    """For a socket the audience is the http form of the origin that was dialled."""
    with served(tmp_path, origins=("https://relay.test",)) as world:
        device = Device(world.relay, Key())
        text = cast("str", world.acme.pairing("ws")["pairing_code"])
        ok(device.enrol(text, audience="https://relay.test"), 201)
        with greeted(device) as wrong, greeted(device) as right:
            wrong.send(wrong.auth(audience="wss://relay.test"))
            right.send(right.auth(audience="https://relay.test"))

            assert right.next() == {"type": "ready"}
            assert wrong.code() == BAD_AUTH


def test_unauthenticated_connection_replaces_nothing(world: World) -> None:
    """Only a connection that has authenticated replaces another."""
    device = world.acme.device("stable")
    with streaming(device) as older, greeted(device) as stream:
        stream.send(stream.auth(Key()))
        assert stream.code() == BAD_AUTH
        request = world.acme.asked([device])

        assert asked_for(older.next()) == request["request_id"]


@pytest.mark.parametrize("shape", SHAPES)
def test_envelope_of_another_shape_is_4401(world: World, shape: str) -> None:
    """An ``auth`` whose envelope is not of the page's shape and type opens nothing."""
    with greeted(world.acme.device("shape")) as stream:
        envelope = stream.auth()["envelope"]
        stream.send({"type": "auth", "envelope": SHAPES[shape](envelope)})

        assert stream.code() in {BAD_AUTH, UNEXPECTED}


@pytest.mark.parametrize("name", SIGNATURES)
def test_spoilt_signature_is_4401(world: World, name: str) -> None:
    """An ``auth`` whose signature is no strict DER, or is another one, closes with 4401."""
    with greeted(world.acme.device("sig")) as stream:
        envelope = stream.auth()["envelope"]
        spoilt = SIGNATURES[name](unb64(entry_of(envelope)["sig"]))
        stream.send({"type": "auth", "envelope": with_sig(envelope, spoilt)})

        assert stream.code() == BAD_AUTH


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "session"])
def test_other_statement_is_4401(world: World, statements: dict[str, Statement], kind: str) -> None:
    """A valid statement of another kind opens no socket."""
    with greeted(world.acme.device("kind")) as stream:
        stream.send({"type": "auth", "envelope": sealed(statements[kind])})

        assert stream.code() == BAD_AUTH


def test_auth_may_name_a_session_key(world: World) -> None:
    """A session statement over the socket names a session key like one over HTTP."""
    device, session_key = world.acme.device("over-socket"), Key()
    with greeted(device) as stream:
        stream.send(stream.auth(session_public_key=session_key.public))
        assert stream.next() == {"type": "ready"}

    assert ok(device.open_session(session_key))["token"]
