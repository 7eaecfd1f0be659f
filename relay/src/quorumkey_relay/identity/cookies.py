"""The cookies of the sign-in: read, written and taken back (RFC 6265)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A browser takes a cookie of this prefix only from this very host, by https, for every path.
_HOST_PREFIX: Final = "__Host-"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie that scripts cannot read and other sites cannot make a browser send in a POST."""

    name: str
    is_secure: bool

    @property
    def full_name(self) -> str:
        """Return the name that browsers know."""
        return f"{_HOST_PREFIX}{self.name}" if self.is_secure else self.name

    def given(self, value: str, *, seconds: int) -> str:
        """Return the ``Set-Cookie`` that gives it to a browser."""
        secure = "; Secure" if self.is_secure else ""
        return (
            f"{self.full_name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        )

    def taken(self) -> str:
        """Return the ``Set-Cookie`` that takes it back."""
        return self.given("", seconds=0)

    def read(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return its value in a call, or None; of several the first counts."""
        for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"):
            name, is_pair, value = pair.strip(" ").partition("=")
            if is_pair and name == self.full_name:
                return value
        return None
