"""Text for people: nothing in it may be invisible, and no letter may pass for another.

PROTOCOL §2: a relay refuses control and direction characters in the text that people see, and
"devices make other invisible and look-alike characters visible". What could deceive is written
as ``⟨U+0430⟩`` behind (look-alike) or in place of (invisible) the character itself. This errs on
the side of showing too much: Unicode Technical Standard 39 lists far more look-alikes than any
device needs to tell apart once every mixture of scripts is pointed out.
"""

from __future__ import annotations

import unicodedata
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["visible", "visible_json"]

_OPEN: Final = "⟨"
_CLOSE: Final = "⟩"
_INDENT: Final = "  "

#: Categories that draw nothing, or nothing that is known: control, format, surrogate, private
#: use, unassigned, and every separator but the space.
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
#: Default-ignorable or blank characters of other categories: combining grapheme joiner, Hangul
#: fillers, Khmer inherent vowels, Mongolian and other variation selectors, the braille blank.
_INVISIBLE_RANGES: Final = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
#: Dashes, slashes, colons and quotes that pass for ASCII ones and that NFKC leaves alone.
_LOOK_ALIKE_SIGNS: Final = frozenset(
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u02d7\u2043\u06d4\u2044\u2215\u29f8\u2571\u0589"
    "\u05c3\u02d0\ua789\u2236\u02d1\u00b7\u2027\u2219\u22c5\u02bc\u02b9\u2032\u00b4\u02cb\u02ca"
    "\u204e\u2217\u066d\u01c3\u02c2\u02c3\u2039\u203a\u02c6\u223c\u2223\u01c0\u2024\u00d7"
)
#: Scripts whose letters are drawn like Latin ones, by the first word of a letter's name.
_LOOK_ALIKE_SCRIPTS: Final = frozenset(
    {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN", "DESERET", "NKO"}
)
#: Latin letters without an ASCII base that everybody can tell apart.
_PLAIN_LATIN: Final = frozenset("ßæÆœŒøØłŁđĐðÐþÞħĦŋŊ")


def visible(text: str) -> str:
    """Return `text` with every invisible or look-alike character written out.

    A text of one script that could pass for Latin as a whole (Russian, Greek …) stays readable
    and is followed by the script's name.
    """
    scripts = {script for character in text if (script := _look_alike_script(character))}
    mixed = any(character.isascii() and character.isalpha() for character in text)
    marked = "".join(_marked(text, mixed=mixed or len(scripts) > 1))
    if scripts and not mixed and len(scripts) == 1:
        return f"{marked} {_OPEN}{scripts.pop().capitalize()}{_CLOSE}"
    return marked


def _marked(text: str, *, mixed: bool) -> Iterator[str]:
    base = ""
    for index, character in enumerate(text):
        if character == " " or (character.isascii() and character.isprintable()):
            base = character
            yield character
            continue
        if _is_invisible(character) or character in (_OPEN, _CLOSE):
            yield _code(character)
            continue
        if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me"}:
            # On a Latin letter there is a second spelling that looks the same.
            yield character + (_code(character) if _is_latin(base) else "")
            continue
        base = character
        alone = _stands_alone(text, index)
        yield character + (_code(character) if _deceives(character, mixed, alone) else "")


def _deceives(character: str, mixed: bool, alone: bool) -> bool:  # noqa: FBT001 - private
    if character in _LOOK_ALIKE_SIGNS:
        return not alone
    if unicodedata.normalize("NFKC", character) != character:
        return True
    if _look_alike_script(character):
        return mixed
    if unicodedata.decimal(character, None) is not None:
        return True  # digits of other scripts
    return _is_latin(character) and not _has_ascii_base(character)


def _stands_alone(text: str, index: int) -> bool:
    """Whether blanks are on both sides, as around a dash between words."""
    around = text[max(index - 1, 0) : index] + text[index + 1 : index + 2]
    return around == "  "


def _is_invisible(character: str) -> bool:
    point = ord(character)
    return unicodedata.category(character) in _INVISIBLE_CATEGORIES or any(
        first <= point <= last for first, last in _INVISIBLE_RANGES
    )


def _look_alike_script(character: str) -> str:
    if character.isascii() or not character.isalpha():
        return ""
    script = unicodedata.name(character, "").partition(" ")[0]
    return script if script in _LOOK_ALIKE_SCRIPTS else ""


def _is_latin(character: str) -> bool:
    return character.isalpha() and (
        character.isascii() or unicodedata.name(character, "").startswith("LATIN ")
    )


def _has_ascii_base(character: str) -> bool:
    base = unicodedata.normalize("NFD", character)[:1]
    return character in _PLAIN_LATIN or base.isascii()


def _code(character: str) -> str:
    return f"{_OPEN}U+{ord(character):04X}{_CLOSE}"


def visible_json(value: JsonValue, *, indent: int = 0) -> str:
    """Write a parameter's value in full: strings in quotes, so ``1`` and ``"1"`` differ."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{visible(escaped)}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    inner = _INDENT * (indent + 1)
    if isinstance(value, dict):
        entries = [
            f"{inner}{visible_json(name)}: {visible_json(item, indent=indent + 1)}"
            for name, item in value.items()
        ]
        opening, closing = "{", "}"
    else:
        entries = [f"{inner}{visible_json(item, indent=indent + 1)}" for item in value]
        opening, closing = "[", "]"
    return "\n".join(chain((opening,), (",\n".join(entries),), (_INDENT * indent + closing,)))
