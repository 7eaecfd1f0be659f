"""Protections, transactions and claims, made by hand."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from tests.contract.material import MINT, ended, request
from tests.relay.simulator import ACME, START

from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.protection import Method, Protection, ProtectionSettings
from quorumkey_relay.domain.transactions import (
    RESULT_WITHIN_SECONDS,
    Caller,
    Claim,
    Transaction,
    Withdrawal,
)
from quorumkey_relay.store.writes import OpenRequest, OpenTransaction

if TYPE_CHECKING:
    from quorumkey_relay.domain.forms import Executor
    from quorumkey_relay.domain.transactions import ClaimResult, WithdrawalOutcome
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored

KILL = "KillProcessOnHostsWithTag"


def digest(text: str) -> bytes:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode()).digest()


def protection(*administrators: str, integrator: Integrator = ACME) -> Protection:
    """A first protection, of one method."""
    return Protection(
        integrator_id=integrator.id,
        revision=1,
        settings=ProtectionSettings(enabled=True, required=3),
        methods={KILL: Method(name=KILL, kind="default", service="workshop")},
        protected={KILL: 'request.tag == "global"'},
        seeded=(KILL,),
        administrators=administrators,
    )


def changed(before: Protection, *administrators: str) -> Protection:
    """What becomes of a protection when its administrators change."""
    return msgspec.structs.replace(
        before, revision=before.revision + 1, administrators=administrators
    )


def transaction(stored: Stored, *, call: str = "a call") -> Transaction:
    """The transaction of a request, with every member that it may have."""
    return Transaction(
        request_id=stored.terms.request_id,
        integrator_id=stored.terms.integrator_id,
        method=KILL,
        caller=Caller("person", "alice", "Alice"),
        match_key=digest(call),
        request_digest="sha256:" + digest("request").hex(),
        resource_digest="sha256:" + digest("resource").hex(),
        condition='request.tag == "global"',
        required=2,
        requester_counts=True,
        execution_expiry_seconds=600,
        created_at=START,
    )


def bare(stored: Stored, *, call: str = "a call") -> Transaction:
    """The transaction of a request, without what may be absent."""
    return msgspec.structs.replace(
        transaction(stored, call=call),
        caller=Caller("api_key", "key-1"),
        resource_digest=None,
        condition="",
        requester_counts=False,
        executor="builtin",
    )


def withdrawal(outcome: WithdrawalOutcome = "cancelled", *, by: str | None = "alice") -> Withdrawal:
    """The end of an approval that was not claimed."""
    envelope = None if by is None else b'{"signed":1}'
    return Withdrawal(at=START + 5, outcome=outcome, reason="denied", by=by, envelope=envelope)


def claim(
    stored: Stored, *, key: str = "a key", at: int = START, executor: Executor = "reissue"
) -> Claim:
    """A claim on a request."""
    return Claim(
        claim_id=MINT.uuid7(),
        request_id=stored.terms.request_id,
        integrator_id=stored.terms.integrator_id,
        executor=executor,
        key_digest=digest(key),
        claimed_at=at,
        result_by=at + RESULT_WITHIN_SECONDS,
    )


def settled(claim: Claim, result: ClaimResult = "ok") -> Claim:
    """A claim with its result."""
    return msgspec.structs.replace(
        claim,
        completed_at=claim.claimed_at + 3,
        result=result,
        result_digest="sha256:" + digest("result").hex(),
        execution=b'{"signed":2}',
    )


async def opened(store: Store, *groups: str, call: str = "a call") -> tuple[Stored, Transaction]:
    """A request and its transaction, both stored."""
    stored = request(*groups)
    made = transaction(stored, call=call)
    await store.commit((OpenRequest(stored), OpenTransaction(made)))
    return stored, made


async def approved(store: Store, *groups: str, call: str = "a call") -> tuple[Stored, Transaction]:
    """A transaction whose request was approved."""
    stored, made = await opened(store, *groups, call=call)
    await store.commit(ended(stored, Status.APPROVED))
    return stored, made
