"""Ids and random bytes of a relay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from quorumkey.protocol import check_uuid7
from quorumkey_relay.mint import SystemMint

if TYPE_CHECKING:
    import pytest


def test_ids_grow() -> None:
    """Each id is a UUIDv7 and greater than the one before, also within a millisecond."""
    mint = SystemMint()

    made = [mint.uuid7() for _ in range(10_000)]

    assert made == [check_uuid7(one, field="id") for one in sorted(set(made))]


def test_ids_hold_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 48 bits are milliseconds since the epoch (RFC 9562, section 5.7)."""
    monkeypatch.setattr(time, "time_ns", lambda: 0x0190_A000_0001 * 1_000_000)

    assert SystemMint().uuid7().startswith("0190a000-0001-7")


def test_ids_grow_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back is waited out by counting on."""
    mint = SystemMint()
    moments = iter([5_000_000_000, 1_000_000, 2_000_000, 5_001_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))

    made = [mint.uuid7() for _ in range(4)]

    assert sorted(set(made)) == made


def test_two_relays_make_different_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the same millisecond the rest of an id is random."""
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_000_000)

    assert 100 == len({SystemMint().uuid7() for _ in range(100)})


def test_random_bytes_differ() -> None:
    """As many bytes as were asked for, others each time."""
    mint = SystemMint()

    made = [mint.random(32) for _ in range(10)]

    assert {32} == {len(one) for one in made}
    assert 10 == len(set(made))
