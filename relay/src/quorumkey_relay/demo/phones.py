"""The software devices of the demonstration, each with a home folder and a stream of its own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from quorumkey.device import (
    Connected,
    Disconnected,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestUnusable,
    RequestWithdrawn,
    SoftwareDevice,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from quorumkey.client import ConfirmedDevice
    from quorumkey.device import DeviceEvent, DeviceRequest
    from quorumkey_relay.demo.pushes import Mailbox
    from quorumkey_relay.demo.scenario import Person
    from quorumkey_relay.standins import Received

PATIENCE_SECONDS: Final = 20


class PhoneFailedError(Exception):
    """A phone did not get what it should have; the message says which and what."""


@dataclass(slots=True)
class Phone:
    """A person's device: what it was told so far, by request id."""

    person: Person
    group: str
    device: SoftwareDevice
    confirmed: ConfirmedDevice
    pictogram: str
    mailbox: Mailbox | None = None
    is_connected: bool = False
    arrived: dict[str, DeviceRequest] = field(default_factory=dict[str, "DeviceRequest"])
    progress: dict[str, int] = field(default_factory=dict[str, int])
    resolved: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, event: DeviceEvent | RequestWithdrawn) -> None:
        """Remember what the phone was told; raises ``PhoneFailedError`` for bad news."""
        match event:
            case Connected():
                self.is_connected = True
            case RequestArrived(request):
                if request.problem is not None:
                    message = f"{self.person.name}'s phone refuses the request: {request.problem}"
                    raise PhoneFailedError(message)
                self.arrived[request.request_id] = request
            case RequestProgressed(request_id, count, _):
                self.progress[request_id] = count
            case RequestResolved(request_id, status):
                self.resolved[request_id] = status.value
            case RequestWithdrawn(request_id):
                self.resolved[request_id] = "withdrawn"
            case RequestUnusable(_, reason) | Disconnected(reason, _):
                message = f"{self.person.name}'s phone: {reason}"
                raise PhoneFailedError(message)


class Phones:
    """All of them, and waiting for what they are told."""

    def __init__(
        self,
        phones: Sequence[Phone],
        notice: Callable[[Phone, DeviceEvent | RequestWithdrawn], None],
        pushed: Callable[[Mailbox, Received], None],
    ) -> None:
        """Call ``notice`` with everything that a phone is told, ``pushed`` with each push."""
        self.all = tuple(phones)
        self._notice = notice
        self._pushed = pushed
        self._heard = asyncio.Condition()

    def of(self, person_id: str) -> Phone:
        """Return a person's phone."""
        return next(phone for phone in self.all if phone.person.id == person_id)

    async def listen(self, phone: Phone) -> None:
        """Take in what the phone is told, by its stream or by its pushes, until cancelled."""
        if phone.mailbox is not None:
            await self._wake(phone, phone.mailbox)
            return
        async with aclosing(phone.device.listen()) as events:
            async for event in events:
                await self._take(phone, event)

    async def _wake(self, phone: Phone, mailbox: Mailbox) -> None:
        """Open each push as it comes in; the phone has no other connection that stays."""
        phone.is_connected = True
        async with aclosing(mailbox.arrivals()) as pushes:
            async for push in pushes:
                self._pushed(mailbox, push)
                await self._take(phone, await phone.device.open_push(mailbox.data(push)))

    async def _take(self, phone: Phone, event: DeviceEvent | RequestWithdrawn) -> None:
        phone.take(event)
        if isinstance(event, RequestArrived):
            await phone.device.acknowledge(event.request.request_id)
        self._notice(phone, event)
        async with self._heard:
            self._heard.notify_all()

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so; raises ``PhoneFailedError`` when it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._heard:
                await self._heard.wait_for(is_so)
        except TimeoutError:
            message = f"waited {PATIENCE_SECONDS} s in vain: {what}"
            raise PhoneFailedError(message) from None


def home_of(folder: Path, person: Person) -> Path:
    """Return where a person's device keeps its files."""
    return folder / "phones" / person.id
