"""Opens classic Play Integrity tokens with the response keys that a developer manages.

A token is a JWE (RFC 7516) around a JWS (RFC 7515), both in compact form, with one algorithm in
each place: A256KW, A256GCM and ES256 (RFC 7518). There is no choice to make and so none is built:
the names in the headers are compared, never looked up, and the three operations come straight from
``cryptography``.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import load_der_public_key

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.play_integrity.payload import IntegrityPayload, examine_payload
from quorumkey_attestation.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_TOKEN_CHARACTERS", "PlayIntegrityDecoder", "examine_token"]

MAX_TOKEN_CHARACTERS: Final = 65_536  # characters of a token; real ones have about 2,000

_CURVE: Final = ec.SECP256R1().name
_KEY_BYTES: Final = 32  # AES-256
_WRAPPED_KEY_BYTES: Final = 40  # RFC 3394: eight more than the key
_NONCE_BYTES: Final = 12  # RFC 7518 section 5.3
_TAG_BYTES: Final = 16  # RFC 7518 section 5.3
_COORDINATE_BYTES: Final = 32  # RFC 7518 section 3.4
_JWE_SEGMENTS: Final = 5
_JWS_SEGMENTS: Final = 3
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


class PlayIntegrityDecoder:
    """Decrypts and verifies classic tokens. It holds a secret, which its ``repr`` does not show.

    The two keys come from the Play Console, under "Manage and download my response encryption
    keys". The keys of standard requests never leave Google: their tokens go to Google's server.

    Args:
        decryption_key: the AES-256 key, 32 bytes.
        verification_key: the P-256 key with which Google signs for this app.

    Raises:
        ValueError: a key has another length or lies on another curve.
    """

    __slots__ = ("_decryption_key", "_verification_key")

    def __init__(self, decryption_key: bytes, verification_key: ec.EllipticCurvePublicKey) -> None:
        if len(decryption_key) != _KEY_BYTES:
            raise ValueError(f"the decryption key has {_KEY_BYTES} bytes")
        if verification_key.curve.name != _CURVE:
            raise ValueError("the verification key lies on P-256")
        self._decryption_key = decryption_key
        self._verification_key = verification_key

    @classmethod
    def from_console(cls, decryption_key: str, verification_key: str) -> PlayIntegrityDecoder:
        """Return a decoder with the two keys as the Play Console writes them.

        Args:
            decryption_key: the AES key in base64.
            verification_key: the SubjectPublicKeyInfo in base64.

        Raises:
            ValueError: one of them is not what the Play Console writes.
        """
        public_key = load_der_public_key(b64decode(verification_key, validate=True))
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise ValueError("the verification key is not one of an elliptic curve")  # noqa: TRY004  # its value is wrong
        return cls(b64decode(decryption_key, validate=True), public_key)

    def decode(self, token: str) -> IntegrityPayload:
        """Return what a classic token says, which is not judged yet.

        1. It has at most ``MAX_TOKEN_CHARACTERS``, in the five segments of a compact JWE; a
           standard token has none.
        2. Its header is a JSON object that names A256KW and A256GCM, and neither ``zip`` nor
           ``crit``.
        3. Every segment is base64url in its one form, and as long as its algorithm says.
        4. The decryption key unwraps the content key.
        5. The content key opens the content, and the header is the one it was closed with.
        6. The content is a compact JWS of three segments.
        7. Its header is a JSON object that names ES256, and not ``crit``.
        8. Its signature verifies under the verification key.
        9. What was signed is a payload (:func:`~.payload.examine_payload`).

        Args:
            token: the token as the app sent it.

        Raises:
            AttestationError: ``unsupported`` (1), ``algorithm`` (2, 7), ``bad_signature`` (4, 5,
                8) or ``malformed``.
        """
        return examine_token(
            token,
            decryption_key=self._decryption_key,
            verification_key=self._verification_key,
            audit=Audit(),
        )


def examine_token(
    token: str,
    *,
    decryption_key: bytes,
    verification_key: ec.EllipticCurvePublicKey,
    audit: Audit,
) -> IntegrityPayload:
    """Open a token as :meth:`PlayIntegrityDecoder.decode` does, on a given trail."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _malformed(f"The token is longer than {MAX_TOKEN_CHARACTERS}.", "1-size")
    segments = token.split(".")
    if len(segments) == 1:
        raise AttestationError(
            Reason.UNSUPPORTED,
            "The token is not a classic one with keys of one's own; Google's server decodes it.",
            check="play.decode/1-classic",
        )
    if len(segments) != _JWE_SEGMENTS:
        raise _malformed("The token is not a compact JWE.", "1-segments")
    header = _header(segments[0], "2", audit)
    for name, algorithm, check in (("alg", "A256KW", "2-key"), ("enc", "A256GCM", "2-content")):
        audit.require(
            f"play.decode/{check}-algorithm",
            header.get(name) == algorithm,
            Reason.ALGORITHM,
            f"The token's {name} is not {algorithm}.",
        )
    _refuse_members(header, {"zip": "2-zip", "crit": "2-critical"}, audit)
    signed = _decrypt(segments, decryption_key)
    payload = _verified(signed, verification_key, audit)
    return examine_payload(payload, audit=audit)


def _malformed(detail: str, step: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=f"play.decode/{step}")


def _base64url(segment: str, length: int | None = None) -> bytes:
    if not _BASE64URL.fullmatch(segment) or len(segment) % 4 == 1:
        raise _malformed("A segment of the token is not base64url.", "3-base64url")
    decoded = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise _malformed("A segment of the token has stray bits.", "3-base64url")
    if length is not None and len(decoded) != length:
        raise _malformed("A segment of the token has another length.", "3-length")
    return decoded


def _header(segment: str, step: str, audit: Audit) -> Mapping[str, object]:
    return parse_object(
        _base64url(segment), audit, what="header of the token", step=f"play.decode/{step}"
    )


def _refuse_members(header: Mapping[str, object], steps: Mapping[str, str], audit: Audit) -> None:
    for name, step in steps.items():
        audit.require(
            f"play.decode/{step}",
            name not in header,
            Reason.MALFORMED,
            f"A header of the token has {name}.",
        )


def _decrypt(segments: list[str], decryption_key: bytes) -> str:
    wrapped = _base64url(segments[1], _WRAPPED_KEY_BYTES)
    nonce = _base64url(segments[2], _NONCE_BYTES)
    ciphertext = _base64url(segments[3])
    tag = _base64url(segments[4], _TAG_BYTES)
    try:
        content_key = aes_key_unwrap(decryption_key, wrapped)
    except InvalidUnwrap as error:
        raise AttestationError(
            Reason.SIGNATURE,
            "The token is encrypted for another decryption key, or was changed.",
            check="play.decode/4-unwrap",
        ) from error
    try:
        content = AESGCM(content_key).decrypt(nonce, ciphertext + tag, segments[0].encode())
    except InvalidTag as error:
        raise AttestationError(
            Reason.SIGNATURE, "The token was changed.", check="play.decode/5-tag"
        ) from error
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise _malformed("The token holds something else than a JWS.", "6-jws") from error


def _verified(signed: str, key: ec.EllipticCurvePublicKey, audit: Audit) -> bytes:
    """Return what was signed."""
    segments = signed.split(".")
    if len(segments) != _JWS_SEGMENTS:
        raise _malformed("The token holds something else than a JWS.", "6-jws")
    header = _header(segments[0], "7", audit)
    audit.require(
        "play.decode/7-algorithm",
        header.get("alg") == "ES256",
        Reason.ALGORITHM,
        "The token is not signed with ES256.",
    )
    _refuse_members(header, {"crit": "7-critical"}, audit)
    payload = _base64url(segments[1])
    signature = _base64url(segments[2])
    audit.require(
        "play.decode/8-signature",
        _is_signature(signature, f"{segments[0]}.{segments[1]}".encode(), key),
        Reason.SIGNATURE,
        "The token's signature does not verify.",
    )
    return payload


def _is_signature(signature: bytes, message: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    if len(signature) != 2 * _COORDINATE_BYTES:
        return False
    r = int.from_bytes(signature[:_COORDINATE_BYTES])
    s = int.from_bytes(signature[_COORDINATE_BYTES:])
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
