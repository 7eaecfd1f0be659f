"""Sessions and streams: who may open them, and what a session key may sign."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    AUDIENCE,
    SimDevice,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import Kind, PrivateKey, b64encode, sign
from quorumkey_relay.identity.sessions import Sessions

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import Envelope
    from quorumkey_relay.domain.refusal import Refusal

pytestmark = pytest.mark.anyio


async def refusal(sim: Simulator, envelope: Envelope) -> Refusal:
    """Why a session is not opened."""
    return await refused(sim.use.open_session(envelope=envelope))


async def with_session_key(sim: Simulator, person: str = "alice") -> tuple[SimDevice, PrivateKey]:
    """A device that named a session key when it enrolled."""
    device, key = SimDevice(person), PrivateKey.generate()
    await sim.admit(device, session_public_key=key.public_key.base64)
    return device, key


async def test_a_session_lasts_a_quarter_of_an_hour(sim: Simulator) -> None:
    """The token names its device until ``expires_at`` and not in that second."""
    alice = await sim.device("alice")

    view = await granted(sim.use.open_session(envelope=await sim.session(alice)))

    sim.clock.advance(899)
    before = sim.use.device_of_token(view.token)
    sim.clock.advance(1)
    after = [sim.use.device_of_token(view.token) for _ in range(2)]
    assert "2027-01-15T08:15:00Z" == shown(view)["expires_at"]
    assert (alice.fingerprint, [None, None]) == (before, after)


async def test_what_is_no_token_names_nobody(sim: Simulator) -> None:
    """An unknown token is None."""
    assert None is sim.use.device_of_token("not a token")


async def test_tokens_are_opaque_and_differ(sim: Simulator) -> None:
    """Each session has a token of its own, which says nothing of the device."""
    alice = await sim.device("alice")

    tokens = {await sim.token(alice) for _ in range(3)}

    assert 3 == len(tokens)
    assert [] == [token for token in tokens if alice.fingerprint[:8] in token]


async def test_the_oldest_session_gives_way(sim: Simulator) -> None:
    """A device has eight sessions at most."""
    alice = await sim.device("alice")

    tokens = [await sim.token(alice) for _ in range(9)]

    assert [None] + [alice.fingerprint] * 8 == [sim.use.device_of_token(one) for one in tokens]


async def test_sessions_end_with_the_process(tmp_path: Path) -> None:
    """After a restart a device opens a new one."""
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        token = await sim.token(alice)
    async with simulator(tmp_path) as sim:
        assert None is sim.use.device_of_token(token)


def test_all_sessions_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest of all gives way; expired ones go first."""
    monkeypatch.setattr("quorumkey_relay.identity.sessions.MAX_SESSIONS", 2)
    sessions = Sessions(CountingMint())
    expired, _ = sessions.open("alice", 0)
    second, _ = sessions.open("bob", 900)
    third, _ = sessions.open("carol", 900)
    fourth, _ = sessions.open("dave", 900)

    found = [sessions.device(token, 900) for token in (expired, second, third, fourth)]

    assert [None, None, "carol", "dave"] == found


class CountingMint:
    """Random bytes that are not."""

    def __init__(self) -> None:
        self.count = 0

    def uuid7(self) -> str:
        """Not asked for here."""
        raise NotImplementedError

    def random(self, size: int) -> bytes:
        """The next number."""
        self.count += 1
        return self.count.to_bytes(size, "big")


# Who may open one


async def test_a_stranger_cannot_open_a_session(sim: Simulator) -> None:
    """A device that the relay does not know has no signature that could be right."""
    assert "invalid_signature" == (await refusal(sim, await sim.session(SimDevice("x")))).code


async def test_nobody_opens_a_session_for_another(sim: Simulator) -> None:
    """Another paired device's signature is not good for this one."""
    alice, bob = await sim.devices("alice", "bob")

    refusals = [
        await refusal(sim, await sim.session(alice, key=bob.key)),
        await refusal(sim, replace(await sim.session(alice, key=bob.key), keyid=alice.fingerprint)),
    ]

    assert ["invalid_signature"] * 2 == [one.code for one in refusals]


async def test_a_session_is_for_this_relay(sim: Simulator) -> None:
    """Another relay's fingerprint is refused before the signature is looked at."""
    alice = await sim.device("alice")

    assert "invalid_request" == (await refusal(sim, await sim.session(alice, relay="ab" * 32))).code


async def test_a_session_is_for_this_address(tmp_path: Path) -> None:
    """With configured origins, an audience that is none of them is refused."""
    async with simulator(tmp_path, origins=(AUDIENCE,)) as sim:
        alice = await sim.device("alice")
        other = await refusal(sim, await sim.session(alice, audience="https://other.example"))
        token = await sim.token(alice)

        assert "invalid_request" == other.code
        assert alice.fingerprint == sim.use.device_of_token(token)


async def test_a_device_without_ties_has_no_sessions(sim: Simulator) -> None:
    """Who is paired with nobody cannot open one."""
    alice = await sim.device("alice")
    await sim.unpair(alice)

    assert "device_revoked" == (await refusal(sim, await sim.session(alice))).code


async def test_another_envelope_opens_no_session(sim: Simulator) -> None:
    """The type is looked at first."""
    alice = await sim.device("alice")

    assert "invalid_request" == (await refusal(sim, await sim.unpairing(alice))).code


async def test_a_device_is_limited_after_its_signature(tmp_path: Path) -> None:
    """Only what the device signed uses up its calls."""
    async with simulator(tmp_path, rate_device=2) as sim:
        alice = await sim.device("alice")
        for _ in range(5):
            forged = await sim.session(alice, key=PrivateKey.generate())
            assert "invalid_signature" == (await refusal(sim, forged)).code
        for _ in range(2):
            await sim.token(alice)

        late = await refusal(sim, await sim.session(alice))

    assert ("rate_limited", 30) == (late.code, late.retry_after)


# Session keys


async def test_a_session_key_opens_sessions(sim: Simulator) -> None:
    """The key that was named at enrolment opens sessions for its device."""
    alice, key = await with_session_key(sim)

    view = await granted(sim.use.open_session(envelope=await sim.session(alice, key=key)))

    assert alice.fingerprint == sim.use.device_of_token(view.token)


async def test_a_session_key_opens_its_own_devices_sessions_only(sim: Simulator) -> None:
    """It is not good for another device."""
    _, key = await with_session_key(sim, "alice")
    bob, _ = await with_session_key(sim, "bob")

    assert "invalid_signature" == (await refusal(sim, await sim.session(bob, key=key))).code


async def test_the_device_key_replaces_the_session_key(sim: Simulator) -> None:
    """A session statement of the device key may name another one; the earlier is void then."""
    alice, first = await with_session_key(sim)
    second = PrivateKey.generate()

    await granted(
        sim.use.open_session(
            envelope=await sim.session(alice, session_public_key=second.public_key.base64)
        )
    )

    assert "invalid_signature" == (await refusal(sim, await sim.session(alice, key=first))).code
    await granted(sim.use.open_session(envelope=await sim.session(alice, key=second)))


async def test_a_session_key_does_not_name_its_follower(sim: Simulator) -> None:
    """Only the device key may name a session key."""
    alice, key = await with_session_key(sim)
    follower = PrivateKey.generate().public_key.base64

    found = await refusal(sim, await sim.session(alice, key=key, session_public_key=follower))

    assert "invalid_request" == found.code
    await granted(sim.use.open_session(envelope=await sim.session(alice, key=key)))


async def test_a_session_key_does_not_decide(sim: Simulator) -> None:
    """A decision under it is of nobody that the request names."""
    alice, key = await with_session_key(sim)
    request = await sim.ask([alice])
    payload = alice.decision(request.digest, "approve", at=sim.clock.now()).payload
    envelope = sign(Kind.DECISION, payload, key)

    answers = [
        await refused(sim.use.decide(request_id=request.id, envelope=one))
        for one in (envelope, replace(envelope, keyid=alice.fingerprint))
    ]

    assert ["not_found", "invalid_signature"] == [one.code for one in answers]


async def test_a_session_key_does_not_enrol(sim: Simulator) -> None:
    """An enrollment of the device under its session key is refused."""
    alice, key = await with_session_key(sim)
    payload = (await sim.enrollment(alice, await sim.code("alice"))).payload

    answer = await refused(sim.enroll(sign(Kind.ENROLLMENT, payload, key)))

    assert "invalid_signature" == answer.code


# Streams


async def test_a_stream_is_let_in_with_its_own_nonce(sim: Simulator) -> None:
    """The nonce of the hello authenticates the socket that it was said on."""
    alice, key = await with_session_key(sim)
    nonce = bytes(range(32))
    envelopes = [
        await sim.session(alice, nonce=b64encode(nonce)),
        await sim.session(alice, nonce=b64encode(nonce), key=key),
    ]

    found = [
        await sim.use.authenticate_stream(envelope=envelope, nonce=nonce) for envelope in envelopes
    ]

    assert [alice.fingerprint] * 2 == found


async def test_a_stream_is_not_let_in_with_another_nonce(sim: Simulator) -> None:
    """Neither another socket's nonce nor one of the challenge call will do."""
    alice = await sim.device("alice")

    for envelope in (
        await sim.session(alice),
        await sim.session(alice, nonce=b64encode(bytes(32))),
    ):
        answer = await refused(sim.use.authenticate_stream(envelope=envelope, nonce=b"\x01" * 32))

        assert "nonce_expired" == answer.code


async def test_a_hellos_nonce_opens_no_session(sim: Simulator) -> None:
    """What a socket said is good on that socket only."""
    alice = await sim.device("alice")
    nonce = b"\x07" * 32
    envelope = await sim.session(alice, nonce=b64encode(nonce))
    await granted(sim.use.authenticate_stream(envelope=envelope, nonce=nonce))

    assert "nonce_expired" == (await refusal(sim, envelope)).code


async def test_a_stream_may_name_a_session_key(sim: Simulator) -> None:
    """What an authenticated stream says of a session key is kept."""
    alice, key = await sim.device("alice"), PrivateKey.generate()
    nonce = b"\x07" * 32
    envelope = await sim.session(
        alice, nonce=b64encode(nonce), session_public_key=key.public_key.base64
    )
    await granted(sim.use.authenticate_stream(envelope=envelope, nonce=nonce))

    view = await granted(sim.use.open_session(envelope=await sim.session(alice, key=key)))

    assert alice.fingerprint == sim.use.device_of_token(view.token)


async def test_a_streams_session_key_does_not_name_its_follower(sim: Simulator) -> None:
    """On a stream too, only the device key may name a session key."""
    alice, key = await with_session_key(sim)
    nonce = b"\x07" * 32
    envelope = await sim.session(
        alice, nonce=b64encode(nonce), key=key, session_public_key=key.public_key.base64
    )

    answer = await refused(sim.use.authenticate_stream(envelope=envelope, nonce=nonce))

    assert "invalid_request" == answer.code
