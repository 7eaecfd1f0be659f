"""Who a device is, as it tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.protocol.pictogram import pictogram, speakable

if TYPE_CHECKING:
    from quorumkey.device.home import RelayFolder, RelayRecord
    from quorumkey.protocol.statements import Party

__all__ = ["Identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this device is at one relay.

    Attributes:
        relay_url: where the relay is.
        relay: fingerprint of its newest pinned key.
        fingerprint: the device's id there.
        pictogram: five emoji drawn from it.
        pictogram_speakable: their names.
        integrators: whom the device is paired with there.
    """

    relay_url: str
    relay: str
    fingerprint: str
    pictogram: tuple[str, ...]
    pictogram_speakable: str
    integrators: tuple[Party, ...]

    @staticmethod
    def of(folder: RelayFolder, record: RelayRecord) -> Identity:
        """Who the device is at the relay of this folder.

        Raises:
            KeyFileError: the key is missing, damaged, or open to other users.
        """
        fingerprint = folder.key().public_key.fingerprint
        return Identity(
            relay_url=record.address.base,
            relay=record.pins.pins[-1].key.fingerprint,
            fingerprint=fingerprint,
            pictogram=pictogram(fingerprint),
            pictogram_speakable=speakable(fingerprint),
            integrators=record.integrators,
        )
