"""The same port by the library aioapns, for who has reasons to use it; never the default.

What a wrapper can guard is guarded: every call ends at its deadline, the number of calls under way
is bounded, a client that lost an answer is replaced, and connections share one provider token. Its
faults stay: an answer that it does not understand is none, connections that end take other pushes
with them, and a push may go out several times. docs/adr/0009 has the figures.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from quorumkey_relay.delivery.transport import Answer, TransportFailed
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.push_address import ApnsEnvironment

MAX_IN_FLIGHT: Final = 200
MAX_CONNECTIONS: Final = 2
_HTTPS_PORT: Final = 443


def _library() -> tuple[Any, Any]:
    """Return aioapns' modules; it is an extra, so what they hold has no types here."""
    try:
        return import_module("aioapns.common"), import_module("aioapns.connection")
    except ImportError:
        problem = "apns_client aioapns needs the extra: pip install 'quorumkey-relay[aioapns]'."
        raise ConfigError((problem,)) from None


class _Pool:
    """One environment: the library's pool, and the token that its connections sign with."""

    def __init__(self, url: str, context: ssl.SSLContext, connection: Any) -> None:  # noqa: ANN401 - an untyped module
        self.authorization = ""
        self.number = 0
        self._context = context
        self._connection = connection
        parts = urlsplit(url)
        where = {"APNS_SERVER": parts.hostname, "APNS_PORT": parts.port or _HTTPS_PORT}
        self._protocol: Any = type("Protocol", (connection.APNsTLSClientProtocol,), where)
        self.pool: Any = None

    def get_header(self) -> str:
        """Return what the library sends as ``authorization``; it asks at every push."""
        return self.authorization

    def opened(self) -> Any:  # noqa: ANN401 - as above
        """Return the pool, a new one where there is none."""
        if self.pool is None:
            made = self._connection.APNsKeyConnectionPool(
                key="",
                key_id="",
                team_id="",
                topic="",
                max_connections=MAX_CONNECTIONS,
                max_connection_attempts=1,
                ssl_context=self._context,
            )
            made.protocol_class = self._protocol
            made.create_connection = self._create_connection
            self.pool = made
        return self.pool

    async def _create_connection(self) -> Any:  # noqa: ANN401 - as above
        pool = self.pool
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: self._protocol("", loop, pool.discard_connection, self),
            host=self._protocol.APNS_SERVER,
            port=self._protocol.APNS_PORT,
            ssl=self._context,
        )
        return protocol

    def drop(self) -> None:
        """Use another pool from now on; what is under way there is lost."""
        pool, self.pool = self.pool, None
        self.number += 1
        if pool is not None:
            pool.close()


class AioapnsSender:
    """Implements `ApnsSender`."""

    def __init__(self, urls: Mapping[ApnsEnvironment, str], *, roots: bytes | None) -> None:
        """Connect to nothing yet; raises ConfigError where the library is not installed."""
        self._common, connection = _library()
        # At WARNING it writes ids and what it was answered; what counts is in the outcomes.
        logging.getLogger("aioapns").setLevel(logging.CRITICAL)
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2"])
        if roots is not None:
            context.load_verify_locations(cadata=roots.decode("ascii"))
        self._pools = {
            environment: _Pool(url, context, connection) for environment, url in urls.items()
        }
        self._free = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def send(
        self,
        environment: ApnsEnvironment,
        token: str,
        *,
        headers: Mapping[str, str],
        payload: bytes,
        timeout_seconds: float,
    ) -> Answer:
        """See `ApnsSender`."""
        pool = self._pools[environment]
        is_sent = False
        try:
            async with asyncio.timeout(timeout_seconds), self._free:
                pool.authorization = headers["authorization"]
                is_sent = True
                result = await pool.opened().send_notification(
                    self._request(token, headers, payload)
                )
        except TimeoutError:
            if is_sent:
                pool.drop()
            raise TransportFailed("timeout", processed=None if is_sent else False) from None
        except Exception:  # noqa: BLE001 - what it raises under faults is not documented
            raise TransportFailed("broken", processed=None) from None
        body = {"reason": result.description or "", "timestamp": result.timestamp}
        return Answer(int(result.status), {}, msgspec.json.encode(body))

    def _request(self, token: str, headers: Mapping[str, str], payload: bytes) -> Any:  # noqa: ANN401 - as above
        common = self._common
        return common.NotificationRequest(
            token,
            msgspec.json.decode(payload),
            notification_id=headers["apns-id"],
            # It wants a duration, which it adds to the machine's clock.
            time_to_live=max(0, int(headers["apns-expiration"]) - int(time.time())),
            priority=headers["apns-priority"],
            collapse_key=headers["apns-collapse-id"],
            push_type=common.PushType(headers["apns-push-type"]),
            apns_topic=headers["apns-topic"],
        )

    def connection(self, environment: ApnsEnvironment) -> int:
        """See `ApnsSender`."""
        return self._pools[environment].number

    def reopen(self, environment: ApnsEnvironment, connection: int) -> None:
        """See `ApnsSender`; here pushes under way on the old connections fail."""
        if self._pools[environment].number == connection:
            self._pools[environment].drop()

    async def close(self) -> None:
        """See `ApnsSender`."""
        for pool in self._pools.values():
            pool.drop()
