"""What a delivery says and where it goes, as things stand when it is sent; or why it is not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from quorumkey_relay.delivery.addresses import ADDRESSED_CHANNELS
from quorumkey_relay.delivery.channel import Message, always
from quorumkey_relay.delivery.plan import delivery_id, was_shown
from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import Envelope, PushAddress
    from quorumkey_relay.delivery.addresses import Addresses
    from quorumkey_relay.delivery.challenges import Challenges
    from quorumkey_relay.delivery.lane import Job
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Delivery, Stored

Target = tuple[bytes | None, "PushAddress | None"]


class Messages:
    """Makes messages; answers the reason, a word of the delivery log, where one is of no use."""

    def __init__(self, store: Store, challenges: Challenges, addresses: Addresses) -> None:
        """Read from ``store``, sign with ``challenges``, open with ``addresses``."""
        self._store = store
        self._challenges = challenges
        self._addresses = addresses

    def target(self, delivery: Delivery) -> Target | str:
        """Return the device's address, sealed and open; both None on a channel without any."""
        if delivery.channel not in ADDRESSED_CHANNELS:
            return None, None
        device = self._store.directory.device(delivery.device)
        if device is None or not device.usable:
            return "unpaired"
        if device.push is None or device.push_channel != delivery.channel:
            return "address_replaced"
        address = self._addresses.open(device.push)
        return "unreadable_address" if address is None else (device.push, address)

    def sign(self, delivery: Delivery, now: int) -> None:
        """Sign the challenge that ``opening`` will put into the message."""
        stored = self._store.find_pending(delivery.request_id)
        if stored is not None:
            self._challenges.envelope(stored, delivery.device, now)

    def is_misdirected(self, job: Job) -> bool:
        """Say whether the device has given another address since a message was sent to it.

        It asked to be told there what waits, and knows nothing of what the old address took.
        """
        device = self._store.directory.device(job.delivery.device)
        if job.sealed is None or device is None or device.push == job.sealed:
            return False
        target = self.target(job.delivery)
        is_opening = job.delivery.kind == "approval_request"
        return is_opening and not isinstance(target, str) and target[1] != job.address

    def opening(self, job: Job, now: int) -> Message | str:
        """Return the message that asks for an approval."""
        delivery = job.delivery
        if now >= delivery.not_after:
            return "too_late"
        stored = self._store.find_pending(delivery.request_id)
        if stored is None or status_at(stored.terms, stored.state, now) is not Status.PENDING:
            return "request_finished"
        if stored.terms.voter(delivery.device) in stored.state.ballots:
            return "already_decided"
        challenge = self._challenges.envelope(stored, delivery.device, now)
        return self._to(job, stored, challenge, partial(self._is_pending, delivery.request_id))

    def _is_pending(self, request_id: str) -> bool:
        return self._store.find_pending(request_id) is not None

    async def closing(self, job: Job, now: int) -> Message | str:
        """Return the message that withdraws one that was shown."""
        delivery = job.delivery
        if now >= delivery.not_after:
            return "too_late"
        if not was_shown(await self._store.delivery(withdrawn_by(delivery))):
            return "never_shown"
        stored = await self._store.load(delivery.request_id)
        return "request_unknown" if stored is None else self._to(job, stored, None)

    def _to(
        self,
        job: Job,
        stored: Stored,
        challenge: Envelope | None,
        is_wanted: Callable[[], bool] = always,
    ) -> Message | str:
        """Address a message; a device that said another address since is sent it there."""
        delivery = job.delivery
        device = self._store.directory.device(delivery.device)
        if device is None or not device.paired_with(stored.terms.integrator_id):
            return "unpaired"
        if job.sealed is not None and device.push != job.sealed:
            target = self.target(delivery)
            if isinstance(target, str):
                return target
            job.sealed, job.address = target
        return Message(
            delivery=delivery,
            integrator_name=self._challenges.integrator_name(stored),
            challenge=challenge,
            address=job.address,
            registered_at=device.push_set_at,
            is_wanted=is_wanted,
        )


def withdrawn_by(delivery: Delivery) -> str:
    """Return the id of the message that a ``request_resolved`` withdraws."""
    return delivery_id(delivery.request_id, delivery.device, delivery.channel, "approval_request")
