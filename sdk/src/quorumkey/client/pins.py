"""Which relay keys are trusted, and for which documents (PROTOCOL §11, "Relay key change").

A pinned key may sign a succession, which adds the next key. From its ``not_before`` the relay
signs with the new key, and the old one counts only for documents created before. A key that has
named its successor can name no other: whoever holds a retired key cannot send anybody elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.errors import ProtocolError
from quorumkey.protocol.statements import Succession, verify_statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.keys import PublicKey

__all__ = ["Pin", "RelayPins"]


@dataclass(frozen=True, slots=True)
class Pin:
    """A trusted relay key; `retired_at` is the ``not_before`` of its successor, or None."""

    key: PublicKey
    retired_at: int | None = None


@dataclass(frozen=True, slots=True)
class RelayPins:
    """The trusted keys of one relay, oldest first."""

    pins: tuple[Pin, ...]

    @staticmethod
    def of(keys: Iterable[PublicKey]) -> RelayPins:
        """Trust these keys."""
        return RelayPins(tuple(Pin(key) for key in dict.fromkeys(keys)))

    def __contains__(self, fingerprint: object) -> bool:
        return any(pin.key.fingerprint == fingerprint for pin in self.pins)

    def key(self, fingerprint: str) -> PublicKey | None:
        """The trusted key with this fingerprint, or None."""
        for pin in self.pins:
            if pin.key.fingerprint == fingerprint:
                return pin.key
        return None

    def keys_for(self, created_at: int) -> tuple[PublicKey, ...]:
        """The keys that may have signed a document created at `created_at`."""
        return tuple(
            pin.key for pin in self.pins if pin.retired_at is None or created_at < pin.retired_at
        )

    def follow(self, successions: Iterable[Envelope]) -> RelayPins:
        """Add the keys that the chain of successions reaches from the pins.

        Successions by keys that are not pinned, and ones that do not verify, add nothing.
        """
        pins = list(self.pins)
        for envelope in successions:
            index = next(
                (i for i, pin in enumerate(pins) if pin.key.fingerprint == envelope.keyid), None
            )
            if index is None or pins[index].retired_at is not None:
                continue
            outgoing = pins[index].key
            try:
                succession = verify_statement(envelope, Succession, key=outgoing).statement
            except ProtocolError:
                continue
            if succession.relay != outgoing.fingerprint:
                continue
            pins[index] = Pin(outgoing, succession.not_before)
            if all(pin.key != succession.next_key for pin in pins):
                pins.append(Pin(succession.next_key))
        return RelayPins(tuple(pins))
