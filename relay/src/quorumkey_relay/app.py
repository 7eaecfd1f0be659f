"""The composition root: the only place that picks backends and channels."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from quorumkey_relay.attestation.policies import CurrentVerifier, policies_of
from quorumkey_relay.attestation.revocation import feed_of
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.composition import Foundations, Parts, compose
from quorumkey_relay.delivery.hub import DeviceHub
from quorumkey_relay.identity.files import PRIVATE_DIRECTORY_MODE
from quorumkey_relay.identity.relaykeys import RelayKeyError, RelayKeys, first_key
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.jit_file import read_jit_file
from quorumkey_relay.journal import Journal
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.observe import logs
from quorumkey_relay.observe.alarms import Alarms
from quorumkey_relay.observe.metrics import Metrics
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.sqlite import SqliteStore
from quorumkey_relay.usecases.bulletin import Bulletin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from quorumkey_relay.api.jit_ports import JitPort
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.store.writes import Change

SWEEP_SECONDS: Final = 0.25
SCAN_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 3_600.0
CHECK_SECONDS: Final = 5.0
REVOCATION_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 5.0
CLOSE_SHUTTING_DOWN: Final = 4503

UNWATCHED_ALARM: Final = "access_unwatched"
ACCESS_IS_UNWATCHED: Final = (
    "Roles that were granted for a while are open, and without a jit_file nobody ends them."
)

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
        jit_file = self.settings.jit_file
        self.jit_settings = None if jit_file is None else read_jit_file(jit_file)
        self.journal = Journal(
            metrics=self.metrics,
            unsafe_test_root=self.settings.unsafe_test_root is not None,
            revoked_hardware=self.settings.revoked_hardware,
        )
        self.alarms = Alarms(self.metrics.deliveries.alarms, monotonic=self.clock.monotonic)
        self.hub = DeviceHub()
        self.bulletin = Bulletin()
        self._problems: list[str] = ["the relay is starting"]
        self.jit: JitPort | None = None
        self._parts: Parts | None = None
        self._closing = False
        self._key_problems: list[str] = []
        self._background: list[asyncio.Task[None]] = []
        self._reactions: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the store, catch up with what happened meanwhile, and begin to work.

        Raises ``StoreError``, ``UnsafeFileError``, ``RelayKeyError``, ``VaultError`` or
        ``ConfigError``.
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
            parts = compose(
                Foundations(
                    settings=self.settings,
                    jit=self.jit_settings,
                    clock=self.clock,
                    mint=self.mint,
                    metrics=self.metrics,
                    alarms=self.alarms,
                    keys=self.keys,
                    vault=vault,
                    store=self.store,
                    verifier=self.verifier,
                    journal=self.journal,
                    hub=self.hub,
                    bulletin=self.bulletin,
                )
            )
            self._take_parts(parts)
            # Whoever held the directory before is gone, and with it what it had claimed.
            await self.store.release_leases()
            await self.standing.reconcile()
            await self.protection.votes.reconcile()
            self.protection.shortage.look()
            if parts.jit is None and any(self.store.open_activations()):
                self.alarms.raise_alarm(UNWATCHED_ALARM, "jit_file", ACCESS_IS_UNWATCHED)
            await self.worker.scan()
            await self.webhooks.scan()
        except BaseException:
            await self._let_go(drain_seconds=0.0)
            raise
        self._background = [
            asyncio.create_task(self._every(SWEEP_SECONDS, self.sweeper.sweep)),
            asyncio.create_task(self._every(SWEEP_SECONDS, self.protection.sweeper.sweep)),
            asyncio.create_task(self._every(SCAN_SECONDS, self.worker.scan)),
            asyncio.create_task(self._every(SCAN_SECONDS, self.webhooks.scan)),
            asyncio.create_task(self._every(PRUNE_SECONDS, self.pruner.prune)),
            asyncio.create_task(self._every(CHECK_SECONDS, self.check)),
        ]
        if parts.jit is not None:
            self._background.append(
                asyncio.create_task(self._every(SWEEP_SECONDS, parts.jit.sweeper.sweep))
            )
            if parts.jit.mail is not None:
                sending = self._every(SCAN_SECONDS, parts.jit.mail.sweep, at_once=True)
                self._background.append(asyncio.create_task(sending))
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
        if self._parts is not None:
            self._parts.protection.watch.close()
        self.hub.close_all(CLOSE_SHUTTING_DOWN)

    async def stop(self) -> None:
        """End the background work, drain the outbox for a moment, and close the store."""
        self.begin_shutdown()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, *self._reactions, return_exceptions=True)
        if not await self._let_go(drain_seconds=DRAIN_SECONDS):
            log.warning("outbox_not_drained")

    async def _let_go(self, *, drain_seconds: float) -> bool:
        """End sending and close what is open; say whether all that was in flight has ended."""
        drained = (True, True)
        try:
            if self._parts is not None:
                if self._parts.jit is not None:
                    await self._parts.jit.close()
                drained = await asyncio.gather(
                    self._parts.worker.drain(drain_seconds),
                    self._parts.webhooks.drain(drain_seconds),
                )
                for channel in self._parts.channels:
                    await channel.close()
                await self._parts.egress.close()
        finally:
            await self.store.close()
        return all(drained)

    def ready(self) -> Sequence[str]:
        """Return what keeps the relay from serving, a sentence each."""
        return [*self._problems, *self._key_problems]

    def warnings(self) -> Sequence[str]:
        """Return what an operator has to look at while the relay serves, a sentence each."""
        return self.alarms.standing()

    async def check(self) -> None:
        """Write nothing, durably, and remember whether that worked; end alarms that are over."""
        self.alarms.look_after()
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

    def _take_parts(self, parts: Parts) -> None:
        self._parts = parts
        self.usecases = parts.usecases
        self.standing = parts.standing
        self.recheck = parts.recheck
        self.sweeper = parts.sweeper
        self.protection = parts.protection
        self.jit = parts.jit
        self.pruner = parts.pruner
        self.worker = parts.worker
        self.channels = parts.channels
        self.webhooks = parts.webhooks
        self.store.subscribe_changes(self._changed)

    # What the command line changed

    def _changed(self, kind: Change, key: str) -> None:
        if kind in {"device", "pairing", "protection"}:
            self.protection.shortage.look()
        if kind == "device":
            self._react(partial(self.standing.revoked_elsewhere, key))
        elif kind == "protection":
            log.warning("protection_changed_on_the_host", integrator_id=key)
            self._react(self.protection.votes.reconcile)
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
