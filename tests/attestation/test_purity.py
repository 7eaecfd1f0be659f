"""What the import contracts of pyproject.toml cannot see: clocks, and state that is shared."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import quorumkey_attestation

PACKAGE = Path(quorumkey_attestation.__file__).parent

#: What is told the time by the machine: the command line, and the fetcher where nobody injects it.
READS_THE_CLOCK = {"android/fetch.py", "cli"}

SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
PURE = [
    path
    for path in SOURCES
    if path.as_posix() not in READS_THE_CLOCK and path.parts[0] not in READS_THE_CLOCK
]
VERIFYING = [path for path in PURE if path.parts[0] != "testing" and path.name != "__init__.py"]


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module of the package."""
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PURE, ids=str)
def test_nothing_reads_the_clock(path: Path) -> None:
    """``now`` comes from the caller: no module asks a clock of its own."""
    asked = {
        node.attr
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        # ``argument.now`` is a value that a caller gave.
        and isinstance(node.value, ast.Name)
        and node.value.id in ("datetime", "date", "time")
    }

    assert set() == asked


@pytest.mark.parametrize("path", VERIFYING, ids=str)
def test_no_module_holds_what_can_change(path: Path) -> None:
    """A verifier's module has no list, dictionary or set that one call could leave to the next."""
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    held = [
        ast.unparse(statement.targets[0] if isinstance(statement, ast.Assign) else statement.target)
        for statement in parsed(path).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and isinstance(statement.value, mutable)
    ]

    assert ["__all__"] * held.count("__all__") == held
