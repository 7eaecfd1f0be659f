from __future__ import annotations

import pytest
from tests.sdk.relay_double import API_KEY, URL, RelayDouble

from quorumkey.client import AsyncClient, Client
from quorumkey.errors import ConfigurationError
from quorumkey.protocol import PrivateKey


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """QUORUMKEY_URL and QUORUMKEY_API_KEY stand in for what is not given."""
    relay = RelayDouble()
    monkeypatch.setenv("QUORUMKEY_URL", URL)
    monkeypatch.setenv("QUORUMKEY_API_KEY", API_KEY)

    with Client(transport=relay.transport) as client:
        client.info()

    assert f"{URL}/v1/info" == str(relay.calls[0].url)
    assert f"Bearer {API_KEY}" == relay.calls[0].headers["authorization"]


@pytest.mark.parametrize(
    ("url", "api_key", "message"),
    [
        (None, API_KEY, "QUORUMKEY_URL"),
        (URL, None, "QUORUMKEY_API_KEY"),
        ("http://relay.example.com", API_KEY, "https"),
        (URL, "secret", "qk_live_"),
        (URL, API_KEY + "\n", "qk_live_"),
    ],
)
def test_missing_and_bad_settings(
    monkeypatch: pytest.MonkeyPatch, url: str | None, api_key: str | None, message: str
) -> None:
    """A missing or unusable setting is named before anything is sent."""
    monkeypatch.delenv("QUORUMKEY_URL", raising=False)
    monkeypatch.delenv("QUORUMKEY_API_KEY", raising=False)

    with pytest.raises(ConfigurationError, match=message):
        Client(url, api_key)


@pytest.mark.parametrize(
    "keys", [[], ["AAAA"], pytest.param(PrivateKey.generate().public_key.base64, id="text")]
)
def test_bad_relay_keys(keys: list[str] | str) -> None:
    """No relay key, one that is no key, and a bare string are refused."""
    with pytest.raises(ConfigurationError):
        Client(URL, API_KEY, relay_public_keys=keys)


def test_a_timeout_is_positive() -> None:
    """A timeout of no seconds is refused."""
    with pytest.raises(ConfigurationError, match="timeout"):
        AsyncClient(URL, API_KEY, timeout_seconds=0)


def test_given_relay_keys_are_pinned_without_a_call() -> None:
    """With relay keys of the caller's own the relay is not asked for one."""
    relay, key = RelayDouble(), PrivateKey.generate().public_key

    with Client(URL, API_KEY, relay_public_keys=[key.base64], transport=relay.transport) as client:
        pinned = client.relay_public_keys

    assert (key,) == pinned
    assert [] == relay.calls


def test_the_api_key_is_in_no_repr() -> None:
    """The settings' repr does not show the API key."""
    client = Client(URL, API_KEY, transport=RelayDouble().transport)

    assert API_KEY not in repr(vars(client))
