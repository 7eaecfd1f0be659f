"""Messages in protobuf's text format, read without their schema.

https://protobuf.dev/reference/protobuf/textformat-spec/, as far as the conformance cases use it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEXEME: Final = re.compile(
    r"""\s+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[\w./+-]+)"""
    r"""|(?P<mark>[{}\[\]:,;<>])""",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(
    rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL
)
_LETTERS: Final = {
    letter.encode(): character.encode()
    for letter, character in zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)
}

#: What a lexeme is (text, word or mark), and how it is written.
_Lexeme = tuple[str, str]


class Message:
    """The fields of a message; each may be there several times."""

    def __init__(self) -> None:
        self._fields: dict[str, list[Message | bytes]] = {}

    def __contains__(self, name: object) -> bool:
        """Say whether a field is there."""
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        """Return the names of the fields."""
        return iter(self._fields)

    def messages(self, name: str) -> list[Message]:
        """Return the messages of a field."""
        return [one for one in self._fields.get(name, ()) if isinstance(one, Message)]

    def message(self, *names: str) -> Message:
        """Return the first message of a field, of a field of that, and so on."""
        found = self
        for name in names:
            found = found.messages(name)[0]
        return found

    def content(self, name: str) -> bytes:
        """Return a scalar: of a text its bytes, of a word how it is written."""
        found = self._fields[name][0]
        if isinstance(found, Message):
            raise TypeError(name)
        return found

    def text(self, name: str) -> str:
        """Return a scalar as a text."""
        return self.content(name).decode()

    def add(self, name: str, values: list[Message | bytes]) -> None:
        """Take values of a field in."""
        self._fields.setdefault(name, []).extend(values)


def read(text: str) -> Message:
    """Read a message; raises ``ValueError`` where it is none."""
    lexemes: list[_Lexeme] = []
    at = 0
    while at < len(text):
        found = _LEXEME.match(text, at)
        if found is None:
            message = f"not the text format: {text[at : at + 20]!r}"
            raise ValueError(message)
        if found.lastgroup == "text" and lexemes and lexemes[-1][0] == "text":
            lexemes[-1] = ("text", lexemes[-1][1][:-1] + found[0][1:])  # texts in a row are one
        elif found.lastgroup is not None:
            lexemes.append((found.lastgroup, found[0]))
        at = found.end()
    return _message(iter([*lexemes, ("mark", "}")]))


def _message(lexemes: Iterator[_Lexeme]) -> Message:
    made = Message()
    for kind, written in lexemes:
        if kind == "mark" and written in "}>":
            break
        if kind == "mark" and written in ",;":
            continue
        name = written
        if kind == "mark":  # the name of an Any's type, in brackets
            name = "".join(part for _, part in iter(lambda: next(lexemes), ("mark", "]")))
        made.add(name, _values(lexemes))
    return made


def _values(lexemes: Iterator[_Lexeme]) -> list[Message | bytes]:
    kind, written = next(lexemes)
    if (kind, written) == ("mark", ":"):
        kind, written = next(lexemes)
    if (kind, written) != ("mark", "["):
        return [_value(kind, written, lexemes)]
    return [
        _value(kind, written, lexemes)
        for kind, written in iter(lambda: next(lexemes), ("mark", "]"))
        if (kind, written) != ("mark", ",")
    ]


def _value(kind: str, written: str, lexemes: Iterator[_Lexeme]) -> Message | bytes:
    if kind == "mark":
        return _message(lexemes)
    return _unescaped(written[1:-1]) if kind == "text" else written.encode()


def _unescaped(text: str) -> bytes:
    def character(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        if escape[:1] == b"x":
            return bytes([int(escape[1:], 16)])
        if escape[:1] in {b"u", b"U"} and len(escape) > 1:
            return chr(int(escape[1:], 16)).encode()
        if escape[:1].isdigit():
            return bytes([int(escape, 8)])
        return _LETTERS.get(escape, escape)

    return _ESCAPE.sub(character, text.encode())
