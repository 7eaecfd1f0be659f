# ruff: noqa: RUF001 - look-alikes are what these tests are about
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey.device import visible, visible_json

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue


@pytest.mark.parametrize(
    "text",
    [
        "Cold boot engine ENG-001",
        "Zoë Müller-Łukasz",
        "冷启动 ENG-001",
        "Überprüfung – bitte",
        "नमस्ते",
        "O’Brien",
        "🐶 dog",
        "",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Text that deceives nobody is shown unchanged."""
    assert text == visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u00adb", "a⟨U+00AD⟩b"),
        ("a\u00a0b", "a⟨U+00A0⟩b"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\u3164b", "a⟨U+3164⟩b"),
        ("a\u2800b", "a⟨U+2800⟩b"),
        ("a\ufe0fb", "a⟨U+FE0F⟩b"),
        ("a\U000e0041b", "a⟨U+E0041⟩b"),
        ("a\x1b[31mb", "a⟨U+001B⟩[31mb"),
        ("a\x9bb", "a⟨U+009B⟩b"),
        ("a\nb", "a⟨U+000A⟩b"),
        ("a\ue000b", "a⟨U+E000⟩b"),
        ("a\udc80b", "a⟨U+DC80⟩b"),
    ],
)
def test_invisible_characters_are_written_out(text: str, shown: str) -> None:
    """Control, format, blank, private and unassigned characters show as their code point."""
    assert shown == visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pаypal", "pа⟨U+0430⟩ypal"),
        ("Αlpha", "Α⟨U+0391⟩lpha"),
        ("ENG‐001", "ENG‐⟨U+2010⟩001"),
        ("1∕2", "1∕⟨U+2215⟩2"),
        ("ｘ", "ｘ⟨U+FF58⟩"),
        ("𝐚", "𝐚⟨U+1D41A⟩"),
        ("ɡo", "ɡ⟨U+0261⟩o"),
        ("ı", "ı⟨U+0131⟩"),
        ("१२", "१⟨U+0967⟩२⟨U+0968⟩"),
        ("e\u0301", "e\u0301⟨U+0301⟩"),
        ("αа", "α⟨U+03B1⟩а⟨U+0430⟩"),
    ],
)
def test_look_alikes_are_pointed_out(text: str, shown: str) -> None:
    """A character that passes for another one is followed by its code point."""
    assert shown == visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Заявка 12", "Заявка 12 ⟨Cyrillic⟩"), ("Ελλάδα", "Ελλάδα ⟨Greek⟩")],
)
def test_one_other_script_stays_readable(text: str, shown: str) -> None:
    """A text all in one script that resembles Latin is followed by the script's name."""
    assert shown == visible(text)


def test_our_own_marks_cannot_be_forged() -> None:
    """Text that holds the marks' own brackets shows them as code points."""
    assert "⟨U+27E8⟩U+0430⟨U+27E9⟩" == visible("⟨U+0430⟩")


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    """Whatever goes in, what comes out has no control or format character."""
    assert visible(text).isprintable()


@given(st.text(), st.text())
def test_different_texts_look_different(first: str, second: str) -> None:
    """Two texts that are not the same are not shown the same."""
    assert (first == second) == (visible(first) == visible(second))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x", '"x"'),
        ('a"b\\', '"a\\"b\\\\"'),
        (1, "1"),
        ("1", '"1"'),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
        ([1, "a"], '[\n  1,\n  "a"\n]'),
        ({"а": {"b": []}}, '{\n  "а ⟨Cyrillic⟩": {\n    "b": []\n  }\n}'),
    ],
)
def test_parameters_are_written_in_full(value: JsonValue, shown: str) -> None:
    """A parameter's value is shown as JSON, so that different values look different."""
    assert shown == visible_json(value)
