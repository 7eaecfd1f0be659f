"""What the Apple cases are judged by: the policy file of each, and the roots that it names."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation.testing.apple import APP_ID, app_attest_root
from quorumkey_attestation.testing.apple_receipt import receipt_root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing import pki

__all__ = ["ROOTS", "apple_settings", "base64_text", "pem", "root_files"]

ROOTS: Final = "roots.pem"
_RECEIPT_ROOTS: Final = "receipt_roots.pem"


def pem(authority: pki.Authority) -> bytes:
    """Return an authority's certificate as PEM."""
    return authority.certificate.public_bytes(Encoding.PEM)


def root_files() -> dict[str, bytes]:
    """Return the files that :func:`apple_settings` names."""
    return {ROOTS: pem(app_attest_root()), _RECEIPT_ROOTS: pem(receipt_root())}


def apple_settings(expect: Mapping[str, object], **changes: object) -> dict[str, object]:
    """Return a policy file for App Attest that trusts the test roots and one app.

    Args:
        expect: its table ``expect``.
        changes: settings that differ from the defaults; None leaves one out.
    """
    settings: dict[str, object] = {
        "app_ids": [APP_ID],
        "roots": [ROOTS],
        "receipt_roots": [_RECEIPT_ROOTS],
        "allow_test_roots": True,
        **changes,
        "expect": dict(expect),
    }
    return {key: value for key, value in settings.items() if value is not None}


def base64_text(data: bytes) -> str:
    """Return ``data`` in base64, as App Attest writes key ids."""
    return base64.b64encode(data).decode()
