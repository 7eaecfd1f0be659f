"""The outbox worker: claims deliveries, sends them, settles what became of them.

Each provider and credential has a lane of its own (`lane`). The hot path hands a delivery over
right after the commit that planned it, which has claimed it for this process; the scanner finds
what was left behind by a crash, or waits for another try. Delivery is at least once: who dies
between sending and settling sends again, under the same id.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.channel import Accepted, Message, Outcome, Retry
from quorumkey_relay.delivery.lane import MAX_IN_FLIGHT, Job, Lane
from quorumkey_relay.delivery.messages import Messages, withdrawn_by
from quorumkey_relay.delivery.plan import LEASE_SECONDS
from quorumkey_relay.delivery.settlement import Settlement
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import Commit, PutDelivery, Write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Iterable

    from quorumkey.protocol import PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.addresses import Addresses
    from quorumkey_relay.delivery.challenges import Challenges
    from quorumkey_relay.delivery.channel import Channel
    from quorumkey_relay.delivery.settlement import Meter
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.alarms import Alarms
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Delivery

SCAN_LIMIT: Final = 500
# What this process holds of the outbox. The rest stays on the disk until there is room.
MAX_LANE_JOBS: Final = 4_096
MAX_JOBS: Final = 20_000
MAX_IDLE_LANES: Final = 64
# By so much the wall clock may fall behind the monotonic one between two scans unnoticed.
MAX_CLOCK_SLIP_SECONDS: Final = 2.0
# How long a withdrawal waits for the message that it withdraws.
IN_FLIGHT_SECONDS: Final = 1
# What becomes of a message that was taken at an address which the device has replaced meanwhile.
MISDIRECTED: Final = Retry(None, "address_replaced")


class Worker:
    """Delivers what the outbox holds."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        *,
        store: Store,
        clock: Clock,
        mint: Mint,
        challenges: Challenges,
        addresses: Addresses,
        channels: Iterable[Channel],
        alarms: Alarms,
        meter: Meter,
    ) -> None:
        """Serve ``channels``; deliveries of others stay in the outbox."""
        self._store = store
        self._clock = clock
        self._messages = Messages(store, challenges, addresses)
        self._channels = {channel.name: channel for channel in channels}
        self._settlement = Settlement(
            store=store, clock=clock, mint=mint, alarms=alarms, meter=meter
        )
        self._lanes: dict[str, Lane] = {}
        self._jobs: dict[str, Job] = {}
        self._settled: list[Write] = []
        self._commits: set[asyncio.Task[None]] = set()
        self._resting: list[asyncio.Future[None]] = []
        self._is_stopping = False
        self._skew = self._clock_skew()

    # What operators see

    @property
    def depth(self) -> int:
        """How many deliveries wait or are in flight in this process."""
        return len(self._jobs)

    @property
    def lanes(self) -> Collection[Lane]:
        """The lanes that were used lately."""
        return self._lanes.values()

    def oldest_age(self) -> float:
        """Return for how many seconds the longest-waiting delivery has been due."""
        return max((self.lane_age(lane) for lane in self._lanes.values()), default=0.0)

    def lane_age(self, lane: Lane) -> float:
        """Return for how many seconds a lane's longest-waiting delivery has been due."""
        oldest = lane.oldest
        return 0.0 if oldest is None else max(0.0, float(self._clock.now() - oldest))

    def monotonic(self) -> float:
        """Return seconds of the monotonic clock."""
        return self._clock.monotonic()

    # Taking

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit: the hot path."""
        for write in commit:
            if isinstance(write, PutDelivery):
                delivery = write.delivery
                if delivery.state == "queued":
                    # Leased by its commit: it is this process's. What was settled is not.
                    if delivery.leased_until:
                        self._take(delivery, self._clock.monotonic())
                elif delivery.state == "acknowledged":
                    job = self._jobs.get(delivery.id)
                    if job is not None:
                        job.is_void = True

    async def scan(self) -> int:
        """Claim what is due in the store: the recovery path. Returns how much was claimed."""
        self._tidy()
        await self._follow_clock()
        count = 0
        while not self._is_stopping:
            room = min(SCAN_LIMIT, MAX_JOBS - len(self._jobs))
            if room <= 0:
                break
            claimed = await self._store.claim_deliveries(
                now=self._clock.now(),
                lease_seconds=LEASE_SECONDS,
                limit=room,
                busy={lane.channel for lane in self._lanes.values() if len(lane) >= MAX_LANE_JOBS},
            )
            for delivery in claimed:
                self._take(delivery, None)
            count += len(claimed)
            if len(claimed) < room:
                break
        return count

    def _clock_skew(self) -> float:
        return self._clock.now() - self._clock.monotonic()

    async def _follow_clock(self) -> None:
        """Have nothing wait for the time again that passed before the clock was set back.

        What this process holds is not sent twice: it is claimed anew while it is in flight.
        """
        skew = self._clock_skew()
        if skew < self._skew - MAX_CLOCK_SLIP_SECONDS:
            await self._store.advance_deliveries(now=self._clock.now())
        self._skew = skew

    def _take(self, delivery: Delivery, heard_at: float | None) -> None:
        if delivery.id in self._jobs or self._is_stopping:
            return
        channel = self._channels.get(delivery.channel)
        if channel is None:
            if self._clock.now() >= delivery.not_after:
                self._drop(delivery, "too_late")
            return
        target = self._messages.target(delivery)
        if isinstance(target, str):
            self._drop(delivery, target)
            return
        sealed, address = target
        lane = self._lane(channel, address)
        if len(lane) >= MAX_LANE_JOBS or (
            len(self._jobs) >= MAX_JOBS and len(lane) >= MAX_IN_FLIGHT
        ):
            # No room: it is given back to the outbox, where the scanner finds it.
            self._settle((PutDelivery(replace(delivery, leased_until=0)),))
            return
        job = Job(delivery, channel, sealed=sealed, address=address, heard_at=heard_at)
        self._jobs[delivery.id] = job
        lane.put(job)

    def _lane(self, channel: Channel, address: PushAddress | None) -> Lane:
        name = channel.lane(address)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name, channel.name, self)
        return lane

    def _tidy(self) -> None:
        for lane in list(self._lanes.values()):
            self._settlement.look_after(lane)
            if len(self._lanes) > MAX_IDLE_LANES and lane.is_idle():
                del self._lanes[lane.name]

    # Sending

    def prepare(self, job: Job) -> None:
        """Sign what a message carries."""
        if job.delivery.kind == "approval_request":
            # Without the key of this moment: `deliver` meets it again, and gives the job back.
            with suppress(StoreUnavailable):
                self._messages.sign(job.delivery, self._clock.now())

    async def deliver(self, lane: Lane, job: Job) -> None:
        """Send one message and settle it."""
        outcome: Outcome | None = None
        try:
            outcome = await self._try(lane, job)
        except StoreUnavailable:
            self._release((job.delivery.id,))  # queued on the disk: the scanner sends it again
        except asyncio.CancelledError:
            self._release((job.delivery.id,))
            raise
        except Exception as error:  # noqa: BLE001 - one message's bug is not the lane's end
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a push channel failed", "exception": error}
            )
            outcome = Retry(None, "internal_error")
        finally:
            if outcome is None:
                lane.circuit.unused()
        if outcome is not None:
            if isinstance(outcome, Accepted) and self._messages.is_misdirected(job):
                outcome = MISDIRECTED
            self._settle(self._settlement.after(lane, job, outcome))

    async def _try(self, lane: Lane, job: Job) -> Outcome | None:
        """Send; return None where it was settled otherwise, because it is of no use now."""
        message = await self._message(lane, job)
        if message is None:
            return None
        outcome = await job.channel.send(message)
        if isinstance(outcome, Retry) and outcome.after_seconds == 0:
            # It was not processed: once more at once, if it still is of use.
            message = await self._message(lane, job)
            if message is None:
                return None
            outcome = await job.channel.send(message)
        return outcome

    async def _message(self, lane: Lane, job: Job) -> Message | None:
        """Return what is sent, as things stand now; None where the job was settled instead."""
        delivery, now, sealed = job.delivery, self._clock.now(), job.sealed
        if job.is_void:
            self._release((delivery.id,))
            return None
        if delivery.kind == "approval_request":
            message = self._messages.opening(job, now)
        elif withdrawn_by(delivery) in self._jobs:
            # What it withdraws is just being sent, and must not be overtaken.
            later = replace(delivery, next_at=now + IN_FLIGHT_SECONDS, leased_until=0)
            self._settle((PutDelivery(later),))
            return None
        else:
            message = await self._messages.closing(job, now)
        if isinstance(message, str):
            self._drop(delivery, message)
            return None
        if job.sealed is not sealed and self._moved(lane, job):
            return None
        return message

    def _moved(self, lane: Lane, job: Job) -> bool:
        """Hand a job with another address to the lane that serves it, if this one does not."""
        other = self._lane(job.channel, job.address)
        if other is lane:
            return False
        if self._is_stopping:
            self._release((job.delivery.id,))
        else:
            other.put(job)
        return True

    def hold_back(self, lane: Lane, job: Job) -> None:
        """Settle a message that the lane's circuit does not let through."""
        self._settle((PutDelivery(self._settlement.held_back(lane, job)),))

    # Settling

    def _drop(self, delivery: Delivery, reason: str) -> None:
        self._settle((PutDelivery(self._settlement.dropped(delivery, reason)),))

    def _settle(self, writes: tuple[Write, ...]) -> None:
        """Have writes become durable; those of one turn of the loop share a commit."""
        if len(writes) > 1:
            # It changes the device too, as it is in this very moment.
            self._commit(writes)
            return
        if not self._settled:
            asyncio.get_running_loop().call_soon(self._flush)
        self._settled += writes

    def _flush(self) -> None:
        if self._settled:
            writes, self._settled = tuple(self._settled), []
            self._commit(writes)

    def _commit(self, writes: Commit) -> None:
        ids = [write.delivery.id for write in writes if isinstance(write, PutDelivery)]
        try:
            durable = self._store.commit(writes)
        except StoreUnavailable:
            self._release(ids)
            return
        task = asyncio.create_task(self._until_durable(durable, ids))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)

    async def _until_durable(self, durable: Awaitable[None], ids: Collection[str]) -> None:
        try:
            await durable
        except StoreUnavailable:
            pass  # still queued on the disk: sent again under the same ids once the lease is over
        finally:
            self._release(ids)

    def _release(self, ids: Collection[str]) -> None:
        """Forget deliveries: what they are now is on the disk."""
        for claimed in ids:
            self._jobs.pop(claimed, None)
        if not self._jobs:
            resting, self._resting = self._resting, []
            for waiter in resting:
                if not waiter.done():
                    waiter.set_result(None)

    async def rest(self) -> None:
        """Wait until this process has nothing to deliver."""
        while self._jobs or self._commits or self._settled:
            if self._jobs:
                waiter = asyncio.get_running_loop().create_future()
                self._resting.append(waiter)
                await waiter
            else:
                self._flush()
                await asyncio.gather(*self._commits)

    async def drain(self, cap_seconds: float | None = None) -> bool:
        """Take nothing more, and finish what is in flight; say whether it ended within the cap.

        What waits stays in the outbox, and so does what has to be cut off.
        """
        self._is_stopping = True
        for lane in self._lanes.values():
            lane.clear()
        tasks = {task for lane in self._lanes.values() for task in lane.tasks()}
        late: set[asyncio.Task[None]] = set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=cap_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._flush()
        await asyncio.gather(*self._commits)
        return not late
