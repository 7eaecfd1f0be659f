"""Requests for roles, activations and policies: what a commit rests on, and taking it into memory.

A commit may change one thing twice, so its writes are judged in order, each on what the ones before
it make, and all before any is applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.sqlite import jit_rows as rows
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation, PutMail, PutPolicy

if TYPE_CHECKING:
    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.sqlite.hot_jit import AccessMemory
    from quorumkey_relay.store.sqlite.jit_reader import JitReader
    from quorumkey_relay.store.sqlite.writer import Statement
    from quorumkey_relay.store.writes import Commit

JitWrite = PutAccessRequest | PutActivation | PutPolicy | PutMail


def apply_jit(write: JitWrite, memory: AccessMemory, vault: Vault) -> list[Statement]:
    """Take ``write`` into memory and return its statements."""
    match write:
        case PutAccessRequest(after=after):
            memory.put_request(after)
            return rows.access_request_rows(write)
        case PutActivation(after=after):
            memory.put_activation(after)
            return [rows.activation_row(write)]
        case PutPolicy(before=before, after=after):
            if after is not None:
                memory.put_policy(after)
            elif before is not None:
                memory.drop_policy(before)
            return rows.policy_rows(write)
        case PutMail(mail=mail):
            return [rows.mail_row(mail, vault)]


def check_jit(writes: Commit, memory: AccessMemory, reader: JitReader) -> None:
    """Raise ``Conflict`` where what a commit's writes rest on has changed."""
    if any(isinstance(write, JitWrite) for write in writes):
        draft = _Draft(memory, reader)
        for write in writes:
            draft.add(write)


class _Draft:
    """What memory would hold after the writes of a commit that were judged so far."""

    def __init__(self, memory: AccessMemory, reader: JitReader) -> None:
        self._memory = memory
        self._reader = reader
        self._requests: dict[str, AccessRequest] = {}
        self._activations: dict[str, Activation] = {}
        self._policies: dict[tuple[str, str], StoredPolicy | None] = {}

    def add(self, write: object) -> None:
        """Judge one write more; raises ``Conflict``."""
        match write:
            case PutAccessRequest():
                self._put_request(write)
            case PutActivation():
                self._put_activation(write)
            case PutPolicy():
                self._put_policy(write)
            case _:
                pass

    def _put_request(self, write: PutAccessRequest) -> None:
        after = write.after
        known = (
            self._requests.get(after.id)
            or self._memory.requests.get(after.id)
            or self._reader.access_request(after.id)
        )
        if known != write.before:
            raise Conflict(after.id)
        if after.request_id is not None:
            owned = self._request_of(after.request_id)
            if owned is not None and owned.id != after.id:
                raise Conflict(after.request_id)
        self._requests[after.id] = after

    def _request_of(self, request_id: str) -> AccessRequest | None:
        drafted = (one for one in self._requests.values() if one.request_id == request_id)
        return (
            next(drafted, None)
            or self._memory.requests.of(request_id)
            or self._reader.access_request_of(request_id)
        )

    def _put_activation(self, write: PutActivation) -> None:
        after = write.after
        known = (
            self._activations.get(after.activation_id)
            or self._memory.activations.get(after.activation_id)
            or self._reader.activation(after.activation_id)
        )
        if known != write.before:
            raise Conflict(after.activation_id)
        asked = after.access_request if known is None else None
        if asked is not None and self._activation_of(asked) is not None:
            raise Conflict(asked)
        self._activations[after.activation_id] = after

    def _activation_of(self, access_request_id: str) -> Activation | None:
        drafted = (
            one for one in self._activations.values() if one.access_request == access_request_id
        )
        return (
            next(drafted, None)
            or self._memory.activations.of(access_request_id)
            or self._reader.activation_of(access_request_id)
        )

    def _put_policy(self, write: PutPolicy) -> None:
        one = write.after or write.before
        if one is None:
            return
        key = (one.integrator_id, one.project)
        if key in self._policies:
            known = self._policies[key]
        else:
            known = self._memory.policies(one.integrator_id).get(one.project)
        if known != write.before:
            raise Conflict(one.project)
        self._policies[key] = write.after
