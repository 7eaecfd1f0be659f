"""Judge the evidence a device gives about where its key lives.

This version judges the format ``none``: it fixes the levels, the errors and the port that the
verifiers for Apple, Android and WebAuthn evidence will stand behind.
"""

from __future__ import annotations

from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.result import Assurance, Format, Result
from quorumkey_attestation.verifier import Expectation, NoEvidence, Verifier

__all__ = [
    "Assurance",
    "AttestationError",
    "Expectation",
    "Format",
    "NoEvidence",
    "Reason",
    "Result",
    "Verifier",
]
