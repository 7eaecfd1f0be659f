"""Kinds of option values: how the text of a setting is read, and how a value is shown."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAX_HOST_CHARS: Final = 253
_MIN_SECRET_CHARS: Final = 16
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class OptionError(ValueError):
    """A text is not a value of its kind; ``expected`` says what would be."""

    def __init__(self, expected: str) -> None:
        """Keep what was expected, in words that follow "must be"."""
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """One kind of value: ``label`` for help texts, ``read`` raises OptionError."""

    label: str
    read: Callable[[str], T_co]

    def show(self, value: object) -> str:
        """Return ``value`` as an operator would write it."""
        if isinstance(value, tuple):
            return ",".join(str(item) for item in cast("tuple[object, ...]", value)) or "none"
        return str(value)


def integer(minimum: int, maximum: int) -> Kind[int]:
    """Return the kind of whole numbers from ``minimum`` to ``maximum``."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,12}", text) is None or not minimum <= int(text) <= maximum:
            expected = f"a whole number from {minimum} to {maximum}"
            raise OptionError(expected)
        return int(text)

    return Kind("number", read)


def choice(*values: T) -> Kind[T]:
    """Return the kind that allows exactly these words."""
    by_text = {str(value): value for value in values}

    def read(text: str) -> T:
        if text not in by_text:
            raise OptionError(" or ".join(by_text))
        return by_text[text]

    return Kind("|".join(by_text), read)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return ``kind`` for an option that may be left out; a text given must still be one."""
    return Kind(kind.label, kind.read)


def listed(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """Return the kind of comma-separated lists of ``kind``; an empty text is no item."""

    def read(text: str) -> tuple[T, ...]:
        return tuple(kind.read(item.strip()) for item in text.split(",")) if text.strip() else ()

    return Kind(f"{kind.label},…", read)


def _read_path(text: str) -> Path:
    if not text or "\0" in text:
        expected = "a path"
        raise OptionError(expected)
    return Path(text)


def _read_host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        host = text.lower()
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARS or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        expected = "a host name or an IP address"
        raise OptionError(expected)
    return host


def _read_origin(text: str) -> str:
    expected = "an address such as https://relay.example.com, without path, query or user"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise OptionError(expected) from None
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    has_more = parts.path not in ("", "/") or "?" in text or "#" in text or "@" in text
    if default_port is None or not parts.hostname or has_more:
        raise OptionError(expected)
    host = _read_host(parts.hostname)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, default_port) else f":{port}")


def _read_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        expected = "networks such as 10.0.0.0/8 or 2001:db8::/32"
        raise OptionError(expected) from None


def _read_secret(text: str) -> str:
    if len(text) < _MIN_SECRET_CHARS or not text.isascii() or not text.isprintable():
        expected = f"at least {_MIN_SECRET_CHARS} printable ASCII characters"
        raise OptionError(expected)
    return text


PATH: Final = Kind("path", _read_path)
HOST: Final = Kind("host", _read_host)
ORIGIN: Final = Kind("origin", _read_origin)
NETWORK: Final[Kind[Network]] = Kind("network", _read_network)
SECRET: Final = Kind("secret", _read_secret)
