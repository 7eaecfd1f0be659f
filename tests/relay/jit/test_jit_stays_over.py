"""What was over stays over, and what was made under milder rules is judged by those of today."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import ALICE, BOB, CAROL, Desk, token_of
from tests.relay.simulator import refused

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from quorumkey_relay.usecases.jit.views import AccessRequestView

pytestmark = pytest.mark.anyio

MINUTE = 60


async def expired(desk: Desk) -> AccessRequestView:
    """A request of half an hour that nobody answered, of which that was told."""
    view = await desk.ask()
    desk.sim.clock.advance(30 * MINUTE)
    await desk.done()
    assert await desk.told() == ["requested", "expired"]
    return view


async def test_jit_a_clock_that_is_set_back_opens_nothing_again(desk: Desk) -> None:
    """A request that was told to be over cannot be approved, whatever the clock says later."""
    view = await expired(desk)
    desk.sim.clock.advance(-20 * MINUTE)

    assert (await refused(desk.cases.approve(BOB, token_of(view)))).code == "request_completed"
    assert (await refused(desk.cases.deny(BOB, token_of(view)))).code == "request_completed"
    assert await desk.status(view) == "EXPIRED"
    assert desk.target.grants == []
    assert await desk.told() == ["requested", "expired"]


async def test_jit_a_device_opens_nothing_again_either(signing: Desk) -> None:
    """Where the signed request was not ended yet, no vote counts for what was told to be over."""
    view = await expired(signing)
    signing.sim.clock.advance(-20 * MINUTE)

    answer = await signing.vote(view)

    assert isinstance(answer, Refusal)
    assert answer.code == "request_completed"
    assert await signing.status(view) == "EXPIRED"
    assert signing.target.grants == []


async def test_c12_nobody_joins_what_is_over_and_not_yet_ended(desk: Desk) -> None:
    """At the end to the second no further approval counts, though nothing has ended it yet."""
    view = await desk.ask(BOB, CAROL)
    await desk.approve(view)
    desk.sim.clock.advance(30 * MINUTE)

    answer = await refused(desk.cases.approve(CAROL, token_of(view)))

    assert (answer.code, await desk.status(view)) == ("request_completed", "ENDED")
    assert len(desk.target.grants) == 1


async def test_jit_a_device_approves_nothing_that_is_not_known(
    signing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed request for a role without its request for a role is approved by nobody."""
    view = await signing.ask()

    async def unknown(request_id: str) -> None:
        del request_id

    monkeypatch.setattr(signing.sim.store, "access_request_of", unknown)

    assert await signing.vote(view) == FORBIDDEN
    stored = await signing.sim.store.load(str(view.request_id))
    assert stored is not None
    assert stored.state.ballots == {}


async def test_jit_another_integrators_requests_are_nobodys(desk: Desk) -> None:
    """Where the setting names another integrator since, links of before lead nowhere."""
    view = await desk.ask()
    rules = replace(desk.rules, integrator_id=str(view.entitlements[0].id))
    find = replace(desk.cases.reviewing.find, rules=rules)
    reviewing = replace(desk.cases.reviewing, find=find)
    desk.cases = replace(desk.cases, reviewing=reviewing)

    assert await refused(desk.cases.read_request(ALICE, token_of(view))) == FORBIDDEN


async def test_jit_a_click_does_not_count_once_devices_decide(desk: Desk) -> None:
    """Where the operator has gone over to devices, a request of before is approved by no click."""
    view = await desk.ask()
    reviewing = replace(desk.cases.reviewing, rules=replace(desk.rules, approval="device"))
    desk.cases = replace(desk.cases, reviewing=reviewing)

    answer = await refused(desk.cases.approve(BOB, token_of(view)))

    assert answer.code == "failed_precondition"
    assert desk.target.grants == []
    assert await desk.status(view) == "ACTIVATION_PENDING"
