"""The extension in which Apple's attestation certificates carry the nonce.

The same in App Attest and in WebAuthn's format ``apple``, under different roots.
"""

from __future__ import annotations

from typing import Final

__all__ = ["NONCE_OID", "NONCE_PREFIX"]

NONCE_OID: Final = "1.2.840.113635.100.8.2"
NONCE_PREFIX: Final = bytes.fromhex("3024a1220420")  # SEQUENCE { [1] { OCTET STRING (32 bytes) } }
