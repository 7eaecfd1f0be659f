"""How the calls of one kind are read and refused: the protocol's own, or another's.

Everything else is the same for all: limits, ids, metrics, access log, shutdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey.errors import ERRORS
from quorumkey_relay.api.answers import ErrorDocument, refusal_answer
from quorumkey_relay.api.bodies import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from msgspec import Struct
    from starlette.types import Receive

    from quorumkey_relay.api.answers import Answer, Headers
    from quorumkey_relay.domain.refusal import Refusal


class ReadBody(Protocol):
    """Reads the whole body of a call, or raises `Refused` or `ClientGone`."""

    async def __call__(
        self, headers: Mapping[bytes, bytes], receive: Receive, *, max_bytes: int
    ) -> bytes:
        """Return the body, of at most ``max_bytes``."""
        ...


class Refuse(Protocol):
    """Writes a refusal."""

    def __call__(self, refusal: Refusal, headers: Headers = ()) -> Answer:
        """Return what the refusal looks like on the wire, with further headers."""
        ...


def _status_of(code: str) -> int:
    return ERRORS[code].status


@dataclass(frozen=True, slots=True)
class Dialect:
    """Reading of bodies, and the form of refusals.

    ``document`` describes the body of a refusal and ``status_of`` tells its status by its code.
    """

    read_body: ReadBody
    refuse: Refuse
    document: type[Struct] = ErrorDocument
    status_of: Callable[[str], int] = _status_of


#: PROTOCOL §2 and §9.
REST: Final = Dialect(read_body, refusal_answer)
