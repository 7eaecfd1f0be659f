"""The decoder of classic tokens, against joserfc and against attackers."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey

from quorumkey_attestation import AttestationError, Reason
from quorumkey_attestation.play_integrity import IntegrityPayload, PlayIntegrityDecoder
from quorumkey_attestation.testing import pki, play
from quorumkey_attestation.testing.play import Token

CONTENT = play.encode_json(play.payload())
PUBLIC_KEY = play.signing_key().public_key()
SPKI = PUBLIC_KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
ALGORITHMS = ["A256KW", "A256GCM"]


@pytest.fixture
def decoder() -> PlayIntegrityDecoder:
    """A decoder with the test keys."""
    return PlayIntegrityDecoder(play.DECRYPTION_KEY, PUBLIC_KEY)


def refusal(decoder: PlayIntegrityDecoder, token: str) -> AttestationError:
    """Return why a token is refused."""
    with pytest.raises(AttestationError) as refused:
        decoder.decode(token)
    return refused.value


def sealed_by_joserfc(content: str, **header: str) -> str:
    """Return a JWE that joserfc made."""
    return jwe.encrypt_compact(
        {"alg": "A256KW", "enc": "A256GCM", **header},
        content,
        OctKey.import_key(play.DECRYPTION_KEY),
        algorithms=[*ALGORITHMS, "DEF"],
    )


def signed_by_joserfc() -> str:
    """Return a JWS that joserfc made."""
    key = ECKey.import_key(play.signing_key())
    return jws.serialize_compact({"alg": "ES256"}, CONTENT, key, algorithms=["ES256"])


def test_a_token_of_another_implementation_is_opened(decoder: PlayIntegrityDecoder) -> None:
    """What joserfc signs and encrypts, the decoder reads."""
    token = sealed_by_joserfc(signed_by_joserfc())

    assert IntegrityPayload.from_json(CONTENT) == decoder.decode(token)


def test_minted_tokens_are_opened_by_another_implementation() -> None:
    """What the tests mint, joserfc decrypts and verifies."""
    sealed = jwe.decrypt_compact(
        Token(content=CONTENT).encrypt(),
        OctKey.import_key(play.DECRYPTION_KEY),
        algorithms=ALGORITHMS,
    )
    assert sealed.plaintext is not None
    signed = jws.deserialize_compact(
        sealed.plaintext, ECKey.import_key(play.signing_key()), algorithms=["ES256"]
    )

    assert CONTENT == signed.payload


def test_a_compressed_token_is_refused_before_anything_is_inflated(
    decoder: PlayIntegrityDecoder,
) -> None:
    """A bomb of zeros behind ``zip`` is refused by its header."""
    assert (
        "play.decode/2-zip" == refusal(decoder, sealed_by_joserfc("0" * 200_000, zip="DEF")).check
    )


def test_an_unsigned_inner_token_is_refused(decoder: PlayIntegrityDecoder) -> None:
    """Algorithm none, with no signature, is refused for its algorithm."""
    token = Token(content=CONTENT, jws_header=b'{"alg":"none"}')

    assert Reason.ALGORITHM is refusal(decoder, token.encrypt(token.jws(b"").encode())).reason


@pytest.mark.parametrize(
    ("signature", "case"),
    [
        (bytes(64), "r and s are 0"),
        (b"\xff" * 64, "r and s are beyond the order"),
        (pki.sign(play.signing_key(), b"DER"), "DER"),
        (b"", "nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_signature_of_another_form_is_refused(
    decoder: PlayIntegrityDecoder, signature: bytes, case: str
) -> None:
    """Only r and s, each of 32 bytes and within the order, make a signature."""
    token = Token(content=CONTENT)

    assert case
    assert (
        "play.decode/8-signature"
        == refusal(decoder, token.encrypt(token.jws(signature).encode())).check
    )


def test_no_token_has_two_spellings(decoder: PlayIntegrityDecoder) -> None:
    """Any one character changed, added or taken away makes another token, which is refused."""
    token = Token(content=CONTENT).encrypt()
    decoder.decode(token)
    for position in range(0, len(token), 7):
        before, after = token[:position], token[position + 1 :]
        for other in ("A", "B", "w", "=", "+", "\n", "é", ".", ""):
            if other != token[position]:
                refusal(decoder, before + other + after)
        refusal(decoder, before + "A" + token[position:])
    for suffix in ("=", "\n", ".", "A"):
        refusal(decoder, token + suffix)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", Reason.UNSUPPORTED),
        ("....", Reason.MALFORMED),
        ("W10....", Reason.MALFORMED),
        ("MQ....", Reason.MALFORMED),
        ("a.b.c", Reason.MALFORMED),
        ("." * 70_000, Reason.MALFORMED),
        ("A" * 70_000, Reason.MALFORMED),
        (play.base64url(b"[" * 20_000) + "....", Reason.MALFORMED),
        (play.base64url(b'{"alg":' + b"9" * 5_000 + b"}") + "....", Reason.MALFORMED),
        (play.base64url(b'{"alg":1}') + "....", Reason.ALGORITHM),
        (play.base64url(b'{"alg":"A256KW","enc":[]}') + "....", Reason.ALGORITHM),
        (play.base64url(b'{"alg":"A256KW","enc":"A256GCM","crit":1}') + "....", Reason.MALFORMED),
        (play.base64url(b'{"alg":"A256KW","enc":"A256GCM"}') + "....", Reason.MALFORMED),
    ],
    ids=[
        "empty",
        "no header",
        "header is a list",
        "header is a number",
        "three segments",
        "dots",
        "too long",
        "nested",
        "a very long number",
        "alg is a number",
        "enc is a list",
        "crit is a number",
        "no key",
    ],
)
def test_what_is_no_token_is_refused(
    decoder: PlayIntegrityDecoder, token: str, reason: Reason
) -> None:
    """Whatever the text, the answer is a refusal with its reason."""
    assert reason is refusal(decoder, token).reason


@pytest.mark.parametrize("size", [0, 1, 16, 33, 65_000], ids=str)
def test_what_is_encrypted_is_read_as_strictly(decoder: PlayIntegrityDecoder, size: int) -> None:
    """Content that is no JWS is refused, though the encryption is right."""
    content = Token(content=b"\xff" * size, is_signed=False)

    assert Reason.MALFORMED is refusal(decoder, content.encrypt()).reason


def test_a_key_for_a_shorter_cipher_is_refused(decoder: PlayIntegrityDecoder) -> None:
    """A wrapped key of 16 bytes does not turn A256GCM into A128GCM."""
    segments = Token(content=CONTENT).encrypt().split(".")
    segments[1] = play.base64url(bytes(24))

    assert "play.decode/3-length" == refusal(decoder, ".".join(segments)).check


def test_a_shorter_tag_is_refused(decoder: PlayIntegrityDecoder) -> None:
    """A tag is not cut to fewer bits."""
    segments = Token(content=CONTENT).encrypt().split(".")
    segments[4] = play.base64url(base64.urlsafe_b64decode(segments[4] + "==")[:12])

    assert "play.decode/3-length" == refusal(decoder, ".".join(segments)).check


def test_the_console_s_spelling_of_the_keys_is_read() -> None:
    """A decoder can be made of the two base64 texts that the Play Console shows."""
    decoder = PlayIntegrityDecoder.from_console(
        base64.b64encode(play.DECRYPTION_KEY).decode(), base64.b64encode(SPKI).decode()
    )

    assert IntegrityPayload.from_json(CONTENT) == decoder.decode(Token(content=CONTENT).encrypt())


def test_a_decoder_does_not_show_its_secret() -> None:
    """Neither ``repr`` nor ``str`` of a decoder holds the decryption key."""
    decoder = PlayIntegrityDecoder(play.DECRYPTION_KEY, PUBLIC_KEY)

    assert play.DECRYPTION_KEY.hex() not in f"{decoder!r}{decoder}"
    assert repr(play.DECRYPTION_KEY) not in f"{decoder!r}{decoder}"


@pytest.mark.parametrize("size", [0, 16, 31, 33], ids=str)
def test_a_decryption_key_of_another_length_is_the_caller_s_mistake(size: int) -> None:
    """Only AES-256 keys are taken."""
    with pytest.raises(ValueError, match="32 bytes"):
        PlayIntegrityDecoder(bytes(size), PUBLIC_KEY)


def test_a_verification_key_on_another_curve_is_the_caller_s_mistake() -> None:
    """Only P-256 keys are taken."""
    with pytest.raises(ValueError, match="P-256"):
        PlayIntegrityDecoder(
            play.DECRYPTION_KEY, pki.private_key("another", ec.SECP384R1()).public_key()
        )


def test_a_verification_key_of_another_kind_is_the_caller_s_mistake() -> None:
    """What the Play Console hands out is a key of an elliptic curve."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="elliptic"):
        PlayIntegrityDecoder.from_console(
            base64.b64encode(play.DECRYPTION_KEY).decode(), base64.b64encode(spki).decode()
        )


def test_a_token_of_another_app_is_refused(decoder: PlayIntegrityDecoder) -> None:
    """The signature key decides, even under the right decryption key."""
    token = replace(Token(content=CONTENT), signer=pki.private_key("another app"))

    assert Reason.SIGNATURE is refusal(decoder, token.encrypt()).reason
