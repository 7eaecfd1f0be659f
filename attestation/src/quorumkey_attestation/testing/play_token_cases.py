"""Play Integrity's cases about the token around the payload: P1 to P5, P15, P18 to P22."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki, play
from quorumkey_attestation.testing.play import Token
from quorumkey_attestation.testing.play_case import control_token, keys, token_case

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case
    from quorumkey_attestation.testing.play import Json

__all__ = ["token_cases"]


def token_cases() -> tuple[Case, ...]:
    """Return the cases in the order of their numbers."""
    return (*_outer_and_inner(), *_further())


def _outer_and_inner() -> tuple[Case, ...]:
    outer, inner = "play.decode/2-key-algorithm", "play.decode/7-algorithm"
    other_key = Token(
        content=control_token().content, signer=pki.private_key("play integrity of another app")
    )
    content = play.encode_json(play.payload())
    return (
        token_case("P1a", "JWE dir", _outer("dir").encrypt(), Reason.ALGORITHM, outer),
        token_case("P1b", "JWE RSA-OAEP", _outer("RSA-OAEP").encrypt(), Reason.ALGORITHM, outer),
        token_case(
            "P1c",
            "JWE PBES2",
            _outer("PBES2-HS256+A128KW").encrypt(),
            Reason.ALGORITHM,
            outer,
        ),
        token_case(
            "P1d",
            "JWE A128CBC-HS256",
            _outer("A256KW", "A128CBC-HS256").encrypt(),
            Reason.ALGORITHM,
            "play.decode/2-content-algorithm",
        ),
        token_case(
            "P1e",
            "JWE dir, and encrypted so",
            _really_direct(),
            Reason.ALGORITHM,
            outer,
            has_reading=False,
        ),
        token_case("P2a", "JWS none", _inner("none").encrypt(), Reason.ALGORITHM, inner),
        token_case("P2b", "JWS HS256", _inner("HS256").encrypt(), Reason.ALGORITHM, inner),
        token_case(
            "P2c",
            "JWS HS256, with the public key as secret",
            _really_hs256(),
            Reason.ALGORITHM,
            inner,
            has_reading=False,
        ),
        token_case(
            "P3",
            "JWE zip",
            control_token(jwe_header=b'{"alg":"A256KW","enc":"A256GCM","zip":"DEF"}').encrypt(),
            Reason.MALFORMED,
            "play.decode/2-zip",
        ),
        token_case(
            "P4",
            "the content is not signed at all",
            Token(content=content, is_signed=False).encrypt(),
            Reason.MALFORMED,
            "play.decode/6-jws",
            has_reading=False,
        ),
        token_case(
            "P5a",
            "encrypted for another decryption key",
            Token(content=content, decryption_key=play.derive("another key")).encrypt(),
            Reason.SIGNATURE,
            "play.decode/4-unwrap",
            has_reading=False,
        ),
        token_case(
            "P5b",
            "signed with another key",
            other_key.encrypt(),
            Reason.SIGNATURE,
            "play.decode/8-signature",
        ),
        token_case(
            "P5c",
            "the ciphertext changed in one bit",
            _flipped(control_token().encrypt()),
            Reason.SIGNATURE,
            "play.decode/5-tag",
            has_reading=False,
        ),
    )


def _further() -> tuple[Case, ...]:
    twice = play.encode_json(play.payload())[:-1] + b',"accountDetails":{"appLicensingVerdict":'
    return (
        token_case(
            "P15",
            "a standard token",
            play.base64url(b"".join(play.derive(f"standard {part}", 64) for part in range(12))),
            Reason.UNSUPPORTED,
            "play.decode/1-classic",
            has_reading=False,
        ),
        token_case(
            "P18",
            "JWE crit",
            control_token(jwe_header=b'{"alg":"A256KW","enc":"A256GCM","crit":["exp"]}').encrypt(),
            Reason.MALFORMED,
            "play.decode/2-critical",
        ),
        token_case(
            "P19",
            "JWS crit",
            control_token(jws_header=b'{"alg":"ES256","crit":["exp"]}').encrypt(),
            Reason.MALFORMED,
            "play.decode/7-critical",
        ),
        token_case(
            "P20",
            "JWE header with two alg",
            control_token(jwe_header=b'{"alg":"dir","alg":"A256KW","enc":"A256GCM"}').encrypt(),
            Reason.MALFORMED,
            "play.decode/2-duplicate",
        ),
        token_case(
            "P21",
            "JWS header with two alg",
            control_token(jws_header=b'{"alg":"none","alg":"ES256"}').encrypt(),
            Reason.MALFORMED,
            "play.decode/7-duplicate",
        ),
        token_case(
            "P22",
            "payload with a member twice",
            Token(content=twice + b'"LICENSED"}}').encrypt(),
            Reason.MALFORMED,
            "play.payload/1-duplicate",
        ),
        *_shapeless(),
    )


def _shapeless() -> tuple[Case, ...]:
    """Return the tokens in which nothing can be opened."""
    token = control_token().encrypt()
    header, key, nonce, ciphertext, tag = token.split(".")
    tokens = (
        ("P28", "four segments", f"{header}.{key}.{nonce}.{ciphertext}", "1-segments"),
        ("P29", "a segment with padding", f"{token}=", "3-base64url"),
        (
            "P30",
            "a nonce cut short",
            ".".join((header, key, nonce[:-4], ciphertext, tag)),
            "3-length",
        ),
    )
    return tuple(
        token_case(number, title, made, Reason.MALFORMED, f"play.decode/{step}", has_reading=False)
        for number, title, made, step in tokens
    )


def _outer(algorithm: str, encryption: str = "A256GCM") -> Token:
    header: dict[str, Json] = {"alg": algorithm, "enc": encryption}
    return control_token(jwe_header=play.encode_json(header))


def _inner(algorithm: str) -> Token:
    return control_token(jws_header=play.encode_json({"alg": algorithm}))


def _really_direct() -> str:
    """Return a token whose content key *is* the decryption key (RFC 7518 section 4.5)."""
    header = play.base64url(b'{"alg":"dir","enc":"A256GCM"}')
    nonce = play.derive("content nonce", 12)
    content = control_token().jws().encode()
    sealed = AESGCM(play.DECRYPTION_KEY).encrypt(nonce, content, header.encode())
    parts = (b"", nonce, sealed[:-16], sealed[-16:])
    return ".".join((header, *(play.base64url(part) for part in parts)))


def _really_hs256() -> str:
    """Return a token signed with the public key as though it were a shared secret."""
    token = _inner("HS256")
    spki = bytes.fromhex(str(keys()["verification_key"]))
    tag = hmac.digest(spki, token.signing_input().encode(), hashlib.sha256)
    return token.encrypt(token.jws(tag).encode())


def _flipped(token: str) -> str:
    header, key, nonce, ciphertext, tag = token.split(".")
    first = "A" if ciphertext[0] != "A" else "B"
    return ".".join((header, key, nonce, first + ciphertext[1:], tag))
