"""Every rule of §5 for creating a request has its own refusal, and its bound is accepted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, error_of, ok, refused, request_body
from tests.e2e.protocol_crypto import Key, b64
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
TOO_MANY_REQUIRED = "Invalid MPA request: required cannot exceed number of groups"
BAD_LIFE = "Invalid expires_in_seconds: must be between 60 and 900"


@pytest.fixture(scope="module")
def device(world: World) -> Device:
    """A paired device."""
    return world.acme.device("rule-keeper")


def strangers(world: World, count: int) -> list[Device]:
    """Devices that no relay has ever seen."""
    return [Device(world.relay, Key()) for _ in range(count)]


def test_required_above_the_groups_has_the_fixed_message(world: World, device: Device) -> None:
    """More required groups than there are is refused with the fixed message."""
    answer = world.acme.ask([device], required=2)

    assert refused(answer) == INVALID
    assert error_of(answer)["message"] == TOO_MANY_REQUIRED


@pytest.mark.parametrize("required", [0, -1, "1", True, [1], 2**52])
def test_required_is_a_positive_integer(world: World, device: Device, required: object) -> None:
    """``required`` is an integer of at least 1."""
    assert refused(world.acme.ask([device], required=required)) == INVALID


@pytest.mark.parametrize("name", ["required", "groups", "action"])
def test_required_members_must_be_there(world: World, device: Device, name: str) -> None:
    """``required``, ``groups`` and ``action`` have no default."""
    body = request_body([device])
    del body[name]

    assert refused(world.acme.post("/v1/requests", body)) == INVALID


@pytest.mark.parametrize("count", [0, 51])
def test_groups_are_1_to_50(world: World, count: int) -> None:
    """A request has 1 to 50 groups."""
    groups = [[one] for one in strangers(world, count)]

    assert refused(world.acme.ask(*groups, required=1)) == INVALID


@pytest.mark.parametrize("count", [0, 51])
def test_approvers_of_a_group_are_1_to_50(world: World, count: int) -> None:
    """A group has 1 to 50 approvers."""
    assert refused(world.acme.ask(strangers(world, count))) == INVALID


def test_approvers_are_at_most_200_in_all(world: World) -> None:
    """201 approvers are refused although no group has more than 50."""
    many = strangers(world, 201)
    groups = [many[start : start + 41] for start in range(0, 201, 41)]

    assert refused(world.acme.ask(*groups)) == INVALID


def test_50_groups_and_200_approvers_are_accepted(world: World) -> None:
    """The largest request that the page allows is created."""
    many = world.acme.devices(*(f"one-of-many-{number}" for number in range(200)))
    groups = [many[start : start + 4] for start in range(0, 200, 4)]

    assert world.acme.asked(*groups)["groups_total"] == 50


def test_group_names_are_unique(world: World) -> None:
    """Two groups of one name are refused."""
    ann, ben = world.acme.devices("un-ann", "un-ben")
    groups = [{"name": "Same", "approvers": [each.named()]} for each in (ann, ben)]

    assert refused(world.acme.ask(groups=groups, required=1)) == INVALID


def test_fingerprint_belongs_to_the_key(world: World, device: Device) -> None:
    """A fingerprint that is not the SHA-256 of the key beside it is ``invalid_fingerprint``."""
    approver = device.named() | {"fingerprint": Key().fingerprint}
    groups = [{"name": "A", "approvers": [approver]}]

    assert refused(world.acme.ask(groups=groups, required=1)) == (400, "invalid_fingerprint")


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "AB" * 32, "00" * 33, "00" * 31 + "0\n"])
def test_fingerprint_is_64_lower_case_hex_digits(world: World, device: Device, text: str) -> None:
    """Text that is no fingerprint is ``invalid_fingerprint``."""
    groups = [{"name": "A", "approvers": [device.named() | {"fingerprint": text}]}]

    assert refused(world.acme.ask(groups=groups, required=1)) == (400, "invalid_fingerprint")


BAD_KEYS = [
    b64(b"\x05" + bytes(32)),
    b64(b"\x02" + b"\xff" * 32),
    b64(b"\x04" + bytes(64)),
    b64(b"\x00"),
    "",
    "not base64",
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_public_key_is_a_compressed_point(world: World, device: Device, key: str) -> None:
    """A key that is no compressed P-256 point is ``invalid_public_key``."""
    groups = [{"name": "A", "approvers": [device.named() | {"device_public_key": key}]}]

    assert refused(world.acme.ask(groups=groups, required=1)) == (400, "invalid_public_key")


def test_no_device_in_two_groups(world: World, device: Device) -> None:
    """One device in two groups is ``duplicate_approver``."""
    assert refused(world.acme.ask([device], [device])) == (400, "duplicate_approver")


def test_no_device_in_two_groups_though_devices_count(world: World, device: Device) -> None:
    """Even with ``distinct: "device"`` a device stands in one group only."""
    answer = world.acme.ask([device], [device], distinct="device")

    assert refused(answer) == (400, "duplicate_approver")


def test_no_device_twice_in_a_group(world: World, device: Device) -> None:
    """One device twice in a group is ``duplicate_approver``."""
    assert refused(world.acme.ask([device, device])) == (400, "duplicate_approver")


def test_no_person_in_two_groups(world: World) -> None:
    """Two devices of one person in two groups are ``duplicate_approver``."""
    phone, laptop = world.acme.devices("two-handed", "two-handed")

    assert refused(world.acme.ask([phone], [laptop])) == (400, "duplicate_approver")


def test_person_in_two_groups_where_devices_count(world: World) -> None:
    """With ``distinct: "device"`` two devices of one person may stand in two groups."""
    phone, laptop = world.acme.devices("both-hands", "both-hands")

    assert world.acme.asked([phone], [laptop], distinct="device")["groups_total"] == 2


def test_person_twice_in_one_group(world: World) -> None:
    """Two devices of one person may stand in one group."""
    phone, laptop = world.acme.devices("one-group", "one-group")

    assert world.acme.asked([phone, laptop])["groups_total"] == 1


def test_approver_id_is_that_of_the_pairing(world: World) -> None:
    """An ``approver_id`` other than the pairing's is refused."""
    device = world.acme.device("who-i-am")
    groups = [{"name": "A", "approvers": [device.named("someone-else")]}]

    assert refused(world.acme.ask(groups=groups, required=1)) == INVALID


def test_unpaired_key_is_unknown(world: World) -> None:
    """A device that never enrolled is ``unknown_device``."""
    assert refused(world.acme.ask(strangers(world, 1))) == (404, "unknown_device")


def test_device_of_another_integrator_is_unknown(world: World) -> None:
    """A device that another integrator paired is ``unknown_device``, as if it did not exist."""
    theirs = world.acme.ask([world.umbrella.device("theirs")])
    nobodys = world.acme.ask(strangers(world, 1))

    assert refused(theirs) == (404, "unknown_device")
    assert error_of(theirs)["message"] == error_of(nobodys)["message"]


def test_unpaired_device_is_unknown(world: World) -> None:
    """A device that unpaired can no longer be named."""
    device = world.acme.device("gone")
    assert device.unpair().status_code == 204

    assert refused(world.acme.ask([device])) == (404, "unknown_device")


@pytest.mark.parametrize("level", ["software", "passkey", "tee", "passkey_device_bound"])
def test_floor_below_which_a_device_stands(world: World, device: Device, level: str) -> None:
    """Devices below the assurance floor are named in ``details.fingerprints``."""
    answer = world.acme.ask([device], min_assurance=level)

    assert refused(answer) == (403, "insufficient_assurance")
    assert error_of(answer)["details"]["fingerprints"] == [device.fingerprint]


def test_groups_of_the_requester_alone_do_not_count(world: World) -> None:
    """A group made only of the requester's devices does not count towards ``required``."""
    ann, ben = world.acme.devices("asks-ann", "asks-ben")
    requester = {"id": "asks-ann", "name": "Ann"}

    answer = world.acme.ask([ann], [ben], required=2, requester=requester)

    assert refused(answer) == INVALID
    assert error_of(answer)["message"] == TOO_MANY_REQUIRED
    assert world.acme.asked([ann], [ben], required=1, requester=requester)["groups_total"] == 2


def test_device_is_named_in_20_pending_requests_at_most(tmp_path: Path) -> None:
    """The 21st pending request that names a device is ``rate_limited`` and says which device."""
    with served(tmp_path, max_pending_per_device=20) as world:
        device, other = world.acme.devices("popular", "unpopular")
        requests = [world.acme.asked([device]) for _ in range(20)]

        answer = world.acme.ask([other], [device], required=1)

        assert refused(answer) == (429, "rate_limited")
        assert error_of(answer)["details"]["fingerprint"] == device.fingerprint
        assert int(answer.headers["retry-after"]) > 0
        ok(world.acme.post(f"/v1/requests/{requests[0]['request_id']}/cancel"))
        assert world.acme.asked([device])["status"] == "pending"


def test_random_nonce_is_made_for_a_caller_without_one(world: World, device: Device) -> None:
    """Without ``nonce`` the relay writes 32 bytes of its own."""
    body = request_body([device])
    del body["nonce"]
    first = ok(world.acme.post("/v1/requests", body), 201)
    second = ok(world.acme.post("/v1/requests", body), 201)

    assert first["request_digest"] != second["request_digest"]
    assert secrets.compare_digest(first["status"], "pending")
