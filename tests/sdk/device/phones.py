"""A software device against a relay in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tests.sdk.clock import ManualClock
from tests.sdk.relay_double import CODE, URL, Phone, RelayDouble, Stored

from quorumkey.device import DevicePorts, SoftwareDevice
from quorumkey.protocol import b64url_encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

T = TypeVar("T")

SECRET = bytes(range(32))


class Desk:
    """One home folder, the relay, and the clock of both; each `use` is a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = ManualClock()
        self.relay = RelayDouble()

    @property
    def link(self) -> str:
        """A pairing link."""
        fragment = f"code={CODE}&relay={self.relay.fingerprint}&secret={b64url_encode(SECRET)}"
        return f"{URL}/app/pair#{fragment}"

    @property
    def ports(self) -> DevicePorts:
        """The world as the device sees it."""
        return DevicePorts(
            now=self.clock.now,
            sleep=self.clock.asleep,
            jitter=lambda: 0.5,
            transport=self.relay.transport,
        )

    def device(self, relay_url: str | None = None) -> SoftwareDevice:
        """The device of this home."""
        return SoftwareDevice(self.home, relay_url=relay_url, ports=self.ports)

    def use(
        self, work: Callable[[SoftwareDevice], Awaitable[T]], relay_url: str | None = None
    ) -> T:
        """Do something with the device, then end its process."""

        async def inside() -> T:
            async with self.device(relay_url) as device:
                return await work(device)

        return asyncio.run(inside())

    def enroll(self) -> Phone:
        """Pair the device; answers its key as a phone that requests can name."""
        self.use(lambda device: device.enroll(self.link))
        phone = Phone("alice")
        (folder,) = (self.home / "relays").iterdir()
        phone.key = type(phone.key).from_pem((folder / "key.pem").read_bytes())
        return phone

    def ask(self, **change: object) -> Stored:
        """Enrol, and ask this device something."""
        return self.relay.ask(self.enroll(), change=change)
