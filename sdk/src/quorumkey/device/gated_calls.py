"""Calls of protected methods that wait or waited, as an administrator's device is told of them.

The relay's word, unsigned: for lists and for what can be done now. What is decided on is the
signed request of the same id, which `SoftwareDevice.show` checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.client._calls import post
from quorumkey.client._exchange import json_of
from quorumkey.client.models import Page
from quorumkey.device.decisions import Choice
from quorumkey.protection.models import Vote
from quorumkey.protocol import TransactionState
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.client._fields import Fields
    from quorumkey.device.session import RelaySession
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["GatedAct", "GatedCall", "GatedCalls"]

T = TypeVar("T")

_SERVICE: Final = "/quorumkey.mpa.v1.MultipartyApprovalService"
_INTEGRATOR_HEADER: Final = "x-quorumkey-integrator"


@unique
class GatedAct(StrEnum):
    """What an administrator may do with a gated call; `CANCEL` is the requester's rejection."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedCall:
    """A call that waits or waited for approval; times in epoch seconds.

    Attributes:
        txid: the transaction's id, which is its request's.
        method: the protected method.
        caller_kind: ``person`` or ``api_key``.
        caller_id: the caller's approver id, or the key's id.
        caller_name: the caller's name, or None.
        state: where it stands.
        condition: the condition that was met; empty where every call waits.
        approvals_required: approvals of others, beside the requester's own.
        votes: who decided what so far.
        created_at: when the call was made first.
        expires_at: when it can no longer be approved.
        lapses_at: when an approval that is not used is over, or None.
        ended_reason: why the relay says that it ended, or None.
        ended_by: who ended it, or None.
        result: what became of the execution, or None while there is none.
        can_act: what this device's person may do now.
    """

    txid: str
    method: str
    caller_kind: str
    caller_id: str
    caller_name: str | None
    state: TransactionState
    condition: str
    approvals_required: int
    votes: tuple[Vote, ...]
    created_at: int
    expires_at: int
    lapses_at: int | None
    ended_reason: str | None
    ended_by: str | None
    result: str | None
    can_act: tuple[GatedAct, ...]

    @property
    def approvals(self) -> int:
        """How many others have approved."""
        return sum(vote.decision == Choice.APPROVE for vote in self.votes)

    @staticmethod
    def parse(fields: Fields) -> GatedCall:
        """Read a ``MultipartyApprovalRequest``; what protobuf leaves out has its default."""
        caller = fields.child("caller")
        return GatedCall(
            txid=fields.text("txid"),
            method=fields.text("method"),
            caller_kind=caller.text("kind"),
            caller_id=caller.text("id"),
            caller_name=caller.optional_text("name") or None,
            state=fields.choice("state", TransactionState),
            condition=fields.optional_text("condition") or "",
            approvals_required=(
                fields.integer("approvalsRequired") if fields.has("approvalsRequired") else 0
            ),
            votes=tuple(
                _vote(vote) for vote in (fields.children("votes") if fields.has("votes") else ())
            ),
            created_at=fields.time("createdAt"),
            expires_at=fields.time("expiresAt"),
            lapses_at=fields.optional_time("lapsesAt"),
            ended_reason=fields.optional_text("endedReason") or None,
            ended_by=fields.optional_text("endedBy") or None,
            result=_result(fields),
            can_act=_acts(fields),
        )


def _vote(fields: Fields) -> Vote:
    return Vote(fields.text("approverId"), fields.text("decision"), fields.time("decidedAt"))


def _result(fields: Fields) -> str | None:
    if not fields.has("claim"):
        return None
    return fields.child("claim").optional_text("result") or None


def _acts(fields: Fields) -> tuple[GatedAct, ...]:
    named = fields.texts("canAct") if fields.has("canAct") else ()
    # A newer relay may know more that can be done; this device does not.
    return tuple(act for act in GatedAct if act.value in named)


class GatedCalls:
    """The gated calls of one integrator, read with a device's session.

    Every method raises `ClientError` where the relay refuses or does not answer.
    """

    def __init__(self, session: RelaySession, integrator_id: str | None) -> None:
        self._session = session
        self._integrator_id = integrator_id

    async def page(
        self, *, limit: int = DEFAULT_LIST_LIMIT, cursor: str | None = None
    ) -> Page[GatedCall]:
        """One page of the calls that wait or waited, newest first."""
        body: dict[str, JsonValue] = {"limit": limit}
        if cursor is not None:
            body["cursor"] = cursor
        return await self._call("ListMultipartyApprovalRequestsForSession", body, _page)

    async def get(self, txid: str) -> GatedCall:
        """One of them."""
        return await self._call("GetMultipartyApprovalRequest", {"txid": txid}, _one)

    async def _call(
        self, method: str, body: dict[str, JsonValue], parse: Callable[[Fields], T]
    ) -> T:
        """Call a method that only reads, of the Connect service (https://connectrpc.com)."""
        call = post(
            f"{_SERVICE}/{method}", body, lambda answer: parse(json_of(answer)), repeatable=True
        )
        if self._integrator_id is not None:
            call = call.with_headers((_INTEGRATOR_HEADER, self._integrator_id))
        return await self._session.authorised(call)


def _one(fields: Fields) -> GatedCall:
    return GatedCall.parse(fields.child("request"))


def _page(fields: Fields) -> Page[GatedCall]:
    requests = fields.children("requests") if fields.has("requests") else ()
    return Page(
        data=tuple(GatedCall.parse(request) for request in requests),
        next_cursor=fields.optional_text("nextCursor") or None,
    )
