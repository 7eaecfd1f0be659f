"""Trust anchors: what is trusted is a key, and what is denied stays denied."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_attestation import AttestationError, Reason, roots
from quorumkey_attestation.anchors import TrustAnchors, subject_public_key_info
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.chain import load_chain, resolve_anchor
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.android import google_root
from quorumkey_attestation.testing_roots import TEST_ROOT_SPKI_SHA256

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "roots"
DENIED_FILES = sorted(VECTORS.glob("*_DENY.pem"))
BUILT_IN = (
    TrustAnchors.apple_app_attest,
    TrustAnchors.apple_webauthn,
    TrustAnchors.apple_receipt,
    TrustAnchors.google_hardware,
)


def spki_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's SubjectPublicKeyInfo, by another way than ours."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("root", [*roots.GOOGLE, roots.APPLE_RECEIPT], ids=lambda root: root.file)
def test_a_key_is_found_in_a_certificate(root: roots.Root) -> None:
    """The SubjectPublicKeyInfo is cut out as `cryptography` writes it, RSA and EC alike."""
    certificate = roots.load(root)

    assert spki_of(certificate) == subject_public_key_info(certificate.public_bytes(Encoding.DER))


@given(st.binary(max_size=200))
def test_what_is_no_certificate_has_no_key(data: bytes) -> None:
    """Any octets give octets out of them, or a refusal as malformed."""
    try:
        found, reason = subject_public_key_info(data), Reason.MALFORMED
    except AttestationError as refused:
        found, reason = b"", refused.reason

    assert found in data
    assert Reason.MALFORMED is reason


@pytest.mark.parametrize("anchors", BUILT_IN, ids=lambda anchors: anchors.__name__)
def test_built_in_anchors_are_one_value(anchors: Callable[[], TrustAnchors]) -> None:
    """They are frozen, and made once: the same value everywhere."""
    assert anchors() is anchors()
    with pytest.raises(AttributeError):
        anchors().certs = ()  # type: ignore[misc]  # frozen: this is what is tested


def test_one_key_in_four_certificates_is_one_anchor() -> None:
    """Google's RSA key stands once, for its current certificate, beside the P-384 key."""
    anchors = TrustAnchors.google_hardware()

    assert 2 == len(anchors.spki)
    for root in roots.GOOGLE[:-1]:
        assert roots.load(roots.GOOGLE[0]) == anchors.find(spki_of(roots.load(root)))


def test_each_vendor_s_anchors_are_its_own() -> None:
    """No key is trusted for two purposes."""
    keys = [key for anchors in BUILT_IN for key in anchors().spki]

    assert len(set(keys)) == len(keys)


def test_including_makes_new_anchors() -> None:
    """Adding a root leaves the built-in anchors as they were."""
    root = pki.root("Quorumkey UNSAFE test root of one test").certificate
    more = TrustAnchors.apple_receipt().including(root, allow_test_roots=True)

    assert spki_of(root) in more.spki
    assert TrustAnchors.apple_receipt().spki < more.spki
    assert more.allow_test_roots
    assert not TrustAnchors.apple_receipt().allow_test_roots


def test_allowing_test_roots_is_not_taken_back() -> None:
    """Roots added later do not forbid what was allowed; what was not allowed stays forbidden."""
    allowed = TrustAnchors((), allow_test_roots=True)

    assert allowed.including().allow_test_roots
    assert not TrustAnchors(()).including().allow_test_roots


def refusal_of(root: x509.Certificate, anchors: TrustAnchors) -> AttestationError:
    """Return why a chain that consists of a root is refused."""
    chain = [root.public_bytes(Encoding.DER)]
    audit = Audit()
    with pytest.raises(AttestationError) as refused:
        resolve_anchor(chain, load_chain(chain, audit, least=1), anchors, audit)
    return refused.value


@pytest.mark.skipif(not DENIED_FILES, reason="the public vectors are not beside the checkout")
@pytest.mark.parametrize("path", DENIED_FILES, ids=lambda path: path.stem)
def test_a_denied_root_is_refused_even_when_configured(path: Path) -> None:
    """The deny list outweighs the configuration, unless test roots are allowed by name."""
    root = x509.load_pem_x509_certificate(path.read_bytes())
    chain = [root.public_bytes(Encoding.DER)]
    refused = refusal_of(root, TrustAnchors.google_hardware().including(root))
    audit = Audit()
    allowed = TrustAnchors.google_hardware().including(root, allow_test_roots=True)

    assert (Reason.UNTRUSTED_ROOT, "chain/4-denied") == (refused.reason, refused.check)
    assert [root] == resolve_anchor(chain, load_chain(chain, audit, least=1), allowed, audit)


def test_our_own_test_roots_are_denied_even_when_configured() -> None:
    """Who names a test root as an anchor has to say too that test roots are allowed."""
    root = google_root().certificate
    chain = [root.public_bytes(Encoding.DER)]
    audit = Audit()
    allowed = TrustAnchors((root,), allow_test_roots=True)

    assert "chain/4-denied" == refusal_of(root, TrustAnchors((root,))).check
    assert [root] == resolve_anchor(chain, load_chain(chain, audit, least=1), allowed, audit)


@pytest.mark.parametrize("root", roots.DENIED, ids=lambda root: root.name.split(" (")[0])
def test_the_deny_list_knows_keys_not_certificates(root: roots.Root) -> None:
    """A denied key is denied in whatever certificate it stands: the hash is that of the key."""
    anchors = TrustAnchors(())

    assert 32 == len(bytes.fromhex(root.spki_sha256))
    assert not anchors.denies(b"another key")
    assert root.spki_sha256 != hashlib.sha256(b"another key").hexdigest()


def test_a_stranger_s_root_is_trusted_only_where_it_is_configured() -> None:
    """A root of nobody's list is refused for want of an anchor, and accepted where it is named."""
    root = pki.root("a private root of some company").certificate
    chain = [root.public_bytes(Encoding.DER)]
    audit = Audit()

    assert "chain/3-anchor" == refusal_of(root, TrustAnchors.google_hardware()).check
    assert [root] == resolve_anchor(
        chain, load_chain(chain, audit, least=1), TrustAnchors((root,)), audit
    )


def test_no_shipped_root_is_one_of_our_test_roots() -> None:
    """Test roots are on the deny list, real ones are not."""
    shipped = {hashlib.sha256(key).hexdigest() for each in BUILT_IN for key in each().spki}

    assert shipped.isdisjoint(TEST_ROOT_SPKI_SHA256)
    assert not any(each().denies(key) for each in BUILT_IN for key in each().spki)
