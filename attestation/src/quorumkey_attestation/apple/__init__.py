"""Apple App Attest: the attestation of a key, its assertions, and the receipt for fraud risk.

The procedures are those of Apple's "Validating apps that connect to your server" and "Assessing
fraud risk". Each verifying function states its steps as a numbered list, and the numbers name the
checks.
"""

from __future__ import annotations

from quorumkey_attestation.apple.assertion import AppAssertion, verify_app_assertion
from quorumkey_attestation.apple.attestation import verify_app_attestation
from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy, Environment
from quorumkey_attestation.apple.receipt import Receipt, verify_app_receipt

__all__ = [
    "AppAssertion",
    "AppAttestKey",
    "AppAttestPolicy",
    "Environment",
    "Receipt",
    "verify_app_assertion",
    "verify_app_attestation",
    "verify_app_receipt",
]
