"""What a server does with a key's counter, and with a key that is somebody's already.

Verification is pure: it can say that a counter grew, not that nobody else used it meanwhile. Two
presentations of one assertion, at the same moment, both pass it; only the store can let one through
(Apple, "Validating apps that connect to your server"; WebAuthn Level 3 section 7.2 step 22).
"""

from __future__ import annotations

from typing import Protocol

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import Reason

__all__ = ["CounterStore", "claim_counter", "require_unbound"]


class CounterStore(Protocol):
    """Where the counters of the keys are kept."""

    def compare_and_set(self, key_id: bytes, *, expected: int, new: int) -> bool:
        """Set a key's counter to ``new`` if it is ``expected``, in one atomic step.

        Args:
            key_id: the key's identifier.
            expected: the value that the verification was made against.
            new: the value that the evidence brought.

        Returns:
            Whether it was ``expected``, and is ``new`` now.
        """
        ...


def claim_counter(
    store: CounterStore, key_id: bytes, *, last: int, new: int, audit: Audit | None = None
) -> None:
    """Store the counter that accepted evidence brought, unless another one came first.

    1. The stored value is still the one that the verification was made against.

    Args:
        store: where the counters are kept.
        key_id: the key's identifier.
        last: the value that the verification was made against.
        new: the value that the evidence brought.
        audit: the trail of the verification it belongs to.

    Raises:
        AttestationError: ``counter``: the evidence is used already.
    """
    (audit or Audit()).require(
        "counters/1-claim",
        store.compare_and_set(key_id, expected=last, new=new),
        Reason.COUNTER,
        "The counter moved on meanwhile: the evidence was used already.",
    )


def require_unbound(
    key_id: bytes, *, bound_to: str | None, user: str, audit: Audit | None = None
) -> None:
    """Refuse a key that another user has registered.

    2. The key is nobody's yet, or the same user's.

    Args:
        key_id: the key's identifier.
        bound_to: the user whose key it is, from the store; None where it is nobody's.
        user: the user who registers it.
        audit: the trail of the verification it belongs to.

    Raises:
        AttestationError: ``key_mismatch``.
    """
    (audit or Audit()).require(
        "counters/2-binding",
        bound_to is None or bound_to == user,
        Reason.KEY_MISMATCH,
        f"The key {key_id.hex()[:16]} is registered by another user.",
    )
