"""The files of this repository, as its tests look at them."""

from __future__ import annotations

import subprocess
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = ("sdk", "attestation", "relay")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked or about to be: not ignored, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = sorted(set(listing.stdout.split("\0")) - {""})
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def with_suffix(*suffixes: str) -> tuple[Path, ...]:
    """The files that end in one of ``suffixes``."""
    return tuple(path for path in files() if path.suffix in suffixes)


def read(path: Path) -> str:
    """The text of a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def project(distribution: str) -> dict[str, object]:
    """The ``[project]`` table of one distribution."""
    table: dict[str, object] = tomllib.loads(read(Path(distribution, "pyproject.toml")))["project"]
    return table
