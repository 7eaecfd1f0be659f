"""CHANGELOG.md keeps the form of Keep a Changelog, and the distributions keep one version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from tests.repo import tree

SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
RELEASE = re.compile(r"\[(?:Unreleased|\d+\.\d+\.\d+)\](?: - \d{4}-\d{2}-\d{2})?")


def headings(level: int) -> list[str]:
    """The headings of one level, in order."""
    marks = "#" * level + " "
    return [
        line.removeprefix(marks)
        for line in tree.read(Path("CHANGELOG.md")).splitlines()
        if line.startswith(marks)
    ]


def test_releases_come_newest_first() -> None:
    """The first entry is what is not released yet; the others have a version and a day."""
    first, *others = headings(2)
    days = [release[-10:] for release in others]

    assert first == "[Unreleased]"
    assert all(RELEASE.fullmatch(release) and " - " in release for release in others)
    assert sorted(days, reverse=True) == days


def test_sections_are_those_of_the_form() -> None:
    """Each section of an entry is one of the six kinds of change."""
    assert set(headings(3)) <= SECTIONS
    assert headings(3)


def test_every_change_is_a_list_item() -> None:
    """Below a section stand list items and their continuations, nothing else."""
    body = tree.read(Path("CHANGELOG.md")).split("## [Unreleased]", 1)[1]

    assert [] == [
        line
        for line in body.splitlines()
        if line and not line.startswith(("- ", "  ", "## ", "### "))
    ]


def test_the_distributions_have_one_version() -> None:
    """The three are released together and ask for each other exactly."""
    versions = {tree.project(name)["version"] for name in tree.DISTRIBUTIONS}
    dependencies = tree.project("relay")["dependencies"]

    assert len(versions) == 1
    assert isinstance(dependencies, list)
    named = [str(each) for each in cast("list[object]", dependencies)]
    without_extras = [re.sub(r"\[.*\]", "", each) for each in named]
    for name in ("quorumkey", "quorumkey-attestation"):
        assert f"{name}=={versions.copy().pop()}" in without_extras
