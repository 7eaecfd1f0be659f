from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from quorumkey.protection import _attempts
from quorumkey.protection._attempts import Attempts, Identity, Spent

if TYPE_CHECKING:
    import pytest

ONE = Identity("Kill", "person", "alice", "sha256:1", None)
OTHER = Identity("Kill", "person", "bob", "sha256:1", None)


def attempts() -> Attempts:
    """Attempts whose keys count up."""
    numbers = count()
    return Attempts(
        monotonic=lambda: 0.0, random_bytes=lambda size: next(numbers).to_bytes(size, "big")
    )


def test_lost_keys_are_asked_with_in_their_order() -> None:
    """The first key that was lost is the first that is asked with again; each one once."""
    made = attempts()
    first, second = made.take(ONE), made.take(ONE)
    made.lose(ONE, first)
    made.lose(ONE, second)

    assert [first, second] == [made.take(ONE), made.take(ONE)]
    assert made.take(ONE) not in {first, second}


def test_lost_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call keeps its newest lost keys, and of many calls the newest keep theirs."""
    monkeypatch.setattr(_attempts, "_MAX_CALLS", 1)
    made = attempts()
    keys = [made.take(ONE) for _ in range(9)]
    for key in keys:
        made.lose(ONE, key)
    assert keys[1] == made.take(ONE)

    made.lose(OTHER, "lost")

    assert made.take(ONE) not in keys
    assert "lost" == made.take(OTHER)


def test_an_approval_is_spent_until_it_could_not_be_used() -> None:
    """What ran is remembered for as long as its approval lasts, and no longer."""
    spent = Spent()

    assert spent.spend("a", use_by=10, now=0)
    assert not spent.spend("a", use_by=10, now=10)
    assert spent.spend("b", use_by=20, now=11)
    assert spent.spend("a", use_by=30, now=11)
