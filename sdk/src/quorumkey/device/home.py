"""What a software device keeps on disk, one folder a relay.

::

    HOME/                                   0700
      relays/<fingerprint of the first pinned relay key>/
        relay.json                          0600  address, pinned keys, pairings
        key.pem                             0600  the device's key for this relay
        decisions/<request digest>.json     0600  every decision ever signed

A device makes a new key for every relay (PROTOCOL §3), so two relays cannot tell that they know
the same device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from quorumkey.client._fields import Fields
from quorumkey.client.address import RelayAddress
from quorumkey.client.pins import Pin, RelayPins
from quorumkey.device.decisions import DecisionJournal
from quorumkey.device.errors import KeyFileError, NotPairedError
from quorumkey.device.keyfile import (
    create_key,
    load_key,
    make_folder,
    read_secret,
    replace_secret,
)
from quorumkey.errors import QuorumkeyError
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.statements import Party
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.keys import PrivateKey

__all__ = ["DeviceHome", "RelayFolder", "RelayRecord"]

_MAX_RECORD_BYTES: Final = 1_048_576
_RECORD_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRecord:
    """What a device remembers of one relay.

    Attributes:
        address: where it is.
        pins: its trusted keys.
        integrators: whom this device is paired with there.
    """

    address: RelayAddress
    pins: RelayPins
    integrators: tuple[Party, ...] = ()

    def paired_with(self, integrator_id: str) -> bool:
        """Whether this device is paired with that integrator."""
        return any(integrator.id == integrator_id for integrator in self.integrators)

    def encode(self) -> bytes:
        """The content of ``relay.json``."""
        pins: list[JsonValue] = [
            {"public_key": pin.key.base64, "retired_at": pin.retired_at} for pin in self.pins.pins
        ]
        integrators: list[JsonValue] = [
            {"id": integrator.id, "name": integrator.name} for integrator in self.integrators
        ]
        return dumps(
            {
                "v": _RECORD_VERSION,
                "url": self.address.base,
                "pins": pins,
                "integrators": integrators,
            }
        )

    @staticmethod
    def decode(data: bytes) -> RelayRecord:
        """Read ``relay.json``.

        Raises:
            QuorumkeyError: it is damaged.
        """
        fields = Fields(loads(data, max_bytes=_MAX_RECORD_BYTES), "relay.json")
        url = fields.text("url")
        return RelayRecord(
            # Which hosts may be called without TLS was decided when the relay was pinned.
            address=RelayAddress.parse(url, http_hosts=(urlsplit(url).hostname or "",)),
            pins=RelayPins(
                tuple(
                    Pin(
                        PublicKey.from_base64(pin.text("public_key"), field="public_key"),
                        pin.integer("retired_at") if pin.has("retired_at") else None,
                    )
                    for pin in fields.children("pins")
                )
            ),
            integrators=tuple(
                Party(id=party.text("id"), name=party.optional_text("name"))
                for party in fields.children("integrators")
            ),
        )


class RelayFolder:
    """The folder of one relay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "relay.json"
        self._key = folder / "key.pem"
        self.journal = DecisionJournal(folder / "decisions")

    def load(self) -> RelayRecord | None:
        """Read what is remembered of the relay; None before the first pairing.

        Raises:
            KeyFileError: the file is damaged or open to other users.
        """
        data = read_secret(self._record, max_bytes=_MAX_RECORD_BYTES)
        if data is None:
            return None
        try:
            return RelayRecord.decode(data)
        except QuorumkeyError as error:
            raise KeyFileError(f"The file {self._record} is damaged: {error}") from None

    def save(self, record: RelayRecord) -> None:
        """Remember this of the relay, durably."""
        replace_secret(self._record, record.encode())

    def key(self) -> PrivateKey:
        """The device's key for this relay.

        Raises:
            KeyFileError: it is missing, damaged, or open to other users.
        """
        return load_key(self._key)

    def prepare(self) -> PrivateKey:
        """Make folder and key where there are none; answer the key.

        The key is on disk before anybody hears of it; the record follows the first pairing.
        """
        make_folder(self._folder)
        return create_key(self._key)

    def renew_key(self) -> PrivateKey:
        """Put the key aside, under its fingerprint, and make a new one."""
        old = self.key().public_key.fingerprint
        self._key.rename(self._key.with_name(f"key-{old}.pem"))
        return create_key(self._key)


class DeviceHome:
    """The home folder of a software device."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._relays = folder / "relays"

    def prepare(self) -> None:
        """Make the folder, closed to other users.

        Raises:
            KeyFileError: it is there and open to others, or cannot be made.
        """
        make_folder(self._folder)
        make_folder(self._relays)

    def folder_for(self, pins: RelayPins) -> RelayFolder:
        """Where the relay with these pins is kept."""
        return RelayFolder(self._relays / pins.pins[0].key.fingerprint)

    def relays(self) -> list[tuple[RelayFolder, RelayRecord]]:
        """Every relay this device knows, by folder name."""
        if not self._relays.is_dir():
            return []
        make_folder(self._folder)
        folders = [RelayFolder(path) for path in sorted(self._relays.iterdir()) if path.is_dir()]
        return [(folder, record) for folder in folders if (record := folder.load()) is not None]

    def at(self, address: RelayAddress) -> tuple[RelayFolder, RelayRecord] | None:
        """What is kept of the relay at this address, or None."""
        for folder, record in self.relays():
            if record.address.base == address.base:
                return folder, record
        return None

    def only(self) -> tuple[RelayFolder, RelayRecord]:
        """The one relay this device knows.

        Raises:
            NotPairedError: there is none, or there are several.
        """
        relays = self.relays()
        if not relays:
            raise NotPairedError("This device is not paired; enrol it with a pairing link first.")
        if len(relays) > 1:
            known = ", ".join(record.address.base for _, record in relays)
            raise NotPairedError(f"This device knows several relays; name one of: {known}.")
        return relays[0]
