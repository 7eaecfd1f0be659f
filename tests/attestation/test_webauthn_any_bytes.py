"""Any bytes give a result or an AttestationError: WebAuthn's two entry points under fire."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from tests.attestation.webauthn_material import (
    BASE,
    GET,
    POLICY,
    REVOCATION,
    UNVERIFIED,
    register,
)

from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.testing import pki, webauthn
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.webauthn import (
    Statement,
    android_key,
    apple,
    assertion_signature,
    base64url,
    fido_u2f,
    none,
    packed,
    packed_self,
)
from quorumkey_attestation.testing.webauthn_tpm import tpm
from quorumkey_attestation.webauthn import (
    verify_webauthn_assertion,
    verify_webauthn_registration,
)

_MAKERS: Final = (none, packed_self, packed, tpm, fido_u2f, apple, android_key)
_OBJECTS: Final = tuple(webauthn.registration(BASE, make(BASE)) for make in _MAKERS)
_STATEMENTS: Final = tuple(make(BASE) for make in _MAKERS)
_LEAVES: Final = st.one_of(
    st.binary(max_size=80), st.integers(-(2**64), 2**64 - 1), st.text(max_size=8), st.booleans()
)


def _spoilt(whole: bytes, position: int, octets: bytes, cut: int) -> bytes:
    position %= len(whole)
    return whole[:position] + octets + whole[position + cut :]


@given(st.binary(max_size=400))
def test_any_attestation_object(data: bytes) -> None:
    """Random bytes for the attestation object are refused, and never crash."""
    with suppress(AttestationError):
        register(data)


@given(
    st.sampled_from(_OBJECTS),
    st.integers(0, 10_000),
    st.binary(max_size=4),
    st.integers(0, 4),
)
def test_any_spoilt_registration(whole: bytes, position: int, octets: bytes, cut: int) -> None:
    """A registration with a few bytes changed, added or taken away never crashes."""
    with suppress(AttestationError):
        register(_spoilt(whole, position, octets, cut), policy=UNVERIFIED)


@given(st.sampled_from(_STATEMENTS), st.data())
def test_any_member_of_a_statement(statement: Statement, data: st.DataObject) -> None:
    """A statement with a member of any kind and content never crashes."""
    names = [*statement.members, "sig", "x5c", "alg", "certInfo", "pubArea", "ver"]
    name = data.draw(st.sampled_from(names))
    value = data.draw(st.one_of(_LEAVES, st.lists(_LEAVES, max_size=3)))
    members = {**statement.members, name: value}
    with suppress(AttestationError):
        register(Statement(statement.format, members), policy=UNVERIFIED)


@given(st.dictionaries(st.sampled_from([1, 3, -1, -2, -3, 4]), _LEAVES, max_size=6))
def test_any_cose_key(members: dict[int, bytes | int | str | bool]) -> None:
    """A credential key with members of any kind never crashes."""
    parts = webauthn.Parts(cose=encode(members))
    with suppress(AttestationError):
        register(none(parts), parts=parts)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries(
            {"type": st.just("webauthn.get"), "challenge": st.text(), "origin": st.text()}
        ).map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace")),
        st.integers(1, 5_000).map(lambda depth: b'{"a":' * depth),
        st.integers(1, 5_000).map(lambda digits: b'{"a":' + b"9" * digits + b"}"),
    )
)
def test_any_client_data(data: bytes) -> None:
    """Client data of any shape, depth or size is refused, and never crashes."""
    with suppress(AttestationError):
        verify_webauthn_registration(
            _OBJECTS[0],
            client_data_json=data,
            challenge=webauthn.CHALLENGE,
            policy=POLICY,
            revocation=REVOCATION,
            now=pki.NOW,
        )


@given(st.binary(max_size=120), st.binary(max_size=80), st.booleans(), st.integers(0, 2**40))
def test_any_assertion(data: bytes, signature: bytes, genuine: bool, last: int) -> None:  # noqa: FBT001  # drawn by hypothesis
    """Authenticator data and signatures of any kind are refused, and never crash."""
    with suppress(AttestationError):
        verify_webauthn_assertion(
            authenticator_data=GET.assertion_data + data if genuine else data,
            client_data_json=GET.client_data_json,
            signature=assertion_signature(GET) if genuine else signature,
            challenge=webauthn.CHALLENGE,
            public_key=GET.key.public_key(),
            last_sign_count=last,
            policy=POLICY,
        )


@given(st.text())
def test_only_the_exact_challenge_is_taken(text: str) -> None:
    """No text but the unpadded base64url of the challenge gets past the client data."""
    expected = base64url(webauthn.CHALLENGE)
    parts = webauthn.Parts(members={"challenge": text})
    try:
        register(none(parts), parts=parts)
        accepted = True
    except AttestationError:
        accepted = False

    assert (text == expected) is accepted
