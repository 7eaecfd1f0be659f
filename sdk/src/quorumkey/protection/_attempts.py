"""Which claim keys were asked with and not answered, and which approvals have run here."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attempts", "Identity", "Spent"]

_KEY_BYTES: Final = 16
#: A key whose answer was lost is asked with again for so long.
_REMEMBERED_SECONDS: Final = 600.0
_MAX_CALLS: Final = 4_096
_MAX_KEYS: Final = 8


class Identity(NamedTuple):
    """What an issued-again call shares with the one before."""

    method: str
    caller_kind: str
    caller_id: str
    request: str
    resource: str | None


class Attempts:
    """A key for every attempt: new, or one whose answer was lost, so that its claim is not.

    Each key that is handed out is this attempt's alone; two calls at once never share one.
    """

    def __init__(
        self, *, monotonic: Callable[[], float], random_bytes: Callable[[int], bytes]
    ) -> None:
        """Begin with no lost answer."""
        self._monotonic = monotonic
        self._random_bytes = random_bytes
        self._lost: OrderedDict[Identity, deque[tuple[str, float]]] = OrderedDict()

    def take(self, identity: Identity) -> str:
        """A key to ask with."""
        lost = self._lost.get(identity)
        while lost:
            key, at = lost.popleft()
            if not lost:
                del self._lost[identity]
            if self._monotonic() - at <= _REMEMBERED_SECONDS:
                return key
        return self._random_bytes(_KEY_BYTES).hex()

    def lose(self, identity: Identity, key: str) -> None:
        """Remember a key whose answer did not come."""
        self._lost.setdefault(identity, deque(maxlen=_MAX_KEYS)).append((key, self._monotonic()))
        self._lost.move_to_end(identity)
        if len(self._lost) > _MAX_CALLS:
            self._lost.popitem(last=False)


class Spent:
    """The approvals that ran in this process, until they could not be used any more."""

    def __init__(self) -> None:
        """Begin with none."""
        self._until: dict[str, int] = {}

    def spend(self, txid: str, *, use_by: int, now: int) -> bool:
        """Use an approval; answers whether it had not been used."""
        if txid in self._until:
            return False
        # Oldest first: an approval's use_by is nearly in the order in which they are used.
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] >= now:
                break
            del self._until[oldest]
        self._until[txid] = use_by
        return True
