"""Streams of devices in this process: who listens, and telling them."""

from __future__ import annotations

from typing import Final, Protocol

CLOSE_REPLACED: Final = 4409


class Connection(Protocol):
    """One open stream; neither call waits."""

    def offer(self, frame: bytes) -> bool:
        """Queue a frame; False when the queue is full and the stream is being closed."""
        ...

    def close(self, code: int) -> None:
        """Close the stream with a code of PROTOCOL §7."""
        ...


class DeviceHub:
    """At most one stream a device: a newer one replaces the older."""

    def __init__(self) -> None:
        """Start with nobody listening."""
        self._streams: dict[str, Connection] = {}

    def __len__(self) -> int:
        """Return how many devices listen."""
        return len(self._streams)

    def attach(self, device: str, connection: Connection) -> None:
        """Take a device's new stream; the one it had is closed as replaced."""
        older = self._streams.get(device)
        self._streams[device] = connection
        if older is not None:
            older.close(CLOSE_REPLACED)

    def detach(self, device: str, connection: Connection) -> None:
        """Forget a stream that has ended; a newer one stays."""
        if self._streams.get(device) is connection:
            del self._streams[device]

    def connected(self, device: str) -> bool:
        """Say whether a device has an open stream."""
        return device in self._streams

    def send(self, device: str, frame: bytes) -> bool:
        """Queue a frame for a device; False when it does not listen or is too slow."""
        connection = self._streams.get(device)
        return connection is not None and connection.offer(frame)

    def close(self, device: str, code: int) -> None:
        """Close a device's stream, if it has one."""
        connection = self._streams.pop(device, None)
        if connection is not None:
            connection.close(code)

    def close_all(self, code: int) -> None:
        """Close every stream."""
        streams, self._streams = self._streams, {}
        for connection in streams.values():
            connection.close(code)
