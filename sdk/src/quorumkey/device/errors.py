"""What can go wrong on a device, beside what goes wrong in talking to a relay.

The tree::

    QuorumkeyError
    └── ClientError
        └── DeviceError
            ├── KeyFileError         a file of the device is missing, shared or damaged
            ├── NotPairedError       this device is not paired with such a relay
            ├── RelayMismatchError   the relay is not the one that was pinned
            ├── NotAnswerableError   a request cannot be answered that way
            └── StreamClosedError    the relay closed the stream for good
"""

from __future__ import annotations

from quorumkey.errors import ClientError

__all__ = [
    "DeviceError",
    "KeyFileError",
    "NotAnswerableError",
    "NotPairedError",
    "RelayMismatchError",
    "StreamClosedError",
]


class DeviceError(ClientError):
    """A device cannot do what it was asked."""


class KeyFileError(DeviceError):
    """A file of the device is missing, open to others, or damaged."""


class NotPairedError(DeviceError):
    """This device is not paired with such a relay; enrol first."""


class RelayMismatchError(DeviceError):
    """Something that should come from the pinned relay does not; nothing was signed for it."""


class NotAnswerableError(DeviceError):
    """The request cannot be answered that way: a check failed, or it was answered the other way."""


class StreamClosedError(DeviceError):
    """The relay closed the stream, and connecting again by itself would be wrong (PROTOCOL §7).

    Attributes:
        code: 4401 bad authentication, 4403 revoked or unpaired, 4409 replaced by a newer
            connection of this device.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
