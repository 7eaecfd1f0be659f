"""The shipped roots: against their own description, and against two independent sources."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation import roots

if TYPE_CHECKING:
    from quorumkey_attestation.roots import Root

SHIPPED = (roots.APPLE_APP_ATTEST, roots.APPLE_WEBAUTHN, roots.APPLE_RECEIPT, *roots.GOOGLE)
VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "roots"

#: The roots as the design names them: SHA-256 of each certificate.
PINNED = {
    "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932",
    "0915dd5c07a28db549d1f677bb5a75d4bfbe9561a773424327762e9e02f9bb29",
    "63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179",
    "c1984a3ef45c1e2a918551de10603c86f7051b2249c4891cae3230eabd0c97d5",
    "1ef1a04b8ba58ab94589ac498c8982a783f24ea7307e0159a0c3a73b377d87cc",
    "ab6641178a36e179aa0c1cdddf9a16eb45fa20943e2b8cd7c7c05c26cf8b487a",
    "cedb1cb6dc896ae5ec797348bce9286753c2b38ee71ce0fbe34a9a1248800dfc",
    "6d9db4ce6c5c0b293166d08986e05774a8776ceb525d9e4329520de12ba4bcc0",
}


def installed(name: str, path: str) -> dict[str, x509.Certificate]:
    """Return the certificates in a file of an installed distribution, by fingerprint.

    The file is read and not imported: it is its content that counts.
    """
    content = Path(str(distribution(name).locate_file(path))).read_bytes()
    content = re.sub(rb"(?m)^# ?", b"", content)  # webauthn keeps its expired root in a comment
    blocks = re.findall(rb"-----BEGIN.+?-----END CERTIFICATE-----", content, re.DOTALL)
    certificates = [x509.load_pem_x509_certificate(block) for block in blocks]
    return {each.fingerprint(SHA256()).hex(): each for each in certificates}


def spki_sha256(certificate: x509.Certificate) -> str:
    """Return SHA-256 of a certificate's SubjectPublicKeyInfo, by another way than ours."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


@pytest.mark.parametrize("root", SHIPPED, ids=lambda root: root.file)
def test_a_file_is_what_is_written_about_it(root: Root) -> None:
    """Fingerprint, key and last day in the table are those of the file, which signs itself."""
    certificate = roots.load(root)
    certificate.verify_directly_issued_by(certificate)

    assert root.sha256 == certificate.fingerprint(SHA256()).hex()
    assert root.spki_sha256 == spki_sha256(certificate)
    assert root.not_after == certificate.not_valid_after_utc.date().isoformat()


def test_the_roots_are_the_pinned_ones() -> None:
    """Nothing is shipped but these eight."""
    assert {root.sha256 for root in SHIPPED} == PINNED


def test_no_file_is_shipped_that_the_table_does_not_name() -> None:
    """Every PEM file beside the table is in it."""
    folder = files("quorumkey_attestation.roots")
    shipped = {entry.name for entry in folder.iterdir() if entry.name.endswith(".pem")}

    assert {root.file for root in SHIPPED} == shipped


def test_google_s_roots_are_those_inside_webauthn() -> None:
    """The five that `webauthn` carries, the expired one as a comment, are byte for byte ours."""
    theirs = installed("webauthn", "webauthn/helpers/known_root_certs.py")
    ours = {root.sha256: roots.load(root) for root in roots.GOOGLE}

    assert 5 == len(ours)
    assert ours == {name: each for name, each in theirs.items() if name in ours}


def test_apple_s_webauthn_root_is_the_one_inside_webauthn() -> None:
    """The copy that `webauthn` carries is byte for byte ours."""
    theirs = installed("webauthn", "webauthn/helpers/known_root_certs.py")

    assert roots.load(roots.APPLE_WEBAUTHN) == theirs[roots.APPLE_WEBAUTHN.sha256]


def test_apple_s_app_attest_root_is_the_one_inside_pyattest() -> None:
    """The copy that `pyattest` carries is byte for byte ours, and its only one."""
    theirs = installed("pyattest", "pyattest/certificates/Apple_App_Attestation_Root_CA.pem")

    assert {roots.APPLE_APP_ATTEST.sha256: roots.load(roots.APPLE_APP_ATTEST)} == theirs


def test_the_oldest_google_root_has_the_key_of_the_current_one() -> None:
    """One RSA key stands in four certificates, so the first of 2016 adds no trust."""
    keys = {root.spki_sha256 for root in roots.GOOGLE if root.not_after != "2035-07-15"}

    assert 1 == len(keys)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the public vectors are not beside the checkout")
def test_the_roots_are_those_of_the_public_vectors() -> None:
    """Every shipped and every denied root is in the collection, under the same hashes."""
    theirs = {
        each.fingerprint(SHA256()).hex(): spki_sha256(each)
        for each in (
            x509.load_pem_x509_certificate(path.read_bytes()) for path in VECTORS.glob("*.pem")
        )
    }

    assert {root.sha256: root.spki_sha256 for root in (*SHIPPED, *roots.DENIED)} == theirs


def test_a_file_that_was_changed_is_not_loaded() -> None:
    """A certificate under another fingerprint than the table's is refused."""
    other = replace(roots.APPLE_RECEIPT, file=roots.APPLE_WEBAUTHN.file)
    with pytest.raises(ValueError, match="not the certificate it is named for"):
        roots.load(other)


@pytest.mark.parametrize("root", roots.DENIED, ids=lambda root: root.name.split(" (")[0])
def test_a_denied_root_is_not_shipped(root: Root) -> None:
    """Of the deny list only hashes are kept."""
    with pytest.raises(ValueError, match="denied and not shipped"):
        roots.load(root)


def test_no_root_is_both_trusted_and_denied() -> None:
    """The two lists have neither a certificate nor a key in common."""
    trusted = {root.sha256 for root in SHIPPED} | {root.spki_sha256 for root in SHIPPED}

    assert trusted.isdisjoint(
        {root.sha256 for root in roots.DENIED} | {root.spki_sha256 for root in roots.DENIED}
    )


@pytest.mark.parametrize("root", [*SHIPPED, *roots.DENIED], ids=lambda root: root.sha256[:8])
def test_every_root_says_where_it_comes_from(root: Root) -> None:
    """Name and source are there for whoever checks."""
    assert root.name
    assert root.source
