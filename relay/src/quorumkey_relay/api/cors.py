"""Cross-origin calls of the approver app, without credentials (PROTOCOL §1, Fetch §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.api.answers import Headers

DEVICE_PREFIX: Final = "/v1/device/"

_PREFLIGHT_SECONDS: Final = b"600"
_VARY: Final[Headers] = ((b"vary", b"origin"),)


class Cors:
    """Lets one origin, ``app_origin``, read the answers of ``/v1/device/*``."""

    def __init__(self, app_origin: str | None) -> None:
        """Allow this origin, or none."""
        self._origin = None if app_origin is None else app_origin.encode()
        self._allowed: Headers = (
            *_VARY,
            (b"access-control-allow-origin", self._origin or b""),
            (b"access-control-expose-headers", b"x-request-id, retry-after"),
        )

    def headers(self, path: str, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what every answer at ``path`` has for this caller."""
        if self._origin is None or not path.startswith(DEVICE_PREFIX):
            return ()
        return self._allowed if headers.get(b"origin") == self._origin else _VARY

    def preflight(self, path: str, headers: Mapping[bytes, bytes], allow: bytes) -> Headers:
        """Return what an OPTIONS answer adds to `headers` when it asks before a call."""
        asks = b"access-control-request-method" in headers
        if not asks or self._origin is None or not path.startswith(DEVICE_PREFIX):
            return ()
        if headers.get(b"origin") != self._origin:
            return ()
        return (
            (b"access-control-allow-methods", allow),
            (b"access-control-allow-headers", b"authorization, content-type"),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        )
