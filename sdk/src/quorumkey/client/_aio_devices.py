"""Pairing approvers' devices, and the devices that are paired: the awaited calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.client import _calls
from quorumkey.protocol.policy import Party

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from quorumkey.client._core import Core
    from quorumkey.client._drivers import AsyncDriver
    from quorumkey.client.models import Device, PairingState
    from quorumkey.client.pairing import AttestationEvidence, ConfirmedDevice, Pairing

__all__ = ["AsyncDevices", "AsyncPairings"]


class AsyncPairings:
    """Pairing approvers' devices."""

    def __init__(self, core: Core, driver: AsyncDriver) -> None:
        self._core = core
        self._driver = driver

    async def create(
        self,
        approver_id: str,
        name: str | None = None,
        *,
        expires_in_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Pairing:
        """Make a pairing for one approver; show them its ``url``.

        Args:
            approver_id: this integrator's id for the person, 1 to 128 characters.
            name: what the person sees, 1 to 80 characters.
            expires_in_seconds: 60 to 3600; the relay's default is 600.
            idempotency_key: without one a new one is made.

        Raises:
            ProtocolError: id or name is not allowed.
            ApiError: the relay refused.
            TransportError: no usable answer came.
        """
        return await self._driver.run(
            self._core.create_pairing(
                Party(approver_id, name),
                expires_in_seconds=expires_in_seconds,
                idempotency_key=idempotency_key,
            )
        )

    async def get(self, pairing_id: str) -> PairingState:
        """How a pairing stands, by the relay's word."""
        return await self._driver.run(self._core.call(_calls.get_pairing(pairing_id)))

    async def confirm(
        self,
        pairing: Pairing,
        *,
        allow_unbound: bool = False,
        check_attestation: Callable[[AttestationEvidence], None] | None = None,
    ) -> ConfirmedDevice:
        """Check that the device of a finished pairing is the one that was shown the link.

        Args:
            pairing: what `create` answered.
            allow_unbound: accept a key that is not bound to the pairing's secret, as a device
                enrolled with a typed code has; the relay could then have enrolled its own key.
            check_attestation: raises where the evidence about the key does not hold.

        Raises:
            PairingNotConfirmedError: it is not finished, or a check failed.
            ApiError: the relay refused.
            TransportError: no usable answer came.
        """
        return await self._driver.run(
            self._core.confirm(
                pairing, allow_unbound=allow_unbound, check_attestation=check_attestation
            )
        )

    async def wait(
        self,
        pairing: Pairing,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the blocking client has the same surface
        allow_unbound: bool = False,
    ) -> ConfirmedDevice:
        """Wait until a device has used the pairing, then `confirm` it.

        Args:
            pairing: what `create` answered.
            timeout: seconds to wait at most; None: until the pairing expires.
            allow_unbound: as for `confirm`.

        Raises:
            PairingNotConfirmedError: it expired, or a check failed.
            WaitTimeoutError: no device has used it yet.
        """
        return await self._driver.run(
            self._core.wait_for_pairing(pairing, timeout=timeout, allow_unbound=allow_unbound)
        )


class AsyncDevices:
    """Devices paired with this integrator."""

    def __init__(self, core: Core, driver: AsyncDriver) -> None:
        self._core = core
        self._driver = driver

    async def list(
        self, *, approver_id: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[Device]:
        """Yield the devices, of one approver or of all; pages are fetched as needed."""
        cursor: str | None = None
        while True:
            page = await self._driver.run(
                self._core.call(
                    _calls.list_devices(approver_id=approver_id, limit=limit, cursor=cursor)
                )
            )
            for item in page.data:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def get(self, fingerprint: str) -> Device:
        """One device.

        Raises:
            NotFoundError: it is not paired with this integrator.
        """
        return await self._driver.run(self._core.call(_calls.get_device(fingerprint)))

    async def delete(self, fingerprint: str) -> None:
        """End a device's pairing with this integrator."""
        await self._driver.run(self._core.call(_calls.delete_device(fingerprint)))
