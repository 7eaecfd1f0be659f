"""Android's public chains as the tests want them, and policies that fit them and the test PKI."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.authorization_list import (
    ApplicationId,
    AuthorizationList,
    KeyOrigin,
    RootOfTrust,
)
from quorumkey_attestation.android.policy import AndroidKeyPolicy
from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.testing import android, pki
from quorumkey_attestation.testing.android_description import PACKAGE, SIGNER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VECTORS: Final = Path(__file__).parents[3] / "shared" / "vectors"
TESTDATA: Final = VECTORS / "android-keyattestation" / "testdata"
SAMPLES: Final = VECTORS / "google-android-key-attestation" / "src" / "test" / "resources"
SNAPSHOT: Final = VECTORS / "revocation-status" / "status-snapshot-2025-01.json"

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the public vectors are not beside this checkout"
)

NOTHING_REVOKED: Final = android.status_list()

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"


def chain_in(*paths: Path) -> list[bytes]:
    """The DER of each certificate in PEM files, in their order."""
    text = "".join(path.read_text() for path in paths)
    return [ssl.PEM_cert_to_DER_cert(_BEGIN + block) for block in text.split(_BEGIN)[1:]]


def moment(text: str) -> datetime:
    """A moment of a MANIFEST."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def snapshot(now: datetime) -> RevocationList:
    """Google's list of January 2025, as if it had been fetched at ``now``."""
    return RevocationList.from_json(SNAPSHOT.read_bytes(), fetched_at=now)


def no_revocations(now: datetime = pki.NOW) -> RevocationList:
    """A fresh list that lists nothing."""
    return RevocationList.from_json(NOTHING_REVOKED, fetched_at=now)


def trusted() -> TrustAnchors:
    """The test root that stands for Google's."""
    return TrustAnchors((android.google_root().certificate,), allow_test_roots=True)


def policy(**change: object) -> AndroidKeyPolicy:
    """The policy that the test PKI's usual key passes, but for ``change``."""
    said: dict[str, object] = {
        "packages": {PACKAGE: frozenset({SIGNER})},
        "anchors": trusted(),
    }
    return AndroidKeyPolicy(**(said | change))  # type: ignore[arg-type]  # what a test changes


def sidecar(path: Path) -> dict[str, object]:
    """A JSON file of android/keyattestation, whose first lines may be comments."""
    lines = path.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("//"))
    return cast("dict[str, object]", json.loads(text))


#: The names that a sidecar has for fields whose own name differs.
_PLURALS: Final[Mapping[str, str]] = {
    "purpose": "purposes",
    "algorithm": "algorithms",
    "block_mode": "blockModes",
    "digest": "digests",
    "padding": "paddings",
    "mgf_digest": "rsaOaepMgfDigests",
}


def as_sidecar(authorizations: AuthorizationList) -> dict[str, object]:
    """A list as a sidecar writes it: numbers as text, octets in base64, what is absent left out."""
    written: dict[str, object] = {}
    for field in fields(authorizations):
        value = cast("object", getattr(authorizations, field.name))
        if field.name in {"unknown", "tags", "der_booleans"} or value is None or value is False:
            continue
        first, *words = field.name.split("_")
        name = _PLURALS.get(field.name) or first + "".join(word.capitalize() for word in words)
        written[name] = _written(field.name, value)
    return written


def _written(name: str, value: object) -> object:
    if isinstance(value, bool):
        return value
    if name == "origin":
        return KeyOrigin(cast("int", value)).name
    if isinstance(value, bytes):
        return value.decode() if name.startswith("attestation_id_") else b64encode(value).decode()
    if isinstance(value, tuple):
        return [str(each) for each in cast("Sequence[int]", value)]
    if isinstance(value, RootOfTrust | ApplicationId):
        return _written_fields(value)
    return str(value)


def _written_fields(value: RootOfTrust | ApplicationId) -> dict[str, object]:
    if isinstance(value, RootOfTrust):
        boot_hash = value.verified_boot_hash
        return {
            "verifiedBootKey": b64encode(value.verified_boot_key).decode(),
            "deviceLocked": value.device_locked,
            "verifiedBootState": value.verified_boot_state.name,
            **({} if boot_hash is None else {"verifiedBootHash": b64encode(boot_hash).decode()}),
        }
    return {
        "packages": [{"name": each.name, "version": str(each.version)} for each in value.packages],
        "signatures": sorted(b64encode(each).decode() for each in value.signature_digests),
    }
