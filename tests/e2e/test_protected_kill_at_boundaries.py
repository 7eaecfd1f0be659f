"""``kill -9`` of the relay at every boundary of its store: an approval and its claim never part.

A process opens a relay on a copy of a data directory, has a client of it run a protected call, and
kills itself before or after the n-th operation on the database, for every n until the client is
done. Each time the disk is judged as the next start finds it; then a relay and the client go on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.e2e.mortal import mortal
from tests.e2e.protected_kill_child import CLIENTS, RAISED, Journal
from tests.relay.simulator import ACME, START

from quorumkey.protocol import TransactionState
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.transactions import state_at
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.sqlite import AdminStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.mortal import Mortal

    from quorumkey_relay.domain.transactions import Claim, Transaction
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.sqlite.reader import Reader

STATES = {
    TransactionState.REQUESTED,
    TransactionState.APPROVED,
    TransactionState.CLAIMED,
    TransactionState.EXECUTED,
    TransactionState.INDETERMINATE,
    TransactionState.LAPSED,
}
#: A client makes four commits; each is at least three operations, with a boundary on either side.
AT_LEAST = 4 * 3 * 2


@dataclass(frozen=True)
class Found:
    """What is on the disk: requests, their transactions and claims, and what was audited."""

    requests: dict[str, Stored]
    transactions: dict[str, Transaction]
    open: set[str]
    claims: dict[str, Claim]
    audited: Counter[tuple[str, str]]
    required: int

    @classmethod
    def on(cls, folder: Path) -> Found:
        """Read a data directory that no process serves."""
        with AdminStore(folder, vault=Vault.open_in(folder)) as admin:
            return cls.by(admin.read)

    @classmethod
    def by(cls, read: Reader) -> Found:
        """Read everything."""
        summaries = read.summaries(integrator_id=ACME.id, status=None, before=None, limit=99, now=0)
        requests: dict[str, Stored] = {}
        claims: dict[str, Claim] = {}
        for summary in summaries:
            stored = read.stored(summary.request_id)
            assert stored is not None
            requests[summary.request_id] = stored[1]
            claim = read.protection.claim_of(summary.request_id)
            if claim is not None:
                claims[summary.request_id] = claim
        transactions = read.protection.transactions(integrator_id=ACME.id, before=None, limit=99)
        events = read.events(integrator_id=ACME.id, after=None, limit=9_999)
        protection = read.protection.protection(ACME.id)
        assert events is not None
        assert protection is not None
        return cls(
            requests=requests,
            transactions={one.request_id: one for one in transactions},
            open={one.request_id for one in read.protection.open_transactions()},
            claims=claims,
            audited=Counter(
                (event.subject, event.type.removeprefix("protected_method.")) for event in events
            ),
            required=protection.settings.required,
        )

    def judge(self) -> None:
        """An approval is consumed where it has a claim, and nowhere else."""
        for request_id, stored in self.requests.items():
            claim = self.claims.get(request_id)
            if claim is not None:
                assert stored.state.status is Status.APPROVED
            transaction = self.transactions.get(request_id)
            assert (transaction is None) == (stored.terms.profile == "approval")
            if transaction is not None:
                self._judge(transaction, stored)

    def _judge(self, transaction: Transaction, stored: Stored) -> None:
        txid, claim = transaction.request_id, transaction.claim
        result = None if claim is None else claim.result
        lapsed = transaction.withdrawal is not None
        assert claim == self.claims.get(txid)
        assert state_at(transaction, stored.terms, stored.state, START) in STATES
        # What is not claimed can still be, unless its votes were lost; with a result it is over.
        assert (txid in self.open) == (result is None and not lapsed)
        assert not (lapsed and claim is not None)
        told = {
            "requested": 1,
            "approved": len(stored.state.ballots),
            "claimed": int(claim is not None),
            "executed": int(result == "ok"),
            "indeterminate": int(result == "indeterminate"),
            "lapsed": int(lapsed),
        }
        assert told == {kind: self.audited[txid, kind] for kind in told}
        if transaction.executor == "builtin":
            # The effect, its claim and its result are there together, or none of them is.
            assert (claim is not None) == (self.required == RAISED) == (result == "ok")

    def holds(self, journal: Journal) -> None:
        """What the client was answered is there."""
        for one in journal.read():
            match one["said"]:
                case "asked" | "wait" | "again":
                    assert one["txid"] in self.requests
                case "approved":
                    assert self.requests[one["txid"]].state.status is Status.APPROVED
                case "run":
                    assert one["claim_id"] == self.claims[one["txid"]].claim_id
                case "settled":
                    assert "ok" in {claim.result for claim in self.claims.values()}
                case "unknown":
                    assert "indeterminate" in {claim.result for claim in self.claims.values()}
                case _:
                    assert self.required == RAISED


def finished(client: str, found: Found, journal: Journal) -> None:
    """The client has what it wanted, once: one approval, one claim on it, one result."""
    ran = {one["claim_id"] for one in journal.read() if one["said"] == "run"}
    (claim,) = found.claims.values()
    assert ("indeterminate" if client == "silent" else "ok") == claim.result
    assert (set() if client == "governing" else {claim.claim_id}) == ran
    others = set(found.requests) - {claim.request_id}
    match client:
        case "service":
            again = journal.last("again")
            assert again is not None
            assert {again["txid"]} == others
        case "losing":
            assert others <= {found_lapsed(found)}
        case "integrator":
            # It has no key by which it could ask for its request again, so it asks for another.
            assert "integrator" == claim.executor
        case _:
            assert set() == others


def found_lapsed(found: Found) -> str | None:
    """The transaction whose votes were lost."""
    lapsed = [one.request_id for one in found.transactions.values() if one.withdrawal is not None]
    return lapsed[0] if lapsed else None


def judged(folder: Path) -> Found:
    """What is on the disk, and as it must be."""
    found = Found.on(folder)
    found.judge()
    found.holds(Journal(folder))
    return found


def dies(process: Mortal, client: str, folder: Path, kill_at: int) -> bool:
    """Let a relay die at a boundary and another go on; says whether it died before it was done."""
    end = process.live(client, folder, kill_at)
    judged(folder)
    if end == "SIGKILL":
        assert "done" == process.live(client, folder, None)
    else:
        assert "done" == end
    finished(client, judged(folder), Journal(folder))
    return end == "SIGKILL"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_relay_that_dies_at_any_boundary_of_its_store(tmp_path: Path, client: str) -> None:
    """No approval is consumed without a claim, and no claim is there without its consumption."""
    kill_at = 1
    with mortal("tests.e2e.protected_kill_child", tmp_path / "base") as process:
        while dies(process, client, tmp_path / str(kill_at), kill_at):
            kill_at += 1

    assert kill_at > AT_LEAST
