"""The keys of this package's own test roots, which are denied unless test roots are allowed.

Their private keys follow from a published seed (:mod:`quorumkey_attestation.testing.pki`), so
whoever can read can sign with them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TEST_ROOT_SPKI_SHA256"]

#: SHA-256 of each test root's SubjectPublicKeyInfo, in hex; a test compares them with the PKI.
TEST_ROOT_SPKI_SHA256: Final[frozenset[str]] = frozenset(
    {
        "4b60f3fe65ed446831f21737b8599e52614a87fafaed9c89cfeacee23cf339c6",  # App Attest
        "eb52002a2bc8c62d2402a0d3b4ff688cfe3f30e4e79c4bd6174b2d66ea7efed2",  # receipt
        "6016de0bec820b9d29f12cecb710d88547dd503a7c40d63e4c0f706f479d5fc3",  # Google
        "6f1ac30a978d38a0cb6dbb0957c9867d4bbf82ade4674283684266640207b226",  # WebAuthn
    }
)
