"""App Attest evidence for tests: minted under the test roots, or taken from public captures."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import pytest
import yaml
from hypothesis import strategies as st

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.apple import AppAttestKey, AppAttestPolicy, verify_app_attestation
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import APP_ID, Assertion, Attestation
from quorumkey_attestation.testing.apple_certificates import app_attest_root
from quorumkey_attestation.testing.apple_receipt import receipt_root

if TYPE_CHECKING:
    from quorumkey_attestation.apple import Environment

CHALLENGE: Final = b"what the server issued, for once."
CLIENT_DATA_HASH: Final = hashlib.sha256(CHALLENGE).digest()
ATTESTATION: Final = Attestation(client_data_hash=CLIENT_DATA_HASH)
ASSERTION: Final = Assertion(client_data=b'{"challenge":"' + CHALLENGE + b'"}', counter=5)

_VECTORS: Final = Path(__file__).parents[3] / "shared" / "vectors"

needs_vectors = pytest.mark.skipif(
    not _VECTORS.is_dir(), reason="the public vectors are not beside this checkout"
)

DOC_SAMPLE: Final = _VECTORS / "apple-docs" / "apple-2026-attestation.cbor"
DOC_KEY_ID: Final = base64.b64decode("zgSY9YSD+7TaDXssY6WlOPVS1K3Lmk+pFhlcSWE+ZV0=")
DOC_CHALLENGE: Final = b"example_server_challenge"
DOC_MOMENT: Final = datetime.fromisoformat("2026-04-21T18:15:00Z")

CAPTURED_APP_ID: Final = "6MURL8TA57.de.vincent-haupert.apple-appattest-poc"
CAPTURED_CLIENT_DATA: Final = b"wurzelpfropf"


class Everything(frozenset[str]):
    """Holds every name: an audit that ignores it refuses nothing that can be read on."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return True


@cache
def policy(
    environment: Environment = "production", app_ids: frozenset[str] = frozenset({APP_ID})
) -> AppAttestPolicy:
    """Return a policy that trusts the test roots."""
    return AppAttestPolicy(
        app_ids=app_ids,
        environment=environment,
        anchors=TrustAnchors((app_attest_root().certificate,), allow_test_roots=True),
        receipt_anchors=TrustAnchors((receipt_root().certificate,), allow_test_roots=True),
    )


@cache
def attested_key() -> AppAttestKey:
    """Return the key that ``ATTESTATION`` attests."""
    return verify_app_attestation(
        ATTESTATION.object,
        key_id=ATTESTATION.key_id,
        client_data_hash=CLIENT_DATA_HASH,
        policy=policy(),
        now=pki.NOW,
    )


def mangled(evidence: bytes) -> st.SearchStrategy[bytes]:
    """Return what is near ``evidence``, or nowhere near it: cut off, overwritten, random."""

    def cut(at: int, more: bytes) -> bytes:
        return evidence[:at] + more

    def overwrite(at: int, more: bytes) -> bytes:
        return evidence[:at] + more + evidence[at + len(more) :]

    def insert(at: int, more: bytes) -> bytes:
        return evidence[:at] + more + evidence[at:]

    places = st.integers(0, len(evidence))
    return st.one_of(
        st.binary(max_size=200),
        st.builds(cut, places, st.binary(max_size=40)),
        st.builds(overwrite, places, st.binary(min_size=1, max_size=4)),
        st.builds(insert, places, st.binary(min_size=1, max_size=4)),
    )


def doc_policy() -> AppAttestPolicy:
    """Return the policy under which the sample of Apple's documentation verifies."""
    return AppAttestPolicy(
        app_ids=frozenset({"1234567890.com.example.myapp"}), allow_any_hash_length=True
    )


def captured_policy() -> AppAttestPolicy:
    """Return the policy under which the captures of 2020 and 2021 verify."""
    return AppAttestPolicy(app_ids=frozenset({CAPTURED_APP_ID}), environment="development")


class Captured(NamedTuple):
    """One document of a captured conversation.

    Attributes:
        name: a short name, for the test's id.
        kind: ``attestation``, ``assertion`` or ``receipt``.
        content: what the device or Apple's server sent.
        key_id: the identifier of the key it is about.
        point: the key's uncompressed point.
        at: the moment at which it came.
        properties: what the receipt says, by the capture's own account.
    """

    name: str
    kind: str
    content: bytes
    key_id: bytes
    point: bytes
    at: datetime
    properties: dict[str, str | int | None]


@cache
def captured(kind: str) -> tuple[Captured, ...]:
    """Return every captured document of a kind; none where the vectors are not there."""
    found: list[Captured] = []
    for path in sorted((_VECTORS / "veehaitch").glob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            documents = cast("list[dict[str, str]]", list(yaml.safe_load_all(file)))
        for number, each in enumerate(documents):
            if each["type"] == kind:
                spki = "".join(each["publicKey"].splitlines()[1:-1])
                found.append(
                    Captured(
                        name=f"{path.stem}-{number}",
                        kind=kind,
                        content=base64.b64decode(each[f"{kind}Base64"]),
                        key_id=base64.b64decode(each["keyIdBase64"]),
                        point=base64.b64decode(spki)[-65:],
                        at=datetime.fromisoformat(each["timestamp"]),
                        properties=_properties(each),
                    )
                )
    return tuple(found)


def _properties(document: dict[str, str]) -> dict[str, str | int | None]:
    return (
        cast("dict[str, str | int | None]", document["properties"])
        if "properties" in document
        else {}
    )


def captured_key(document: Captured) -> AppAttestKey:
    """Return the key of a captured document, as a server would have stored it."""
    return AppAttestKey.stored(
        key_id=document.key_id,
        public_key_point=document.point,
        app_id=CAPTURED_APP_ID,
        environment="development",
    )
