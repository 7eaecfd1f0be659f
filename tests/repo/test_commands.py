"""Every command and every program in the documents works, in the order in which it is read."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.repo import markdown, tree
from tests.repo.phones import run_among_phones, start_relay
from tests.repo.running import exchanges, pattern, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNABLE = tuple(
    path
    for path in markdown.documents()
    if any(block.language in markdown.RUN for block in markdown.fences(path))
)

ELSEWHERE = ("run-by: ", "not-run: ")


def delegated() -> Iterator[tuple[markdown.Fence, str]]:
    """The blocks that something else runs, and what."""
    for path in RUNNABLE:
        for block in markdown.fences(path):
            if block.note and block.note.startswith("run-by: "):
                yield block, block.note.removeprefix("run-by: ")


def test_there_is_something_to_run() -> None:
    """The README and the operator's page have commands; a parser that finds none is broken."""
    assert {Path("README.md"), Path("docs/operations.md")} <= set(RUNNABLE)


@pytest.mark.slow
@pytest.mark.parametrize("path", RUNNABLE, ids=str)
def test_a_reader_s_terminal(path: Path, tmp_path: Path) -> None:
    """Typed from top to bottom, every block does what it says."""
    with terminal(tmp_path) as reader:
        for block in markdown.fences(path):
            if block.language not in markdown.RUN or (block.note or "").startswith(ELSEWHERE):
                continue
            if block.note == "with: phones":
                start_relay(reader)
                printed, approvals = run_among_phones(reader, block.body)
                assert "approved by: " in printed
                assert approvals
            else:
                reader.type(block)


def test_what_runs_a_block_exists_and_names_its_commands() -> None:
    """A block that is run elsewhere names a script with its lines, or a test that is defined."""
    for block, runner in delegated():
        name, _, test = runner.partition("::")
        text = tree.read(Path(name))
        if test:
            functions = {
                node.name
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert test in functions, f"{block}: no {runner}"
        else:
            missing = set(block.body.splitlines()) - set(text.splitlines())
            assert not missing, f"{block}: {name} does not run {missing}"


def test_every_annotation_is_understood() -> None:
    """A comment before a runnable block is one of those that tests.repo.running describes."""
    known = ("background", "with: phones", *ELSEWHERE)
    unknown = [
        str(block)
        for path in RUNNABLE
        for block in markdown.fences(path)
        if block.language in markdown.RUN and block.note and not block.note.startswith(known)
    ]

    assert [] == unknown


def test_only_containers_go_untried() -> None:
    """A block that nothing runs consists of docker commands."""
    untried = [
        line
        for path in RUNNABLE
        for block in markdown.fences(path)
        if (block.note or "").startswith("not-run: ")
        for line in block.body.splitlines()
        if "docker " not in line
    ]

    assert [] == untried


def test_a_console_block_is_read_as_commands_and_what_they_print() -> None:
    """Lines after a dollar sign are typed, continued lines too; the others are seen."""
    body = "$ one \\\n  --more\nfirst …\nsecond\n$ two\n"

    assert [("one \\\n  --more\n", "first …\nsecond\n"), ("two\n", "")] == exchanges(body)


@pytest.mark.parametrize(
    ("seen", "printed", "matches"),
    [
        ("key …", "key qk_live_1", True),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a.c", "abc", False),
        ("a", "a b", False),
    ],
)
def test_three_dots_stand_for_anything(seen: str, printed: str, *, matches: bool) -> None:
    """Only the ellipsis is a wildcard; everything else is literal and nothing may be left over."""
    assert matches is (pattern(seen).fullmatch(printed) is not None)
