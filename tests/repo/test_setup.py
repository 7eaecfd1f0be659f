"""scripts/setup and the Makefile: what a newcomer meets first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.repo import tree

PROMISED = (
    "demo",
    "demo-jit",
    "demo-protected",
    "test",
    "serve",
    "bench",
    "lint",
    "format",
    "fixtures",
    "clean",
)


def copy(folder: Path) -> Path:
    """Copy what scripts/setup reads into ``folder``, and return the script."""
    names = ("scripts/setup", "pyproject.toml", "constraints.txt")
    for name in (*names, *(f"{part}/pyproject.toml" for part in tree.DISTRIBUTIONS)):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(tree.ROOT / name, folder / name)
    return folder / "scripts" / "setup"


def script(path: Path, body: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(setup: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run set-up with only the variables named, and the machine's PATH."""
    return subprocess.run(
        [setup, *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """PYTHON that is not 3.11 or later ends set-up before it touches anything."""
    old = script(tmp_path / "old" / "python", "exit 1")

    refused = run(copy(tmp_path), PYTHON=str(old))

    assert refused.returncode == 1
    assert f"setup: PYTHON={old} is not a working Python 3.11 or later\n" == refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    """Where no candidate works, set-up says what it needs and how to name one."""
    tools = tmp_path / "bin"
    for name in ("dirname", "sh"):
        found = shutil.which(name)
        assert found
        tools.mkdir(exist_ok=True)
        (tools / name).symlink_to(found)

    refused = run(copy(tmp_path), PATH=str(tools))

    assert refused.returncode == 1
    assert refused.stderr.startswith("setup: no Python 3.11 or later found")


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    """Debian's python3 comes without ensurepip; the message names the missing package."""
    partial = script(
        tmp_path / "partial" / "python",
        'case "$2" in *ensurepip*) exit 1 ;; *print*) echo "3.11.2 /usr" ;; esac',
    )

    refused = run(copy(tmp_path), PYTHON=str(partial))

    assert refused.returncode == 1
    assert "install python3-venv" in refused.stderr


def test_an_unknown_extent_is_refused(tmp_path: Path) -> None:
    """Only nothing or 'dev' can be asked for."""
    refused = run(copy(tmp_path), "everything")

    assert refused.returncode == 1
    assert "unknown extent 'everything'" in refused.stderr


@pytest.mark.parametrize("extent", ["runtime", "dev"])
def test_a_second_run_does_nothing(tmp_path: Path, extent: str) -> None:
    """With everything installed and nothing changed, set-up neither prints nor installs."""
    setup = copy(tmp_path)
    pip = script(tmp_path / ".venv" / "bin" / "python", f'exec "{shutil.which("python3")}" "$@"')
    folder = tmp_path / ".venv"
    sums = subprocess.run(
        ["sh", "-c", "cat scripts/setup pyproject.toml */pyproject.toml constraints.txt | cksum"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    version = subprocess.run(
        [pip, "-c", "import sys; print(sys.version.split()[0], sys.base_prefix)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (folder / "made-for").write_text(f"{version} {tmp_path.resolve()}\n", encoding="utf-8")
    (folder / "installed").write_text(f"{sums} dev\n", encoding="utf-8")

    again = run(setup, extent)

    assert (0, "", "") == (again.returncode, again.stdout, again.stderr)


def test_every_promised_target_is_listed() -> None:
    """``make`` alone lists every target that the documentation names."""
    listed = subprocess.run(
        ["make", "--silent"],
        cwd=tree.ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert set(PROMISED) <= set(re.findall(r"^  make ([a-z-]+) ", listed, flags=re.MULTILINE))


def test_continuous_integration_runs_the_five_commands() -> None:
    """.ci/run is the checks, the fuzzing and the demonstrations, in this order."""
    lines = tree.read(Path(".ci/run")).splitlines()

    assert ["make test", "make fuzz", "make demo", "make demo-protected", "make demo-jit"] == [
        line for line in lines if line.startswith("make")
    ]
    assert os.access(tree.ROOT / ".ci" / "run", os.X_OK)
