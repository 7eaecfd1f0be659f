"""Keys, encodings and envelopes as the protocol page says (§2, §3), with nothing of quorumkey's.

Written from the page alone, so that the relay is held to the page and not to its own kernel.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: A JSON object.
Json: TypeAlias = dict[str, Any]

#: The order of the group of P-256 (SEC 2, 2.4.2).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80

_SIGNING = ec.ECDSA(hashes.SHA256())


def b64(data: bytes) -> str:
    """Bytes as base64 (§2)."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Base64 as bytes; refuses every other way to write them."""
    data = base64.b64decode(text, validate=True)
    assert b64(data) == text
    return data


def b64url(data: bytes) -> str:
    """Bytes as browsers write them: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """Base64url without padding as bytes."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert b64url(data) == text
    return data


def utc(seconds: int) -> str:
    """Seconds since 1970 as the page writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def epoch(text: str) -> int:
    """A time of the page as seconds since 1970."""
    seconds = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    assert utc(seconds) == text
    return seconds


def compact(value: object) -> bytes:
    """A value as UTF-8 JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def media_type(name: str) -> str:
    """The payload type of a kind of document."""
    return f"application/vnd.quorumkey.{name}.v1+json"


def pae(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is over (§3)."""
    head = f"DSSEv1 {len(payload_type.encode())} {payload_type} {len(payload)} "
    return head.encode() + payload


def digest_of(payload: bytes) -> str:
    """The digest of a request's payload bytes."""
    return "sha256:" + hashlib.sha256(payload).hexdigest()


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """A P-256 point, SEC1 compressed."""
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def fingerprint_of(compressed: bytes) -> str:
    """The fingerprint of a compressed point."""
    return hashlib.sha256(compressed).hexdigest()


def envelope_of(name: str, payload: bytes, entry: Json) -> Json:
    """An envelope with one signature entry."""
    return {"payloadType": media_type(name), "payload": b64(payload), "signatures": [entry]}


def payload_of(envelope: Json) -> Json:
    """What an envelope says, unverified."""
    document: Json = json.loads(unb64(envelope["payload"]))
    return document


def malleated(signature: bytes) -> bytes:
    """The other DER signature (r, n - s) that verifies for the same message."""
    r, s = utils.decode_dss_signature(signature)
    return utils.encode_dss_signature(r, ORDER - s)


@dataclass
class Key:
    """A P-256 key that signs envelopes in the native form."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def compressed(self) -> bytes:
        """Its public point, 33 bytes."""
        return public_bytes(self.private.public_key())

    @property
    def public(self) -> str:
        """Its public point in base64: ``device_public_key``."""
        return b64(self.compressed)

    @property
    def fingerprint(self) -> str:
        """Its fingerprint: ``keyid`` and device id."""
        return fingerprint_of(self.compressed)

    def sign(self, message: bytes) -> bytes:
        """A DER signature."""
        return self.private.sign(message, _SIGNING)

    def seal(self, name: str, payload: Json | bytes) -> Json:
        """An envelope with a payload, given as a document or as the very bytes."""
        data = payload if isinstance(payload, bytes) else compact(payload)
        return envelope_of(name, data, self.entry(pae(media_type(name), data)))

    def entry(self, message: bytes) -> Json:
        """The signature entry for a message."""
        return {"keyid": self.fingerprint, "sig": b64(self.sign(message))}


@dataclass
class Passkey(Key):
    """An authenticator that holds a P-256 key and signs WebAuthn assertions (§3)."""

    rp_id: str = "127.0.0.1"
    origin: str = "http://127.0.0.1"
    flags: int = UP | UV
    counter: int = 0
    after: bytes = b""
    client_data: Json = field(default_factory=dict[str, Any])

    def entry(self, message: bytes) -> Json:
        """The signature entry; ``client_data`` replaces members of clientDataJSON."""
        challenge = b64url(hashlib.sha256(message).digest())
        said: Json = {"type": "webauthn.get", "challenge": challenge, "origin": self.origin}
        return self.assertion(compact(said | {"crossOrigin": False} | self.client_data))

    def assertion(self, client_data: bytes) -> Json:
        """The signature entry over the very bytes of a clientDataJSON."""
        scope = hashlib.sha256(self.rp_id.encode()).digest()
        data = scope + bytes([self.flags]) + self.counter.to_bytes(4, "big") + self.after
        return {
            "keyid": self.fingerprint,
            "sig": b64(self.sign(data + hashlib.sha256(client_data).digest())),
            "webauthn": {
                "authenticator_data": b64url(data),
                "client_data_json": b64url(client_data),
            },
        }


@dataclass(frozen=True)
class PasskeyRules:
    """The relying party id and the origins whose passkey signatures a verifier takes."""

    rp_id: str
    origins: tuple[str, ...]


def verify(
    envelope: Json, name: str, public_key: str, *, passkeys: PasskeyRules | None = None
) -> Json:
    """The payload of an envelope of one kind under one key; AssertionError when it is not."""
    assert envelope.keys() == {"payloadType", "payload", "signatures"}
    assert envelope["payloadType"] == media_type(name)
    (entry,) = envelope["signatures"]
    compressed = unb64(public_key)
    assert entry["keyid"] == fingerprint_of(compressed)
    payload = unb64(envelope["payload"])
    message = pae(envelope["payloadType"], payload)
    if "webauthn" in entry:
        assert passkeys is not None
        message = _asserted(entry["webauthn"], message, passkeys)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), compressed)
    try:
        key.verify(unb64(entry["sig"]), message, _SIGNING)
    except InvalidSignature:
        raise AssertionError("the signature does not verify") from None
    document: Json = json.loads(payload, object_pairs_hook=_no_duplicates)
    return document


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _asserted(webauthn: Json, message: bytes, rules: PasskeyRules) -> bytes:
    """What a passkey signed, after every check of §3 but the counter's."""
    client_data = unb64url(webauthn["client_data_json"])
    said: Json = json.loads(client_data, object_pairs_hook=_no_duplicates)
    assert said["type"] == "webauthn.get"
    assert said["challenge"] == b64url(hashlib.sha256(message).digest())
    assert said["origin"] in rules.origins
    assert said.get("crossOrigin", False) is False
    assert "topOrigin" not in said
    data = unb64url(webauthn["authenticator_data"])
    flags = data[32]
    assert data[:32] == hashlib.sha256(rules.rp_id.encode()).digest()
    assert flags & UP
    assert flags & UV
    assert not flags & AT
    assert flags & BE or not flags & BS
    assert len(data) == 37 or flags & ED
    return data + hashlib.sha256(client_data).digest()
