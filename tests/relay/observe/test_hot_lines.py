"""Lines of the hot path: the same lines, written with less work."""

from __future__ import annotations

import io
import json

import pytest

from quorumkey_relay.observe import logs

pytestmark = pytest.mark.usefixtures("restored_logging")


def call_line() -> logs.CallLine:
    """Return the line of one answered call."""
    return logs.CallLine(
        event="request",
        method="GET",
        route="/v1/info",
        status=200,
        duration_ms=0.4,
        client="127.0.0.1",
    )


def test_a_prepared_line_is_the_line_that_the_list_would_have_let_through() -> None:
    """A prepared line has the members and values of the same event through the list."""
    prepared, listed = io.BytesIO(), io.BytesIO()
    token = logs.call_id.set("ab" * 12)

    logs.configure("info", "json", prepared)
    logs.info_line(call_line())
    logs.configure("info", "json", listed)
    logs.get().info(
        "request",
        method="GET",
        route="/v1/info",
        status=200,
        duration_ms=0.4,
        client="127.0.0.1",
    )
    logs.call_id.reset(token)

    expected, found = json.loads(listed.getvalue()), json.loads(prepared.getvalue())
    assert isinstance(expected.pop("timestamp"), str)
    assert isinstance(found.pop("timestamp"), str)
    assert expected == found


def test_a_prepared_line_outside_a_call_has_no_call_id() -> None:
    """Where no call is answered the member is left out."""
    sink = io.BytesIO()
    logs.configure("info", "json", sink)

    logs.info_line(call_line())

    assert "call_id" not in json.loads(sink.getvalue())


def test_a_prepared_line_is_information() -> None:
    """From WARNING up it is not written, and callers are told not to make one."""
    sink = io.BytesIO()
    logs.configure("warning", "json", sink)

    logs.info_line(call_line())

    assert (b"", False) == (sink.getvalue(), logs.wants_lines())


def test_a_prepared_line_for_people_goes_through_the_list() -> None:
    """The console form shows it like any other event."""
    sink = io.BytesIO()
    logs.configure("info", "console", sink, io.StringIO())

    logs.info_line(call_line())

    assert b"request" in sink.getvalue()
    assert b"/v1/info" in sink.getvalue()
