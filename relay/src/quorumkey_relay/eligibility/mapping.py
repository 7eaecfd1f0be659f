"""From the e-mail address that somebody signs in with to another name of theirs.

The mapping is a CEL expression over ``user.email``, with the function ``extract`` that IAM's
conditions have: ``user.email.extract("{handle}@example.com") + "@mail.example.com"``.
Rule: cloud.google.com/iam, "Attribute reference for IAM Conditions", extract.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from cel_expr_python import (  # type: ignore[import-untyped]  # its stubs come without py.typed
    cel,
)

from quorumkey_relay.conditions.condition import explained

MAX_MAPPING_BYTES: Final = 2_048
MAX_NAME_CHARS: Final = 320

_TEMPLATE: Final = re.compile(r"([^{}]*)\{[A-Za-z_][A-Za-z0-9_]*\}([^{}]*)", re.ASCII)
_KNOWN: Final = "; a mapping knows user.email"
_TEXTS: Final = (cel.Type.STRING, cel.Type.DYN)


class MappingError(ValueError):
    """A mapping cannot be used, or gives somebody no name; the message is a sentence."""


class AddressMapping:
    """A mapping; an empty expression leaves addresses as they are."""

    def __init__(self, expression: str) -> None:
        """Parse the expression; raises `MappingError`."""
        self._expression = _compiled(expression) if expression.strip() else None

    def address(self, email: str) -> str:
        """Return the other name of whoever signs in as ``email``.

        Raises:
            MappingError: there is none: it is no text, blank, or nothing that could be a name.
        """
        if self._expression is None:
            return email
        if "\0" in email:  # the library would take it for the end
            raise MappingError("The mapping is not for a text with a NUL in it.")
        try:
            found = self._expression.eval(data={"user": {"email": email}})
            value: object = found.value() if found.type() == cel.Type.STRING else None
        except Exception as error:  # noqa: BLE001 - the library says everything with RuntimeError
            raise MappingError(f"The mapping fails: {explained(str(error), _KNOWN)}.") from None
        if not isinstance(value, str):
            raise MappingError("The mapping gives something else than a text.")
        name = value.strip()
        if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise MappingError("The mapping gives no name.")
        return name


def _compiled(expression: str) -> cel.Expression:
    size = len(expression.encode(errors="surrogatepass"))
    if size > MAX_MAPPING_BYTES or "\0" in expression:
        raise MappingError(f"The mapping has more than {MAX_MAPPING_BYTES} bytes, or a NUL in it.")
    try:
        compiled = _environment().compile(expression)
    except Exception as error:  # noqa: BLE001 - the library says everything with RuntimeError
        raise MappingError(f"The mapping is no CEL: {explained(str(error), _KNOWN)}.") from None
    if compiled.return_type() not in _TEXTS:
        raise MappingError("The mapping has to give a text.")
    return compiled


def _extract(text: str, template: str) -> str:
    """Return what stands between the first places of a template's two ends; empty without."""
    found = _TEMPLATE.fullmatch(template)
    if found is None:
        raise ValueError("a template has one name in braces")
    before, after = found.groups()
    start = text.find(before)
    if start < 0:
        return ""
    start += len(before)
    end = text.find(after, start) if after else len(text)
    return "" if end < 0 else text[start:end]


@cache
def _environment() -> cel.Env:
    text = cel.Type.STRING
    extract = cel.Overload(
        "string_extract_string",
        return_type=text,
        parameters=[text, text],
        is_member=True,
        impl=_extract,
    )
    return cel.NewEnv(
        variables={"user": cel.Type.Map(text, text)},
        functions=[cel.FunctionDecl("extract", [extract])],
    )
