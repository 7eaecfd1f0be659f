"""What the documents refer to exists, and what they tabulate is what the code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.repo import markdown, tree

from quorumkey.errors import ERRORS
from quorumkey.protocol import Kind
from quorumkey_relay.config import OPTIONS
from quorumkey_relay.observe.metrics import Metrics
from quorumkey_relay.observe.webhook_metrics import WebhookMetrics

DOCUMENTS = markdown.documents()
PROTOCOL = Path("docs/protocol.md")
OPERATIONS = Path("docs/operations.md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_link_inside_the_repository_resolves(path: Path) -> None:
    """A relative link names a file that is there, and an anchor a heading of that file."""
    broken: list[str] = []
    for link in markdown.links(path):
        if link.startswith(("https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (tree.ROOT / path.parent / name) if name else tree.ROOT / path
        if not target.exists() or (anchor and anchor not in markdown.anchors(target)):
            broken.append(link)

    assert [] == broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_leave_over_https_only(path: Path) -> None:
    """No document sends its reader to a page without TLS."""
    assert [] == [link for link in markdown.links(path) if link.startswith("http:")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_fence_says_what_it_is(path: Path) -> None:
    """A fenced block is a command to run or data of a known kind."""
    known = {*markdown.RUN, *markdown.DATA}

    assert [] == [str(block) for block in markdown.fences(path) if block.language not in known]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_json_example_is_json(path: Path) -> None:
    """Examples parse."""
    for block in markdown.fences(path):
        if block.language == "json":
            json.loads(block.body)


def test_the_error_table_is_the_code_s() -> None:
    """docs/protocol.md lists every error code with its status, and no other."""
    rows = markdown.table(PROTOCOL, "code")

    assert {f"`{code}`": str(spec.status) for code, spec in ERRORS.items()} == {
        row[0]: row[1] for row in rows
    }


def test_the_statement_table_is_the_code_s() -> None:
    """docs/protocol.md lists every kind of statement."""
    rows = [row for row in markdown.table(PROTOCOL, "name") if row[0].startswith("`")]

    assert {f"`{kind.value}`" for kind in Kind} == {row[0] for row in rows}


def test_the_settings_table_is_the_code_s() -> None:
    """docs/operations.md lists every setting as the relay reads it."""
    expected = [
        (
            f"`{option.env}`",
            f"`{option.flag}`",
            option.kind.label + (f", {option.unit}" if option.unit else ""),
            option.default,
            option.help,
        )
        for option in OPTIONS
    ]

    assert expected == list(markdown.table(OPERATIONS, "variable"))


def test_the_metrics_that_operators_watch_exist() -> None:
    """Every metric that docs/operations.md names is one that the relay shows."""
    named = {row[0].strip("`").partition("{")[0] for row in markdown.table(OPERATIONS, "metric")}
    metrics = Metrics()
    WebhookMetrics(metrics.registry)
    shown = metrics.render().decode()

    assert named
    assert [] == [name for name in named if f"# TYPE {name} " not in shown]


def test_decisions_are_numbered_without_gaps() -> None:
    """Each file of docs/adr is numbered in order, titled by its number, and has a status."""
    files = [path for path in DOCUMENTS if path.parts[:2] == ("docs", "adr")]

    for number, path in enumerate(files, start=1):
        text = tree.read(path)
        assert path.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        assert "\nStatus: accepted\n" in text
