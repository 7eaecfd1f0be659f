"""Tests of quorumkey_attestation.android.revocation."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_attestation.android.revocation import (
    MAX_BYTES,
    MAX_CLOCK_DIFFERENCE,
    RevocationEntry,
    RevocationList,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
REVOKED = {"status": "REVOKED"}


def read(document: object) -> RevocationList:
    """The list that a document holds, fetched now."""
    return RevocationList.from_json(json.dumps(document).encode(), fetched_at=NOW)


def refused(data: bytes) -> AttestationError:
    """Why the octets are no list."""
    with pytest.raises(AttestationError) as caught:
        RevocationList.from_json(data, fetched_at=NOW)
    assert Reason.MALFORMED is caught.value.reason
    return caught.value


def test_entry() -> None:
    """An entry is found by its serial number, with all that it says."""
    revocation = read(
        {
            "entries": {
                "c0ffee": {
                    "status": "SUSPENDED",
                    "reason": "KEY_COMPROMISE",
                    "comment": "for a test",
                    "expires": "2030-01-01",
                }
            }
        }
    )

    assert RevocationEntry(
        "SUSPENDED", "KEY_COMPROMISE", "for a test", "2030-01-01"
    ) == revocation.check(0xC0FFEE)
    assert revocation.check(0xC0FFEF) is None


def test_digits_are_hexadecimal() -> None:
    """A name of digits alone is a hexadecimal number, never a decimal one."""
    revocation = read({"entries": {"6681152659205225093": REVOKED}})

    assert revocation.check(0x6681152659205225093) is not None
    assert revocation.check(6681152659205225093) is None


@pytest.mark.parametrize("name", ["00c0ffee", "C0FFEE", "00C0ffEE"])
def test_unusual_spelling(name: str) -> None:
    """Leading zeros and capitals mean the same number."""
    assert read({"entries": {name: REVOKED}}).check(0xC0FFEE) is not None


def test_status_of_the_future() -> None:
    """A status that nobody knows yet denies as well."""
    assert read({"entries": {"1": {"status": "LOST"}}}).check(1) is not None


def test_further_members() -> None:
    """Members beside the entries, and in an entry, do not make a list unusable."""
    document = {"entries": {"1": {**REVOKED, "more": [1]}}, "version": 2}

    assert read(document).check(1) is not None


def test_nothing_revoked() -> None:
    """A list without entries is a list."""
    assert 0 == len(read({"entries": {}}).entries)


@pytest.mark.parametrize(
    ("document", "check"),
    [
        ([], "2-entries"),
        ({}, "2-entries"),
        ({"entries": []}, "2-entries"),
        ({"entries": {"": REVOKED}}, "3-serial"),
        ({"entries": {"0x1f": REVOKED}}, "3-serial"),
        ({"entries": {"-1": REVOKED}}, "3-serial"),
        ({"entries": {"1_0": REVOKED}}, "3-serial"),
        ({"entries": {" 10": REVOKED}}, "3-serial"),
        ({"entries": {"10\n": REVOKED}}, "3-serial"),
        ({"entries": {"\u0661": REVOKED}}, "3-serial"),
        ({"entries": {"f" * 65: REVOKED}}, "3-serial"),
        ({"entries": {"1": "REVOKED"}}, "4-entry"),
        ({"entries": {"1": {}}}, "4-entry"),
        ({"entries": {"1": {"status": 1}}}, "4-entry"),
        ({"entries": {"1": {"status": "REVOKED", "reason": 1}}}, "4-entry"),
        ({"entries": {"1": {"status": "REVOKED", "expires": []}}}, "4-entry"),
    ],
    ids=[
        "array", "no-entries", "entries-array", "serial-empty", "serial-0x", "serial-negative",
        "serial-underscore", "serial-space", "serial-newline", "serial-arabic", "serial-long",
        "entry-text", "entry-empty", "status-number", "reason-number", "expires-array",
    ],
)  # fmt: skip  # a table, read by its rows
def test_wrong_shape(document: object, check: str) -> None:
    """A document of any other shape is refused as a whole."""
    error = refused(json.dumps(document).encode())

    assert f"android.revocation/{check}" == error.check


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"entries": {}} {}',
        b'{"entries": {}, "entries": {}}',
        b'{"entries": {"1": {"status": "REVOKED"}, "1": {"status": "REVOKED"}}}',
        b'{"entries": {}, "x": NaN}',
        b"[" * 100_000,
        b'{"entries": {}, "x": ' + b"9" * 10_000 + b"}",
    ],
    ids=[
        "empty", "cut-off", "not-utf8", "two-documents", "entries-twice", "serial-twice",
        "nan", "deep", "huge-number",
    ],
)  # fmt: skip  # as above
def test_not_json(data: bytes) -> None:
    """What is not JSON, or says a thing twice, is refused."""
    assert "android.revocation/1-json" == refused(data).check


def test_too_large() -> None:
    """A list beyond the greatest size is refused before it is read."""
    assert "android.revocation/1-size" == refused(b" " * (MAX_BYTES + 1)).check


def test_too_many_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list with more entries than the greatest number is refused."""
    monkeypatch.setattr("quorumkey_attestation.android.revocation.MAX_ENTRIES", 1)

    assert (
        "android.revocation/2-count"
        == refused(json.dumps({"entries": {"1": REVOKED, "2": REVOKED}}).encode()).check
    )


@pytest.mark.parametrize(
    "age",
    [timedelta(0), timedelta(days=2), -MAX_CLOCK_DIFFERENCE],
    ids=["just-fetched", "greatest-age", "clock-behind"],
)
def test_fresh(age: timedelta) -> None:
    """A list may be used up to its greatest age, and by a clock that is a little behind."""
    audit = Audit()

    RevocationList({}, NOW).require_fresh(NOW + age, audit)

    assert ("android.revocation/5-age",) == audit.checks


@pytest.mark.parametrize(
    "age",
    [timedelta(days=2, microseconds=1), -MAX_CLOCK_DIFFERENCE - timedelta(microseconds=1)],
    ids=["too-old", "from-the-future"],
)
def test_stale(age: timedelta) -> None:
    """A list that is older, or from the future, is refused."""
    with pytest.raises(AttestationError) as caught:
        RevocationList({}, NOW).require_fresh(NOW + age)

    assert Reason.REVOCATION_STALE is caught.value.reason


def test_callers_mistakes() -> None:
    """A moment without a time zone, and no age at all, are the caller's own mistakes."""
    naive = NOW.replace(tzinfo=None)

    with pytest.raises(ValueError, match="time zone"):
        RevocationList({}, naive)
    with pytest.raises(ValueError, match="time zone"):
        RevocationList({}, NOW).require_fresh(naive)
    with pytest.raises(ValueError, match="max_age"):
        RevocationList({}, NOW, timedelta(0))


@given(st.binary(max_size=256))
def test_any_octets(data: bytes) -> None:
    """Any octets give a list or a refusal, and no other exception."""
    with suppress(AttestationError):
        RevocationList.from_json(data, fetched_at=NOW)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_document(document: object) -> None:
    """Any JSON gives a list or a refusal, and no other exception."""
    with suppress(AttestationError):
        read({"entries": document})
