"""Tests of quorumkey_attestation.chain and .certificate_layout."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.anchors import TrustAnchors, subject_public_key_info
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.certificate_layout import read_layout
from quorumkey_attestation.chain import (
    MAX_CERTIFICATE_BYTES,
    MAX_CERTIFICATES,
    load_chain,
    require_issued,
    require_valid,
    resolve_anchor,
)
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.der_encoding import element, integer, sequence
from quorumkey_attestation.testing.resigning import resign

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND: Final = timedelta(seconds=1)
ROOT: Final = pki.root("Quorumkey UNSAFE test chain root")
OTHER: Final = pki.root("Quorumkey UNSAFE test other chain root")


def authority(  # noqa: PLR0913  # what a test changes of a certificate
    name: str,
    issuer: pki.Authority,
    *,
    ca: bool | None = True,
    path_length: int | None = None,
    issuer_name: x509.Name | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> pki.Authority:
    """An authority below another one."""
    key = pki.private_key(name)
    certificate = pki.mint(
        name,
        key.public_key(),
        issuer,
        not_before=pki.NOW - SECOND,
        not_after=pki.NOW + SECOND,
        ca=ca,
        path_length=path_length,
        issuer_name=issuer_name,
        extensions=extensions,
    )
    return pki.Authority(certificate, key)


UPPER: Final = authority("upper", ROOT)
LOWER: Final = authority("lower", UPPER)
LEAF: Final = authority("leaf", LOWER, ca=None)
CHAIN: Final = (LEAF.der, LOWER.der, UPPER.der, ROOT.der)


def anchors(*roots: pki.Authority) -> TrustAnchors:
    """These roots, or the one of the tests."""
    return TrustAnchors(tuple(each.certificate for each in roots or (ROOT,)))


def walked(
    *chain: bytes,
    trusted: TrustAnchors | None = None,
    audit: Audit | None = None,
    tolerated: frozenset[int] = frozenset(),
    understood: frozenset[str] = frozenset(),
    encoded: bool = False,
) -> list[x509.Certificate]:
    """The path of a chain, every link of it verified."""
    audit = audit or Audit()
    path = resolve_anchor(chain, load_chain(chain, audit, least=1), trusted or anchors(), audit)
    require_issued(
        path,
        audit,
        tolerated_non_ca=tolerated,
        understood=understood,
        anchored=len(path) > len(chain),
        encoded=chain if encoded else (),
    )
    return path


def refused(call: Callable[[], object]) -> tuple[Reason, str | None, int | None]:
    """Why a call refuses its evidence, by which check and where."""
    with pytest.raises(AttestationError) as caught:
        call()
    return caught.value.reason, caught.value.check, caught.value.index


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("rootless", [False, True])
def test_sound_chain(*, encoded: bool, rootless: bool) -> None:
    """A sound chain leads to the configured root, with or without it, with or without its DER."""
    chain = CHAIN[:-1] if rootless else CHAIN

    path = walked(*chain, encoded=encoded)

    assert [each.certificate for each in (LEAF, LOWER, UPPER, ROOT)] == path


def test_count() -> None:
    """Too few and too many certificates are refused before any is read."""
    many = [b"no certificate"] * (MAX_CERTIFICATES + 1)

    for chain, least in (((), 1), (CHAIN[:1], 2), (many, 1)):
        assert (Reason.BROKEN_CHAIN, "chain/1-count", None) == refused(
            lambda chain=chain, least=least: load_chain(chain, Audit(), least=least)  # type: ignore[misc]  # the loop's values
        )


def test_size() -> None:
    """A certificate that is too large is refused."""
    assert (Reason.MALFORMED, "chain/1-size", 1) == refused(
        lambda: load_chain([CHAIN[0], bytes(MAX_CERTIFICATE_BYTES + 1)], Audit(), least=1)
    )


@pytest.mark.parametrize("damage", [b"", b"\0", b"\x30\x03\x02\x01\x01"])
def test_no_certificate(damage: bytes) -> None:
    """Octets that are no certificate are malformed."""
    assert (Reason.MALFORMED, "chain/2-parse", 1) == refused(
        lambda: load_chain([CHAIN[0], damage], Audit(), least=1)
    )


@pytest.mark.parametrize("action", ["default", "error"])
def test_serial_number_below_zero(action: Literal["default", "error"]) -> None:
    """A serial number that is not positive is refused, whatever becomes of warnings."""
    start = LEAF.der.index(b"\xa0\x03\x02\x01\x02") + 7  # after the version, tag and length
    edited = LEAF.der[:start] + bytes([LEAF.der[start] | 0x80]) + LEAF.der[start + 1 :]

    with warnings.catch_warnings(record=action == "default"):
        warnings.simplefilter(action)
        assert "chain/2-parse" == refused(lambda: walked(edited, *CHAIN[1:]))[1]


def test_trailing_octet() -> None:
    """A certificate with an octet after it is malformed."""
    assert "chain/2-parse" == refused(lambda: walked(CHAIN[0] + b"\0", *CHAIN[1:]))[1]


def test_configured_root_takes_the_place_of_the_sent_one() -> None:
    """Of a root that was sent only the key is looked at, and even its dates do not matter."""
    sent = pki.mint(
        "another name",
        ROOT.key.public_key(),
        OTHER,
        not_before=pki.NOW - SECOND,
        not_after=pki.NOW - SECOND,
        ca=False,
    )

    path = walked(*CHAIN[:-1], sent.public_bytes(Encoding.DER))

    assert ROOT.certificate == path[-1]


def test_root_of_the_same_name() -> None:
    """A root with a trusted one's name, but its own key, is not trusted."""
    key = pki.private_key("forger")
    forged = pki.Authority(
        pki.mint(
            ROOT.certificate.subject,
            key.public_key(),
            pki.Authority(ROOT.certificate, key),
            not_before=pki.NOW,
            not_after=pki.NOW + SECOND,
            ca=True,
        ),
        key,
    )
    leaf = authority("leaf", forged)

    assert (Reason.UNTRUSTED_ROOT, "chain/3-anchor", 1) == refused(
        lambda: walked(leaf.der, forged.der)
    )


def test_other_root() -> None:
    """A chain to another root is not trusted, with or without that root."""
    for chain in (CHAIN, CHAIN[:-1]):
        reason = refused(lambda chain=chain: walked(*chain, trusted=anchors(OTHER)))[0]  # type: ignore[misc]  # the loop's value
        assert Reason.UNTRUSTED_ROOT is reason


def test_no_anchors() -> None:
    """Where nothing is trusted, nothing is accepted."""
    assert Reason.UNTRUSTED_ROOT is refused(lambda: walked(*CHAIN, trusted=TrustAnchors(())))[0]


def test_root_before_the_end() -> None:
    """A trusted root's key stands nowhere but at the end."""
    assert (Reason.BROKEN_CHAIN, "chain/5-anchor-last", None) == refused(
        lambda: walked(*CHAIN, ROOT.der)
    )


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 1, 1, 2, 3), (0, 2, 3)], ids=str)
def test_order(order: tuple[int, ...]) -> None:
    """Certificates in another order, twice or missing are refused."""
    assert Reason.BROKEN_CHAIN is refused(lambda: walked(*(CHAIN[each] for each in order)))[0]


def test_name_of_the_issuer() -> None:
    """A certificate that names another issuer is refused for that, and for nothing else."""
    leaf = authority("leaf", LOWER, issuer_name=pki.name("another"))
    chain = (leaf.der, *CHAIN[1:])

    assert (Reason.BROKEN_CHAIN, "chain/6-issuer", 0) == refused(lambda: walked(*chain))
    assert 4 == len(walked(*chain, audit=Audit(ignored={"chain/6-issuer"})))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_signature(index: int) -> None:
    """A certificate that another key signed is refused where it stands, the name being right."""
    above = (LOWER, UPPER, ROOT)[index]
    impostor = pki.Authority(above.certificate, pki.private_key("impostor", above.key.curve))
    own = (LEAF, LOWER, UPPER)[index]
    forged = pki.mint(
        own.certificate.subject,
        own.key.public_key(),
        impostor,
        not_before=pki.NOW - SECOND,
        not_after=pki.NOW + SECOND,
        ca=True if index else None,
    )
    chain = [*CHAIN[:index], forged.public_bytes(Encoding.DER), *CHAIN[index + 1 :]]

    assert (Reason.BROKEN_CHAIN, "chain/6-signature", index) == refused(lambda: walked(*chain))
    assert 4 == len(walked(*chain, audit=Audit(ignored={"chain/6-signature"})))


def test_two_algorithms() -> None:
    """A certificate whose outer algorithm is not the signed one is refused."""
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    start = LEAF.der.rindex(ecdsa_with_sha256)
    edited = LEAF.der[: start + 11] + b"\x03" + LEAF.der[start + 12 :]

    assert not read_layout(edited).names_one_algorithm
    assert "chain/6-signature" == refused(lambda: walked(edited, *CHAIN[1:]))[1]


@pytest.mark.parametrize(
    ("scheme", "digest", "check"),
    [
        (padding.PKCS1v15(), hashes.SHA256(), None),
        (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256(), None),
        (padding.PKCS1v15(), hashes.SHA512(), None),
        (padding.PKCS1v15(), hashes.SHA224(), "chain/6-hash"),
    ],
    ids=["pkcs1", "pss", "sha512", "sha224"],
)
def test_rsa_root(
    scheme: padding.PKCS1v15 | padding.PSS, digest: hashes.SHA256 | hashes.SHA224, check: str | None
) -> None:
    """A root with an RSA key signs with SHA-2, and not with the shortest of it."""
    key = rsa.generate_private_key(65537, 2048)
    name = pki.name("Quorumkey UNSAFE test RSA root")
    builder = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .serial_number(1)
        .not_valid_before(pki.NOW)
        .not_valid_after(pki.NOW + SECOND)
    )
    root = builder.subject_name(name).public_key(key.public_key()).sign(key, hashes.SHA256())
    leaf = (
        builder.subject_name(pki.name("leaf"))
        .public_key(LEAF.key.public_key())
        .sign(key, digest, rsa_padding=scheme)
        .public_bytes(Encoding.DER)
    )

    if check is None:
        assert root == walked(leaf, trusted=TrustAnchors((root,)))[-1]
        assert (
            root == walked(leaf, root.public_bytes(Encoding.DER), trusted=TrustAnchors((root,)))[-1]
        )
    else:
        assert check == refused(lambda: walked(leaf, trusted=TrustAnchors((root,))))[1]


def test_key_of_another_kind() -> None:
    """A root with a key of a kind that hashes by itself is verified as well."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    name = pki.name("Quorumkey UNSAFE test Ed25519 root")
    builder = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .serial_number(1)
        .not_valid_before(pki.NOW)
        .not_valid_after(pki.NOW + SECOND)
    )
    root = builder.subject_name(name).public_key(key.public_key()).sign(key, None)
    leaf = builder.subject_name(pki.name("leaf")).public_key(LEAF.key.public_key()).sign(key, None)
    chain = (leaf.public_bytes(Encoding.DER), root.public_bytes(Encoding.DER))

    assert 2 == len(walked(*chain, trusted=TrustAnchors((root,))))
    damaged = chain[0][:-1] + bytes([chain[0][-1] ^ 1])
    assert (
        "chain/6-signature"
        == refused(lambda: walked(damaged, chain[1], trusted=TrustAnchors((root,))))[1]
    )


def test_issuer_that_is_no_authority() -> None:
    """An issuer that is no CA is refused, without basicConstraints as well, unless tolerated."""
    for ca in (False, None):
        lower = authority("lower", UPPER, ca=ca)
        chain = (authority("leaf", lower).der, lower.der, *CHAIN[2:])

        assert (Reason.NOT_CA, "chain/7-ca", 1) == refused(lambda chain=chain: walked(*chain))  # type: ignore[misc]  # the loop's value
        assert 4 == len(walked(*chain, tolerated=frozenset({1})))


@pytest.mark.parametrize("action", ["default", "error"])
def test_issuer_with_a_key_that_signs_nothing(action: Literal["default", "error"]) -> None:
    """An issuer's Diffie-Hellman key has signed nothing, whatever becomes of warnings."""
    prime = (1 << 2048) - 1942289  # as long as one, which is all that is looked at
    parameters = sequence(integer(prime), integer(2))
    algorithm = sequence(bytes.fromhex("06092a864886f70d010301"), parameters)  # dhKeyAgreement
    key = sequence(algorithm, element(3, b"\0" + integer(4)))
    lower = resign(LOWER.der, UPPER, public_key_info=key)

    with warnings.catch_warnings(record=action == "default"):
        warnings.simplefilter(action)
        chain = (LEAF.der, lower, *CHAIN[2:])
        assert "chain/6-signature" == refused(lambda: walked(*chain))[1]


def test_extension_that_its_parser_does_not_know() -> None:
    """An extension whose parser fails in its own way, over a TLS feature 99, is malformed."""
    value = sequence(integer(99))
    feature = (x509.UnrecognizedExtension(x509.TLSFeature.oid, value), False)
    leaf = authority("leaf", LOWER, ca=None, extensions=(feature,))

    assert (Reason.MALFORMED, "chain/2-parse", 0) == refused(lambda: walked(leaf.der, *CHAIN[1:]))


def test_path_length() -> None:
    """An issuer has at most as many issuers below it as it says."""
    for path_length, passes in ((0, False), (1, True)):
        upper = authority("upper", ROOT, path_length=path_length)
        lower = authority("lower", upper)
        chain = (authority("leaf", lower).der, lower.der, upper.der, ROOT.der)

        if passes:
            assert 4 == len(walked(*chain))
        else:
            assert "chain/8-path-length" == refused(lambda chain=chain: walked(*chain))[1]  # type: ignore[misc]  # the loop's value


def test_critical_extension() -> None:
    """A critical extension is refused unless the caller looks at it, in the leaf alone."""
    oid = "1.3.6.1.4.1.11129.2.1.9999"
    extension = (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b""), True)
    leaf = authority("leaf", LOWER, extensions=(extension,))
    lower = authority("lower", UPPER, extensions=(extension,))
    understood = frozenset({oid})

    assert (Reason.MALFORMED, "chain/9-critical", 0) == refused(
        lambda: walked(leaf.der, *CHAIN[1:])
    )
    assert 4 == len(walked(leaf.der, *CHAIN[1:], understood=understood))
    chain = (authority("leaf", lower).der, lower.der, *CHAIN[2:])
    assert "chain/9-critical" == refused(lambda: walked(*chain, understood=understood))[1]


def test_validity() -> None:
    """A certificate is valid from its first moment to its last, both included."""
    certificate = LEAF.certificate
    for now in (pki.NOW - SECOND, pki.NOW, pki.NOW + SECOND):
        require_valid(certificate, 0, Audit(), now=now)

    assert (Reason.NOT_YET_VALID, "chain/10-not-before", 3) == refused(
        lambda: require_valid(certificate, 3, Audit(), now=pki.NOW - 2 * SECOND)
    )
    late = pki.NOW + 2 * SECOND
    assert (Reason.EXPIRED, "chain/11-not-after", 3) == refused(
        lambda: require_valid(certificate, 3, Audit(), now=late)
    )
    require_valid(certificate, 3, Audit(), now=late, expiry_counts=False)


def test_layout() -> None:
    """The layout's parts are those that cryptography reads from the same certificate."""
    layout = read_layout(LEAF.der)
    certificate = LEAF.certificate

    assert certificate.tbs_certificate_bytes == layout.signed
    assert certificate.issuer.public_bytes().endswith(layout.issuer)
    assert certificate.subject.public_bytes().endswith(layout.subject)
    assert layout.names_one_algorithm
    spki = LEAF.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == layout.public_key_info == subject_public_key_info(LEAF.der)
