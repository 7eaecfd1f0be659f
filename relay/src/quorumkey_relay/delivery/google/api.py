"""Calls of Google's REST APIs as a service account."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.google.access_token import (
    CLOUD_PLATFORM_SCOPE,
    EXPIRES_AFTER_SECONDS,
    LEAST_SECONDS_BETWEEN,
    REFRESH_AFTER_SECONDS,
    AccessTokens,
)
from quorumkey_relay.delivery.reconnecting import ReconnectingClient
from quorumkey_relay.delivery.renewal import Renewal
from quorumkey_relay.delivery.transport import http2_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.google.access_token import ServiceAccount
    from quorumkey_relay.delivery.transport import Answer

CALL_TIMEOUT_SECONDS: Final = 10.0
#: An IAM policy can name 1,500 principals many times over; an answer that is longer is cut.
MAX_ANSWER_BYTES: Final = 16_777_216

_NO_HEADERS: Final[Mapping[str, str]] = {}


def google_client(roots: bytes | None) -> ReconnectingClient:
    """Return a client for Google's APIs; ``roots`` are PEM certificates beside the public ones."""
    return ReconnectingClient(lambda: http2_client(roots=roots, max_answer_bytes=MAX_ANSWER_BYTES))


class GoogleApi:
    """One account's calls: they share an access token, which is renewed before it runs out.

    Both methods return any answer, that to a second try where Google refused the token, and raise
    `TokenRefused`, `TokenUnavailable` or `TransportFailed`.
    """

    def __init__(
        self,
        account: ServiceAccount,
        client: ReconnectingClient,
        clock: Clock,
        *,
        scope: str = CLOUD_PLATFORM_SCOPE,
    ) -> None:
        """Use ``client``, which belongs to this object from now on."""
        self._client = client
        self._tokens = Renewal(
            AccessTokens(account, client, clock, scope).obtain,
            monotonic=clock.monotonic,
            refresh_after_seconds=REFRESH_AFTER_SECONDS,
            expires_after_seconds=EXPIRES_AFTER_SECONDS,
            least_seconds_between=LEAST_SECONDS_BETWEEN,
        )

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> Answer:
        """POST a JSON document; ``timeout_seconds`` is for each try."""

        def send(authorization: str) -> Awaitable[Answer]:
            return self._client.post(
                url,
                headers={
                    **headers,
                    "authorization": authorization,
                    "content-type": "application/json",
                },
                body=body,
                timeout_seconds=timeout_seconds,
            )

        return await self._authorized(send)

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> Answer:
        """GET what is at an address; ``timeout_seconds`` is for each try."""

        def send(authorization: str) -> Awaitable[Answer]:
            return self._client.get(
                url,
                headers={**headers, "authorization": authorization},
                timeout_seconds=timeout_seconds,
            )

        return await self._authorized(send)

    async def close(self) -> None:
        """End a renewal that is under way, and the connections."""
        await self._tokens.close()
        await self._client.close()

    async def _authorized(self, send: Callable[[str], Awaitable[Answer]]) -> Answer:
        token = await self._tokens.current()
        answer = await send(token)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        newer = await self._tokens.refused(token)
        return answer if newer is None else await send(newer)
