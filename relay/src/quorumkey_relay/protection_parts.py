"""The parts of a relay that are about protected methods, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.conditions import Conditions, why_unusable
from quorumkey_relay.usecases.protection.actor import PersonOf
from quorumkey_relay.usecases.protection.catalog import ProtectionCases
from quorumkey_relay.usecases.protection.check import CheckCall
from quorumkey_relay.usecases.protection.claims import ClaimRequest, ReadClaim, SettleCall
from quorumkey_relay.usecases.protection.evidence import RecentVotes
from quorumkey_relay.usecases.protection.expire import TransactionSweeper
from quorumkey_relay.usecases.protection.gate import Gate
from quorumkey_relay.usecases.protection.govern import Govern, Governor
from quorumkey_relay.usecases.protection.govern_keys import GovernKeys
from quorumkey_relay.usecases.protection.govern_people import GovernAdministrators
from quorumkey_relay.usecases.protection.govern_requests import GovernRequests
from quorumkey_relay.usecases.protection.govern_settings import GovernMethods, GovernSettings
from quorumkey_relay.usecases.protection.open import OpenProtectedCall
from quorumkey_relay.usecases.protection.receipts import RecentReceipts
from quorumkey_relay.usecases.protection.register import RegisterCatalogue
from quorumkey_relay.usecases.protection.shortage import ShortageWatch
from quorumkey_relay.usecases.protection.snapshot import ReadSnapshot
from quorumkey_relay.usecases.protection.transactions import (
    ListTransactions,
    ReadTransaction,
    TransactionViews,
)
from quorumkey_relay.usecases.protection.votes import AdministratorVotes
from quorumkey_relay.usecases.protection.watch import ProtectionWatch

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.alarms import Alarms
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.answer import AnswerRequest
    from quorumkey_relay.usecases.ports import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionParts:
    """The use cases, and who follows what changes: settings, votes, administrators, time."""

    cases: ProtectionCases
    watch: ProtectionWatch
    votes: AdministratorVotes
    shortage: ShortageWatch
    sweeper: TransactionSweeper


def compose_protection(  # noqa: PLR0913 - what the parts stand on
    *,
    store: Store,
    clock: Clock,
    mint: Mint,
    keys: RelayKeys,
    plan: DeliveryPlan,
    decide: AnswerRequest,
    alarms: Alarms,
    device_limit: Limiter,
) -> ProtectionParts:
    """Put the parts together, and have them hear what becomes durable and what others change."""
    watch = ProtectionWatch(store)
    votes = AdministratorVotes(store=store, clock=clock, mint=mint, plan=plan)
    shortage = ShortageWatch(store=store, bell=alarms)
    recent = RecentVotes(store)
    receipts = RecentReceipts(store=store, clock=clock, keys=keys, votes=recent)
    views = TransactionViews(store=store, clock=clock, votes=recent)
    gate = Gate(
        store=store,
        clock=clock,
        mint=mint,
        keys=keys,
        conditions=Conditions(),
        watch=watch,
        opening=OpenProtectedCall(store=store, mint=mint, keys=keys, plan=plan),
    )
    governor = Governor(store=store, clock=clock, mint=mint, gate=gate)
    govern = Govern(
        person=PersonOf(store=store, device_limit=device_limit),
        settings=GovernSettings(governor=governor),
        methods=GovernMethods(governor=governor, fault=why_unusable),
        keys=GovernKeys(governor=governor),
        administrators=GovernAdministrators(governor=governor, votes=votes),
        requests=GovernRequests(governor=governor, store=store, views=views, answer=decide),
    )
    cases = ProtectionCases(
        govern=govern,
        register_catalogue=RegisterCatalogue(store=store, clock=clock, mint=mint),
        snapshot=ReadSnapshot(watch=watch),
        check=CheckCall(clock=clock, gate=gate, votes=recent, receipts=receipts),
        claim_request=ClaimRequest(store=store, clock=clock, mint=mint),
        settle=SettleCall(store=store, clock=clock, mint=mint, keys=keys),
        read_claim=ReadClaim(store=store, clock=clock),
        transactions=ListTransactions(store=store, views=views),
        transaction=ReadTransaction(store=store, views=views),
    )
    sweeper = TransactionSweeper(store=store, clock=clock, mint=mint, keys=keys)
    sweeper.watch_all()
    store.subscribe(sweeper.heard)
    store.subscribe(watch.heard)
    store.subscribe(recent.heard)
    store.subscribe(receipts.heard)
    store.subscribe(shortage.heard)
    store.subscribe_changes(watch.changed)
    store.subscribe_changes(sweeper.changed)
    return ProtectionParts(
        cases=cases, watch=watch, votes=votes, shortage=shortage, sweeper=sweeper
    )
