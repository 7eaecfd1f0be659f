"""The providers' stand-ins as a process of their own, and what they say of what they got.

``python -m bench.standins DIR`` serves them as ``quorumkey-relay stand-ins`` does, but prints no
line for each push: it prints ``{"settings": …, "control": …}`` and then only serves.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import servers
from quorumkey_relay.standins import Ports
from quorumkey_relay.standins.foreground import run

if TYPE_CHECKING:
    from collections.abc import Generator

    from quorumkey_relay.standins import Received
    from quorumkey_relay.standins import StandIns as Serving

ANSWER_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class StandIns:
    """Running stand-ins: the settings that lead a relay to them, and their control address."""

    settings: dict[str, str]
    control_url: str

    def call(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON that it answers
        """Ask, or with a body tell, the stand-ins something."""
        asked = urllib.request.Request(  # noqa: S310 - the address is on loopback
            self.control_url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - as above
            return json.loads(answer.read())

    @property
    def topic(self) -> str:
        """Return the bundle id that the APNs stand-in knows."""
        return self.settings["QUORUMKEY_RELAY_APNS_TOPICS"]

    def accepted(self, stand: str) -> int:
        """Return how many pushes a stand-in has accepted."""
        return int(self.call("/counters")[stand]["accepted"])

    def received(self, stand: str) -> list[dict[str, Any]]:
        """Return the newest pushes of a stand-in, oldest first."""
        found: list[dict[str, Any]] = self.call(f"/received?channel={stand}")["received"]
        return found

    def fault(self, stand: str, **values: object) -> None:
        """Change how a stand-in behaves."""
        self.call("/faults", {stand: values})

    def subscription(self) -> dict[str, str]:
        """Return a new subscription of a browser."""
        made: dict[str, str] = self.call("/webpush/subscriptions", {})
        return made

    def reset(self) -> None:
        """Have pushes and counters forgotten."""
        self.call("/reset", {})


def pushed_request(push: dict[str, Any]) -> str:
    """Return the id of the request that a push is about, from its payload."""
    payload = push["payload"]
    message = payload.get("message", payload)
    return str(message.get("data", message)["request_id"])


@contextmanager
def stand_ins(folder: Path, *, core: int) -> Generator[StandIns, None, None]:
    """Run the stand-ins on a core for as long as the context lasts."""
    folder.mkdir(exist_ok=True)
    command = (sys.executable, "-m", "bench.standins", str(folder))
    log = folder / "stand-ins.log"
    with servers.running(command, log, core=core, settings={}) as (_, said):
        stands = StandIns(said["settings"], said["control"])
        # Several senders sign tokens of their own here, which one team's backends do not.
        stands.fault("apns", token_update_seconds=0)
        yield stands


def _announce(stands: Serving) -> None:
    said = {"settings": stands.settings(), "control": stands.control_url}
    print(json.dumps(said), flush=True)


def _ignore(push: Received) -> None:
    """Print nothing."""
    del push


if __name__ == "__main__":
    run(Path(sys.argv[1]), Ports(), on_ready=_announce, on_received=_ignore)
