"""The attestation of an App Attest key (Apple, "Validating apps that connect to your server")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy, Environment
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "AppAttestKey",
    "AppAttestPolicy",
    "Environment",
    "examine_app_attestation",
    "verify_app_attestation",
]


def verify_app_attestation(
    obj: bytes, *, key_id: bytes, client_data_hash: bytes, policy: AppAttestPolicy, now: datetime
) -> AppAttestKey:
    """Return the key that ``obj`` attests."""
    return examine_app_attestation(
        obj,
        key_id=key_id,
        client_data_hash=client_data_hash,
        policy=policy,
        now=now,
        audit=Audit(),
    )


def examine_app_attestation(
    obj: bytes,
    *,
    key_id: bytes,
    client_data_hash: bytes,
    policy: AppAttestPolicy,
    now: datetime,
    audit: Audit,
) -> AppAttestKey:
    """Do what :func:`verify_app_attestation` does, and leave the trail in ``audit``."""
    raise AttestationError(Reason.UNSUPPORTED, "Not there yet.")
