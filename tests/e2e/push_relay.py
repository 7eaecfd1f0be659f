"""A relay process that can be killed and started again, as its operator and its clients see it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
from tests.e2e.protocol_client import PATIENCE, Integrator, Relay
from tests.e2e.sdk_relay_process import ENVIRONMENT, STOP_SECONDS, operate

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_LIMITS = ("RATE_API_KEY", "RATE_DEVICE", "RATE_IP", "RATE_IP_FAILURES", "MAX_PENDING_PER_DEVICE")
#: Nobody is limited here.
GENEROUS = {f"QUORUMKEY_RELAY_{name}": "10000000" for name in _LIMITS}


@dataclass
class PushRelay:
    """A data directory with one integrator, and the process that serves it at one address."""

    data: Path
    log: Path
    acme: Integrator
    settings: dict[str, str]
    port: str = "0"
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def relay(self) -> Relay:
        """The relay as its clients see it."""
        return self.acme.relay

    def start(self) -> None:
        """Serve; returns once calls are answered."""
        command = [sys.executable, "-m", "quorumkey_relay", "serve", "--data-dir", str(self.data)]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [*command, "--port", self.port, "--json", "--log-level", "debug"],
                stdout=subprocess.PIPE,
                stderr=file,
                env=ENVIRONMENT | GENEROUS | self.settings,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text("utf-8")[-2_000:]
        self.relay.url = json.loads(line)["url"]
        self.relay.http.base_url = self.relay.url
        self.port = self.relay.url.rpartition(":")[2]

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    def stop(self) -> None:
        """End it as an operator does."""
        assert self.process is not None
        self.process.terminate()
        self._ended()

    def _ended(self) -> None:
        assert self.process is not None
        self.process.wait(STOP_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def get(self, path: str) -> str:
        """The text of a page of the operator."""
        answer = self.relay.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


@contextmanager
def pushing_relay(folder: Path, settings: dict[str, str]) -> Generator[PushRelay, None, None]:
    """A served relay with the integrator "Acme Corp", under these settings of the environment."""
    data = folder / "data"
    made = operate("init", "--data-dir", data, "--integrator", "Acme Corp", "--test")
    # A connection that is kept would break whenever the relay is killed.
    limits = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(timeout=PATIENCE, trust_env=False, limits=limits) as http:
        acme = Integrator(Relay("", http), made["api_key"], made["integrator.id"], "Acme Corp")
        running = PushRelay(data, folder / "relay.log", acme, settings)
        running.start()
        try:
            yield running
        finally:
            if running.process is not None:
                running.stop()
