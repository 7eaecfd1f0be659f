"""The walk from a leaf certificate to a trust anchor, shared by the Apple and Android verifiers.

A general path validator cannot say what these chains need: anchors by key, a vendor's exception
for one certificate, expiry that counts for some chains and not for others, and extensions whose
place in the chain decides whether they mean anything. So each rule is a step of its own here; when
a certificate has to be valid, and what its extensions say, stays with the caller.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation.anchors import subject_public_key_info
from quorumkey_attestation.certificate_layout import CertificateLayout, read_layout
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from quorumkey_attestation.anchors import TrustAnchors
    from quorumkey_attestation.audit import Audit

__all__ = [
    "MAX_CERTIFICATES",
    "MAX_CERTIFICATE_BYTES",
    "extensions_of",
    "load_chain",
    "require_issued",
    "require_valid",
    "resolve_anchor",
]

MAX_CERTIFICATES: Final = 10  # certificates in a chain, the root included
MAX_CERTIFICATE_BYTES: Final = 8192  # bytes of one certificate's DER; real ones have at most 5,500

_ROOTS_KEPT: Final = 64  # configured roots whose encoded subject is kept
_STRONG_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def load_chain(chain: Sequence[bytes], audit: Audit, *, least: int) -> list[x509.Certificate]:
    """Return the certificates of ``chain``, leaf first.

    1. It has ``least`` to ``MAX_CERTIFICATES`` certificates of at most ``MAX_CERTIFICATE_BYTES``.
    2. Each one parses, and has a positive serial number.

    Args:
        chain: the DER of each certificate, leaf first.
        audit: the trail of this verification.
        least: the smallest number of certificates that proves anything.

    Raises:
        AttestationError: ``broken_chain`` (their number) or ``malformed``.
    """
    if not chain:
        raise AttestationError(
            Reason.BROKEN_CHAIN, "The chain has no certificates.", check="chain/1-count"
        )
    audit.require(
        "chain/1-count",
        least <= len(chain) <= MAX_CERTIFICATES,
        Reason.BROKEN_CHAIN,
        f"The chain has {len(chain)} certificates; {least} to {MAX_CERTIFICATES} are expected.",
    )
    certificates: list[x509.Certificate] = []
    for index, der in enumerate(chain):
        audit.require(
            "chain/1-size",
            len(der) <= MAX_CERTIFICATE_BYTES,
            Reason.MALFORMED,
            f"A certificate is larger than {MAX_CERTIFICATE_BYTES} bytes.",
            index=index,
        )
        try:
            certificate = x509.load_der_x509_certificate(der)
            is_numbered = certificate.serial_number > 0  # RFC 5280 section 4.1.2.2
        except (
            ValueError,
            TypeError,
            UnsupportedAlgorithm,
            x509.InvalidVersion,
            Warning,
        ) as error:
            # A Warning is raised where the caller has made errors of them all.
            raise AttestationError(
                Reason.MALFORMED,
                "A certificate is not well-formed DER.",
                index=index,
                check="chain/2-parse",
            ) from error
        if not is_numbered:
            raise AttestationError(
                Reason.MALFORMED,
                "A certificate's serial number is not positive.",
                index=index,
                check="chain/2-parse",
            )
        certificates.append(certificate)
    return certificates


def resolve_anchor(
    chain: Sequence[bytes],
    certificates: list[x509.Certificate],
    anchors: TrustAnchors,
    audit: Audit,
) -> list[x509.Certificate]:
    """Return the path from the leaf to the *configured* root.

    3. The last certificate has an anchor's key, and the anchor takes its place; or an anchor has
       the last certificate's issuer for its subject, and is appended.
    4. That anchor is not on the deny list.
    5. An anchor's key stands nowhere else in the chain.

    Args:
        chain: the DER of each certificate, as it came.
        certificates: the same, parsed.
        anchors: the roots to trust.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``untrusted_root`` or ``broken_chain``.
    """
    last = len(chain) - 1
    spki = anchors.spki_of(chain[last])
    root = anchors.find(spki)
    path = certificates if root is None else [*certificates[:last], root]
    if root is None and not anchors.denies(spki):
        issuer = next(
            (each for each in anchors.roots.items() if _is_issued(certificates[last], each[1])),
            None,
        )
        audit.require(
            "chain/3-anchor",
            issuer is not None,
            Reason.UNTRUSTED_ROOT,
            "The chain ends at no trusted root.",
            index=last,
        )
        if issuer is not None:
            spki, root = issuer
            path = [*certificates, root]
    audit.require(
        "chain/4-denied",
        not anchors.denies(spki),
        Reason.UNTRUSTED_ROOT,
        "The chain ends at a root that is only for tests, or whose private key is public.",
        index=last,
    )
    audit.require(
        "chain/5-anchor-last",
        not any(
            # Looking for the octets first spares reading every certificate.
            key in der and subject_public_key_info(der) == key
            for der in chain[:last]
            for key in anchors.spki
        ),
        Reason.BROKEN_CHAIN,
        "A trusted root stands before the end of the chain.",
    )
    return path


def require_issued(  # noqa: PLR0913  # what a caller knows of a path, each part optional
    path: Sequence[x509.Certificate],
    audit: Audit,
    *,
    tolerated_non_ca: frozenset[int] = frozenset(),
    understood: frozenset[str] = frozenset(),
    anchored: bool = False,
    encoded: Sequence[bytes] = (),
) -> None:
    """Check that each certificate was issued by the next one, and that it was allowed to.

    6. The issuer's name is the next one's subject, and its key made the signature, with SHA-2.
    7. Every issuer below the root is a CA: basicConstraints says so, and keyUsage, where present,
       has keyCertSign.
    8. No issuer's pathLenConstraint is exceeded.
    9. No certificate below the root has a critical extension that is not understood here.

    Args:
        path: leaf first, the configured root last (:func:`resolve_anchor`).
        audit: the trail of this verification.
        tolerated_non_ca: positions to which step 7 does not apply.
        understood: object identifiers of extensions of the leaf that the caller looks at, so that
            step 9 lets them be critical.
        anchored: whether the root was appended by :func:`resolve_anchor`, which has verified the
            last link then; it is not verified twice.
        encoded: the DER of the certificates as they came, where the caller has it, so that it need
            not be written again. Of the root it is not looked at.

    Raises:
        AttestationError: ``broken_chain``, ``not_ca`` or ``malformed``.
    """
    for index, certificate in enumerate(path[:-1]):
        _require_constraints(
            certificate,
            index,
            audit,
            may_be_no_ca=index in tolerated_non_ca,
            understood=understood if index == 0 else frozenset(),
        )
    last = len(path) - 2
    layouts = [
        read_layout(
            encoded[index] if index < len(encoded) else certificate.public_bytes(Encoding.DER)
        )
        for index, certificate in enumerate(path[:-1])
    ]
    subjects = [*(layout.subject for layout in layouts[1:]), _subject_of(path[-1])]
    for index, (certificate, issuer) in enumerate(pairwise(path)):
        layout = layouts[index]
        audit.require(
            "chain/6-issuer",
            layout.issuer == subjects[index],
            Reason.BROKEN_CHAIN,
            "A certificate names another issuer than the next certificate.",
            index=index,
        )
        audit.require(
            "chain/6-hash",
            _has_strong_hash(certificate),
            Reason.BROKEN_CHAIN,
            "A certificate is signed with a hash weaker than SHA-256.",
            index=index,
        )
        audit.require(
            "chain/6-signature",
            (anchored and index == last) or _is_signed(certificate, layout, issuer),
            Reason.BROKEN_CHAIN,
            "A certificate was not signed by the key of the next certificate.",
            index=index,
        )


def require_valid(
    certificate: x509.Certificate,
    index: int,
    audit: Audit,
    *,
    now: datetime,
    expiry_counts: bool = True,
) -> None:
    """Check a certificate's validity period at ``now``.

    10. ``notBefore`` is not later than ``now``.
    11. ``notAfter`` is not earlier than ``now``, where ``expiry_counts``.

    Raises:
        AttestationError: ``not_yet_valid`` or ``expired``.
    """
    audit.require(
        "chain/10-not-before",
        certificate.not_valid_before_utc <= now,
        Reason.NOT_YET_VALID,
        "A certificate is not valid yet.",
        index=index,
    )
    if expiry_counts:
        audit.require(
            "chain/11-not-after",
            now <= certificate.not_valid_after_utc,
            Reason.EXPIRED,
            "A certificate has expired.",
            index=index,
        )


def extensions_of(certificate: x509.Certificate, index: int) -> x509.Extensions:
    """Return a certificate's extensions.

    Raises:
        AttestationError: ``malformed``: they do not parse, or one stands there twice.
    """
    try:
        return certificate.extensions
    except Exception as e:  # what its parsers raise, KeyError included, is told nowhere
        raise AttestationError(
            Reason.MALFORMED,
            "A certificate's extensions are not well-formed.",
            index=index,
            check="chain/2-parse",
        ) from e


def _require_constraints(
    certificate: x509.Certificate,
    index: int,
    audit: Audit,
    *,
    may_be_no_ca: bool,
    understood: frozenset[str],
) -> None:
    basic: x509.BasicConstraints | None = None
    usage: x509.KeyUsage | None = None
    for extension in extensions_of(certificate, index):
        value = extension.value
        # By its exact type: these are abstract base classes, whose isinstance is a search.
        if type(value) is x509.BasicConstraints:
            basic = value
        elif type(value) is x509.KeyUsage:
            usage = value
        else:
            audit.require(
                "chain/9-critical",
                not extension.critical or extension.oid.dotted_string in understood,
                Reason.MALFORMED,
                "A certificate has a critical extension that is not understood.",
                index=index,
            )
    if index == 0 or may_be_no_ca:
        return
    audit.require(
        "chain/7-ca",
        basic is not None and basic.ca,
        Reason.NOT_CA,
        "A certificate issued another one without being a certificate authority.",
        index=index,
    )
    audit.require(
        "chain/7-key-usage",
        usage is None or usage.key_cert_sign,
        Reason.NOT_CA,
        "A certificate issued another one without the key usage for it.",
        index=index,
    )
    # Below an issuer at ``index`` stand ``index - 1`` other issuers: the leaf does not count.
    audit.require(
        "chain/8-path-length",
        basic is None or basic.path_length is None or index - 1 <= basic.path_length,
        Reason.BROKEN_CHAIN,
        "A certificate has more issuers below it than it allows.",
        index=index,
    )


@lru_cache(maxsize=_ROOTS_KEPT)
def _subject_of(root: x509.Certificate) -> bytes:
    """Return the encoded subject of a configured root, of which a server has few."""
    return read_layout(root.public_bytes(Encoding.DER)).subject


def _has_strong_hash(certificate: x509.Certificate) -> bool:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return algorithm is None or type(algorithm) in _STRONG_HASHES  # None: Ed25519, ML-DSA


def _is_signed(
    certificate: x509.Certificate, layout: CertificateLayout, issuer: x509.Certificate
) -> bool:
    """Say whether the issuer's key made the signature, whatever the names are."""
    if not layout.names_one_algorithm:
        return False
    try:
        key = issuer.public_key()
        parameters = certificate.signature_algorithm_parameters
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(certificate.signature, layout.signed, parameters)
            return True
        algorithm = certificate.signature_hash_algorithm
        if (
            isinstance(key, rsa.RSAPublicKey)
            and isinstance(parameters, padding.PKCS1v15 | padding.PSS)
            and algorithm is not None
        ):
            key.verify(certificate.signature, layout.signed, parameters, algorithm)
            return True
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm, Warning):
        return False
    return _is_issued(certificate, issuer)  # a key of another kind: ML-DSA, Ed25519


def _is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm, Warning):
        return False
    return True
