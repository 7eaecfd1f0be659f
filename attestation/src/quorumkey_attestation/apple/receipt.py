"""The receipt of an App Attest key (Apple, "Assessing fraud risk")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy, Environment

__all__ = ["Receipt", "ReceiptType", "examine_app_receipt", "verify_app_receipt"]

ReceiptType: TypeAlias = Literal["ATTEST", "RECEIPT"]
"""The receipt that comes with an attestation, or the one that Apple gives for it later."""

MAX_AGE: Final = timedelta(minutes=5)  # how long ago a receipt may have been created


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt that was accepted.

    Attributes:
        type: ``ATTEST`` or ``RECEIPT``.
        app_id: the App ID it is about.
        environment: the environment of the key.
        created: when Apple made it.
        not_before: the earliest moment to ask Apple for a newer one; None where it says nothing.
        expires: when it ends to be good for asking.
        risk_metric: how many keys were attested on this device in 30 days; ``RECEIPT`` only.
        client_hash: the hash that it was made for, where it says so.
        token: what Apple knows the key by.
        checks: the checks that it passed.
    """

    type: ReceiptType
    app_id: str
    environment: Environment
    created: datetime
    not_before: datetime | None
    expires: datetime
    risk_metric: int | None
    client_hash: bytes | None
    token: bytes
    checks: tuple[str, ...]


def verify_app_receipt(  # noqa: PLR0913  # what the server knows, by name
    der: bytes,
    *,
    key: AppAttestKey,
    policy: AppAttestPolicy,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    expected_type: ReceiptType = "ATTEST",
) -> Receipt:
    """Return what a receipt says."""
    return examine_app_receipt(
        der,
        key=key,
        policy=policy,
        now=now,
        max_age=max_age,
        expected_type=expected_type,
        audit=Audit(),
    )


def examine_app_receipt(  # noqa: PLR0913  # as above
    der: bytes,
    *,
    key: AppAttestKey,
    policy: AppAttestPolicy,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    expected_type: ReceiptType = "ATTEST",
    audit: Audit,
) -> Receipt:
    """Do what :func:`verify_app_receipt` does, and leave the trail in ``audit``."""
    raise AttestationError(Reason.UNSUPPORTED, "Not there yet.")
