"""A relay as its operator starts it: a process of its own on a free loopback port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.client import Client

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

STOP_SECONDS = 30
POLL_SECONDS = 0.05

#: The variables of the operator and of the integrator are the tests' own.
ENVIRONMENT = {name: value for name, value in os.environ.items() if "QUORUMKEY_" not in name}


def operate(*arguments: str | Path) -> dict[str, str]:
    """Run ``quorumkey-relay`` and read the JSON object that it prints; nested names get a dot."""
    done = subprocess.run(
        [sys.executable, "-m", "quorumkey_relay", *map(str, arguments), "--json"],
        capture_output=True,
        check=True,
        env=ENVIRONMENT,
    )
    value: dict[str, str | dict[str, str]] = json.loads(done.stdout)
    flat: dict[str, str] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            flat |= {f"{name}.{inner}": text for inner, text in item.items()}
        else:
            flat[name] = item
    return flat


@dataclass
class RelayProcess:
    """A relay, its first integrator, and the process that serves it."""

    folder: Path
    api_key: str
    integrator_id: str
    url: str
    process: subprocess.Popen[bytes]
    options: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of this integrator, for a process of its own."""
        return {**ENVIRONMENT, "QUORUMKEY_URL": self.url, "QUORUMKEY_API_KEY": self.api_key}

    def stop(self) -> None:
        """End the process."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def start(self) -> None:
        """Serve the same folder at the same address again."""
        self.process, self.url = _serve(self.folder, self.url.rpartition(":")[2], self.options)

    def restart(self) -> None:
        """End the process and start it again."""
        self.stop()
        self.start()

    def rotate(self) -> str:
        """Change the relay's key; answers the new fingerprint once it is in force."""
        following = operate("keys", "rotate-relay", "--data-dir", self.folder)["next_relay"]
        deadline = time.monotonic() + STOP_SECONDS
        with Client(self.url, self.api_key) as client:
            # The new key signs from the next second on, by the relay's own clock.
            while client.info().relay != following:
                assert time.monotonic() < deadline
                time.sleep(POLL_SECONDS)
        return following


def _serve(
    folder: Path, port: str, options: tuple[str, ...]
) -> tuple[subprocess.Popen[bytes], str]:
    arguments = ["serve", "--data-dir", str(folder), "--port", port, "--json", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "quorumkey_relay", *arguments, "--log-level", "error"],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    ready: dict[str, str] = json.loads(process.stdout.readline())
    return process, ready["url"]


@contextmanager
def relay_process(folder: Path, *options: str) -> Generator[RelayProcess, None, None]:
    """A served relay with the integrator "Acme Corp"; ``options`` are given to ``serve``."""
    data = folder / "data"
    made = operate("init", "--data-dir", data, "--integrator", "Acme Corp", "--test")
    process, url = _serve(data, "0", options)
    running = RelayProcess(data, made["api_key"], made["integrator.id"], url, process, options)
    try:
        yield running
    finally:
        running.stop()
