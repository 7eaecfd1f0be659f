from __future__ import annotations

import pytest
from tests.sdk.relay_double import API_KEY, URL, RelayDouble, answer

from quorumkey.client import Client
from quorumkey.errors import UnexpectedAnswerError
from quorumkey.protocol import PasskeyPolicy


def test_what_a_relay_says_of_itself() -> None:
    """Info has the relay's key, its passkeys' relying party and its time."""
    relay = RelayDouble()
    relay.succeed(not_before=relay.now)
    with Client(URL, API_KEY, transport=relay.transport) as client:
        info = client.info()

    assert (relay.fingerprint, relay.key.public_key, relay.now) == (
        info.relay,
        info.relay_public_key,
        info.time,
    )
    assert PasskeyPolicy("relay.example.com", frozenset({URL})) == info.passkeys
    assert tuple(relay.successions) == info.successions


def test_reading_info_trusts_nothing() -> None:
    """What info answers is pinned only when something depends on it."""
    relay = RelayDouble()
    with Client(URL, API_KEY, transport=relay.transport) as client:
        client.info()

    assert () == client.relay_public_keys


def test_a_relay_without_passkeys() -> None:
    """A relay that names no relying party has no passkeys."""
    relay = RelayDouble()
    without = relay.info()
    del without["webauthn"]
    relay.script("GET /v1/info", answer(without), answer({**without, "webauthn": {}}))
    with Client(URL, API_KEY, transport=relay.transport) as client:
        found = [client.info().passkeys, client.info().passkeys]

    assert [None, None] == found


def test_a_relay_that_accepts_evidence_of_tests_says_so() -> None:
    """The flag is false where the relay says nothing, and anything but a boolean is refused."""
    relay = RelayDouble()
    told = [relay.info() | change for change in ({}, {"unsafe_test_root": True})]
    strange = relay.info() | {"unsafe_test_root": "yes"}
    relay.script("GET /v1/info", *(answer(one) for one in told), answer(strange))
    with Client(URL, API_KEY, transport=relay.transport) as client:
        found = [client.info().unsafe_test_root for _ in told]
        with pytest.raises(UnexpectedAnswerError):
            client.info()

    assert [False, True] == found
