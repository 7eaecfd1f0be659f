"""Reading this repository's Markdown: fences with their annotations, headings, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.repo import tree

if TYPE_CHECKING:
    from pathlib import Path

RUN: Final = ("console", "python", "sh")
DATA: Final = ("javascript", "json", "kotlin", "nginx", "swift", "text", "toml", "yaml")

_FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<language>[^\n]*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: where it is, its language, its text, and the comment just before it."""

    path: Path
    line: int
    language: str
    body: str
    note: str | None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def documents() -> tuple[Path, ...]:
    """The Markdown files of the repository."""
    return tree.with_suffix(".md")


def fences(path: Path) -> tuple[Fence, ...]:
    """The fenced blocks of one file, in order."""
    text = tree.read(path)
    return tuple(
        Fence(
            path=path,
            line=text.count("\n", 0, found.start("language")) + 1,
            language=found["language"].strip(),
            body=found["body"],
            note=found["note"],
        )
        for found in _FENCE.finditer(text)
    )


def links(path: Path) -> tuple[str, ...]:
    """The targets of the links of one file, those in code left out."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", tree.read(path)))
    return tuple(found["target"] for found in _LINK.finditer(prose))


def anchors(path: Path) -> frozenset[str]:
    """The anchors that a file's headings make, as the usual renderers do."""
    headings = _HEADING.findall(_FENCE.sub("", tree.read(path)))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return frozenset(heading.replace(" ", "-") for heading in kept)


def table(path: Path, first_header: str) -> tuple[tuple[str, ...], ...]:
    """The rows of the first table whose first header cell is ``first_header``."""
    lines = iter(tree.read(path).splitlines())
    for line in lines:
        if line.startswith(f"| {first_header} |"):
            break
    next(lines)
    rows: list[tuple[str, ...]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        rows.append(tuple(cell.strip().replace("\\|", "|") for cell in cells))
    return tuple(rows)
