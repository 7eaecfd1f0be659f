"""What the HTTP layer needs of just-in-time access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.usecases.jit.ports import People


class SignInAnswerPort(Protocol):
    """What a browser that signs in or out is answered: it goes elsewhere, or is told why not."""

    @property
    def location(self) -> str | None:
        """Where the browser goes."""
        ...

    @property
    def cookies(self) -> tuple[str, ...]:
        """Whole values of ``Set-Cookie``."""
        ...

    @property
    def message(self) -> str:
        """A sentence for the person where the browser goes nowhere."""
        ...


class SignInPort(Protocol):
    """Signs browsers in through the identity provider."""

    async def begin(
        self, *, query: Mapping[str, str], headers: Mapping[bytes, bytes]
    ) -> SignInAnswerPort:
        """Send a browser to the provider."""
        ...

    async def callback(
        self, *, query: Mapping[str, str], headers: Mapping[bytes, bytes]
    ) -> SignInAnswerPort:
        """Take a browser back from the provider."""
        ...

    async def sign_out(self, *, headers: Mapping[bytes, bytes]) -> SignInAnswerPort:
        """End a browser's session."""
        ...


class JitPort(Protocol):
    """Just-in-time access, as a relay serves it."""

    @property
    def people(self) -> People:
        """Who finds out who calls."""
        ...

    @property
    def sign_in(self) -> SignInPort | None:
        """The sign-in of browsers, where the relay has one."""
        ...
