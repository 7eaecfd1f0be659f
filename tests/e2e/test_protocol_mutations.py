"""Spoilt envelopes of every statement: each is refused with the right code and never counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import utils
from tests.e2e.protocol_client import ok, refused
from tests.e2e.protocol_crypto import ORDER, Json, Key, b64, compact, malleated, media_type, unb64
from tests.e2e.protocol_statements import KINDS, STATEMENTS, Statement, entry_of, sealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
BAD_JSON = (400, "invalid_json")
UNSIGNED = (400, "invalid_signature")
SPENT = (410, "nonce_expired")
NOT_FOUND = (404, "not_found")


def with_sig(envelope: Json, signature: bytes) -> Json:
    """The envelope with another signature."""
    return with_entry(envelope, sig=b64(signature))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_is_accepted_as_it_is(world: World, statement: type[Statement]) -> None:
    """What the other tests spoil is accepted unspoilt."""
    speaker = statement(world.acme)

    assert speaker.send(sealed(speaker)).status_code in {200, 201, 204}


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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_shape_of_an_envelope(statements: dict[str, Statement], kind: str, shape: str) -> None:
    """An envelope that is not exactly of the page's shape and type is ``invalid_request``."""
    statement = statements[kind]

    assert refused(statement.send(SHAPES[shape](sealed(statement)))) == INVALID
    assert statement.is_untouched()


OTHERS = [
    (kind, other)
    for kind in KINDS
    for other in (*KINDS, "request", "challenge", "receipt", "succession", "execution")
    if other != kind
]


@pytest.mark.parametrize(("kind", "other"), OTHERS)
def test_type_of_another_statement(statements: dict[str, Statement], kind: str, other: str) -> None:
    """A payload signed or labelled as another type is refused before its signature is looked at."""
    statement = statements[kind]
    signed_as_other = statement.key.seal(other, statement.payload())
    labelled = sealed(statement) | {"payloadType": media_type(other)}

    assert refused(statement.send(signed_as_other)) == INVALID
    assert refused(statement.send(labelled)) == INVALID
    relabelled = signed_as_other | {"payloadType": media_type(kind)}
    assert refused(statement.send(relabelled)) == UNSIGNED
    assert statement.is_untouched()


@pytest.mark.parametrize(("kind", "other"), [pair for pair in OTHERS if pair[1] in KINDS])
def test_statement_sent_to_another_call(
    statements: dict[str, Statement], kind: str, other: str
) -> None:
    """A valid statement of one kind is refused where another is expected."""
    assert refused(statements[other].send(sealed(statements[kind]))) == INVALID
    assert statements[other].is_untouched()
    assert statements[kind].is_untouched()


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


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("kind", KINDS)
def test_signature_bytes(statements: dict[str, Statement], kind: str, name: str) -> None:
    """A signature that is no strict DER, or is another one, is refused.

    It is ``invalid_signature``, or ``invalid_request`` where no P-256 signature has its length.
    """
    statement = statements[kind]
    envelope = sealed(statement)
    changed = SIGNATURES[name](unb64(entry_of(envelope)["sig"]))

    found = refused(statement.send(with_sig(envelope, changed)))

    assert found == (UNSIGNED if 8 <= len(changed) <= 72 else INVALID)
    assert statement.is_untouched()


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_signature(statements: dict[str, Statement], kind: str) -> None:
    """A signature with any one byte changed is ``invalid_signature``."""
    statement = statements[kind]
    for index in range(70):
        envelope = sealed(statement)
        signature = bytearray(unb64(entry_of(envelope)["sig"]))
        signature[index % len(signature)] ^= 1 << index % 8

        assert refused(statement.send(with_sig(envelope, bytes(signature)))) == UNSIGNED


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_payload(statements: dict[str, Statement], kind: str) -> None:
    """A payload with any one byte changed is refused: unsigned, or unreadable before that."""
    statement = statements[kind]
    allowed = {UNSIGNED}
    if kind != "decision":  # whose key stands in the request; others name theirs in the payload
        allowed |= {INVALID, BAD_JSON, SPENT, (400, "invalid_public_key")}
        allowed |= {(400, "invalid_fingerprint")}
    length = len(compact(statement.payload()))
    for index in range(0, length, max(1, length // 90)):
        envelope = sealed(statement)
        payload = bytearray(unb64(envelope["payload"]))
        payload[index % len(payload)] ^= 1 << index % 7

        found = refused(statement.send(envelope | {"payload": b64(bytes(payload))}))
        assert found in allowed, (index, bytes(payload))
    assert statement.is_untouched()


@pytest.mark.parametrize("kind", KINDS)
def test_payload_with_white_space(statements: dict[str, Statement], kind: str) -> None:
    """The same document in other bytes is ``invalid_signature``: bytes are signed, not JSON."""
    statement = statements[kind]
    envelope = sealed(statement)
    payload = unb64(envelope["payload"])

    for other in (payload + b" ", b"\n" + payload, payload.replace(b":", b": ", 1)):
        fresh = sealed(statement)
        spoilt = fresh | {"payload": b64(unb64(fresh["payload"]).replace(b":", b": ", 1))}
        assert refused(statement.send(spoilt)) == UNSIGNED
        assert other != payload


@pytest.mark.parametrize("kind", KINDS)
def test_keyid_of_another(statements: dict[str, Statement], kind: str) -> None:
    """A right signature under another ``keyid`` is refused."""
    statement = statements[kind]
    for keyid in (Key().fingerprint, "00" * 32):
        envelope = sealed(statement)
        entry_of(envelope)["keyid"] = keyid

        assert refused(statement.send(envelope)) == (NOT_FOUND if kind == "decision" else UNSIGNED)
    assert statement.is_untouched()


@pytest.mark.parametrize("keyid", ["", "x", "ab" * 31, "ab" * 33, "AB" * 32, None, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_keyid_that_is_no_fingerprint(
    statements: dict[str, Statement], kind: str, keyid: object
) -> None:
    """A ``keyid`` that is no fingerprint is refused with a 4xx."""
    statement = statements[kind]
    envelope = sealed(statement)
    entry_of(envelope)["keyid"] = keyid

    found = refused(statement.send(envelope))

    assert found in {INVALID, UNSIGNED, NOT_FOUND, (400, "invalid_fingerprint")}
    assert statement.is_untouched()


@pytest.mark.parametrize("kind", KINDS)
def test_signature_of_another_key(statements: dict[str, Statement], kind: str) -> None:
    """Another key's signature is refused under its own name and under the device's."""
    statement = statements[kind]
    thief = Key()
    under_own = thief.seal(kind, statement.payload())
    under_theirs = thief.seal(kind, statement.payload())
    entry_of(under_theirs)["keyid"] = statement.key.fingerprint

    expected = NOT_FOUND if kind == "decision" else UNSIGNED
    assert refused(statement.send(under_own)) == expected
    assert refused(statement.send(under_theirs)) == UNSIGNED
    assert statement.is_untouched()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_malleated_signature_is_no_second_statement(
    world: World, statement: type[Statement]
) -> None:
    """The other signature (r, n - s) of a statement that was taken neither counts nor replays."""
    speaker = statement(world.acme)
    envelope = sealed(speaker)
    first = speaker.send(envelope)
    assert first.status_code in {200, 201, 204}

    again = speaker.send(with_sig(envelope, malleated(unb64(entry_of(envelope)["sig"]))))

    if speaker.kind == "decision":
        assert ok(again) == first.json()
    else:
        assert refused(again) == SPENT
