"""What the calls about protected methods answer."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quorumkey_relay.domain.protection import Mark, MethodKind

TransactionStateText = Literal[
    "requested",
    "approved",
    "rejected",
    "expired",
    "cancelled",
    "claimed",
    "executed",
    "failed",
    "indeterminate",
    "lapsed",
]


class CallerView(Struct, frozen=True):
    """Who called."""

    kind: Literal["person", "api_key"]
    id: str
    name: str | UnsetType = UNSET


class VoteView(Struct, frozen=True):
    """One administrator's decision."""

    approver_id: str
    decision: Literal["approve", "deny"]
    decided_at: str


class ClaimView(Struct, frozen=True):
    """A claim; ``execution`` is the signed execution envelope once there is a result."""

    claim_id: str
    txid: str
    executor: Literal["integrator", "reissue", "builtin"]
    claimed_at: str
    result_by: str
    completed_at: str | UnsetType = UNSET
    result: Literal["ok", "error", "indeterminate"] | UnsetType = UNSET
    result_digest: str | UnsetType = UNSET
    execution: msgspec.Raw | UnsetType = UNSET


class TransactionView(Struct, frozen=True):
    """A gated call. ``approvals_required`` are those of others, beside the requester's own.

    ``can_act`` is for the calling administrator and only in answers to one: ``approve``,
    ``reject`` or ``cancel``, as far as each is open to them now.
    """

    txid: str
    method: str
    caller: CallerView
    state: TransactionStateText
    request_digest: str
    resource_digest: str | UnsetType
    condition: str
    approvals_required: int
    votes: list[VoteView]
    created_at: str
    expires_at: str
    lapses_at: str | UnsetType = UNSET
    ended_reason: str | UnsetType = UNSET
    ended_by: str | UnsetType = UNSET
    claim: ClaimView | UnsetType = UNSET
    can_act: list[Literal["approve", "reject", "cancel"]] | UnsetType = UNSET


class ProceedView(Struct, frozen=True, tag_field="verdict", tag="proceed"):
    """The call may run: it needs no approval, for ``reason``."""

    reason: Literal["disabled", "api_key_excluded", "unprotected", "condition_false"]
    revision: int


class WaitView(Struct, frozen=True, tag_field="verdict", tag="wait"):
    """The call must not run; the same call again, once ``transaction`` is approved, will."""

    transaction: TransactionView
    revision: int


class RunView(Struct, frozen=True, tag_field="verdict", tag="run"):
    """The call may run, once and now, under ``claim``; ``receipt`` proves the approval."""

    claim: ClaimView
    transaction: TransactionView
    receipt: msgspec.Raw
    revision: int


Verdict = ProceedView | WaitView | RunView


class MethodView(Struct, frozen=True):
    """One method of the catalogue, and how it is protected; ``mark`` is absent where it is not.

    ``drifted``: a default whose condition is not the seeded one any more.
    """

    name: str
    kind: MethodKind
    permission: Literal["read", "write"]
    service: str
    resolver: bool
    protected: bool
    condition: str
    mark: Mark | UnsetType = UNSET
    drifted: bool = False


class SnapshotMethod(Struct, frozen=True):
    """What a service has to know of one method before it asks: does it wait, ever?"""

    name: str
    protected: bool
    always: bool
    conditional: bool
    resolver: bool


class SnapshotView(Struct, frozen=True):
    """``GET /v1/protection/snapshot``; ``methods`` is absent where ``revision`` is the caller's."""

    revision: int
    enabled: bool
    exclude_api_keys: bool
    methods: list[SnapshotMethod] | UnsetType = UNSET


class SettingsView(Struct, frozen=True):
    """The settings, and how many administrators can approve now."""

    enabled: bool
    required: int
    max_duration_seconds: int
    execution_expiry_seconds: int
    exclude_api_keys: bool
    count_requestor: bool
    administrators: int
    revision: int


class AdministratorView(Struct, frozen=True):
    """An administrator; ``devices`` is how many of theirs can approve now."""

    approver_id: str
    devices: int
    name: str | UnsetType = UNSET


class NewApiKeyView(Struct, frozen=True):
    """A new API key; its text is told once."""

    key_id: str
    name: str
    scope: Literal["integrator", "admin"]
    api_key: str


class ApiKeyView(Struct, frozen=True):
    """An API key without its text."""

    key_id: str
    name: str
    scope: Literal["integrator", "admin"]
    created_at: str
    revoked_at: str | UnsetType = UNSET
