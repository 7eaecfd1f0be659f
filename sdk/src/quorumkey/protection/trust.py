"""Whom a service believes that a call was approved: its administrators' own keys, or the relay.

With a `Roster` the service checks every approval itself, offline, before it runs anything: the
devices that it pinned signed exactly this method, caller, request and resource. A relay that lies
can then refuse and delay, and it can say that a method needs no approval; it cannot make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.client._fields import Fields
from quorumkey.client.pairing import ConfirmedDevice
from quorumkey.errors import ConfigurationError, ProtocolError, QuorumkeyError
from quorumkey.protected import MIN_REQUIRED
from quorumkey.protocol.encoding import check_text
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.limits import MAX_RECEIPT_BYTES
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.policy import Approver

__all__ = ["Roster", "UnsafeTrustRelay"]

_MAX_ID_CHARS: Final = 128
_MEMBERS: Final = frozenset({"administrators", "required", "count_requestor"})


@dataclass(frozen=True, slots=True)
class Roster:
    """The administrators' device keys, as the service pinned them.

    Args:
        administrators: approver ids, each with the public keys of their devices.
        required: how many approvers a call needs, at least, as in the relay's settings; 2 or more.
        count_requestor: whether a caller who is an administrator here is one of them, who need
            not sign.

    Raises:
        ConfigurationError: nobody is named, or fewer than are required; nobody would have to
            sign; or a key is two people's.
    """

    administrators: Mapping[str, frozenset[PublicKey]]
    required: int = MIN_REQUIRED
    count_requestor: bool = True

    def __post_init__(self) -> None:
        """Refuse a roster that would let everything pass, or nothing."""
        if not any(self.administrators.values()):
            raise ConfigurationError("The roster names no device: nobody could approve.")
        if type(self.required) is not int or self.required < MIN_REQUIRED:
            raise ConfigurationError(f"At least {MIN_REQUIRED} approvers must be required.")
        # What follows, found only when a call is verified, would cost every approval that is given.
        if sum(map(bool, self.administrators.values())) < self.required:
            raise ConfigurationError("The roster names fewer administrators than are required.")
        keys = [key.fingerprint for each in self.administrators.values() for key in each]
        if len(set(keys)) != len(keys):
            raise ConfigurationError("A key stands under two administrators of the roster.")

    @staticmethod
    def of(
        devices: Iterable[ConfirmedDevice | Approver],
        *,
        required: int = MIN_REQUIRED,
        count_requestor: bool = True,
    ) -> Roster:
        """Pin devices whose pairing was confirmed (or approvers that carry ``approver_id``).

        Raises:
            ConfigurationError: one is not known to be a certain person's.
        """
        administrators: dict[str, frozenset[PublicKey]] = {}
        for device in devices:
            if isinstance(device, ConfirmedDevice):
                person, key = device.approver.id, device.device_public_key
            else:
                person, key = device.approver_id or "", device.key
            if not person:
                raise ConfigurationError("A device in the roster has no approver_id.")
            administrators[person] = administrators.get(person, frozenset()) | {key}
        return Roster(administrators, required, count_requestor)

    def encode(self) -> bytes:
        """Write it as JSON."""
        administrators: list[JsonValue] = [
            {"id": person, "device_public_keys": [*sorted(key.base64 for key in keys)]}
            for person, keys in self.administrators.items()
        ]
        return dumps(
            {
                "administrators": administrators,
                "required": self.required,
                "count_requestor": self.count_requestor,
            }
        )

    @staticmethod
    def decode(data: bytes) -> Roster:
        """Read what `encode` wrote.

        Raises:
            ConfigurationError: it is something else.
        """
        try:
            value = loads(data, max_bytes=MAX_RECEIPT_BYTES)
            fields = Fields(value, "the roster")
            if isinstance(value, dict) and not value.keys() <= _MEMBERS:
                raise ConfigurationError("The roster has an unknown member.")
            people = [_person(each) for each in fields.children("administrators")]
            required = fields.integer("required")
            fields.raw("count_requestor")
            count_requestor = fields.flag("count_requestor")
        except (QuorumkeyError, ProtocolError) as error:
            # The reader is that of answers; a file is none.
            fault = str(error).removeprefix("The relay's answer is not usable: ")
            raise ConfigurationError(f"The roster is not usable: {fault}") from None
        if len({person for person, _ in people}) != len(people):
            raise ConfigurationError("The roster names an administrator twice.")
        return Roster(dict(people), required, count_requestor)

    def save(self, path: Path) -> None:
        """Write it into a file; whoever can change that file decides who may approve."""
        path.write_bytes(self.encode())

    @staticmethod
    def load(path: Path) -> Roster:
        """Read it from a file.

        Raises:
            ConfigurationError: it cannot be read, or is something else.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"The roster cannot be read: {error.strerror}.") from None
        return Roster.decode(data)


@dataclass(frozen=True, slots=True)
class UnsafeTrustRelay:
    """Run whatever the relay says is approved, without looking at a signature.

    Whoever controls the relay, its database or its key then controls every protected method.
    """


def _person(fields: Fields) -> tuple[str, frozenset[PublicKey]]:
    keys = fields.texts("device_public_keys")
    person = check_text(fields.text("id"), field="id", minimum=1, maximum=_MAX_ID_CHARS)
    return person, frozenset(PublicKey.from_base64(key, field="device_public_keys") for key in keys)
