"""Ways to spoil an envelope: its shape, and the bytes of its signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import utils
from tests.e2e.protocol_crypto import ORDER, Json, b64, compact
from tests.e2e.protocol_statements import entry_of

if TYPE_CHECKING:
    from collections.abc import Callable


def with_sig(envelope: Json, signature: bytes) -> Json:
    """The envelope with another signature."""
    return with_entry(envelope, sig=b64(signature))


EMPTY: Json = {}
NOTHING: list[Json] = []


def with_entry(envelope: Json, **members: object) -> Json:
    """The envelope with other members in its signature entry."""
    return envelope | {"signatures": [entry_of(envelope) | members]}


def without(envelope: Json, name: str) -> Json:
    """The envelope without a member."""
    return {member: value for member, value in envelope.items() if member != name}


SHAPES: dict[str, Callable[[Json], object]] = {
    "two signatures": lambda e: e | {"signatures": e["signatures"] * 2},
    "no signature": lambda e: e | {"signatures": NOTHING},
    "signatures null": lambda e: e | {"signatures": None},
    "signatures an object": lambda e: e | {"signatures": entry_of(e)},
    "entry null": lambda e: e | {"signatures": [None]},
    "entry empty": lambda e: e | {"signatures": [EMPTY]},
    "entry without sig": lambda e: e | {"signatures": [without(entry_of(e), "sig")]},
    "entry without keyid": lambda e: e | {"signatures": [without(entry_of(e), "keyid")]},
    "entry with a member": lambda e: with_entry(e, alg="none"),
    "sig null": lambda e: with_entry(e, sig=None),
    "sig a number": lambda e: with_entry(e, sig=1),
    "sig no base64": lambda e: with_entry(e, sig="?"),
    "sig with a space": lambda e: with_entry(e, sig=" " + entry_of(e)["sig"]),
    "envelope with a member": lambda e: e | {"extra": 1},
    "payload null": lambda e: e | {"payload": None},
    "payload an object": lambda e: e | {"payload": EMPTY},
    "payload no base64": lambda e: e | {"payload": "{}"},
    "payload with a line": lambda e: e | {"payload": e["payload"] + "\n"},
    "payload padded twice": lambda e: e | {"payload": e["payload"] + "===="},
    "no payload": lambda e: without(e, "payload"),
    "no type": lambda e: without(e, "payloadType"),
    "no signatures": lambda e: without(e, "signatures"),
    "type null": lambda e: e | {"payloadType": None},
    "type empty": lambda e: e | {"payloadType": ""},
    "type in capitals": lambda e: e | {"payloadType": e["payloadType"].upper()},
    "type with a parameter": lambda e: e | {"payloadType": e["payloadType"] + "; v=1"},
    "type of version 2": lambda e: e | {"payloadType": e["payloadType"].replace("v1", "v2")},
    "type of in-toto": lambda e: e | {"payloadType": "application/vnd.in-toto+json"},
    "a list": lambda e: [e],
    "a text": lambda e: compact(e).decode(),
}  # fmt: skip


def der(r: int, s: int) -> bytes:
    """A DER signature."""
    return utils.encode_dss_signature(r, s)


def padded(signature: bytes) -> bytes:
    """The signature with a zero too many before r: BER, not DER."""
    r_length = signature[3]
    return bytes([0x30, signature[1] + 1, 0x02, r_length + 1, 0]) + signature[4:]


def raw(signature: bytes) -> bytes:
    """The signature as JOSE writes it."""
    r, s = utils.decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def scaled(signature: bytes) -> bytes:
    """The signature with s + n, which is the same modulo n."""
    r, s = utils.decode_dss_signature(signature)
    return der(r, s + ORDER)


SIGNATURES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda s: s[:-1],
    "longer": lambda s: s + b"\x00",
    "long length": lambda s: b"\x30\x81" + s[1:],
    "indefinite length": lambda s: b"\x30\x80" + s[2:] + b"\x00\x00",
    "padded r": padded,
    "raw": raw,
    "s + n": scaled,
    "r zero": lambda s: der(0, utils.decode_dss_signature(s)[1]),
    "s zero": lambda s: der(utils.decode_dss_signature(s)[0], 0),
    "both zero": lambda _: der(0, 0),
    "both one": lambda _: der(1, 1),
    "both n": lambda _: der(ORDER, ORDER),
    "swapped": lambda s: der(*reversed(utils.decode_dss_signature(s))),
    "a set": lambda s: b"\x31" + s[1:],
    "twice": lambda s: s + s,
    "zeros": lambda s: bytes(len(s)),
    "huge": lambda _: bytes(5_000),
}
