"""The composition root: the only place that picks backends and channels."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import PasskeyPolicy
from quorumkey_relay.api.ratelimit import RateLimiter
from quorumkey_relay.attestation.policies import CurrentVerifier, policies_of
from quorumkey_relay.attestation.revocation import feed_of
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.delivery.challenges import Challenges
from quorumkey_relay.delivery.hub import DeviceHub
from quorumkey_relay.delivery.plan import DeliveryPlan
from quorumkey_relay.delivery.websocket import Announcer, WebSocketChannel
from quorumkey_relay.delivery.worker import Worker
from quorumkey_relay.identity.files import PRIVATE_DIRECTORY_MODE
from quorumkey_relay.identity.nonces import Nonces
from quorumkey_relay.identity.relaykeys import RelayKeyError, RelayKeys, first_key
from quorumkey_relay.identity.sessions import Sessions
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.journal import Journal
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.observe import logs
from quorumkey_relay.observe.metrics import Metrics
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.sqlite import SqliteStore
from quorumkey_relay.usecases.answer import AnswerRequest
from quorumkey_relay.usecases.ask import AskApproval
from quorumkey_relay.usecases.attest import AttestEnrollment
from quorumkey_relay.usecases.authenticate import Authenticator
from quorumkey_relay.usecases.bulletin import Bulletin
from quorumkey_relay.usecases.catalog import UseCases
from quorumkey_relay.usecases.devices import ListDevices, ReadDevice
from quorumkey_relay.usecases.enrol import EnrollDevice
from quorumkey_relay.usecases.expire import Pruner, Sweeper
from quorumkey_relay.usecases.idempotency import Idempotent
from quorumkey_relay.usecases.inbox import Inbox
from quorumkey_relay.usecases.info import DescribeRelay
from quorumkey_relay.usecases.pair import CreatePairing, PreviewPairing, ReadPairing
from quorumkey_relay.usecases.ports import Policy
from quorumkey_relay.usecases.push import SetPush
from quorumkey_relay.usecases.read import (
    CancelRequest,
    ListRequests,
    ReadDeliveries,
    ReadReceipt,
    ReadRequest,
)
from quorumkey_relay.usecases.reattest import ReattestDevice
from quorumkey_relay.usecases.recheck import RecheckHardware
from quorumkey_relay.usecases.session import IssueNonce, OpenSession
from quorumkey_relay.usecases.standing import RemoveDevice, Standing, UnpairDevice
from quorumkey_relay.usecases.watch import WatchEvents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.config import Settings
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.writes import Change

SWEEP_SECONDS: Final = 0.25
SCAN_SECONDS: Final = 2.0
PRUNE_SECONDS: Final = 3_600.0
CHECK_SECONDS: Final = 5.0
REVOCATION_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 5.0
CLOSE_SHUTTING_DOWN: Final = 4503

log = logs.get()


def build(settings: Settings, *, clock: Clock | None = None, mint: Mint | None = None) -> Relay:
    """Put a relay together; nothing is opened before ``Relay.start``."""
    return Relay(settings, clock or SystemClock(), mint or SystemMint())


@dataclass
class Relay:
    """One relay process: its parts, and their start and stop."""

    settings: Settings
    clock: Clock
    mint: Mint
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        """Make what needs nothing but settings; raises ``ConfigError``."""
        self.verifier = CurrentVerifier(
            policies=policies_of(self.settings), revocation=feed_of(self.settings, self.clock)
        )
        self.journal = Journal(
            metrics=self.metrics,
            unsafe_test_root=self.settings.unsafe_test_root is not None,
            revoked_hardware=self.settings.revoked_hardware,
        )
        self.hub = DeviceHub()
        self.bulletin = Bulletin()
        self._problems: list[str] = ["the relay is starting"]
        self._closing = False
        self._key_problems: list[str] = []
        self._background: list[asyncio.Task[None]] = []
        self._reactions: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the store, catch up with what happened meanwhile, and begin to work.

        Raises ``StoreError``, ``UnsafeFileError``, ``RelayKeyError`` or ``VaultError``.
        """
        directory = self.settings.data_dir
        directory.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
        vault = Vault.open_in(directory)
        self.keys = RelayKeys(first_key(directory, self.settings.key_file))
        self.store = SqliteStore(
            directory, vault=vault, clock=self.clock, on_transaction=self.metrics.committed
        )
        await self.store.start()
        revocation = self.verifier.revocation
        try:
            if revocation is not None:
                await revocation.begin()
            await self.take_successions()
            self._check_keys()
            self._compose(vault)
            await self.standing.reconcile()
            await self.worker.scan()
        except BaseException:
            await self.store.close()
            raise
        self._background = [
            asyncio.create_task(self._every(SWEEP_SECONDS, self.sweeper.sweep)),
            asyncio.create_task(self._every(SCAN_SECONDS, self.worker.scan)),
            asyncio.create_task(self._every(PRUNE_SECONDS, self.pruner.prune)),
            asyncio.create_task(self._every(CHECK_SECONDS, self.check)),
        ]
        if revocation is not None:
            self.metrics.watch_revocation_list(age=revocation.age_seconds)
            refreshing = self._every(REVOCATION_SECONDS, self.refresh_revocation, at_once=True)
            self._background.append(asyncio.create_task(refreshing))
        if self.settings.unsafe_test_root is not None:
            log.warning("unsafe_test_root_trusted")
        self._problems = []

    def begin_shutdown(self) -> None:
        """Stop being ready, end streams and let waiting reads go."""
        self._closing = True
        self._problems = ["the relay is shutting down"]
        self.bulletin.close()
        self.hub.close_all(CLOSE_SHUTTING_DOWN)

    async def stop(self) -> None:
        """End the background work, drain the outbox for a moment, and close the store."""
        self.begin_shutdown()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, *self._reactions, return_exceptions=True)
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.worker.drain()
        except TimeoutError:
            log.warning("outbox_not_drained")
        await self.store.close()

    def ready(self) -> Sequence[str]:
        """Return what keeps the relay from serving, a sentence each."""
        return [*self._problems, *self._key_problems]

    async def check(self) -> None:
        """Write nothing, durably, and remember whether that worked."""
        try:
            await self.store.check()
        except StoreUnavailable:
            problems = ["the store cannot be written"]
        else:
            problems = []
        if not self._closing:
            self._problems = problems

    async def refresh_revocation(self) -> None:
        """Take a newer revocation list, and compare it with what devices proved when it is time."""
        if self.verifier.revocation is not None:
            await self.verifier.revocation.refresh()
            await self.recheck.when_due()

    async def recheck_now(self) -> None:
        """Do so now, because the operator asked; nothing where no evidence needs a list."""
        if self.verifier.revocation is not None:
            await self.verifier.revocation.refresh()
            await self.recheck.now()

    def _compose(self, vault: Vault) -> None:
        settings, store, clock, mint, keys = (
            self.settings,
            self.store,
            self.clock,
            self.mint,
            self.keys,
        )
        policy = policy_of(settings)
        device_limit = RateLimiter(per_minute=settings.rate_device, monotonic=clock.monotonic)
        nonces = Nonces(mint, limit=settings.max_nonces)
        sessions = Sessions(mint)
        challenges = Challenges(keys, store)
        channels = [WebSocketChannel(self.hub, clock)]
        plan = DeliveryPlan(
            store=store, presence=self.hub, channels={channel.name for channel in channels}
        )
        authenticate = Authenticator(
            store=store,
            clock=clock,
            keys=keys,
            nonces=nonces,
            policy=policy,
            device_limit=device_limit,
        )
        idempotent = Idempotent(store)
        self.standing = Standing(
            store=store, clock=clock, mint=mint, sessions=sessions, sockets=self.hub
        )
        revocation = self.verifier.revocation
        self.recheck = RecheckHardware(
            store=store,
            clock=clock,
            standing=self.standing,
            newest=lambda: None if revocation is None else revocation.current,
            policy=settings.revoked_hardware,
            interval_seconds=settings.recheck_seconds,
            tell=self.journal.rechecked,
        )
        self.sweeper = Sweeper(store=store, clock=clock, mint=mint)
        self.pruner = Pruner(
            store=store,
            clock=clock,
            request_retention_days=settings.request_retention_days,
            event_retention_days=settings.event_retention_days,
        )
        self.worker = Worker(
            store=store, clock=clock, mint=mint, challenges=challenges, channels=channels
        )
        self.usecases = UseCases(
            ask=AskApproval(
                store=store,
                clock=clock,
                mint=mint,
                keys=keys,
                policy=policy,
                idempotent=idempotent,
                plan=plan,
            ),
            read_request=ReadRequest(store=store, clock=clock, bulletin=self.bulletin),
            list_requests=ListRequests(store=store, clock=clock),
            cancel_request=CancelRequest(store=store, clock=clock, mint=mint),
            read_receipt=ReadReceipt(store=store, clock=clock, keys=keys),
            read_deliveries=ReadDeliveries(store=store),
            create_pairing=CreatePairing(
                store=store,
                clock=clock,
                mint=mint,
                keys=keys,
                policy=policy,
                idempotent=idempotent,
            ),
            read_pairing=ReadPairing(store=store, clock=clock),
            preview_pairing=PreviewPairing(store=store, clock=clock, keys=keys),
            list_devices=ListDevices(store=store),
            read_device=ReadDevice(store=store),
            remove_device=RemoveDevice(store=store, standing=self.standing),
            issue_nonce=IssueNonce(clock=clock, keys=keys, nonces=nonces),
            enroll=EnrollDevice(
                store=store,
                clock=clock,
                mint=mint,
                keys=keys,
                vault=vault,
                nonces=nonces,
                policy=policy,
                attestor=AttestEnrollment(policy=policy, verifier=self.verifier),
                standing=self.standing,
            ),
            reattest=ReattestDevice(
                store=store,
                clock=clock,
                nonces=nonces,
                policy=policy,
                verifier=self.verifier,
                app_attest=self.verifier.policies.app_attest,
                standing=self.standing,
                device_limit=device_limit,
            ),
            decide=AnswerRequest(
                store=store,
                clock=clock,
                mint=mint,
                policy=policy,
                device_limit=device_limit,
                decided=self.metrics.decided,
            ),
            set_push=SetPush(store=store, vault=vault, authenticate=authenticate),
            unpair=UnpairDevice(standing=self.standing, authenticate=authenticate),
            info=DescribeRelay(clock=clock, keys=keys, policy=policy),
            watch_events=WatchEvents(store=store, bulletin=self.bulletin),
            sessions=OpenSession(
                store=store, clock=clock, sessions=sessions, authenticate=authenticate
            ),
            inbox=Inbox(
                store=store,
                clock=clock,
                challenges=challenges,
                plan=plan,
                device_limit=device_limit,
            ),
            challenges=challenges,
            store=store,
        )
        self.sweeper.watch_all()
        announcer = Announcer(self.hub, store)
        for listener in (
            self.sweeper.heard,
            self.worker.heard,
            self.bulletin.heard,
            announcer.heard,
            self.journal.heard,
        ):
            store.subscribe(listener)
        store.subscribe_changes(self._changed)
        self.metrics.watch_outbox(depth=lambda: self.worker.depth, age=self.worker.oldest_age)

    # What the command line changed

    def _changed(self, kind: Change, key: str) -> None:
        if kind == "device":
            self._react(partial(self.standing.revoked_elsewhere, key))
        elif kind == "recheck":
            self._react(self.recheck_now)
        elif kind == "succession":
            self._react(self.take_successions)
        elif kind == "api_key":
            # An event stream outlives the look at its key; who may still read resumes by id.
            self.bulletin.end_feeds()

    async def follow_changes(self) -> None:
        """Follow what other processes changed now, without waiting for the store's next look."""
        self.store.take_changes()
        await asyncio.gather(*self._reactions)

    def _react(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._until_done(work))
        self._reactions.add(task)
        task.add_done_callback(self._reacted)

    def _reacted(self, task: asyncio.Task[None]) -> None:
        self._reactions.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("change_not_followed", exc_info=error)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``, again and again while the store cannot be reached: it is told only once."""
        while True:
            try:
                return await work()
            except StoreUnavailable:
                if self._closing:
                    raise
                await asyncio.sleep(SWEEP_SECONDS)

    def _check_keys(self) -> None:
        if self._key_problems:
            raise RelayKeyError(self._key_problems[0])

    async def take_successions(self) -> None:
        """Read the keys that are to sign; one that is missing keeps the relay from being ready."""
        self._key_problems = self.keys.take_successions(
            self.settings.data_dir, await self.store.successions()
        )
        for _ in self._key_problems:
            log.error("next_key_missing")

    async def _every(
        self, seconds: float, work: Callable[[], Awaitable[object]], *, at_once: bool = False
    ) -> None:
        """Do ``work`` again and again; what it raises is logged, never the end of it."""
        wait = 0.0 if at_once else seconds
        while True:
            await asyncio.sleep(wait)
            wait = seconds
            try:
                await work()
            except Exception:  # whatever it is, the next round may work
                log.exception("background_work_failed")


def policy_of(settings: Settings) -> Policy:
    """Return what the use cases need of the settings."""
    return Policy(
        public_url=settings.url,
        app_url=settings.app_url,
        origins=settings.audiences,
        attestation=settings.attestation,
        attestation_floor=settings.attestation_floor,
        unsafe_test_root=settings.unsafe_test_root is not None,
        passkeys=PasskeyPolicy(settings.passkey_rp_id, frozenset(settings.passkey_origins)),
        max_pending_per_device=settings.max_pending_per_device,
        version=version("quorumkey-relay"),
    )
