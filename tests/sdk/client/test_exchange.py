from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey.client._calls import cancel_request, create_request, delete_device, get_info
from quorumkey.client._exchange import (
    Answer,
    Call,
    Lost,
    Outgoing,
    Pause,
    Reply,
    RetryPolicy,
    Running,
    Send,
    error_of,
    exchange,
    json_of,
    nothing_of,
)
from quorumkey.errors import (
    AuthenticationError,
    ConflictError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RelayError,
    TransportError,
    TransportTimeoutError,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

READ = Call(
    outgoing=Outgoing(method="GET", path="/x"),
    parse=lambda answer: json_of(answer).integer("n"),
    repeatable=True,
)
ONCE = Call(outgoing=Outgoing(method="POST", path="/x"), parse=nothing_of, repeatable=False)
RETRY = RetryPolicy(attempts=3, base_seconds=1, cap_seconds=3, jitter=lambda: 0.5)
GOOD = Answer(200, body=b'{"n": 7}')
BUSY = Answer(503)
SILENT = Lost(reason="It is gone.", sent=True)
UNREACHED = Lost(reason="It is not there.", sent=False)


def run(call: Call[int] | Call[None], *replies: Reply) -> tuple[int | None, list[float]]:
    """Answer a call's attempts in turn; returns the result and the pauses."""
    waiting, pauses = list(replies), list[float]()
    running: Running[int | None] = Running(exchange(call, RETRY))
    reply: Reply = None
    try:
        while True:
            step = running.steps.send(reply)
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                reply = None
            else:
                assert isinstance(step, Send)
                reply = waiting.pop(0)
    except StopIteration:
        assert not waiting
        return running.result, pauses


def test_first_answer() -> None:
    """A call that is answered is sent once."""
    assert (7, []) == run(READ, GOOD)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient_answers_are_tried_again(status: int) -> None:
    """After 429, 500, 502, 503 and 504 a repeatable call is sent again."""
    assert (7, [1.0]) == run(READ, Answer(status), GOOD)


def test_lost_answers_are_tried_again() -> None:
    """After a lost answer a repeatable call is sent again."""
    assert (7, [1.0, 1.5]) == run(READ, SILENT, UNREACHED, GOOD)


def test_pauses_are_drawn_from_a_growing_range() -> None:
    """The pause is a random share of base * 2^n, at most the cap."""
    policy = RetryPolicy(base_seconds=1, cap_seconds=5, jitter=lambda: 0.25)

    assert [0.5, 1.0, 1.25] == [policy.pause(attempt, None).seconds for attempt in (1, 2, 3)]


def test_retry_after_is_waited_for() -> None:
    """The pause is at least what Retry-After says."""
    busy = Answer(429, {"retry-after": "9"})

    assert (7, [10.0]) == run(READ, busy, GOOD)


@pytest.mark.parametrize("value", ["", "-1", "soon", "Fri, 24 Apr 2026 10:35:42 GMT", "9999999"])
def test_other_retry_after_is_left_aside(value: str) -> None:
    """A Retry-After that is no reasonable number of seconds is left aside."""
    assert (7, [1.0]) == run(READ, Answer(503, {"retry-after": value}), GOOD)


def test_long_retry_after_is_the_callers_to_wait() -> None:
    """A Retry-After of more than a minute is raised at once."""
    with pytest.raises(RateLimitedError) as caught:
        run(READ, Answer(429, {"retry-after": "61"}))

    assert 61 == caught.value.retry_after


def test_attempts_end() -> None:
    """After the last attempt its failure is raised."""
    with pytest.raises(RelayError):
        run(READ, SILENT, SILENT, BUSY)


def test_timeouts_are_told_apart() -> None:
    """A call that was not answered in time raises its own kind of transport error."""
    with pytest.raises(TransportTimeoutError, match="slow"):
        run(ONCE, Lost(reason="It is slow.", sent=True, timed_out=True))


@pytest.mark.parametrize("reply", [SILENT, BUSY])
def test_unrepeatable_calls_are_sent_once(reply: Reply) -> None:
    """A call that must not happen twice is not repeated once it may have arrived."""
    with pytest.raises((TransportError, RelayError)):
        run(ONCE, reply)


def test_what_was_never_sent_is_sent_again() -> None:
    """A call that certainly did not arrive is repeated whatever it is."""
    assert (None, [1.0]) == run(ONCE, UNREACHED, Answer(204))


def test_a_running_first_call_is_waited_for() -> None:
    """After a lost answer, idempotency_conflict means that the first call still runs."""
    conflict = Answer(409, body=b'{"error": {"code": "idempotency_conflict", "message": "x"}}')

    assert (7, [1.0, 1.5]) == run(READ, SILENT, conflict, GOOD)


def test_a_foreign_idempotency_key_is_an_error() -> None:
    """Without a lost answer before it, idempotency_conflict is raised."""
    conflict = Answer(409, body=b'{"error": {"code": "idempotency_conflict", "message": "x"}}')

    with pytest.raises(ConflictError):
        run(READ, conflict)


def test_deleting_twice_is_deleting() -> None:
    """Where the answer to a deletion was lost, the second call's 404 is success."""
    assert (None, [1.0]) == run(delete_device("ab"), SILENT, Answer(404))


def test_deleting_nothing_is_an_error() -> None:
    """A deletion that finds nothing at its first call is a 404."""
    with pytest.raises(NotFoundError):
        run(delete_device("ab"), Answer(404))


def test_redirects_are_not_followed() -> None:
    """A redirect is not an answer."""
    with pytest.raises(UnexpectedAnswerError, match="302"):
        run(READ, Answer(302, {"location": "https://evil.example"}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"n": 1, "n": 2}', b'{"n": 1.0}'])
def test_answers_are_read_strictly(body: bytes) -> None:
    """An answer that is not a strict JSON object is not one."""
    with pytest.raises(UnexpectedAnswerError):
        run(READ, Answer(200, body=body))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (413, InvalidRequestError),
        (418, RelayError),
    ],
)
def test_errors_are_typed(status: int, kind: type[Exception]) -> None:
    """Each family of statuses has its error, which is not tried again."""
    with pytest.raises(kind):
        run(READ, Answer(status))


def test_errors_hold_what_the_relay_said() -> None:
    """An error has the relay's code, message, details and request id."""
    body = b'{"error": {"code": "clock_skew", "message": "Off.", "details": {"time": "t"}}}'
    error = error_of(Answer(400, {"x-request-id": "r-1"}, body))

    assert (400, "clock_skew", "Off.", {"time": "t"}, "r-1") == (
        error.status,
        error.code,
        error.message,
        error.details,
        error.request_id,
    )


def test_errors_with_their_members_at_the_top() -> None:
    """The calls of just-in-time access write no object around an error; it is the same error."""
    error = error_of(Answer(502, body=b'{"code": "backend_failed", "message": "No answer."}'))

    assert (502, "backend_failed", "No answer.") == (error.status, error.code, error.message)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error": {"code": 1, "message": "x"}}'])
def test_foreign_errors_have_a_code_of_their_own(body: bytes) -> None:
    """An error that is not in the relay's form, as from a proxy, says so."""
    error = error_of(Answer(502, body=body))

    assert ("unexpected_answer", "The relay answered with status 502.") == (
        error.code,
        error.message,
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [("request_completed", 409), ("of_tomorrow", 400)],
    ids=["known", "unknown"],
)
def test_errors_of_the_connect_service_have_the_relay_s_code(code: str, status: int) -> None:
    """Where a header names the relay's code, status and family are that code's."""
    body = b'{"code": "failed_precondition", "message": "Over."}'
    error = error_of(Answer(400, {"x-quorumkey-error": code}, body))

    assert (status, code, "Over.") == (error.status, error.code, error.message)


def test_details_are_an_object_or_none() -> None:
    """Details of another type are left aside."""
    body = b'{"error": {"code": "x", "message": "y", "details": [1]}}'

    assert error_of(Answer(400, body=body)).details is None


@pytest.mark.parametrize(
    ("make", "repeatable"),
    [
        (get_info, True),
        (lambda: create_request({}, idempotency_key="k"), True),
        (lambda: cancel_request("id"), True),
        (lambda: delete_device("id"), True),
    ],
)
def test_which_calls_are_repeatable(make: Callable[[], Call[object]], *, repeatable: bool) -> None:
    """Reading, deleting, cancelling and creation under a key may be repeated."""
    assert repeatable == make().repeatable


def test_a_flow_that_is_not_answered_was_not_sent() -> None:
    """A driver that gives no reply to a send has lost it before sending."""
    with pytest.raises(TransportError, match="not asked"):
        run(ONCE, None, None, None)
