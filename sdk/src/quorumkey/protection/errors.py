"""Why a protected call does not run.

The tree::

    QuorumkeyError
    ├── ReceiptRefused               the relay says approved, and its receipt does not prove it
    └── ProtectionError
        ├── ApprovalRequired         it waits for other administrators
        ├── NobodyCanApproveError    it would wait for ever: too few others could approve it
        ├── RequestRefused           it cannot be written in one way, so it cannot be approved
        ├── ProtectionUnavailable    whether it may run is not known, so it does not
        └── ResultNotReportedError   it did run, and the relay does not know what became of it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.errors import QuorumkeyError

if TYPE_CHECKING:
    from quorumkey.protection.models import Transaction

__all__ = [
    "ApprovalRequired",
    "NobodyCanApproveError",
    "ProtectionError",
    "ProtectionUnavailable",
    "RequestRefused",
    "ResultNotReportedError",
]


class ProtectionError(QuorumkeyError):
    """Something about a protected call went otherwise than running it."""


class ApprovalRequired(ProtectionError):  # noqa: N818 - waiting is the expected outcome, and the public name
    """The call did not run; issued again, identical, once it is approved, it will.

    Attributes:
        transaction: what waits, by the relay's word.
        txid: its id, for ``x-mpa-txid``.
    """

    def __init__(self, transaction: Transaction) -> None:
        """Say what waits."""
        super().__init__(
            f"{transaction.method} waits for the approval of other administrators; issue the "
            f"identical call again once {transaction.txid} is approved."
        )
        self.transaction = transaction
        self.txid = transaction.txid


class NobodyCanApproveError(ProtectionError):
    """The call has to be approved, and too few administrators could; nothing was opened."""


class RequestRefused(ProtectionError):  # noqa: N818 - as ReceiptRefused: the public name
    """The request has no single spelling, so what is approved could differ from what runs.

    The text says what to change: a float (send it as a string), a member twice, bytes.
    """


class ProtectionUnavailable(ProtectionError):  # noqa: N818 - a state of the service, as its users say it
    """The relay could not be asked, or did not answer as agreed; the call did not run."""


class ResultNotReportedError(ProtectionError):
    """A claimed call is over, and the relay could not be told; it will call it indeterminate.

    Attributes:
        txid: the approval that was used.
        claim_id: its claim.
        result: ``ok`` or ``error``, what became of the call.
    """

    def __init__(self, txid: str, claim_id: str, result: str, why: str) -> None:
        """Say what is not known to the relay."""
        super().__init__(f"The result {result} of {txid} (claim {claim_id}) was not taken: {why}")
        self.txid = txid
        self.claim_id = claim_id
        self.result = result
