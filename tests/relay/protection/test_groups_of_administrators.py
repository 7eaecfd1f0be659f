"""The names of administrators' groups in the document that they sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import workshop

from quorumkey.protocol import limits
from quorumkey_relay.usecases.protection.panel import group_name

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

LONG = "x" * 120


def test_a_group_has_its_administrators_id() -> None:
    """An id that fits is the name as it is."""
    assert "alice@example.com" == group_name("alice@example.com")


def test_a_long_id_is_shortened() -> None:
    """The name has the start of the id, and no more characters than a name may have."""
    name = group_name(LONG)

    assert (limits.MAX_NAME_CHARS, True) == (len(name), name.startswith("x" * 60))


async def test_no_id_takes_the_name_of_another(tmp_path: Path) -> None:
    """An administrator whose id is what another's is shortened to stops no call."""
    async with workshop(tmp_path, None, "alice", LONG, group_name(LONG)) as shop:
        waiting = await shop.waits()
        document = await shop.document(waiting.txid)

    assert 3 == len({group["name"] for group in document["policy"]["groups"]})
