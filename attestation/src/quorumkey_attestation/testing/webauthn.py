"""Mint what browsers and authenticators send: registrations in every format, and assertions.

:class:`Parts` are the inputs of a ceremony, each with the value that a sound client gives it; a
statement is made over them by one of the functions at the end of this module. Source of the
formats: https://www.w3.org/TR/webauthn-3/#sctn-defined-attestation-formats.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.testing import android, android_description, pki
from quorumkey_attestation.testing.apple_certificates import NONCE_EXTENSION, nonce_extension
from quorumkey_attestation.testing.cbor_encoding import Encoded, encode
from quorumkey_attestation.testing.webauthn_certificates import (
    ATTESTATION_KEY,
    aaguid_extension,
    attestation_subject,
    mint_leaf,
    webauthn_authority,
    webauthn_root,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from quorumkey_attestation.testing.cbor_encoding import Encodable

__all__ = [
    "AAGUID",
    "BACKED_UP",
    "BACKUP_ELIGIBLE",
    "CHALLENGE",
    "CREDENTIAL_KEY",
    "DEFAULT_FLAGS",
    "ORIGIN",
    "RP_ID",
    "Parts",
    "Statement",
    "android_key",
    "apple",
    "assertion_signature",
    "cose_key",
    "fido_u2f",
    "none",
    "packed",
    "packed_self",
    "registration",
    "webauthn_evidence",
]

RP_ID: Final = "approve.example.com"
ORIGIN: Final = "https://approve.example.com"
CHALLENGE: Final = hashlib.sha256(b"quorumkey UNSAFE test passkey challenge").digest()
AAGUID: Final = hashlib.sha256(b"quorumkey UNSAFE test authenticator").digest()[:16]
CREDENTIAL_KEY: Final = "webauthn credential"
"""Names the credential's key of everything that does not say otherwise."""

USER_PRESENT: Final = 0x01
USER_VERIFIED: Final = 0x04
BACKUP_ELIGIBLE: Final = 0x08
BACKED_UP: Final = 0x10
ATTESTED: Final = 0x40
EXTENSIONS: Final = 0x80
DEFAULT_FLAGS: Final = USER_PRESENT | USER_VERIFIED

_ALGORITHMS: Final = MappingProxyType({"secp256r1": (-7, 1), "secp384r1": (-35, 2)})


def _credential_key() -> ec.EllipticCurvePrivateKey:
    return pki.private_key(CREDENTIAL_KEY)


def _no_members() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The inputs of one ceremony.

    Attributes:
        kind: what client data calls the ceremony.
        challenge: the bytes that were issued.
        origin: the page's origin.
        members: client data's further members, or other values for the usual ones; None leaves
            one out.
        client_data: client data as it is to be, whatever the members above are.
        rp_id: the relying party id.
        flags: the flags but AT and ED, which follow from what is there.
        flipped: flags to turn over at the end, whatever is there.
        sign_count: the signature counter.
        aaguid: the authenticator's model, 16 bytes.
        credential_id: the credential's name.
        key: the credential's private key.
        cose: the credential's public key, where it is to say something else than ``key``.
        extensions: the CBOR of extension outputs.
    """

    kind: str = "webauthn.create"
    challenge: bytes = CHALLENGE
    origin: str = ORIGIN
    members: Mapping[str, object] = field(default_factory=_no_members)
    client_data: bytes | None = None
    rp_id: str = RP_ID
    flags: int = DEFAULT_FLAGS
    flipped: int = 0
    sign_count: int = 0
    aaguid: bytes = AAGUID
    credential_id: bytes = hashlib.sha256(b"quorumkey UNSAFE test credential").digest()
    key: ec.EllipticCurvePrivateKey = field(default_factory=_credential_key)
    cose: bytes | None = None
    extensions: bytes = b""

    @property
    def client_data_json(self) -> bytes:
        """What the browser says."""
        if self.client_data is not None:
            return self.client_data
        usual: dict[str, object] = {
            "type": self.kind,
            "challenge": base64url(self.challenge),
            "origin": self.origin,
            "crossOrigin": False,
        }
        members = {**usual, **self.members}
        present = {name: value for name, value in members.items() if value is not None}
        return json.dumps(present, separators=(",", ":")).encode()

    @property
    def client_data_hash(self) -> bytes:
        """Its SHA-256."""
        return hashlib.sha256(self.client_data_json).digest()

    @property
    def registration_data(self) -> bytes:
        """The authenticator data of a registration."""
        cose = self.cose if self.cose is not None else cose_key(self.key.public_key())
        length = len(self.credential_id).to_bytes(2)
        return self._data(ATTESTED, self.aaguid + length + self.credential_id + cose)

    @property
    def assertion_data(self) -> bytes:
        """The authenticator data of an assertion."""
        return self._data(0, b"")

    @property
    def signed(self) -> bytes:
        """What most statements sign."""
        return self.registration_data + self.client_data_hash

    def _data(self, flags: int, credential: bytes) -> bytes:
        flags |= self.flags | (EXTENSIONS if self.extensions else 0)
        return b"".join(
            (
                hashlib.sha256(self.rp_id.encode()).digest(),
                bytes([flags ^ self.flipped]),
                self.sign_count.to_bytes(4),
                credential,
                self.extensions,
            )
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """An attestation statement.

    Attributes:
        format: its format.
        members: its members.
    """

    format: str
    members: Mapping[str, Encodable]

    def without(self, name: str) -> Statement:
        """Return the statement without one of its members."""
        members = {each: value for each, value in self.members.items() if each != name}
        return Statement(self.format, members)


def base64url(data: bytes) -> str:
    """Return ``data`` in base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def cose_key(public_key: ec.EllipticCurvePublicKey, *, algorithm: int | None = None) -> bytes:
    """Return a COSE_Key (RFC 9052 section 7) of P-256 or P-384.

    Args:
        public_key: the key.
        algorithm: what it says it is for; by default what goes with its curve.
    """
    numbers = public_key.public_numbers()
    usual, curve = _ALGORITHMS[public_key.curve.name]
    size = public_key.key_size // 8
    members: dict[int, int | bytes] = {
        1: 2,
        3: usual if algorithm is None else algorithm,
        -1: curve,
        -2: numbers.x.to_bytes(size),
        -3: numbers.y.to_bytes(size),
    }
    return encode(members)


def registration(parts: Parts, statement: Statement, *, more: bytes = b"") -> bytes:
    """Return the attestation object.

    Args:
        parts: the ceremony.
        statement: the statement over it.
        more: bytes that follow the authenticator data, within it.
    """
    members: dict[str, Encodable] = {
        "fmt": statement.format,
        "attStmt": Encoded(encode(statement.members)),
        "authData": parts.registration_data + more,
    }
    return encode(members)


def assertion_signature(parts: Parts) -> bytes:
    """Return the signature of an assertion, in DER, with the hash that fits the key."""
    data = parts.assertion_data + parts.client_data_hash
    return _sign(parts.key, data)


def none(parts: Parts) -> Statement:  # noqa: ARG001  # nothing is said about it
    """Return the statement that says nothing."""
    return Statement("none", {})


def packed_self(parts: Parts, *, algorithm: int = -7) -> Statement:
    """Return a ``packed`` statement that the credential signs itself.

    Args:
        parts: the ceremony.
        algorithm: what it says it is signed with.
    """
    return Statement("packed", {"alg": algorithm, "sig": _sign(parts.key, parts.signed)})


def packed(
    parts: Parts, *, leaf: pki.Authority | None = None, signed: bytes | None = None
) -> Statement:
    """Return a ``packed`` statement of an authenticator whose maker vouches for it.

    Args:
        parts: the ceremony.
        leaf: the attestation certificate and key; by default sound ones that name the model.
        signed: what is signed, where it is something else than ``parts``.
    """
    leaf = leaf or mint_leaf(
        attestation_subject(),
        pki.private_key(ATTESTATION_KEY).public_key(),
        extensions=[aaguid_extension(parts.aaguid)],
    )
    signature = _sign(leaf.key, parts.signed if signed is None else signed)
    return Statement(
        "packed", {"alg": -7, "sig": signature, "x5c": [leaf.der, webauthn_authority().der]}
    )


def fido_u2f(parts: Parts, *, signed: bytes | None = None) -> Statement:
    """Return a ``fido-u2f`` statement, whose one certificate the root issued.

    Args:
        parts: the ceremony.
        signed: what is signed, where it is something else than ``parts``.
    """
    leaf = mint_leaf(
        attestation_subject(),
        pki.private_key(ATTESTATION_KEY).public_key(),
        issuer=webauthn_root(),
    )
    point = parts.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    usual = (
        b"\x00"
        + parts.registration_data[:32]
        + parts.client_data_hash
        + parts.credential_id
        + point
    )
    signature = _sign(leaf.key, usual if signed is None else signed)
    return Statement("fido-u2f", {"sig": signature, "x5c": [leaf.der]})


def apple(
    parts: Parts,
    *,
    authority: pki.Authority | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] | None = None,
    public_key: ec.EllipticCurvePublicKey | None = None,
    not_after: datetime | None = None,
) -> Statement:
    """Return an ``apple`` statement.

    Args:
        parts: the ceremony.
        authority: what issues the certificate; by default the intermediate of WebAuthn.
        extensions: the certificate's extensions; by default the nonce of ``parts``.
        public_key: the key in it, where it is not the credential's.
        not_after: the end of its validity, where it has ended.
    """
    authority = authority or webauthn_authority()
    if extensions is None:
        nonce = nonce_extension(hashlib.sha256(parts.signed).digest())
        extensions = [(x509.UnrecognizedExtension(NONCE_EXTENSION, nonce), False)]
    subject = pki.name("Quorumkey UNSAFE test passkey")
    key = public_key or parts.key.public_key()
    leaf = (
        mint_leaf(subject, key, issuer=authority, extensions=extensions)
        if not_after is None
        else mint_leaf(subject, key, issuer=authority, extensions=extensions, not_after=not_after)
    )
    return Statement("apple", {"x5c": [leaf.der, authority.der]})


def android_key(
    parts: Parts,
    *,
    description: android_description.Description | None = None,
    issuers: tuple[android.Issuer, ...] | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    signed: bytes | None = None,
) -> Statement:
    """Return an ``android-key`` statement.

    Args:
        parts: the ceremony.
        description: the KeyDescription; by default a sound one for ``parts``.
        issuers: who attested the key, lowest first; by default a remotely provisioned device.
        key: the key that is attested and signs, where it is not the credential's.
        signed: what is signed, where it is something else than ``parts``.
    """
    description = description or android_description.description(challenge=parts.client_data_hash)
    key = key or parts.key
    authorities = android.issue(issuers or android.rkp_issuers())
    extension = android.key_description_extension(description.encoded())
    leaf = android.mint_leaf(key.public_key(), authorities[0], [(extension, False)])
    signature = _sign(key, parts.signed if signed is None else signed)
    chain = list(android.chain_of(leaf, authorities))
    return Statement("android-key", {"alg": -7, "sig": signature, "x5c": chain})


def webauthn_evidence(  # noqa: PLR0913  # what a browser knows
    nonce: bytes,
    private_key: ec.EllipticCurvePrivateKey,
    *,
    rp_id: str,
    origin: str,
    flags: int = DEFAULT_FLAGS,
    statement: Callable[[Parts], Statement] = none,
) -> dict[str, str]:
    """Return the evidence of a software passkey, as enrolment takes it (PROTOCOL §4.3).

    Args:
        nonce: the enrolment's nonce, 32 bytes, which is the challenge.
        private_key: the credential's key.
        rp_id: the relying party id.
        origin: the origin of the page that asks.
        flags: the authenticator's flags, such as UP, UV and BE.
        statement: what is attested: :func:`none`, or :func:`packed` and its kin, which lead to
            this package's test root.

    Returns:
        The JSON member ``attestation``: ``format``, ``attestation_object`` and
        ``client_data_json``, both in base64url.
    """
    parts = Parts(challenge=nonce, key=private_key, rp_id=rp_id, origin=origin, flags=flags)
    return {
        "format": "webauthn",
        "attestation_object": base64url(registration(parts, statement(parts))),
        "client_data_json": base64url(parts.client_data_json),
    }


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    digest = hashes.SHA256() if isinstance(key.curve, ec.SECP256R1) else hashes.SHA384()
    return key.sign(data, ec.ECDSA(digest, deterministic_signing=True))
