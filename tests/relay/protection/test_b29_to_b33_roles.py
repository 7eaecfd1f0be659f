"""What is audited, what a request freezes, and who counts when (B29 to B33)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.contract.backends import SqliteBackend
from tests.relay.protection.council import Council
from tests.relay.simulator import ACME, ManualClock, granted, refused, simulator

from quorumkey_relay.domain.transactions import RESULT_WITHIN_SECONDS, Caller
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.protection.actor import Actor
from quorumkey_relay.usecases.protection.commands import ResultBody
from quorumkey_relay.usecases.protection.shortage import ALARM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALICE = Actor(integrator=ACME, caller=Caller("person", "alice"), device="alice's")


# Audit: each step, once (B29)


async def _approved(council: Council) -> str:
    txid = await council.wait()
    await council.approve(txid, "bob", "carol")
    return txid


async def _executed(council: Council) -> str:
    txid = await _approved(council)
    run = await council.runs()
    await granted(council.settle(run.claim))
    return txid


async def _failed(council: Council) -> str:
    txid = await _approved(council)
    run = await council.runs()
    await granted(council.settle(run.claim, ResultBody("error")))
    return txid


async def _indeterminate(council: Council) -> str:
    txid = await _approved(council)
    await council.runs()
    await _later(council, RESULT_WITHIN_SECONDS)
    return txid


async def _rejected(council: Council) -> str:
    txid = await council.wait()
    await council.approve(txid, "bob")
    await council.deny(txid, "carol")
    return txid


async def _cancelled(council: Council) -> str:
    txid = await council.wait()
    await council.deny(txid, "alice")
    return txid


async def _expired(council: Council) -> str:
    txid = await council.wait()
    await council.approve(txid, "bob")
    await _later(council, council.protection.settings.max_duration_seconds)
    return txid


async def _lapsed(council: Council) -> str:
    txid = await _approved(council)
    await _later(council, council.protection.settings.execution_expiry_seconds)
    return txid


async def _later(council: Council, seconds: int) -> None:
    """Time passes, and what it has ended is written down."""
    council.sim.clock.advance(seconds)
    await council.sim.relay.sweeper.sweep()
    await council.sim.relay.protection.sweeper.sweep()


VOTES = ["requested by alice", "approved by bob", "approved by carol"]
STORIES: dict[str, tuple[Callable[[Council], Awaitable[str]], list[str]]] = {
    "executed": (_executed, [*VOTES, "claimed by alice", "executed by alice"]),
    "failed": (_failed, [*VOTES, "claimed by alice", "failed by alice"]),
    "indeterminate": (_indeterminate, [*VOTES, "claimed by alice", "indeterminate"]),
    "rejected": (_rejected, [*VOTES[:2], "rejected by carol"]),
    "cancelled": (_cancelled, [*VOTES[:1], "cancelled by alice"]),
    "expired": (_expired, [*VOTES[:2], "expired"]),
    "lapsed": (_lapsed, [*VOTES, "lapsed"]),
}


@pytest.mark.parametrize("end", STORIES)
async def test_b29_each_step_is_audited_once(tmp_path: Path, end: str) -> None:
    """With txid, method and who did it, from the request to whatever end."""
    tell, story = STORIES[end]
    async with simulator(tmp_path, ManualClock()) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", required=3)
        txid = await tell(council)
        events = await council.audited("protected_method.")

        assert (story, {(txid, "KillProcessOnHostsWithTag")}, end) == (
            await council.story(txid),
            {(event["txid"], event["method"]) for event in events},
            await council.state(txid),
        )


async def test_b29_a_vote_is_audited_once(tmp_path: Path) -> None:
    """One that is only answered again is not told again."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()
        for _ in range(2):
            await council.approve(txid, "bob")

        assert ["requested by alice", "approved by bob"] == await council.story(txid)


# What is frozen, and what is looked at again (B30)


async def test_b30_the_number_of_approvers_is_frozen(tmp_path: Path) -> None:
    """A request needs what was required when it was made."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.set(required=3)

        assert "approved" == await council.approve(txid, "bob")


async def test_b30_condition_and_text_are_frozen(tmp_path: Path) -> None:
    """What administrators sign stays as it was, whatever the method is protected under later."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        await council.protect("CreateRule", 'request.tag == "prod"')
        body = council.body("CreateRule", {"tag": "prod"})
        txid = (await council.waits(body)).txid
        before = await council.document(txid)
        await council.protect("CreateRule", "")
        after = await council.document(txid)

        assert (before, 'request.tag == "prod"', 'request.tag == "prod"') == (
            after,
            after["action"]["params"]["condition"],
            (await council.transaction(txid))["condition"],
        )


async def _revoked(council: Council) -> None:
    relay = council.sim.relay
    known = relay.store.directory.device(council.devices["bob"].fingerprint)
    assert known is not None
    SqliteBackend(relay.settings.data_dir).revoke(known, at=relay.clock.now())
    await relay.follow_changes()


async def _unpaired(council: Council) -> None:
    await council.sim.unpair(council.devices["bob"])


async def _dismissed(council: Council) -> None:
    await council.appoint("alice", "carol", "dora")


LOSSES = {
    "device revoked": _revoked,
    "device unpaired": _unpaired,
    "role withdrawn": _dismissed,
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_b30_a_vote_is_looked_at_again_when_it_is_claimed(tmp_path: Path, loss: str) -> None:
    """It no longer counts: the approval lapses, and the call waits for other votes."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", "dora")
        txid = await council.wait()
        await council.approve(txid, "bob")
        await LOSSES[loss](council)
        again = await council.wait()
        read = await council.transaction(txid)

        assert (True, "lapsed", "votes_lost", "requested") == (
            again != txid,
            read["state"],
            read["ended_reason"],
            await council.state(again),
        )


@pytest.mark.parametrize("loss", LOSSES)
async def test_b30_a_vote_is_taken_out_while_others_are_awaited(tmp_path: Path, loss: str) -> None:
    """The request stays open and needs one more."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", "dora", required=3)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await LOSSES[loss](council)

        assert ["pending", "approved"] == [
            await council.approve(txid, person) for person in ("carol", "dora")
        ]


async def test_b30_other_requests_need_no_role(tmp_path: Path) -> None:
    """What somebody approved of an ordinary request stays, also when they lose the role."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        bob, carol = council.devices["bob"], council.devices["carol"]
        request = await sim.ask([bob], [carol], required=2)
        await sim.approve(request, bob)
        await council.appoint("alice")
        await sim.approve(request, carol)

        assert "approved" == (await sim.read(request)).status


async def test_b30_the_last_vote_does_not_count_lost_ones(tmp_path: Path) -> None:
    """Also where what follows from a lost role could not be written down before."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", "dora", required=3)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.dismiss("bob")

        assert ["pending", "approved"] == [
            await council.approve(txid, person) for person in ("carol", "dora")
        ]


async def test_b30_a_device_that_has_changed_hands_does_not_count(tmp_path: Path) -> None:
    """Its vote was another administrator's."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.approve(txid, "bob")
        device = council.devices["bob"]
        await sim.unpair(device)
        device.person = "carol"
        await council.admit(device)

        assert txid != await council.wait()


async def test_b30_what_still_counts_is_enough(tmp_path: Path) -> None:
    """Somebody else's loss changes nothing."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.appoint("alice", "bob")

        assert txid == await council.run()


async def test_b30_a_role_taken_at_the_command_line_is_followed(tmp_path: Path) -> None:
    """Its votes are taken out of what waits, and the alarm is raised, as soon as that is known."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", required=3)
        txid = await council.wait()
        await council.approve(txid, "bob")
        before = council.protection
        after = replace(before, administrators=("alice", "carol"), revision=before.revision + 1)
        SqliteBackend(tmp_path).administer(PutProtection(before, after))
        await sim.relay.follow_changes()
        stored = await sim.store.load(txid)

        assert stored is not None
        assert ({}, 1) == (dict(stored.state.ballots), len(_alarms(council)))


async def test_b30_a_role_taken_while_the_relay_was_down_is_followed(tmp_path: Path) -> None:
    """The first thing after a start."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", "dora", required=3)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.dismiss("bob")
    async with simulator(tmp_path) as sim:
        stored = await sim.store.load(txid)

        assert stored is not None
        assert {} == dict(stored.state.ballots)


def _alarms(council: Council) -> list[str]:
    return [one for one in council.sim.relay.warnings() if "administrators" in one]


async def test_b30_too_few_administrators_raise_an_alarm(tmp_path: Path) -> None:
    """It stands until there are enough; ``required`` is never lowered."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        seen = [_alarms(council)]
        await sim.unpair(council.devices["bob"])
        seen.append(_alarms(council))
        required = council.protection.settings.required
        await council.another_device("bob")
        seen.append(_alarms(council))
        gauge = f'quorumkey_alarms{{kind="{ALARM}"}} 0.0'.encode()

        assert ([0, 1, 0], 2, True) == (
            [len(one) for one in seen],
            required,
            gauge in sim.relay.metrics.render(),
        )


async def test_b30_the_alarm_says_whose_administrators(tmp_path: Path) -> None:
    """And how many there are of how many."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        await council.appoint("alice")

        sentence = (
            f"Protected methods of integrator {ACME.id} need 2 administrators who can approve on"
            " a paired device; there are 1."
        )

        assert [sentence] == _alarms(council)


async def test_b30_the_alarm_ends_with_protection(tmp_path: Path) -> None:
    """Where nothing waits, nobody is missing."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice")
        before = len(_alarms(council))
        settings = replace(council.protection.settings, enabled=False)
        await council.put(replace(council.protection, settings=settings))

        assert (1, []) == (before, _alarms(council))


async def test_b30_the_alarm_stands_after_a_restart(tmp_path: Path) -> None:
    """It is looked for at the start."""
    async with simulator(tmp_path) as sim:
        await Council.of(sim, "alice")
    async with simulator(tmp_path) as sim:
        assert 1 == len(_alarms(Council(sim)))


async def test_b30_a_call_that_nobody_could_approve_is_refused(tmp_path: Path) -> None:
    """It is not put to those who are left, and it does not run."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        await sim.unpair(council.devices["bob"])
        refusal = await council.why_not(council.body())

        assert ("failed_precondition", []) == (
            refusal.code,
            await council.audited("protected_method."),
        )


# Whether the requester counts (B31, B32)


@pytest.mark.parametrize(
    ("caller", "votes"),
    [
        ("alice", ["approved"]),
        ("mallory", ["pending", "approved"]),
        ("key:1", ["pending", "approved"]),
    ],
    ids=["administrator", "other person", "API key"],
)
async def test_b31_the_requester_counts_only_with_the_role(
    tmp_path: Path, caller: str, votes: list[str]
) -> None:
    """Who is no administrator, and an API key, needs as many others as are required."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", others=("mallory",))
        txid = await council.wait(caller)
        people = ("bob", "carol")[: len(votes)]

        assert votes == [await council.approve(txid, person) for person in people]


async def test_b31_the_role_counts_as_it_was_at_the_request(tmp_path: Path) -> None:
    """A requester who loses it later still counted."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.appoint("bob", "carol")

        assert ("approved", txid) == (await council.approve(txid, "bob"), await council.run())


async def test_b32_the_requester_can_be_left_out_of_the_count(tmp_path: Path) -> None:
    """As the older documentation has it: then two are two others."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", count_requestor=False)
        txid = await council.wait()

        assert ["pending", "approved"] == [
            await council.approve(txid, person) for person in ("bob", "carol")
        ]


# Nobody is locked out (B33)


async def test_b33_resolving_needs_no_approval(tmp_path: Path) -> None:
    """A vote is counted at once; nothing else comes to wait by it."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()
        status = await council.approve(txid, "bob")

        assert ("approved", [txid]) == (
            status,
            [one.request_id for one in sim.store.open_transactions()],
        )


@pytest.mark.parametrize("required", [2, 3])
async def test_b33_disabling_is_possible_with_exactly_enough(tmp_path: Path, required: int) -> None:
    """As many administrators as are required can always turn protection off."""
    people = ("alice", "bob", "carol")[:required]
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, *people, required=required)
        disable = sim.use.protection.govern.settings.disable
        waiting = await refused(disable(ALICE))
        assert waiting.details is not None
        await council.approve(str(waiting.details["txid"]), *people[1:])
        await granted(disable(ALICE))

        assert ("approval_required", False) == (waiting.code, council.protection.settings.enabled)


async def test_b33_the_last_but_one_administrators_call_is_resolvable(tmp_path: Path) -> None:
    """With exactly as many as are required, each can have a call approved by the others."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        told: list[tuple[str, bool]] = []
        for caller, other in (("alice", "bob"), ("bob", "alice")):
            txid = await council.wait(caller)
            told.append((await council.approve(txid, other), txid == await council.run(caller)))

        assert [("approved", True)] * 2 == told
