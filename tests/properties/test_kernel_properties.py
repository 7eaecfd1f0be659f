"""Properties of the protocol kernel, over generated input."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.protocol import examples
from tests.vectors.vector_files import FOLDER

from quorumkey.errors import ProtocolError, ReceiptRefused
from quorumkey.protocol import (
    Challenge,
    Decision,
    Enrollment,
    Execution,
    JsonValue,
    Kind,
    PasskeyPolicy,
    PrivateKey,
    PublicKey,
    Push,
    Receipt,
    RequestDocument,
    Session,
    Statement,
    Succession,
    Unpair,
    WebAuthnAssertion,
    b64decode,
    b64encode,
    b64url_decode,
    b64url_encode,
    check_text,
    format_pairing_code,
    format_time,
    is_impossible,
    json_equal,
    lost_groups,
    make_pairing_code,
    normalise_pairing_code,
    origin_of,
    parse_envelope,
    parse_push_address,
    parse_time,
    satisfied_groups,
    sign,
    strict_json,
    uuid7,
    verify_statement,
    webhook,
)
from quorumkey.protocol.passkey import verify_assertion
from quorumkey.receipts import load_policy, verify_receipt

if TYPE_CHECKING:
    from collections.abc import Callable

_STATEMENTS: tuple[type[Statement], ...] = (
    RequestDocument,
    Challenge,
    Decision,
    Enrollment,
    Session,
    Push,
    Unpair,
    Succession,
    Receipt,
    Execution,
)
_KEY = PrivateKey.generate()
_PASSKEYS = PasskeyPolicy("example.com", frozenset({"https://example.com"}))

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53 - 1), 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_values: st.SearchStrategy[JsonValue] = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def _own_error_or_value(read: Callable[[], object]) -> None:
    with suppress(ProtocolError):
        read()


@cache
def _payloads() -> list[bytes]:
    cases = json.loads((FOLDER / "statements.json").read_text(encoding="utf-8"))["cases"]
    good = [case["payload"] for case in cases if case["valid"] and len(case["payload"]) < 4_000]
    return [b64decode(payload, field="payload") for payload in good]


@st.composite
def _mangled(draw: st.DrawFn) -> bytes:
    """A valid payload with a few bytes or members changed."""
    payload = draw(st.sampled_from(_payloads()))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(payload)))
        cut = draw(st.integers(0, 3))
        payload = payload[:place] + draw(st.binary(max_size=3)) + payload[place + cut :]
    return payload


def _places(value: JsonValue) -> list[tuple[str | int, ...]]:
    """The paths to every value inside `value`, and to itself."""
    paths: list[tuple[str | int, ...]] = [()]
    if isinstance(value, dict):
        paths += [(name, *path) for name, item in value.items() for path in _places(item)]
    elif isinstance(value, list):
        paths += [(index, *path) for index, item in enumerate(value) for path in _places(item)]
    return paths


def _planted(value: JsonValue, path: tuple[str | int, ...], new: JsonValue) -> JsonValue:
    """A copy of `value` with `new` at `path`."""
    if not path:
        return new
    if isinstance(value, dict):
        return {
            name: _planted(item, path[1:], new) if name == path[0] else item
            for name, item in value.items()
        }
    assert isinstance(value, list)
    return [
        _planted(item, path[1:], new) if index == path[0] else item
        for index, item in enumerate(value)
    ]


@st.composite
def _replanted(draw: st.DrawFn) -> bytes:
    """A valid payload in which one value, anywhere, is another."""
    value = strict_json.loads(draw(st.sampled_from(_payloads())), max_bytes=10_000)
    return strict_json.dumps(_planted(value, draw(st.sampled_from(_places(value))), draw(_values)))


@given(st.binary() | _mangled() | _replanted(), st.sampled_from(_STATEMENTS))
def test_any_bytes_into_a_statement(payload: bytes, statement: type[Statement]) -> None:
    """Any bytes are a statement that, written again, reads as itself, or our own error."""
    with suppress(ProtocolError):
        decoded = statement.decode(payload)

        assert decoded == statement.decode(decoded.encode())


@given(_mangled() | _replanted())
def test_any_payload_is_read_or_refused_by_every_kind(payload: bytes) -> None:
    """A payload that one kind accepts is not accepted by two."""
    accepted: list[Kind] = []
    for statement in _STATEMENTS:
        with suppress(ProtocolError):
            statement.decode(payload)
            accepted.append(statement.KIND)

    assert len(accepted) <= 1


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_into_the_json_reader(data: bytes) -> None:
    """Any bytes are a value or our own error, from each reader that takes bytes."""
    _own_error_or_value(lambda: strict_json.loads(data, max_bytes=1_000))
    _own_error_or_value(lambda: load_policy(data))
    _own_error_or_value(lambda: PublicKey.from_compressed(data))
    _own_error_or_value(lambda: PrivateKey.from_pem(data))
    _own_error_or_value(lambda: _KEY.public_key.verify(data, b"message"))


@given(st.binary(max_size=60), st.binary())
def test_any_bytes_into_a_passkey_signature(authenticator_data: bytes, client: bytes) -> None:
    """Any authenticator and client data are refused with our own error."""
    with pytest.raises(ProtocolError):
        verify_assertion(
            WebAuthnAssertion(authenticator_data, client),
            b"",
            signed=b"",
            key=_KEY.public_key,
            policy=_PASSKEYS,
        )


@given(_values)
def test_any_value_into_the_readers_of_values(value: JsonValue) -> None:
    """Any JSON value is read or refused with our own error."""
    _own_error_or_value(lambda: parse_envelope(value))
    _own_error_or_value(lambda: parse_push_address(value))
    _own_error_or_value(lambda: PublicKey.from_base64(value))
    _own_error_or_value(lambda: parse_time(value, field="x"))
    _own_error_or_value(lambda: b64decode(value, field="x"))
    _own_error_or_value(lambda: b64url_decode(value, field="x"))
    _own_error_or_value(lambda: normalise_pairing_code(value))
    _own_error_or_value(lambda: check_text(value, field="x", minimum=0, maximum=10))


@given(st.text())
def test_any_text_into_the_readers_of_text(text: str) -> None:
    """Any text is read or refused with our own error."""
    _own_error_or_value(lambda: origin_of(text))
    _own_error_or_value(lambda: webhook.generate_secret(text.encode("utf-8", "replace")))
    headers = {"webhook-id": text, "webhook-timestamp": text, "webhook-signature": text}
    secret = webhook.generate_secret(bytes(32))
    with pytest.raises(ProtocolError):
        webhook.verify(secret, headers, b"", now=0)
    _own_error_or_value(lambda: webhook.verify(text, headers, b"", now=0))


@given(
    st.binary()
    | st.text()
    | st.dictionaries(st.text(), _values, max_size=3)
    | st.fixed_dictionaries(
        {
            "payloadType": st.just("application/vnd.quorumkey.receipt.v1+json") | _values,
            "payload": st.binary().map(b64encode) | _values,
            "signatures": st.lists(
                st.fixed_dictionaries(
                    {
                        "keyid": st.just(_KEY.public_key.fingerprint) | _values,
                        "sig": st.binary().map(b64encode) | _values,
                    }
                )
            )
            | _values,
        }
    )
)
def test_any_input_into_the_receipt_verifier(receipt: bytes | str | dict[str, JsonValue]) -> None:
    """Whatever is given as a receipt, nothing but a refusal comes out."""
    with pytest.raises(ReceiptRefused):
        verify_receipt(
            receipt,
            relay_public_keys=[_KEY.public_key],
            integrator_id="acme",
            nonce=examples.NONCE,
            now=0,
            action=examples.ACTION,
            required=1,
            groups=examples.policy(_KEY).groups,
        )


@given(st.binary() | _mangled(), st.sampled_from(_STATEMENTS))
def test_signed_rubbish(payload: bytes, statement: type[Statement]) -> None:
    """A payload under a good signature is read as strictly as any other."""
    envelope = sign(statement.KIND, payload, _KEY)

    _own_error_or_value(lambda: verify_statement(envelope, statement, key=_KEY.public_key))


@given(_values)
def test_json_reader_agrees_with_the_standard_library(value: JsonValue) -> None:
    """Valid JSON in any style is read as json.loads reads it, and written so that it reads back."""
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, indent=2),
        strict_json.dumps(value).decode(),
    ):
        read = strict_json.loads(text.encode(), max_bytes=1_000_000)

        assert json_equal(value, read)
        assert json.loads(text) == read


@given(st.binary())
def test_base64_round_trips(data: bytes) -> None:
    """What is encoded decodes to itself, in both alphabets."""
    assert data == b64decode(b64encode(data), field="x")
    assert data == b64url_decode(b64url_encode(data), field="x")


@given(st.text(st.sampled_from("AQRYgw+/-_= \n\u0661"), max_size=9))
def test_base64_has_one_spelling(text: str) -> None:
    """Text that decodes is exactly the text that encoding gives."""
    for decode, encode in ((b64decode, b64encode), (b64url_decode, b64url_encode)):
        try:
            data = decode(text, field="x")
        except ProtocolError:
            continue

        assert text == encode(data)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_times_round_trip(seconds: int) -> None:
    """Every second of the years 1 to 9999 is written and read back."""
    assert seconds == parse_time(format_time(seconds), field="x")


@given(st.text(st.sampled_from("0123456789-:TZtz+. W"), min_size=18, max_size=22))
def test_times_have_one_spelling(text: str) -> None:
    """Text that is a time is exactly the text that is written for it."""
    try:
        seconds = parse_time(text, field="x")
    except ProtocolError:
        return

    assert text == format_time(seconds)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ids_carry_their_time(milliseconds: int, random: bytes) -> None:
    """The first 48 bits of an id are its time."""
    made = uuid7(milliseconds=milliseconds, random=random)

    assert milliseconds == int(made.replace("-", "")[:12], 16)


@given(st.binary(min_size=8, max_size=8))
def test_pairing_codes_read_back(random: bytes) -> None:
    """A made code is itself when shown, lower-cased and mistyped in the allowed ways."""
    code = make_pairing_code(random)

    shown = format_pairing_code(code)
    typed = shown.lower().replace("0", "o").replace("1", "l")
    assert code == normalise_pairing_code(shown) == normalise_pairing_code(typed)


_members = st.sampled_from("abcdefgh")
_groups = st.lists(st.frozensets(_members, min_size=1), min_size=1, max_size=5)


@given(_groups, st.lists(_members), _members)
def test_quorum_grows_with_approvals(
    groups: list[frozenset[str]], approvals: list[str], another: str
) -> None:
    """One more approval keeps every satisfied group, in its order."""
    before = satisfied_groups(groups, approvals)

    after = satisfied_groups(groups, [*approvals, another])

    assert before == after[: len(before)]
    assert {*range(len(groups))} >= {*after}


@given(_groups, st.lists(_members))
def test_satisfied_means_one_member_approved(
    groups: list[frozenset[str]], approvals: list[str]
) -> None:
    """A group is satisfied exactly when one of its members approved."""
    assert {index for index, members in enumerate(groups) if members & {*approvals}} == {
        *satisfied_groups(groups, approvals)
    }


@given(_groups, st.lists(_members), st.sets(_members), _members, st.integers(1, 5))
def test_losses_grow_with_those_out(
    groups: list[frozenset[str]], approvals: list[str], out: set[str], another: str, required: int
) -> None:
    """One more member out never wins a group back, and what is impossible stays so."""
    satisfied = satisfied_groups(groups, approvals)

    assert lost_groups(groups, satisfied, out) <= lost_groups(groups, satisfied, out | {another})
    assert not lost_groups(groups, satisfied, out) & {*satisfied}
    if is_impossible(required=required, groups=groups, satisfied=satisfied, out=out):
        assert is_impossible(
            required=required, groups=groups, satisfied=satisfied, out=out | {another}
        )


@given(_groups, st.sets(_members), st.integers(1, 5))
def test_impossible_means_that_no_approvals_help(
    groups: list[frozenset[str]], out: set[str], required: int
) -> None:
    """A quorum is impossible exactly when everyone left approving would not reach it."""
    everyone_left = sorted({member for group in groups for member in group} - out)

    assert is_impossible(required=required, groups=groups, satisfied=(), out=out) == (
        len(satisfied_groups(groups, everyone_left)) < required
    )
