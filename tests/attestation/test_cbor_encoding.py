from __future__ import annotations

import cbor2
import pytest

from quorumkey_attestation import cbor
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.testing.cbor_encoding import (
    Encodable,
    Encoded,
    encode,
    encode_float,
    encode_head,
    encode_indefinite,
    encode_pairs,
    encode_simple,
    encode_tagged,
)

GOOD: dict[str, Encodable] = {
    "zero": 0,
    "23": 23,
    "24": 24,
    "255": 255,
    "256": 256,
    "65535": 65_535,
    "65536": 65_536,
    "2**32": 2**32,
    "minus 1": -1,
    "minus 300": -300,
    "text": "x" * 24,
    "bytes": b"x" * 256,
    "list": [1, [2, b""]],
    "map": {"b": 1, "a": {-1: True, 2: False}},
}
BAD: dict[str, tuple[bytes, str]] = {
    "a key twice": (encode_pairs([("a", 1), ("a", 2)]), "cbor/5-duplicate"),
    "an integer too long": (encode_head(0, 23, octets=1), "cbor/3-shortest"),
    "a length too long": (encode_head(2, 1, octets=8) + b"x", "cbor/3-shortest"),
    "a tag": (encode_tagged(1, 0), "cbor/4-tag"),
    "a float": (encode_float(1.5), "cbor/4-kind"),
    "null": (encode_simple(22), "cbor/4-kind"),
    "indefinite bytes": (encode_indefinite(b"x"), "cbor/2-length"),
    "an indefinite list": (encode_indefinite([1, 2]), "cbor/2-length"),
    "an indefinite map": (encode_indefinite({"a": 1}), "cbor/2-length"),
}


@pytest.mark.parametrize("value", GOOD.values(), ids=GOOD)
def test_the_encoding_is_the_one_of_cbor2(value: Encodable) -> None:
    """Values are written in the shortest form, and a map in the order of its members."""
    assert cbor2.dumps(value) == encode(value)


@pytest.mark.parametrize(("encoded", "check"), BAD.values(), ids=BAD)
def test_a_bad_encoding_means_something_and_is_refused(encoded: bytes, check: str) -> None:
    """What is written badly on purpose is well-formed CBOR that the strict reader refuses."""
    cbor2.loads(encoded)

    with pytest.raises(AttestationError) as refusal:
        cbor.decode(encoded, Audit(), what="item")
    assert refusal.value.check == check


def test_an_encoded_item_stands_as_it_is() -> None:
    """Octets that are encoded already can stand inside other items."""
    assert b"\x82\x01\xf9\x00\x00" == encode([1, Encoded(b"\xf9\x00\x00")])
