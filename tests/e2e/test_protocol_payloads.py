"""Signed payloads of every statement that say too much, too little or something else (§3)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import ok, refused
from tests.e2e.protocol_crypto import Json, Key, compact
from tests.e2e.protocol_statements import KINDS, STATEMENTS, Statement, entry_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
BAD_JSON = (400, "invalid_json")
UNSIGNED = (400, "invalid_signature")
SPENT = (410, "nonce_expired")


SPOILT: dict[str, Json] = {
    "version 2": {"v": 2},
    "version 0": {"v": 0},
    "version as text": {"v": "1"},
    "version true": {"v": True},
    "version null": {"v": None},
    "a member more": {"extra": 1},
    "a critical extension": {"extensions": {"x": 1}, "critical": ["x"]},
    "a critical name without extension": {"critical": ["x"]},
    "a reserved critical extension": {"extensions": {"intent": {}}, "critical": ["intent"]},
    "critical a text": {"critical": "x"},
    "critical null": {"critical": None},
    "extensions a list": {"extensions": []},
    "extensions null": {"extensions": None},
    "another relay": {"relay": "00" * 32},
    "a relay in capitals": {"relay": "AB" * 32},
    "another device": {"device": "00" * 32},
    "device null": {"device": None},
    "a deep member": {"extra": [[[[[[[[1]]]]]]]]},
}


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.parametrize("kind", KINDS)
def test_signed_payload_is_strict(statements: dict[str, Statement], kind: str, name: str) -> None:
    """A well-signed payload with a wrong member is refused with 400 and does not count."""
    statement = statements[kind]

    status, code = refused(
        statement.send(statement.key.seal(kind, statement.payload() | SPOILT[name]))
    )

    assert status == 400
    assert code in {"invalid_request", "invalid_fingerprint", "invalid_signature"}
    assert code != "invalid_signature" or name == "another device"
    assert statement.is_untouched()


@pytest.mark.parametrize("kind", KINDS)
def test_signed_payload_is_complete(statements: dict[str, Statement], kind: str) -> None:
    """A well-signed payload without one of its members is ``invalid_request``."""
    statement = statements[kind]
    for name in statement.payload():
        payload = statement.payload()
        del payload[name]

        assert refused(statement.send(statement.key.seal(kind, payload))) == INVALID, name
    assert statement.is_untouched()


@pytest.mark.parametrize("value", [None, 1, True, [], {}, "", "\u0000", "x" * 300])
@pytest.mark.parametrize("kind", KINDS)
def test_signed_payload_has_its_types(
    statements: dict[str, Statement], kind: str, value: object
) -> None:
    """A well-signed payload with a member of another type is refused with a 4xx of its own."""
    statement = statements[kind]
    for name in statement.payload():
        payload: Json = statement.payload() | {name: value}

        status, code = refused(statement.send(statement.key.seal(kind, payload)))
        assert status == 400, (name, code)
    assert statement.is_untouched()


def twice(payload: bytes) -> bytes:
    """The payload with its last member twice."""
    last = payload.rpartition(b',"')[2]
    return payload[:-1] + b',"' + last


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "cut": lambda p: p[:-1],
    "longer": lambda p: p + b"x",
    "two": lambda p: p + p,
    "a byte order mark": lambda p: b"\xef\xbb\xbf" + p,
    "UTF-16": lambda p: p.decode().encode("utf-16"),
    "no UTF-8": lambda p: p[:-1] + b',"x":"\xff"}',
    "a member twice": twice,
    "a lone surrogate": lambda p: p[:-1] + b',"extensions":{"x":"\\ud800"}}',
    "a float": lambda p: p[:-1] + b',"extensions":{"x":1.0}}',
    "an exponent": lambda p: p[:-1] + b',"v":1e0}',
    "minus zero": lambda p: p[:-1] + b',"extensions":{"x":-0}}',
    "NaN": lambda p: p[:-1] + b',"extensions":{"x":NaN}}',
    "a big integer": lambda p: p[:-1] + b',"extensions":{"x":9007199254740993}}',
    "depth 33": lambda p: p[:-1] + b',"extensions":{"x":' + b"[" * 31 + b"]" * 31 + b"}}",
}


@pytest.mark.parametrize("name", BYTES)
@pytest.mark.parametrize("kind", KINDS)
def test_signed_bytes_are_strict_json(
    statements: dict[str, Statement], kind: str, name: str
) -> None:
    """Well-signed bytes that are not JSON as the page has it are refused with 400."""
    statement = statements[kind]
    payload = BYTES[name](compact(statement.payload()))

    found = refused(statement.send(statement.key.seal(kind, payload)))

    assert found in {INVALID, BAD_JSON}
    assert statement.is_untouched()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_extensions_that_are_not_critical_do_no_harm(
    world: World, statement: type[Statement]
) -> None:
    """Every statement may carry extensions of unknown names, and ``v`` of 1."""
    speaker = statement(world.acme)
    deep: Json = {"x": 1}
    for _ in range(29):
        deep = {"x": deep}
    extensions: Json = {"x": deep, "localized": "reserved"}
    critical: list[str] = []
    payload = speaker.payload() | {"v": 1, "extensions": extensions, "critical": critical}

    answer = speaker.send(speaker.key.seal(speaker.kind, payload))

    assert answer.status_code in {200, 201, 204}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "decision"])
def test_refused_statement_has_spent_its_nonce(statements: dict[str, Statement], kind: str) -> None:
    """A nonce whose first presentation was refused for its signature is spent."""
    statement = statements[kind]
    payload = statement.payload()
    forged = Key().seal(kind, payload)
    entry_of(forged)["keyid"] = statement.key.fingerprint
    assert refused(statement.send(forged)) == UNSIGNED

    assert refused(statement.send(statement.key.seal(kind, payload))) == SPENT
    assert statement.is_untouched()


def test_decision_for_another_request_is_refused(world: World) -> None:
    """A valid decision on one request does not count on another of the same device."""
    device = world.acme.device("two-requests")
    one, other = world.acme.asked([device]), world.acme.asked([device])
    envelope = device.key.seal("decision", device.decision(one, "approve"))

    assert refused(device.send_decision(other, copy.deepcopy(envelope))) == INVALID
    assert world.acme.status(other) == "pending"
    assert ok(device.send_decision(one, envelope))["status"] == "approved"
