"""Counters that are claimed once, and keys that have one owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.counters import claim_counter, require_unbound
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.counters import CounterStore

KEY_ID = bytes(range(32))


class Counters:
    """The smallest counter store."""

    def __init__(self) -> None:
        self.values = {KEY_ID: 4}

    def compare_and_set(self, key_id: bytes, *, expected: int, new: int) -> bool:
        """See :class:`CounterStore`."""
        if self.values[key_id] != expected:
            return False
        self.values[key_id] = new
        return True


def test_a_counter_is_stored_where_it_stands_as_it_did() -> None:
    """The first presentation of an assertion moves the counter."""
    store = Counters()

    claim_counter(store, KEY_ID, last=4, new=7)

    assert {KEY_ID: 7} == store.values


def test_of_two_presentations_at_one_moment_one_is_refused() -> None:
    """Both were verified against the same stored value; the store lets one through."""
    store: CounterStore = Counters()
    claim_counter(store, KEY_ID, last=4, new=7)

    with pytest.raises(AttestationError) as refused:
        claim_counter(store, KEY_ID, last=4, new=7)

    assert (Reason.COUNTER, "counters/1-claim") == (refused.value.reason, refused.value.check)


@pytest.mark.parametrize("bound_to", [None, "anna"], ids=["nobody", "the same user"])
def test_a_key_that_is_nobody_elses_can_be_registered(bound_to: str | None) -> None:
    """A new key passes, and so does a user's own, registered again."""
    audit = Audit()

    require_unbound(KEY_ID, bound_to=bound_to, user="anna", audit=audit)

    assert ("counters/2-binding",) == audit.checks


def test_a_key_of_another_user_is_refused() -> None:
    """Attested for one user, a key is of no use to another."""
    with pytest.raises(AttestationError) as refused:
        require_unbound(KEY_ID, bound_to="bert", user="anna")

    assert Reason.KEY_MISMATCH is refused.value.reason
