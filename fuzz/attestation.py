"""``python -m fuzz.attestation ENTRY --seconds 30``: fuzz one entry point, or ``all`` of them.

Coverage-guided, by Atheris and libFuzzer, with ``quorumkey_attestation`` instrumented; the corpus
is the evidence of the numbered cases. ``all`` runs every entry point, two at a time, each in a
process of its own. Exit code 0 when nothing was found; another when an input led to anything but a
result or an AttestationError, and then the input is in ``fuzz/findings/``, where
``python -m fuzz.attestation ENTRY --input FILE`` shows it again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from fuzz.entry_points import EntryPoint

__all__ = ["main"]

#: The names of the entry points; known without importing them, which is done under instruments.
NAMES: Final = (
    "app-attestation",
    "app-assertion",
    "app-receipt",
    "android-key",
    "key-description",
    "revocation-list",
    "webauthn-registration",
    "webauthn-assertion",
    "play-token",
    "play-payload",
)

FOLDER: Final = Path(__file__).resolve().parent
FINDINGS: Final = FOLDER / "findings"
DEFAULT_SECONDS: Final = 30
MAX_INPUT_BYTES: Final = 16_384  # longer ones only repeat themselves
INPUT_SECONDS: Final = 10  # an input that takes longer is a finding too
AT_A_TIME: Final = 2  # processes; what a runner has as cores
GRACE_SECONDS: Final = 120  # to import, and to run the corpus, before a process counts as hung

_DULL: Final = "INFO: Instrumenting"
_RUNS: Final = re.compile(r"^Done (\d+) runs", re.MULTILINE)
_EDGES: Final = re.compile(r" cov: (\d+)")


class _Atheris(Protocol):
    """What is used of the module ``atheris``, which brings no types."""

    def instrument_imports(
        self, include: list[str], exclude: list[str]
    ) -> AbstractContextManager[None]: ...

    def Setup(  # noqa: N802  # its name there
        self, argv: list[str], run: Callable[[bytes], None]
    ) -> list[str]: ...

    def Fuzz(self) -> None: ...  # noqa: N802  # its name there


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Args:
        arguments: the words after the program's name; by default the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m fuzz.attestation")
    parser.add_argument("entry", choices=[*NAMES, "all"], help="what to fuzz")
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, help="for each entry")
    parser.add_argument("--input", type=Path, help="run this one file instead of fuzzing")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)  # how this starts itself
    chosen = parser.parse_args(arguments)
    if chosen.entry == "all":
        return _run_all(chosen.seconds)
    if chosen.input is not None:
        return _run_input(chosen.entry, chosen.input)
    if chosen.corpus is not None:
        return _fuzz(chosen.entry, chosen.seconds, chosen.corpus)
    return int(_run_apart(chosen.entry, chosen.seconds, quiet=False))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run_all(seconds: int) -> int:
    def fails(name: str) -> bool:
        return _run_apart(name, seconds, quiet=True)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return int(any(list(pool.map(fails, NAMES))))


def _run_apart(name: str, seconds: int, *, quiet: bool) -> bool:
    """Fuzz an entry point in another process; say what came of it, and whether it failed.

    libFuzzer ends its process without a word to Python, so somebody else has to tidy up.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        command = [sys.executable, "-m", "fuzz.attestation", name]
        command += ["--seconds", str(seconds), "--corpus", corpus]
        try:
            ended = subprocess.run(  # noqa: S603  # this very program
                command,
                cwd=FOLDER.parent,
                stdout=subprocess.PIPE if quiet else None,
                stderr=subprocess.STDOUT if quiet else None,
                text=True,
                errors="replace",
                check=False,
                timeout=seconds + GRACE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            _say(f"{name}: still running {GRACE_SECONDS} s after its time")
            return True
    if ended.returncode:
        told = [line for line in (ended.stdout or "").splitlines() if _DULL not in line]
        _say("\n".join([f"{name}: FAILED, see {FINDINGS.relative_to(FOLDER.parent)}/", *told]))
        return True
    if quiet:
        _say(f"{name}: {_summary(ended.stdout)}, no finding")
    return False


def _summary(output: str) -> str:
    runs = _RUNS.search(output)
    edges = _EDGES.findall(output)
    return f"{runs[1] if runs else 0} inputs, {edges[-1] if edges else 0} edges"


def _run_input(name: str, path: Path) -> int:
    entry = _entry_point(name)
    accepted = entry.accepts(path.read_bytes())
    _say(f"{path}: {'accepted' if accepted else 'refused'}")
    return 0


def _entry_point(name: str) -> EntryPoint:
    from fuzz.entry_points import entry_point  # noqa: PLC0415  # under instruments, where they are

    return entry_point(name)


def _fuzz(name: str, seconds: int, corpus: Path) -> int:
    """Fuzz in this process, which libFuzzer then ends with its own exit code."""
    import atheris  # type: ignore[import-untyped]  # noqa: PLC0415  # it brings no types, and only this needs it

    engine = cast("_Atheris", atheris)
    with engine.instrument_imports(
        include=["quorumkey_attestation"], exclude=["quorumkey_attestation.testing"]
    ):
        entry = _entry_point(name)
    FINDINGS.mkdir(exist_ok=True)

    def run(data: bytes) -> None:
        entry.accepts(data)

    for number, seed in enumerate(entry.seeds):
        (corpus / f"{number:04}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-timeout={INPUT_SECONDS}",
        f"-artifact_prefix={FINDINGS}/{name}-",
        "-print_final_stats=1",
    ]
    engine.Setup([sys.argv[0], *options, str(corpus)], run)
    engine.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
