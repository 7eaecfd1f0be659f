"""What the benchmark says of conditions, and the reader of the conformance cases."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from bench import cel_conformance, textproto
from bench.conditions import HOSTILE_MS, measure_conditions

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CASES = """
section {
  name: "one"
  test { name: "agrees" expr: "x + 1" bindings: { key: "x" value: { value: { int64_value: 1 } } }
         value: { int64_value: 2 } }
  test { name: "fails as it should" expr: "1 / 0" eval_error: { errors: { message: "zero" } } }
  test { name: "does not agree" expr: "size('\\u00e9')" value: { int64_value: 2 } }
  test { name: "of another kind" expr: "1u" value: { int64_value: 1 } }
  test { name: "needs a package" container: "some.package" expr: "true" }
}
"""


def test_the_rows() -> None:
    """There is a figure for an ordinary condition, and one with a bound for the worst."""
    rows = measure_conditions(rounds=1, calls=1)

    assert ["condition evaluated", "condition added", "hostile, worst"] == [
        row.name for row in rows
    ]
    assert [HOSTILE_MS] == [row.bound.limit for row in rows if row.bound is not None]


def test_the_text_format() -> None:
    """Messages, lists, texts in a row and names in brackets are read."""
    read = textproto.read(
        """
        # a comment
        name: "a" 'b\\x41\\101\\n'
        list: [{ one: 1 }, { one: 2 }]
        any: { [type.googleapis.com/a.B] { seconds: -3 } } , more < inner: WORD >;
        """
    )

    assert "abAA\n" == read.text("name")
    assert ["1", "2"] == [one.text("one") for one in read.messages("list")]
    assert "-3" == read.message("any", "type.googleapis.com/a.B").text("seconds")
    assert "WORD" == read.message("more").text("inner")
    assert ["name", "list", "any", "more"] == list(read)


def test_conformance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case agrees where kind and value do, or where an error is expected."""
    sdist = tmp_path / "cases.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name in cel_conformance.FILES:
            content = (CASES if name == "basic" else 'section { name: "none" }').encode()
            member = tarfile.TarInfo(f"cel/features/{name}.textproto")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    monkeypatch.setattr("sys.argv", ["cel_conformance", str(sdist), "--all"])

    assert 0 == cel_conformance.main()
    printed = capsys.readouterr().out
    assert "cel-expr-python: 2 of 4 cases; 1 left out\n" in printed
    assert "basic/of another kind" in printed
