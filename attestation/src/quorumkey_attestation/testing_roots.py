"""The keys of this package's own test roots, which are denied unless test roots are allowed.

Their private keys follow from a published seed (:mod:`quorumkey_attestation.testing.pki`), so
whoever can read can sign with them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TEST_ROOT_SPKI_SHA256"]

#: SHA-256 of each test root's SubjectPublicKeyInfo, in hex; a test compares them with the PKI.
TEST_ROOT_SPKI_SHA256: Final[frozenset[str]] = frozenset()
