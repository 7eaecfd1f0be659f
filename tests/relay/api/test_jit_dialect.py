"""Reading of what a caller of just-in-time access accepts, and the form of refusals."""

from __future__ import annotations

import json

import pytest

from quorumkey.errors import ERRORS
from quorumkey_relay.api.jit_dialect import accepts_json, refuse, status_of
from quorumkey_relay.domain.refusal import Refusal


@pytest.mark.parametrize(
    "accept",
    [
        b"",
        b" ",
        b"*/*",
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"text/html, application/*;q=0.1",
        b"text/html;q=0.9, */*;q=0.001",
        b"application/json;q=1, */*;q=0",
    ],
    ids=lambda accept: accept.decode() or "nothing",
)
def test_c34_json_is_accepted(accept: bytes) -> None:
    """JSON is taken by who says so, by a range or by name, and by who says nothing."""
    assert accepts_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        b"text/html",
        b"application/xml",
        b"application/json;q=0",
        b"application/json;q=0.000, */*",
        b"application/*;q=0, */*",
        b"*/*; Q=0",
        b"application/jsonp",
    ],
    ids=bytes.decode,
)
def test_c34_json_is_not_accepted(accept: bytes) -> None:
    """The closest range decides, and a weight of zero refuses (RFC 9110, section 12.4.2)."""
    assert not accepts_json(accept)


def test_c34_statuses() -> None:
    """Codes have the statuses that the original's errors have."""
    assert {
        "invalid_request": 400,
        "invalid_json": 400,
        "failed_precondition": 400,
        "unauthorized": 401,
        "forbidden": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "not_acceptable": 406,
        "not_configured": 500,
        "internal_error": 500,
        "backend_failed": 502,
    }.items() <= {code: status_of(code) for code in ERRORS}.items()


def test_c34_a_refusal_has_a_message() -> None:
    """The body of a refusal is a code and a sentence, with details where there are any."""
    plain = refuse(Refusal("forbidden", "You are not allowed to do this."))
    detailed = refuse(Refusal("unauthorized", "You are not signed in.", {"sign_in": "/there"}))

    assert json.loads(plain.body) == {
        "code": "forbidden",
        "message": "You are not allowed to do this.",
    }
    assert json.loads(detailed.body)["details"] == {"sign_in": "/there"}
