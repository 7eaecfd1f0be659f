"""The nonces of classic requests, each of which counts once.

Google counts how often a token is decoded only where Google decodes it; a token opened with the
developer's own keys says the same as often as it is shown.
"""

from __future__ import annotations

from typing import Protocol

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import Reason

__all__ = ["NonceLedger", "claim_nonce"]


class NonceLedger(Protocol):
    """The caller's record of the nonces it issued and has not seen come back."""

    def spend(self, nonce: str) -> bool:
        """Mark ``nonce`` as used, in one atomic step.

        Returns:
            Whether it was issued, is not past its end and had not been used before.
        """
        ...


def claim_nonce(ledger: NonceLedger, nonce: str, *, audit: Audit | None = None) -> None:
    """Use up the nonce of accepted evidence, or refuse evidence that was shown before.

    1. The ledger gives the nonce out as unused, once.

    To be called last, when everything else has been accepted: a nonce that is spent on evidence
    which is then refused cannot be used by the honest device any more.

    Args:
        ledger: where the caller keeps its nonces.
        nonce: the nonce that the evidence was judged by.
        audit: the trail of this verification; by default one of its own.

    Raises:
        AttestationError: ``nonce_mismatch``.
    """
    (audit or Audit()).require(
        "play.nonce/1-unused",
        ledger.spend(nonce),
        Reason.NONCE,
        "The nonce was never issued, has ended or was used before.",
    )
