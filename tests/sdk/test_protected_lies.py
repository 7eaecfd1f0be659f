from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.sdk.protected_world import APPROVED, EXPIRES, PEOPLE, USE_BY, World, call_of, group_of
from tests.sdk.protocol import examples

from quorumkey.errors import ReceiptRefused, RefusalReason
from quorumkey.protocol import (
    Action,
    Approver,
    Group,
    Hidden,
    Kind,
    Party,
    PrivateKey,
    canonical_json,
    request_binding,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import JsonValue


@pytest.fixture
def world() -> World:
    """A fresh approval."""
    return World()


# What the service receives in place of the call that was approved.
_OTHER_CALLS: dict[str, dict[str, Any]] = {
    "method": {"method": "KillProcesses"},
    "caller": {"caller_id": "carol"},
    "key_of_that_name": {"caller_kind": "api_key"},
    "request": {"request": {"tag": "staging", "process": "nginy"}},
    "text_for_a_number": {"request": {"tag": "staging", "process": 1}},
    "resource": {"resource": {"tag": "staging"}},
    "resource_not_found": {"resource_failed": True},
    "digest": {"request_binding": request_binding(b"")},
    "hidden": {"request": Hidden(10), "request_binding": request_binding(b"")},
}


@pytest.mark.parametrize("other", _OTHER_CALLS.values(), ids=_OTHER_CALLS.keys())
def test_another_call(world: World, other: dict[str, Any]) -> None:
    """The approval of one call is none of another."""
    members = {**other}
    if "request" in members and "request_binding" not in members:
        members["request_binding"] = request_binding(canonical_json(members["request"]))

    with pytest.raises(ReceiptRefused) as caught:
        world.verify(call=replace(world.call, **members))

    assert (RefusalReason.ACTION_MISMATCH, 4) == (caught.value.reason, caught.value.step)


def test_another_resource(world: World) -> None:
    """The approval of a call on one thing is none of the same call on another."""
    world.call = call_of(resource={"id": 1, "tag": "global"})
    world.rewrite()

    assert world.verify().approvers
    others: list[dict[str, JsonValue] | None] = [{"id": 2, "tag": "global"}, None]
    for other in others:
        with pytest.raises(ReceiptRefused, match="Another call"):
            world.verify(call=replace(world.call, resource=other))


def _another_relay_named(world: World) -> None:
    world.document = replace(world.document, relay="a" * 64)


def _harmless_rendering(world: World) -> None:
    """The digest of the call under the text of another one."""
    harmless = call_of(request={"tag": "staging", "process": "sleep"}).action()
    world.rewrite(action=replace(harmless, bindings=world.call.action().bindings))


def _only_the_digest(world: World) -> None:
    """The digest of the call, and nothing of it shown."""
    bindings = world.call.action().bindings
    world.rewrite(action=Action("protected_method", "Routine", {}, bindings))


def _action(**members: Any) -> Callable[[World], None]:  # noqa: ANN401 - any member
    return lambda world: world.rewrite(action=replace(world.call.action(), **members))


def _written(**members: Any) -> Callable[[World], None]:  # noqa: ANN401 - any member
    return lambda world: world.rewrite(**members)


def _policy(**members: Any) -> Callable[[World], None]:  # noqa: ANN401 - any member
    return lambda world: world.rewrite(policy=replace(world.document.policy, **members))


def _told(**members: Any) -> Callable[[World], None]:  # noqa: ANN401 - any member
    return lambda world: world.told.update(members)


def _signers(*people: str) -> Callable[[World], None]:
    def lie(world: World) -> None:
        world.signers = people

    return lie


def _with(person: str, **members: Any) -> Callable[[World], None]:  # noqa: ANN401 - any member
    """One more decision, by this person's device."""

    def lie(world: World) -> None:
        world.extra = (world.signed(person, **members),)

    return lie


def _mallory_for_bob(world: World) -> None:
    """A key of the relay's own, named as bob's in the document."""
    groups = (group_of("alice", world.devices["alice"]), group_of("bob", world.devices["mallory"]))
    world.rewrite(policy=replace(world.document.policy, groups=groups))
    world.signers = ("mallory",)


def _second_device_of_bob(world: World) -> None:
    """Two devices of bob stand for the approvals of two people."""
    world.devices["bob's second"] = PrivateKey.generate()
    groups = (
        group_of("bob", world.devices["bob"], world.devices["bob's second"]),
        group_of("carol", world.devices["carol"]),
    )
    world.rewrite(policy=replace(world.document.policy, groups=groups))
    world.signers = ("bob", "bob's second")


def _bob_as_carol(world: World) -> None:
    """Bob's device stands under another person's name."""
    groups = (
        Group("carol", (examples.approver(world.devices["bob"], "carol"),)),
        group_of("alice", world.devices["alice"]),
    )
    world.rewrite(policy=replace(world.document.policy, groups=groups))


def _bob_not_named(world: World) -> None:
    """Bob approves a document in which he has no say."""
    groups = (group_of("carol", world.devices["carol"]), group_of("alice", world.devices["alice"]))
    world.rewrite(policy=replace(world.document.policy, groups=groups))


def _forged_signature(world: World) -> None:
    """A decision that says bob, signed by another key."""
    forged = sign(Kind.DECISION, world.decision("bob").encode(), world.devices["mallory"])
    world.signers = ()
    world.extra = (replace(forged, keyid=world.devices["bob"].public_key.fingerprint),)


def _device_of_another(world: World) -> None:
    """Bob's key signs a decision that names carol's device."""
    world.signers = ()
    device = world.devices["carol"].public_key.fingerprint
    world.extra = (world.signed("bob", device=device),)


def _nameless_groups(world: World) -> None:
    """The document does not say whose the devices are."""
    groups = tuple(
        Group(
            group.name,
            tuple(Approver(each.fingerprint, each.device_public_key) for each in group.approvers),
        )
        for group in world.document.policy.groups
    )
    world.rewrite(policy=replace(world.document.policy, groups=groups))


_R = RefusalReason
_LIES: Final[dict[str, tuple[Callable[[World], None], RefusalReason, int]]] = {
    "no approval": (_told(status="rejected", decisions=()), _R.NOT_APPROVED, 1),
    "timed out": (_told(status="timeout", decisions=()), _R.NOT_APPROVED, 1),
    "another relay named": (_another_relay_named, _R.RELAY_MISMATCH, 2),
    "another integrator": (
        _written(integrator=Party("evil", "Acme Corp")),
        _R.INTEGRATOR_MISMATCH,
        3,
    ),
    "a plain approval request": (
        _written(profile="approval", expires_at=APPROVED + 300, use_by=APPROVED + 600),
        _R.ACTION_MISMATCH,
        4,
    ),
    "a request for access": (
        _written(profile="jit_access", expires_at=APPROVED + 300, use_by=APPROVED + 600),
        _R.ACTION_MISMATCH,
        4,
    ),
    "a harmless text": (_harmless_rendering, _R.ACTION_MISMATCH, 4),
    "no text": (_only_the_digest, _R.ACTION_MISMATCH, 4),
    "no binding": (_action(bindings=None), _R.ACTION_MISMATCH, 4),
    "a binding more": (
        _action(bindings={**(call_of().action().bindings or {}), "plan": request_binding(b"")}),
        _R.ACTION_MISMATCH,
        4,
    ),
    "another type": (_action(type="cold_boot"), _R.ACTION_MISMATCH, 4),
    "another description": (_action(description="Routine"), _R.ACTION_MISMATCH, 4),
    "a parameter more": (
        _action(params={**call_of().action().params, "note": "Harmless"}),
        _R.ACTION_MISMATCH,
        4,
    ),
    "an empty condition": (
        _action(params={**call_of().action().params, "condition": ""}),
        _R.ACTION_MISMATCH,
        4,
    ),
    "a condition that is no text": (
        _action(params={**call_of().action().params, "condition": 1}),
        _R.ACTION_MISMATCH,
        4,
    ),
    "a name that is none": (
        _action(
            params={
                **call_of().action().params,
                "caller": {"kind": "person", "id": "alice", "name": "a" * 81},
            }
        ),
        _R.ACTION_MISMATCH,
        4,
    ),
    "a caller that is none": (
        _action(params={**call_of().action().params, "caller": "alice"}),
        _R.ACTION_MISMATCH,
        4,
    ),
    "no requester": (_written(requester=None), _R.REQUESTER_MISMATCH, 4),
    "another requester": (_written(requester=Party("carol", "Alice")), _R.REQUESTER_MISMATCH, 4),
    "a requester of another name": (
        _written(requester=Party("alice", "Carol")),
        _R.REQUESTER_MISMATCH,
        4,
    ),
    "another way to reject": (_policy(reject_policy="quorum_impossible"), _R.POLICY_MISMATCH, 4),
    "devices instead of people": (_policy(distinct="device"), _R.POLICY_MISMATCH, 4),
    "a match code": (_policy(match_code=True), _R.POLICY_MISMATCH, 4),
    "completed before it was made": (
        _told(completed_at=examples.CREATED - 1),
        _R.INVALID_TIMES,
        5,
    ),
    "completed after its end": (_told(completed_at=EXPIRES), _R.INVALID_TIMES, 5),
    "a key of the relay's own": (_mallory_for_bob, _R.INVALID_DECISION, 6),
    "a key of the relay's own beside": (_with("mallory"), _R.INVALID_DECISION, 6),
    "a denial beside": (_with("carol", decision="deny"), _R.INVALID_DECISION, 6),
    "an approval of another request": (
        _with("carol", request_digest="sha256:" + "a" * 64),
        _R.INVALID_DECISION,
        6,
    ),
    "an approval with a code": (_with("carol", code="4711"), _R.INVALID_DECISION, 6),
    "an approval too early": (
        _with("carol", decided_at=examples.CREATED - 301),
        _R.INVALID_DECISION,
        6,
    ),
    "an approval too late": (_with("carol", decided_at=EXPIRES + 301), _R.INVALID_DECISION, 6),
    "a forged signature": (_forged_signature, _R.INVALID_DECISION, 6),
    "a device of another": (_device_of_another, _R.INVALID_DECISION, 6),
    "a device under another name": (_bob_as_carol, _R.INVALID_DECISION, 6),
    "a device that is not named": (_bob_not_named, _R.INVALID_DECISION, 6),
    "devices without a person": (_nameless_groups, _R.INVALID_DECISION, 6),
    "one decision twice": (_with("bob"), _R.DUPLICATE_DECISION, 7),
    "one device twice": (_with("bob", decided_at=APPROVED + 1), _R.DUPLICATE_DECISION, 7),
    "one person twice": (_second_device_of_bob, _R.DUPLICATE_DECISION, 7),
    "the caller alone": (_signers("alice"), _R.REQUESTER_APPROVED, 7),
    "the caller too": (_signers("bob", "alice"), _R.REQUESTER_APPROVED, 7),
    "nobody": (_signers(), _R.QUORUM_NOT_MET, 8),
}


@pytest.mark.parametrize(("lie", "reason", "step"), _LIES.values(), ids=_LIES.keys())
def test_a_lying_relay(
    world: World, lie: Callable[[World], None], reason: RefusalReason, step: int
) -> None:
    """A relay that holds its own key and one device that is nobody's cannot make an approval."""
    lie(world)
    administrators = {person: [world.devices[person].public_key] for person in PEOPLE}
    if "bob's second" in world.devices:
        administrators["bob"].append(world.devices["bob's second"].public_key)

    with pytest.raises(ReceiptRefused) as caught:
        world.verify(administrators=administrators)

    assert (reason, step) == (caught.value.reason, caught.value.step)


def test_fewer_than_the_document_asks_for(world: World) -> None:
    """Where the request asked for more than the service does, its number holds."""
    world.rewrite(policy=replace(world.document.policy, required=2))

    with pytest.raises(ReceiptRefused) as caught:
        world.verify()

    assert (RefusalReason.QUORUM_NOT_MET, 8) == (caught.value.reason, caught.value.step)


def test_relays_that_are_not_trusted(world: World) -> None:
    """Receipt and request have to be signed by a relay the service pinned."""
    strange = PrivateKey.generate()
    of_receipt = sign(Kind.RECEIPT, world.receipt().payload, strange)
    world.told["request"] = sign(Kind.REQUEST, world.document.encode(), strange)

    for receipt, step in ((of_receipt, 1), (world.receipt(), 2)):
        with pytest.raises(ReceiptRefused) as caught:
            world.verify(receipt.encode())

        assert (RefusalReason.UNTRUSTED_RELAY, step) == (caught.value.reason, caught.value.step)


def test_last_moment(world: World) -> None:
    """The call may run until `use_by`, not after it."""
    assert world.verify(now=USE_BY).approvers
    with pytest.raises(ReceiptRefused) as caught:
        world.verify(now=USE_BY + 1)

    assert (RefusalReason.EXPIRED, 5) == (caught.value.reason, caught.value.step)


def test_administrators_since(world: World) -> None:
    """Whom the service does not name as an administrator does not count, and makes it doubt."""
    keys = {person: [world.devices[person].public_key] for person in ("alice", "carol")}

    with pytest.raises(ReceiptRefused) as caught:
        world.verify(administrators=keys)

    assert (RefusalReason.INVALID_DECISION, 6) == (caught.value.reason, caught.value.step)


def test_devices_the_service_has_not_heard_of(world: World) -> None:
    """Devices that did not decide need not be known to the service."""
    bob = {"bob": [world.devices["bob"].public_key], "alice": []}

    assert ("bob",) == world.verify(administrators=bob).approvers


def test_one_changed_byte_anywhere(world: World) -> None:
    """No receipt with a changed byte passes, wherever the byte is."""
    receipt = world.receipt().encode()
    for place in range(0, len(receipt), 11):
        changed = bytes([receipt[place] ^ 1])
        with pytest.raises(ReceiptRefused):
            world.verify(receipt[:place] + changed + receipt[place + 1 :])
