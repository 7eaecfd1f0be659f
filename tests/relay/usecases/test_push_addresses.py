"""Where a device wants to be woken: signed, sealed, never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.relay.simulator import (
    ACME,
    SimDevice,
    SimPasskey,
    Simulator,
    granted,
    refused,
    shown,
)

from quorumkey.protocol import (
    ApnsAddress,
    FcmAddress,
    NoPushAddress,
    PrivateKey,
    PushAddress,
    WebPushAddress,
    b64url_encode,
    strict_json,
)
from quorumkey_relay.identity.vault import Vault

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import Device

pytestmark = pytest.mark.anyio

POINT = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
ADDRESSES: list[PushAddress] = [
    ApnsAddress(token="ab" * 32, topic="example.approver", environment="sandbox"),
    FcmAddress(token="a-token:of_fcm"),
    WebPushAddress(
        endpoint="https://updates.push.services.mozilla.com/v1/abc",
        p256dh=b64url_encode(POINT),
        auth=b64url_encode(bytes(16)),
    ),
]


def stored(sim: Simulator, device: SimDevice) -> Device:
    """A device as the relay knows it."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known


def address(sim: Simulator, device: SimDevice) -> object:
    """The address that a device's seal holds."""
    sealed = stored(sim, device).push
    assert sealed is not None
    plain = Vault.open_in(sim.relay.settings.data_dir).open(sealed)
    return strict_json.loads(plain, max_bytes=10_000)


@pytest.mark.parametrize("new", ADDRESSES)
async def test_an_address_is_kept_sealed(sim: Simulator, new: PushAddress) -> None:
    """The relay can read the address again, and the database does not show it."""
    alice = await sim.device("alice")

    answer = await sim.use.set_push(envelope=await sim.push(alice, new))

    assert (None, new.channel) == (answer, stored(sim, alice).push_channel)
    assert new.to_json() == address(sim, alice)
    for secret in ("ab" * 32, "a-token:of_fcm", "services.mozilla"):
        assert secret.encode() not in sim.on_disk()


async def test_the_last_address_counts(sim: Simulator) -> None:
    """Each accepted address replaces the one before; ``none`` leaves nothing."""
    alice = await sim.device("alice")
    for new in ADDRESSES:
        await sim.use.set_push(envelope=await sim.push(alice, new))
    last = stored(sim, alice).push_channel

    await sim.use.set_push(envelope=await sim.push(alice, NoPushAddress()))

    found = stored(sim, alice)
    assert ("webpush", "none", None) == (last, found.push_channel, found.push)


async def test_an_address_is_never_shown(sim: Simulator) -> None:
    """An integrator sees nothing of it."""
    alice = await sim.device("alice")
    await sim.use.set_push(envelope=await sim.push(alice, ADDRESSES[1]))

    view = await granted(sim.use.read_device(integrator_id=ACME.id, fingerprint=alice.fingerprint))

    assert {
        "fingerprint",
        "device_public_key",
        "pictogram",
        "platform",
        "assurance",
        "approver",
        "enrolled_at",
    } == shown(view).keys()


async def test_a_session_key_may_sign_it(sim: Simulator) -> None:
    """The key that the person is not asked for can change the address."""
    alice, session_key = SimDevice("alice"), PrivateKey.generate()
    await sim.admit(alice, session_public_key=session_key.public_key.base64)

    answer = await sim.use.set_push(envelope=await sim.push(alice, ADDRESSES[1], key=session_key))

    assert (None, "fcm") == (answer, stored(sim, alice).push_channel)


async def test_a_stranger_may_not(sim: Simulator) -> None:
    """Another key's signature changes nothing."""
    alice = await sim.device("alice")

    refusal = await refused(
        sim.use.set_push(envelope=await sim.push(alice, ADDRESSES[1], key=PrivateKey.generate()))
    )

    assert ("invalid_signature", "none") == (refusal.code, stored(sim, alice).push_channel)


# With the enrolment


async def enroll_with(  # noqa: PLR0913 - what can differ
    sim: Simulator,
    device: SimDevice,
    *,
    key: PrivateKey | None = None,
    nonce: str | None = None,
    speaker: SimDevice | None = None,
    session_key: PrivateKey | None = None,
) -> object:
    """Enrol with a push envelope that says and is signed as told."""
    own = await sim.nonce()
    code = await sim.code(device.person)
    envelope = await sim.enrollment(device, code, nonce=own)
    if session_key is not None:
        public_key = session_key.public_key.base64
        envelope = await sim.enrollment(device, code, nonce=own, session_public_key=public_key)
    push = await sim.push(speaker or device, ADDRESSES[1], key=key, nonce=nonce or own)
    return await sim.enroll(envelope, push=push)


async def test_an_address_may_come_with_the_enrolment(sim: Simulator) -> None:
    """The enrollment's nonce serves both envelopes."""
    alice = SimDevice("alice")

    await granted(enroll_with(sim, alice))

    assert ADDRESSES[1].to_json() == address(sim, alice)


async def test_the_new_session_key_may_sign_it(sim: Simulator) -> None:
    """The session key of this very enrolment is good for its address."""
    alice, session_key = SimDevice("alice"), PrivateKey.generate()

    await granted(enroll_with(sim, alice, key=session_key, session_key=session_key))

    assert "fcm" == stored(sim, alice).push_channel


async def test_an_address_with_another_nonce_is_refused(sim: Simulator) -> None:
    """The push envelope carries the enrollment's nonce, or nothing is stored."""
    alice = SimDevice("alice")

    refusal = await refused(enroll_with(sim, alice, nonce=await sim.nonce()))

    assert "invalid_request" == refusal.code
    assert None is sim.store.directory.device(alice.fingerprint)


async def test_an_address_of_another_device_is_refused(sim: Simulator) -> None:
    """The push envelope is of the device that enrols."""
    alice, bob = SimDevice("alice"), SimDevice("bob")

    refusals = [
        await refused(enroll_with(sim, alice, speaker=bob)),
        await refused(enroll_with(sim, alice, speaker=bob, key=alice.key)),
    ]

    assert ["invalid_signature", "invalid_request"] == [refusal.code for refusal in refusals]


async def test_another_envelope_in_place_of_an_address_is_refused(sim: Simulator) -> None:
    """What is sent as ``push`` is a push envelope."""
    alice = SimDevice("alice")
    envelope = await sim.enrollment(alice, await sim.code("alice"))

    refusal = await refused(sim.enroll(envelope, push=await sim.session(alice)))

    assert "invalid_request" == refusal.code


async def test_a_passkeys_second_signature_counts_too(sim: Simulator) -> None:
    """The counter of the push envelope follows the enrollment's, and is the one that is kept."""
    alice = SimPasskey("alice")

    await granted(enroll_with(sim, alice))

    assert 2 == stored(sim, alice).sign_count


async def test_a_passkeys_second_signature_may_not_fall_behind(sim: Simulator) -> None:
    """A push envelope with an older counter is a copy's."""
    alice = SimPasskey("alice")
    nonce, code = await sim.nonce(), await sim.code("alice")
    push = await sim.push(alice, ADDRESSES[1], nonce=nonce)
    envelope = await sim.enrollment(alice, code, nonce=nonce)

    refusal = await refused(sim.enroll(envelope, push=push))

    assert "invalid_signature" == refusal.code
