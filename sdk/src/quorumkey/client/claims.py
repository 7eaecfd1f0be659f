"""Claims: the right to act on an approval, given once to whoever asks first.

An approval can be used until its ``use_by``, by everybody who holds its receipt. Whoever must act
on it exactly once claims it first; of several processes one gets the claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quorumkey.client._calls import post, segment
from quorumkey.client._exchange import json_of
from quorumkey.client.models import envelope_of

if TYPE_CHECKING:
    from quorumkey.client._exchange import Answer, Call
    from quorumkey.client._fields import Fields
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["ClaimState", "claim_request", "settle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimState:
    """A claim, by the relay's word; times in epoch seconds.

    Attributes:
        claim_id: its id.
        txid: the request that it used up.
        claimed_at: when.
        result_by: until when a result is awaited; then it is ``indeterminate``.
        completed_at: when the result was recorded, once it was.
        result: ``ok``, ``error`` or ``indeterminate``, once there is one.
        result_digest: ``sha256:…`` of what the call answered, as it was reported.
        execution: the relay's signed statement of all this; see `quorumkey.protected`.
    """

    claim_id: str
    txid: str
    claimed_at: int
    result_by: int
    completed_at: int | None = None
    result: str | None = None
    result_digest: str | None = None
    execution: Envelope | None = field(default=None, repr=False)

    @staticmethod
    def parse(fields: Fields) -> ClaimState:
        """Read a claim."""
        return ClaimState(
            claim_id=fields.text("claim_id"),
            txid=fields.text("txid"),
            claimed_at=fields.time("claimed_at"),
            result_by=fields.time("result_by"),
            completed_at=fields.optional_time("completed_at"),
            result=fields.optional_text("result"),
            result_digest=fields.optional_text("result_digest"),
            execution=envelope_of(fields.raw("execution")) if fields.has("execution") else None,
        )


def claim_request(request_id: str, claim_key: str) -> Call[ClaimState]:
    """``POST /v1/requests/{id}/claim``; the same key is given the same claim again."""
    path = f"/v1/requests/{segment(request_id)}/claim"
    return post(path, {"claim_key": claim_key}, _state, repeatable=True)


def settle(claim_id: str, result: str, result_digest: str | None) -> Call[ClaimState]:
    """``POST /v1/claims/{id}/result``; the same result again is answered as the first time."""
    body: dict[str, JsonValue] = {"result": result}
    if result_digest is not None:
        body["result_digest"] = result_digest
    return post(f"/v1/claims/{segment(claim_id)}/result", body, _state, repeatable=True)


def _state(answer: Answer) -> ClaimState:
    return ClaimState.parse(json_of(answer))
