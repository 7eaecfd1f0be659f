"""How pushes get to Apple: the port that the channel sends through, and its default adapter.

The default keeps one HTTP/2 connection to each environment. Until Apple has answered one push on
a new connection it allows a single stream there, so the first push goes alone and the others wait
for it a moment.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from quorumkey_relay.delivery.channel import always
from quorumkey_relay.delivery.reconnecting import DEAD_AFTER_SECONDS, MAX_RESENDS
from quorumkey_relay.delivery.transport import TransportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.protocol.push_address import ApnsEnvironment
    from quorumkey_relay.delivery.transport import Answer, HttpClient

PATH: Final = "/3/device/"
#: What every push has: it is shown, and at once.
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {"apns-push-type": "alert", "apns-priority": "10"}
)
#: How long the first push on a connection holds up the others; then they open another.
FIRST_ANSWER_SECONDS: Final = 1.0


class ApnsSender(Protocol):
    """Sends one push and returns Apple's answer to it; judges nothing."""

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
        """Send to a device token, with ``HEADERS`` beside ``headers``.

        Raises TransportFailed, within ``timeout_seconds``; also for a push that had to wait for
        others and is not wanted any more.
        """
        ...

    def connection(self, environment: ApnsEnvironment) -> int:
        """Return the number of the connection that the next push goes over."""
        ...

    def reopen(self, environment: ApnsEnvironment, connection: int) -> None:
        """Have the next pushes go over another connection, unless they do so already.

        Pushes under way end where they are.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


#: Ends with the first push on a connection: with how that failed, None where it did not.
_Opening: TypeAlias = "asyncio.Future[TransportFailed | None]"


class _Connection:
    """One client, which holds one connection; ``opening`` is there until its first answer."""

    def __init__(self, client: HttpClient, number: int) -> None:
        self.client = client
        self.number = number
        self.is_proven = False
        self.opening: _Opening | None = None
        self.answers = 0


class HttpSender:
    """Sends over `HttpClient`s, one for each environment that is served."""

    def __init__(
        self,
        urls: Mapping[ApnsEnvironment, str],
        connect: Callable[[], HttpClient],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        """Connect to nothing yet; ``urls`` are origins."""
        self._prefixes = {environment: url + PATH for environment, url in urls.items()}
        self._connect = connect
        self._monotonic = monotonic
        self._connections = {environment: _Connection(connect(), 0) for environment in urls}
        self._retiring: set[asyncio.Task[None]] = set()

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
        connection, first = self._connections[environment], None
        if not connection.is_proven:
            connection, first, timeout_seconds = await self._opened(
                environment, timeout_seconds, is_wanted
            )
        answers = connection.answers
        begun = self._monotonic()
        url = self._prefixes[environment] + token
        failed = None
        try:
            answer = await connection.client.post(
                url, headers=headers, body=payload, timeout_seconds=timeout_seconds
            )
        except TransportFailed as failure:
            failed = failure
            self._judge(connection, failure, answers, timeout_seconds)
            if failure.processed is None or failure.reason != "broken":
                raise
            deadline = begun + timeout_seconds
            answer = await self._resend(connection, url, headers, payload, deadline)
        finally:
            if first is not None:
                connection.opening = None
                first.set_result(failed)
        connection.answers += 1
        connection.is_proven = True
        return answer

    async def _opened(
        self, environment: ApnsEnvironment, timeout_seconds: float, is_wanted: Callable[[], bool]
    ) -> tuple[_Connection, _Opening | None, float]:
        """Return a connection that takes more than one push, or that this push is the first on.

        With a future to fulfil in the latter case, and with the seconds that are left. Where the
        first push finds nobody there, the others need not try it too; where it is not answered,
        they leave it alone with that connection. Raises TransportFailed.
        """
        deadline = self._monotonic() + timeout_seconds
        while True:
            connection = self._connections[environment]
            if connection.is_proven:
                return connection, None, timeout_seconds
            if connection.opening is None:
                connection.opening = asyncio.get_running_loop().create_future()
                return connection, connection.opening, timeout_seconds
            opening = connection.opening
            await asyncio.wait((opening,), timeout=min(FIRST_ANSWER_SECONDS, timeout_seconds))
            timeout_seconds = deadline - self._monotonic()
            if timeout_seconds <= 0:
                raise TransportFailed("timeout", processed=False)
            if not is_wanted():
                raise TransportFailed("broken", processed=False)
            if not opening.done():
                self._replace(connection)
            else:
                failure = opening.result()
                if failure is not None and failure.reason == "unreachable":
                    raise TransportFailed(failure.reason, processed=False)

    async def _resend(
        self,
        connection: _Connection,
        url: str,
        headers: Mapping[str, str],
        payload: bytes,
        deadline: float,
    ) -> Answer:
        """Send again what was not processed; raises TransportFailed."""
        resends = 0
        while True:
            resends += 1
            try:
                return await connection.client.post(
                    url,
                    headers=headers,
                    body=payload,
                    timeout_seconds=deadline - self._monotonic(),
                )
            except TransportFailed as failure:
                is_processed = failure.processed is None or failure.reason != "broken"
                if is_processed or resends == MAX_RESENDS:
                    raise

    def _judge(
        self, connection: _Connection, failure: TransportFailed, answers: int, waited_seconds: float
    ) -> None:
        """Give up a connection that has answered nothing for as long as a push waited."""
        is_silent = connection.answers == answers and waited_seconds >= DEAD_AFTER_SECONDS
        if failure.reason == "timeout" and is_silent:
            self._replace(connection)

    def connection(self, environment: ApnsEnvironment) -> int:
        """See `ApnsSender`."""
        return self._connections[environment].number

    def reopen(self, environment: ApnsEnvironment, connection: int) -> None:
        """See `ApnsSender`."""
        current = self._connections[environment]
        if current.number == connection:
            self._replace(current)

    def _replace(self, old: _Connection) -> None:
        for environment, current in self._connections.items():
            if current is old:
                self._connections[environment] = _Connection(self._connect(), old.number + 1)
                task = asyncio.create_task(old.client.retire())
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
                return

    async def close(self) -> None:
        """See `ApnsSender`."""
        for connection in self._connections.values():
            await connection.client.close()
        if self._retiring:
            await asyncio.wait(self._retiring)
