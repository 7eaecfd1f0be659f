"""What no file of the repository may hold, and what each must."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest
from tests.repo import tree

MAX_MODULE_LINES = 420

# Put together here, so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    name + "." + domain
    for name, domain in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("registry.yarnpkg", "com"),
        ("crates", "io"),
        ("proxy.golang", "org"),
        ("deb.debian", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
    ]
)
INDEX_OPTIONS = tuple("-".join(words) for words in [("index", "url"), ("find", "links")])
MACHINE_PATHS = re.compile(
    "|".join(
        rf"(?<![\w.])/{folder}/{rest}"
        for folder, rest in [
            ("root", ""),
            ("work", ""),
            ("farm", ""),
            ("home", r"[a-z]"),
            ("Users", r"[A-Za-z]"),
            ("mnt", ""),
        ]
    )
)
# Base64 may hold any four letters in a row.
FOREIGN_LICENCE = re.compile(r"(?<![\w+/])" + "A" + r"GPL(?![\w+/=])|" + "Affero" + " General")

SILENCERS = re.compile(
    r"#\s*(?:(?:ruff:\s*)?noqa\b(?::\s*[A-Z0-9, ]+)?|(?:type|pyright):\s*ignore(?:\[[^]]*\])?"
    r"|pragma:\s*no\s*(?:cover|branch))(?P<rest>.*)"
)
REASON = re.compile(r"[a-z]{2,}")


def sources() -> tuple[Path, ...]:
    """The modules that are installed."""
    return tuple(
        path
        for path in tree.with_suffix(".py")
        if path.parts[0] in tree.DISTRIBUTIONS and path.parts[1] == "src"
    )


def readable() -> list[tuple[Path, str]]:
    """Every file that is text, with its text."""
    found: list[tuple[Path, str]] = []
    for path in tree.files():
        try:
            found.append((path, tree.read(path)))
        except UnicodeDecodeError:
            continue
    return found


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the installing machine's business."""
    named = [
        f"{path}: {word}"
        for path, text in readable()
        for word in (*REGISTRY_HOSTS, *INDEX_OPTIONS)
        if word in text
    ]

    assert [] == named


def test_no_file_names_a_place_on_one_machine() -> None:
    """No path of the machine that a file was written on is in it."""
    named = [
        f"{path}: {found.group()}"
        for path, text in readable()
        for found in MACHINE_PATHS.finditer(text)
    ]

    assert [] == named


def test_no_text_of_another_licence() -> None:
    """Everything here is under the one licence."""
    assert [] == [str(path) for path, text in readable() if FOREIGN_LICENCE.search(text)]


@pytest.mark.parametrize("distribution", tree.DISTRIBUTIONS)
def test_each_distribution_carries_the_licence(distribution: str) -> None:
    """The licence of each distribution is the one of the repository, byte for byte."""
    licence = (tree.ROOT / "LICENSE").read_bytes()

    assert b"Apache License" in licence
    assert licence == (tree.ROOT / distribution / "LICENSE").read_bytes()


def test_modules_fit_in_the_head() -> None:
    """No module is longer than a reader can hold; tests and generators are read test by test."""
    too_long = {
        str(path): lines
        for path in tree.with_suffix(".py")
        if path.parts[0] not in ("tests", "fixtures")
        and (lines := len(tree.read(path).splitlines())) >= MAX_MODULE_LINES
    }

    assert {} == too_long


def undocumented(path: Path) -> list[str]:
    """The public names that ``path`` defines without saying what they are."""
    module = ast.parse(tree.read(path))
    found: list[str] = [] if ast.get_docstring(module) else [str(path)]

    def visit(parent: ast.Module | ast.ClassDef, prefix: str) -> None:
        for node in parent.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if node.name.startswith("_"):
                continue
            overload = any("overload" in ast.dump(item) for item in node.decorator_list)
            if not overload and ast.get_docstring(node) is None:
                found.append(f"{path}: {prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                visit(node, f"{prefix}{node.name}.")

    visit(module, "")
    return found


def test_every_public_name_says_what_it_is() -> None:
    """Modules, classes, functions and methods without a leading underscore have a docstring."""
    assert [] == [name for path in sources() for name in undocumented(path)]


def test_every_test_states_its_fact() -> None:
    """The docstring of a test is the sentence that it proves."""
    silent = [
        f"{path}: {node.name}"
        for path in tree.with_suffix(".py")
        if path.parts[0] == "tests" and path.name.startswith("test_")
        for node in ast.walk(ast.parse(tree.read(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]

    assert [] == silent


def unexplained(path: Path) -> list[str]:
    """The comments of ``path`` that silence a check and give no reason on their line."""
    comments = (
        token
        for token in tokenize.generate_tokens(io.StringIO(tree.read(path)).readline)
        if token.type == tokenize.COMMENT
    )
    return [
        f"{path}:{token.start[0]}: {token.string}"
        for token in comments
        if (silencer := SILENCERS.search(token.string))
        and REASON.search(silencer.group("rest")) is None
    ]


def test_every_silenced_check_gives_its_reason() -> None:
    """Typing, lint and coverage leave nothing out without a reason on the line."""
    assert [] == [line for path in tree.with_suffix(".py") for line in unexplained(path)]


def test_every_pin_is_exact_and_names_no_address() -> None:
    """Each line of constraints.txt is a name and one version."""
    pins = [
        line for line in tree.read(Path("constraints.txt")).splitlines() if not line.startswith("#")
    ]

    assert pins
    assert [] == [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin)]
