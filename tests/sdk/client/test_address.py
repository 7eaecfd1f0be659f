from __future__ import annotations

import pytest

from quorumkey.client import RelayAddress
from quorumkey.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "base", "origin"),
    [
        ("https://Relay.Example.com", "https://relay.example.com", "https://relay.example.com"),
        ("https://relay.example.com/", "https://relay.example.com", "https://relay.example.com"),
        ("https://relay.example.com:443", "https://relay.example.com", "https://relay.example.com"),
        ("https://h.example:8443/qk/", "https://h.example:8443/qk", "https://h.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost", "http://localhost", "http://localhost"),
    ],
)
def test_base_and_origin(text: str, base: str, origin: str) -> None:
    """The origin is lower case without the default port; the base keeps the path."""
    address = RelayAddress.parse(text)

    assert (base, origin) == (address.base, address.origin)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay.example.com",
        "ftp://relay.example.com",
        "https://",
        "https://user@relay.example.com",
        "https://relay.example.com?x=1",
        "https://relay.example.com#x",
        "https://relay.example.com\\@evil.example",
        "https://relay.example.com:99999",
        "https://[::1",
        "https://räksmörgås.example",
        "http://relay.example.com",
        "http://10.0.0.1",
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    """An address that is not https (or loopback), or holds more than a path, is refused."""
    with pytest.raises(ConfigurationError):
        RelayAddress.parse(text)


def test_named_hosts_may_be_called_without_tls() -> None:
    """In development, a named host may be called without TLS."""
    address = RelayAddress.parse("http://relay:8080", http_hosts=("relay",))

    assert "http://relay:8080" == address.origin


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("https://127.0.0.2", True),
        ("https://a.localhost", True),
        ("https://[::1]", True),
        ("https://relay.example.com", False),
    ],
)
def test_loopback(text: str, *, loopback: bool) -> None:
    """127.0.0.0/8, ::1 and localhost are this machine."""
    assert loopback == RelayAddress.parse(text).loopback


def test_socket_address() -> None:
    """The stream's address has the WebSocket scheme of the same kind."""
    addresses = [RelayAddress.parse(text) for text in ("https://h.example/qk", "http://[::1]:1")]

    assert ["wss://h.example/qk", "ws://[::1]:1"] == [address.socket for address in addresses]
