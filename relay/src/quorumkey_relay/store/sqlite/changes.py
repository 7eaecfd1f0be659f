"""Following in memory what another process, the command line, has changed on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quorumkey_relay.store.sqlite.hot import MemoryDirectory
    from quorumkey_relay.store.sqlite.reader import Reader
    from quorumkey_relay.store.writes import Change


def take_change(  # noqa: C901 - one case a kind of change
    kind: Change, key: str, *, reader: Reader, directory: MemoryDirectory
) -> None:
    """Read again what ``kind`` and ``key`` name; raises ``StoreUnavailable``."""
    match kind:
        case "integrator":
            found = {integrator.id: integrator for integrator in reader.integrators()}
            directory.integrators = found
        case "api_key":
            # No other: one that this process has made may still be on its way to the disk.
            directory.api_keys |= {
                known.digest: known for known in reader.api_keys() if known.key_id == key
            }
        case "pairing":
            if (pairing := reader.pairing(key)) is not None:
                directory.put_pairing(pairing)
        case "device":
            if (device := reader.device(key)) is not None:
                directory.take_device(device[1])
        case "webhook":
            if (webhook := reader.webhooks.webhook(key)) is not None:
                directory.take_webhook(webhook)
        case "protection":
            if (protection := reader.protection.protection(key)) is not None:
                directory.take_protection(protection)
        case _:
            pass
