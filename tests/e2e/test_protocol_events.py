"""Server-sent events (§5, §10): their types, bodies, isolation and resumption."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_calls import NO_ID
from tests.e2e.protocol_client import ok, refused
from tests.e2e.protocol_crypto import utc
from tests.e2e.protocol_stream import events
from tests.e2e.protocol_world import served

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2
    from tests.e2e.protocol_client import Integrator
    from tests.e2e.protocol_world import World

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DAY = 86_400


def resumed(integrator: Integrator, last_event_id: str) -> httpx2.Response:
    """The refusal of a resumption."""
    headers = integrator.bearer | {"Last-Event-ID": last_event_id}
    return integrator.relay.http.get("/v1/events", headers=headers)


@pytest.mark.parametrize("end", ["approved", "rejected", "cancelled", "timeout"])
def test_every_end_is_an_event(world: World, end: str) -> None:
    """Each end of a request is one event with the body of the page."""
    ann, ben = world.acme.devices("ann", "ben")
    with events(world.acme) as stream:
        request = world.acme.asked([ann], [ben], required=1, expires_in_seconds=60)
        if end in {"approved", "rejected"}:
            ok(ben.decide(request, "approve" if end == "approved" else "deny"))
        elif end == "cancelled":
            ok(world.acme.post(f"/v1/requests/{request['request_id']}/cancel"))
        else:
            world.clock.advance(60)
        event = next(stream)

    assert UUID7.fullmatch(event.event_id)
    assert event.kind == f"mpa.{end}"
    assert event.body == {
        "type": f"mpa.{end}",
        "request_id": request["request_id"],
        "status": end,
        "groups_satisfied": ["Group 2"] if end == "approved" else [],
        "timestamp": utc(world.clock.now()),
    }


def test_devices_are_events(world: World) -> None:
    """Enrolling and leaving are events that name the device and its approver."""
    with events(world.acme) as stream:
        device = world.acme.device("dora")
        enrolled = next(stream)
        assert device.unpair().status_code == 204
        revoked = next(stream)

    assert enrolled.kind == enrolled.body["type"] == "device.enrolled"
    assert revoked.kind == revoked.body["type"] == "device.revoked"
    for event in (enrolled, revoked):
        assert event.body.keys() - {"reason"} == {
            "type", "fingerprint", "approver", "assurance", "timestamp",
        }  # fmt: skip
        assert event.body["fingerprint"] == device.fingerprint
        assert event.body["approver"] == {"id": "dora", "name": "Dora"}
        assert event.body["assurance"] == "none"


def test_enrolment_sent_again_is_no_event(world: World) -> None:
    """A lost answer that is given again is no second event."""
    device = world.acme.device("echo")
    code = world.acme.pairing("echo-2")["pairing_code"]
    with events(world.acme) as stream:
        other = type(device)(world.relay, type(device.key)())
        ok(other.enrol(code), 201)
        ok(other.enrol(code))
        last = world.acme.device("after")

        assert [next(stream).body["fingerprint"] for _ in range(2)] == [
            other.fingerprint,
            last.fingerprint,
        ]


def test_events_of_others_are_not_told(world: World) -> None:
    """An integrator hears nothing of another's devices and requests."""
    with events(world.umbrella) as stream:
        mine = world.acme.device("acme-only")
        ok(mine.decide(world.acme.asked([mine])))
        theirs = world.umbrella.device("umbrella-only")

        assert next(stream).body["fingerprint"] == theirs.fingerprint


def test_stream_resumes_after_an_event(world: World) -> None:
    """With ``Last-Event-ID`` the stream goes on after that event, then with what is new."""
    with events(world.acme) as stream:
        devices = world.acme.devices("r1", "r2", "r3")
        seen = [next(stream) for _ in devices]
    with events(world.acme, seen[0].event_id) as stream:
        rest = [next(stream), next(stream)]
        later = world.acme.device("r4")
        new = next(stream)

    assert rest == seen[1:]
    assert new.body["fingerprint"] == later.fingerprint


def test_unknown_last_event_is_expired(world: World) -> None:
    """An event id that is not kept is 410 ``cursor_expired``."""
    assert refused(resumed(world.acme, NO_ID)) == (410, "cursor_expired")


@pytest.mark.parametrize("text", ["x", "-1", "0", NO_ID.upper()])
def test_last_event_is_an_id(world: World, text: str) -> None:
    """Text that is no event id is ``invalid_request``."""
    assert refused(resumed(world.acme, text)) == (400, "invalid_request")


def test_event_of_another_integrator_is_expired(world: World) -> None:
    """Another integrator's event id resumes nothing."""
    with events(world.umbrella) as stream:
        world.umbrella.device("theirs")
        event = next(stream)

    assert refused(resumed(world.acme, event.event_id)) == (410, "cursor_expired")


def test_events_are_kept_for_seven_days(tmp_path: Path) -> None:
    """An event can be resumed from for 7 days, also by a relay that was started again."""
    with served(tmp_path) as world:
        with events(world.acme) as stream:
            world.acme.devices("k1", "k2")
            first, second = next(stream), next(stream)
        world.clock.advance(7 * DAY - 1)
        with events(world.acme, first.event_id) as stream:
            assert next(stream) == second
    with served(tmp_path) as again, events(again.acme, first.event_id) as stream:
        assert next(stream) == second


@pytest.mark.parametrize("query", ["?after=x", "?limit=1"])
def test_events_refuse_query_parameters(world: World, query: str) -> None:
    """The event stream has no query parameters."""
    assert refused(world.acme.get(f"/v1/events{query}")) == (400, "invalid_request")
