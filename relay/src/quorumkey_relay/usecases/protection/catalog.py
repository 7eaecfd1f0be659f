"""All use cases about protected methods, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quorumkey_relay.usecases.protection.check import CheckCall
    from quorumkey_relay.usecases.protection.claims import ClaimRequest, ReadClaim, SettleCall
    from quorumkey_relay.usecases.protection.govern import Govern
    from quorumkey_relay.usecases.protection.register import RegisterCatalogue
    from quorumkey_relay.usecases.protection.snapshot import ReadSnapshot
    from quorumkey_relay.usecases.protection.transactions import ListTransactions, ReadTransaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionCases:
    """What the HTTP layer calls about protected methods."""

    register_catalogue: RegisterCatalogue
    govern: Govern
    snapshot: ReadSnapshot
    check: CheckCall
    claim_request: ClaimRequest
    settle: SettleCall
    read_claim: ReadClaim
    transactions: ListTransactions
    transaction: ReadTransaction
