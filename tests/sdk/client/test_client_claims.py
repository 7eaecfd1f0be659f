"""Claiming an approval before acting on it, and saying what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.client.world import ALICE, World
from tests.sdk.relay_double import answer, body_of, failure

from quorumkey.client import ClaimState
from quorumkey.errors import ConflictError, UnexpectedAnswerError
from quorumkey.protocol import Kind, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quorumkey.protocol import JsonValue

CLAIM_ID = "01a1fb5c-6c3d-7e5c-95cc-52144387310f"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def world() -> Iterator[World]:
    """A world for one test."""
    made = World()
    yield made
    made.client.close()


def claim_of(request_id: str, **more: JsonValue) -> dict[str, JsonValue]:
    """A claim as the relay tells it."""
    return {
        "claim_id": CLAIM_ID,
        "txid": request_id,
        "executor": "integrator",
        "claimed_at": "2026-04-24T10:40:00Z",
        "result_by": "2026-04-24T11:40:00Z",
        **more,
    }


def test_a_claim_tells_who_may_act(world: World) -> None:
    """The answer is the claim, with the time until which a result is awaited."""
    request_id = world.create(ALICE).request_id
    world.relay.script(f"POST /v1/requests/{request_id}/claim", answer(claim_of(request_id)))
    claim = world.client.requests.claim(request_id)

    assert isinstance(claim, ClaimState)
    assert (CLAIM_ID, request_id, 3_600) == (
        claim.claim_id,
        claim.txid,
        claim.result_by - claim.claimed_at,
    )
    assert (None, None, None) == (claim.result, claim.completed_at, claim.execution)


def test_a_lost_answer_is_asked_for_under_the_same_key(world: World) -> None:
    """A claim is repeated with the key of the first attempt; another claim has another key."""
    request_id = world.create(ALICE).request_id
    path = f"POST /v1/requests/{request_id}/claim"
    given = answer(claim_of(request_id))
    world.relay.script(path, httpx2.ReadError("cut"), given, failure(409, "request_completed"))
    world.client.requests.claim(request_id)
    with pytest.raises(ConflictError, match="request_completed"):
        world.client.requests.claim(request_id)

    first, second, third = (body_of(call)["claim_key"] for call in world.relay.calls[-3:])
    assert first == second
    assert first != third


def test_a_key_of_one_s_own(world: World) -> None:
    """A given key is what is sent."""
    request_id = world.create(ALICE).request_id
    world.relay.script(f"POST /v1/requests/{request_id}/claim", answer(claim_of(request_id)))
    world.client.requests.claim(request_id, claim_key="an-attempt-of-our-own")

    assert {"claim_key": "an-attempt-of-our-own"} == body_of(world.relay.calls[-1])


def test_a_result_is_recorded(world: World) -> None:
    """The result goes out with its digest, and comes back with the relay's signed statement."""
    request_id = world.create(ALICE).request_id
    execution = sign(Kind.EXECUTION, b"{}", world.relay.key)
    settled = claim_of(
        request_id,
        result="ok",
        result_digest=DIGEST,
        completed_at="2026-04-24T10:41:00Z",
        execution=execution.to_json(),
    )
    world.relay.script(f"POST /v1/claims/{CLAIM_ID}/result", answer(settled))
    claim = world.client.requests.settle(CLAIM_ID, "ok", result_digest=DIGEST)

    assert {"result": "ok", "result_digest": DIGEST} == body_of(world.relay.calls[-1])
    assert ("ok", DIGEST, execution) == (claim.result, claim.result_digest, claim.execution)


def test_what_is_no_claim(world: World) -> None:
    """An answer without the claim's id is not taken for one."""
    request_id = world.create(ALICE).request_id
    world.relay.script(f"POST /v1/requests/{request_id}/claim", answer({"txid": request_id}))

    with pytest.raises(UnexpectedAnswerError, match="claim_id"):
        world.client.requests.claim(request_id)
