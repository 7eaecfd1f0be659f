"""Ending pairings (PROTOCOL §6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quorumkey.device import _api
from quorumkey.device.errors import NotPairedError
from quorumkey.errors import ApiError

if TYPE_CHECKING:
    from quorumkey.device.session import RelaySession

__all__ = ["unpair"]

#: What unpairing answers where the pairing has already ended.
_ALREADY_UNPAIRED: Final = frozenset({"device_revoked", "not_found", "unknown_device"})


async def unpair(session: RelaySession, integrator_id: str | None) -> None:
    """End the pairing with one integrator, or with every one of the relay, and forget it.

    Raises:
        NotPairedError: the device is not paired with them.
        ClientError: the relay refused or did not answer; the pairing is kept then.
    """
    if integrator_id is not None and not session.record.paired_with(integrator_id):
        raise NotPairedError("This device is not paired with that integrator.")
    try:
        await session.signed(
            lambda nonce: _api.unpair(
                session.signer.unpair(
                    relay=nonce.relay_public_key.fingerprint,
                    nonce=nonce.nonce,
                    integrator_id=integrator_id,
                )
            )
        )
    except ApiError as error:
        if error.code not in _ALREADY_UNPAIRED:
            raise
    kept = tuple(
        integrator
        for integrator in session.record.integrators
        if integrator_id is not None and integrator.id != integrator_id
    )
    session.save(replace(session.record, integrators=kept))
