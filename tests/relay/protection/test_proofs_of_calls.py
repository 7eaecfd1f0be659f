"""What the relay tells a service about an approved call is what the service can check offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.protection.workshop import ACME, ALICE, KEY, KILL, Workshop
from tests.relay.simulator import granted

from quorumkey.errors import ReceiptRefused, RefusalReason
from quorumkey.protected import VerifiedCall, verify_execution, verify_protected_call
from quorumkey.protocol import Hidden, ProtectedCall, b64encode, canonical_json, request_binding
from quorumkey_relay.usecases.protection.commands import CallerBody, MessageBody, ResultBody

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue
    from quorumkey_relay.usecases.protection.views import RunView

pytestmark = pytest.mark.anyio

BINDING = request_binding(b"what was not sent")


def _call(request: JsonValue | Hidden, **members: Any) -> ProtectedCall:  # noqa: ANN401 - any member
    binding = BINDING if isinstance(request, Hidden) else request_binding(canonical_json(request))
    every: dict[str, Any] = {
        "method": KILL,
        "caller_kind": "person",
        "caller_id": "alice",
        "request": request,
        "request_binding": binding,
        **members,
    }
    return ProtectedCall(**every)


def _verify(
    shop: Workshop, run: RunView, call: ProtectedCall, *leaving_out: str, required: int = 2
) -> VerifiedCall:
    relay = shop.sim.relay.keys.current(shop.sim.clock.now()).public_key
    return verify_protected_call(
        bytes(run.receipt),
        call=call,
        relay_public_keys=[relay],
        integrator_id=ACME.id,
        now=shop.sim.clock.now(),
        administrators={
            person: [device.key.public_key]
            for person, device in shop.devices.items()
            if person not in leaving_out
        },
        required=required,
    )


_REQUESTS: dict[str, JsonValue] = {
    "nothing": {},
    "another order": {"z": 1, "a": {"y": [2, {"b": None, "a": True}], "x": ""}},
    "no object": ["a", 1],
    "invisible characters": {"\u202ea\n": "\u2028\x00 \u200b", "é": "e\u0301"},
    "long lines": {"a": "x" * 5_000, "b": '"\\' * 2_000},
    "many lines": {f"m{number}": number for number in range(3_000)},
    "deep": {"a": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]},
}


@pytest.mark.parametrize("request_", _REQUESTS.values(), ids=_REQUESTS.keys())
async def test_every_request_can_be_proved(shop: Workshop, request_: JsonValue) -> None:
    """Whatever JSON a service was asked with, its approval verifies under that request alone."""
    body = shop.body(request=request_)
    await shop.approved("bob", body=body)

    run = await shop.runs(shop.body(request=request_))

    assert ("bob",) == _verify(shop, run, _call(request_)).approvers
    with pytest.raises(ReceiptRefused) as caught:
        _verify(shop, run, _call({"another": "request"}))
    assert caught.value.reason is RefusalReason.ACTION_MISMATCH


async def test_a_resource_is_proved(shop: Workshop) -> None:
    """What the resolver found is part of what was approved, and so is that it found nothing."""
    found: dict[str, Any] = {"id": 7, "tag": "global", "text": "\u202e"}
    await shop.protect("DeleteRule", 'resource.tag == "global"')
    every: list[dict[str, Any]] = [{"resource": found}, {"resource_failed": True}]
    for members in every:
        await shop.approved("carol", body=shop.body("DeleteRule", {"rule_id": "7"}, **members))

        run = await shop.runs(shop.body("DeleteRule", {"rule_id": "7"}, **members))

        call = _call({"rule_id": "7"}, method="DeleteRule", **members)
        assert ("carol",) == _verify(shop, run, call).approvers
        with pytest.raises(ReceiptRefused):
            _verify(shop, run, _call({"rule_id": "7"}, method="DeleteRule"))


async def test_requests_that_are_not_json_are_proved(shop: Workshop) -> None:
    """Protobuf bytes with a view, and a digest with a size, verify as what they are."""
    view: JsonValue = {"tag": "staging", "ratio": "0.5"}
    sent = b"\x0a\x07staging"
    protobuf = MessageBody(protobuf=b64encode(sent), view={"tag": "staging", "ratio": "0.5"})
    digest = MessageBody(digest=BINDING, size=70_000)
    cases = (
        (protobuf, _call(view, request_binding=request_binding(sent))),
        (digest, _call(Hidden(70_000))),
    )
    for message, call in cases:
        await shop.approved("bob", body=shop.body(message=message))

        run = await shop.runs(shop.body(message=message))

        assert ("bob",) == _verify(shop, run, call).approvers


async def test_callers_of_every_kind_are_proved(shop: Workshop) -> None:
    """An API key and a person who is no administrator have two others behind them."""
    dora = CallerBody("person", "dora", "Dora")
    for caller in (KEY, dora):
        await shop.approved("bob", "carol", body=shop.body(request={}, caller=caller))

        run = await shop.runs(shop.body(request={}, caller=caller))

        call = _call({}, caller_kind=caller.kind, caller_id=caller.id)
        assert ("bob", "carol") == _verify(shop, run, call).approvers


async def test_a_caller_who_changed_their_name(shop: Workshop) -> None:
    """The same person under another name is the same caller, for the relay and for the proof."""
    await shop.approved("bob", body=shop.body(caller=CallerBody("person", "alice", "Alice")))

    run = await shop.runs(shop.body(caller=CallerBody("person", "alice", "Alice Liddell")))

    call = _call({"tag": "staging", "process": "nginx"}, caller_name="Alice Liddell")
    assert ("bob",) == _verify(shop, run, call).approvers


async def test_a_service_asks_for_more_than_its_relay(shop: Workshop) -> None:
    """Where the service's own number is greater, what was enough for the relay is not."""
    await shop.approved("bob", body=shop.body(request={}))

    run = await shop.runs(shop.body(request={}))

    cases: list[tuple[int, tuple[str, ...]]] = [(3, ()), (2, ("alice",)), (2, ("bob",))]
    for required, left_out in cases:
        with pytest.raises(ReceiptRefused):
            _verify(shop, run, _call({}), *left_out, required=required)


async def test_an_execution_is_the_relay_s_word(shop: Workshop) -> None:
    """The execution document of a settled claim verifies for the request that was proved."""
    await shop.approved("bob", body=shop.body(request={}, caller=ALICE))
    run = await shop.runs(shop.body(request={}))
    proof = _verify(shop, run, _call({}))

    settled = await granted(shop.settle(run.claim, ResultBody("error", BINDING)))

    said = verify_execution(
        json.loads(bytes(settled.execution or b"")),
        relay_public_keys=[shop.sim.relay.keys.current(shop.sim.clock.now()).public_key],
        request_digest=proof.request_digest,
    )
    assert ("error", BINDING, run.claim.claim_id) == (
        said.result,
        said.result_digest,
        said.claim_id,
    )
