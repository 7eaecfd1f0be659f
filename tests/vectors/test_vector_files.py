"""The vector files themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from fixtures.generate_vectors import differing, main, write
from tests.vectors.vector_files import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

_ROOT = FOLDER.parents[1]


def test_files_are_what_the_generator_writes() -> None:
    """The committed files are, byte for byte, what the committed generator writes."""
    assert [] == differing(FOLDER)


def test_check_names_what_differs(tmp_path: Path) -> None:
    """The check fails for a changed, a missing and a superfluous file, and writes nothing."""
    write(tmp_path)
    (tmp_path / "keys.json").write_text("{}")
    (tmp_path / "quorum.json").unlink()
    (tmp_path / "more.json").write_text("{}")

    assert ["keys.json", "more.json", "quorum.json"] == differing(tmp_path)
    assert 1 == main(["--check", "--folder", str(tmp_path)])
    assert "{}" == (tmp_path / "keys.json").read_text()


def test_generator_runs_as_a_program() -> None:
    """Both ways of starting the generator work, from any folder."""
    program = _ROOT / "fixtures" / "generate_vectors.py"
    for command in (["-m", "fixtures.generate_vectors"], [str(program)]):
        subprocess.run([sys.executable, *command, "--check"], cwd=_ROOT, check=True)


def test_generator_does_not_use_the_code_under_test() -> None:
    """No module of the generator imports the package whose vectors it writes."""
    for path in (_ROOT / "fixtures").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) quorumkey", path.read_text(), re.MULTILINE), path


def test_every_kind_of_failure_is_documented_and_used() -> None:
    """The closed list of failures in fixtures/README.md is exactly what the vectors name."""
    readme = (_ROOT / "fixtures" / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Kinds of failure")[2]
    listed = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    used = {
        case["failure"]
        for path in FOLDER.glob("*.json")
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]
        if "failure" in case
    }

    assert listed == used
