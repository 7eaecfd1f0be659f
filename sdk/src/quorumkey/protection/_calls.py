"""Each call about protected methods as a value: what to send and how to read the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.client._calls import get, post, query, segment
from quorumkey.client._exchange import json_of
from quorumkey.client.models import page_of
from quorumkey.protection.models import ClaimState, Snapshot, Transaction, check_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quorumkey.client._exchange import Call
    from quorumkey.client.models import Page
    from quorumkey.protection.declarations import Method
    from quorumkey.protection.models import CheckAnswer
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "check",
    "claim_request",
    "get_claim",
    "get_snapshot",
    "get_transaction",
    "list_transactions",
    "register",
    "settle",
]

_TRANSACTIONS: Final = "/v1/protection/transactions"


def register(service: str, methods: Iterable[Method]) -> Call[Snapshot]:
    """``PUT /v1/protection/catalogue``: the same catalogue again changes nothing."""
    body: dict[str, JsonValue] = {
        "service": service,
        "methods": [method.to_json() for method in methods],
    }
    path = "/v1/protection/catalogue"
    return post(
        path, body, lambda answer: Snapshot.parse(json_of(answer)), repeatable=True, method="PUT"
    )


def get_snapshot(revision: int | None) -> Call[Snapshot]:
    """``GET /v1/protection/snapshot``; held for a moment where it is the caller's already."""
    return get("/v1/protection/snapshot", Snapshot.parse, query=query(revision=revision))


def check(body: Mapping[str, JsonValue]) -> Call[CheckAnswer]:
    """``POST /v1/protection/check``; its claim key makes it the same question when repeated."""
    path = "/v1/protection/check"
    return post(path, body, lambda answer: check_answer(json_of(answer)), repeatable=True)


def claim_request(request_id: str, claim_key: str) -> Call[ClaimState]:
    """``POST /v1/requests/{id}/claim``; the same key is given the same claim again."""
    path = f"/v1/requests/{segment(request_id)}/claim"
    return post(
        path,
        {"claim_key": claim_key},
        lambda answer: ClaimState.parse(json_of(answer)),
        repeatable=True,
    )


def get_claim(claim_id: str) -> Call[ClaimState]:
    """``GET /v1/claims/{id}``."""
    return get(f"/v1/claims/{segment(claim_id)}", ClaimState.parse)


def settle(claim_id: str, result: str, result_digest: str | None) -> Call[ClaimState]:
    """``POST /v1/claims/{id}/result``; the same result again is answered as the first time."""
    body: dict[str, JsonValue] = {"result": result}
    if result_digest is not None:
        body["result_digest"] = result_digest
    path = f"/v1/claims/{segment(claim_id)}/result"
    return post(path, body, lambda answer: ClaimState.parse(json_of(answer)), repeatable=True)


def get_transaction(txid: str) -> Call[Transaction]:
    """``GET /v1/protection/transactions/{id}``."""
    return get(f"{_TRANSACTIONS}/{segment(txid)}", Transaction.parse)


def list_transactions(*, limit: int | None, cursor: str | None) -> Call[Page[Transaction]]:
    """``GET /v1/protection/transactions``, one page."""
    asked = query(limit=limit, cursor=cursor)
    return get(_TRANSACTIONS, page_of(Transaction.parse), query=asked)
