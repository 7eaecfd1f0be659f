"""Our CBOR reader: its rules, and what cbor2 says to the same octets."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quorumkey_attestation import AttestationError, Reason, cbor
from quorumkey_attestation.audit import Audit

if TYPE_CHECKING:
    from quorumkey_attestation.cbor import CborValue

INTEGERS = st.integers(min_value=-(1 << 64), max_value=(1 << 64) - 1)
KEYS = INTEGERS | st.text(max_size=8) | st.binary(max_size=8)
VALUES: st.SearchStrategy[CborValue] = st.recursive(
    INTEGERS | st.text(max_size=30) | st.binary(max_size=300) | st.booleans(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


def depth_of(value: CborValue) -> int:
    """Return how many arrays and maps stand inside one another."""
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


def decode(data: bytes) -> CborValue:
    """Read with a trail of its own."""
    return cbor.decode(data, Audit(), what="item")


def refusal(data: bytes) -> str | None:
    """Return the check that refuses ``data``, all refusals being for the same reason."""
    with pytest.raises(AttestationError) as refused:
        decode(data)

    assert Reason.MALFORMED is refused.value.reason
    return refused.value.check


def by_cbor2(data: bytes) -> object:
    """Decode exactly one item with cbor2."""
    stream = BytesIO(data)
    value: object = cbor2.CBORDecoder(stream).decode()
    assert len(data) == stream.tell()
    return value


def identical(ours: object, theirs: object) -> bool:
    """Compare values and types all the way down: True is not 1, and order counts."""
    return repr(ours) == repr(theirs)


@given(VALUES)
def test_what_cbor2_writes_in_the_subset_is_read(value: CborValue) -> None:
    """The shortest encoding of any value of the subset gives the value back."""
    data = cbor2.dumps(value)
    if depth_of(value) > cbor.MAX_DEPTH:
        assert refusal(data) == "cbor/1-depth"
    else:
        assert identical(decode(data), value)


@given(VALUES)
def test_the_canonical_order_of_keys_is_read_too(value: CborValue) -> None:
    """Sorted keys are as good as unsorted ones."""
    data = cbor2.dumps(value, canonical=True)
    if depth_of(value) <= cbor.MAX_DEPTH:
        assert decode(data) == value


@given(st.binary(max_size=64))
@example(b"\xa2\x01\x01\xf5\x01")
@example(b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")
def test_what_we_read_cbor2_reads_alike(data: bytes) -> None:
    """Any octets: either we refuse them, or cbor2 gives the very same value."""
    try:
        ours = decode(data)
    except AttestationError as refused:
        assert refused.check  # noqa: PT017  # a refusal is one of the two good ends
        return

    assert identical(ours, by_cbor2(data))


@given(VALUES, st.data())
def test_mutations_are_read_alike_or_refused(value: CborValue, draw: st.DataObject) -> None:
    """As above, for encodings with one octet changed, which come further than random ones."""
    data = bytearray(cbor2.dumps(value))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        ours = decode(bytes(data))
    except AttestationError as refused:
        assert refused.check  # noqa: PT017  # as above
        return

    assert identical(ours, by_cbor2(bytes(data)))


@given(VALUES)
def test_every_value_has_one_encoding_up_to_the_order_of_keys(value: CborValue) -> None:
    """What is read and written again in its shortest form is the same octets."""
    data = cbor2.dumps(value)
    if depth_of(value) <= cbor.MAX_DEPTH:
        assert data == cbor2.dumps(decode(data))


@given(VALUES, st.integers(min_value=1))
def test_no_beginning_of_an_item_is_an_item(value: CborValue, cut: int) -> None:
    """An item that is cut off anywhere is refused."""
    data = cbor2.dumps(value)
    if depth_of(value) <= cbor.MAX_DEPTH:
        assert refusal(data[: -1 - cut % len(data)]) == "cbor/2-length"


@given(VALUES, st.binary(min_size=1, max_size=8))
def test_an_item_inside_octets_is_found_with_its_end(value: CborValue, around: bytes) -> None:
    """``decode_first`` reads from a position and says where the item ends."""
    data = cbor2.dumps(value)
    if depth_of(value) <= cbor.MAX_DEPTH:
        start = len(around)

        assert (value, start + len(data)) == cbor.decode_first(
            around + data + around, start, Audit(), what="item"
        )


@pytest.mark.parametrize(
    ("data", "check"),
    [
        ("", "cbor/2-length"),
        ("18", "cbor/2-length"),
        ("62c3", "cbor/2-length"),
        ("41", "cbor/2-length"),
        ("5f41ff", "cbor/2-length"),
        ("7fff", "cbor/2-length"),
        ("9fff", "cbor/2-length"),
        ("bfff", "cbor/2-length"),
        ("1c", "cbor/2-length"),
        ("1d", "cbor/2-length"),
        ("1e", "cbor/2-length"),
        ("1f", "cbor/2-length"),
        ("5affffffff", "cbor/2-length"),
        ("9affffffff", "cbor/2-length"),
        ("baffffffff", "cbor/2-length"),
        ("1817", "cbor/3-shortest"),
        ("1900ff", "cbor/3-shortest"),
        ("1a0000ffff", "cbor/3-shortest"),
        ("1b00000000ffffffff", "cbor/3-shortest"),
        ("3800", "cbor/3-shortest"),
        ("580100", "cbor/3-shortest"),
        ("b80100", "cbor/3-shortest"),
        ("c000", "cbor/4-tag"),
        ("d9d9f700", "cbor/4-tag"),
        ("e0", "cbor/4-kind"),
        ("f6", "cbor/4-kind"),
        ("f7", "cbor/4-kind"),
        ("f8ff", "cbor/4-kind"),
        ("f93c00", "cbor/4-kind"),
        ("fb3ff0000000000000", "cbor/4-kind"),
        ("ff", "cbor/4-kind"),
        ("61ff", "cbor/4-kind"),
        ("63eda080", "cbor/4-kind"),
        ("a201000100", "cbor/5-duplicate"),
        ("a2616100616100", "cbor/5-duplicate"),
        ("a1f400", "cbor/5-keys"),
        ("a18000", "cbor/5-keys"),
        ("a1a000", "cbor/5-keys"),
        ("0000", "cbor/6-trailing"),
        ("81" * 9 + "00", "cbor/1-depth"),
        ("a100" * 9 + "00", "cbor/1-depth"),
        ("c0" * 9 + "00", "cbor/4-tag"),
        ("81" * 1000, "cbor/1-depth"),
        ("990801" + "00" * 0x0801, "cbor/1-size"),
        ("82990800" + "00" * 0x0800 + "00", "cbor/1-size"),
        ("b90401" + "".join(f"19{1000 + n:04x}00" for n in range(0x0401)), "cbor/1-size"),
    ],
    ids=lambda value: value if len(value) <= 24 else f"{value[:20]} and so on",
)
def test_the_rules_one_by_one(data: str, check: str) -> None:
    """Each encoding outside the subset is refused by the rule that it breaks."""
    assert check == refusal(bytes.fromhex(data))


def test_as_many_items_as_are_allowed() -> None:
    """The bound is the last number that is read."""
    data = bytes.fromhex("990800") + bytes(cbor.MAX_ITEMS)

    assert [0] * cbor.MAX_ITEMS == decode(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("18ff", 255),
        ("190100", 256),
        ("1a00010000", 1 << 16),
        ("1b0000000100000000", 1 << 32),
        ("1bffffffffffffffff", (1 << 64) - 1),
        ("20", -1),
        ("3bffffffffffffffff", -(1 << 64)),
        ("f4", False),
        ("f5", True),
        ("40", b""),
        ("60", ""),
        ("80", []),
        ("a0", {}),
        ("a2200101f4", {-1: 1, 1: False}),
        ("a2010041010a", {1: 0, b"\x01": 10}),
        ("81" * 8 + "00", [[[[[[[[0]]]]]]]]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_bounds_of_every_kind(data: str, value: CborValue) -> None:
    """Each form at its limits is read as the value it stands for."""
    assert identical(decode(bytes.fromhex(data)), value)


def test_an_item_beyond_the_limit_is_not_looked_at() -> None:
    """64 KiB are read, one octet more is not."""
    content = bytes(cbor.MAX_BYTES - 3)
    item = b"\x59" + len(content).to_bytes(2) + content

    assert content == decode(item)
    assert "cbor/1-size" == refusal(item + b"\x00")


@pytest.mark.parametrize(
    ("check", "data", "value"),
    [
        ("cbor/3-shortest", "1817", 23),
        ("cbor/4-tag", "c000", 0),
        ("cbor/5-duplicate", "a201000101", {1: 1}),
        ("cbor/6-trailing", "0000", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_ignored_rule_leaves_the_obvious_reading(
    check: str, data: str, value: CborValue
) -> None:
    """The harness can switch off what a lax decoder would let pass, and reads as one does."""
    audit = Audit(ignored=frozenset({check}))

    assert value == cbor.decode(bytes.fromhex(data), audit, what="item")
