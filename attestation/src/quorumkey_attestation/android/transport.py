"""Fetch one file over HTTPS with the standard library: bounded in time and in size."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from quorumkey_attestation.android.fetch import StatusResponse
from quorumkey_attestation.android.revocation import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HttpsTransport"]

DEFAULT_TIMEOUT: Final = 10.0  # seconds for each wait, and for the content as a whole

_PIECE: Final = 65_536  # bytes read at a time
_HTTPS_PORT: Final = 443


class HttpsTransport:
    """The :class:`.fetch.Transport` of the standard library.

    HTTPS only; it follows no redirect, asks no proxy whatever the environment says, takes no
    compressed content, and gives up at ``timeout`` and at ``max_bytes``.

    Args:
        timeout: seconds for each wait, and for the content as a whole.
        max_bytes: bytes of content.
        context: what to trust; by default what the system trusts.

    Raises:
        ValueError: ``timeout`` or ``max_bytes`` is not positive.
    """

    def __init__(
        self,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_BYTES,
        context: ssl.SSLContext | None = None,
    ) -> None:
        if timeout <= 0 or max_bytes <= 0:
            msg = "timeout and max_bytes must be positive"
            raise ValueError(msg)
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._context = context

    def __call__(self, url: str, headers: Mapping[str, str]) -> StatusResponse:
        """Return what ``url`` answers; see :class:`.fetch.Transport`.

        Raises:
            OSError: there is no answer, it is too large, or it took too long.
            ValueError: ``url`` is not an ``https`` one; it is the caller's own.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None:
            msg = f"not an https URL: {url}"
            raise ValueError(msg)
        deadline = time.monotonic() + self._timeout
        connection = http.client.HTTPSConnection(
            parts.hostname,
            parts.port or _HTTPS_PORT,
            timeout=self._timeout,
            context=self._context or ssl.create_default_context(),
        )
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        try:
            connection.request(
                "GET",
                target,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            )
            return self._read(connection, deadline)
        except http.client.HTTPException as error:
            msg = f"the answer is not HTTP: {type(error).__name__}"
            raise OSError(msg) from error
        finally:
            connection.close()

    def _read(self, connection: http.client.HTTPSConnection, deadline: float) -> StatusResponse:
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if headers.get("content-encoding", "identity").lower() != "identity":
            msg = "the content is compressed, which was not asked for"
            raise OSError(msg)
        body = bytearray()
        while piece := response.read1(_PIECE):
            body += piece
            if len(body) > self._max_bytes:
                msg = f"the content is larger than {self._max_bytes} bytes"
                raise OSError(msg)
            left = deadline - time.monotonic()
            if left <= 0:
                msg = "the content took too long"
                raise TimeoutError(msg)
            if connection.sock is not None:
                connection.sock.settimeout(left)
        declared = headers.get("content-length")
        if declared is not None and declared.isdigit() and int(declared) != len(body):
            msg = "the content is cut off"
            raise OSError(msg)
        return StatusResponse(response.status, headers, bytes(body))
