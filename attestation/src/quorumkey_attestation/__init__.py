"""Judge the evidence a device gives about where its key lives.

Apple App Attest, Android Key Attestation, WebAuthn and Play Integrity, each by a pure function
that is handed the evidence, a policy and the moment of judgement, and that returns a frozen result
or raises :class:`AttestationError` with a :class:`Reason`. Nothing here reads a clock, the network
or a file.

Every name of ``__all__`` is imported from here. The module behind it is loaded at its first use,
so that who verifies one kind of evidence neither waits for the others nor installs their extras.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.explain import explain  # here, or its module would stand in its place
from quorumkey_attestation.result import Assurance, Format, Result
from quorumkey_attestation.verifier import Expectation, NoEvidence, Verifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.anchors import TrustAnchors
    from quorumkey_attestation.android.key_description import (
        ApplicationId,
        ApplicationPackage,
        AuthorizationList,
        KeyDescription,
        KeyOrigin,
        KeyPurpose,
        RootOfTrust,
        SecurityLevel,
        VerifiedBootState,
        parse_key_description,
    )
    from quorumkey_attestation.android.provisioning import ProvisioningInfo
    from quorumkey_attestation.android.revocation import RevocationEntry, RevocationList
    from quorumkey_attestation.android.verification import (
        AndroidKey,
        AndroidKeyPolicy,
        verify_android_key,
    )
    from quorumkey_attestation.apple.assertion import AppAssertion, verify_app_assertion
    from quorumkey_attestation.apple.attestation import verify_app_attestation
    from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy
    from quorumkey_attestation.apple.receipt import Receipt, verify_app_receipt
    from quorumkey_attestation.counters import CounterStore, claim_counter, require_unbound
    from quorumkey_attestation.evidence import EvidenceVerifier
    from quorumkey_attestation.play_integrity import (
        IntegrityPayload,
        IntegrityPolicy,
        IntegrityVerdict,
        NonceLedger,
        PlayIntegrityDecoder,
        claim_nonce,
        evaluate_integrity,
    )
    from quorumkey_attestation.webauthn import (
        WebAuthnAssertion,
        WebAuthnKey,
        WebAuthnPolicy,
        verify_webauthn_assertion,
        verify_webauthn_registration,
    )

__all__ = [
    "AndroidKey",
    "AndroidKeyPolicy",
    "AppAssertion",
    "AppAttestKey",
    "AppAttestPolicy",
    "ApplicationId",
    "ApplicationPackage",
    "Assurance",
    "AttestationError",
    "AuthorizationList",
    "CounterStore",
    "EvidenceVerifier",
    "Expectation",
    "Format",
    "IntegrityPayload",
    "IntegrityPolicy",
    "IntegrityVerdict",
    "KeyDescription",
    "KeyOrigin",
    "KeyPurpose",
    "NoEvidence",
    "NonceLedger",
    "PlayIntegrityDecoder",
    "ProvisioningInfo",
    "Reason",
    "Receipt",
    "Result",
    "RevocationEntry",
    "RevocationList",
    "RootOfTrust",
    "SecurityLevel",
    "TrustAnchors",
    "VerifiedBootState",
    "Verifier",
    "WebAuthnAssertion",
    "WebAuthnKey",
    "WebAuthnPolicy",
    "claim_counter",
    "claim_nonce",
    "evaluate_integrity",
    "explain",
    "parse_key_description",
    "require_unbound",
    "verify_android_key",
    "verify_app_assertion",
    "verify_app_attestation",
    "verify_app_receipt",
    "verify_webauthn_assertion",
    "verify_webauthn_registration",
]

_NAMES_BY_MODULE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "anchors": ("TrustAnchors",),
        "android.key_description": (
            "ApplicationId",
            "ApplicationPackage",
            "AuthorizationList",
            "KeyDescription",
            "KeyOrigin",
            "KeyPurpose",
            "RootOfTrust",
            "SecurityLevel",
            "VerifiedBootState",
            "parse_key_description",
        ),
        "android.provisioning": ("ProvisioningInfo",),
        "android.revocation": ("RevocationEntry", "RevocationList"),
        "android.verification": ("AndroidKey", "AndroidKeyPolicy", "verify_android_key"),
        "apple.assertion": ("AppAssertion", "verify_app_assertion"),
        "apple.attestation": ("verify_app_attestation",),
        "apple.policy": ("AppAttestKey", "AppAttestPolicy"),
        "apple.receipt": ("Receipt", "verify_app_receipt"),
        "counters": ("CounterStore", "claim_counter", "require_unbound"),
        "evidence": ("EvidenceVerifier",),
        "play_integrity": (
            "IntegrityPayload",
            "IntegrityPolicy",
            "IntegrityVerdict",
            "NonceLedger",
            "PlayIntegrityDecoder",
            "claim_nonce",
            "evaluate_integrity",
        ),
        "webauthn": (
            "WebAuthnAssertion",
            "WebAuthnKey",
            "WebAuthnPolicy",
            "verify_webauthn_assertion",
            "verify_webauthn_registration",
        ),
    }
)
_MODULES: Final = MappingProxyType(
    {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}
)

if not TYPE_CHECKING:  # the type checkers know the names from above, and that there are no others

    def __getattr__(name: str) -> object:
        """Load the module that defines ``name``."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
