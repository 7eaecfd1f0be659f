"""The receipt in hand: verified without the relay, and what is left of a forged one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ReceiptRefused
from quorumkey.receipts import load_policy, verify_receipt

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import Action
    from quorumkey.receipts import VerifiedReceipt

_LETTERS: Final = b"AB"


class ForgeryAcceptedError(Exception):
    """What must be refused was accepted."""


def verify(receipt: bytes, policy: Path, *, action: Action | None = None) -> VerifiedReceipt:
    """Hold a receipt against a policy file, or against that policy for another action.

    Raises ``ReceiptRefused``.
    """
    expected = load_policy(policy.read_bytes())
    if expected.integrator_id is None or expected.nonce is None:
        raise AssertionError
    return verify_receipt(
        receipt,
        relay_public_keys=expected.relay_public_keys,
        integrator_id=expected.integrator_id,
        nonce=expected.nonce,
        now=int(time.time()),
        action=expected.action if action is None else action,
        required=expected.policy.required,
        groups=expected.policy.groups,
        reject_policy=expected.policy.reject_policy,
        distinct=expected.policy.distinct,
        min_assurance=expected.policy.min_assurance,
    )


def refusal(receipt: bytes, policy: Path, *, action: Action | None = None) -> ReceiptRefused:
    """Return why a receipt is refused; raises ``ForgeryAcceptedError`` when it is not."""
    try:
        verify(receipt, policy, action=action)
    except ReceiptRefused as refused:
        return refused
    message = "a receipt that proves nothing was accepted"
    raise ForgeryAcceptedError(message)


def with_one_byte_changed(receipt: bytes) -> bytes:
    """Return a receipt whose middle byte, a letter of the base64 payload, is another one."""
    middle = len(receipt) // 2
    other = _LETTERS[1] if receipt[middle] == _LETTERS[0] else _LETTERS[0]
    return receipt[:middle] + bytes((other,)) + receipt[middle + 1 :]
