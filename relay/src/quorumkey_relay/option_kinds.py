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
_APP_ID: Final = re.compile(r"[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,155}")
_PACKAGE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MONTH: Final = re.compile(r"20[1-9][0-9](0[1-9]|1[0-2])")
_APPLE_ID: Final = re.compile(r"[A-Z0-9]{10}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9.-]{1,155}")
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


@dataclass(frozen=True, slots=True)
class AndroidApp:
    """An Android app and the SHA-256 of a certificate that signs it, in lower-case hex."""

    package: str
    signer: str

    def __str__(self) -> str:
        """Return it as an operator writes it."""
        return f"{self.package}={self.signer}"


def _read_android_app(text: str) -> AndroidApp:
    package, _, signer = text.partition("=")
    if _PACKAGE.fullmatch(package) is None:
        expected = "apps such as com.example.approve=SHA-256 of the signing certificate"
        raise OptionError(expected)
    return AndroidApp(package, _read_sha256(signer))


def _read_app_id(text: str) -> str:
    if _APP_ID.fullmatch(text) is None:
        expected = "app ids such as ABCDE12345.com.example.approve: team, dot, bundle identifier"
        raise OptionError(expected)
    return text


def _read_apple_id(text: str) -> str:
    if _APPLE_ID.fullmatch(text) is None:
        expected = "ten capital letters and digits, such as ABCDE12345"
        raise OptionError(expected)
    return text


def _read_topic(text: str) -> str:
    if _TOPIC.fullmatch(text) is None:
        expected = "bundle ids such as com.example.approve"
        raise OptionError(expected)
    return text


def _read_contact(text: str) -> str:
    """Read whom a push service may write to (RFC 8292, section 2.1)."""
    kind, _, rest = text.partition(":")
    if kind not in ("mailto", "https") or not rest or not text.isascii() or not text.isprintable():
        expected = "a contact such as mailto:ops@example.com or https://example.com/contact"
        raise OptionError(expected)
    return text


def _read_sha256(text: str) -> str:
    """Read a SHA-256 in hex, with or without the colons that keytool writes."""
    digest = text.replace(":", "").lower()
    if _SHA256.fullmatch(digest) is None:
        expected = "a SHA-256 as 64 hex digits, with or without colons"
        raise OptionError(expected)
    return digest


def _read_month(text: str) -> int:
    if _MONTH.fullmatch(text) is None:
        expected = "a year and month such as 202601"
        raise OptionError(expected)
    return int(text)


def _read_location(text: str) -> Path | str:
    """Read an https address as text, anything else as a path."""
    if "://" not in text:
        return _read_path(text)
    try:
        parts = urlsplit(text)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in text or "#" in text:
        expected = "a path or an https address"
        raise OptionError(expected)
    return text


PATH: Final = Kind("path", _read_path)
LOCATION: Final[Kind[Path | str]] = Kind("path|url", _read_location)
APPLE_ID: Final = Kind("id", _read_apple_id)
TOPIC: Final = Kind("bundle-id", _read_topic)
CONTACT: Final = Kind("contact", _read_contact)
APP_ID: Final = Kind("app-id", _read_app_id)
ANDROID_APP: Final = Kind("package=sha256", _read_android_app)
SHA256: Final = Kind("sha256", _read_sha256)
MONTH: Final = Kind("YYYYMM", _read_month)
HOST: Final = Kind("host", _read_host)
ORIGIN: Final = Kind("origin", _read_origin)
NETWORK: Final[Kind[Network]] = Kind("network", _read_network)
SECRET: Final = Kind("secret", _read_secret)
