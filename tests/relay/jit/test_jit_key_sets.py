"""The keys that others publish: which of them count, and when they are fetched again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.relay.sim_devices import ManualClock

from quorumkey_relay.delivery.transport import Answer, TransportFailed
from quorumkey_relay.identity.cached import (
    BETWEEN_SECONDS,
    FRESH_SECONDS,
    STALE_SECONDS,
    Unavailable,
)
from quorumkey_relay.identity.jwks_feed import MAX_KEYS, JwksFeed, read_jwks
from quorumkey_relay.identity.published import is_trustworthy
from quorumkey_relay.identity.token_keys import jwk

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

CURVE = jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
RSA = jwk(rsa.generate_private_key(65_537, 2_048).public_key())
SMALL = jwk(rsa.generate_private_key(65_537, 1_024).public_key())  # noqa: S505 - it is to be refused
URL = "https://idp.example/keys"


def key_set(*keys: Mapping[str, object]) -> bytes:
    """The document."""
    return json.dumps({"keys": keys}).encode()


def kids(*keys: Mapping[str, object]) -> list[str | None]:
    """The ids of the keys that count."""
    return [key.kid for key in read_jwks(key_set(*keys))]


def test_keys_of_both_kinds_count() -> None:
    """Each for the one algorithm of its kind."""
    keys = read_jwks(key_set(CURVE | {"kid": "1"}, RSA | {"kid": "2", "use": "sig"}, RSA))

    assert [("1", "ES256"), ("2", "RS256"), (None, "RS256")] == [
        (key.kid, key.algorithm) for key in keys
    ]


GOOD: dict[str, object] = {**RSA, "kid": "good"}


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "good"},
        {"kty": "OKP", "crv": "Ed25519", "x": CURVE["x"]},
        {**CURVE, "crv": "P-384"},
        {**CURVE, "crv": "secp256k1"},
        {**CURVE, "x": CURVE["y"]},
        {**CURVE, "x": CURVE["x"][:-4]},
        {**CURVE, "x": None},
        {**CURVE, "y": CURVE["y"] + "="},
        {**CURVE, "d": CURVE["x"]},
        {**CURVE, "alg": "ES384"},
        {**CURVE, "alg": "HS256"},
        {**CURVE, "use": "enc"},
        {**CURVE, "key_ops": ["encrypt"]},
        {**CURVE, "kid": 7},
        {**CURVE, "kid": "k" * 1_000},
        {**RSA, "alg": "RS512"},
        {**RSA, "alg": "PS256"},
        SMALL,
        {**RSA, "n": "_" * 1_400},
        {**RSA, "e": "AQ"},
        {**RSA, "e": "_" * 43},
        {**RSA, "e": "Ag"},
        {**RSA, "n": 7},
        {"kid": "x"},
        {},
        [],
        "key",
        None,
    ],
    ids=lambda other: json.dumps(other)[-40:] if other == [] or isinstance(other, str) else None,
)
def test_other_keys_are_passed_over(other: Any) -> None:  # noqa: ANN401 - anything that JSON can say
    """A secret, another curve, a private half, for another use, too small, too large, no key."""
    assert ["good"] == kids(other, GOOD)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"keys": {}}',
        b'{"keys": []}',
        b"<html>",
        b"\xff",
        b"[" * 9_000,
    ],
    ids=ascii,
)
def test_a_document_without_a_key_is_none(document: bytes) -> None:
    """What was known before goes on to count."""
    with pytest.raises(Unavailable):
        read_jwks(document)


def test_keys_are_bounded() -> None:
    """Nobody needs more."""
    many = [CURVE | {"kid": str(number)} for number in range(MAX_KEYS + 1)]

    assert MAX_KEYS == len(kids(*many))


class Web:
    """A web of one document."""

    def __init__(self) -> None:
        self.body: bytes | None = key_set(CURVE | {"kid": "1"})
        self.status = 200
        self.calls = 0
        self.called = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
        """Answer with the document, or fail."""
        del url, headers, timeout_seconds
        self.calls += 1
        self.called.set()
        await self.open.wait()
        if self.body is None:
            raise TransportFailed("unreachable", processed=False)
        return Answer(self.status, {}, self.body)

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """Nobody posts here."""
        raise NotImplementedError


class Feed:
    """A feed, its web and its clock."""

    def __init__(self) -> None:
        self.web = Web()
        self.clock = ManualClock()
        self.feed = JwksFeed(self.locate, self.web, self.clock)

    async def locate(self) -> str:
        """Where the keys are."""
        return URL

    async def kids(self, kid: str | None = None) -> list[str | None]:
        """The ids of the keys that it has."""
        return [key.kid for key in await self.feed.keys(kid)]

    async def fault(self, kid: str | None = None) -> str:
        """Why it has none."""
        with pytest.raises(Unavailable) as caught:
            await self.feed.keys(kid)
        return caught.value.reason


@pytest.fixture
def feed() -> Feed:
    """A feed that has fetched nothing."""
    return Feed()


async def test_keys_are_fetched_once_while_they_are_fresh(feed: Feed) -> None:
    """And then again."""
    found = [await feed.kids("1") for _ in range(3)]
    feed.clock.advance(int(FRESH_SECONDS))
    found.append(await feed.kids("1"))

    assert ([["1"]] * 4, 2) == (found, feed.web.calls)


async def test_who_waits_shares_one_fetch(feed: Feed) -> None:
    """And who gives up waiting takes it from nobody."""
    feed.web.open.clear()
    waiting = [asyncio.create_task(feed.kids("1")) for _ in range(10)]
    await feed.web.called.wait()
    waiting[0].cancel()
    feed.web.open.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert ([["1"]] * 9, 1) == (found[1:], feed.web.calls)
    assert isinstance(found[0], asyncio.CancelledError)


async def test_a_new_key_is_found_when_its_first_token_comes(feed: Feed) -> None:
    """Long before the keys are old."""
    await feed.kids("1")
    feed.web.body = key_set(CURVE | {"kid": "2"}, RSA | {"kid": "1"})
    feed.clock.advance(int(BETWEEN_SECONDS))

    assert ["2", "1"] == await feed.kids("2")


async def test_ids_that_nobody_has_cause_no_storm(feed: Feed) -> None:
    """However many tokens name them, there is one fetch in a while."""
    await feed.kids("1")
    for number in range(100):
        assert ["1"] == await feed.kids(f"made up {number}")
    feed.clock.advance(int(BETWEEN_SECONDS))
    for number in range(100):
        await feed.kids(f"made up {number}")

    assert 2 == feed.web.calls


async def test_a_key_that_is_withdrawn_counts_no_more(feed: Feed) -> None:
    """From the next fetch on."""
    await feed.kids("1")
    feed.web.body = key_set(CURVE | {"kid": "2"})
    feed.clock.advance(int(FRESH_SECONDS))

    assert ["2"] == await feed.kids("1")


@pytest.mark.parametrize("body", [None, b"", b"{}", key_set()], ids=["down", "empty", "{}", "no"])
async def test_without_an_answer_the_last_keys_count_for_a_while(
    feed: Feed, body: bytes | None
) -> None:
    """For hours, not for ever: a key that was withdrawn must not live on in an outage."""
    await feed.kids("1")
    feed.web.body = body
    feed.clock.advance(int(STALE_SECONDS) - 1)
    found = await feed.kids("1")
    feed.clock.advance(1)

    assert ["1"] == found
    assert await feed.fault("1")


async def test_in_an_outage_nobody_waits_who_has_a_key(feed: Feed) -> None:
    """The fetch goes on beside the calls; whose key is unknown waits for it."""
    await feed.kids("1")
    feed.web.body = None
    feed.clock.advance(int(FRESH_SECONDS))
    await feed.kids("1")
    feed.web.body = key_set(CURVE | {"kid": "2"}, CURVE | {"kid": "1"})
    feed.web.open.clear()
    feed.clock.advance(int(BETWEEN_SECONDS))
    at_once = await feed.kids("1")
    waiting = asyncio.create_task(feed.kids("2"))
    feed.web.open.set()

    assert (["1"], ["2", "1"], 3) == (at_once, await waiting, feed.web.calls)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, None, "unreachable"),
        (500, b"", "status_500"),
        (302, b"", "status_302"),
        (200, b"<html>", "malformed"),
        (200, b'{"keys": []}', "no_keys"),
    ],
)
async def test_without_any_keys_nothing_can_be_judged(
    feed: Feed, status: int, body: bytes | None, expected: str
) -> None:
    """That is another answer than a token that is bad, and it is not asked for at every call."""
    feed.web.status, feed.web.body = status, body
    faults = [await feed.fault() for _ in range(3)]
    feed.web.status, feed.web.body = 200, key_set(CURVE | {"kid": "1"})
    feed.clock.advance(int(BETWEEN_SECONDS))

    assert ([expected] * 3, 1) == (faults, feed.web.calls)
    assert ["1"] == await feed.kids()


async def test_an_unknown_id_while_the_keys_cannot_be_fetched(feed: Feed) -> None:
    """Nobody can say that the token is bad."""
    await feed.kids("1")
    feed.web.body = None
    feed.clock.advance(int(BETWEEN_SECONDS))

    assert "unreachable" == await feed.fault("2")
    assert ["1"] == await feed.kids("1")


async def test_keys_come_by_https_alone(feed: Feed) -> None:
    """An issuer that names another address names none."""
    other = JwksFeed(lambda: asyncio.sleep(0, "http://idp.example/keys"), feed.web, feed.clock)
    with pytest.raises(Unavailable, match="address"):
        await other.keys(None)

    assert 0 == feed.web.calls


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://idp.example/keys", True),
        ("https://10.0.0.7:8443/keys?x=1", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://localhost/keys", True),
        ("http://[::1]:8080/keys", True),
        ("http://idp.example/keys", False),
        ("http://127.0.0.1.example/keys", False),
        ("http://localhost@idp.example/keys", False),
        ("https://user:secret@idp.example/", False),
        ("https://idp.example/#fragment", False),
        ("https://idp.example:port/", False),
        ("https://[::1/", False),
        ("https:///keys", False),
        ("https://idp.example/ keys", False),
        ("https://idp.example/\nkeys", False),
        ("https://idp.\u00e9xample/", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/", False),
        ("", False),
        ("https://idp.example/" + "a" * 2_048, False),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_addresses_that_may_be_called(url: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """An https address, or plain http at this machine; private ones too, for they are ours."""
    assert expected == is_trustworthy(url)
