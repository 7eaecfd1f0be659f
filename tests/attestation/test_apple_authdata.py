"""Apple's authenticator data, byte by byte."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation.apple_material import ASSERTION, ATTESTATION

from quorumkey_attestation.apple.authdata import parse_assertion_data, parse_attestation_data
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing.apple import extension_map

if TYPE_CHECKING:
    from collections.abc import Callable

ATTESTED = ATTESTATION.authenticator_data
BARE = ATTESTED[:164]
ASSERTED = ASSERTION.authenticator_data


def _refusal(parse: Callable[[bytes, Audit], object], data: bytes) -> AttestationError:
    with pytest.raises(AttestationError) as refused:
        parse(data, Audit())
    return refused.value


def test_an_attestations_fields_are_read() -> None:
    """Hash, counter, aaguid, credential id, point and extension map stand where Apple says."""
    data = parse_attestation_data(ATTESTED, Audit())

    assert (ATTESTATION.key_id, ATTESTATION.point, 0, b"appattest" + bytes(7)) == (
        data.credential_id,
        data.point,
        data.counter,
        data.aaguid,
    )
    assert {
        "apple_bundle_version_01": "1",
        "apple_validation_category_01": b"\x04\0\0\0",
    } == data.extensions


@pytest.mark.parametrize("flags", [0x40, 0xC0, 0x00], ids=["as sent", "with ED", "none"])
@pytest.mark.parametrize("extensions", [b"", extension_map()], ids=["without", "with map"])
def test_the_flags_do_not_say_what_is_there(flags: int, extensions: bytes) -> None:
    """Apple sends the map with ED clear, so only what remains tells whether there is one."""
    data = BARE[:32] + bytes([flags]) + BARE[33:] + extensions

    assert bool(extensions) is bool(parse_attestation_data(data, Audit()).extensions)


@pytest.mark.parametrize("extensions", [b"", extension_map()], ids=["without", "with map"])
def test_an_assertions_fields_are_read(extensions: bytes) -> None:
    """37 bytes with AT set hold no credential; the map may follow them."""
    data = parse_assertion_data(ASSERTED + extensions, Audit())

    assert (5, bool(extensions)) == (data.counter, bool(data.extensions))


@pytest.mark.parametrize("length", range(37))
def test_an_assertion_that_is_cut_off_is_refused(length: int) -> None:
    """Nothing below 37 bytes is authenticator data."""
    assert "apple.authdata/1-length" == _refusal(parse_assertion_data, ASSERTED[:length]).check


@pytest.mark.parametrize("length", range(164))
def test_an_attestation_that_is_cut_off_is_refused(length: int) -> None:
    """Every field has to be there in full."""
    assert "apple.authdata/1-length" == _refusal(parse_attestation_data, BARE[:length]).check


@pytest.mark.parametrize("length", [0, 31, 33, 65535])
def test_a_credential_id_has_32_bytes(length: int) -> None:
    """No other length is looked at, within the data or beyond it."""
    data = ATTESTED[:53] + length.to_bytes(2) + ATTESTED[55:]

    assert "apple.authdata/2-credential-length" == _refusal(parse_attestation_data, data).check


@pytest.mark.parametrize("position", [*range(87, 97), *range(129, 132)])
def test_a_cose_key_has_one_encoding(position: int) -> None:
    """Another type, algorithm, curve or length, or another way to write them, is refused."""
    data = bytearray(ATTESTED)
    data[position] ^= 1

    assert "apple.authdata/3-cose-key" == _refusal(parse_attestation_data, bytes(data)).check


@pytest.mark.parametrize(
    ("extra", "check"),
    [
        (b"\0", "apple.authdata/4-map"),
        (b"\x80", "apple.authdata/4-map"),
        (b"\x61a", "apple.authdata/4-map"),
        (b"\xa1", "cbor/2-length"),
        (b"\xa0\0", "apple.authdata/4-trailing"),
        (extension_map() * 2, "apple.authdata/4-trailing"),
    ],
    ids=["number", "array", "text", "cut off", "one more byte", "two maps"],
)
@pytest.mark.parametrize(
    ("parse", "start"),
    [(parse_attestation_data, BARE), (parse_assertion_data, ASSERTED)],
    ids=["attestation", "assertion"],
)
def test_what_follows_is_one_map_and_nothing_else(
    parse: Callable[[bytes, Audit], object], start: bytes, extra: bytes, check: str
) -> None:
    """Every byte is accounted for."""
    refusal = _refusal(parse, start + extra)

    assert (Reason.MALFORMED, check) == (refusal.reason, refusal.check)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_give_fields_or_a_refusal(data: bytes, kept: int) -> None:
    """Nothing but AttestationError leaves the parsers, whatever they are given."""
    for parse in (parse_attestation_data, parse_assertion_data):
        for candidate in (data, ATTESTED[:kept] + data):
            with suppress(AttestationError):
                parse(candidate, Audit())
