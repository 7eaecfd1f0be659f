"""How many calls may wait at once: nobody keeps others from being asked, nor from governing."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import INTEGRATOR
from tests.relay.protection.workshop import ALICE, BOB, KEY, METHODS, Workshop, workshop
from tests.relay.simulator import granted, refused

from quorumkey_relay.usecases.protection.commands import CallerBody, CheckBody, MessageBody
from quorumkey_relay.usecases.protection.views import WaitView
from quorumkey_relay.usecases.protection.waiting import (
    MAX_PENDING_CALLS,
    MAX_PENDING_GOVERNING,
    MAX_PENDING_PER_CALLER,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.rpc_office import Office

    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.usecases.protection.views import Verdict

pytestmark = pytest.mark.anyio

_NUMBERS = count()
FULL = ("rate_limited", {"limit": MAX_PENDING_PER_CALLER})
SET = "SetMultipartyApprovalSettings"
DISABLE = "DisableMultipartyApproval"


def another(shop: Workshop, caller: CallerBody = ALICE) -> CheckBody:
    """A call that was never made before."""
    return shop.body(request={"number": next(_NUMBERS)}, caller=caller)


async def fill(shop: Workshop, caller: CallerBody = ALICE) -> list[str]:
    """As many waiting calls of one caller as there may be."""
    return [(await shop.waits(another(shop, caller))).txid for _ in range(MAX_PENDING_PER_CALLER)]


def everybody() -> list[CallerBody]:
    """As few callers as can fill all the room that there is."""
    people = range(MAX_PENDING_CALLS // MAX_PENDING_PER_CALLER)
    return [CallerBody("person", f"person-{number}") for number in people]


async def serve(office: Office, caller: CallerBody) -> Verdict | Refusal:
    """A call of a service at the office's relay that was never made before."""
    body = CheckBody(
        method=METHODS[0].name,
        caller=caller,
        request=MessageBody(json={"number": next(_NUMBERS)}),
        claim_key=f"claim-key-{next(_NUMBERS):08d}",
    )
    return await office.house.relay.usecases.protection.check(integrator=INTEGRATOR, body=body)


async def serve_all(office: Office, caller: CallerBody) -> None:
    """As many waiting calls of one caller as there may be, at the office's relay."""
    for _ in range(MAX_PENDING_PER_CALLER):
        assert isinstance(await serve(office, caller), WaitView)


async def test_a_caller_has_twenty_waiting_calls(shop: Workshop) -> None:
    """One more call of the same caller is refused, with the seconds until the first one ends."""
    await fill(shop)
    shop.sim.clock.advance(60)

    refusal = await shop.why_not(another(shop))

    assert FULL == (refusal.code, refusal.details)
    assert 86_400 - 60 == refusal.retry_after
    assert "20 calls of this caller wait for approval already" in refusal.message


async def test_other_callers_are_not_kept_from_asking(shop: Workshop) -> None:
    """Another person, and an API key with the first one's name, still open requests."""
    await fill(shop)

    for caller in (BOB, KEY, CallerBody("api_key", ALICE.id)):
        assert "requested" == (await shop.waits(another(shop, caller))).state


async def test_the_name_of_a_caller_makes_no_other_caller(shop: Workshop) -> None:
    """The same id under another display name has no further calls."""
    await fill(shop)

    refusal = await shop.why_not(another(shop, CallerBody("person", ALICE.id, "Somebody")))

    assert FULL == (refusal.code, refusal.details)


async def test_a_waiting_call_is_still_answered(shop: Workshop) -> None:
    """A call that waits already is told its transaction again, however many wait."""
    body = another(shop)
    txid = (await shop.waits(body)).txid
    for _ in range(MAX_PENDING_PER_CALLER - 1):
        await shop.waits(another(shop))

    assert txid == (await shop.waits(body)).txid


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_a_decided_call_waits_no_more(shop: Workshop, decision: str) -> None:
    """Approved or rejected, a call leaves room for the next one."""
    txids = await fill(shop)
    await granted(shop.vote("bob", txids[3], "approve" if decision == "approve" else "deny"))

    assert "requested" == (await shop.waits(another(shop))).state
    assert FULL[0] == (await shop.why_not(another(shop))).code


async def test_a_cancelled_call_waits_no_more(shop: Workshop) -> None:
    """A caller who takes a call back has room for the next one."""
    txids = await fill(shop)
    await granted(shop.vote("alice", txids[0], "deny"))

    assert "requested" == (await shop.waits(another(shop))).state


async def test_an_expired_call_waits_no_more(shop: Workshop) -> None:
    """Calls whose time is over leave room, swept or not."""
    await fill(shop)
    shop.sim.clock.advance(86_400)

    assert "requested" == (await shop.waits(another(shop))).state


async def test_the_limit_holds_after_a_restart(tmp_path: Path) -> None:
    """What waited before a restart counts, and what was decided before it does not."""
    async with workshop(tmp_path) as shop:
        txids = await fill(shop)
        await granted(shop.vote("bob", txids[0]))
        clock = shop.sim.clock
    async with workshop(tmp_path, clock) as shop:
        await shop.waits(another(shop))

        assert FULL[0] == (await shop.why_not(another(shop))).code


async def test_calls_leave_ordinary_requests_alone(shop: Workshop) -> None:
    """The devices of administrators are asked for ordinary approvals, however many calls wait."""
    await fill(shop)
    await fill(shop, BOB)

    request = await shop.sim.ask([shop.devices["bob"]])

    assert "pending" == request.answer["status"]


async def test_ordinary_requests_leave_calls_alone(shop: Workshop) -> None:
    """A device that as many ordinary requests name as may is still asked about calls."""
    bob = shop.devices["bob"]
    for _ in range(20):
        await shop.sim.ask([bob])

    assert "rate_limited" == (await shop.sim.ask_refused([bob])).code
    assert "requested" == (await shop.waits(another(shop))).state


async def test_all_callers_together_have_a_limit(shop: Workshop) -> None:
    """A caller without any call is refused where the integrator's services have 500."""
    for caller in everybody():
        await fill(shop, caller)

    refusal = await shop.why_not(another(shop))

    assert ("rate_limited", {"limit": MAX_PENDING_CALLS}) == (refusal.code, refusal.details)


async def test_governing_is_possible_while_every_call_waits(office: Office) -> None:
    """Protection is disabled through the gate although no further call could wait."""
    await office.enable()
    for caller in everybody():
        await serve_all(office, caller)
    assert "rate_limited" == (await refused(serve(office, ALICE))).code

    await office.approved(DISABLE)

    assert office.protection.settings.enabled is False


async def test_governing_calls_have_a_limit_of_their_own(office: Office) -> None:
    """Ten governing calls of one administrator may wait; another administrator's still do."""
    await office.enable()
    for seconds in range(MAX_PENDING_GOVERNING):
        await office.gated(SET, {"max_duration_seconds": 600 + seconds})

    answer = await office.refused(SET, {"max_duration_seconds": 60})

    assert ("resource_exhausted", "rate_limited", None) == (answer.code, answer.error, answer.txid)
    assert await office.gated(DISABLE, by="bob")


async def test_governing_calls_take_no_room_of_others(office: Office) -> None:
    """Who has as many governing calls as may be still calls a service's methods."""
    await office.enable()
    for seconds in range(MAX_PENDING_GOVERNING):
        await office.gated(SET, {"max_duration_seconds": 600 + seconds})

    await serve_all(office, ALICE)

    assert "rate_limited" == (await refused(serve(office, ALICE))).code
