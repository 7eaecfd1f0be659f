"""Mint App Attest objects as an iPhone and Apple's servers make them, under this package's roots.

:class:`Attestation` and :class:`Assertion` describe one object each; every default is what a
genuine device sends, so that a test changes one of them with ``dataclasses.replace``. The layout is
that of Apple's "Validating apps that connect to your server" and "Attestation Object Validation
Guide"; the extension map at the end of the authenticator data came with iOS 27.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.testing import apple_receipt, pki
from quorumkey_attestation.testing.apple_certificates import (
    NONCE_EXTENSION,
    NOT_AFTER,
    NOT_BEFORE,
    PLATFORM_EXTENSION,
    app_attest_authority,
    ios_access_policy,
    key_usage,
    nonce_extension,
)
from quorumkey_attestation.testing.cbor_encoding import Encodable, encode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "AAGUID",
    "APP_ID",
    "Assertion",
    "Attestation",
    "Environment",
    "apple_assertion",
    "apple_evidence",
    "cose_key",
    "extension_map",
    "point_of",
]

Environment = Literal["production", "development"]

APP_ID: Final = "QK12345678.com.example.approver"
AAGUID: Final[Mapping[Environment, bytes]] = {
    "production": b"appattest".ljust(16, b"\0"),
    "development": b"appattestdevelop",
}

_AT: Final = 0x40  # the flag that App Attest sets in everything, assertions too
_LABEL: Final = "app attest key"
_APP_STORE: Final = 4  # Apple's validation category of an app from the App Store
_CATEGORY_OCTETS: Final = 4


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a key's uncompressed X9.62 point: 65 bytes on P-256."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def cose_key(point: bytes) -> dict[int, Encodable]:
    """Return the COSE form (RFC 9053 section 7.1) of an uncompressed P-256 ``point``."""
    return {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}


def extension_map(category: int | None = _APP_STORE, version: str | None = "1") -> bytes:
    """Return the map that iOS 27 appends to the authenticator data.

    Args:
        category: ``apple_validation_category_01``, written as four octets, little end first.
        version: ``apple_bundle_version_01``.
    """
    members: dict[str, Encodable] = {}
    if version is not None:
        members["apple_bundle_version_01"] = version
    if category is not None:
        octets = category.to_bytes(_CATEGORY_OCTETS, "little")
        members["apple_validation_category_01"] = octets
    return encode(members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """One attestation object; what is None takes the value that a genuine device gives it.

    Attributes:
        client_data_hash: what the app passed to ``attestKey``.
        label: which test key is attested.
        app_id: the app.
        environment: the environment that the aaguid and the receipt name.
        created_at: when the receipt was made.
        not_before: the start of the leaf's validity.
        not_after: the end of the leaf's validity.
        fmt: the attestation statement format.
        flags: the flags of the authenticator data.
        counter: its signature counter.
        aaguid: its aaguid, 16 bytes.
        credential_id: its credential id.
        credential_id_length: the length it gives for the credential id.
        cose_point: the point of its COSE key.
        extensions: the octets that follow the COSE key.
        authenticator: all of the authenticator data, in place of the fields above.
        nonce_value: the value of the leaf's extension 8.2; ``b""`` leaves the extension out.
        platform: the value of the leaf's extension 8.6.
        leaf_extensions: further extensions of the leaf, each with whether it is critical.
        subject: the leaf's subject.
        leaf_key: the leaf's key.
        leaf_is_authority: whether the leaf is a CA.
        issuer: who issued the leaf.
        chain: the certificates that follow the leaf in ``x5c``.
    """

    client_data_hash: bytes
    label: str = _LABEL
    app_id: str = APP_ID
    environment: Environment = "production"
    created_at: datetime = pki.NOW
    not_before: datetime = NOT_BEFORE
    not_after: datetime = NOT_AFTER
    fmt: str = "apple-appattest"
    flags: int = _AT
    counter: int = 0
    aaguid: bytes | None = None
    credential_id: bytes | None = None
    credential_id_length: int | None = None
    cose_point: bytes | None = None
    extensions: bytes = extension_map()
    authenticator: bytes | None = None
    nonce_value: bytes | None = None
    platform: bytes | None = None
    leaf_extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    subject: x509.Name | None = None
    leaf_key: ec.EllipticCurvePublicKey | None = None
    leaf_is_authority: bool = False
    issuer: pki.Authority | None = None
    chain: tuple[bytes, ...] | None = None

    @property
    def point(self) -> bytes:
        """The attested key's uncompressed point, 65 bytes."""
        return point_of(pki.private_key(self.label).public_key())

    @property
    def key_id(self) -> bytes:
        """The name that App Attest gives the key: the SHA-256 of its point."""
        return hashlib.sha256(self.point).digest()

    @property
    def authenticator_data(self) -> bytes:
        """What the device puts together and signs for."""
        if self.authenticator is not None:
            return self.authenticator
        credential_id = self.key_id if self.credential_id is None else self.credential_id
        length = self.credential_id_length
        length = len(credential_id) if length is None else length
        return b"".join(
            (
                hashlib.sha256(self.app_id.encode()).digest(),
                bytes([self.flags]),
                self.counter.to_bytes(4),
                AAGUID[self.environment] if self.aaguid is None else self.aaguid,
                length.to_bytes(2),
                credential_id,
                encode(cose_key(self.cose_point or self.point)),
                self.extensions,
            )
        )

    @property
    def leaf(self) -> bytes:
        """The DER of the key's certificate."""
        nonce = hashlib.sha256(self.authenticator_data + self.client_data_hash).digest()
        value = nonce_extension(nonce) if self.nonce_value is None else self.nonce_value
        platform = ios_access_policy() if self.platform is None else self.platform
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.UnrecognizedExtension(PLATFORM_EXTENSION, platform), False),
            *self.leaf_extensions,
        ]
        if value:
            extensions.append((x509.UnrecognizedExtension(NONCE_EXTENSION, value), False))
        certificate = pki.mint(
            self.subject or self.key_id.hex(),
            self.leaf_key or pki.private_key(self.label).public_key(),
            self.issuer or app_attest_authority(),
            not_before=self.not_before,
            not_after=self.not_after,
            ca=self.leaf_is_authority,
            key_usage=key_usage(issues=False),
            extensions=extensions,
        )
        return certificate.public_bytes(Encoding.DER)

    @property
    def receipt(self) -> bytes:
        """What Apple's servers say of the key, for later."""
        fields = apple_receipt.receipt_fields(
            app_id=self.app_id,
            certificate=self.leaf,
            client_data_hash=self.client_data_hash,
            created_at=self.created_at,
            environment="production" if self.environment == "production" else "sandbox",
        )
        return apple_receipt.sign_payload(apple_receipt.encode_payload(fields))

    @property
    def members(self) -> dict[str, Encodable]:
        """The object as a map, for those who encode it otherwise."""
        chain = (app_attest_authority().der,) if self.chain is None else self.chain
        return {
            "fmt": self.fmt,
            "attStmt": {"x5c": [self.leaf, *chain], "receipt": self.receipt},
            "authData": self.authenticator_data,
        }

    @property
    def object(self) -> bytes:
        """The attestation object, as ``attestKey`` returns it."""
        return encode(self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """One assertion, as ``generateAssertion`` returns it.

    Attributes:
        client_data: what the app hashed and had signed.
        label: which test key signs.
        app_id: the app.
        flags: the flags of the authenticator data.
        counter: its signature counter.
        extensions: the octets that follow the counter.
    """

    client_data: bytes
    label: str = _LABEL
    app_id: str = APP_ID
    flags: int = _AT
    counter: int = 1
    extensions: bytes = b""

    @property
    def authenticator_data(self) -> bytes:
        """The 37 bytes of every assertion, and the extension map of iOS 27."""
        rp_id_hash = hashlib.sha256(self.app_id.encode()).digest()
        return rp_id_hash + bytes([self.flags]) + self.counter.to_bytes(4) + self.extensions

    def nonce(self, authenticator_data: bytes) -> bytes:
        """Return what is signed, as a message that ECDSA hashes once more."""
        client_data_hash = hashlib.sha256(self.client_data).digest()
        return hashlib.sha256(authenticator_data + client_data_hash).digest()

    @property
    def object(self) -> bytes:
        """The encoded assertion."""
        return self.encode()

    def encode(
        self, *, authenticator_data: bytes | None = None, signature: bytes | None = None
    ) -> bytes:
        """Return the encoded assertion, with parts of it replaced.

        Args:
            authenticator_data: other authenticator data, which the key does sign.
            signature: another signature.
        """
        data = self.authenticator_data if authenticator_data is None else authenticator_data
        if signature is None:
            signature = pki.sign(pki.private_key(self.label), self.nonce(data))
        return encode({"signature": signature, "authenticatorData": data})


def apple_evidence(  # noqa: PLR0913  # what a phone knows when it enrols
    nonce: bytes,
    device_public_key: bytes,
    *,
    app_id: str = APP_ID,
    environment: Environment = "production",
    label: str = _LABEL,
    now: datetime = pki.NOW,
) -> dict[str, str]:
    """Return the member ``attestation`` of an enrolment, as a phone with this test key sends it.

    Args:
        nonce: the relay's nonce, 32 bytes.
        device_public_key: the device's public key, a compressed P-256 point of 33 bytes.
        app_id: the app it claims to be.
        environment: the App Attest environment.
        label: which test key App Attest made.
        now: when the receipt was made; nothing else in the object depends on it.
    """
    attestation = Attestation(
        client_data_hash=hashlib.sha256(nonce + device_public_key).digest(),
        label=label,
        app_id=app_id,
        environment=environment,
        created_at=now,
    )
    return {
        "format": "apple-app-attest",
        "key_id": base64.b64encode(attestation.key_id).decode(),
        "object": base64.b64encode(attestation.object).decode(),
    }


def apple_assertion(
    nonce: bytes,
    device_public_key: bytes,
    *,
    counter: int,
    app_id: str = APP_ID,
    label: str = _LABEL,
) -> bytes:
    """Return an assertion over the same kind of bytes, for ``POST /v1/device/reattest``.

    Args:
        nonce: the relay's nonce, 32 bytes.
        device_public_key: the device's public key, 33 bytes.
        counter: how often the key has signed, this time included.
        app_id: the app it claims to be.
        label: which test key App Attest made.
    """
    return Assertion(
        client_data=nonce + device_public_key, label=label, app_id=app_id, counter=counter
    ).object
