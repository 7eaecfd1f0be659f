"""What providers answer decides about addresses and circuits, seen from outside a real relay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.e2e.protocol_client import ok
from tests.e2e.protocol_stream import until
from tests.e2e.push_relay import PushRelay, pushing_relay
from tests.e2e.push_stands import PushStands, push_stands, request_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_crypto import Json

NEVER_GONE = {"gone_timestamp_ms": None, "delay_seconds": 0}
#: How long a credential's fault is left alone, and then some.
RECOVERY_SECONDS = 60.0
MS = 1_000


class Scene(NamedTuple):
    """A relay and the stand-ins that it pushes to."""

    relay: PushRelay
    stands: PushStands

    def device(self, person: str, address: Json) -> Device:
        """A device of a new person with a push address."""
        device = self.relay.acme.device(person)
        ok(device.push(address))
        return device

    def asked(self, *devices: Device) -> Json:
        """A request that names devices in one group."""
        return self.relay.acme.asked([*devices], required=1)

    def log(self, request: Json) -> Json:
        """The delivery log of a request by channel, without the states that nothing is in."""
        path = f"/v1/requests/{request['request_id']}/deliveries"
        (group,) = ok(self.relay.acme.get(path))["groups"]
        return {
            channel: {state: count for state, count in counts.items() if count}
            for channel, counts in group["channels"].items()
        }

    def settled(self, request: Json) -> Json:
        """The log of a request once nothing of it is queued."""
        assert until(lambda: not any("queued" in one for one in self.log(request).values()))
        return self.log(request)

    def came(self, address: Json, request: Json) -> int:
        """How often a request was pushed to an address."""
        return len(
            [
                push
                for push in self.stands.received(str(address["channel"]))
                if push["token"] == address["token"] and request_of(push) == request["request_id"]
            ]
        )

    def warnings(self) -> list[str]:
        """What ``/readyz`` warns of."""
        answer = ok(self.relay.relay.http.get("/readyz"))
        assert "ready" == answer["status"]
        found: list[str] = answer.get("warnings", [])
        return found


@pytest.fixture(scope="module")
def stands(tmp_path_factory: pytest.TempPathFactory) -> Generator[PushStands, None, None]:
    """The stand-ins of all tests here."""
    with push_stands(tmp_path_factory.mktemp("reactions") / "stands") as running:
        yield running


@pytest.fixture
def scene(
    stands: PushStands, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Scene, None, None]:
    """A relay of its own for each test; nothing is wrong with the stand-ins."""
    stands.fault("apns", token_update_seconds=0, **NEVER_GONE)
    stands.fault("fcm", delay_seconds=0)
    with pushing_relay(tmp_path_factory.mktemp("relay"), stands.settings) as relay:
        yield Scene(relay, stands)


def test_a_token_that_died_after_it_was_registered_is_dropped(scene: Scene) -> None:
    """After a 410 since then the device's next request plans no push."""
    address = scene.stands.apns(1, "Unregistered")
    device = scene.device("alice", address)
    scene.stands.fault("apns", gone_timestamp_ms=int(time.time() + 5) * MS)
    first = scene.asked(device)

    assert {"apns": {"dropped": 1}} == scene.settled(first)
    second = scene.asked(device)
    assert {} == scene.log(second)
    assert (1, 0) == (scene.came(address, first), scene.came(address, second))


def test_a_token_that_died_before_it_was_registered_stands(scene: Scene) -> None:
    """A 410 since 2016 says nothing of a registration of today: it is pushed to again."""
    address = scene.stands.apns(2, "gone-before")
    device = scene.device("alice", address)
    first = scene.asked(device)
    assert "apns" in scene.settled(first)
    second = scene.asked(device)

    assert "apns" in scene.settled(second)
    assert scene.came(address, second)


def test_a_registration_made_during_the_push_stands(scene: Scene) -> None:
    """A 410 for the token of before leaves the new one, which is told what waits."""
    old, new = scene.stands.apns(3, "Unregistered"), scene.stands.apns(4)
    device = scene.device("alice", old)
    scene.stands.fault("apns", delay_seconds=2.0, gone_timestamp_ms=int(time.time() + 60) * MS)
    request = scene.asked(device)
    assert until(lambda: scene.came(old, request) == 1)
    ok(device.push(new))
    scene.stands.fault("apns", delay_seconds=0)

    assert until(lambda: scene.log(request) == {"apns": {"accepted": 1}})
    assert (1, 1) == (scene.came(old, request), scene.came(new, request))
    later = scene.asked(device)
    assert {"apns": {"accepted": 1}} == scene.settled(later)


def test_google_s_unregistered_drops_the_token(scene: Scene) -> None:
    """After UNREGISTERED the device's next request plans no push; its neighbours' do."""
    dead, live = scene.stands.fcm(1, "UNREGISTERED"), scene.stands.fcm(2)
    alice, bob = scene.device("alice", dead), scene.device("bob", live)

    assert {"fcm": {"dropped": 1, "accepted": 1}} == scene.settled(scene.asked(alice, bob))
    second = scene.asked(alice, bob)
    assert {"fcm": {"accepted": 1}} == scene.settled(second)
    assert (0, 1) == (scene.came(dead, second), scene.came(live, second))


def test_a_404_without_a_reason_drops_nobody(scene: Scene) -> None:
    """A wrong project or address is our own fault: it is warned of, and the token is kept."""
    address = scene.stands.fcm(3, "NOT_FOUND", once=True)
    device = scene.device("alice", address)
    request = scene.asked(device)

    assert until(lambda: scene.warnings() != [])
    assert {"fcm": {"queued": 1}} == scene.log(request)
    assert {"fcm": {"queued": 1}} == scene.log(scene.asked(device))


@pytest.mark.slow
def test_a_fault_of_credentials_warns_and_heals(scene: Scene) -> None:
    """Nobody's token is dropped, Google goes on, and all arrives once Apple takes the key again."""
    refusing = scene.stands.apns(5, "InvalidProviderToken", once=True)
    alice = scene.device("alice", refusing)
    bob = scene.device("bob", scene.stands.apns(6))
    carol = scene.device("carol", scene.stands.fcm(4))
    first = scene.asked(alice)
    assert until(lambda: scene.warnings() != [])
    second = scene.asked(bob, carol)

    assert until(lambda: scene.log(second).get("fcm") == {"accepted": 1})
    assert [{"queued": 1}] * 2 == [scene.log(one)["apns"] for one in (first, second)]
    assert 'quorumkey_alarms{kind="push_credentials"} 1.0' in scene.relay.get("/metrics")
    deadline = time.monotonic() + RECOVERY_SECONDS
    while scene.log(second)["apns"] != {"accepted": 1}:
        assert time.monotonic() < deadline, scene.log(second)
    assert {"apns": {"accepted": 1}} == scene.settled(first)
    assert [] == scene.warnings()
    assert 'quorumkey_alarms{kind="push_credentials"} 0.0' in scene.relay.get("/metrics")
