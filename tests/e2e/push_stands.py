"""The providers' stand-ins in a process of their own, which outlives every relay."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import httpx2
from tests.e2e.protocol_client import PATIENCE
from tests.e2e.sdk_relay_process import ENVIRONMENT, STOP_SECONDS

from quorumkey_relay.standins import apns_token, fcm_token

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.protocol_crypto import Json

#: The channels by the names of the stand-ins that may serve them.
STANDS = {"apns": ("apns", "apns_sandbox"), "fcm": ("fcm",), "webpush": ("webpush",)}


@dataclass
class PushStands:
    """The control address of running stand-ins, and the settings that lead a relay to them."""

    http: httpx2.Client
    settings: dict[str, str]

    @property
    def topic(self) -> str:
        """The bundle id that the APNs stand-in knows."""
        return self.settings["QUORUMKEY_RELAY_APNS_TOPICS"]

    def counters(self, stand: str) -> Json:
        """What a stand-in has counted."""
        return cast("Json", self._get("/counters")[stand])

    def accepted(self, *stands: str) -> int:
        """How many pushes stand-ins have accepted, all if none is named."""
        counted = self._get("/counters")
        return sum(counted[stand]["accepted"] for stand in stands or counted)

    def received(self, stand: str) -> list[Json]:
        """The pushes that a stand-in got, oldest first."""
        return cast("list[Json]", self._get("/received", channel=stand)["received"])

    def fault(self, stand: str, **values: object) -> None:
        """Change how a stand-in behaves."""
        self._post("/faults", {stand: values})

    def apns(self, number: int, behaviour: str = "ok", *, once: bool = False) -> Json:
        """A push address of an iPhone."""
        return {
            "channel": "apns",
            "token": apns_token(behaviour, number, once=once),
            "topic": self.topic,
            "environment": "production",
        }

    def fcm(self, number: int, behaviour: str = "ok", *, once: bool = False) -> Json:
        """A push address of an Android phone."""
        return {"channel": "fcm", "token": fcm_token(behaviour, number, once=once)}

    def webpush(self, behaviour: str = "ok") -> Json:
        """A push address of a browser, newly subscribed."""
        made = self._post("/webpush/subscriptions", {"behaviour": behaviour})
        return {"channel": "webpush"} | {
            name: made[name] for name in ("endpoint", "p256dh", "auth")
        }

    def _get(self, path: str, **query: str) -> Json:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return cast("Json", answer.json())

    def _post(self, path: str, body: object) -> Json:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return cast("Json", answer.json()) if answer.content else {}


@contextmanager
def push_stands(folder: Path) -> Generator[PushStands, None, None]:
    """Stand-ins on free ports of loopback."""
    folder.mkdir()
    command = [sys.executable, "-m", "quorumkey_relay", "stand-ins", "--dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        process.stdout.close()  # nobody reads the lines that it prints for each push
        with httpx2.Client(base_url=said["control"], timeout=PATIENCE, trust_env=False) as http:
            yield PushStands(http, said["settings"])
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def request_of(push: Json) -> str:
    """The id of the request that a push is about, from its payload."""
    payload = push["payload"]
    message = payload.get("message", payload)
    return str(message.get("data", message)["request_id"])


def type_of(push: Json) -> str:
    """What a push is: ``approval_request`` or ``request_resolved``."""
    payload = push["payload"]
    message = payload.get("message", payload)
    return str(message.get("data", message)["type"])
