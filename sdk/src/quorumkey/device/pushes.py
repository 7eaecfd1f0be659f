"""What a push carried, and whether its challenge holds (PROTOCOL §7).

Three forms of the same members: beside ``aps`` in a payload of APNs, under ``data`` of FCM, where
every value is a string, and as the decrypted JSON of Web Push. A push comes through somebody
else's hands: only its challenge proves anything, and where that is left out nothing does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.client._fields import Fields
from quorumkey.errors import ProtocolError, UnexpectedAnswerError
from quorumkey.protocol.dsse import parse_envelope
from quorumkey.protocol.ids import check_uuid7
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.device.session import RelaySession
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["Asks", "PushContent", "Withdraws", "checked_push", "read_push"]

#: What each of the three channels carries at most, in bytes.
MAX_PUSH_BYTES: Final = 4_096

_ASKS: Final = "approval_request"
_WITHDRAWS: Final = "request_resolved"


@dataclass(frozen=True, slots=True)
class Asks:
    """A request waits; `challenge` is None where there was no room for it."""

    request_id: str
    challenge: Envelope | None


@dataclass(frozen=True, slots=True)
class Withdraws:
    """A request has ended."""

    request_id: str


PushContent = Asks | Withdraws


def read_push(payload: Mapping[str, JsonValue] | bytes) -> PushContent:
    """Read what arrived, in any of the three forms; members unknown here are ignored.

    Raises:
        ProtocolError: it is too large, or no push of this protocol.
    """
    try:
        if isinstance(payload, bytes):
            fields = Fields(loads(payload, max_bytes=MAX_PUSH_BYTES), "the push")
        else:
            fields = Fields(dict(payload), "the push")
        kind = fields.text("type")
        request_id = check_uuid7(fields.text("request_id"), field="request_id")
        if kind == _WITHDRAWS:
            return Withdraws(request_id)
        if kind != _ASKS:
            raise _refused("its type is unknown here")
        return Asks(request_id, _challenge(fields) if fields.has("challenge") else None)
    except UnexpectedAnswerError:
        raise _refused("a member is missing or of another kind") from None


async def checked_push(
    session: RelaySession, payload: Mapping[str, JsonValue] | bytes
) -> PushContent:
    """Read what arrived, and check the challenge in it before anything is fetched for it.

    Raises:
        ProtocolError: as `read_push`; or the challenge is not for this device and request.
        RelayMismatchError: the challenge is of a relay that is not pinned.
    """
    content = read_push(payload)
    if isinstance(content, Asks) and content.challenge is not None:
        await session.trust(content.challenge.keyid)
        challenge = session.reviewer.check_challenge(content.challenge)
        if challenge.request_id != content.request_id:
            raise _refused("its challenge is for another request")
    return content


def _challenge(fields: Fields) -> Envelope:
    value = fields.raw("challenge")
    if isinstance(value, str):  # FCM carries strings only
        # What is no Unicode becomes bytes that the reader refuses.
        value = loads(value.encode(errors="surrogatepass"), max_bytes=MAX_PUSH_BYTES)
    return parse_envelope(value)


def _refused(why: str) -> ProtocolError:
    return ProtocolError("invalid_request", f"This push is not usable: {why}.")
