"""How decisions are counted (§5, Tally): groups, people, denials, standing and simultaneity."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, ok, refused

if TYPE_CHECKING:
    from tests.e2e.protocol_crypto import Json
    from tests.e2e.protocol_world import World

GONE = (403, "device_revoked")
DECIDED = (409, "already_decided")
FINISHED = (409, "request_completed")


def decided(device: Device, request: Json, decision: str = "approve") -> str:
    """The status after a decision that is taken."""
    return str(ok(device.decide(request, decision))["status"])


def test_two_approvals_satisfy_a_group_once(world: World) -> None:
    """A second approval in a satisfied group adds nothing."""
    ann, ben, cem = world.acme.devices("ann", "ben", "cem")
    request = world.acme.asked([ann, ben], [cem])

    assert decided(ann, request) == decided(ben, request) == "pending"

    assert world.acme.read(request)["groups_satisfied"] == ["Group 1"]
    assert decided(cem, request) == "approved"


def test_groups_are_named_in_order_of_satisfaction(world: World) -> None:
    """``groups_satisfied`` keeps the order in which groups were satisfied."""
    devices = world.acme.devices("o1", "o2", "o3")
    request = world.acme.asked(*([device] for device in devices))
    for device in reversed(devices):
        decided(device, request)

    finished = world.acme.read(request)

    assert finished["groups_satisfied"] == ["Group 3", "Group 2", "Group 1"]
    assert finished["completed_at"]


def test_first_denial_rejects(world: World) -> None:
    """With ``reject_policy: "any"`` the first denial ends the request."""
    ann, ben, cem = world.acme.devices("d-ann", "d-ben", "d-cem")
    request = world.acme.asked([ann], [ben], [cem], required=1)

    assert decided(cem, request, "deny") == "rejected"

    assert refused(ann.decide(request)) == FINISHED
    assert cem.fingerprint not in str(world.acme.read(request))


def test_denials_reject_once_the_quorum_is_impossible(world: World) -> None:
    """With ``quorum_impossible`` only the denial that makes the quorum impossible ends it."""
    devices = world.acme.devices("i1", "i2", "i3")
    request = world.acme.asked(
        *([device] for device in devices), required=2, reject_policy="quorum_impossible"
    )

    assert decided(devices[0], request, "deny") == "pending"
    assert decided(devices[1], request) == "pending"
    assert decided(devices[2], request, "deny") == "rejected"


def test_group_is_lost_when_nobody_is_left(world: World) -> None:
    """A group with another approver left is still winnable after a denial."""
    ann, ben = world.acme.devices("l-ann", "l-ben")
    request = world.acme.asked([ann, ben], reject_policy="quorum_impossible")

    assert decided(ann, request, "deny") == "pending"
    assert decided(ben, request) == "approved"


def test_satisfied_group_is_not_lost(world: World) -> None:
    """A denial in a group that is satisfied takes nothing away."""
    ann, ben, cem = world.acme.devices("s-ann", "s-ben", "s-cem")
    request = world.acme.asked([ann, ben], [cem], reject_policy="quorum_impossible")

    assert decided(ann, request) == decided(ben, request, "deny") == "pending"
    assert decided(cem, request) == "approved"


def test_denial_takes_the_person_out(world: World) -> None:
    """With ``distinct: "person"`` a denial takes every device of that person out."""
    phone, laptop = world.acme.devices("p-out", "p-out")
    request = world.acme.asked([phone, laptop], reject_policy="quorum_impossible")

    assert decided(phone, request, "deny") == "rejected"


def test_denial_takes_one_device_out_where_devices_count(world: World) -> None:
    """With ``distinct: "device"`` a denial takes that device out and no other of the person."""
    phone, laptop = world.acme.devices("d-out", "d-out")
    request = world.acme.asked(
        [phone, laptop], reject_policy="quorum_impossible", distinct="device"
    )

    assert decided(phone, request, "deny") == "pending"
    assert decided(laptop, request) == "approved"


def test_person_decides_once(world: World) -> None:
    """What one device of a person decided is the decision of all of them."""
    phone, laptop, other = world.acme.devices("once", "once", "other")
    request = world.acme.asked([phone, laptop], [other])
    first = ok(phone.decide(request))

    assert ok(laptop.decide(request)) == first
    assert refused(laptop.decide(request, "deny")) == DECIDED
    assert decided(other, request) == "approved"


def test_devices_decide_for_themselves_where_devices_count(world: World) -> None:
    """With ``distinct: "device"`` two devices of a person satisfy two groups."""
    phone, laptop = world.acme.devices("two", "two")
    request = world.acme.asked([phone], [laptop], distinct="device")

    assert decided(phone, request) == "pending"
    assert decided(laptop, request) == "approved"


def test_devices_may_disagree_where_devices_count(world: World) -> None:
    """With ``distinct: "device"`` one device of a person may deny what another approved."""
    phone, laptop = world.acme.devices("torn", "torn")
    request = world.acme.asked([phone], [laptop], distinct="device")

    assert decided(phone, request) == "pending"
    assert decided(laptop, request, "deny") == "rejected"


def test_approval_of_an_unpaired_device_does_not_count(world: World) -> None:
    """An approval by a device that unpaired since does not satisfy its group."""
    ann, ben, cem = world.acme.devices("g-ann", "g-ben", "g-cem")
    request = world.acme.asked([ann, cem], [ben])
    decided(ann, request)
    assert ann.unpair().status_code == 204

    assert world.acme.read(request)["groups_satisfied"] == []
    assert decided(ben, request) == "pending"
    assert decided(cem, request) == "approved"


def test_approval_of_a_deleted_device_does_not_count(world: World) -> None:
    """An approval by a device that the integrator deleted since does not count."""
    ann, ben = world.acme.devices("x-ann", "x-ben")
    request = world.acme.asked([ann], [ben])
    decided(ann, request)
    assert world.acme.delete(f"/v1/devices/{ann.fingerprint}").status_code == 204

    assert decided(ben, request) != "approved"
    assert refused(ann.decide(request)) == GONE


def test_denial_of_an_unpaired_device_stands(world: World) -> None:
    """A denial stays when its device unpairs."""
    devices = world.acme.devices("u1", "u2", "u3")
    request = world.acme.asked(
        *([device] for device in devices), required=2, reject_policy="quorum_impossible"
    )
    assert decided(devices[0], request, "deny") == "pending"
    assert devices[0].unpair().status_code == 204

    assert decided(devices[1], request, "deny") == "rejected"


def test_unpairing_elsewhere_changes_nothing(world: World) -> None:
    """A device that leaves another integrator keeps its approval here."""
    ann, ben = world.acme.devices("e-ann", "e-ben")
    ok(ann.enrol(world.umbrella.pairing("e-ann")["pairing_code"]), 201)
    request = world.acme.asked([ann], [ben])
    decided(ann, request)
    assert ann.unpair(integrator_id=world.umbrella.integrator_id).status_code == 204

    assert decided(ben, request) == "approved"


def test_finished_request_stays_when_its_devices_go(world: World) -> None:
    """A finished request and its receipt outlive the pairing of its devices."""
    device = world.acme.device("outlived")
    request = world.acme.asked([device])
    decided(device, request)
    before = (world.acme.read(request), world.acme.receipt(request))
    assert device.unpair().status_code == 204

    assert (world.acme.read(request), world.acme.receipt(request)) == before


def test_person_out_by_wrong_codes_leaves_the_group_to_others(world: World) -> None:
    """Three wrong codes on the only device of a group make a ``quorum_impossible`` request end."""
    ann, ben = world.acme.devices("c-ann", "c-ben")
    request = world.acme.asked(
        [ann], [ben], required=2, match_code="1234", reject_policy="quorum_impossible"
    )
    for _ in range(3):
        assert refused(ann.decide(request, code="9999")) == (400, "wrong_code")

    assert world.acme.status(request) == "rejected"


def test_group_of_the_requester_alone_is_not_winnable(world: World) -> None:
    """A group in which only the requester is left cannot be won: they may not approve."""
    ann, ben, cem = world.acme.devices("w-ann", "w-ben", "w-cem")
    requester = {"id": "w-ann"}
    request = world.acme.asked(
        [ann, cem], [ben], required=1, requester=requester, reject_policy="quorum_impossible"
    )

    assert decided(ben, request, "deny") == "pending"
    assert decided(cem, request, "deny") == "rejected"


@pytest.mark.parametrize("policy", ["any", "quorum_impossible"])
def test_48_devices_at_once_are_counted_once_each(world: World, policy: str) -> None:
    """48 simultaneous approvals of 48 groups, each sent twice, count once."""
    devices = world.acme.devices(*(f"many-{number}" for number in range(48)))
    request = world.acme.asked(*([device] for device in devices), reject_policy=policy)
    envelopes = [d.key.seal("decision", d.decision(request, "approve")) for d in devices]
    with ThreadPoolExecutor(16) as pool:
        sent = pool.map(Device.send_decision, devices * 2, [request] * 96, envelopes * 2)
        answers = [ok(answer) for answer in sent]

    counts = {answer["groups_satisfied_count"] for answer in answers}
    finished = world.acme.read(request)
    assert max(counts) == 48
    assert finished["status"] == "approved"
    assert len(set(finished["groups_satisfied"])) == 48


def test_approval_and_denial_at_once_end_it_one_way(world: World) -> None:
    """Of simultaneous opposite decisions one ends the request and the other finds it ended."""
    for number in range(10):
        ann, ben = world.acme.devices(f"race-a{number}", f"race-b{number}")
        request = world.acme.asked([ann], [ben], required=1)
        with ThreadPoolExecutor(2) as pool:
            yes = pool.submit(ann.decide, request)
            no = pool.submit(ben.decide, request, "deny")
            answers = [yes.result(timeout=20), no.result(timeout=20)]

        won = [answer for answer in answers if answer.status_code == 200]
        lost = [answer for answer in answers if answer.status_code != 200]
        assert len(won) == 1
        assert [refused(answer) for answer in lost] == [FINISHED]
        assert world.acme.status(request) == ok(won[0])["status"]


def test_every_order_of_three_decisions_ends_as_it_counts(world: World) -> None:
    """Whatever the order of two approvals and a denial, ``quorum_impossible`` 2 of 3 approves."""
    devices = world.acme.devices("t1", "t2", "t3")
    for order in itertools.permutations(range(3)):
        request = world.acme.asked(
            *([device] for device in devices), required=2, reject_policy="quorum_impossible"
        )
        for index in order:
            devices[index].decide(request, "deny" if index == 2 else "approve")

        assert world.acme.status(request) == "approved"
