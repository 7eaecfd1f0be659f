"""What a device is shown: its requests, their envelopes, and what it acknowledges."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.simulator import (
    ACME,
    START,
    UMBRELLA,
    SimDevice,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import Challenge, RequestDocument, parse_envelope, verify_statement
from quorumkey_relay.domain.refusal import NOT_FOUND
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.usecases.read import BAD_CURSOR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.simulator import Asked

pytestmark = pytest.mark.anyio


async def page(
    sim: Simulator,
    device: SimDevice,
    *,
    everything: bool = False,
    limit: int = 20,
    cursor: str | None = None,
) -> tuple[list[str], str | None]:
    """The ids of a page, and the cursor of the next."""
    found = await granted(
        sim.use.device_requests(
            device=device.fingerprint, everything=everything, limit=limit, cursor=cursor
        )
    )
    return [view.request_id for view in found.data], found.next_cursor


async def item(sim: Simulator, device: SimDevice, request: Asked) -> dict[str, Any]:
    """One request as a device sees it."""
    view = await granted(sim.use.device_request(device=device.fingerprint, request_id=request.id))
    return shown(view)


async def test_a_device_sees_request_and_challenge(sim: Simulator) -> None:
    """Both envelopes verify under the relay's key, and the challenge is this device's."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([bob], [alice], required=2)
    key = sim.relay.keys.current(START).public_key

    found = await item(sim, alice, request)

    document = verify_statement(
        parse_envelope(found.pop("request")), RequestDocument, key=key
    ).statement
    challenge = verify_statement(
        parse_envelope(found.pop("challenge")), Challenge, key=key
    ).statement
    assert request.id == document.request_id
    assert (
        Challenge(
            relay=sim.fingerprint,
            request_id=request.id,
            request_digest=request.digest,
            device=alice.fingerprint,
            integrator_name="Acme Corp",
            expires_at=START + 300,
        )
        == challenge
    )
    assert {
        "request_id": request.id,
        "group": "Group 2",
        "status": "pending",
        "groups_satisfied_count": 0,
        "groups_required": 2,
    } == found


async def test_a_device_sees_how_it_stands(sim: Simulator) -> None:
    """Progress, status, and its own decision, or that of its person."""
    phone, tablet, bob = await sim.device("alice"), await sim.device("alice"), await sim.device("b")
    request = await sim.ask([phone, tablet], [bob], required=2)
    await sim.approve(request, phone)

    seen = [await item(sim, device, request) for device in (phone, tablet, bob)]

    assert ["approve", "approve", None] == [one.get("my_decision") for one in seen]
    assert [1, 1, 1] == [one["groups_satisfied_count"] for one in seen]


async def test_each_device_has_its_own_decision_where_devices_count(sim: Simulator) -> None:
    """With ``distinct: device`` a person's other device has not decided."""
    phone, tablet = await sim.device("alice"), await sim.device("alice")
    request = await sim.ask([phone], [tablet], distinct="device", reject_policy="quorum_impossible")
    await sim.deny(request, phone)

    seen = [await item(sim, device, request) for device in (phone, tablet)]

    assert ["deny", None] == [one.get("my_decision") for one in seen]


async def test_the_inbox_holds_what_is_pending(sim: Simulator) -> None:
    """Newest first; finished ones are left out unless everything is asked for."""
    alice, bob = await sim.devices("alice", "bob")
    first, second = await sim.ask([alice]), await sim.ask([alice])
    await sim.ask([bob])
    third = await sim.ask([alice, bob])
    await sim.cancel(second)

    assert ([third.id, first.id], None) == await page(sim, alice)
    assert ([third.id, second.id, first.id], None) == await page(sim, alice, everything=True)


async def test_what_timed_out_is_not_pending(sim: Simulator) -> None:
    """From ``expires_at`` on a request has left the inbox, swept or not."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    sim.clock.advance(300)

    assert [] == (await page(sim, alice))[0]
    assert [request.id] == (await page(sim, alice, everything=True))[0]
    assert "timeout" == (await item(sim, alice, request))["status"]


@pytest.mark.parametrize("everything", [False, True])
async def test_the_inbox_comes_page_by_page(sim: Simulator, *, everything: bool) -> None:
    """Each cursor leads to the next page, and nothing is shown twice or left out."""
    alice = await sim.device("alice")
    made = [(await sim.ask([alice])).id for _ in range(7)]
    found: list[str] = []
    sizes: list[int] = []
    cursor: str | None = None
    while not sizes or cursor is not None:
        ids, cursor = await page(sim, alice, everything=everything, limit=3, cursor=cursor)
        found += ids
        sizes.append(len(ids))

    assert (made[::-1], [3, 3, 1]) == (found, sizes)


async def test_a_page_after_a_request_that_ended_meanwhile(sim: Simulator) -> None:
    """A cursor is good as long as its request can be seen, pending or not."""
    alice = await sim.device("alice")
    first, second = await sim.ask([alice]), await sim.ask([alice])
    _, cursor = await page(sim, alice, limit=1)
    await sim.cancel(second)

    assert ([first.id], None) == await page(sim, alice, limit=1, cursor=cursor)


@pytest.mark.parametrize("cursor", ["", "1", "0190a000-0000-7000-8000-00000000dead"])
async def test_a_cursor_is_of_the_inbox(sim: Simulator, cursor: str) -> None:
    """What is no request of this device is no cursor."""
    alice = await sim.device("alice")

    refusal = await refused(
        sim.use.device_requests(device=alice.fingerprint, everything=False, limit=20, cursor=cursor)
    )

    assert BAD_CURSOR == refusal


async def test_what_does_not_name_a_device_is_not_found(sim: Simulator) -> None:
    """Others' requests, unknown and malformed ids, for reading and acknowledging."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([bob])
    ids = [request.id, SystemMint().uuid7(), "1"]

    found: list[object] = []
    for request_id in ids:
        found += [
            await sim.use.device_request(device=alice.fingerprint, request_id=request_id),
            await sim.use.acknowledge(device=alice.fingerprint, request_id=request_id),
        ]

    assert [NOT_FOUND] * 6 == found


async def test_a_device_sees_only_whom_it_is_paired_with(sim: Simulator) -> None:
    """Requests of an integrator that it left are gone from its inbox."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)
    ours, theirs = await sim.ask([alice]), await sim.ask([alice], integrator=UMBRELLA)
    await sim.unpair(alice, ACME.id)

    assert [theirs.id] == (await page(sim, alice))[0]
    assert [theirs.id] == (await page(sim, alice, everything=True))[0]
    assert NOT_FOUND == await refused(
        sim.use.device_request(device=alice.fingerprint, request_id=ours.id)
    )


async def test_the_challenge_is_always_the_same(tmp_path: Path) -> None:
    """Every look shows the same bytes, also at a relay that was started again."""
    seen: list[object] = []
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        request = await sim.ask([alice])
        seen += [(await item(sim, alice, request))["challenge"] for _ in range(2)]
    async with simulator(tmp_path) as sim:
        seen.append((await item(sim, alice, request))["challenge"])

    assert [seen[0]] * 3 == seen


async def test_reading_is_charged_to_the_device(tmp_path: Path) -> None:
    """List, item and acknowledgement share the device's limit."""
    async with simulator(tmp_path, rate_device=3) as sim:
        alice, bob = await sim.devices("alice", "bob")
        request = await sim.ask([alice, bob])
        await page(sim, alice)
        await item(sim, alice, request)
        await sim.use.acknowledge(device=alice.fingerprint, request_id=request.id)
        calls = [
            sim.use.device_requests(
                device=alice.fingerprint, everything=False, limit=1, cursor=None
            ),
            sim.use.device_request(device=alice.fingerprint, request_id=request.id),
            sim.use.acknowledge(device=alice.fingerprint, request_id=request.id),
        ]
        refusals = [await refused(call) for call in calls]
        other = await item(sim, bob, request)

    assert ["rate_limited"] * 3 == [one.code for one in refusals]
    assert request.id == other["request_id"]


# Deliveries


async def deliveries(sim: Simulator, request: Asked) -> dict[str, Any]:
    """Delivery counts that are not zero, by group and channel."""
    view = shown(
        await granted(sim.use.read_deliveries(integrator_id=ACME.id, request_id=request.id))
    )
    assert request.id == view["request_id"]
    return {
        group["group"]: {
            channel: {state: count for state, count in counts.items() if count}
            for channel, counts in group["channels"].items()
        }
        for group in view["groups"]
    }


async def test_nobody_was_reached_yet(sim: Simulator) -> None:
    """Every group is listed, also without any delivery."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob])

    assert {"Group 1": {}, "Group 2": {}} == await deliveries(sim, request)


async def test_sent_and_acknowledged_deliveries_are_counted(sim: Simulator) -> None:
    """What went out on a stream is sent; what was shown to the person is acknowledged."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    streams = [sim.listen(device) for device in (alice, bob)]
    request = await sim.ask([alice, bob], [carol])
    await sim.relay.worker.rest()

    sent = await deliveries(sim, request)
    for device in (alice, carol):
        await sim.use.acknowledge(device=device.fingerprint, request_id=request.id)

    assert {"Group 1": {"websocket": {"sent": 2}}, "Group 2": {}} == sent
    assert {
        "Group 1": {"websocket": {"sent": 1, "acknowledged": 1}},
        "Group 2": {"fetch": {"acknowledged": 1}},
    } == await deliveries(sim, request)
    assert [["approval_request"]] * 2 == [stream.types for stream in streams]


async def test_acknowledging_twice_is_once(sim: Simulator) -> None:
    """The person was shown it; saying so again changes nothing."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    for _ in range(2):
        await sim.use.acknowledge(device=alice.fingerprint, request_id=request.id)

    assert {"Group 1": {"fetch": {"acknowledged": 1}}} == await deliveries(sim, request)


async def test_a_stream_that_begins_later_is_sent_what_is_pending(sim: Simulator) -> None:
    """Oldest first, and noted as sent; what has ended is not."""
    alice = await sim.device("alice")
    requests = [await sim.ask([alice]) for _ in range(3)]
    await sim.cancel(requests[1])

    stream = sim.listen(alice)
    await sim.store.settled()

    sent = [parse_envelope(frame["challenge"]).payload for frame in stream.frames]
    assert [requests[0].id, requests[2].id] == [json.loads(one)["request_id"] for one in sent]
    assert {"Group 1": {"websocket": {"sent": 1}}} == await deliveries(sim, requests[0])


async def test_a_stream_that_begins_does_not_take_an_acknowledgement_back(sim: Simulator) -> None:
    """What the person has seen is sent again, and stays acknowledged."""
    alice = await sim.device("alice")
    sim.listen(alice)
    request = await sim.ask([alice])
    await sim.relay.worker.rest()
    await sim.use.acknowledge(device=alice.fingerprint, request_id=request.id)

    stream = sim.listen(alice)
    await sim.store.settled()

    assert ["approval_request"] == stream.types
    assert {"Group 1": {"websocket": {"acknowledged": 1}}} == await deliveries(sim, request)
