"""No push address, webhook secret or provider's token reaches a log, a metric, an answer, the disk.

Every secret is unlike any other text, so wherever it is found, in clear or in any usual encoding,
it has leaked.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import ok
from tests.e2e.protocol_stream import until
from tests.e2e.push_relay import PushRelay, pushing_relay
from tests.e2e.push_stands import PushStands, push_stands
from tests.e2e.sdk_relay_process import operate
from tests.e2e.secrecy_canaries import Canaries
from tests.e2e.webhook_receiver import receiving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_crypto import Json
    from tests.e2e.webhook_receiver import Receiver

pytestmark = pytest.mark.slow

#: Answers that are each treated in their own way.
APNS = (
    *("ok", "reset", "html", "empty", "gone-before", "Unregistered", "BadDeviceToken"),
    *("DeviceTokenNotForTopic", "TooManyRequests", "InternalServerError", "PayloadTooLarge"),
    *("BadCollapseId", "IdleTimeout"),
)
FCM = (
    *("ok", "reset", "html", "empty", "UNREGISTERED", "INVALID_ARGUMENT", "INVALID_TOKEN"),
    *("SENDER_ID_MISMATCH", "DEVICE_QUOTA", "INTERNAL", "UNAVAILABLE"),
)
WEBPUSH = ("ok", "reset", "html", "huge", "redirect", "404", "410", "413", "429", "503")
#: What stops a channel or takes its connection, which is why it comes last.
STOPPING_APNS = ("close", "ExpiredProviderToken", "InvalidProviderToken")
STOPPING_FCM = ("close", "QUOTA_EXCEEDED", "NOT_FOUND")

JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")
ACCESS_TOKEN = "ya29."


@dataclass
class Driven:
    """What is left of a relay that pushed to everybody, and all that it answered."""

    canaries: Canaries = field(default_factory=Canaries)
    answers: list[str] = field(default_factory=list[str])
    log: str = ""
    files: str = ""

    def keep(self, address: Json) -> Json:
        """Keep the secrets of a push address."""
        for name in ("token", "endpoint", "p256dh", "auth"):
            if name in address:
                self.canaries.keep(f"{address['channel']} {name}", str(address[name]))
        if "endpoint" in address:
            # The part that a service would call the subscription by.
            self.canaries.keep("webpush path", str(address["endpoint"]).rpartition("/")[2])
        return address


def addresses(stands: PushStands, driven: Driven) -> list[Json]:
    """A push address for each way in which a push can end."""
    made = [stands.apns(secrets.randbits(200), behaviour) for behaviour in APNS]
    made += [stands.fcm(secrets.randbelow(10**30), behaviour) for behaviour in FCM]
    made += [stands.webpush(behaviour) for behaviour in WEBPUSH]
    return [driven.keep(address) for address in made]


def hooked(relay: PushRelay, receiver: Receiver, driven: Driven) -> Json:
    """A webhook with a secret that was changed, at an address that has a canary."""
    url = f"{receiver.url}/{driven.canaries.plant('webhook path')}"
    hook = ok(relay.acme.post("/v1/webhooks", {"url": url}), 201)
    driven.canaries.keep("webhook secret", hook["secret"])
    rotated = ok(relay.acme.post(f"/v1/webhooks/{hook['webhook_id']}/rotate"))
    driven.canaries.keep("webhook secret", rotated["secret"])
    for secret in (hook["secret"], rotated["secret"]):
        driven.canaries.keep("webhook secret", secret.removeprefix("whsec_"))
    return hook


def reading(relay: PushRelay, devices: list[Device], requests: list[Json], hook: Json) -> list[str]:
    """Everything that the relay answers to anybody about all this."""
    paths = ["/v1/requests", "/v1/devices?limit=100", "/v1/webhooks"]
    paths += [f"/v1/devices/{device.fingerprint}" for device in devices]
    for request in requests:
        paths += [
            f"/v1/requests/{request['request_id']}{end}" for end in ("", "/receipt", "/deliveries")
        ]
    paths += [f"/v1/webhooks/{hook['webhook_id']}{end}" for end in ("", "/deliveries")]
    answers = [relay.acme.get(path).text for path in paths]
    answers += [relay.get(path) for path in ("/metrics", "/readyz", "/v1/info")]
    answers += [json.dumps(device.inbox("?status=all")) for device in devices[:3]]
    for request in requests:
        shown = operate("requests", "show", request["request_id"], "--data-dir", relay.data)
        answers.append(json.dumps(shown))
    answers.append(
        json.dumps(operate("webhooks", "show", hook["webhook_id"], "--data-dir", relay.data))
    )
    return answers


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """A relay that met every answer of every provider, and a receiver that refuses at first."""
    folder = tmp_path_factory.mktemp("push-secrecy")
    driven = Driven()
    with (
        push_stands(folder / "stands") as stands,
        receiving() as receiver,
        pushing_relay(folder, stands.settings) as relay,
    ):
        driven.canaries.keep("API key", relay.acme.api_key)
        keep_keys(stands, driven)
        hook = hooked(relay, receiver, driven)
        receiver.status = 500
        devices = [relay.acme.device(f"person-{n}") for n in range(len((*APNS, *FCM, *WEBPUSH)))]
        for device, address in zip(devices, addresses(stands, driven), strict=True):
            ok(device.push(address))
        requests = [relay.acme.asked(devices[:40], required=1) for _ in range(2)]
        assert until(lambda: stands.accepted("apns", "fcm") >= 4)
        stands.fault("fcm", is_down=True)
        requests.append(relay.acme.asked(devices[:40], required=1))
        stopping = [stands.apns(secrets.randbits(200), each) for each in STOPPING_APNS]
        stopping += [stands.fcm(secrets.randbelow(10**30), each) for each in STOPPING_FCM]
        for device, address in zip(devices, stopping, strict=False):
            ok(device.push(driven.keep(address)))
        stands.fault("fcm", is_down=False)
        requests.append(relay.acme.asked(devices[:40], required=1))
        assert until(lambda: "warnings" in relay.get("/readyz"))
        ok(devices[5].decide(requests[0]))
        ok(relay.acme.post(f"/v1/requests/{requests[1]['request_id']}/cancel"))
        receiver.wait_refused(2)
        driven.answers = reading(relay, devices, requests, hook)
        relay.stop()
        driven.log = relay.log.read_text("utf-8")
        driven.files = files(relay.data)
    return driven


def keep_keys(stands: PushStands, driven: Driven) -> None:
    """Keep what the relay signs with for Apple and Google, line by line."""
    from pathlib import Path  # noqa: PLC0415 — for these two files alone

    p8 = Path(stands.settings["QUORUMKEY_RELAY_APNS_KEY_FILE"]).read_text("utf-8")
    account = json.loads(
        Path(stands.settings["QUORUMKEY_RELAY_FCM_SERVICE_ACCOUNT"]).read_text("utf-8")
    )
    for pem in (p8, account["private_key"]):
        for line in pem.splitlines()[1:-1]:
            driven.canaries.keep("private key", line)


def files(data: Path) -> str:
    """Every byte of the data folder but the relay's own keys."""
    kept = [path for path in sorted(data.iterdir()) if path.is_file() and path.suffix != ".pem"]
    assert any(path.name.startswith("relay.db") for path in kept)
    return b"".join(path.read_bytes() for path in kept).decode("latin-1")


def without(driven: Driven, *places: str) -> Canaries:
    """The canaries but those of some places."""
    left = Canaries()
    left.planted = {text: at for text, at in driven.canaries.planted.items() if at not in places}
    return left


def test_the_drive_met_what_it_should(driven: Driven) -> None:
    """There are secrets of every kind, and the log tells of deliveries that were refused."""
    kinds = {"apns token", "fcm token", "webpush endpoint", "webpush p256dh", "webpush auth"}

    assert kinds | {"webhook secret", "private key"} <= set(driven.canaries.planted.values())
    assert "BadDeviceToken" in driven.log
    assert "UNREGISTERED" in driven.log


def test_no_secret_is_logged(driven: Driven) -> None:
    """Nothing that leads to a device or signs for us is in the log at DEBUG."""
    assert {} == driven.canaries.found_in(driven.log)
    assert JWT.search(driven.log) is None
    assert ACCESS_TOKEN not in driven.log


def test_no_secret_is_answered(driven: Driven) -> None:
    """No answer, metric or command shows a secret; an integrator sees its own webhooks' address."""
    text = "\n".join(driven.answers)

    assert {} == without(driven, "webhook path").found_in(text)
    assert JWT.search(text) is None
    assert ACCESS_TOKEN not in text


def test_no_secret_lies_on_the_disk_in_clear(driven: Driven) -> None:
    """Push addresses and webhook secrets are sealed; nothing signed for a provider is kept."""
    assert {} == without(driven, "webhook path").found_in(driven.files)
    assert JWT.search(driven.files) is None
    assert ACCESS_TOKEN not in driven.files
