"""Signing in with a browser: there, back, a session, and what is not the same browser."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.identities import (
    PUBLIC_URL,
    Rig,
    bearer,
    cookies_of,
    named,
    provided,
    query_of,
)

from quorumkey_relay.identity.browser_sessions import (
    MAX_SESSIONS,
    MAX_SESSIONS_PER_PERSON,
    SESSION_SECONDS,
    BrowserSessions,
)
from quorumkey_relay.identity.cached import BETWEEN_SECONDS
from quorumkey_relay.identity.sign_in import SIGN_IN_SECONDS, SignIn, SignInAnswer, SignInClient
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.standins.exchange import json_reply
from quorumkey_relay.usecases.jit.ports import Person

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.identity.people import Identity

pytestmark = pytest.mark.anyio

ALICE = "alice@example.com"
TOKEN = "A" * 700 + "~~" + "b_-" * 100


@pytest.fixture
async def rig(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """A provider at which Alice is signed in."""
    del anyio_backend
    async with provided(tmp_path) as ready:
        ready.oidc.user = ALICE
        yield ready


class Browser:
    """A browser that keeps cookies and goes where it is sent."""

    def __init__(
        self, rig: Rig, identity: Identity | None = None, public_url: str = PUBLIC_URL
    ) -> None:
        self.rig = rig
        self.public_url = public_url
        self.identity = rig.identity() if identity is None else identity
        assert self.identity.sign_in is not None
        self.sign_in: SignIn = self.identity.sign_in
        self.headers: dict[bytes, bytes] = {}
        self.began: SignInAnswer | None = None

    async def begin(self, return_to: str | None = None) -> str:
        """Ask to sign in; returns where the provider is asked."""
        query = {} if return_to is None else {"return_to": return_to}
        self.began = await self.sign_in.begin(query=query, headers=self.headers)
        self.headers = cookies_of(self.began.cookies)
        return self.began.location or ""

    async def provider(self, url: str) -> dict[str, str]:
        """Sign in there; returns what it sends the browser back with."""
        answer = await self.rig.client.get(url, headers={}, timeout_seconds=10)
        assert answer.headers["location"].startswith(f"{self.public_url}/jit/callback?")
        return query_of(answer.headers["location"])

    async def back(self, query: dict[str, str]) -> SignInAnswer:
        """Come back with an answer."""
        answer = await self.sign_in.callback(query=query, headers=self.headers)
        if answer.location is not None:
            self.headers = cookies_of(answer.cookies)
        return answer

    async def whole(self, return_to: str | None = None) -> SignInAnswer:
        """Sign in."""
        return await self.back(await self.provider(await self.begin(return_to)))

    async def who(self) -> str:
        """Who the browser's next call is by."""
        return named(await self.identity.people.identify(self.headers))


async def test_somebody_signs_in(rig: Rig) -> None:
    """The browser is led to the provider and back to where it wanted, and is known from then on."""
    browser = Browser(rig)
    answer = await browser.whole(f"/jit/?activation={TOKEN}&projectId=a%20b")

    assert (303, f"/jit/?activation={TOKEN}&projectId=a%20b", "") == (
        answer.status,
        answer.location,
        answer.message,
    )
    assert ALICE == await browser.who()


async def test_what_the_provider_is_asked(rig: Rig) -> None:
    """A code for this client, with state, nonce and a challenge of PKCE."""
    asked = query_of(await Browser(rig).begin())
    random = {name: len(asked.pop(name)) for name in ("state", "nonce", "code_challenge")}

    assert {
        "response_type": "code",
        "client_id": rig.oidc.client_id,
        "redirect_uri": f"{PUBLIC_URL}/jit/callback",
        "scope": "openid email",
        "code_challenge_method": "S256",
    } == asked
    assert {"state": 43, "nonce": 43, "code_challenge": 43} == random


async def test_no_two_sign_ins_are_alike(rig: Rig) -> None:
    """State, nonce and challenge are new each time."""
    browser = Browser(rig)
    asked = [query_of(await browser.begin()) for _ in range(2)]

    assert all(asked[0][name] != asked[1][name] for name in ("state", "nonce", "code_challenge"))


@pytest.mark.parametrize(
    ("public_url", "name", "flags"),
    [
        (
            "https://relay.example",
            "__Host-quorumkey-jit",
            ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Lax", "Secure"],
        ),
        (
            "http://127.0.0.1:8080",
            "quorumkey-jit",
            ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Lax"],
        ),
    ],
)
async def test_the_cookie_of_a_session(
    rig: Rig, public_url: str, name: str, flags: list[str]
) -> None:
    """Scripts cannot read it, other sites cannot use it, and by https it goes by https alone."""
    browser = Browser(rig, rig.identity(public_url=public_url), public_url)
    answer = await browser.whole()
    session, sign_in = (cookie.split("; ") for cookie in answer.cookies)

    assert (name, 43, flags) == (*_measured(session[0]), session[1:])
    assert f"{name}-sign-in=" == sign_in[0]
    assert "Max-Age=0" in sign_in


def _measured(pair: str) -> tuple[str, int]:
    name, _, value = pair.partition("=")
    return name, len(value)


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/jit/../v1",
        "/jit/\\..",
        "/jit/?a=\r\nSet-Cookie: x=y",
        "/jit/?a=;Domain=evil",
        '/jit/?a="',
        "/jit/#fragment",
        "/v1/requests",
        "javascript:alert(1)",
        "",
        "/jit/?a=" + "x" * 3_000,
    ],
    ids=lambda text: ascii(text)[:40],
)
async def test_nobody_is_led_elsewhere(rig: Rig, return_to: str) -> None:
    """Only the page itself, with its own query, is a place to come back to."""
    assert "/jit/" == (await Browser(rig).whole(return_to)).location


async def test_a_cookie_is_small_enough_for_a_browser(rig: Rig) -> None:
    """With the longest place to come back to."""
    browser = Browser(rig)
    await browser.begin("/jit/?a=" + "x" * 2_992)

    assert len(browser.headers[b"cookie"]) < 4_096


async def test_an_answer_counts_in_the_browser_that_asked(rig: Rig) -> None:
    """Who is lured to somebody else's answer does not become that person."""
    identity = rig.identity()
    attacker, victim = Browser(rig, identity), Browser(rig, identity)
    answer = await attacker.provider(await attacker.begin())
    without = await victim.back(answer)
    await victim.begin()
    with_own = await victim.back(answer)

    assert [(400, None)] * 2 == [(one.status, one.location) for one in (without, with_own)]
    assert "unauthorized" == await victim.who()


async def test_an_answer_counts_once(rig: Rig) -> None:
    """The provider does not redeem a code again."""
    browser = Browser(rig)
    answer = await browser.provider(await browser.begin())
    state = browser.headers
    first = await browser.back(answer)
    browser.headers = state
    second = await browser.back(answer)

    assert [303, 400] == [first.status, second.status]


async def test_an_answer_comes_in_time(rig: Rig) -> None:
    """Ten minutes after the beginning it is too late; a second earlier it is not."""
    statuses: list[int] = []
    for seconds in (SIGN_IN_SECONDS - 1, SIGN_IN_SECONDS):
        browser = Browser(rig)
        began = await browser.begin()
        rig.clock.advance(seconds)
        statuses.append((await browser.back(await browser.provider(began))).status)

    assert [303, 400] == statuses


async def test_a_restart_ends_what_was_under_way(rig: Rig) -> None:
    """The key of the cookies lives in memory, as sessions do."""
    before, after = Browser(rig), Browser(rig)
    after.headers = before.headers
    answer = await before.provider(await before.begin())
    after.headers = before.headers

    assert 400 == (await after.back(answer)).status
    assert 303 == (await before.back(answer)).status
    after.headers = before.headers
    assert "unauthorized" == await after.who()


@pytest.mark.parametrize("place", [0, 10, 44, 60, 95])
async def test_a_cookie_that_was_changed_is_none(rig: Rig, place: int) -> None:
    """Seal, state, time and place to come back to: each letter is sealed."""
    browser = Browser(rig)
    answer = await browser.provider(await browser.begin())
    name, _, value = browser.headers[b"cookie"].partition(b"=")
    other = b"A" if value[place : place + 1] != b"A" else b"B"
    browser.headers = {b"cookie": name + b"=" + value[:place] + other + value[place + 1 :]}

    assert 400 == (await browser.back(answer)).status


@pytest.mark.parametrize(
    "value", [b"", b".", b"..", b"...", b"a.b.c.d", b"\xff.\xff.1./jit/", b"." * 4_000], ids=repr
)
async def test_a_cookie_that_is_none(rig: Rig, value: bytes) -> None:
    """Anything may stand there."""
    browser = Browser(rig)
    browser.headers = {b"cookie": b"__Host-quorumkey-jit-sign-in=" + value}

    assert 400 == (await browser.back({"state": "", "code": "x"})).status


@pytest.mark.parametrize(
    "change",
    [
        {"error": "access_denied", "code": ""},
        {"code": ""},
        {"code": "x" * 5_000},
        {"code": "another"},
        {"code": "\u00e9"},
        {"iss": "https://other.example"},
        {"state": ""},
        {"state": "another"},
        {"state": "\u00e9"},
    ],
    ids=lambda change: ascii(change)[:40],
)
async def test_answers_that_do_not_sign_anybody_in(rig: Rig, change: dict[str, str]) -> None:
    """Nobody is known afterwards, the cookie is taken back, and a sentence is shown."""
    browser = Browser(rig)
    answer = await browser.provider(await browser.begin())
    refused = await browser.back(answer | change)

    assert (400, None, True) == (refused.status, refused.location, bool(refused.message))
    assert "Max-Age=0" in refused.cookies[0]
    assert "unauthorized" == await browser.who()


async def test_an_answer_may_name_its_issuer(rig: Rig) -> None:
    """RFC 9207: it must be the one that was asked."""
    browser = Browser(rig)
    answer = await browser.provider(await browser.begin())

    assert 303 == (await browser.back(answer | {"iss": rig.oidc.issuer})).status


async def test_a_code_of_another_sign_in(rig: Rig) -> None:
    """Its verifier is another (PKCE), so the provider refuses it."""
    identity = rig.identity()
    attacker, victim = Browser(rig, identity), Browser(rig, identity)
    stolen = await attacker.provider(await attacker.begin())
    own = await victim.provider(await victim.begin())

    assert 400 == (await victim.back(own | {"code": stolen["code"]})).status


async def redeemed(rig: Rig, **claims: object) -> SignInAnswer:
    """A sign-in that ends with this ID token; a claim that is NONCE is the right one."""
    oidc = rig.oidc_settings(audiences=(rig.oidc.client_id, "second"))
    browser = Browser(rig, rig.identity(oidc=oidc))
    asked = await browser.begin()
    nonce = query_of(asked)["nonce"]
    answer = await browser.provider(asked)
    changed = {name: nonce if value == "NONCE" else value for name, value in claims.items()}
    granted = {"id_token": rig.oidc.id_token(ALICE, **changed), "access_token": "x"}
    rig.oidc.overrides["/token"] = json_reply(200, granted)
    return await browser.back(answer)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"nonce": "NONCE"}, 303),
        ({}, 400),
        ({"nonce": None}, 400),
        ({"nonce": ["NONCE"]}, 400),
        ({"nonce": "another"}, 400),
        ({"nonce": "\u00e9"}, 400),
        ({"nonce": "NONCE", "aud": "second"}, 400),
        ({"nonce": "NONCE", "iss": "https://other.example"}, 400),
        ({"nonce": "NONCE", "exp": 1_800_000_000}, 400),
        ({"nonce": "NONCE", "email_verified": False}, 400),
        ({"nonce": "NONCE", "email": None}, 400),
    ],
    ids=lambda value: ascii(value)[:50],
)
async def test_the_id_token_answers_this_sign_in(
    rig: Rig, claims: dict[str, object], status: int
) -> None:
    """It must be this client's alone, with this nonce, and all that any ID token must be."""
    assert status == (await redeemed(rig, **claims)).status


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {}, 502),
        (200, [], 502),
        (200, {"id_token": 7}, 502),
        (200, {"id_token": "none"}, 400),
        (401, {"error": "invalid_client"}, 502),
        (500, {}, 502),
        (302, {}, 502),
    ],
)
async def test_answers_of_the_token_endpoint(
    rig: Rig, status: int, body: object, expected: int
) -> None:
    """Nobody is signed in by them; what is the provider's fault, or the settings', is 502."""
    browser = Browser(rig)
    answer = await browser.provider(await browser.begin())
    rig.oidc.overrides["/token"] = json_reply(status, body)

    assert expected == (await browser.back(answer)).status


async def test_a_provider_that_is_down(rig: Rig) -> None:
    """The page says so, at the beginning and at the end."""
    browser = Browser(rig)
    rig.oidc.faults.answer_status = 503
    await browser.begin()
    first = browser.began
    rig.oidc.faults.answer_status = None
    rig.clock.advance(int(BETWEEN_SECONDS))
    answer = await browser.provider(await browser.begin())
    rig.oidc.faults.is_down = True
    last = await browser.back(answer)

    assert first is not None
    assert [(502, None)] * 2 == [(one.status, one.location) for one in (first, last)]


@pytest.mark.parametrize(
    "change",
    [
        {"authorization_endpoint": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://idp.example/token"},
        {"authorization_endpoint": "http://idp.example/authorize"},
    ],
    ids=str,
)
async def test_a_provider_without_what_a_sign_in_needs(rig: Rig, change: dict[str, object]) -> None:
    """Or with an address that anybody could answer for; ID tokens are taken all the same."""
    document = {
        "issuer": rig.oidc.issuer,
        "jwks_uri": rig.oidc.jwks_url,
        "authorization_endpoint": f"{rig.oidc.issuer}/authorize",
        "token_endpoint": f"{rig.oidc.issuer}/token",
    } | change
    rig.oidc.overrides["/.well-known/openid-configuration"] = json_reply(200, document)
    browser = Browser(rig)
    await browser.begin()

    assert browser.began is not None
    assert (502, None) == (browser.began.status, browser.began.location)
    browser.headers = bearer(rig.oidc.id_token(ALICE))
    assert ALICE == await browser.who()


@pytest.mark.parametrize(
    ("methods", "secret", "header"),
    [
        (["client_secret_basic"], True, True),
        (["client_secret_post"], True, False),
        (["none"], False, False),
    ],
    ids=["basic", "post", "public"],
)
async def test_how_the_relay_shows_itself_to_the_provider(
    rig: Rig,
    methods: list[str],
    secret: bool,  # noqa: FBT001 - a parameter of the test
    header: bool,  # noqa: FBT001 - as the one above
) -> None:
    """By the method that the provider has; a public client has PKCE alone."""
    document = {
        "issuer": rig.oidc.issuer,
        "jwks_uri": rig.oidc.jwks_url,
        "authorization_endpoint": f"{rig.oidc.issuer}/authorize?tenant=1",
        "token_endpoint": f"{rig.oidc.issuer}/token",
        "token_endpoint_auth_methods_supported": methods,
    }
    rig.oidc.overrides["/.well-known/openid-configuration"] = json_reply(200, document)
    if not secret:
        rig.oidc.client_secret = ""
    oidc = rig.oidc_settings() if secret else rig.oidc_settings(client_secret_file=None)
    browser = Browser(rig, rig.identity(oidc=oidc))
    began = await browser.begin()
    answer = await browser.back(await browser.provider(began))

    assert f"{rig.oidc.issuer}/authorize?tenant=1&response_type=code" in began
    assert (303, header) == (answer.status, "authorization" in rig.oidc.token_headers)


def test_a_client_does_not_show_its_secret() -> None:
    """What a log or a traceback says of it is who it is, and no more."""
    client = SignInClient(
        issuer="https://issuer.example", client_id="me", client_secret="sesame", public_url="x"
    )

    assert ("me" in repr(client), "sesame" in repr(client)) == (True, False)


async def test_the_verifier_fits_the_challenge(rig: Rig) -> None:
    """SHA-256 in base64url (RFC 7636, section 4.2)."""
    browser = Browser(rig)
    asked = await browser.begin()
    await browser.back(await browser.provider(asked))
    digest = hashlib.sha256(rig.oidc.token_form["code_verifier"].encode()).digest()

    assert query_of(asked)["code_challenge"] == urlsafe_b64encode(digest).decode().rstrip("=")


async def test_without_a_client_there_is_no_sign_in(rig: Rig) -> None:
    """And no cookie counts."""
    oidc = rig.oidc_settings(client_id=None, client_secret_file=None)

    assert rig.identity(oidc=oidc).sign_in is None


# ------------------------------------------------------------ sessions


async def test_signing_in_again_ends_the_session_before(rig: Rig) -> None:
    """A browser has one session: the cookie that it had before is nobody's."""
    browser = Browser(rig)
    await browser.whole()
    before = browser.headers
    asked = await browser.begin()
    both = {b"cookie": browser.headers[b"cookie"] + b"; " + before[b"cookie"]}
    browser.headers = both
    answer = await browser.back(await browser.provider(asked))
    after = await browser.who()
    browser.headers = before

    assert (303, ALICE, "unauthorized") == (answer.status, after, await browser.who())


async def test_signing_out_ends_the_session(rig: Rig) -> None:
    """The cookie is taken back, and would be nobody's."""
    browser = Browser(rig)
    await browser.whole()
    answer = await browser.sign_in.sign_out(headers=browser.headers)
    again = await browser.sign_in.sign_out(headers={})

    assert [(200, "You are signed out.")] * 2 == [
        (one.status, one.message) for one in (answer, again)
    ]
    assert "Max-Age=0" in answer.cookies[0]
    assert "unauthorized" == await browser.who()


async def test_a_session_lasts_eight_hours(rig: Rig) -> None:
    """A second before its end it counts."""
    browser = Browser(rig)
    await browser.whole()
    rig.clock.advance(SESSION_SECONDS - 1)
    found = [await browser.who()]
    rig.clock.advance(1)
    found += [await browser.who(), await browser.who()]

    assert [ALICE, "unauthorized", "unauthorized"] == found


async def test_a_bearer_token_counts_more_than_a_session(rig: Rig) -> None:
    """Who says who they are is that person, and a bad token is not made good by a cookie."""
    browser = Browser(rig)
    await browser.whole()
    cookie = browser.headers
    found: list[str] = []
    for headers in (bearer(rig.oidc.id_token("bob@example.com")), bearer("x.y.z"), {}):
        browser.headers = cookie | headers
        found.append(await browser.who())

    assert ["bob@example.com", "unauthorized", ALICE] == found


def test_a_person_has_a_few_sessions() -> None:
    """The oldest gives way; other people's stay."""
    sessions = BrowserSessions(SystemMint())
    bob = sessions.open(Person(email="bob@example.com"), 0)
    tokens = [sessions.open(Person(email=ALICE), 0) for _ in range(MAX_SESSIONS_PER_PERSON + 1)]

    assert [None, Person(email=ALICE), Person(email="bob@example.com")] == [
        sessions.person(token, 1) for token in (tokens[0], tokens[1], bob)
    ]


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of all gives way, and those that are over go first."""
    assert MAX_SESSIONS == 100_000
    monkeypatch.setattr("quorumkey_relay.identity.browser_sessions.MAX_SESSIONS", 2)
    sessions = BrowserSessions(SystemMint())
    tokens = [sessions.open(Person(email=f"p{number}@example.com"), 0) for number in range(3)]
    late = sessions.open(Person(email="late@example.com"), SESSION_SECONDS)

    assert [None, None, None] == [sessions.person(token, SESSION_SECONDS) for token in tokens]
    assert sessions.person(late, SESSION_SECONDS) == Person(email="late@example.com")
    sessions.close(tokens[0])
