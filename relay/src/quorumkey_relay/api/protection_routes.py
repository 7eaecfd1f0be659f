"""The part of the table of routes that is about protected methods."""

from __future__ import annotations

from typing import Any, Final

from quorumkey.protocol.limits import MAX_CHECK_BODY_BYTES, MAX_REQUEST_BODY_BYTES
from quorumkey_relay.api import protection, queries
from quorumkey_relay.api.bodies import NO_BODY, structured
from quorumkey_relay.api.endpoint import Endpoint
from quorumkey_relay.api.gate import API_KEY, SERVICE
from quorumkey_relay.usecases.protection import commands, views
from quorumkey_relay.usecases.views import Page

PROTECTION_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    Endpoint(
        method="PUT",
        path="/v1/protection/catalogue",
        summary="Register all methods of one service; what it had before goes.",
        auth=API_KEY,
        body=structured(commands.CatalogueBody, max_bytes=MAX_REQUEST_BODY_BYTES),
        handle=protection.register_catalogue,
        answer=views.SnapshotView,
        errors=("failed_precondition",),
    ),
    Endpoint(
        method="GET",
        path="/v1/protection/snapshot",
        summary="Read which methods may wait; held for a moment while your revision is the newest.",
        auth=SERVICE,
        body=NO_BODY,
        handle=protection.snapshot,
        answer=views.SnapshotView,
        query=(queries.REVISION,),
    ),
    Endpoint(
        method="POST",
        path="/v1/protection/check",
        summary="Ask whether a call may run: proceed, wait for approval, or run once.",
        auth=SERVICE,
        body=structured(commands.CheckBody, max_bytes=MAX_CHECK_BODY_BYTES),
        handle=protection.check,
        answer=views.Verdict,
        errors=("failed_precondition",),
    ),
    Endpoint(
        method="GET",
        path="/v1/protection/transactions",
        summary="List calls that waited for approval, newest first.",
        auth=SERVICE,
        body=NO_BODY,
        handle=protection.list_transactions,
        answer=Page[views.TransactionView],
        query=(queries.LIMIT, queries.CURSOR),
    ),
    Endpoint(
        method="GET",
        path="/v1/protection/transactions/{request_id}",
        summary="Read a call that waited for approval.",
        auth=SERVICE,
        body=NO_BODY,
        handle=protection.read_transaction,
        answer=views.TransactionView,
    ),
    Endpoint(
        method="POST",
        path="/v1/requests/{request_id}/claim",
        summary="Claim an approved request before you act on it: once, whoever asks first.",
        auth=SERVICE,
        body=structured(commands.ClaimBody),
        handle=protection.claim_request,
        answer=views.ClaimView,
        errors=("failed_precondition", "not_completed", "request_completed"),
    ),
    Endpoint(
        method="GET",
        path="/v1/claims/{claim_id}",
        summary="Read a claim and, once there is one, its result.",
        auth=SERVICE,
        body=NO_BODY,
        handle=protection.read_claim,
        answer=views.ClaimView,
    ),
    Endpoint(
        method="POST",
        path="/v1/claims/{claim_id}/result",
        summary="Say what became of a claimed call; the same result again gets the same answer.",
        auth=SERVICE,
        body=structured(commands.ResultBody),
        handle=protection.settle,
        answer=views.ClaimView,
        errors=("request_completed",),
    ),
)
