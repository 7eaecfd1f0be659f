"""Phones with evidence of the test PKI, and the settings of a relay that trusts it."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from tests.relay.sim_devices import ORIGIN, START

from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.testing import (
    android,
    apple,
    apple_certificates,
    apple_receipt,
    webauthn,
    webauthn_certificates,
)
from quorumkey_relay.option_kinds import AndroidApp
from quorumkey_relay.usecases.commands import AttestationBody

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.relay.sim_devices import SimDevice
    from tests.relay.sim_members import SettingsMembers

PACKAGE: Final = "com.example.approve"
SIGNER: Final = "5a" * 32
RP_ID: Final = "127.0.0.1"


def trusting(folder: Path, *, at: int = START) -> SettingsMembers:
    """The settings of a relay that judges evidence of the test PKI, its files in ``folder``."""
    roots = folder / "roots.pem"
    roots.write_bytes(pem_of_test_roots())
    return {
        "attestation": "preferred",
        "unsafe_test_root": roots,
        "app_attest_apps": (apple.APP_ID,),
        "android_apps": (AndroidApp(PACKAGE, SIGNER),),
        "android_revocation": revocation_file(folder, at=at),
        "webauthn_formats": ("none", "packed", "apple"),
    }


def pem_of_test_roots() -> bytes:
    """The root of each vendor's test chain."""
    roots = (
        apple_certificates.app_attest_root(),
        apple_receipt.receipt_root(),
        android.google_root(),
        webauthn_certificates.webauthn_root(),
    )
    return b"".join(root.certificate.public_bytes(Encoding.PEM) for root in roots)


def revocation_file(
    folder: Path, entries: Mapping[str, str] | None = None, *, at: int = START
) -> Path:
    """A revocation list that was written at a moment."""
    path = folder / "status.json"
    path.write_bytes(android.status_list(entries))
    os.utime(path, (at, at))
    return path


def from_iphone(
    device: SimDevice,
    nonce: str,
    *,
    app_id: str = apple.APP_ID,
    label: str = "app attest key",
    at: int = START,
) -> AttestationBody:
    """Evidence of App Attest; ``label`` names its key."""
    made = apple.apple_evidence(
        base64.b64decode(nonce),
        device.key.public_key.compressed,
        app_id=app_id,
        label=label,
        now=datetime.fromtimestamp(at, UTC),
    )
    return msgspec.convert(made, AttestationBody)


def from_android(
    device: SimDevice,
    nonce: str,
    *,
    level: SecurityLevel = SecurityLevel.STRONGBOX,
    package: str = PACKAGE,
    at: int = START,
) -> AttestationBody:
    """Evidence of an Android phone."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(), device.key.public_key.compressed
    )
    made = android.android_evidence(
        base64.b64decode(nonce),
        key,
        package=package,
        signer_digest=bytes.fromhex(SIGNER),
        level=level,
        now=datetime.fromtimestamp(at, UTC),
    )
    return msgspec.convert(made, AttestationBody)


def from_browser(
    device: SimDevice, nonce: str, *, attested: bool = True, origin: str = ORIGIN
) -> AttestationBody:
    """Evidence of a WebAuthn authenticator."""
    key = load_pem_private_key(device.key.to_pem(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    made = webauthn.webauthn_evidence(
        base64.b64decode(nonce),
        key,
        rp_id=RP_ID,
        origin=origin,
        statement=webauthn.packed if attested else webauthn.none,
    )
    return msgspec.convert(made, AttestationBody)
