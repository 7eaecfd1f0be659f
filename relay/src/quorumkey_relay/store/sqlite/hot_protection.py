"""What the SQLite store holds in memory of protected methods."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from quorumkey_relay.domain.forms import Executor
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.transactions import Caller, Claim, Transaction, Withdrawal
    from quorumkey_relay.identity.principals import Device, Pairing

# A call that is issued again, or a result, just after the end is judged without a read.
RECENT_TRANSACTIONS: Final = 2_048


class ProtectionDirectory:
    """The part of the directory about protected methods: protections, and devices by approver."""

    devices: dict[str, Device]

    def __init__(self) -> None:
        """Start empty."""
        self._protections: dict[str, Protection] = {}
        self._tied: dict[tuple[str, str], tuple[str, ...]] = {}

    def protection(self, integrator_id: str) -> Protection | None:
        """Return an integrator's protection."""
        return self._protections.get(integrator_id)

    def protections(self) -> list[Protection]:
        """Return every integrator's protection."""
        return list(self._protections.values())

    def put_protection(self, protection: Protection) -> None:
        """Take a new or changed protection."""
        self._protections[protection.integrator_id] = protection

    def take_protection(self, protection: Protection) -> None:
        """Take what another process made of a protection, unless this one went on from there."""
        known = self._protections.get(protection.integrator_id)
        if known is None or known.revision < protection.revision:
            self.put_protection(protection)

    def devices_of(self, integrator_id: str, approver_id: str) -> list[Device]:
        """Return the unrevoked devices that are paired for an approver, oldest pairing first."""
        tied = [self.devices[name] for name in self._tied.get((integrator_id, approver_id), ())]
        found = [device for device in tied if device.revoked_at is None]
        return sorted(found, key=lambda device: device.pairings[integrator_id].pairing_id)

    def tie(self, pairing: Pairing, device: str) -> None:
        """Take that ``device`` is paired from now on."""
        key = (pairing.integrator_id, pairing.approver_id)
        self._tied[key] = (*self._tied.get(key, ()), device)

    def untie(self, pairing: Pairing, device: str) -> None:
        """Take that ``device`` is not paired any more, if it was."""
        key = (pairing.integrator_id, pairing.approver_id)
        left = tuple(name for name in self._tied.get(key, ()) if name != device)
        if left:
            self._tied[key] = left
        else:
            self._tied.pop(key, None)


class WaitingCalls:
    """Which requests of calls are pending, by who has to execute the call and who calls."""

    def __init__(self) -> None:
        """Start empty."""
        self._calls: dict[tuple[str, ...], dict[str, Transaction]] = {}
        self._known: dict[str, Transaction] = {}

    def of(self, integrator_id: str, executor: Executor, caller: Caller | None) -> Collection[str]:
        """Return the request ids of one caller's calls, or of everybody's, oldest first."""
        who = () if caller is None else (caller.kind, caller.id)
        return self._calls.get((integrator_id, executor, *who), {}).keys()

    def add(self, transaction: Transaction) -> None:
        """Take a call whose request is pending."""
        self._known[transaction.request_id] = transaction
        for key in self._keys(transaction):
            self._calls.setdefault(key, {})[transaction.request_id] = transaction

    def remove(self, request_id: str) -> None:
        """Take that a request is not pending any more, if it was that of a call."""
        transaction = self._known.pop(request_id, None)
        if transaction is None:
            return
        for key in self._keys(transaction):
            named = self._calls[key]
            del named[request_id]
            if not named:
                del self._calls[key]

    def _keys(self, transaction: Transaction) -> tuple[tuple[str, ...], tuple[str, ...]]:
        everybody = (transaction.integrator_id, transaction.executor)
        return everybody, (*everybody, transaction.caller.kind, transaction.caller.id)


class OpenTransactions:
    """Transactions that something can still happen to, and the last few that ended; claims too."""

    def __init__(self) -> None:
        """Start empty."""
        self._open: dict[str, Transaction] = {}
        self._recent: OrderedDict[str, Transaction] = OrderedDict()
        self._by_call: dict[tuple[str, bytes], dict[str, Transaction]] = {}
        self._claims: OrderedDict[str, Claim] = OrderedDict()
        self._claim_of: dict[str, str] = {}

    def __iter__(self) -> Iterator[Transaction]:
        """Iterate over open transactions, oldest first."""
        return iter(list(self._open.values()))

    def get(self, request_id: str) -> Transaction | None:
        """Return a transaction that is open or ended not long ago."""
        return self._open.get(request_id) or self._recent.get(request_id)

    def is_open(self, request_id: str) -> bool:
        """Say whether something can still happen to a transaction."""
        return request_id in self._open

    def for_call(self, integrator_id: str, match_key: bytes) -> Transaction | None:
        """Return the newest open transaction for a call that nobody has claimed."""
        named = self._by_call.get((integrator_id, match_key), {})
        return next((one for one in reversed(named.values()) if one.claim is None), None)

    def claimed_for_call(
        self, integrator_id: str, match_key: bytes, key_digest: bytes
    ) -> Transaction | None:
        """Return the open transaction for a call that was claimed under a key."""
        for one in self._by_call.get((integrator_id, match_key), {}).values():
            if one.claim is not None and one.claim.key_digest == key_digest:
                return one
        return None

    def claim(self, claim_id: str) -> Claim | None:
        """Return a claim that was taken or settled not long ago."""
        return self._claims.get(claim_id)

    def claim_of(self, request_id: str) -> Claim | None:
        """Return the claim on a request, where ``claim`` would return it."""
        claim_id = self._claim_of.get(request_id)
        return None if claim_id is None else self._claims.get(claim_id)

    def insert(self, transaction: Transaction) -> None:
        """Take an open transaction, the oldest request first."""
        self._hold(transaction)
        if transaction.claim is not None:
            self._remember_claim(transaction.claim)

    def withdraw(self, request_id: str, withdrawal: Withdrawal) -> None:
        """Take that an approval can no longer be claimed."""
        self._end(msgspec.structs.replace(self._open[request_id], withdrawal=withdrawal))

    def take(self, claim: Claim) -> None:
        """Take a new claim."""
        self._remember_claim(claim)
        transaction = self._open.get(claim.request_id)
        if transaction is not None:
            self._hold(msgspec.structs.replace(transaction, claim=claim))

    def settle(self, claim: Claim) -> None:
        """Take a claim's result."""
        self._remember_claim(claim)
        transaction = self._open.get(claim.request_id)
        if transaction is not None:
            self._end(msgspec.structs.replace(transaction, claim=claim))

    def close(self, request_id: str) -> bool:
        """Take that a request ended without an approval; say whether a transaction ended so."""
        transaction = self._open.get(request_id)
        if transaction is None:
            return False
        self._end(transaction)
        return True

    def forget(self, request_ids: Collection[str]) -> None:
        """Forget what ended: it was deleted."""
        for request_id in request_ids:
            self._recent.pop(request_id, None)
            claim_id = self._claim_of.pop(request_id, None)
            if claim_id is not None:
                self._claims.pop(claim_id, None)

    def _hold(self, transaction: Transaction) -> None:
        request_id = transaction.request_id
        self._open[request_id] = transaction
        key = (transaction.integrator_id, transaction.match_key)
        self._by_call.setdefault(key, {})[request_id] = transaction

    def _end(self, transaction: Transaction) -> None:
        request_id = transaction.request_id
        del self._open[request_id]
        key = (transaction.integrator_id, transaction.match_key)
        named = self._by_call[key]
        del named[request_id]
        if not named:
            del self._by_call[key]
        self._recent[request_id] = transaction
        while len(self._recent) > RECENT_TRANSACTIONS:
            self._recent.popitem(last=False)

    def _remember_claim(self, claim: Claim) -> None:
        self._claims[claim.claim_id] = claim
        self._claims.move_to_end(claim.claim_id)
        self._claim_of[claim.request_id] = claim.claim_id
        while len(self._claims) > RECENT_TRANSACTIONS:
            _, old = self._claims.popitem(last=False)
            del self._claim_of[old.request_id]
