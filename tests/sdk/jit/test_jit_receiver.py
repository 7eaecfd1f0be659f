from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.sdk.jit.activation_world import ALICE, APPROVED, BOB, END, START, World, activation_of
from tests.sdk.protocol import examples

from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.jit import CallKind, TargetCall, read_call
from quorumkey.protocol import webhook

SECRET: Final = webhook.generate_secret(bytes(32))
NOW: Final = APPROVED + 2
_R = RefusalReason


@pytest.fixture
def world() -> World:
    """A fresh approval."""
    return World()


def _body(world: World | None, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - wrong ones too
    """A call about what alice was approved, with other members of the activation where told."""
    activation: dict[str, Any] = {
        "id": "019a-activation",
        "beneficiary": ALICE,
        "entitlement": "project-1:roles/compute.admin",
        "project": "project-1",
        "role": "roles/compute.admin",
        "condition": "",
        "justification": "BUG-12345",
        "approvers": [BOB],
        "start": START,
        "end": END,
        "access_request": "mpa-AAAAAAAAAAAAAAAA",
        "request_id": examples.REQUEST_ID,
        "revoked_by": None,
        **members,
    }
    receipt = None if world is None else world.receipt().to_json()
    return {"type": "jit.grant", "activation": activation, "receipt": receipt}


def _read(body: object, *, secret: str = SECRET, now: int = NOW) -> TargetCall:
    data = json.dumps(body).encode()
    headers = {
        "Webhook-Id": "019a-activation:grant",
        "Webhook-Timestamp": str(NOW),
        "Webhook-Signature": webhook.sign(secret, "019a-activation:grant", NOW, data),
    }
    return read_call(headers, data, SECRET, now)


def _verify(call: TargetCall, world: World, **other: Any) -> object:  # noqa: ANN401 - any expectation
    expectations: dict[str, Any] = {
        "relay_public_keys": iter([world.relay.public_key]),
        "integrator_id": "acme",
        "now": NOW,
        "reviewers": world.reviewers(),
        **other,
    }
    return call.verify(**expectations)


def test_a_call_is_read(world: World) -> None:
    """What is asked for, about which activation, and once under which id."""
    call = _read(_body(world))

    assert ("019a-activation:grant", CallKind.GRANT) == (call.webhook_id, call.kind)
    activation = call.activation
    assert (ALICE, "project-1", "roles/compute.admin", "") == (
        activation.beneficiary,
        activation.project,
        activation.role,
        activation.condition,
    )
    assert ((BOB,), START, END) == (activation.approvers, activation.start, activation.end)
    assert (examples.REQUEST_ID, None) == (activation.request_id, activation.revoked_by)


def test_a_revocation_is_read() -> None:
    """A revocation carries no receipt and says who wanted it."""
    call = _read({**_body(None, revoked_by=BOB), "type": "jit.revoke"})

    assert (CallKind.REVOKE, BOB, None) == (call.kind, call.activation.revoked_by, call.receipt)


def test_the_receipt_is_proof(world: World) -> None:
    """A call that says what peers approved passes, by the receiver's own knowledge."""
    assert world.verify() == _verify(_read(_body(world)), world)


def test_a_time_that_begins_with_the_approval() -> None:
    """Where the approval begins the time, the call has to name the moment of the receipt."""
    world = World(activation=activation_of(start=None))
    end = APPROVED + 1 + END - START

    assert world.verify() == _verify(_read(_body(world, start=APPROVED + 1, end=end)), world)
    with pytest.raises(ReceiptRefused, match="Another time"):
        _verify(_read(_body(world)), world)


@pytest.mark.parametrize(
    "other",
    [
        {"beneficiary": "mallory@example.com"},
        {"project": "project-2"},
        {"role": "roles/owner"},
        {"condition": "a == b"},
        {"justification": "BUG-1"},
        {"start": START - 1},
        {"end": END + 1},
        {"request_id": None},
        {"request_id": "0196675d-3b00-7abc-8def-0123456789ac"},
        {"justification": "x\u202e"},
    ],
    ids=[
        "person",
        "project",
        "role",
        "condition",
        "reason",
        "start",
        "end",
        "no_request",
        "other_request",
        "reason_that_nobody_can_be_shown",
    ],
)
def test_a_call_that_asks_for_more_than_was_approved(world: World, other: dict[str, Any]) -> None:
    """A relay that was broken into cannot turn an approval into another one."""
    with pytest.raises(ReceiptRefused) as caught:
        _verify(_read(_body(world, **other)), world)

    assert (_R.ACTION_MISMATCH, 4) == (caught.value.reason, caught.value.step)


def test_calls_without_proof(world: World) -> None:
    """Without a receipt nothing is proved, and a receipt that is none proves nothing."""
    cases: list[tuple[dict[str, Any], RefusalReason]] = [
        (_body(None), _R.NOT_APPROVED),
        ({**_body(world), "receipt": {}}, _R.MALFORMED),
    ]
    for body, reason in cases:
        with pytest.raises(ReceiptRefused) as caught:
            _verify(_read(body), world)

        assert (reason, 1) == (caught.value.reason, caught.value.step)


def test_expectations_that_nothing_meets(world: World) -> None:
    """The receiver's own arguments are checked as for any receipt."""
    with pytest.raises(ReceiptRefused) as caught:
        _verify(_read(_body(world)), world, reviewers={})

    assert (_R.INVALID_EXPECTATION, 0) == (caught.value.reason, caught.value.step)


def test_calls_that_are_not_signed(world: World) -> None:
    """Another secret and an old call are refused before anything is read."""
    other = webhook.generate_secret(bytes(range(32)))
    with pytest.raises(ProtocolError) as caught:
        _read(_body(world), secret=other)
    assert "invalid_signature" == caught.value.code
    with pytest.raises(ProtocolError) as caught:
        _read(_body(world), now=NOW + 301)
    assert "invalid_signature" == caught.value.code


_WRONG: Final[dict[str, object]] = {
    "no object": [],
    "no type": {"activation": _body(None)["activation"]},
    "another type": {**_body(None), "type": "jit.shrug"},
    "no activation": {"type": "jit.grant"},
    "a person of another type": _body(None, beneficiary=1),
    "no role": _body(None, role=None),
    "approvers of another type": _body(None, approvers=BOB),
    "an approver of another type": _body(None, approvers=[1]),
    "a time of another type": _body(None, start="now"),
    "a time that ends at its start": _body(None, end=START),
    "a request of another type": _body(None, request_id=1),
    "a receipt of another type": {**_body(None), "receipt": "x"},
}


@pytest.mark.parametrize("wrong", _WRONG.values(), ids=_WRONG.keys())
def test_calls_of_another_form(wrong: object) -> None:
    """What is signed and still no call is refused, naming the member."""
    with pytest.raises(ProtocolError) as caught:
        _read(wrong)

    assert "invalid_request" == caught.value.code


def test_members_that_are_not_known_are_left_aside(world: World) -> None:
    """A newer relay may say more."""
    body = _body(world, colour="blue")

    assert _read({**body, "more": True}).activation == _read(_body(world)).activation
