"""Structured logs that cannot carry a secret.

A line is an event and fields. `FIELDS` is the whole list of what may be written, each with the
shape its value must have: a field that is not in it is left out (its name is told in
``dropped``), and a value of another shape becomes ``[redacted]``. So a token, a key, a code or an
action's parameter does not reach a log even when somebody passes one by mistake, at any level.

Exceptions are written as their type and the places in the code, never with their message: a
message often repeats its input. Records of the standard library's ``logging`` (uvicorn, asyncio)
are taken from WARNING up and written as their template, without what would be filled in.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol, TextIO, cast

import msgspec
import structlog

from quorumkey.errors import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

    from quorumkey_relay.settings import LogFormat, LogLevel

REDACTED: Final = "[redacted]"

#: The ``X-Request-Id`` of the HTTP call that is being answered; on every line written meanwhile.
call_id: Final[ContextVar[str | None]] = ContextVar("call_id", default=None)

_MAX_FRAMES: Final = 30
_MAX_TEMPLATE_CHARS: Final = 200
_MAX_REASON_CHARS: Final = 100
_KEY_LIKE: Final = re.compile(r"[A-Za-z0-9_-]{41}", re.ASCII)


def _shape(pattern: str) -> Callable[[object], bool]:
    matches = re.compile(pattern, re.ASCII).fullmatch

    def holds(value: object) -> bool:
        return isinstance(value, str) and matches(value) is not None

    return holds


def _number(value: object) -> bool:
    return isinstance(value, int | float)


def _status(value: object) -> bool:
    """Accept an HTTP status, or the status of an approval request."""
    return _number(value) or _word(value)


def _error_code(value: object) -> bool:
    return isinstance(value, str) and value in ERRORS


def _places(value: object) -> bool:
    """Accept what `_describe_exception` writes: places in the code."""
    return isinstance(value, list) and all(_place(item) for item in cast("list[object]", value))


def _people(value: object) -> bool:
    """Accept a list of e-mail addresses."""
    return isinstance(value, list) and all(_email(item) for item in cast("list[object]", value))


def _names(value: object) -> bool:
    """Accept a list of names, such as those of roles."""
    return isinstance(value, list) and all(_name(item) for item in cast("list[object]", value))


def _reason_given(value: object) -> bool:
    """Accept what a person has given as the reason for wanting a role: a short line of words.

    A word as long as a key or a token is none; an id of 40 characters, such as a commit's, is.
    """
    return (
        isinstance(value, str)
        and len(value) < _MAX_REASON_CHARS
        and value.isprintable()
        and _KEY_LIKE.search(value) is None
    )


def _foreign_template(value: object) -> bool:
    """Accept what `_Bridge` wraps: templates of other libraries' records."""
    return isinstance(value, _Template)


class _Template(str):
    """The fixed part of another library's log record."""

    __slots__ = ()


_word: Final = _shape(r"[a-z][a-z0-9_.:-]{0,63}")
_uuid: Final = _shape(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_fingerprint: Final = _shape(r"[0-9a-f]{64}")
_place: Final = _shape(r"[\w./<>-]{1,200}:[0-9]{1,6}:[\w<>]{1,100}")
_address: Final = _shape(r"[0-9A-Fa-f.:/]{2,50}")
_origin: Final = _shape(r"https?://[0-9A-Za-z.:\[\]-]{1,260}")
_version: Final = _shape(r"[0-9A-Za-z.+-]{1,40}")
_email: Final = _shape(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9.-]{1,255}")
_name: Final = _shape(r"[\x21-\x7e]{1,256}")
_time: Final = _shape(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

#: Every field that a log line may have, and what its value must look like.
FIELDS: Final[dict[str, Callable[[object], bool]]] = {
    # written by this module
    "event": _shape(r"[a-z][A-Za-z0-9_.:-]{0,63}"),
    "level": _word,
    "timestamp": _shape(r"[0-9T:.Z-]{20,27}"),
    "call_id": _shape(r"[0-9a-f]{24}"),
    "error": _shape(r"[A-Za-z_][\w.<>]{0,199}"),
    "places": _places,
    "logger": _shape(r"[A-Za-z_][\w.]{0,99}"),
    "template": _foreign_template,
    # calls
    "method": _shape(r"[A-Z]{1,10}"),
    "route": _shape(r"/[a-z0-9_/{}.-]{0,79}|unmatched"),
    "status": _status,
    "duration_ms": _number,
    "client": _address,
    "code": _error_code,
    "close_code": _number,
    # who and what
    "integrator_id": _uuid,
    "key_id": _uuid,
    "request_id": _uuid,
    "pairing_id": _uuid,
    "event_id": _uuid,
    "webhook_id": _uuid,
    "device": _fingerprint,
    "relay": _fingerprint,
    # work
    "outcome": _word,
    "reason": _shape(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}"),
    "channel": _word,
    "lane": _shape(r"[a-z][a-z0-9_.:/-]{0,127}"),
    "kind": _word,
    "state": _word,
    "count": _number,
    "attempt": _number,
    "seconds": _number,
    # who did what about roles (docs/jit-access.md); there is no other place for people's reasons
    "user": _email,
    "beneficiary": _email,
    "reviewers": _people,
    "device_id": _name,
    "access_levels": _names,
    "access_request": _shape(r"mpa-[A-Za-z0-9+/]{16}"),
    "activation_id": _uuid,
    "project": _name,
    "role": _name,
    "roles": _names,
    "justification": _reason_given,
    "start": _time,
    "end": _time,
    # the process
    "host": _shape(r"[0-9A-Za-z.:-]{1,253}"),
    "port": _number,
    "url": _origin,
    "mode": _word,
    "version": _version,
    "signal": _shape(r"SIG[A-Z0-9]{1,10}"),
}


class ByteSink(Protocol):
    """Where lines go, such as ``sys.stderr.buffer``."""

    def write(self, data: bytes, /) -> object:
        """Take one line."""
        ...

    def flush(self) -> object:
        """Hand on what was written."""
        ...


class _LineLogger:
    """The end of every logger: writes a rendered line; a reader that went away is no error."""

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink

    def write(self, line: bytes) -> None:
        try:
            self._sink.write(line)
            self._sink.flush()
        except (OSError, ValueError):
            # A broken pipe or a closed stderr must not fail the call that is being logged.
            return

    msg = debug = info = warning = warn = error = exception = critical = write


def configure(
    level: LogLevel, form: LogFormat, sink: ByteSink | None = None, terminal: TextIO | None = None
) -> None:
    """Send every log line of this process through the allow-list, to ``sink`` (stderr).

    ``terminal`` decides whether the console form has colours (default: stderr).
    """
    least = _LEVELS[level]
    writer = _LineLogger(sys.stderr.buffer if sink is None else sink)
    stream = sys.stderr if terminal is None else terminal
    renderer = _render_json if form == "json" else _console_renderer(colours=stream.isatty())
    structlog.configure(
        processors=[_add_context, _describe_exception, _keep_allowed, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        context_class=dict,
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    _HotPath.is_on = least <= logging.INFO
    _HotPath.write = writer.write if form == "json" else None
    bridge = _Bridge(logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [bridge]
    root.setLevel(logging.WARNING)
    # At DEBUG these would write whole frames and paths; their level is not the operator's to set.
    for name in ("asyncio", "uvicorn", "uvicorn.error", "uvicorn.access", "websockets"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def unconfigure() -> None:
    """Take back what ``configure`` did to lines of the hot path; for a process that goes on."""
    _HotPath.is_on, _HotPath.write = True, None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the hot path: its fields are of the list's shapes by construction.

    Going through the list costs some 12 µs, writing one of these 3. So a field here holds only
    what this relay made: a route of the table, a status, a number, an id of its own. ``client``
    is an address that was parsed.
    """

    event: str
    level: str = "info"
    timestamp: str = ""
    call_id: str | msgspec.UnsetType = msgspec.UNSET


class CallLine(Line, frozen=True, kw_only=True):
    """An HTTP call that was answered by a route of the table."""

    method: str
    route: str
    status: int
    duration_ms: float
    client: str


class RequestLine(Line, frozen=True, kw_only=True):
    """An approval request that was opened or has ended."""

    request_id: str
    status: str


class _HotPath:
    """Where `Line` values go: straight to the sink as JSON, else through the list."""

    is_on = True
    write: Callable[[bytes], None] | None = None


def wants_lines() -> bool:
    """Tell whether `info_line` writes anything, so that nobody makes a line in vain."""
    return _HotPath.is_on


def info_line(line: Line) -> None:
    """Write a line at INFO; ``timestamp`` and ``call_id`` are filled in here."""
    if not _HotPath.is_on:
        return
    if _HotPath.write is None:
        fields = msgspec.structs.asdict(line)
        for name in ("level", "timestamp", "call_id"):
            del fields[name]
        get().info(fields.pop("event"), **fields)
        return
    identifier = call_id.get()
    stamped = msgspec.structs.replace(
        line,
        timestamp=_timestamp(time.time()),
        call_id=msgspec.UNSET if identifier is None else identifier,
    )
    _HotPath.write(_encoder.encode(stamped) + b"\n")


def get() -> FilteringBoundLogger:
    """Return a logger: ``get().info("device_enrolled", device=fingerprint)``."""
    return cast("FilteringBoundLogger", structlog.get_logger())


_LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def _add_context(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    identifier = call_id.get()
    if identifier is not None:
        event["call_id"] = identifier
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = _timestamp(time.time())
    return event


class _Second:
    """The text of the second in which the last line was written."""

    number = -1
    text = ""


def _timestamp(now: float) -> str:
    second = int(now)
    if second != _Second.number:
        _Second.text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _Second.number = second
    return f"{_Second.text}.{int((now - second) * 1000):03d}Z"


def _describe_exception(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by the exception's type and its places, without its message."""
    given = event.pop("exc_info", method == "exception")
    if not given:
        return event
    error = given if isinstance(given, BaseException) else _current_exception(given)
    if error is not None:
        event["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
        event["places"] = _places_of(error.__traceback__)
    return event


def _current_exception(given: object) -> BaseException | None:
    if isinstance(given, tuple):
        candidate = cast("tuple[object, ...]", given)[1]
        return candidate if isinstance(candidate, BaseException) else None
    return sys.exc_info()[1]


def _places_of(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_MAX_FRAMES:]
    return [
        f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno or 0}:{frame.name}"
        for frame in frames
    ]


def _keep_allowed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    kept: EventDict = {}
    dropped: list[str] = []
    for name, value in event.items():
        holds = FIELDS.get(name)
        if holds is None:
            dropped.append(name if _word(name) else REDACTED)
        else:
            kept[name] = value if holds(value) else REDACTED
    if dropped:
        kept["dropped"] = dropped
    return kept


# What the list lets through is of plain types, but for _Template, which is a kind of str.
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return _encoder.encode(event) + b"\n"


def _console_renderer(*, colours: bool) -> Callable[[WrappedLogger, str, EventDict], bytes]:
    console = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return console(logger, method, event).encode("utf-8", "backslashreplace") + b"\n"

    return render


class _Bridge(logging.Handler):
    """Writes records of the standard library's loggers as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        first_line = template.partition("\n")[0][:_MAX_TEMPLATE_CHARS]
        log = get().error if record.levelno >= logging.ERROR else get().warning
        log(
            "library_message",
            logger=record.name,
            template=_Template(first_line),
            exc_info=record.exc_info[1] if record.exc_info else None,
        )
