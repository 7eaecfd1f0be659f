"""Passkey signatures (§3): every condition of the page, on an authenticator of the test's own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, ok, passkey_rules, refused
from tests.e2e.protocol_crypto import (
    AT,
    BE,
    BS,
    ED,
    UP,
    UV,
    Json,
    Key,
    Passkey,
    b64url,
    compact,
    media_type,
    pae,
)

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

UNSIGNED = (400, "invalid_signature")


def authenticator(world: World, counter: int = 0) -> Passkey:
    """A new passkey of the relay's relying party."""
    rules = passkey_rules(world.relay)
    return Passkey(rp_id=rules.rp_id, origin=rules.origins[0], counter=counter)


def paired(world: World, counter: int = 0) -> tuple[Device, Passkey]:
    """A device whose key is a passkey."""
    key = authenticator(world, counter)
    return world.acme.device("passkey-holder", key), key


def attempt(world: World, device: Device, request: Json) -> tuple[int, str]:
    """Status and code of a refused approval; the request must stay as it was."""
    found = refused(device.decide(request))
    assert world.acme.status(request) == "pending"
    return found


CLIENT_DATA: list[Json] = [
    {"type": "webauthn.create"}, {"type": None}, {"challenge": b64url(bytes(32))},
    {"challenge": ""}, {"origin": "https://evil.test"}, {"origin": "null"}, {"origin": 1},
    {"crossOrigin": True}, {"crossOrigin": "false"}, {"crossOrigin": None},
    {"topOrigin": "https://evil.test"}, {"topOrigin": None},
]  # fmt: skip


@pytest.mark.parametrize("members", CLIENT_DATA)
def test_client_data_is_checked(world: World, members: Json) -> None:
    """Another type, challenge or origin, or a frame of another site, is ``invalid_signature``."""
    device, key = paired(world)
    request = world.acme.asked([device])
    key.client_data = members

    assert attempt(world, device, request) == UNSIGNED


def test_origin_is_exactly_one_of_the_configured(world: World) -> None:
    """An origin that only begins like a configured one is refused."""
    device, key = paired(world)
    request = world.acme.asked([device])
    for tail in ("/", ".evil.test", "@evil.test", "0"):
        key.client_data = {"origin": key.origin + tail}

        assert attempt(world, device, request) == UNSIGNED


def test_challenge_has_no_padding(world: World) -> None:
    """The challenge is exactly the unpadded base64url text."""
    device, key = paired(world)
    request = world.acme.asked([device])
    payload = compact(device.decision(request, "approve"))
    digest = hashlib.sha256(pae(media_type("decision"), payload)).digest()
    key.client_data = {"challenge": b64url(digest) + "="}

    answer = device.send_decision(request, key.seal("decision", payload))

    assert refused(answer) == UNSIGNED


@pytest.mark.parametrize("client_data", [b"", b"[]", b"null", b"{", b"\xff", b"1"])
def test_client_data_is_a_json_object(world: World, client_data: bytes) -> None:
    """Client data that is no JSON object is refused though it was signed."""
    device, key = paired(world)
    request = world.acme.asked([device])
    envelope = key.seal("decision", device.decision(request, "approve"))
    envelope["signatures"] = [key.assertion(client_data)]

    status, _ = refused(device.send_decision(request, envelope))

    assert status == 400
    assert world.acme.status(request) == "pending"


@pytest.mark.parametrize("name", ["challenge", "type", "origin"])
def test_client_data_has_no_duplicate_keys(world: World, name: str) -> None:
    """Client data in which a key stands twice is refused, whichever of the two is right."""
    device, key = paired(world)
    request = world.acme.asked([device])
    payload = compact(device.decision(request, "approve"))
    challenge = b64url(hashlib.sha256(pae(media_type("decision"), payload)).digest())
    said = {"type": "webauthn.get", "challenge": challenge, "origin": key.origin}
    right = compact(said)
    wrong = compact({name: "x"})
    envelope = key.seal("decision", payload)
    for twice in (wrong[:-1] + b"," + right[1:], right[:-1] + b"," + wrong[1:]):
        envelope["signatures"] = [key.assertion(twice)]

        assert refused(device.send_decision(request, envelope)) == UNSIGNED


def test_client_data_may_say_more(world: World) -> None:
    """Members that browsers add to client data do no harm."""
    device, key = paired(world)
    key.client_data = {"other_keys_can_be_added_here": "do not compare", "x": [1.5, None]}

    assert ok(device.decide(world.acme.asked([device])))["status"] == "approved"


@pytest.mark.parametrize("flags", [0, UP, UV, UP | UV | AT, UP | UV | BS, UP | UV | ED])
def test_flags_are_checked(world: World, flags: int) -> None:
    """Without UP or UV, with AT, with BS but not BE, or ED without data it is refused."""
    device, key = paired(world)
    request = world.acme.asked([device])
    key.flags = flags

    status, code = attempt(world, device, request)

    assert status == 400
    assert code == "invalid_signature" or flags & ED


@pytest.mark.parametrize("flags", [UP | UV, UP | UV | BE, UP | UV | BE | BS])
def test_flags_of_single_and_synchronised_passkeys(world: World, flags: int) -> None:
    """UP and UV with BE, and BS beside BE, are taken."""
    device, key = paired(world)
    key.flags = flags

    assert ok(device.decide(world.acme.asked([device])))["status"] == "approved"


def test_authenticator_data_is_37_bytes_without_extensions(world: World) -> None:
    """More than 37 bytes without ED are refused."""
    device, key = paired(world)
    request = world.acme.asked([device])
    key.after = b"\xa0"

    assert attempt(world, device, request) == UNSIGNED


def test_authenticator_data_with_extensions(world: World) -> None:
    """With ED the authenticator data is longer and is taken."""
    device, key = paired(world)
    key.flags = UP | UV | ED
    key.after = b"\xa1\x63abc\xf5"

    assert ok(device.decide(world.acme.asked([device])))["status"] == "approved"


def test_relying_party_is_checked(world: World) -> None:
    """An assertion for another relying party is refused."""
    device, key = paired(world)
    request = world.acme.asked([device])
    key.rp_id = "evil.test"

    assert attempt(world, device, request) == UNSIGNED


def test_counter_must_grow(world: World) -> None:
    """A counter that is not greater than the stored one is refused, and a greater one taken."""
    device, key = paired(world, counter=5)
    request = world.acme.asked([device])
    for counter in (5, 4, 0):
        key.counter = counter
        assert attempt(world, device, request) == UNSIGNED
    key.counter = 6

    assert ok(device.decide(request))["status"] == "approved"
    assert refused(device.open_session()) == UNSIGNED
    key.counter = 7
    assert ok(device.open_session())["token"]


def test_counter_of_zero_stays_zero(world: World) -> None:
    """An authenticator without a counter says 0 every time."""
    device, _ = paired(world)

    for _ in range(2):
        assert ok(device.decide(world.acme.asked([device])))["status"] == "approved"


def test_sent_again_is_answered_before_the_counter(world: World) -> None:
    """The same bytes again get the recorded answer though the counter has not grown."""
    device, key = paired(world, counter=1)
    key.counter = 2
    request = world.acme.asked([device])
    envelope = key.seal("decision", device.decision(request, "approve"))
    first = ok(device.send_decision(request, envelope))

    assert ok(device.send_decision(request, envelope)) == first


def test_passkey_is_not_taken_in_native_form(world: World) -> None:
    """A key that enrolled as a passkey is refused without ``webauthn``."""
    device, key = paired(world)
    request = world.acme.asked([device])
    plain = Key(private=key.private)

    answer = device.send_decision(
        request, plain.seal("decision", device.decision(request, "approve"))
    )

    assert refused(answer) == UNSIGNED
    assert refused(device.open_session(plain)) == UNSIGNED


def test_native_key_is_not_taken_as_a_passkey(world: World) -> None:
    """A key that enrolled natively is refused with ``webauthn``."""
    device = world.acme.device("native")
    request = world.acme.asked([device])
    rules = passkey_rules(world.relay)
    passkey = Passkey(device.key.private, rp_id=rules.rp_id, origin=rules.origins[0])

    answer = device.send_decision(
        request, passkey.seal("decision", device.decision(request, "approve"))
    )

    assert refused(answer) == UNSIGNED
    assert refused(device.open_session(passkey)) == UNSIGNED


def test_key_keeps_its_form_when_it_enrols_again(world: World) -> None:
    """A passkey that enrols again natively is refused, paired or not."""
    device, key = paired(world)
    native = Device(world.relay, Key(private=key.private))
    code = world.acme.pairing("passkey-holder")["pairing_code"]

    assert refused(native.enrol(code)) == UNSIGNED
    assert device.unpair().status_code == 204
    assert refused(native.enrol(code)) == UNSIGNED
    assert ok(device.enrol(code), 201)


def test_enrolment_checks_the_assertion(world: World) -> None:
    """An enrollment whose assertion is for another site is refused, and the code lives on."""
    key = authenticator(world)
    key.origin = "https://evil.test"
    code = world.acme.pairing("phished")["pairing_code"]
    device = Device(world.relay, key)

    assert refused(device.enrol(code)) == UNSIGNED
    key.origin = passkey_rules(world.relay).origins[0]
    assert ok(device.enrol(code, platform="web"), 201)


def test_passkey_unpairs(world: World) -> None:
    """A passkey signs sessions, push addresses and unpairings like every other statement."""
    device, _ = paired(world)

    assert device.inbox() == []
    assert device.push({"channel": "none"}).status_code == 200
    assert device.unpair().status_code == 204


@pytest.mark.parametrize("member", ["authenticator_data", "client_data_json"])
@pytest.mark.parametrize("change", ["=", "+", " ", "A", "", None])
def test_assertion_is_strict_base64url(world: World, member: str, change: str | None) -> None:
    """Padding, the other alphabet, white space or a changed byte is refused with 400."""
    device, key = paired(world)
    request = world.acme.asked([device])
    envelope = key.seal("decision", device.decision(request, "approve"))
    webauthn = envelope["signatures"][0]["webauthn"]
    webauthn[member] = webauthn[member] + change if change else change

    status, _ = refused(device.send_decision(request, envelope))

    assert status == 400
    assert world.acme.status(request) == "pending"


@pytest.mark.parametrize("webauthn", [None, {}, [], "x", {"authenticator_data": "AA"}, {"x": 1}])
def test_assertion_has_two_members(world: World, webauthn: object) -> None:
    """A ``webauthn`` entry that is not the two members of the page is refused with 400."""
    device, key = paired(world)
    request = world.acme.asked([device])
    envelope = key.seal("decision", device.decision(request, "approve"))
    envelope["signatures"][0]["webauthn"] = webauthn

    assert refused(device.send_decision(request, envelope)) == (400, "invalid_request")
