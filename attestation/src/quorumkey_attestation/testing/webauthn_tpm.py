"""Mint ``tpm`` statements: what a TPM says when it certifies a key (TPM 2.0 Library, part 2)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography import x509

from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.webauthn import Statement
from quorumkey_attestation.testing.webauthn_certificates import (
    AIK_USAGE,
    ATTESTATION_KEY,
    aaguid_extension,
    alternative_name,
    mint_leaf,
    webauthn_authority,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from quorumkey_attestation.testing.webauthn import Parts

__all__ = ["tpm"]

_SHA256: Final = b"\x00\x0b"  # TPM_ALG_SHA256
_ECC: Final = b"\x00\x23"  # TPM_ALG_ECC
_NULL: Final = b"\x00\x10"  # TPM_ALG_NULL
_P256: Final = b"\x00\x03"  # TPM_ECC_NIST_P256
_ATTRIBUTES: Final = b"\x00\x06\x04\x72"  # a key that signs, was made here and stays here
_GENERATED: Final = b"\xffTCG\x80\x17"  # TPM_GENERATED_VALUE, TPM_ST_ATTEST_CERTIFY
_CLOCK_AND_FIRMWARE: Final = bytes(17 + 8)


def tpm(
    parts: Parts,
    *,
    aaguid: bytes | None = None,
    signed: bytes | None = None,
    attributes: bytes = _ATTRIBUTES,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Statement:
    """Return a ``tpm`` statement (WebAuthn Level 3, section 8.3).

    Args:
        parts: the ceremony.
        aaguid: the model that the certificate names; by default that of ``parts``.
        signed: what certInfo covers, where it is something else than ``parts``.
        attributes: the objectAttributes of the key, 4 bytes.
        extensions: what the certificate has besides, each with whether it is critical.
    """
    leaf = mint_leaf(
        x509.Name([]),
        pki.private_key(ATTESTATION_KEY).public_key(),
        extensions=[
            alternative_name(),
            (AIK_USAGE, False),
            aaguid_extension(parts.aaguid if aaguid is None else aaguid),
            *extensions,
        ],
    )
    public_area = _public_area(parts.key.public_key(), attributes)
    info = _certify_info(public_area, parts.signed if signed is None else signed)
    return Statement(
        "tpm",
        {
            "ver": "2.0",
            "alg": -7,
            "x5c": [leaf.der, webauthn_authority().der],
            "sig": pki.sign(leaf.key, info),
            "certInfo": info,
            "pubArea": public_area,
        },
    )


def _public_area(key: ec.EllipticCurvePublicKey, attributes: bytes) -> bytes:
    """Return TPMT_PUBLIC of a P-256 key (part 2, section 12.2.4)."""
    numbers = key.public_numbers()
    return b"".join(
        (
            _ECC,
            _SHA256,
            attributes,
            _sized(b""),
            _NULL + _NULL + _P256 + _NULL,
            _sized(numbers.x.to_bytes(32)),
            _sized(numbers.y.to_bytes(32)),
        )
    )


def _certify_info(public_area: bytes, signed: bytes) -> bytes:
    """Return TPMS_ATTEST about ``public_area`` (part 2, section 10.12.8)."""
    name = _SHA256 + hashlib.sha256(public_area).digest()
    return b"".join(
        (
            _GENERATED,
            _sized(b""),
            _sized(hashlib.sha256(signed).digest()),
            _CLOCK_AND_FIRMWARE,
            _sized(name),
            _sized(b""),
        )
    )


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data
