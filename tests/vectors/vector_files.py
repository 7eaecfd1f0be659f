"""Reading the published vectors: every member is known, every failure has a kind."""

from __future__ import annotations

import base64
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import pytest

from quorumkey.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

FOLDER: Final = Path(__file__).resolve().parents[2] / "fixtures" / "vectors"

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

# How each kind of failure shows itself: the error's code, and a pattern its message has.
_FAILURES: Final[dict[str, tuple[str, str]]] = {
    "not_utf8": ("invalid_json", r"not UTF-8"),
    "malformed_json": ("invalid_json", r"malformed"),
    "duplicate_member": ("invalid_json", r"same member twice"),
    "not_an_integer": ("invalid_json|invalid_request", r"not an integer|must be an integer within"),
    "lone_surrogate": ("invalid_json", r"lone surrogate"),
    "too_deep": ("invalid_json|invalid_request", r"nested deeper"),
    "too_large": ("payload_too_large|invalid_request", r"larger than|must be at most 8192 bytes"),
    "missing_member": (
        "invalid_request|invalid_signature",
        r"must have the member|stand there once",
    ),
    "unknown_member": ("invalid_request", r"does not know"),
    "null_member": ("invalid_request", r"null"),
    "wrong_type": (
        "invalid_request",
        (
            r"must be (an? (string|integer|JSON|list)|true or false|one of|sha256:|64 lower-case"
            r"|2 to 6|standard base64|an origin|a UUIDv7|12 characters)"
        ),
    ),
    "wrong_value": (
        "invalid_request|invalid_signature",
        r"must be|must not begin|malformed|must have at least|unique",
    ),
    "wrong_version": ("invalid_request", r"v must be 1"),
    "unsupported_extension": ("invalid_request", r"extension that is not supported"),
    "refused_text": ("invalid_request", r"must not (have control|begin or end)"),
    "wrong_length": (
        "invalid_request|invalid_signature",
        r"must (have|be) (at (least|most)|exactly|\d+)|larger than any|takes a secret|too many",
    ),
    "malformed_time": ("invalid_request", r"must be a time like"),
    "malformed_base64": ("invalid_request", r"must be (standard base64|base64url)"),
    "invalid_public_key": ("invalid_public_key", r"compressed P-256 point"),
    "invalid_fingerprint": ("invalid_fingerprint", r"64 lower-case hex|SHA-256"),
    "duplicate_approver": ("duplicate_approver", r"in one group only"),
    "required_exceeds_groups": (
        "invalid_request",
        r"^Invalid MPA request: required cannot exceed number of groups$",
    ),
    "wrong_lifetime": ("invalid_request", r"^Invalid (expires_in|use_within)_seconds"),
    "wrong_payload_type": ("invalid_request", r"^payloadType"),
    "wrong_key": ("invalid_signature", r"not signed by the expected key"),
    "wrong_form": ("invalid_signature", r"through WebAuthn|configured relying party"),
    "bad_signature": (
        "invalid_signature|invalid_request",
        r"signature is not valid|No signature|must be an ECDSA",
    ),
    "client_data": (
        "invalid_signature",
        r"clientDataJSON|nested deeper|signed (another challenge|for an origin|inside)",
    ),
    "authenticator_data": (
        "invalid_signature",
        r"authenticator data|another relying party|verify the person",
    ),
    "stale": ("invalid_signature", r"too far from now"),
    "unusable_secret": ("invalid_request", r"webhook secret"),
}


@dataclass(frozen=True)
class Case:
    """One vector, whose members are read once each."""

    name: str
    valid: bool
    failure: str | None
    members: dict[str, Json]

    def text(self, name: str) -> str:
        """A member that is a string."""
        value = self.members[name]
        assert isinstance(value, str)
        return value

    def number(self, name: str) -> int:
        """A member that is an integer."""
        value = self.members[name]
        assert isinstance(value, int)
        return value

    def data(self, name: str) -> bytes:
        """A member that is bytes in base64."""
        return base64.b64decode(self.text(name), validate=True)

    def mapping(self, name: str) -> dict[str, Json]:
        """A member that is an object."""
        value = self.members[name]
        assert isinstance(value, dict)
        return value

    def texts(self, name: str) -> list[str]:
        """A member that is a list of strings."""
        return strings(self.members[name])

    @contextmanager
    def outcome(self) -> Generator[None]:
        """What stands inside passes for a valid case, else is refused in the named way."""
        if self.failure is None:
            yield
            return
        codes, message = _FAILURES[self.failure]
        with pytest.raises(ProtocolError) as caught:
            yield

        assert caught.value.code in codes.split("|")
        assert re.search(message, caught.value.message)


def items(value: Json) -> list[Json]:
    """A list of anything."""
    assert isinstance(value, list)
    return value


def strings(value: Json) -> list[str]:
    """A list of strings."""
    texts: list[str] = []
    for item in items(value):
        assert isinstance(item, str)
        texts.append(item)
    return texts


def _case(value: dict[str, Json], required: frozenset[str], optional: frozenset[str]) -> Case:
    members = dict(value)
    name, valid, failure = members.pop("name"), members.pop("valid"), members.pop("failure", None)
    assert isinstance(name, str)
    assert isinstance(valid, bool)
    assert failure is None or failure in _FAILURES, failure
    assert required <= members.keys() <= required | optional, name
    return Case(name, valid, failure, members)


def read(file: str, *, required: set[str], optional: set[str] | None = None) -> list[Case]:
    """The cases of a file; a member that is not named here is fatal."""
    document: dict[str, Json] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    assert document.keys() == {"about", "cases"}
    cases = document["cases"]
    assert isinstance(cases, list)
    result: list[Case] = []
    for value in cases:
        assert isinstance(value, dict)
        result.append(_case(value, frozenset(required), frozenset(optional or ())))
    return result


def each(
    file: str, *, required: set[str], optional: set[str] | None = None
) -> Callable[[Callable[[Case], None]], pytest.MarkDecorator]:
    """Run a test for every case of a file."""
    cases = read(file, required=required, optional=optional)
    mark = pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])
    return cast("Callable[[Callable[[Case], None]], pytest.MarkDecorator]", mark)
