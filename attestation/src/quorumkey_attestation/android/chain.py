"""The walk from an Android key's certificate to Google's root, and what may stand where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from quorumkey_attestation.audit import Audit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from quorumkey_attestation.anchors import TrustAnchors
    from quorumkey_attestation.android.key_description import KeyDescription
    from quorumkey_attestation.android.provisioning import ProvisioningInfo
    from quorumkey_attestation.android.revocation import RevocationList

__all__ = ["AndroidChain", "examine_android_chain", "verify_android_chain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidChain:
    """A chain that leads from an attested key to a trusted root; no policy was applied.

    Attributes:
        path: the certificates, leaf first, the configured root last.
        public_key: the attested key.
        public_key_info: the same as SubjectPublicKeyInfo, in DER.
        key_description: what the hardware says about the key.
        method: ``"factory"`` or ``"rkp"``: how the attestation key came into the device.
        provisioning: what the provisioning server says about the device, if it did.
        quirks: deviations that were tolerated, in words.
        serials: the serial number of every certificate, lower-case hex, leaf first.
        checks: the checks that were passed.
    """

    path: tuple[x509.Certificate, ...]
    public_key: CertificatePublicKeyTypes
    public_key_info: bytes
    key_description: KeyDescription
    method: Literal["factory", "rkp"]
    provisioning: ProvisioningInfo | None
    quirks: tuple[str, ...]
    serials: tuple[str, ...]
    checks: tuple[str, ...]


def verify_android_chain(
    chain: Sequence[bytes],
    *,
    anchors: TrustAnchors,
    revocation: RevocationList | None,
    now: datetime,
) -> AndroidChain:
    """Return what a chain proves about the key in its leaf; :func:`examine_android_chain`."""
    return examine_android_chain(
        chain, anchors=anchors, revocation=revocation, now=now, audit=Audit()
    )


def examine_android_chain(
    chain: Sequence[bytes],
    *,
    anchors: TrustAnchors,
    revocation: RevocationList | None,
    now: datetime,
    audit: Audit,
) -> AndroidChain:
    """Return what a chain proves about the key in its leaf."""
    raise NotImplementedError
