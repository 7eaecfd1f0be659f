"""Requests and answers without sockets: what to send, when to send it again, what came back.

Everything the clients do is written once, as a *flow*: a generator that yields steps (send this,
pause that long) and is given what came of them. The synchronous and the asynchronous client drive
the same flows, and a test can drive them with no network at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from quorumkey.client._fields import Fields
from quorumkey.errors import (
    ERRORS,
    ApiError,
    ProtocolError,
    TransportError,
    TransportTimeoutError,
    UnexpectedAnswerError,
    api_error,
)
from quorumkey.protocol.limits import MAX_RECEIPT_BYTES
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "MAX_ANSWER_BYTES",
    "Answer",
    "Call",
    "Flow",
    "Lost",
    "Outgoing",
    "Pause",
    "Reply",
    "RetryPolicy",
    "Running",
    "Send",
    "Step",
    "error_of",
    "exchange",
    "json_of",
    "nothing_of",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: The most that is read of one answer, in bytes; a receipt is the largest thing a relay sends.
MAX_ANSWER_BYTES: Final = MAX_RECEIPT_BYTES

_NO_CONTENT: Final = 204
_FIRST_SUCCESS: Final = 200
_FIRST_REDIRECT: Final = 300
_FIRST_ERROR: Final = 400
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
#: Answers after which the same call may succeed unchanged.
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
_MAX_RETRY_AFTER_DIGITS: Final = 6
#: Names the code of `ERRORS` beside an error of the Connect service.
_CONNECT_CODE_HEADER: Final = "x-quorumkey-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One HTTP request. `extra_seconds` is how much longer than usual its answer may take."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    extra_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """No answer came.

    `sent` is False only where it is certain that the relay did not get the request.
    """

    reason: str
    sent: bool
    timed_out: bool = False

    def error(self) -> TransportError:
        """What to raise when nothing is left to try."""
        kind = TransportTimeoutError if self.timed_out else TransportError
        return kind(self.reason)


@dataclass(frozen=True, slots=True)
class Send:
    """A step: send this and say what came of it."""

    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Pause:
    """A step: wait so many seconds."""

    seconds: float


Step: TypeAlias = Send | Pause
Reply: TypeAlias = Answer | Lost | None
Flow: TypeAlias = Generator[Step, Reply, T]


class Running(Generic[T]):
    """A flow under way; a driver sends it replies until `steps` ends, then reads `result`."""

    def __init__(self, flow: Flow[T]) -> None:
        self.steps: Generator[Step, Reply, None] = self._keep(flow)
        self.result: T

    def _keep(self, flow: Flow[T]) -> Generator[Step, Reply, None]:
        self.result = yield from flow


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how fast a call is repeated, where repeating it is safe.

    The pause before attempt n+1 is drawn evenly from 0 to ``min(cap_seconds, base_seconds * 2^n)``
    ("full jitter", https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/),
    on top of the ``Retry-After`` of the answer, if there was one.

    Attributes:
        attempts: how often a call is sent at most, the first time included.
        base_seconds: see above.
        cap_seconds: see above.
        longest_retry_after_seconds: where the relay asks for a longer pause, the error is raised
            at once.
        jitter: gives numbers in [0, 1).
    """

    attempts: int = 4
    base_seconds: float = 0.25
    cap_seconds: float = 8.0
    longest_retry_after_seconds: int = 60
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def pause(self, attempt: int, retry_after: int | None) -> Pause:
        """The pause after `attempt` (1 is the first) failed."""
        most: float = min(self.cap_seconds, self.base_seconds * 2**attempt)
        return Pause((retry_after or 0) + self.jitter() * most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One call of the API: what to send, how to read the answer, whether it may be repeated.

    Attributes:
        outgoing: the request.
        parse: makes the result of a successful answer; raises `UnexpectedAnswerError`.
        repeatable: whether sending it twice does no more than sending it once.
        absent: the result where a *repeated* call answers 404, because the first one, whose
            answer was lost, has already done it; None: a 404 is an error.
    """

    outgoing: Outgoing
    parse: Callable[[Answer], T_co]
    repeatable: bool
    absent: Callable[[], T_co] | None = None

    def with_headers(self, *headers: tuple[str, str]) -> Call[T_co]:
        """The same call with more headers."""
        outgoing = replace(self.outgoing, headers=(*self.outgoing.headers, *headers))
        return replace(self, outgoing=outgoing)

    def with_query(self, *query: tuple[str, str]) -> Call[T_co]:
        """The same call with more query parameters."""
        outgoing = replace(self.outgoing, query=(*self.outgoing.query, *query))
        return replace(self, outgoing=outgoing)


def exchange(call: Call[T], retry: RetryPolicy) -> Flow[T]:
    """Make a call, repeating it where that is safe.

    Raises:
        TransportError: no usable answer came.
        ApiError: the relay answered with an error.
    """
    lost_before = False
    for attempt in range(1, retry.attempts + 1):
        reply = yield Send(call.outgoing)
        failure: ApiError | TransportError
        if isinstance(reply, Answer):
            if lost_before and call.absent is not None and reply.status == _NOT_FOUND:
                return call.absent()
            if reply.status < _FIRST_ERROR:
                return _result(call, reply)
            failure = error = error_of(reply)
            again = call.repeatable and _may_pass(error, lost_before=lost_before)
            after = error.retry_after
        else:
            lost = reply or Lost(reason="The relay was not asked.", sent=False)
            failure, after = lost.error(), None
            again = call.repeatable or not lost.sent
            lost_before = lost_before or lost.sent
        if not again or attempt == retry.attempts:
            raise failure
        if after is not None and after > retry.longest_retry_after_seconds:
            raise failure
        yield retry.pause(attempt, after)
    raise AssertionError("a retry policy allows at least one attempt")


def _result(call: Call[T], answer: Answer) -> T:
    if not _FIRST_SUCCESS <= answer.status < _FIRST_REDIRECT:
        raise UnexpectedAnswerError(
            f"The relay answered with status {answer.status}; redirects are not followed."
        )
    return call.parse(answer)


def _may_pass(error: ApiError, *, lost_before: bool) -> bool:
    if error.status in _TRANSIENT:
        return error.code != "not_configured"
    # The first call, whose answer was lost, may still be running under this key (PROTOCOL §5).
    return lost_before and error.code == "idempotency_conflict"


def json_of(answer: Answer) -> Fields:
    """Read the JSON object of a successful answer."""
    try:
        return Fields(loads(answer.body, max_bytes=MAX_ANSWER_BYTES))
    except ProtocolError:
        raise UnexpectedAnswerError("The relay's answer is not JSON.") from None


def nothing_of(_answer: Answer) -> None:
    """Read an answer that has no content."""


def error_of(answer: Answer) -> ApiError:
    """Read an error answer (PROTOCOL §15): the relay's, one of its dialects', or a proxy's."""
    code, message, details = "", f"The relay answered with status {answer.status}.", None
    status = answer.status
    try:
        fields = json_of(answer)
        connect = answer.headers.get(_CONNECT_CODE_HEADER)
        if connect is None:
            # The calls of just-in-time access have the error's members at the top.
            error = fields.child("error") if fields.has("error") else fields
            code, message = error.text("code"), error.text("message")
            value = error.raw("details") if error.has("details") else None
            details = value if isinstance(value, dict) else None
        else:
            # Connect has few codes and its own statuses; the family is that of the relay's code.
            code, message = connect, fields.text("message")
            status = ERRORS[code].status if code in ERRORS else status
    except UnexpectedAnswerError:
        code = "unexpected_answer"
    request_id = answer.headers.get("x-request-id")
    return api_error(status, code, message, details, request_id, _retry_after(answer))


def _retry_after(answer: Answer) -> int | None:
    value = answer.headers.get("retry-after", "")
    # The relay sends whole seconds; a date, which only a proxy would send, is left aside.
    if value.isascii() and value.isdigit() and len(value) <= _MAX_RETRY_AFTER_DIGITS:
        return int(value)
    return None
