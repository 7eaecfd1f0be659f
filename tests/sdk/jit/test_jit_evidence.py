from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.sdk.jit.activation_world import (
    ALICE,
    APPROVED,
    BOB,
    CAROL,
    END,
    EXPIRES,
    MALLORY,
    START,
    World,
    activation_of,
    group_of,
)
from tests.sdk.protocol import examples

from quorumkey.errors import ReceiptRefused, RefusalReason
from quorumkey.protocol import Kind, Party, PrivateKey, request_digest, sign
from quorumkey.receipts import UnsafeAny

if TYPE_CHECKING:
    from collections.abc import Callable

_R = RefusalReason


@pytest.fixture
def world() -> World:
    """A fresh approval."""
    return World()


def test_proof_says_who_approved_which_time(world: World) -> None:
    """What a receipt proves is the request, its approvers and the time of the role."""
    proof = world.verify()

    assert ((BOB,), examples.REQUEST_ID) == (proof.approvers, proof.request_id)
    assert (START, END, APPROVED + 1) == (proof.start, proof.end, proof.completed_at)
    assert (world.document, world.decision(BOB)) == (proof.request, proof.decisions[0])
    assert request_digest(world.document.encode()) == proof.request_digest


def test_time_that_begins_with_the_approval() -> None:
    """Where the last approval begins it, the receipt says when that was."""
    world = World(activation=activation_of(start=None))

    proof = world.verify()

    assert (APPROVED + 1, APPROVED + 1 + END - START) == (proof.start, proof.end)


@pytest.mark.parametrize("seconds", [-301, 301, 2_000])
def test_a_beginning_that_the_device_did_not_sign(seconds: int) -> None:
    """A relay cannot have the time begin far from when the last device approved."""
    world = World(activation=activation_of(start=None), made=APPROVED + 600)
    world.told["completed_at"] = APPROVED + 600 + seconds

    with pytest.raises(ReceiptRefused) as caught:
        world.verify()

    assert (_R.INVALID_TIMES, 6) == (caught.value.reason, caught.value.step)
    world.activation = activation_of()
    world.rewrite()
    assert (START, END) == (world.verify().start, world.verify().end)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_beginning_near_the_approval(seconds: int) -> None:
    """The clocks of device and relay may differ as much as the relay lets them."""
    world = World(activation=activation_of(start=None), made=APPROVED + 600)
    world.told["completed_at"] = APPROVED + 600 + seconds

    assert APPROVED + 600 + seconds == world.verify().start


def test_the_last_approval_begins_the_time() -> None:
    """Of several approvals the last one says when the time begins."""
    world = World(activation=activation_of(start=None), signers=(BOB,))
    world.rewrite(policy=replace(world.document.policy, required=2))
    world.extra = (world.signed(CAROL, decided_at=APPROVED + 1_200),)
    world.told["completed_at"] = APPROVED + 1_201

    assert APPROVED + 1_201 == world.verify(required=2).start


def test_receipt_in_every_form(world: World) -> None:
    """Bytes, text, an object and any other mapping are one receipt."""
    envelope = world.receipt()
    forms = (
        envelope.encode(),
        envelope.encode().decode(),
        envelope.to_json(),
        MappingProxyType(envelope.to_json()),
    )

    assert {(BOB,)} == {world.verify(form).approvers for form in forms}


def test_the_last_second(world: World) -> None:
    """A role can be granted before its end, whenever its request ended, and not at its end."""
    assert world.verify(now=END - 1).approvers
    with pytest.raises(ReceiptRefused) as caught:
        world.verify(now=END)

    assert (_R.EXPIRED, 5) == (caught.value.reason, caught.value.step)
    assert world.verify(now=UnsafeAny()).approvers


def test_an_auditor_may_lack_the_integrator(world: World) -> None:
    """UnsafeAny stands in for the integrator; a relying party for passkeys may be given."""
    relying_party = {"rp_id": "example.com", "origins": ["https://example.com"]}

    assert world.verify(integrator_id=UnsafeAny(), webauthn=relying_party).approvers


def test_more_than_one_reviewer(world: World) -> None:
    """As many reviewers as the target asks for, or more where the request did."""
    with pytest.raises(ReceiptRefused) as caught:
        world.verify(required=2)
    assert (_R.POLICY_MISMATCH, 4) == (caught.value.reason, caught.value.step)
    world.rewrite(policy=replace(world.document.policy, required=2))
    with pytest.raises(ReceiptRefused) as caught:
        world.verify()
    assert (_R.QUORUM_NOT_MET, 8) == (caught.value.reason, caught.value.step)
    world.signers = (CAROL, BOB)

    assert (CAROL, BOB) == world.verify(required=2).approvers


@pytest.mark.parametrize(
    "other",
    [
        {"beneficiary": MALLORY},
        {"project": "project-2"},
        {"role": "roles/owner"},
        {"justification": "BUG-12346"},
        {"duration_seconds": 7_201},
        {"condition": "a == b"},
        {"start": START + 1},
        {"start": None},
    ],
    ids="_".join,
)
def test_another_activation(world: World, other: dict[str, Any]) -> None:
    """The approval of one activation is none of another."""
    with pytest.raises(ReceiptRefused) as caught:
        world.verify(activation=activation_of(**other))

    assert (_R.ACTION_MISMATCH, 4) == (caught.value.reason, caught.value.step)


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
    def lie(world: World) -> None:
        world.extra = (world.signed(person, **members),)

    return lie


def _another_relay_named(world: World) -> None:
    world.document = replace(world.document, relay="a" * 64)


def _harmless_text(world: World) -> None:
    """The condition's digest under the text of another role."""
    world.activation = activation_of(condition="a == b")
    harmless = activation_of(condition="a == b", role="roles/viewer").action()
    world.rewrite(action=replace(harmless, bindings=world.activation.action().bindings))


def _groups(*named: tuple[str, str]) -> Callable[[World], None]:
    """Groups of one device each: the person it is said to be of, and whose it is."""

    def lie(world: World) -> None:
        groups = tuple(group_of(person, world.devices[device]) for person, device in named)
        world.rewrite(policy=replace(world.document.policy, groups=groups))
        world.signers = (named[0][1],)

    return lie


def _alice_among_the_reviewers(world: World) -> None:
    groups = (*world.document.policy.groups, group_of(ALICE, world.devices[ALICE]))
    world.rewrite(policy=replace(world.document.policy, groups=groups))
    world.signers = (ALICE,)


_LIES: Final[dict[str, tuple[Callable[[World], None], RefusalReason, int]]] = {
    "no approval": (_told(status="rejected", decisions=()), _R.NOT_APPROVED, 1),
    "another relay named": (_another_relay_named, _R.RELAY_MISMATCH, 2),
    "another integrator": (_written(integrator=Party("evil", "Acme")), _R.INTEGRATOR_MISMATCH, 3),
    "a protected method": (_written(profile="protected_method"), _R.ACTION_MISMATCH, 4),
    "a harmless text": (_harmless_text, _R.ACTION_MISMATCH, 4),
    "another action": (_written(action=examples.ACTION), _R.ACTION_MISMATCH, 4),
    "no requester": (_written(requester=None), _R.REQUESTER_MISMATCH, 4),
    "another requester": (_written(requester=Party(CAROL)), _R.REQUESTER_MISMATCH, 4),
    "a requester by name": (_written(requester=Party(ALICE, "Bob")), _R.REQUESTER_MISMATCH, 4),
    "devices instead of people": (_policy(distinct="device"), _R.POLICY_MISMATCH, 4),
    "a match code": (_policy(match_code=True), _R.POLICY_MISMATCH, 4),
    "completed before it was made": (_told(completed_at=START - 1), _R.INVALID_TIMES, 5),
    "completed after its end": (_told(completed_at=EXPIRES), _R.INVALID_TIMES, 5),
    "a key of the relay's own": (
        _groups((BOB, MALLORY), (CAROL, CAROL)),
        _R.INVALID_DECISION,
        6,
    ),
    "a device under another name": (
        _groups((CAROL, BOB), (MALLORY, MALLORY)),
        _R.INVALID_DECISION,
        6,
    ),
    "a device that is not named": (_with(MALLORY), _R.INVALID_DECISION, 6),
    "a denial beside": (_with(CAROL, decision="deny"), _R.INVALID_DECISION, 6),
    "an approval of another request": (
        _with(CAROL, request_digest="sha256:" + "a" * 64),
        _R.INVALID_DECISION,
        6,
    ),
    "an approval too late": (_with(CAROL, decided_at=EXPIRES + 301), _R.INVALID_DECISION, 6),
    "one person twice": (_with(BOB, decided_at=APPROVED + 1), _R.DUPLICATE_DECISION, 7),
    "the beneficiary": (_alice_among_the_reviewers, _R.REQUESTER_APPROVED, 7),
    "nobody": (_signers(), _R.QUORUM_NOT_MET, 8),
}


@pytest.mark.parametrize(("lie", "reason", "step"), _LIES.values(), ids=_LIES.keys())
def test_a_lying_relay(
    world: World, lie: Callable[[World], None], reason: RefusalReason, step: int
) -> None:
    """A relay that holds its own key and one device that is nobody's cannot make an approval."""
    lie(world)
    everybody = {**world.reviewers(), ALICE: [world.devices[ALICE].public_key.base64]}

    with pytest.raises(ReceiptRefused) as caught:
        world.verify(reviewers=everybody)

    assert (reason, step) == (caught.value.reason, caught.value.step)


def test_relays_that_are_not_trusted(world: World) -> None:
    """Receipt and request have to be signed by a relay that was pinned."""
    strange = PrivateKey.generate()
    of_receipt = sign(Kind.RECEIPT, world.receipt().payload, strange)
    world.told["request"] = sign(Kind.REQUEST, world.document.encode(), strange)

    for receipt, step in ((of_receipt, 1), (world.receipt(), 2)):
        with pytest.raises(ReceiptRefused) as caught:
            world.verify(receipt.encode())

        assert (_R.UNTRUSTED_RELAY, step) == (caught.value.reason, caught.value.step)


_KEY: Final = PrivateKey.generate().public_key

_UNMEETABLE: Final[dict[str, dict[str, Any]]] = {
    "no relay": {"relay_public_keys": []},
    "no integrator": {"integrator_id": ""},
    "no time": {"now": None},
    "nobody": {"reviewers": {}},
    "the beneficiary alone": {"reviewers": {ALICE: [PrivateKey.generate().public_key]}},
    "reviewers without devices": {"reviewers": {BOB: []}},
    "a device key that is none": {"reviewers": {BOB: ["AAAA"]}},
    "a reviewer without id": {"reviewers": {"": []}},
    "a reviewer in another case": {"reviewers": {"Alice@example.com": [], BOB: [_KEY]}},
    "none required": {"required": 0},
    "required is true": {"required": True},
    "more required than there are": {"required": 3},
    "no origins": {"webauthn": {"rp_id": "example.com", "origins": []}},
}


@pytest.mark.parametrize("wrong", _UNMEETABLE.values(), ids=_UNMEETABLE.keys())
def test_expectations_that_nothing_meets(world: World, wrong: dict[str, Any]) -> None:
    """What could match too much, or nothing, is refused before the receipt is read."""
    with pytest.raises(ReceiptRefused) as caught:
        world.verify(b"not even a receipt", **wrong)

    assert (_R.INVALID_EXPECTATION, 0) == (caught.value.reason, caught.value.step)


def test_a_key_of_two_reviewers(world: World) -> None:
    """A key that would be two people's voice is refused before the receipt is read."""
    key = world.devices[BOB].public_key

    with pytest.raises(ReceiptRefused, match="two reviewers"):
        world.verify(reviewers={BOB: [key], CAROL: [key]})
