"""Logs: what a line looks like, and that nothing else gets into one."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from quorumkey_relay.settings import LogFormat, LogLevel

pytestmark = pytest.mark.usefixtures("restored_logging")

CANARY = "canary-7d1f"


def configured(level: LogLevel = "debug", form: LogFormat = "json") -> io.BytesIO:
    """Configure logging into a buffer and return the buffer."""
    sink = io.BytesIO()
    logs.configure(level, form, sink)
    return sink


def lines(sink: io.BytesIO) -> list[dict[str, object]]:
    """Return the logged lines, read as JSON."""
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_a_line_is_one_json_object() -> None:
    """An event is written with its fields, level and UTC time."""
    sink = configured()

    logs.get().info("request", method="GET", route="/v1/info", status=200, duration_ms=0.4)

    (line,) = lines(sink)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line.pop("timestamp")))
    assert line == {
        "event": "request",
        "method": "GET",
        "route": "/v1/info",
        "status": 200,
        "duration_ms": 0.4,
        "level": "info",
    }


def test_lines_of_a_call_carry_its_id() -> None:
    """Every line written while a call is answered has the call's X-Request-Id."""
    sink = configured()
    token = logs.call_id.set("ab" * 12)
    logs.get().warning("slow_call")
    logs.call_id.reset(token)
    logs.get().warning("slow_call")

    assert [line.get("call_id") for line in lines(sink)] == ["ab" * 12, None]


def test_lines_below_the_level_are_not_written() -> None:
    """The level that was configured is the least that is written."""
    sink = configured("warning")

    logs.get().info("request")
    logs.get().error("failed")

    assert [line["event"] for line in lines(sink)] == ["failed"]


def test_unknown_fields_are_left_out() -> None:
    """A field outside the list is not written; its name is told."""
    sink = configured()

    logs.get().debug("request", token=CANARY, **{CANARY.upper(): 1})

    (line,) = lines(sink)
    assert line["dropped"] == ["token", "[redacted]"]
    assert CANARY not in sink.getvalue().decode().lower()


@pytest.mark.parametrize("field", sorted(logs.FIELDS))
def test_values_of_another_shape_are_redacted(field: str) -> None:
    """No known field carries a value that does not look like its kind."""
    sink = configured()

    values = {"event": "request", field: f"{CANARY} qk_live_{'a' * 64}"}
    logs.get().info(values.pop("event"), **values)

    (line,) = lines(sink)
    assert CANARY not in json.dumps(line)
    assert line[field] == "[redacted]" or field in ("level", "timestamp")


def test_exceptions_are_written_without_their_message() -> None:
    """An exception appears as its type and the places it passed, nothing of its text."""
    sink = configured()

    try:
        int(CANARY)
    except ValueError as error:
        logs.get().error("failed", exc_info=error)
        logs.get().exception("failed")
        logs.get().error("failed", exc_info=sys.exc_info())

    assert CANARY not in sink.getvalue().decode()
    for line in lines(sink):
        assert line["error"] == "builtins.ValueError"
        assert str(line["places"]).startswith("['observe/test_logs.py:")


def test_exception_info_without_an_exception() -> None:
    """Asking for exception information where there is none adds nothing."""
    sink = configured()

    logs.get().error("failed", exc_info=True)
    logs.get().error("failed", exc_info=(None, None, None))

    assert [line.get("error") for line in lines(sink)] == [None, None]


def test_library_records_keep_only_their_template() -> None:
    """A record of another library is written without what would be filled in."""
    sink = configured()

    logging.getLogger("uvicorn.error").warning("Bad frame %s\nfuture: %r", CANARY, CANARY)
    logging.getLogger("asyncio").error(ValueError(CANARY))

    assert CANARY not in sink.getvalue().decode()
    assert [(line["logger"], line["template"]) for line in lines(sink)] == [
        ("uvicorn.error", "Bad frame %s"),
        ("asyncio", "ValueError"),
    ]


def test_library_exceptions_lose_their_message_too() -> None:
    """The exception of another library's record is written as type and places."""
    sink = configured()

    try:
        int(CANARY)
    except ValueError:
        logging.getLogger("asyncio").exception("Task failed")

    assert CANARY not in sink.getvalue().decode()
    assert lines(sink)[0]["error"] == "builtins.ValueError"


def test_libraries_are_not_heard_below_warning() -> None:
    """Frames that a library logs at DEBUG are not written, whatever the level."""
    sink = configured("debug")

    for name in ("uvicorn.error", "asyncio", "websockets"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)

    assert sink.getvalue() == b""


def test_console_form() -> None:
    """The form for people has the same fields under the same list."""
    sink = configured(form="console")

    logs.get().info("request", method="GET", token=CANARY)

    text = sink.getvalue().decode()
    assert "request" in text
    assert "GET" in text
    assert CANARY not in text


class _Broken(io.BytesIO):
    """A sink whose reader has gone."""

    def write(self, _data: object, /) -> int:
        """Fail as a broken pipe does."""
        raise BrokenPipeError


def test_a_broken_sink_fails_no_call() -> None:
    """When nobody reads the log any more, logging does not raise."""
    logs.configure("info", "json", _Broken())

    logs.get().info("request")
