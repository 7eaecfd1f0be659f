"""``kill -9`` in the middle of pushes: each arrives, as one to its person, none after the end."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import ok
from tests.e2e.protocol_crypto import epoch
from tests.e2e.push_relay import PushRelay, pushing_relay
from tests.e2e.push_stands import PushStands, push_stands, request_of, type_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_crypto import Json

SEED = 4
KILLS = 20
REQUESTS = 10
DEVICES = 200
GROUP = 50
PUSHES = REQUESTS * DEVICES
#: Beside the first kills, requests are ended at these; the last kills come when all are in order.
ENDED_AT = (4, 9, 14)
#: What the ended requests may keep back of the pushes.
LAST_MOMENT = PUSHES - len(ENDED_AT) * DEVICES
CHANNELS = ("apns", "fcm", "webpush")
#: How fast each provider answers: a run of all pushes takes a few seconds.
ANSWER_SECONDS = 0.05
MAX_STREAMS = 16
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.002


def enrolled(relay: PushRelay, stands: PushStands) -> list[Device]:
    """Devices of which every fifth is a browser and every second of the rest an iPhone."""
    devices = [relay.acme.device(f"person-{number}") for number in range(DEVICES)]
    for number, device in enumerate(devices):
        if number % 5 == 0:
            address = stands.webpush()
        else:
            address = stands.apns(number) if number % 2 else stands.fcm(number)
        ok(device.push(address))
    return devices


def asked(relay: PushRelay, devices: list[Device]) -> Json:
    """A request that every device is pushed."""
    groups = [devices[start : start + GROUP] for start in range(0, DEVICES, GROUP)]
    return relay.acme.asked(*groups, required=1, expires_in_seconds=900)


def wait_for(stands: PushStands, count: int) -> None:
    """Wait until so many pushes have been accepted."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while stands.accepted() < count:
        assert time.monotonic() < deadline, (stands.accepted(), count)
        time.sleep(POLL_SECONDS)


def settled(relay: PushRelay, request: Json) -> bool:
    """Whether nothing of a request waits any more."""
    view = ok(relay.acme.get(f"/v1/requests/{request['request_id']}/deliveries"))
    return not sum(
        states["queued"] for group in view["groups"] for states in group["channels"].values()
    )


def accepted_counts(relay: PushRelay, request: Json) -> Counter[str]:
    """How many deliveries of a request are in each state."""
    view = ok(relay.acme.get(f"/v1/requests/{request['request_id']}/deliveries"))
    counts: Counter[str] = Counter()
    for group in view["groups"]:
        for states in group["channels"].values():
            counts.update(states)
    return +counts


def pushes(stands: PushStands) -> list[Json]:
    """Everything that was accepted anywhere, oldest first."""
    every = [push for name in CHANNELS for push in stands.received(name) if push["accepted"]]
    return sorted(every, key=lambda push: push["at"])


def least_advanced(stands: PushStands, open_requests: list[Json]) -> Json:
    """The open request of which the fewest pushes have arrived."""
    came = Counter(request_of(push) for push in pushes(stands))
    return min(open_requests, key=lambda request: came[request["request_id"]])


@pytest.mark.slow
def test_every_push_survives(tmp_path: Path) -> None:
    """After twenty kills every push was accepted in time, and finished requests kept quiet."""
    moments = sorted(random.Random(SEED).sample(range(1, LAST_MOMENT), KILLS))  # noqa: S311 - a draw of moments
    with push_stands(tmp_path / "stands") as stands:
        for name in CHANNELS:
            stands.fault(name, delay_seconds=ANSWER_SECONDS, max_streams=MAX_STREAMS)
        with pushing_relay(tmp_path, stands.settings) as relay:
            devices = enrolled(relay, stands)
            requests = [asked(relay, devices) for _ in range(REQUESTS)]
            still_open = list(requests)
            quiet_since: dict[str, float] = {}
            ended: list[str] = []
            for number, moment in enumerate(moments):
                wait_for(stands, moment)
                relay.kill()
                came = {(request_of(push), push["token"]) for push in pushes(stands)}
                assert len(came) < PUSHES
                relay.start()
                # What the killed relay had sent was read long before the new one answers.
                for request_id in ended:
                    quiet_since.setdefault(request_id, time.time())
                if number in ENDED_AT:
                    request = least_advanced(stands, still_open)
                    still_open.remove(request)
                    end(relay, devices, request, number)
                    ended.append(request["request_id"])
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not all(settled(relay, request) for request in requests):
                assert time.monotonic() < deadline, relay.log.read_text("utf-8")[-2_000:]
            counts = [accepted_counts(relay, request) for request in still_open]
        received = pushes(stands)

    assert [Counter(accepted=DEVICES)] * len(still_open) == counts
    arrived: dict[tuple[str, str], list[float]] = defaultdict(list)
    for push in received:
        if type_of(push) == "approval_request":
            arrived[request_of(push), push["token"]].append(push["at"])
    for request in still_open:
        mine = [times for (found, _), times in arrived.items() if found == request["request_id"]]
        assert DEVICES == len(mine)
        assert max(map(min, mine)) < epoch(request["expires_at"])
    assert len(ENDED_AT) == len(quiet_since)
    late = [
        push
        for push in received
        if type_of(push) == "approval_request"
        and push["at"] > quiet_since.get(request_of(push), float("inf"))
    ]
    assert [] == late
    assert [times for times in arrived.values() if len(times) > 1]
    check_collapse_ids(received)


def end(relay: PushRelay, devices: list[Device], request: Json, number: int) -> None:
    """End a request, by cancelling it or by a denial, and see the answer."""
    if number == ENDED_AT[0]:
        ok(relay.acme.post(f"/v1/requests/{request['request_id']}/cancel"))
    elif number == ENDED_AT[1]:
        assert "rejected" == ok(devices[0].decide(request, "deny"))["status"]
    else:
        assert "approved" == ok(devices[-1].decide(request))["status"]


def check_collapse_ids(received: list[Json]) -> None:
    """Whatever was pushed again carries the collapse id of its request."""
    for push in received:
        request_id = request_of(push)
        short = request_id.replace("-", "")
        # Of Android's collapse keys only four live on a device: the app goes by the request's id.
        assert push["collapse_id"] == (short if push["channel"] == "webpush" else request_id)
        assert "collapse_key" not in str(push["payload"])
