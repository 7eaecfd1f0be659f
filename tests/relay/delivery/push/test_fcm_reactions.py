"""What Google's answers mean, by FCM's table of error codes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.push.fcm_reactions import Fault, fault_of, reaction_to
from quorumkey_relay.delivery.transport import Answer

NOW = 1_445_412_480  # Wed, 21 Oct 2015 07:28:00 GMT
FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
RPC = "type.googleapis.com/google.rpc"


def fcm_error(code: str) -> dict[str, object]:
    """The detail with FCM's own code."""
    return {"@type": FCM, "errorCode": code}


def bad_request(*fields: str) -> dict[str, object]:
    """The detail that names what is wrong in the request."""
    violations = [{"field": one, "description": "Invalid value"} for one in fields]
    return {"@type": f"{RPC}.BadRequest", "fieldViolations": violations}


def quota(*subjects: str) -> dict[str, object]:
    """The detail that says whose quota is exceeded."""
    violations = [{"subject": one, "description": "exceeded"} for one in subjects]
    return {"@type": f"{RPC}.QuotaFailure", "violations": violations}


def answer(status: int, name: str, *details: dict[str, object], **headers: str) -> Answer:
    """An error as Google writes it."""
    error = {"code": status, "message": "…", "status": name, "details": list(details)}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(status, named, json.dumps({"error": error}).encode())


TAKEN = Answer(200, {}, b'{"name": "projects/p/messages/0:1"}')
RATE_LIMIT: dict[str, object] = {
    "@type": f"{RPC}.ErrorInfo",
    "reason": "RATE_LIMIT_EXCEEDED",
    "metadata": {"quota_unit": "1/min/{project}"},
}

CASES: dict[str, tuple[Answer, object]] = {
    "accepted": (TAKEN, Accepted()),
    "our message is wrong": (
        answer(400, "INVALID_ARGUMENT", bad_request("message.data"), fcm_error("INVALID_ARGUMENT")),
        Rejected("INVALID_ARGUMENT"),
    ),
    "our message is wrong, said by Google alone": (
        answer(400, "INVALID_ARGUMENT", bad_request("message.android.ttl")),
        Rejected("INVALID_ARGUMENT"),
    ),
    "our message is wrong, nothing named": (
        answer(400, "INVALID_ARGUMENT", bad_request(), fcm_error("INVALID_ARGUMENT")),
        Rejected("INVALID_ARGUMENT"),
    ),
    "token and message are wrong": (
        answer(
            400,
            "INVALID_ARGUMENT",
            fcm_error("INVALID_ARGUMENT"),
            bad_request("message.token", "message.data"),
        ),
        Rejected("INVALID_ARGUMENT"),
    ),
    "the token is none": (
        answer(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT")),
        Gone(None, "INVALID_ARGUMENT"),
    ),
    "the token is none, and named": (
        answer(
            400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), bad_request("message.token")
        ),
        Gone(None, "INVALID_ARGUMENT"),
    ),
    "invalid, without details": (answer(400, "INVALID_ARGUMENT"), Rejected("INVALID_ARGUMENT")),
    "another 400": (answer(400, "FAILED_PRECONDITION"), Rejected("http_400")),
    "the access token is refused": (
        answer(401, "UNAUTHENTICATED"),
        Misconfigured("UNAUTHENTICATED"),
    ),
    "a third party refuses": (
        answer(401, "UNAUTHENTICATED", fcm_error("THIRD_PARTY_AUTH_ERROR")),
        Misconfigured("THIRD_PARTY_AUTH_ERROR"),
    ),
    "another project's token": (
        answer(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH")),
        Gone(None, "SENDER_ID_MISMATCH"),
    ),
    "the account may not": (
        answer(403, "PERMISSION_DENIED"),
        Misconfigured("PERMISSION_DENIED"),
    ),
    "the token is dead": (
        answer(404, "NOT_FOUND", fcm_error("UNREGISTERED")),
        Gone(None, "UNREGISTERED"),
    ),
    "the project does not exist": (answer(404, "NOT_FOUND"), Misconfigured("NOT_FOUND")),
    "the address does not exist": (
        Answer(404, {}, b"<html>404. That's an error.</html>"),
        Misconfigured("NOT_FOUND"),
    ),
    "the project is too fast": (
        answer(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("project:1234")),
        Retry(60, "QUOTA_EXCEEDED"),
    ),
    "the project is too fast, in Google's own words": (
        answer(429, "RESOURCE_EXHAUSTED", RATE_LIMIT),
        Retry(60, "QUOTA_EXCEEDED"),
    ),
    "the project is too fast, and said for how long": (
        answer(429, "RESOURCE_EXHAUSTED", RATE_LIMIT, retry_after="90"),
        Retry(90, "QUOTA_EXCEEDED"),
    ),
    "the project is too fast, for a shorter time": (
        answer(429, "RESOURCE_EXHAUSTED", RATE_LIMIT, retry_after="5"),
        Retry(60, "QUOTA_EXCEEDED"),
    ),
    "project and device are too fast": (
        answer(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("device", "project")),
        Retry(60, "QUOTA_EXCEEDED"),
    ),
    "the device is too fast": (
        answer(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("Device")),
        Retry(None, "DEVICE_QUOTA_EXCEEDED"),
    ),
    "the device is too fast, and said for how long": (
        answer(429, "RESOURCE_EXHAUSTED", quota("device"), retry_after="7"),
        Retry(7, "DEVICE_QUOTA_EXCEEDED"),
    ),
    "an internal error": (
        answer(500, "INTERNAL", fcm_error("INTERNAL")),
        Retry(None, "INTERNAL"),
    ),
    "overloaded": (
        answer(503, "UNAVAILABLE", fcm_error("UNAVAILABLE")),
        Retry(None, "UNAVAILABLE"),
    ),
    "overloaded for so many seconds": (
        answer(503, "UNAVAILABLE", retry_after="12"),
        Retry(12, "UNAVAILABLE"),
    ),
    "overloaded until a date": (
        answer(503, "UNAVAILABLE", retry_after="Wed, 21 Oct 2015 07:28:30 GMT"),
        Retry(30, "UNAVAILABLE"),
    ),
    "overloaded for no time": (
        answer(503, "UNAVAILABLE", retry_after="0"),
        Retry(1, "UNAVAILABLE"),
    ),
    "a page in HTML": (Answer(502, {}, b"<html>Error 502</html>"), Retry(None, "http_502")),
    "an empty 500": (Answer(500, {}, b""), Retry(None, "INTERNAL")),
    "too slow": (Answer(408, {}, b""), Retry(None, "http_408")),
    "a redirect": (Answer(302, {"location": "/"}, b""), Misconfigured("http_302")),
    "another refusal": (Answer(422, {}, b"{}"), Rejected("http_422")),
    "a 200 of a middle box": (
        Answer(200, {}, b"<html>Please log in</html>"),
        Retry(None, "unreadable", ambiguous=True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_table(case: str) -> None:
    """Each answer has the reaction that the table gives it."""
    given_answer, expected = CASES[case]

    assert expected == reaction_to(given_answer, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"{" * 20_000,
        b"[" * 20_000,
        b'{"error": []}',
        b'{"error": {"status": 5, "details": {}}}',
        b'{"error": {"details": [null, 1, "x", [], {"@type": []}]}}',
        b'{"error": {"details": [{"@type": "%b", "errorCode": {}}]}}' % FCM.encode(),
    ],
    ids=range(11),
)
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    """An error of another form is judged by its status alone."""
    assert Fault(404) == fault_of(Answer(404, {}, body))


_KEYS = st.sampled_from(
    ("error", "details", "@type", "errorCode", "fieldViolations", "field", "violations", "subject")
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(), inner),
    max_leaves=20,
)


@given(
    value=_JSON,
    details=st.lists(_JSON, max_size=3),
    status=st.integers(min_value=200, max_value=599),
)
def test_no_answer_breaks_anything(value: object, details: list[object], status: int) -> None:
    """Whatever the body is, there is an outcome, and its reason is a word of ours."""
    for said in (value, {"error": value}, {"error": {"details": details}}):
        outcome = reaction_to(Answer(status, {}, json.dumps(said).encode()), now=NOW)

        reason = "" if isinstance(outcome, Accepted) else outcome.reason
        assert reason.replace("_", "").isalnum() or isinstance(outcome, Accepted)
