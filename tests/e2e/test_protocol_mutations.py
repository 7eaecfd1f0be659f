"""Spoilt envelopes of every statement: each is refused with the right code and never counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import ok, refused
from tests.e2e.protocol_crypto import Key, b64, compact, malleated, media_type, unb64
from tests.e2e.protocol_spoilt import SHAPES, SIGNATURES, with_sig
from tests.e2e.protocol_statements import KINDS, STATEMENTS, Statement, entry_of, sealed

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
BAD_JSON = (400, "invalid_json")
UNSIGNED = (400, "invalid_signature")
SPENT = (410, "nonce_expired")
NOT_FOUND = (404, "not_found")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_is_accepted_as_it_is(world: World, statement: type[Statement]) -> None:
    """What the other tests spoil is accepted unspoilt."""
    speaker = statement(world.acme)

    assert speaker.send(sealed(speaker)).status_code in {200, 201, 204}


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
