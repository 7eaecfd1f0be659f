"""From settings to the policies that evidence is judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cryptography import x509

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.verification import AndroidKeyPolicy
from quorumkey_attestation.apple.policy import AppAttestPolicy
from quorumkey_attestation.evidence import EvidenceVerifier
from quorumkey_attestation.webauthn import WebAuthnPolicy
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quorumkey_attestation.result import Result
    from quorumkey_attestation.verifier import Expectation
    from quorumkey_relay.attestation.revocation import RevocationFeed
    from quorumkey_relay.settings import Settings

MAX_ROOTS_BYTES: Final = 1_048_576  # bytes of a file of root certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentVerifier:
    """Judges by fixed policies and by the newest revocation list; implements ``Verifier``."""

    policies: EvidenceVerifier
    revocation: RevocationFeed | None

    def verify(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        """See ``Verifier``; without a list, or with a stale one, Android evidence is refused."""
        newest = None if self.revocation is None else self.revocation.current
        return replace(self.policies, revocation=newest).verify(evidence, expected)


def policies_of(settings: Settings) -> EvidenceVerifier:
    """Return the policy for each format; a format that nothing is configured for has none.

    Raises ``ConfigError``: a file of roots cannot be read.
    """
    policies = EvidenceVerifier(
        app_attest=app_attest_policy(settings),
        android=_android(settings),
        webauthn=_webauthn(settings),
    )
    if settings.attestation != "off":
        policies.preload()  # at the start, not on the loop at the first evidence
    return policies


def app_attest_policy(settings: Settings) -> AppAttestPolicy | None:
    """Return what App Attest objects, receipts and assertions are judged by; None takes none.

    Raises ``ConfigError``.
    """
    if not settings.app_attest_apps:
        return None
    return AppAttestPolicy(
        app_ids=frozenset(settings.app_attest_apps),
        environment=settings.app_attest_environment,
        anchors=_anchors(TrustAnchors.apple_app_attest(), settings),
        receipt_anchors=_anchors(TrustAnchors.apple_receipt(), settings),
    )


def _android(settings: Settings) -> AndroidKeyPolicy | None:
    if not settings.android_apps:
        return None
    packages: dict[str, frozenset[bytes]] = {}
    for app in settings.android_apps:
        known = packages.get(app.package, frozenset())
        packages[app.package] = known | {bytes.fromhex(app.signer)}
    boot_keys = frozenset(bytes.fromhex(key) for key in settings.android_boot_keys)
    return AndroidKeyPolicy(
        packages=packages,
        verified_boot="verified_or_allowed" if boot_keys else "verified",
        boot_keys=boot_keys,
        user_auth=settings.android_user_auth,
        min_os_patch=settings.android_min_os_patch,
        provisioning=settings.android_provisioning,
        anchors=_anchors(TrustAnchors.google_hardware(), settings),
    )


def _webauthn(settings: Settings) -> WebAuthnPolicy | None:
    if not settings.webauthn_formats:
        return None
    roots = () if settings.webauthn_roots is None else load_roots(settings.webauthn_roots)
    return WebAuthnPolicy(
        rp_id=settings.passkey_rp_id,
        origins=frozenset(settings.passkey_origins),
        formats=frozenset(settings.webauthn_formats),
        android_anchors=_anchors(TrustAnchors.google_hardware(), settings),
        apple_anchors=_anchors(TrustAnchors.apple_webauthn(), settings),
        anchors=_anchors(TrustAnchors(roots), settings),
    )


def _anchors(built_in: TrustAnchors, settings: Settings) -> TrustAnchors:
    if settings.unsafe_test_root is None:
        return built_in
    return built_in.including(*load_roots(settings.unsafe_test_root), allow_test_roots=True)


def load_roots(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file; raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ROOTS_BYTES + 1)
        if len(data) > MAX_ROOTS_BYTES:
            problem = f"{path} has more than {MAX_ROOTS_BYTES} bytes; it must hold PEM certificates"
            raise ConfigError((problem,))
        return tuple(x509.load_pem_x509_certificates(data))
    except OSError as error:
        raise ConfigError((f"{path} cannot be read: {error.strerror}.",)) from None
    except ValueError:
        raise ConfigError((f"{path} must hold certificates in PEM.",)) from None
