from __future__ import annotations

from dataclasses import replace

import pytest

from quorumkey.client import Pin, RelayPins
from quorumkey.protocol import Envelope, PrivateKey, Succession, sign

FIRST, SECOND, THIRD, STRANGER = (PrivateKey.generate() for _ in range(4))


def succession(
    outgoing: PrivateKey, following: PrivateKey, *, not_before: int = 1000, relay: str = ""
) -> Envelope:
    """A signed change of key."""
    statement = Succession(
        relay=relay or outgoing.public_key.fingerprint,
        next_public_key=following.public_key.base64,
        not_before=not_before,
    )
    return sign(Succession.KIND, statement.encode(), outgoing)


def pinned(*keys: PrivateKey) -> RelayPins:
    """Pins of these keys."""
    return RelayPins.of(key.public_key for key in keys)


def test_a_chain_is_followed_from_a_pin() -> None:
    """Each succession by a pinned key adds the next key and retires the outgoing one."""
    pins = pinned(FIRST).follow(
        [succession(FIRST, SECOND), succession(SECOND, THIRD, not_before=2000)]
    )

    assert (
        Pin(FIRST.public_key, 1000),
        Pin(SECOND.public_key, 2000),
        Pin(THIRD.public_key),
    ) == pins.pins


def test_a_retired_key_counts_for_earlier_documents_only() -> None:
    """From not_before the outgoing key is not accepted any more; the next one always is."""
    pins = pinned(FIRST).follow([succession(FIRST, SECOND)])

    assert (FIRST.public_key, SECOND.public_key) == pins.keys_for(999)
    assert (SECOND.public_key,) == pins.keys_for(1000)


@pytest.mark.parametrize(
    "envelope",
    [
        succession(STRANGER, SECOND),
        replace(succession(STRANGER, SECOND), keyid=FIRST.public_key.fingerprint),
        succession(FIRST, SECOND, relay=STRANGER.public_key.fingerprint),
        replace(succession(FIRST, SECOND), payload=b"{}"),
    ],
    ids=["by a stranger", "signature", "another relay named", "payload"],
)
def test_what_does_not_verify_adds_nothing(envelope: Envelope) -> None:
    """A succession that is not the pinned key's own word changes nothing."""
    assert pinned(FIRST) == pinned(FIRST).follow([envelope])


def test_a_retired_key_names_no_second_successor() -> None:
    """Whoever holds a key that has named its successor cannot lead anybody elsewhere."""
    pins = pinned(FIRST).follow([succession(FIRST, SECOND)])

    assert pins == pins.follow([succession(FIRST, STRANGER)])


def test_a_pinned_successor_is_not_pinned_twice() -> None:
    """Where the next key is pinned already, only the outgoing one changes."""
    pins = pinned(FIRST, SECOND).follow([succession(FIRST, SECOND)])

    assert (Pin(FIRST.public_key, 1000), Pin(SECOND.public_key)) == pins.pins


def test_lookup() -> None:
    """Pins are found by fingerprint."""
    pins = pinned(FIRST)

    assert FIRST.public_key == pins.key(FIRST.public_key.fingerprint)
    assert pins.key(SECOND.public_key.fingerprint) is None
    assert FIRST.public_key.fingerprint in pins
    assert SECOND.public_key.fingerprint not in pins
