from __future__ import annotations

from uuid import RFC_4122, UUID

import pytest

from quorumkey.protocol import check_uuid7, uuid7


def test_layout_of_rfc_9562() -> None:
    """Time leads, version and variant stand where they belong, the rest is the given noise."""
    made = UUID(uuid7(milliseconds=0x0196_675D_3B00, random=b"\xff" * 10))

    assert (7, RFC_4122) == (made.version, made.variant)
    assert UUID("0196675d-3b00-7fff-bfff-ffffffffffff") == made
    assert UUID("00000000-0000-7000-8000-000000000000") == UUID(
        uuid7(milliseconds=0, random=b"\x00" * 10)
    )


def test_later_ids_sort_later() -> None:
    """Ids of later milliseconds are greater, whatever the noise."""
    earlier = uuid7(milliseconds=1_777_024_800_000, random=b"\xff" * 10)
    later = uuid7(milliseconds=1_777_024_800_001, random=b"\x00" * 10)

    assert earlier < later


def test_made_ids_are_accepted() -> None:
    """What is made passes the check."""
    made = uuid7(milliseconds=2**48 - 1, random=b"0123456789")

    assert made == check_uuid7(made, field="id")


@pytest.mark.parametrize(
    ("milliseconds", "random"), [(-1, b"0" * 10), (2**48, b"0" * 10), (0, b"0" * 9), (0, b"0" * 11)]
)
def test_arguments_out_of_range(milliseconds: int, random: bytes) -> None:
    """A time beyond 48 bits or another amount of noise is the caller's bug."""
    with pytest.raises(ValueError, match="48 bits"):
        uuid7(milliseconds=milliseconds, random=random)
