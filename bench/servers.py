"""Starting servers as processes of their own, pinned to a core, and reading what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]

#: What is raised for the benchmark, mostly calls per minute: its calls come from one address, and
#: from few devices. Everything else is as ``quorumkey-relay serve`` has it by default.
RAISED: Final = {
    f"QUORUMKEY_RELAY_{name}": "100000000"
    for name in ("RATE_API_KEY", "RATE_DEVICE", "RATE_IP", "RATE_IP_FAILURES")
}

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
_KIB: Final = 1_024
_NANOSECOND: Final = 1e-9
_RELAY: Final = (sys.executable, "-m", "quorumkey_relay")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core serves and which asks; the same one where the machine has only one."""

    server: int
    load: int
    count: int

    @classmethod
    def of_machine(cls) -> Cores:
        """Choose among the cores this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[-1], load=usable[0], count=len(usable))


class ServerError(Exception):
    """A server process did not start, or ended before it was told to."""


@dataclass(frozen=True, slots=True)
class Server:
    """One running server process."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Return where it is called."""
        return f"http://127.0.0.1:{self.port}"

    def unique_bytes(self) -> int:
        """Return the memory that only this process uses (USS): its private pages."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        return _KIB * sum(
            int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")
        )

    def cpu_seconds(self) -> float:
        """Return the processor time that its threads have used since they started."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        spent = (thread.joinpath("schedstat").read_text(encoding="ascii") for thread in threads)
        return _NANOSECOND * sum(int(line.split()[0]) for line in spent)


def initialise(data_dir: Path) -> str:
    """Make a relay's data directory with one integrator; return the integrator's API key."""
    command = (*_RELAY, "init", "--data-dir", str(data_dir), "--integrator", "Acme Corp", "--json")
    made = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own program
    key = json.loads(made.stdout)["api_key"]
    if not isinstance(key, str):
        message = f"init answered no API key: {made.stdout!r}"
        raise ServerError(message)
    return key


@contextmanager
def relay(
    data_dir: Path, cores: Cores, settings: Mapping[str, str] = RAISED
) -> Generator[Server, None, None]:
    """Serve a data directory as an operator does, for as long as the context lasts."""
    command = (*_RELAY, "serve", "--data-dir", str(data_dir), "--port", "0", "--json")
    log = data_dir.with_suffix(".log")
    with running(command, log, core=cores.server, settings=settings) as (process, said):
        yield Server("relay", _port(str(said["url"])), process.pid)


@contextmanager
def target(kind: str, folder: Path, cores: Cores) -> Generator[Server, None, None]:
    """Run one of the programs of `bench.target` for as long as the context lasts."""
    command = (sys.executable, "-m", "bench.target", kind)
    log = folder / f"{kind}.log"
    with running(command, log, core=cores.server, settings=RAISED) as (process, said):
        yield Server(kind, _port(str(said["url"])), process.pid)


@contextmanager
def running(
    command: Sequence[str], log: Path, *, core: int, settings: Mapping[str, str]
) -> Generator[tuple[subprocess.Popen[bytes], dict[str, Any]], None, None]:
    """Run a program on a core; yield it and the JSON object that it prints once it is ready.

    Raises ServerError with the end of its log when it does not start, or ends by itself.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command,
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    # Before it has threads, so that they inherit it.
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process, _said(process, log)
        if process.poll() is not None:
            message = f"{command} ended by itself:\n{_tail(log)}"
            raise ServerError(message)
    finally:
        _stop(process)


def _port(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        message = f"no port is named in {url}"
        raise ServerError(message)
    return port


def _said(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """Return the JSON object in the first line that the process prints."""
    if process.stdout is None:
        message = "the server has no standard output"
        raise ServerError(message)
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + START_SECONDS
    said = b""
    while b"\n" not in said:
        if process.poll() is not None or time.monotonic() > deadline:
            message = f"{process.args!r} did not start:\n{_tail(log)}"
            raise ServerError(message)
        time.sleep(0.01)
        said += process.stdout.read() or b""
    os.set_blocking(process.stdout.fileno(), True)
    found: dict[str, Any] = json.loads(said.partition(b"\n")[0])
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
