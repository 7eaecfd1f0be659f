from __future__ import annotations

import json

import pytest
from tests.sdk.relay_double import Phone

from quorumkey.client import Status
from quorumkey.device.stream import (
    Asked,
    Greeting,
    Progress,
    Ready,
    Resolved,
    acknowledgement,
    authentication,
    read_frame,
    reconnect_pause,
)
from quorumkey.errors import UnexpectedAnswerError

ENVELOPE = Phone("alice").decide("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"type": "hello", "nonce": "n", "relay": "r"}, Greeting("n", "r")),
        ({"type": "ready", "new": 1}, Ready()),
        ({"type": "approval_request", "challenge": ENVELOPE.to_json()}, Asked(ENVELOPE)),
        (
            {
                "type": "request_progress",
                "request_id": "i",
                "groups_satisfied_count": 1,
                "groups_required": 2,
            },
            Progress("i", 1, 2),
        ),
        (
            {"type": "request_resolved", "request_id": "i", "status": "approved"},
            Resolved("i", Status.APPROVED),
        ),
        ({"type": "something_newer"}, None),
    ],
)
def test_frames_are_typed(frame: dict[str, object], message: object) -> None:
    """Each frame of the protocol is a message; an unknown type is none."""
    assert message == read_frame(json.dumps(frame))


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "{}",
        '{"type": 1}',
        '{"type": "hello"}',
        '{"type": "ready", "type": "ready"}',
        '{"type": "approval_request", "challenge": {}}',
        '{"type": "request_resolved", "request_id": "i", "status": "odd"}',
        '{"x": "' + "x" * 65_536 + '"}',
        "\udc80",
        b"{}",
    ],
)
def test_other_frames_are_refused(frame: str | bytes) -> None:
    """A frame that is not strict JSON with its members is an answer that is none."""
    with pytest.raises(UnexpectedAnswerError):
        read_frame(frame)


def test_what_a_device_sends() -> None:
    """A device authenticates with an envelope and acknowledges by id."""
    assert {"type": "auth", "envelope": ENVELOPE.to_json()} == json.loads(authentication(ENVELOPE))
    assert {"type": "ack", "request_id": "i"} == json.loads(acknowledgement("i"))


@pytest.mark.parametrize(
    ("failures", "least", "most"), [(0, 1, 1), (1, 1, 2), (3, 1, 8), (5, 1, 30), (99, 1, 30)]
)
def test_reconnecting_takes_1_to_30_seconds(failures: int, least: int, most: int) -> None:
    """The pause is random between one second and a bound that grows to thirty."""
    assert least == reconnect_pause(failures, lambda: 0)
    assert most == reconnect_pause(failures, lambda: 1)
