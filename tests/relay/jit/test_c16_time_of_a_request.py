"""Until when a request for peers can be decided, as its token says it (C16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import BOB, desk, token_of
from tests.relay.simulator import refused

from quorumkey_relay.domain.jit.request import FORBIDDEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.jit.desk import Desk

pytestmark = pytest.mark.anyio


async def test_c16_the_token_ends_an_hour_after_it_was_issued(desk: Desk) -> None:
    """Without a setting it is an hour, whether the access ends before that or after."""
    now = desk.sim.clock.now()
    for minutes in (30, 120):
        claims = desk.tokens.read(token_of(await desk.ask(BOB, minutes=minutes)), now=now)

        assert (now, now + 3_600, now + 60 * minutes) == (
            claims.issued_at,
            claims.expires_at,
            claims.end,
        )


async def test_c16_the_token_ends_when_the_settings_say(
    tmp_path: Path, anyio_backend: object
) -> None:
    """Nobody approves after the time that the settings give a request, though access lasts on."""
    del anyio_backend
    async with desk(tmp_path, request_timeout_seconds=600) as opened:
        now = opened.sim.clock.now()
        request = await opened.ask(BOB, minutes=30)

        assert now + 600 == opened.tokens.read(token_of(request), now=now).expires_at
        opened.sim.clock.advance(600)
        assert FORBIDDEN == await refused(opened.cases.approve(BOB, token_of(request)))
        assert [] == opened.target.grants
