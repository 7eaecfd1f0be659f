"""What the relay signs is checked by devices (§6): a spoilt request or challenge is refused."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.e2e.protocol_crypto import Json, Key, b64, payload_of, unb64, utc
from tests.e2e.protocol_world import START

if TYPE_CHECKING:
    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_world import World

ENVELOPES = ("request", "challenge")


class Shown(NamedTuple):
    """A device and the item that the relay gave it."""

    device: Device
    item: Json


@pytest.fixture(scope="module")
def shown(world: World) -> Shown:
    """A pending item that is as it should be."""
    device = world.acme.device("examiner")
    world.acme.asked([device], [world.acme.device("somebody")], expires_in_seconds=900)
    (item,) = device.inbox()
    return Shown(device, item)


def is_refused(world: World, shown: Shown, key: Key | None = None, **members: object) -> bool:
    """Whether the device refuses the item with other members, under the pin of another key."""
    pin = world.relay.info()["relay_public_key"] if key is None else key.public
    integrators = {world.acme.integrator_id}
    try:
        shown.device.examine(shown.item | members, relay_public_key=pin, integrators=integrators)
    except AssertionError:
        return True
    return False


def test_item_is_accepted_as_it_is(world: World, shown: Shown) -> None:
    """What the other tests spoil is accepted unspoilt."""
    assert not is_refused(world, shown)


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize("member", ["payload", "payloadType", "keyid", "sig"])
def test_changed_bytes_are_refused(world: World, shown: Shown, name: str, member: str) -> None:
    """A change in payload, type, keyid or signature is refused wherever it falls."""
    original = shown.item[name]
    holder = original if member in original else original["signatures"][0]
    is_text = member in {"payloadType", "keyid"}
    data = holder[member].encode() if is_text else unb64(holder[member])
    for index in range(0, len(data), max(1, len(data) // 40)):
        changed = bytearray(data)
        changed[index] ^= 1
        envelope = copy.deepcopy(original)
        target = envelope if member in envelope else envelope["signatures"][0]
        target[member] = bytes(changed).decode() if is_text else b64(bytes(changed))

        assert is_refused(world, shown, **{name: envelope})


@pytest.mark.parametrize("name", ENVELOPES)
def test_two_or_no_signatures_are_refused(world: World, shown: Shown, name: str) -> None:
    """An envelope has exactly one signature."""
    envelope = shown.item[name]
    entries = envelope["signatures"]
    for count in (0, 2):
        with pytest.raises((AssertionError, ValueError)):
            shown.device.examine(
                shown.item | {name: envelope | {"signatures": entries * count}},
                relay_public_key=world.relay.info()["relay_public_key"],
                integrators={world.acme.integrator_id},
            )


def test_request_and_challenge_are_not_exchanged(world: World, shown: Shown) -> None:
    """A challenge is no request and a request no challenge."""
    request, challenge = shown.item["request"], shown.item["challenge"]

    assert is_refused(world, shown, request=challenge)
    assert is_refused(world, shown, challenge=request)


def test_item_of_another_relay_is_refused(world: World, shown: Shown) -> None:
    """Documents that another key signed are refused, also when they name that key's relay."""
    thief = Key()
    document = payload_of(shown.item["request"])
    theirs = thief.seal("request", document)
    honest = thief.seal("request", document | {"relay": thief.fingerprint})

    assert is_refused(world, shown, request=theirs)
    assert is_refused(world, shown, request=honest)
    assert is_refused(world, shown, thief, request=theirs)
    assert is_refused(world, shown, thief, request=honest)


CHALLENGES: list[Json] = [
    {"device": "00" * 32}, {"request_digest": "sha256:" + "00" * 32}, {"relay": "00" * 32},
    {"expires_at": utc(START)}, {"integrator_name": "Umbrella"},
    {"request_id": "0190a000-0000-7000-8000-00000000dead"},
]  # fmt: skip


@pytest.mark.parametrize("members", CHALLENGES)
def test_challenge_belongs_to_request_and_device(world: World, shown: Shown, members: Json) -> None:
    """A challenge for another device, request or relay is refused, though the pinned key signed."""
    pinned = Key()
    document = payload_of(shown.item["request"]) | {"relay": pinned.fingerprint}
    request = pinned.seal("request", document)
    right = payload_of(shown.item["challenge"]) | {"relay": pinned.fingerprint}

    challenge = pinned.seal("challenge", right | members)

    assert is_refused(world, shown, pinned, request=request, challenge=challenge)


DOCUMENTS: list[Json] = [
    {"v": 2}, {"extra": 1}, {"integrator": {"id": "x", "name": "Acme Corp"}},
    {"request_id": "0190a000-0000-7000-8000-00000000dead"}, {"relay": "00" * 32},
]  # fmt: skip


@pytest.mark.parametrize("members", DOCUMENTS)
def test_document_is_strict(world: World, shown: Shown, members: Json) -> None:
    """A document of another version, integrator, request or relay, or with more, is refused."""
    pinned = Key()
    document = payload_of(shown.item["request"]) | {"relay": pinned.fingerprint} | members

    assert is_refused(world, shown, pinned, request=pinned.seal("request", document))


def test_device_stands_in_the_document(world: World, shown: Shown) -> None:
    """A device refuses what does not name it with its own key, and what has run out."""
    other = world.acme.device("not-named")

    assert is_refused(world, Shown(other, shown.item))
    world.clock.advance(900)
    assert is_refused(world, shown)
