"""The attestation of an App Attest key (Apple, "Validating apps that connect to your server")."""

from __future__ import annotations

import base64
import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation import cbor, chain
from quorumkey_attestation.apple.authdata import (
    ExtensionSteps,
    parse_attestation_data,
    require_extensions,
)
from quorumkey_attestation.apple.nonce_extension import NONCE_OID, NONCE_PREFIX
from quorumkey_attestation.apple.policy import (
    AppAttestKey,
    AppAttestPolicy,
    Environment,
    point_of,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.moment import require_aware

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "AAGUIDS",
    "AppAttestKey",
    "AppAttestPolicy",
    "Environment",
    "examine_app_attestation",
    "verify_app_attestation",
]

FORMAT: Final = "apple-appattest"
CHAIN_LENGTH: Final = 2  # certificates in x5c: the leaf and its issuer; never the root
HASH_BYTES: Final = 32  # bytes: a SHA-256

AAGUIDS: Final[Mapping[Environment, bytes]] = MappingProxyType(
    {"production": b"appattest" + bytes(7), "development": b"appattestdevelop"}
)
"""What the aaguid has to be in each environment, all 16 bytes of it."""

_NONCE_EXTENSION: Final = x509.ObjectIdentifier(NONCE_OID)
_ACL_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.6")
# SEQUENCE { [3] { OCTET STRING (66) } } around the value that Apple documents; the tag is that of
# the extension in iOS leafs, which hold another value.
_MACOS_ACL: Final = bytes.fromhex("3046a3440442") + base64.b64decode(
    "MEAMAjExMDowCQwCb2uhAwEB/zAJDAJvYaEDAQH/MAsMBG9kZWyhAwEB/zAVDARvc2duoAYMBHJzZWMwBaYDAgEB"
)

_EXTENSION_STEPS: Final = ExtensionSteps(
    present="apple.attestation/10-present",
    category_form="apple.attestation/10-form",
    category="apple.attestation/10-category",
    version_form="apple.attestation/11-form",
    version="apple.attestation/11-version",
)


class _Object(NamedTuple):
    """An attestation object: ``x5c``, ``authData`` and ``receipt``, none of them looked into."""

    x5c: list[bytes]
    authenticator_data: bytes
    receipt: bytes


def verify_app_attestation(
    obj: bytes, *, key_id: bytes, client_data_hash: bytes, policy: AppAttestPolicy, now: datetime
) -> AppAttestKey:
    """Return the key that ``obj`` attests.

    The numbers are Apple's, and stand in the names of the checks.

    1. The object has the format ``apple-appattest``, and in ``x5c`` the leaf and its issuer, no
       more and no less. They lead to an anchor of ``policy`` (``chain/1`` to ``chain/9``) and are
       valid at ``now`` (``chain/10``, ``chain/11``); the leaf is no authority.
    2. ``client_data_hash`` is appended to the authenticator data (``apple.authdata/1`` to ``/4``).
    3. The nonce is the SHA-256 of both.
    4. The leaf's extension 1.2.840.113635.100.8.2 is exactly ``30 24 A1 22 04 20`` and the nonce.
    5. ``key_id`` is the SHA-256 of the leaf's key, a P-256 point. The authenticator data's COSE key
       is the same key.
    6. ``rpIdHash`` is the SHA-256 of one of the policy's App IDs.
    7. ``counter`` is 0.
    8. All 16 bytes of ``aaguid`` are those of the policy's environment.
    9. ``credentialId`` is ``key_id``.
    10. ``apple_validation_category_01`` is one that policy accepts.
    11. ``apple_bundle_version_01`` is not lower than policy accepts.
    12. For macOS apps, where policy asks: the extension 1.2.840.113635.100.8.6 is the access policy
        that Apple documents for System Integrity Protection with Full Security.
    13. Left to the caller: that the challenge was issued and not used before; that the key is no
        other user's (:func:`~quorumkey_attestation.counters.require_unbound`); the receipt
        (:func:`~quorumkey_attestation.apple.receipt.verify_app_receipt`); and to store
        :attr:`AppAttestKey.point`, App ID, environment and the counter 0, apart for each
        environment.

    A leaf's validity counts here and never again: assertions are verified with the stored key.

    Args:
        obj: the attestation object, CBOR.
        key_id: the key's identifier as the app sent it, 32 bytes.
        client_data_hash: the SHA-256 of the challenge, 32 bytes: what the app gave to
            ``attestKey``.
        policy: what the evidence has to show.
        now: the moment of judgement.

    Raises:
        AttestationError: the evidence is refused.
        ValueError: ``now`` has no time zone, or ``client_data_hash`` is not 32 bytes long.
    """
    return examine_app_attestation(
        obj,
        key_id=key_id,
        client_data_hash=client_data_hash,
        policy=policy,
        now=now,
        audit=Audit(),
    )


def examine_app_attestation(  # noqa: PLR0913  # what the server knows, by name, and the trail
    obj: bytes,
    *,
    key_id: bytes,
    client_data_hash: bytes,
    policy: AppAttestPolicy,
    now: datetime,
    audit: Audit,
) -> AppAttestKey:
    """Do what :func:`verify_app_attestation` does, and leave the trail in ``audit``."""
    require_aware(now)
    if len(client_data_hash) != HASH_BYTES and not policy.allow_any_hash_length:
        raise ValueError(f"client_data_hash must be {HASH_BYTES} bytes long")
    x5c, authenticator_data, receipt = _read_object(obj, audit)
    leaf = _require_chain(x5c, policy, now, audit)
    data = parse_attestation_data(authenticator_data, audit)
    _require_nonce(leaf, hashlib.sha256(authenticator_data + client_data_hash).digest(), audit)
    public_key = _public_key(leaf)
    point = point_of(public_key)
    audit.require(
        "apple.attestation/5-key-id",
        hashlib.sha256(point).digest() == key_id,
        Reason.KEY_MISMATCH,
        "The key identifier is that of another key than the certificate's.",
    )
    audit.require(
        "apple.attestation/5-cose-key",
        data.point == point,
        Reason.KEY_MISMATCH,
        "The authenticator data holds another key than the certificate.",
    )
    app_id = policy.app_id_by_hash.get(data.rp_id_hash)
    audit.require(
        "apple.attestation/6-app-id",
        app_id is not None,
        Reason.APP_ID,
        "The evidence comes from an app that policy does not name.",
    )
    audit.require(
        "apple.attestation/7-counter",
        data.counter == 0,
        Reason.COUNTER,
        "The key has signed before it was attested.",
    )
    audit.require(
        "apple.attestation/8-environment",
        data.aaguid == AAGUIDS[policy.environment],
        Reason.ENVIRONMENT,
        "The key belongs to another App Attest environment.",
    )
    audit.require(
        "apple.attestation/9-credential-id",
        data.credential_id == key_id,
        Reason.KEY_MISMATCH,
        "The credential id is not the key identifier.",
    )
    category, version = require_extensions(data.extensions, policy, audit, _EXTENSION_STEPS)
    if policy.require_macos_acl:
        audit.require(
            "apple.attestation/12-access-policy",
            _extension(leaf, _ACL_EXTENSION) == _MACOS_ACL,
            Reason.BOOT_STATE,
            "The key is not bound to a Mac with System Integrity Protection and Full Security.",
        )
    return AppAttestKey(
        key_id=key_id,
        public_key=public_key,
        app_id=app_id or "",  # empty only where the harness has switched step 6 off
        environment=policy.environment,
        receipt=receipt,
        category=category,
        bundle_version=version,
        checks=audit.checks,
    )


def _read_object(obj: bytes, audit: Audit) -> _Object:
    members = cbor.decode(obj, audit, what="attestation object")
    if isinstance(members, dict):
        audit.require(
            "apple.attestation/1-format",
            members.get("fmt") == FORMAT,
            Reason.UNSUPPORTED,
            "The attestation object is not of App Attest's format.",
        )
        statement = members.get("attStmt")
        authenticator_data = members.get("authData")
        if isinstance(statement, dict) and isinstance(authenticator_data, bytes):
            x5c = statement.get("x5c")
            receipt = statement.get("receipt")
            if isinstance(x5c, list) and isinstance(receipt, bytes) and x5c:
                certificates = [each for each in x5c if isinstance(each, bytes)]
                if len(certificates) == len(x5c):
                    return _Object(certificates, authenticator_data, receipt)
    raise AttestationError(
        Reason.MALFORMED,
        "The attestation object is not a map with a statement and authenticator data.",
        check="apple.attestation/1-object",
    )


def _require_chain(
    x5c: list[bytes], policy: AppAttestPolicy, now: datetime, audit: Audit
) -> x509.Certificate:
    audit.require(
        "apple.attestation/1-length",
        len(x5c) == CHAIN_LENGTH,
        Reason.BROKEN_CHAIN,
        "An App Attest chain is a leaf and its issuer.",
    )
    certificates = chain.load_chain(x5c, audit, least=1)
    leaf = certificates[0]
    audit.require(
        "apple.attestation/1-leaf",
        not any(
            # By its exact type: these are abstract base classes, whose isinstance is a search.
            type(extension.value) is x509.BasicConstraints and extension.value.ca
            for extension in chain.extensions_of(leaf, 0)
        ),
        Reason.BROKEN_CHAIN,
        "The first certificate is an authority's, not the key's.",
        index=0,
    )
    path = chain.resolve_anchor(x5c, certificates, policy.anchors, audit)
    audit.require(
        "apple.attestation/1-issuer",
        # A root that was sent along has been replaced by the configured one.
        len(x5c) != CHAIN_LENGTH or path[1] is certificates[1],
        Reason.BROKEN_CHAIN,
        "The leaf was issued by the root itself.",
        index=1,
    )
    chain.require_issued(path, audit, anchored=len(path) > len(certificates))
    for index, certificate in enumerate(path):
        chain.require_valid(certificate, index, audit, now=now)
    return leaf


def _require_nonce(leaf: x509.Certificate, nonce: bytes, audit: Audit) -> None:
    value = _extension(leaf, _NONCE_EXTENSION)
    audit.require(
        "apple.attestation/4-extension",
        value is not None,
        Reason.MALFORMED,
        "The leaf has no extension with a nonce.",
        index=0,
    )
    if value is None:
        return
    start = len(NONCE_PREFIX)
    end = start + HASH_BYTES
    audit.require(
        "apple.attestation/4-form",
        len(value) == end and value.startswith(NONCE_PREFIX),
        Reason.MALFORMED,
        "The leaf's nonce extension is not a sequence of one octet string of 32 bytes.",
        index=0,
    )
    audit.require(
        "apple.attestation/4-nonce",
        value[start:end] == nonce,
        Reason.NONCE,
        "The evidence was made for another challenge, or its authenticator data was changed.",
        index=0,
    )


def _extension(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    for extension in chain.extensions_of(leaf, 0):
        value = extension.value
        if type(value) is x509.UnrecognizedExtension and value.oid == oid:
            return value.value
    return None


def _public_key(leaf: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        public_key = leaf.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, Warning) as error:
        raise AttestationError(
            Reason.ALGORITHM,
            "The leaf's key cannot be read.",
            index=0,
            check="apple.attestation/5-algorithm",
        ) from error
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
        public_key.curve, ec.SECP256R1
    ):
        return public_key
    raise AttestationError(
        Reason.ALGORITHM,
        "The leaf's key is not on P-256.",
        index=0,
        check="apple.attestation/5-algorithm",
    )
