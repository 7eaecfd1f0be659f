"""Attestation statements: WebAuthn Level 3, section 8, and who is trusted to make them.

Each function verifies one format and numbers its steps itself; the names of its checks begin with
``webauthn.`` and the format.
"""

from __future__ import annotations

import hashlib
import hmac
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.android.verification import examine_android_key
from quorumkey_attestation.apple.nonce_extension import NONCE_OID, NONCE_PREFIX
from quorumkey_attestation.chain import (
    extensions_of,
    load_chain,
    require_issued,
    require_valid,
    resolve_anchor,
)
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.webauthn.extra import fault_of_statement
from quorumkey_attestation.webauthn.registered import Verdict
from quorumkey_attestation.webauthn.signatures import is_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from quorumkey_attestation.anchors import TrustAnchors
    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.cbor import CborKey, CborValue
    from quorumkey_attestation.webauthn.policy import CredentialPublicKey, WebAuthnPolicy
    from quorumkey_attestation.webauthn.registered import Registered

__all__ = ["examine_statement"]

AAGUID_OID: Final = "1.3.6.1.4.1.45724.1.1.4"

_SUBJECT_ALTERNATIVE_NAME: Final = x509.SubjectAlternativeName.oid.dotted_string
_CERTIFICATE_POLICIES: Final = x509.CertificatePolicies.oid.dotted_string
_TPM_ATTRIBUTES: Final = slice(4, 8)  # after the type and the name's algorithm
_KEPT_BY_TPM: Final = 1 << 1 | 1 << 4 | 1 << 5  # fixedTPM, fixedParent, sensitiveDataOrigin
_AUTHENTICATOR: Final = "Authenticator Attestation"
_NONCE_BYTES: Final = 38
_AAGUID_PREFIX: Final = bytes.fromhex("0410")  # OCTET STRING (16 bytes)


class _Chain(NamedTuple):
    """The certificates of a statement, leaf first, as they came and parsed."""

    encoded: list[bytes]
    certificates: list[x509.Certificate]


def examine_statement(
    registered: Registered,
    *,
    policy: WebAuthnPolicy,
    revocation: RevocationList | None,
    now: datetime,
    audit: Audit,
) -> Verdict:
    """Return what the statement of ``registered`` proves.

    Raises:
        AttestationError: it does not verify, or is made by nobody who is trusted.
    """
    if registered.format == "android-key":
        return _android_key(registered, policy, revocation, now, audit)
    if registered.format == "apple":
        return _apple(registered, policy.apple_anchors, now, audit)
    return _PROCEDURES[registered.format](registered, policy.anchors, now, audit)


def _none(registered: Registered, anchors: TrustAnchors, now: datetime, audit: Audit) -> Verdict:
    """Verify ``none`` (section 8.7).

    1. The statement is an empty map.

    Raises:
        AttestationError: ``malformed``.
    """
    del anchors, now  # nobody vouches for anything
    audit.require(
        "webauthn.none/1-empty",
        not registered.statement,
        Reason.MALFORMED,
        "A statement of the format none has members.",
    )
    return Verdict(attested=False)


def _packed(registered: Registered, anchors: TrustAnchors, now: datetime, audit: Audit) -> Verdict:
    """Verify ``packed`` (section 8.2).

    1. The statement has an integer ``alg``, the bytes ``sig``, and perhaps ``x5c``.
    2. The signature over authenticator data and client data hash verifies: without ``x5c`` with
       the credential's own key and algorithm, otherwise with the first certificate's.
    3. That certificate is of version 3, no certificate authority, and its organizational unit is
       "Authenticator Attestation" (section 8.2.1).
    4. The model that it names, if it does, is that of the authenticator data.
    5. Its chain leads to one of ``anchors``, if there are any, and is valid at ``now``.

    Raises:
        AttestationError: ``malformed``, ``bad_signature``, ``key_mismatch``, or for the chain.
    """
    statement = registered.statement
    self_attested = "x5c" not in statement
    chain = [] if self_attested else _chain_in(statement, "webauthn.packed/1-shape")
    _require_shape("webauthn.packed/1-shape", _has_algorithm(statement), statement.get("sig"))
    _require_statement("webauthn.packed/2-signature", registered, audit)
    if self_attested:
        return Verdict(attested=False)
    loaded = _Chain(chain, load_chain(chain, audit, least=1))
    leaf = loaded.certificates[0]
    audit.require(
        "webauthn.packed/3-profile",
        leaf.version is x509.Version.v3 and _units_of(leaf) == [_AUTHENTICATOR] and _is_no_ca(leaf),
        Reason.MALFORMED,
        "The attestation certificate does not have the form that the format prescribes.",
        index=0,
    )
    _require_model("webauthn.packed/4-aaguid", leaf, registered, audit)
    return Verdict(attested=_is_trusted(loaded, anchors, now, audit))


def _units_of(leaf: x509.Certificate) -> list[str | bytes] | None:
    try:
        units = leaf.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    except (ValueError, TypeError, Warning):  # names are parsed when they are asked for
        return None
    return [each.value for each in units]


def _tpm(registered: Registered, anchors: TrustAnchors, now: datetime, audit: Audit) -> Verdict:
    """Verify ``tpm`` (section 8.3).

    1. The statement has ``ver``, ``alg``, ``sig``, ``certInfo``, ``pubArea`` and ``x5c``.
    2. ``pubArea`` is the credential's key; ``certInfo`` is signed by the first certificate's key,
       is about ``pubArea``, and covers authenticator data and client data hash; the certificate is
       one of a TPM (section 8.3.1).
    3. The model that it names, if it does, is that of the authenticator data.
    4. Its chain leads to one of ``anchors``, if there are any, and is valid at ``now``.
    5. The verdict says whether the TPM made the key and keeps it: it certifies imported ones too.

    Raises:
        AttestationError: ``malformed``, ``bad_signature``, ``key_mismatch``, or for the chain.
    """
    statement = registered.statement
    chain = _chain_in(statement, "webauthn.tpm/1-shape")
    _require_shape(
        "webauthn.tpm/1-shape",
        _has_algorithm(statement)
        and isinstance(statement.get("certInfo"), bytes)
        and isinstance(statement.get("pubArea"), bytes)
        and isinstance(statement.get("ver"), str),
        statement.get("sig"),
    )
    _require_statement("webauthn.tpm/2-statement", registered, audit)
    loaded = _Chain(chain, load_chain(chain, audit, least=1))
    _require_model("webauthn.tpm/3-aaguid", loaded.certificates[0], registered, audit)
    # The TPM stands in the alternative name, the subject being empty; the policy is Microsoft's.
    understood = frozenset({_SUBJECT_ALTERNATIVE_NAME, _CERTIFICATE_POLICIES})
    return Verdict(
        attested=_is_trusted(loaded, anchors, now, audit, understood=understood),
        stays=_is_kept_by_tpm(cast("bytes", statement["pubArea"])),
    )


def _is_kept_by_tpm(public_area: bytes) -> bool:
    """Read objectAttributes of a TPMT_PUBLIC (TPM 2.0 Library, part 2, sections 8.3 and 12.2.4)."""
    attributes = int.from_bytes(public_area[_TPM_ATTRIBUTES])
    return attributes & _KEPT_BY_TPM == _KEPT_BY_TPM


def _fido_u2f(
    registered: Registered, anchors: TrustAnchors, now: datetime, audit: Audit
) -> Verdict:
    """Verify ``fido-u2f`` (section 8.6).

    1. The statement has the bytes ``sig`` and an ``x5c`` of one certificate.
    2. The signature over relying party, client data hash, credential id and key verifies with the
       certificate's key, which is on P-256.
    3. The chain leads to one of ``anchors``, if there are any, and is valid at ``now``.

    Raises:
        AttestationError: ``malformed``, ``bad_signature``, or for the chain.
    """
    statement = registered.statement
    chain = _chain_in(statement, "webauthn.fido-u2f/1-shape")
    _require_shape("webauthn.fido-u2f/1-shape", len(chain) == 1, statement.get("sig"))
    _require_statement("webauthn.fido-u2f/2-signature", registered, audit)
    loaded = _Chain(chain, load_chain(chain, audit, least=1))
    return Verdict(attested=_is_trusted(loaded, anchors, now, audit))


def _apple(registered: Registered, anchors: TrustAnchors, now: datetime, audit: Audit) -> Verdict:
    """Verify ``apple`` (section 8.8).

    1. The statement has an ``x5c``.
    2. The chain leads to one of ``anchors`` and is valid at ``now``.
    3. The first certificate's nonce extension is exactly ``30 24 A1 22 04 20`` and 32 bytes.
    4. These are the SHA-256 of authenticator data and client data hash.
    5. The certificate's key is the credential's.

    Raises:
        AttestationError: ``malformed``, ``nonce_mismatch``, ``key_mismatch``, or for the chain.
    """
    chain = _chain_in(registered.statement, "webauthn.apple/1-shape")
    loaded = _Chain(chain, load_chain(chain, audit, least=1))
    leaf = loaded.certificates[0]
    _walk(loaded, anchors, now, audit)
    nonce = _extension(leaf, NONCE_OID)
    if nonce is None:
        raise AttestationError(
            Reason.MALFORMED,
            "The certificate has no nonce.",
            index=0,
            check="webauthn.apple/3-nonce",
        )
    audit.require(
        "webauthn.apple/3-extension",
        len(nonce) == _NONCE_BYTES and nonce.startswith(NONCE_PREFIX),
        Reason.MALFORMED,
        "The certificate's nonce does not have the form that Apple gives it.",
        index=0,
    )
    expected = hashlib.sha256(registered.signed).digest()
    audit.require(
        "webauthn.apple/4-nonce",
        hmac.compare_digest(nonce[len(NONCE_PREFIX) : _NONCE_BYTES], expected),
        Reason.NONCE,
        "The certificate was made for another registration.",
        index=0,
    )
    audit.require(
        "webauthn.apple/5-key",
        _is_key_of(leaf, registered),
        Reason.KEY_MISMATCH,
        "The certificate is about another key than the credential's.",
        index=0,
    )
    return Verdict(attested=True)


def _android_key(
    registered: Registered,
    policy: WebAuthnPolicy,
    revocation: RevocationList | None,
    now: datetime,
    audit: Audit,
) -> Verdict:
    """Verify ``android-key`` (section 8.4).

    1. The statement has an integer ``alg``, the bytes ``sig`` and an ``x5c``.
    2. The chain, its revocation and the KeyDescription pass
       :func:`~quorumkey_attestation.android.verification.examine_android_key` with the client data
       hash for the challenge: no allApplications in either list, origin GENERATED, purpose SIGN,
       and the root of trust that policy asks for. The key in it is the credential's.
    3. The signature over authenticator data and client data hash verifies with the leaf's key.

    Raises:
        AttestationError: ``malformed``, ``bad_signature``, or as that function says.
    """
    chain = _chain_in(registered.statement, "webauthn.android-key/1-shape")
    signature = registered.statement.get("sig")
    _require_shape("webauthn.android-key/1-shape", _has_algorithm(registered.statement), signature)
    key = examine_android_key(
        chain,
        challenge=registered.client_data_hash,
        policy=policy.effective_android,
        revocation=revocation,
        now=now,
        public_key=_comparable(registered.public_key),
        audit=audit,
    )
    audit.require(
        "webauthn.android-key/3-signature",
        is_signed(key.public_key, cast("bytes", signature), registered.signed),
        Reason.SIGNATURE,
        "The statement is not signed by the key that its certificate is about.",
        index=0,
    )
    return Verdict(attested=True, serials=key.serials)


_PROCEDURES: Final[Mapping[str, Callable[[Registered, TrustAnchors, datetime, Audit], Verdict]]] = (
    MappingProxyType({"none": _none, "packed": _packed, "tpm": _tpm, "fido-u2f": _fido_u2f})
)


def _comparable(key: CredentialPublicKey) -> EllipticCurvePublicKey | bytes:
    if isinstance(key, EllipticCurvePublicKey):
        return key
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _chain_in(statement: Mapping[CborKey, CborValue], check: str) -> list[bytes]:
    chain = statement.get("x5c")
    if not isinstance(chain, list) or not chain:
        raise AttestationError(Reason.MALFORMED, "The statement has no certificates.", check=check)
    certificates = [each for each in chain if isinstance(each, bytes)]
    if len(certificates) != len(chain):
        raise AttestationError(
            Reason.MALFORMED, "A certificate of the statement is no byte string.", check=check
        )
    return certificates


def _has_algorithm(statement: Mapping[CborKey, CborValue]) -> bool:
    algorithm = statement.get("alg")
    # A bool is an int to Python, and 1 would equal True.
    return isinstance(algorithm, int) and not isinstance(algorithm, bool)


def _require_shape(check: str, holds: bool, signature: object) -> None:  # noqa: FBT001  # the fact
    if not holds or not isinstance(signature, bytes):
        raise AttestationError(
            Reason.MALFORMED, "The statement lacks a member of its format.", check=check
        )


def _require_statement(check: str, registered: Registered, audit: Audit) -> None:
    fault = fault_of_statement(registered)
    audit.require(check, fault is None, Reason.SIGNATURE, f"The statement does not verify: {fault}")


def _require_model(
    check: str, leaf: x509.Certificate, registered: Registered, audit: Audit
) -> None:
    value = _extension(leaf, AAGUID_OID)
    audit.require(
        check,
        value is None or value == _AAGUID_PREFIX + registered.credential.aaguid,
        Reason.KEY_MISMATCH,
        "The attestation certificate is of another model than the authenticator data.",
        index=0,
    )


def _is_no_ca(leaf: x509.Certificate) -> bool:
    for extension in extensions_of(leaf, 0):
        value = extension.value
        if type(value) is x509.BasicConstraints:  # an abstract base class: isinstance is a search
            return not value.ca
    return False


def _is_trusted(
    chain: _Chain,
    anchors: TrustAnchors,
    now: datetime,
    audit: Audit,
    *,
    understood: frozenset[str] = frozenset(),
) -> bool:
    """Return whether a trusted root vouches for the chain: not, where none is configured."""
    if not anchors.certs:
        return False
    _walk(chain, anchors, now, audit, understood=understood)
    return True


def _walk(
    chain: _Chain,
    anchors: TrustAnchors,
    now: datetime,
    audit: Audit,
    *,
    understood: frozenset[str] = frozenset(),
) -> None:
    path = resolve_anchor(chain.encoded, chain.certificates, anchors, audit)
    require_issued(path, audit, understood=understood, anchored=len(path) > len(chain.encoded))
    for index, certificate in enumerate(path[:-1]):
        require_valid(certificate, index, audit, now=now)


def _extension(leaf: x509.Certificate, oid: str) -> bytes | None:
    for extension in extensions_of(leaf, 0):
        value = extension.value
        if type(value) is x509.UnrecognizedExtension and value.oid.dotted_string == oid:
            return value.value
    return None


def _is_key_of(leaf: x509.Certificate, registered: Registered) -> bool:
    try:
        return leaf.public_key() == registered.public_key
    except (ValueError, TypeError, UnsupportedAlgorithm, Warning):
        return False
