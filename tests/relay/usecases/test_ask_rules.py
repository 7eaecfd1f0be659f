"""The rules of a request, each with its code and message (protocol section 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.simulator import ACME, UMBRELLA, SimDevice, SimPasskey, Simulator, refused

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutDevice
from quorumkey_relay.usecases.commands import ActionBody, ApproverBody, GroupBody, PartyBody

if TYPE_CHECKING:
    from tests.relay.sim_members import AskMembers

pytestmark = pytest.mark.anyio

TOO_MANY_REQUIRED = "Invalid MPA request: required cannot exceed number of groups"
BAD_EXPIRY = "Invalid expires_in_seconds: must be between 60 and 900"
BAD_USE = "Invalid use_within_seconds: must be between 0 and 86400"


def action(**members: Any) -> ActionBody:  # noqa: ANN401 - bodies hold any JSON
    """An action with these members."""
    said: dict[str, Any] = {"type": "cold_boot", "description": "Cold boot"}
    return ActionBody(**(said | members))


MEMBERS: dict[str, tuple[AskMembers, str]] = {
    "expires too early": ({"expires_in_seconds": 59}, BAD_EXPIRY),
    "expires too late": ({"expires_in_seconds": 901}, BAD_EXPIRY),
    "used too late": ({"use_within_seconds": 86_401}, BAD_USE),
    "used before": ({"use_within_seconds": -1}, BAD_USE),
    "code too short": ({"match_code": "1"}, "match_code must be 2 to 6 digits."),
    "code too long": ({"match_code": "1234567"}, "match_code must be 2 to 6 digits."),
    "code of other digits": ({"match_code": "٤٢"}, "match_code must be 2 to 6 digits."),
    "nonce too short": ({"nonce": "AAAA"}, "nonce must be 32 bytes in base64."),
    "nonce url-safe": ({"nonce": "_" * 43 + "="}, "nonce must be standard base64 with padding."),
    "unknown assurance": ({"min_assurance": "gold"}, "min_assurance must be one of"),
    "requester without id": ({"requester": PartyBody(id="")}, "id must have 1 to 128 characters."),
    "requester's name": (
        {"requester": PartyBody(id="x", name="a\u200bb")},
        "name must not have control, invisible",
    ),
    "type": ({"action": action(type="Cold Boot")}, "action.type must be 1 to 64 characters"),
    "type too long": ({"action": action(type="a" * 65)}, "action.type must be 1 to 64 characters"),
    "no description": ({"action": action(description="")}, "action.description must have 1 to 200"),
    "long description": (
        {"action": action(description="x" * 201)},
        "action.description must have 1 to 200",
    ),
    "hidden description": ({"action": action(description="a\u202eb")}, "action.description"),
    "white description": ({"action": action(description=" a")}, "action.description"),
    "key of params": ({"action": action(params={"k" * 65: 1})}, "A key in action.params"),
    "string of params": ({"action": action(params={"k": "a\nb"})}, "A string in action.params"),
    "number of params": ({"action": action(params={"k": 2**53})}, "A number in action.params"),
    "fraction of params": ({"action": action(params={"k": 0.5})}, "A number in action.params"),
    "depth of params": (
        {"action": action(params={"a": {"b": {"c": {"d": {"e": {}}}}}})},
        "action.params must not be nested deeper than 5.",
    ),
    "size of params": (
        {"action": action(params={"k": "x" * 8_185})},
        "action.params must be at most 8192 bytes as compact JSON.",
    ),
    "number of bindings": (
        {"action": action(bindings={f"n{i}": "sha256:" + "0" * 64 for i in range(9)})},
        "action.bindings must have at most 8 names.",
    ),
    "name of bindings": (
        {"action": action(bindings={"Plan": "sha256:" + "0" * 64})},
        "A name in action.bindings must be 1 to 32",
    ),
    "digest of bindings": ({"action": action(bindings={"plan": "0" * 64})}, "action.bindings"),
}


@pytest.mark.parametrize("broken", list(MEMBERS))
async def test_a_member_out_of_its_rule(sim: Simulator, broken: str) -> None:
    """Each rule of a member has a message of its own, under ``invalid_request``."""
    members, message = MEMBERS[broken]

    refusal = await sim.ask_refused([await sim.device("alice")], **members)

    assert "invalid_request" == refusal.code
    assert message in refusal.message


LIMITS: dict[str, AskMembers] = {
    "shortest": {"expires_in_seconds": 60, "use_within_seconds": 0, "match_code": "00"},
    "longest": {"expires_in_seconds": 900, "use_within_seconds": 86_400, "match_code": "123456"},
    "deepest": {"action": action(params={"a": {"b": {"c": {"d": [1, True, None]}}}})},
    "largest": {"action": action(params={"k": "x" * 8_184})},
    "most bindings": {
        "action": action(bindings={f"n{i}": "sha256:" + "0" * 64 for i in range(8)}),
    },
    "longest texts": {
        "action": action(type="a" * 64, description="é" * 200),
        "requester": PartyBody(id="r" * 128, name="n" * 80),
    },
}


@pytest.mark.parametrize("at_the_limit", list(LIMITS))
async def test_a_member_at_its_limit(sim: Simulator, at_the_limit: str) -> None:
    """What lies exactly on a limit is allowed."""
    request = await sim.ask([await sim.device("alice")], **LIMITS[at_the_limit])

    assert "pending" == request.answer["status"]


# Groups


@pytest.mark.parametrize(
    ("required", "message"),
    [(0, "Invalid MPA request: required must be at least 1"), (3, TOO_MANY_REQUIRED)],
)
async def test_required_is_within_the_groups(sim: Simulator, required: int, message: str) -> None:
    """At least one group, and no more than there are."""
    alice, bob = await sim.devices("alice", "bob")

    refusal = await sim.ask_refused([alice], [bob], required=required)

    assert Refusal("invalid_request", message) == refusal


async def test_there_is_a_group(sim: Simulator) -> None:
    """A request without groups is refused."""
    refusal = await sim.ask_refused()

    assert ("invalid_request", True) == (refusal.code, "at least 1 group" in refusal.message)


async def test_a_group_has_an_approver(sim: Simulator) -> None:
    """A group without approvers is refused."""
    refusal = await sim.ask_refused([await sim.device("alice")], [])

    assert Refusal("invalid_request", "A group must have 1 to 50 approvers.") == refusal


def strangers(count: int) -> list[SimDevice]:
    """Devices that nobody has paired."""
    return [SimDevice(f"stranger {number}") for number in range(count)]


async def test_there_are_fifty_groups_at_most(sim: Simulator) -> None:
    """The fifty-first group is refused before any device is looked at."""
    refusal = await sim.ask_refused(*([one] for one in strangers(51)))

    assert "invalid_request" == refusal.code
    assert "at most 50" in refusal.message


async def test_a_group_has_fifty_approvers_at_most(sim: Simulator) -> None:
    """The fifty-first approver of a group is refused."""
    refusal = await sim.ask_refused(strangers(51))

    assert Refusal("invalid_request", "A group must have 1 to 50 approvers.") == refusal


async def test_there_are_two_hundred_approvers_at_most(sim: Simulator) -> None:
    """The two-hundred-and-first approver in all is refused."""
    refusal = await sim.ask_refused(*(strangers(41) for _ in range(5)))

    assert "There must be at most 200 approvers in all groups together." == refusal.message


async def test_the_largest_request(sim: Simulator) -> None:
    """Fifty groups with two hundred approvers are allowed."""
    people = [[await sim.device(f"person {i}/{j}") for j in range(4)] for i in range(50)]

    request = await sim.ask(*people, required=50)

    assert (50, 50) == (request.answer["groups_total"], request.answer["groups_required"])


async def test_names_of_groups_are_unique(sim: Simulator) -> None:
    """Two groups of one name are refused."""
    alice, bob = await sim.devices("alice", "bob")
    body = sim.body([alice], [bob])
    body.groups[1] = GroupBody(name="Group 1", approvers=body.groups[1].approvers)

    refusal = await refused(sim.send(body))

    assert Refusal("invalid_request", "The names of groups must be unique.") == refusal


# Devices


async def test_a_fingerprint_is_its_keys(sim: Simulator) -> None:
    """A fingerprint beside another device's key is refused."""
    alice, bob = await sim.devices("alice", "bob")
    body = sim.body([alice])
    mixed = ApproverBody(alice.fingerprint, bob.key.public_key.base64)
    body.groups[0] = GroupBody(name="Group 1", approvers=[mixed])

    assert "invalid_fingerprint" == (await refused(sim.send(body))).code


@pytest.mark.parametrize(
    ("fingerprint", "public_key", "code"),
    [("0" * 64, "AAAA", "invalid_public_key"), ("0" * 63, None, "invalid_fingerprint")],
)
async def test_a_device_is_named_rightly(
    sim: Simulator, fingerprint: str, public_key: str | None, code: str
) -> None:
    """What cannot be a fingerprint or a key is refused as such."""
    alice = await sim.device("alice")
    body = sim.body([alice])
    named = ApproverBody(fingerprint, public_key or alice.key.public_key.base64)
    body.groups[0] = GroupBody(name="Group 1", approvers=[named])

    assert code == (await refused(sim.send(body))).code


async def test_a_device_stands_in_one_group(sim: Simulator) -> None:
    """The same device in two groups, or twice in one, is refused."""
    alice, bob = await sim.devices("alice", "bob")

    refusals = [
        await sim.ask_refused([alice], [bob, alice]),
        await sim.ask_refused([alice, alice], distinct="device"),
    ]

    assert ["duplicate_approver"] * 2 == [refusal.code for refusal in refusals]


async def test_a_person_stands_in_one_group(sim: Simulator) -> None:
    """With ``distinct: person``, two devices paired for one person are not in two groups."""
    phone, tablet = await sim.device("alice"), await sim.device("alice")

    refusal = await sim.ask_refused([phone], [tablet])

    assert ("duplicate_approver", {"fingerprint": tablet.fingerprint}) == (
        refusal.code,
        refusal.details,
    )


async def test_a_person_may_have_two_devices_in_a_group(sim: Simulator) -> None:
    """Within one group, a person's devices stand side by side."""
    phone, tablet = await sim.device("alice"), await sim.device("alice")

    request = await sim.ask([phone, tablet])

    assert "pending" == request.answer["status"]


async def test_where_devices_count_a_person_may_stand_in_two_groups(sim: Simulator) -> None:
    """With ``distinct: device``, only devices are looked at."""
    phone, tablet = await sim.device("alice"), await sim.device("alice")

    request = await sim.ask([phone], [tablet], required=2, distinct="device")

    assert "pending" == request.answer["status"]


async def test_only_paired_devices_can_be_named(sim: Simulator) -> None:
    """Unknown, another integrator's, unpaired and revoked devices are equally unknown."""
    elsewhere = await sim.device("alice", UMBRELLA)
    unpaired = await sim.device("bob")
    await sim.unpair(unpaired)
    revoked = await sim.device("carol")
    known = sim.store.directory.device(revoked.fingerprint)
    assert known is not None
    await sim.store.commit((PutDevice(replace(known, revoked_at=sim.clock.now())),))

    for device in (SimDevice("mallory"), elsewhere, unpaired, revoked):
        refusal = await sim.ask_refused([device])

        assert ("unknown_device", {"fingerprint": device.fingerprint}) == (
            refusal.code,
            refusal.details,
        )


async def test_an_approver_id_is_the_pairings(sim: Simulator) -> None:
    """An ``approver_id`` has to be the person that the device was paired for."""
    alice = await sim.device("alice")
    body = sim.body([alice])
    body.groups[0] = GroupBody(name="Group 1", approvers=[alice.named("bob")])

    refusal = await refused(sim.send(body))

    assert ("invalid_request", {"fingerprint": alice.fingerprint}) == (
        refusal.code,
        refusal.details,
    )


async def test_approver_ids_are_compared_exactly(sim: Simulator) -> None:
    """Case makes another person."""
    alice = await sim.device("alice")
    body = sim.body([alice])
    body.groups[0] = GroupBody(name="Group 1", approvers=[alice.named("Alice")])

    assert "invalid_request" == (await refused(sim.send(body))).code


async def test_every_device_meets_the_floor(sim: Simulator) -> None:
    """Devices below the assurance floor are refused, all of them by name."""
    alice, bob = await sim.devices("alice", "bob")
    carol = SimPasskey("carol")
    await sim.admit(carol)

    refusal = await sim.ask_refused([alice, carol], [bob], min_assurance="passkey")

    assert ("insufficient_assurance", {"fingerprints": [alice.fingerprint, bob.fingerprint]}) == (
        refusal.code,
        refusal.details,
    )


async def test_a_floor_admits_its_own_rank(sim: Simulator) -> None:
    """A passkey meets the floor ``passkey``."""
    carol = SimPasskey("carol")
    await sim.admit(carol)

    request = await sim.ask([carol], min_assurance="passkey")

    assert "pending" == request.answer["status"]


async def test_a_group_of_the_requester_does_not_count(sim: Simulator) -> None:
    """A group made only of the requester's devices cannot be required."""
    alice, bob = await sim.devices("alice", "bob")
    requester = PartyBody(id="alice")

    refusal = await sim.ask_refused([alice], [bob], required=2, requester=requester)

    assert Refusal("invalid_request", TOO_MANY_REQUIRED) == refusal


async def test_the_requester_may_be_named(sim: Simulator) -> None:
    """Beside others the requester's device stands in a group that counts."""
    alice, bob = await sim.devices("alice", "bob")

    request = await sim.ask([alice, bob], requester=PartyBody(id="alice"))

    assert "pending" == request.answer["status"]


# How much may be open


async def test_a_device_is_named_by_twenty_open_requests(sim: Simulator) -> None:
    """The twenty-first is refused until one of them ends, with the seconds until then."""
    alice, bob = await sim.devices("alice", "bob")
    opened = [await sim.ask([alice]) for _ in range(20)]

    refusal = await sim.ask_refused([bob], [alice])
    await sim.approve(opened[7], alice)
    request = await sim.ask([alice])

    assert ("rate_limited", {"fingerprint": alice.fingerprint}, 300) == (
        refusal.code,
        refusal.details,
        refusal.retry_after,
    )
    assert "pending" == request.answer["status"]


async def test_expired_requests_are_not_open(sim: Simulator) -> None:
    """Requests whose time is over do not count, swept or not."""
    alice = await sim.device("alice")
    for _ in range(20):
        await sim.ask([alice], expires_in_seconds=60)
    sim.clock.advance(60)

    request = await sim.ask([alice])

    assert "pending" == request.answer["status"]


async def test_each_integrator_has_its_own_twenty(sim: Simulator) -> None:
    """Another integrator's open requests do not count."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)
    for _ in range(20):
        await sim.ask([alice])

    request = await sim.ask([alice], integrator=UMBRELLA)

    assert "pending" == request.answer["status"]
    assert "rate_limited" == (await sim.ask_refused([alice])).code
    assert ACME != UMBRELLA
