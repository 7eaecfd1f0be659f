"""What Web Push services answer, and which subscriptions make the stand-in answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_relay.standins.exchange import Behaviour, json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOW_SECONDS: Final = 3.0
#: Stands in ``headers`` for the seconds that the faults ask for.
RETRY_AFTER: Final = ("retry-after", "")
#: Where the redirect leads: to an address of the stand-in that answers 404.
ELSEWHERE: Final = "/elsewhere"
#: More than a relay may read of an answer.
HUGE_BODY_BYTES: Final = 1_048_576


def _refused(
    status: int,
    help_text: str,
    *headers: tuple[str, str],
    name: str | None = None,
    body: bytes = b"",
) -> Behaviour:
    named = name or str(status)
    return Behaviour(named, help_text, status, named, headers=headers, body=body)


_ROWS: Final = (
    Behaviour("ok", "201", 201, body=b""),
    Behaviour("slow", f"201 after {SLOW_SECONDS:g} seconds", 201, None, "answer", SLOW_SECONDS),
    Behaviour("silent", "never answered", 201, action="silence"),
    Behaviour("reset", "RST_STREAM instead of an answer", 201, action="reset"),
    Behaviour("close", "the connection is lost instead of an answer", 201, action="close"),
    _refused(502, "502 with a page in HTML", name="html", body=b"<html>Bad gateway</html>"),
    _refused(500, "500 with no body", name="empty"),
    _refused(
        400,
        "400 VapidPkHashMismatch, as Apple for a subscription of another key",
        name="VapidPkHashMismatch",
        body=json_bytes({"reason": "VapidPkHashMismatch"}),
    ),
    _refused(400, "400 with a body of a megabyte", name="huge", body=b"x" * HUGE_BODY_BYTES),
    _refused(307, "307 to another address", ("location", ELSEWHERE), name="redirect"),
    _refused(401, "401"),
    _refused(403, "403"),
    _refused(404, "404, the subscription has expired"),
    _refused(410, "410, the subscription is gone"),
    _refused(413, "413"),
    _refused(429, "429 with Retry-After", RETRY_AFTER),
    _refused(503, "503 with Retry-After", RETRY_AFTER),
)
#: By name.
BEHAVIOURS: Final[Mapping[str, Behaviour]] = {one.name: one for one in _ROWS}
