"""Each call about protected methods as a value: what to send and how to read the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.client._calls import get, post, query, segment
from quorumkey.client._exchange import json_of
from quorumkey.client.models import page_of
from quorumkey.protection.models import Snapshot, Transaction, check_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quorumkey.client._exchange import Call
    from quorumkey.client.models import Page
    from quorumkey.protection.declarations import Method
    from quorumkey.protection.models import CheckAnswer
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "check",
    "get_snapshot",
    "get_transaction",
    "list_transactions",
    "register",
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


def get_transaction(txid: str) -> Call[Transaction]:
    """``GET /v1/protection/transactions/{id}``."""
    return get(f"{_TRANSACTIONS}/{segment(txid)}", Transaction.parse)


def list_transactions(*, limit: int | None, cursor: str | None) -> Call[Page[Transaction]]:
    """``GET /v1/protection/transactions``, one page."""
    asked = query(limit=limit, cursor=cursor)
    return get(_TRANSACTIONS, page_of(Transaction.parse), query=asked)
