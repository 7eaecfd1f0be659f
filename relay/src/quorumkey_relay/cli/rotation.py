"""The relay's own key names its follower (PROTOCOL §11)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from quorumkey.protocol import PrivateKey, format_time, parse_time
from quorumkey_relay.cli.access import alone, opened, relay_keys
from quorumkey_relay.cli.output import Refused
from quorumkey_relay.identity.files import write_private
from quorumkey_relay.identity.relaykeys import key_path, succession
from quorumkey_relay.store.writes import PutSuccession

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import PublicKey
    from quorumkey_relay.settings import Settings

#: A serving relay reads what has changed every 0.25 s, and should know the key before its time.
HEARD_WITHIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What was done: ``following`` signs after ``outgoing``, from ``not_before`` on."""

    outgoing: PublicKey
    following: PublicKey
    not_before: int
    path: Path


def rotate(settings: Settings, *, not_before: str | None, in_seconds: int | None) -> Rotation:
    """Make a key and let the newest one name it its follower.

    Raises ``Refused``; and ``BadParameter`` or ``ProtocolError`` for times that cannot be.
    """
    if settings.key_file is not None:
        message = (
            "the relay's key comes from key_file, so a follower cannot be kept in the data"
            " folder; move that key to relay.key there and unset key_file first"
        )
        raise Refused(message)
    with opened(settings) as store, alone(settings.data_dir):
        keys = relay_keys(settings, store)
        outgoing = keys.newest()
        following = PrivateKey.generate()
        begins_at = _beginning(not_before, in_seconds)
        _refuse_before_the_last(begins_at, store.read.successions())
        envelope = succession(outgoing, following, not_before=begins_at)
        # The file first: a succession whose key is lost could never be followed.
        path = key_path(settings.data_dir, following.public_key.fingerprint)
        write_private(path, following.to_pem())
        store.commit(PutSuccession(envelope.encode(), following.public_key.fingerprint, begins_at))
    return Rotation(
        outgoing=outgoing.public_key,
        following=following.public_key,
        not_before=begins_at,
        path=path,
    )


def next_second(now: float) -> tuple[float, int]:
    """Return how long to wait, and from which second on the new key may then sign.

    That second is less than one away after the wait, and far enough for a relay to hear of it.
    """
    second = int(now)
    left = second + 1 - now
    if left >= HEARD_WITHIN_SECONDS:
        return 0.0, second + 1
    return left, second + 2


def _beginning(not_before: str | None, in_seconds: int | None) -> int:
    if not_before is not None and in_seconds is not None:
        message = "give --not-before or --in-seconds, not both"
        raise typer.BadParameter(message)
    now = time.time()
    if in_seconds is not None:
        if in_seconds < 1:
            message = "--in-seconds must be at least 1"
            raise typer.BadParameter(message)
        return int(now) + in_seconds
    if not_before is not None:
        begins_at = parse_time(not_before, field="--not-before")
        if begins_at <= now:
            message = "--not-before must lie in the future"
            raise typer.BadParameter(message)
        return begins_at
    pause, begins_at = next_second(now)
    time.sleep(pause)
    return begins_at


def _refuse_before_the_last(begins_at: int, earlier: list[tuple[bytes, str, int]]) -> None:
    """Keys sign one after the other, so each begins after the one before it."""
    if earlier and begins_at <= earlier[-1][2]:
        last = format_time(earlier[-1][2])
        message = f"the last change of key begins at {last}; choose a later time than that"
        raise Refused(message)
