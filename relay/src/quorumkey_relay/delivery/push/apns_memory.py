"""What the relay remembers of single device tokens, in memory and bounded."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol.push_address import ApnsEnvironment

V = TypeVar("V")

MAX_TOKENS: Final = 10_000
MAX_PAUSE_SECONDS: Final = 60
_MAX_DOUBLINGS: Final = 6


class _Recent(OrderedDict[str, V], Generic[V]):
    """The entries written last."""

    def __setitem__(self, key: str, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > MAX_TOKENS:
            self.popitem(last=False)


class Environments:
    """Which environment took a token, where that is not the one that its device named.

    Builds of an app get this wrong: a token of a development build is the sandbox's.
    """

    def __init__(self) -> None:
        """Know none."""
        self._known: _Recent[ApnsEnvironment] = _Recent()

    def of(self, token: str, named: ApnsEnvironment) -> ApnsEnvironment:
        """Return where to send first."""
        return self._known.get(token, named) if self._known else named

    def accepted(self, token: str, named: ApnsEnvironment, by: ApnsEnvironment) -> None:
        """Remember who took the token."""
        if by != named:
            self._known[token] = by
        elif self._known:
            self._known.pop(token, None)


class Pauses:
    """Tokens that Apple had too many pushes for: each is left alone for 1, 2, 4 … 60 seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Pause none."""
        self._monotonic = monotonic
        self._paused: _Recent[tuple[float, int]] = _Recent()

    def left(self, token: str) -> int:
        """Return for how many seconds more the token is left alone; 0: it is not."""
        if token not in self._paused:
            return 0
        until, _ = self._paused[token]
        return max(0, math.ceil(until - self._monotonic()))

    def refused(self, token: str) -> int:
        """Count one more refusal; return for how many seconds the token is left alone."""
        _, strikes = self._paused.get(token, (0.0, 0))
        seconds = min(MAX_PAUSE_SECONDS, 1 << min(strikes, _MAX_DOUBLINGS))
        self._paused[token] = (self._monotonic() + seconds, strikes + 1)
        return seconds

    def accepted(self, token: str) -> None:
        """Forget the refusals of a token."""
        if self._paused:
            self._paused.pop(token, None)
