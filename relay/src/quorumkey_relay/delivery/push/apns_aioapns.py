"""The same port by the library aioapns, for who has reasons to use it; never the default.

What a wrapper can guard is guarded: every call ends at its deadline, the number of calls under way
is bounded, a caller that is cancelled takes no connection with it, a client that lost an answer is
replaced, and connections share one provider token. Its other faults stay: an answer that it does
not understand is none, pushes are lost with connections that end, and nobody learns whether a push
was sent. docs/adr/0009 has the figures, and the contract suite the list.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from quorumkey_relay.delivery.channel import always
from quorumkey_relay.delivery.push.apns_sender import HEADERS
from quorumkey_relay.delivery.transport import Answer, TransportFailed
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """The library's pool for one environment, and the calls under way in it."""

    def __init__(self, url: str, context: ssl.SSLContext, connection: Any, number: int) -> None:  # noqa: ANN401 - an untyped module
        self.number = number
        self.authorization = ""
        self.calls = set[asyncio.Task[Any]]()
        self._is_retired = False
        self._context = context
        parts = urlsplit(url)
        where = {"APNS_SERVER": parts.hostname, "APNS_PORT": parts.port or _HTTPS_PORT}
        self._protocol: Any = type("Protocol", (connection.APNsTLSClientProtocol,), where)
        self._pool: Any = connection.APNsKeyConnectionPool(
            key="",
            key_id="",
            team_id="",
            topic="",
            max_connections=MAX_CONNECTIONS,
            max_connection_attempts=1,
            ssl_context=context,
        )
        self._pool.create_connection = self._create_connection

    def get_header(self) -> str:
        """Return what the library sends as ``authorization``; it asks at every push."""
        return self.authorization

    async def _create_connection(self) -> Any:  # noqa: ANN401 - as above
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: self._protocol("", loop, self._pool.discard_connection, self),
            host=self._protocol.APNS_SERVER,
            port=self._protocol.APNS_PORT,
            ssl=self._context,
        )
        return protocol

    def begin(self, request: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - as above
        """Send in a task of its own: one that is cancelled takes the connection with it."""
        task = asyncio.create_task(self._pool.send_notification(request))
        self.calls.add(task)
        task.add_done_callback(self._ended)
        return task

    def give_up(self, task: asyncio.Task[Any], push_id: str) -> None:
        """Have the library forget a call before it ends, and would fail at its answer."""
        for connection in self._pool.connections:
            connection.requests.pop(push_id, None)
        task.cancel()

    def retire(self) -> None:
        """Close once the calls under way have ended."""
        self._is_retired = True
        if not self.calls:
            self._pool.close()

    def close(self) -> None:
        """Close now; calls under way fail."""
        for connection in self._pool.connections:
            connection.requests.clear()
        for task in tuple(self.calls):
            task.cancel()
        self._pool.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.calls.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: a caller that was cancelled no longer does
        if self._is_retired and not self.calls:
            self._pool.close()


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
        self._open = partial(_Pool, context=context, connection=connection)
        self._urls = dict(urls)
        self._pools: dict[ApnsEnvironment, _Pool] = {}  # made on the loop that they serve
        self._free = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def send(  # noqa: PLR0913 - what a push is made of
        self,
        environment: ApnsEnvironment,
        token: str,
        *,
        headers: Mapping[str, str],
        payload: bytes,
        timeout_seconds: float,
        is_wanted: Callable[[], bool] = always,
    ) -> Answer:
        """See `ApnsSender`."""
        try:
            async with asyncio.timeout(timeout_seconds) as time_left:
                await self._free.acquire()
        except TimeoutError:
            raise TransportFailed("timeout", processed=False) from None
        try:
            if not is_wanted():
                raise TransportFailed("broken", processed=False)
            until = time_left.when() or 0.0
            seconds_left = until - asyncio.get_running_loop().time()
            result = await self._answered(
                environment, self._request(token, headers, payload), headers, seconds_left
            )
        finally:
            self._free.release()
        body = {"reason": result.description or "", "timestamp": result.timestamp}
        return Answer(int(result.status), {}, msgspec.json.encode(body))

    async def _answered(
        self,
        environment: ApnsEnvironment,
        request: Any,  # noqa: ANN401 - as above
        headers: Mapping[str, str],
        timeout_seconds: float,
    ) -> Any:  # noqa: ANN401 - as above
        pool = self._pool(environment)
        pool.authorization = headers["authorization"]
        task = pool.begin(request)
        done, _ = await asyncio.wait((task,), timeout=timeout_seconds)
        if not done:
            pool.give_up(task, headers["apns-id"])
            self.reopen(environment, pool.number)
            raise TransportFailed("timeout", processed=None)
        if task.cancelled() or task.exception() is not None:
            # It says only that it gave up, not whether anything was sent.
            raise TransportFailed("broken", processed=None)
        return task.result()

    def _pool(self, environment: ApnsEnvironment) -> _Pool:
        if environment not in self._pools:
            self._pools[environment] = self._open(self._urls[environment], number=0)
        return self._pools[environment]

    def _request(self, token: str, headers: Mapping[str, str], payload: bytes) -> Any:  # noqa: ANN401 - as above
        common = self._common
        return common.NotificationRequest(
            token,
            msgspec.json.decode(payload),
            notification_id=headers["apns-id"],
            # It wants a duration, which it adds to the machine's clock.
            time_to_live=max(0, int(headers["apns-expiration"]) - int(time.time())),
            priority=HEADERS["apns-priority"],
            collapse_key=headers["apns-collapse-id"],
            push_type=common.PushType(HEADERS["apns-push-type"]),
            apns_topic=headers["apns-topic"],
        )

    def connection(self, environment: ApnsEnvironment) -> int:
        """See `ApnsSender`."""
        return self._pool(environment).number

    def reopen(self, environment: ApnsEnvironment, connection: int) -> None:
        """See `ApnsSender`."""
        current = self._pool(environment)
        if current.number == connection:
            number = current.number + 1
            self._pools[environment] = self._open(self._urls[environment], number=number)
            current.retire()

    async def close(self) -> None:
        """See `ApnsSender`."""
        for pool in self._pools.values():
            pool.close()
