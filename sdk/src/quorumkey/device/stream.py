"""The devices' stream without the socket: which frame may come when, and what to answer.

PROTOCOL §7: the relay says ``hello`` with a nonce; the device answers with a signed session; the
relay says ``ready``, then sends messages. Types unknown here are ignored, frames out of turn are
an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from quorumkey.client._fields import Fields
from quorumkey.client.models import Status, envelope_of
from quorumkey.errors import ProtocolError, UnexpectedAnswerError
from quorumkey.protocol.limits import (
    MAX_FRAME_BYTES,
    MAX_RECONNECT_SECONDS,
    MIN_RECONNECT_SECONDS,
)
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol.dsse import Envelope

__all__ = [
    "FINAL_CLOSE_CODES",
    "SUBPROTOCOL",
    "Asked",
    "Greeting",
    "Message",
    "Progress",
    "Ready",
    "Resolved",
    "acknowledgement",
    "authentication",
    "read_frame",
    "reconnect_pause",
]

SUBPROTOCOL: Final = "quorumkey.v1"
#: Close codes after which a device does not connect again by itself, and what they mean.
FINAL_CLOSE_CODES: Final = {
    4401: "The relay refused this device's signature.",
    4403: "This device is revoked or no longer paired.",
    4409: "Another connection of this device has taken over.",
}
_MAX_DOUBLINGS: Final = 5


@dataclass(frozen=True, slots=True)
class Greeting:
    """``hello``: a nonce for this socket, from a relay that claims this fingerprint."""

    nonce: str
    relay: str


@dataclass(frozen=True, slots=True)
class Ready:
    """``ready``: the session was accepted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``approval_request``: a challenge, unchecked."""

    challenge: Envelope


@dataclass(frozen=True, slots=True)
class Progress:
    """``request_progress``: somebody approved."""

    request_id: str
    groups_satisfied_count: int
    groups_required: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """``request_resolved``: nothing is to be decided any more."""

    request_id: str
    status: Status


Message: TypeAlias = Greeting | Ready | Asked | Progress | Resolved


def read_frame(frame: str | bytes) -> Message | None:
    """Read one frame; None where its type is unknown here.

    Raises:
        UnexpectedAnswerError: it is no JSON object with the members of its type.
    """
    if isinstance(frame, bytes):
        raise UnexpectedAnswerError("The relay sent a binary frame.")
    try:
        value = loads(frame.encode(), max_bytes=MAX_FRAME_BYTES)
    except (ProtocolError, UnicodeEncodeError):
        raise UnexpectedAnswerError("The relay sent a frame that is not JSON.") from None
    fields = Fields(value, "the frame")
    match fields.text("type"):
        case "hello":
            return Greeting(fields.text("nonce"), fields.text("relay"))
        case "ready":
            return Ready()
        case "approval_request":
            return Asked(envelope_of(fields.raw("challenge")))
        case "request_progress":
            return Progress(
                fields.text("request_id"),
                fields.integer("groups_satisfied_count"),
                fields.integer("groups_required"),
            )
        case "request_resolved":
            return Resolved(fields.text("request_id"), fields.choice("status", Status))
        case _:
            return None


def authentication(session: Envelope) -> str:
    """The frame that answers ``hello``."""
    return dumps({"type": "auth", "envelope": session.to_json()}).decode()


def acknowledgement(request_id: str) -> str:
    """The frame that says that a request was shown to the person."""
    return dumps({"type": "ack", "request_id": request_id}).decode()


def reconnect_pause(failures: int, jitter: Callable[[], float]) -> float:
    """Seconds to wait before connecting again after so many failures in a row (1 to 30)."""
    doubled = MIN_RECONNECT_SECONDS << min(failures, _MAX_DOUBLINGS)
    most = min(MAX_RECONNECT_SECONDS, doubled)
    return MIN_RECONNECT_SECONDS + jitter() * (most - MIN_RECONNECT_SECONDS)
