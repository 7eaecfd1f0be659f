"""Staying connected to a relay's stream (PROTOCOL §7); needs the extra ``cli`` (websockets)."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from quorumkey.device.errors import RelayMismatchError, StreamClosedError
from quorumkey.device.events import (
    Connected,
    DeviceEvent,
    Disconnected,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestUnusable,
)
from quorumkey.device.stream import (
    FINAL_CLOSE_CODES,
    SUBPROTOCOL,
    Asked,
    Greeting,
    Message,
    Progress,
    Ready,
    Resolved,
    acknowledgement,
    authentication,
    read_frame,
    reconnect_pause,
)
from quorumkey.errors import ClientError, ProtocolError, TransportError, UnexpectedAnswerError
from quorumkey.protocol.limits import MAX_FRAME_BYTES, PING_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from websockets.asyncio.client import ClientConnection

    from quorumkey.device.review import DeviceRequest
    from quorumkey.device.session import RelaySession
    from quorumkey.protocol.dsse import Envelope

__all__ = ["Listener", "Show"]

_STREAM_PATH: Final = "/v1/device/stream"
_CLIENT_ERRORS: Final = range(400, 500)
#: Answers to the upgrade that may be better next time; all others of 400 to 499 will not.
_TRANSIENT_REFUSALS: Final = frozenset({408, 425, 429})


class _Connect(connect):
    """A connection that is not led elsewhere: what is signed is for the origin that was dialled."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow no redirect."""
        return exc


class Show(Protocol):
    """How a listener turns a challenge into a checked request."""

    def __call__(self, request_id: str, *, led_by: Envelope) -> Awaitable[DeviceRequest]:
        """Fetch and check a request."""
        ...


class Listener:
    """One device's stream, connected again as often as needed."""

    def __init__(self, session: RelaySession, show: Show) -> None:
        self._session = session
        self._show = show
        self._socket: ClientConnection | None = None

    async def acknowledge(self, request_id: str) -> bool:
        """Acknowledge on the socket; False where there is none."""
        if self._socket is None:
            return False
        try:
            await self._socket.send(acknowledgement(request_id))
        except ConnectionClosed:
            return False
        return True

    async def events(self) -> AsyncGenerator[DeviceEvent]:
        """Yield what happens until the relay closes for good."""
        failures = 0
        while True:
            reason = "The relay closed the stream."
            try:
                async with aclosing(self._conversation()) as events:
                    async for event in events:
                        failures = 0
                        yield event
            except TransportError as error:
                reason = str(error)
            failures += 1
            pause = reconnect_pause(failures, self._session.connection.ports.jitter)
            yield Disconnected(reason, pause)
            await self._session.connection.ports.sleep(pause)

    async def _conversation(self) -> AsyncGenerator[DeviceEvent]:
        """Authenticate on a new socket, then turn messages into events."""
        async with self._connect() as socket:
            await self._greet(socket)
            self._socket = socket
            yield Connected()
            async for frame in socket:
                event = await self._event(read_frame(frame))
                if event is not None:
                    yield event

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[ClientConnection]:
        """Open the socket; what goes wrong in it becomes an error of ours."""
        address = self._session.record.address
        ports = self._session.connection.ports
        try:
            async with _Connect(
                address.socket + _STREAM_PATH,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=ports.timeout_seconds,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                proxy=None if address.loopback else True,
                user_agent_header=None,
            ) as socket:
                yield socket
        except ConnectionClosed as error:
            raise _closed(error.rcvd.code if error.rcvd else None) from None
        except InvalidStatus as error:
            raise _refused(error.response.status_code) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            reason = f"The relay's stream could not be opened ({type(error).__name__})."
            raise TransportError(reason) from None
        finally:
            self._socket = None

    async def _greet(self, socket: ClientConnection) -> None:
        """``hello``, ``auth``, ``ready``."""
        greeting = await _next(socket)
        if not isinstance(greeting, Greeting):
            raise UnexpectedAnswerError("The relay did not greet.")
        await self._session.trust(greeting.relay)
        session = self._session.signer.session(relay=greeting.relay, nonce=greeting.nonce)
        await socket.send(authentication(session))
        while (message := await _next(socket)) is None:
            pass
        if not isinstance(message, Ready):
            raise UnexpectedAnswerError("The relay sent a message before it was ready.")

    async def _event(self, message: Message | None) -> DeviceEvent | None:
        match message:
            case Asked(challenge):
                return await self._asked(challenge)
            case Progress(request_id, count, required):
                return RequestProgressed(request_id, count, required)
            case Resolved(request_id, status):
                return RequestResolved(request_id, status)
            case Greeting() | Ready():
                raise UnexpectedAnswerError("The relay greeted twice.")
            case _:  # of a type unknown here
                return None

    async def _asked(self, challenge: Envelope) -> DeviceEvent:
        request_id: str | None = None
        try:
            await self._session.trust(challenge.keyid)
            request_id = self._session.reviewer.check_challenge(challenge).request_id
            return RequestArrived(await self._show(request_id, led_by=challenge))
        except (ProtocolError, RelayMismatchError) as error:
            return RequestUnusable(request_id, f"A challenge was ignored: {error}")
        except ClientError as error:
            return RequestUnusable(request_id, f"The request could not be fetched: {error}")


async def _next(socket: ClientConnection) -> Message | None:
    return read_frame(await socket.recv())


def _closed(code: int | None) -> ClientError:
    if code is not None and code in FINAL_CLOSE_CODES:
        return StreamClosedError(code, FINAL_CLOSE_CODES[code])
    return TransportError("The relay closed the stream." if code else "The stream was cut off.")


def _refused(status: int) -> ClientError:
    message = f"The relay refused to open the stream (status {status})."
    if status in _CLIENT_ERRORS and status not in _TRANSIENT_REFUSALS:
        return StreamClosedError(status, message)
    return TransportError(message)
