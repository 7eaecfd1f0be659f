"""What the relay answers about protected methods; nothing here is proof.

Times are whole seconds since the epoch (UTC). A call runs on the receipt that stands beside a
claim, not on these words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from quorumkey.client.claims import ClaimState
from quorumkey.client.models import envelope_of
from quorumkey.errors import ProtocolError, UnexpectedAnswerError
from quorumkey.protocol import TransactionState
from quorumkey.protocol.ids import check_uuid7

if TYPE_CHECKING:
    from quorumkey.client._fields import Fields
    from quorumkey.protocol.dsse import Envelope

__all__ = ["ClaimState", "Snapshot", "SnapshotMethod", "Transaction", "Vote"]

#: Why a call may proceed; what an unknown reason would mean cannot be known.
_REASONS: Final = frozenset({"disabled", "api_key_excluded", "unprotected", "condition_false"})


@dataclass(frozen=True, slots=True)
class Vote:
    """One administrator's decision: ``approve`` or ``deny``."""

    approver_id: str
    decision: str
    decided_at: int

    @staticmethod
    def parse(fields: Fields) -> Vote:
        """Read a vote."""
        return Vote(fields.text("approver_id"), fields.text("decision"), fields.time("decided_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A gated call.

    Attributes:
        txid: its id, which is the approval request's.
        method: what was called.
        caller_kind: ``person`` or ``api_key``.
        caller_id: by whom.
        state: where it stands.
        request_digest: of the canonical request.
        condition: the one that fired, empty for an unconditional one.
        approvals_required: how many others have to approve.
        votes: what the administrators said so far.
        created_at: when it was opened.
        expires_at: until when it can be approved.
        lapses_at: until when it can be executed, once it is approved.
        resource_digest: of the resource, where there is one.
        ended_reason: why it ended without being executed.
    """

    txid: str
    method: str
    caller_kind: str
    caller_id: str
    state: TransactionState
    request_digest: str
    condition: str
    approvals_required: int
    votes: tuple[Vote, ...]
    created_at: int
    expires_at: int
    lapses_at: int | None = None
    resource_digest: str | None = None
    ended_reason: str | None = None
    claim: ClaimState | None = None

    @staticmethod
    def parse(fields: Fields) -> Transaction:
        """Read a transaction."""
        caller = fields.child("caller")
        return Transaction(
            txid=_txid(fields),
            method=fields.text("method"),
            caller_kind=caller.text("kind"),
            caller_id=caller.text("id"),
            state=fields.choice("state", TransactionState),
            request_digest=fields.text("request_digest"),
            condition=fields.text("condition"),
            approvals_required=fields.integer("approvals_required"),
            votes=tuple(map(Vote.parse, fields.children("votes"))),
            created_at=fields.time("created_at"),
            expires_at=fields.time("expires_at"),
            lapses_at=fields.optional_time("lapses_at"),
            resource_digest=fields.optional_text("resource_digest"),
            ended_reason=fields.optional_text("ended_reason"),
            claim=ClaimState.parse(fields.child("claim")) if fields.has("claim") else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotMethod:
    """How one method is protected."""

    name: str
    protected: bool
    always: bool

    @staticmethod
    def parse(fields: Fields) -> SnapshotMethod:
        """Read a method of a snapshot."""
        return SnapshotMethod(
            name=fields.text("name"),
            protected=_said(fields, "protected"),
            always=_said(fields, "always"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How the integrator's methods are protected; ``methods`` is None where nothing changed."""

    revision: int
    enabled: bool
    exclude_api_keys: bool
    methods: tuple[SnapshotMethod, ...] | None

    @staticmethod
    def parse(fields: Fields) -> Snapshot:
        """Read a snapshot."""
        methods = fields.children("methods") if fields.has("methods") else None
        return Snapshot(
            revision=fields.integer("revision"),
            enabled=_said(fields, "enabled"),
            exclude_api_keys=_said(fields, "exclude_api_keys"),
            methods=None if methods is None else tuple(map(SnapshotMethod.parse, methods)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProceedAnswer:
    """The relay says that the call needs no approval."""

    reason: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitAnswer:
    """The relay says that the call waits."""

    transaction: Transaction
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnswer:
    """The relay says that the call is approved, and has given it the claim."""

    transaction: Transaction
    claim: ClaimState
    receipt: Envelope
    revision: int


CheckAnswer: TypeAlias = ProceedAnswer | WaitAnswer | RunAnswer


def check_answer(fields: Fields) -> CheckAnswer:
    """Read the answer of ``POST /v1/protection/check``."""
    revision = fields.integer("revision")
    verdict = fields.text("verdict")
    if verdict == "proceed":
        reason = fields.text("reason")
        if reason not in _REASONS:
            raise UnexpectedAnswerError("The relay's verdict has an unknown reason.")
        return ProceedAnswer(reason=reason, revision=revision)
    transaction = Transaction.parse(fields.child("transaction"))
    if verdict == "wait":
        return WaitAnswer(transaction=transaction, revision=revision)
    if verdict == "run":
        return RunAnswer(
            transaction=transaction,
            claim=ClaimState.parse(fields.child("claim")),
            receipt=envelope_of(fields.raw("receipt")),
            revision=revision,
        )
    raise UnexpectedAnswerError("The relay's verdict is neither proceed, wait nor run.")


def _txid(fields: Fields) -> str:
    """An id and nothing else: a service writes it into headers of its own answers."""
    try:
        return check_uuid7(fields.text("txid"), field="txid")
    except ProtocolError as error:
        raise UnexpectedAnswerError(f"The relay's answer is not usable: {error.message}") from None


def _said(fields: Fields, name: str) -> bool:
    """A flag that must be there: nothing may be taken for switched off because it is missing."""
    fields.raw(name)
    return fields.flag(name)
