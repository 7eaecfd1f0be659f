"""Query parameters: only those a call documents, each once, each of its kind (PROTOCOL §2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import parse_qsl

from quorumkey.errors import ProtocolError
from quorumkey.protocol import check_text
from quorumkey.protocol.limits import (
    DEFAULT_LIST_LIMIT,
    MAX_ID_CHARS,
    MAX_LIST_LIMIT,
    MAX_SAFE_INTEGER,
    MAX_WAIT_SECONDS,
    MIN_ID_CHARS,
    MIN_LIST_LIMIT,
)
from quorumkey_relay.domain.jit.entitlement import MAX_ENTITLEMENT_ID_CHARS
from quorumkey_relay.usecases import views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.protocol import JsonValue

Query = dict[str, str | int]

_MAX_PARAMETERS: Final = 20
_MAX_CURSOR_CHARS: Final = 512
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_CURSOR: Final = re.compile(rf"[\x21-\x7e]{{1,{_MAX_CURSOR_CHARS}}}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter: ``read`` raises ProtocolError, ``schema`` is for the documents."""

    name: str
    read: Callable[[str], str | int]
    schema: Mapping[str, JsonValue]
    help: str
    required: bool = False


def read_query(
    query: bytes, parameters: Mapping[str, Parameter], *, is_open: bool = False
) -> Query:
    """Return the values of a query string, by name; others are let be where it ``is_open``."""
    values: Query = {}
    if is_open and not parameters:
        return values
    for name, text in _pairs(query):
        parameter = parameters.get(name)
        if parameter is None:
            if is_open:
                continue
            raise _refused(f"There is no query parameter {name[:64]!r} here.")
        if name in values:
            raise _refused(f"The query parameter {name} stands there twice.")
        values[name] = parameter.read(text)
    return values


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise _refused("The query string is malformed.") from None


def _refused(message: str) -> ProtocolError:
    return ProtocolError("invalid_request", message)


def _integer(name: str, minimum: int, maximum: int, default: int | None, text: str) -> Parameter:
    def read(given: str) -> int:
        if _INTEGER.fullmatch(given) is None or not minimum <= int(given) <= maximum:
            raise _refused(f"{name} must be a whole number from {minimum} to {maximum}.")
        return int(given)

    schema: dict[str, JsonValue] = {"type": "integer", "minimum": minimum, "maximum": maximum}
    if default is not None:
        schema["default"] = default
    return Parameter(name, read, schema, text)


def _choice(name: str, values: tuple[str, ...], text: str) -> Parameter:
    def read(given: str) -> str:
        if given not in values:
            raise _refused(f"{name} must be one of {', '.join(values)}.")
        return given

    return Parameter(name, read, {"type": "string", "enum": list(values)}, text)


def _read_cursor(given: str) -> str:
    if _CURSOR.fullmatch(given) is None:
        raise _refused("cursor must be a next_cursor that this list has answered.")
    return given


def _text(
    name: str, maximum: int, text: str, *, minimum: int = 1, required: bool = False
) -> Parameter:
    def read(given: str) -> str:
        return check_text(given, field=name, minimum=minimum, maximum=maximum)

    schema: dict[str, JsonValue] = {
        "type": "string",
        "minLength": minimum,
        "maxLength": maximum,
    }
    return Parameter(name, read, schema, text, required)


def _read_approver_id(given: str) -> str:
    return check_text(given, field="approver_id", minimum=MIN_ID_CHARS, maximum=MAX_ID_CHARS)


_MAX_TOKEN_CHARS: Final = 16_384
_MAX_SIGN_IN_CHARS: Final = 8_192

ACTIVATION: Final = _text(
    "activation", _MAX_TOKEN_CHARS, "The token of a request, as its link has it.", required=True
)
ENTITLEMENT_ID: Final = _text(
    "id",
    MAX_ENTITLEMENT_ID_CHARS,
    "The role: project:role or project:role:BASE64(condition).",
    required=True,
)
ROLE: Final = replace(
    _choice(
        "role",
        ("reviewer", "beneficiary"),
        "Requests that you may decide, or that you made.",
    ),
    required=True,
)
RETURN_TO: Final = _text(
    "return_to", _MAX_SIGN_IN_CHARS, "Where on the page the browser comes back to."
)
CODE: Final = _text("code", _MAX_SIGN_IN_CHARS, "What the relay gets the ID token for.", minimum=0)
STATE: Final = _text("state", _MAX_SIGN_IN_CHARS, "Ties the answer to the browser.", minimum=0)
ISSUER: Final = _text("iss", _MAX_SIGN_IN_CHARS, "Whose answer it is (RFC 9207).", minimum=0)
SIGN_IN_ERROR: Final = _text(
    "error", _MAX_SIGN_IN_CHARS, "Why the provider signs nobody in.", minimum=0
)

LIMIT: Final = _integer(
    "limit", MIN_LIST_LIMIT, MAX_LIST_LIMIT, DEFAULT_LIST_LIMIT, "How many items to answer."
)
WAIT_SECONDS: Final = _integer(
    "wait_seconds", 0, MAX_WAIT_SECONDS, 0, "How long to wait for the request to finish."
)
REVISION: Final = _integer(
    "revision",
    0,
    MAX_SAFE_INTEGER,
    None,
    "The revision that you have; while it is the newest, the answer is held for a moment.",
)
STATUS: Final = _choice("status", get_args(views.Status), "Only requests with this status.")
EVERYTHING: Final = _choice("status", ("all",), "Finished requests too, not only pending ones.")
CURSOR: Final = Parameter(
    "cursor",
    _read_cursor,
    {"type": "string", "minLength": 1, "maxLength": _MAX_CURSOR_CHARS},
    "The next_cursor of the page before.",
)
APPROVER_ID: Final = Parameter(
    "approver_id",
    _read_approver_id,
    {"type": "string", "minLength": MIN_ID_CHARS, "maxLength": MAX_ID_CHARS},
    "Only devices of this approver.",
)
