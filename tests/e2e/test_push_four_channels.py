"""Fifty devices on four channels, one provider down and one slow: nobody else is held up."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from tests.e2e.protocol_client import ok
from tests.e2e.protocol_stream import streaming, until
from tests.e2e.push_relay import PushRelay, pushing_relay
from tests.e2e.push_stands import PushStands, push_stands, request_of
from tests.e2e.sdk_relay_process import operate

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_crypto import Json
    from tests.e2e.protocol_stream import Stream

pytestmark = pytest.mark.slow

HOW_MANY = {"apns": 13, "fcm": 13, "webpush": 12, "websocket": 12}
SLOW_SECONDS = 4.0


class Scene(NamedTuple):
    """The relay, the stand-ins, the devices by channel and the open sockets."""

    relay: PushRelay
    stands: PushStands
    devices: dict[str, list[Device]]
    streams: list[Stream]

    def everybody(self) -> list[Device]:
        """All devices."""
        return [device for group in self.devices.values() for device in group]

    def log(self, request: Json) -> dict[str, Json]:
        """The delivery log of a request by channel, without the states that nothing is in."""
        path = f"/v1/requests/{request['request_id']}/deliveries"
        (group,) = ok(self.relay.acme.get(path))["groups"]
        return {
            channel: {state: count for state, count in counts.items() if count}
            for channel, counts in group["channels"].items()
        }

    def reasons(self, request: Json, channel: str) -> set[str]:
        """Why a request's messages on a channel wait, as the operator is told."""
        shown = operate("requests", "show", request["request_id"], "--data-dir", self.relay.data)
        listed = cast("list[Json]", cast("Json", shown)["deliveries"])
        return {str(one.get("reason")) for one in listed if one["channel"] == channel}

    def came(self, channel: str, request: Json) -> int:
        """How many devices a provider has accepted a push for."""
        return len(
            {
                push["token"]
                for push in self.stands.received(channel)
                if push["accepted"] and request_of(push) == request["request_id"]
            }
        )


@pytest.fixture
def scene(tmp_path: Path) -> Generator[Scene, None, None]:
    """Fifty enrolled devices; Google is down and the browsers' service slow."""
    with ExitStack() as stack:
        stands = stack.enter_context(push_stands(tmp_path / "stands"))
        relay = stack.enter_context(pushing_relay(tmp_path, stands.settings))
        devices = {
            channel: [relay.acme.device(f"{channel}-{number}") for number in range(count)]
            for channel, count in HOW_MANY.items()
        }
        for number, device in enumerate(devices["apns"]):
            ok(device.push(stands.apns(number)))
        for number, device in enumerate(devices["fcm"]):
            ok(device.push(stands.fcm(number)))
        for device in devices["webpush"]:
            ok(device.push(stands.webpush()))
        streams = [stack.enter_context(streaming(device)) for device in devices["websocket"]]
        stands.fault("fcm", is_down=True)
        stands.fault("webpush", delay_seconds=SLOW_SECONDS)
        yield Scene(relay, stands, devices, streams)


def test_healthy_channels_deliver_and_the_log_tells_the_truth(scene: Scene) -> None:
    """Sockets and Apple deliver while Google is queued; it delivers too when it comes back."""
    request = scene.relay.acme.asked(scene.everybody(), required=1)

    for stream in scene.streams:
        frame = stream.next()
        assert "approval_request" == frame["type"]
    assert until(lambda: scene.log(request)["apns"] == {"accepted": HOW_MANY["apns"]})
    assert HOW_MANY["apns"] == scene.came("apns", request)
    assert {"queued": HOW_MANY["fcm"]} == scene.log(request)["fcm"]
    assert until(lambda: scene.reasons(request, "fcm") == {"unreachable"})
    assert {"sent": HOW_MANY["websocket"]} == scene.log(request)["websocket"]
    assert until(lambda: scene.log(request)["webpush"] == {"accepted": HOW_MANY["webpush"]})

    scene.stands.fault("fcm", is_down=False)

    assert until(lambda: scene.log(request)["fcm"] == {"accepted": HOW_MANY["fcm"]})
    assert HOW_MANY["fcm"] == scene.came("fcm", request)
    assert "pending" == scene.relay.acme.status(request)


def test_a_request_is_answered_over_the_socket_and_by_polling(scene: Scene) -> None:
    """A device on a socket and one whose provider is down approve what they were shown."""
    request = scene.relay.acme.asked(scene.devices["websocket"], scene.devices["fcm"], required=2)
    (listening, *_), (polling, *_) = scene.devices["websocket"], scene.devices["fcm"]
    frame = scene.streams[0].next()
    shown = next(item for item in polling.inbox() if item["request_id"] == request["request_id"])

    assert "approval_request" == frame["type"]
    assert "pending" == shown["status"]
    ok(listening.decide(request))
    assert "approved" == ok(polling.decide(request))["status"]
    assert "approved" == scene.relay.acme.status(request)
