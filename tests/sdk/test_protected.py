from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import pytest
from tests.sdk.protected_world import APPROVED, USE_BY, World, call_of
from tests.sdk.protocol import examples

from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protected import verify_execution
from quorumkey.protocol import (
    Execution,
    Hidden,
    Kind,
    Party,
    PrivateKey,
    request_binding,
    request_digest,
    sign,
)
from quorumkey.receipts import UnsafeAny

_R = RefusalReason


@pytest.fixture
def world() -> World:
    """A fresh approval."""
    return World()


def test_proof_says_who_approved_what(world: World) -> None:
    """What a receipt proves is the call's request, its approvers and its times."""
    proof = world.verify()

    assert (("bob",), examples.REQUEST_ID) == (proof.approvers, proof.request_id)
    assert (APPROVED + 1, USE_BY) == (proof.completed_at, proof.use_by)
    assert (world.document, world.decision("bob")) == (proof.request, proof.decisions[0])
    assert request_digest(world.document.encode()) == proof.request_digest


def test_receipt_in_every_form(world: World) -> None:
    """Bytes, text, an object and any other mapping are one receipt."""
    envelope = world.receipt()
    forms = (
        envelope.encode(),
        envelope.encode().decode(),
        envelope.to_json(),
        MappingProxyType(envelope.to_json()),
    )

    assert {("bob",)} == {world.verify(form).approvers for form in forms}


def test_call_of_an_api_key() -> None:
    """A key's call has no requester, and nobody but others approves it."""
    world = World(call=call_of(caller_kind="api_key", caller_id="k-1", caller_name=None))
    world.signers = ("alice", "bob")
    world.rewrite(requester=None, policy=replace(world.document.policy, required=2))

    assert ("alice", "bob") == world.verify().approvers


def test_call_of_someone_who_is_no_administrator() -> None:
    """A caller who is no administrator counts for nobody, whatever the relay asks for."""
    world = World(call=call_of(caller_id="dora"))
    world.rewrite(requester=Party("dora", "Alice"))

    with pytest.raises(ReceiptRefused) as caught:
        world.verify()
    world.rewrite(
        requester=Party("dora", "Alice"), policy=replace(world.document.policy, required=2)
    )
    world.signers = ("bob", "carol")

    assert (RefusalReason.POLICY_MISMATCH, 4) == (caught.value.reason, caught.value.step)
    assert ("bob", "carol") == world.verify().approvers


def test_caller_who_changed_their_name(world: World) -> None:
    """The caller is who the id says; the name is what it was when the approvers read it."""
    assert world.verify(call=replace(world.call, caller_name="Alice Liddell")).approvers
    assert world.verify(call=replace(world.call, caller_name=None)).approvers


def test_request_that_is_not_shown() -> None:
    """A request too large to be shown is bound by its digest and its size."""
    world = World(call=call_of(request=Hidden(70_000), request_binding=request_binding(b"large")))

    assert world.verify().approvers
    for other in (
        replace(world.call, request=Hidden(70_001)),
        replace(world.call, request_binding=request_binding(b"other")),
    ):
        with pytest.raises(ReceiptRefused, match="Another call"):
            world.verify(call=other)


def test_passkey_of_an_administrator_needs_a_relying_party(world: World) -> None:
    """A relying party may be given; native signatures do not need it."""
    relying_party = {"rp_id": "example.com", "origins": ["https://example.com"]}

    assert world.verify(webauthn=relying_party).approvers


def test_every_required_number(world: World) -> None:
    """Of three required the caller is one, or none where the settings say so."""
    with pytest.raises(ReceiptRefused):
        world.verify(required=3)
    with pytest.raises(ReceiptRefused):
        world.verify(count_requestor=False)
    world.rewrite(policy=replace(world.document.policy, required=2))
    world.signers = ("bob", "carol")

    assert ("bob", "carol") == world.verify(required=3).approvers
    assert ("bob", "carol") == world.verify(count_requestor=False).approvers
    assert ("bob", "carol") == world.verify().approvers


def test_an_auditor_may_lack_values(world: World) -> None:
    """UnsafeAny stands in for the integrator and the time."""
    assert world.verify(integrator_id=UnsafeAny(), now=UnsafeAny()).approvers


_UNMEETABLE: Final[dict[str, dict[str, Any]]] = {
    "no relay": {"relay_public_keys": []},
    "a relay key that is none": {"relay_public_keys": ["AAAA"]},
    "no integrator": {"integrator_id": ""},
    "no time": {"now": None},
    "a fraction of a second": {"now": 1.5},
    "nobody": {"administrators": {}},
    "the caller alone": {"administrators": {"alice": [PrivateKey.generate().public_key]}},
    "administrators without devices": {"administrators": {"bob": [], "carol": []}},
    "a device key that is none": {"administrators": {"bob": ["AAAA"]}},
    "an administrator without id": {"administrators": {"": []}},
    "one required": {"required": 1},
    "none required": {"required": 0},
    "required is true": {"required": True},
    "more required than there are": {"required": 4},
    "count_requestor is no flag": {"count_requestor": 1},
    "no origins": {"webauthn": {"rp_id": "example.com", "origins": []}},
    "a call without canonical form": {"call": call_of(request={}, resource={"weight": 1.5})},
}


@pytest.mark.parametrize("wrong", _UNMEETABLE.values(), ids=_UNMEETABLE.keys())
def test_expectations_that_nothing_meets(world: World, wrong: dict[str, Any]) -> None:
    """What could match too much, or nothing, is refused before the receipt is read."""
    with pytest.raises(ReceiptRefused) as caught:
        world.verify(b"not even a receipt", **wrong)

    assert (RefusalReason.INVALID_EXPECTATION, 0) == (caught.value.reason, caught.value.step)


def test_a_key_of_two_administrators(world: World) -> None:
    """A key that would be two people's voice is refused before the receipt is read."""
    key = world.devices["bob"].public_key

    with pytest.raises(ReceiptRefused) as caught:
        world.verify(administrators={"bob": [key], "carol": [key]})

    assert (RefusalReason.INVALID_EXPECTATION, 0) == (caught.value.reason, caught.value.step)


def _execution(world: World, **members: Any) -> Execution:  # noqa: ANN401 - any member
    every: dict[str, Any] = {
        "request_digest": request_digest(world.document.encode()),
        "claim_id": examples.REQUEST_ID,
        "claimed_at": APPROVED + 10,
        "completed_at": APPROVED + 11,
        "result": "ok",
        **members,
    }
    return Execution(**every)


def test_execution_of_the_call(world: World) -> None:
    """What the relay said of the execution is read from its signed document, in every form."""
    statement = _execution(world)
    envelope = sign(Kind.EXECUTION, statement.encode(), world.relay)

    for form in (envelope.encode(), envelope.encode().decode(), envelope.to_json()):
        assert statement == verify_execution(
            form,
            relay_public_keys=[world.relay.public_key],
            request_digest=world.verify().request_digest,
        )


def test_executions_that_do_not_hold(world: World) -> None:
    """Another signer, another type, another request and no document at all are refused."""
    payload = _execution(world).encode()
    other = _execution(world, request_digest="sha256:" + "a" * 64).encode()
    cases: list[tuple[bytes | str, RefusalReason, int]] = [
        (sign(Kind.EXECUTION, payload, PrivateKey.generate()).encode(), _R.UNTRUSTED_RELAY, 1),
        (sign(Kind.RECEIPT, payload, world.relay).encode(), _R.MALFORMED, 1),
        (sign(Kind.EXECUTION, b"{}", world.relay).encode(), _R.MALFORMED, 1),
        (b"", _R.MALFORMED, 1),
        ("\ud800", _R.MALFORMED, 1),
        (sign(Kind.EXECUTION, other, world.relay).encode(), _R.ACTION_MISMATCH, 2),
    ]
    for execution, reason, step in cases:
        with pytest.raises(ReceiptRefused) as caught:
            verify_execution(
                execution,
                relay_public_keys=[world.relay.public_key],
                request_digest=world.verify().request_digest,
            )

        assert (reason, step) == (caught.value.reason, caught.value.step)


@pytest.mark.parametrize(
    "wrong",
    [{"relay_public_keys": []}, {"request_digest": "x"}],
    ids=["no_relay", "no_digest"],
)
def test_executions_of_nothing(world: World, wrong: dict[str, Any]) -> None:
    """Without a trusted relay or a request there is nothing to verify."""
    arguments: dict[str, Any] = {
        "relay_public_keys": [world.relay.public_key],
        "request_digest": "sha256:" + "a" * 64,
        **wrong,
    }
    with pytest.raises(ReceiptRefused) as caught:
        verify_execution(b"", **arguments)

    assert (RefusalReason.INVALID_EXPECTATION, 0) == (caught.value.reason, caught.value.step)


def test_an_execution_that_is_unknown_says_nothing_more() -> None:
    """Nobody knows when an unknown execution ended, or what came of it."""
    with pytest.raises(ProtocolError, match="unknown result"):
        _execution(World(), result="indeterminate")

    assert "indeterminate" == _execution(World(), result="indeterminate", completed_at=None).result
