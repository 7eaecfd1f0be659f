"""What the OpenID Connect stand-in accepts, and what it refuses as providers do."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest

from quorumkey_relay.delivery.transport import web_client
from quorumkey_relay.standins.oidc import CODE_SECONDS, OidcStandIn, SigningKey, start_oidc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from quorumkey_relay.delivery.transport import Answer, HttpClient

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
BACK = "http://127.0.0.1:9/callback"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)


class Client:
    """A client of the provider, with a clock that the test moves."""

    def __init__(self, http: HttpClient) -> None:
        self.http = http
        self.seconds = float(NOW)
        self.provider: OidcStandIn

    async def get(self, url: str) -> Answer:
        """Ask for something."""
        return await self.http.get(url, headers={}, timeout_seconds=10)

    async def post(self, url: str, form: Mapping[str, str], **headers: str) -> Answer:
        """Send a form."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return await self.http.post(
            url, headers=kind | headers, body=urlencode(form).encode(), timeout_seconds=10
        )

    def asked(self, **changes: str) -> str:
        """The address that asks for a code."""
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": BACK,
            "scope": "openid email",
            "state": "s",
            "nonce": "n",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"{self.provider.issuer}/authorize?{urlencode(query | changes)}"

    async def code(self) -> str:
        """A new code."""
        answer = await self.get(self.asked())
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]

    async def redeem(self, code: str, *, secret: str | None = None, **changes: str) -> Answer:
        """Ask for the token of a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        }
        pair = f"{self.provider.client_id}:{secret or self.provider.client_secret}"
        basic = base64.b64encode(pair.encode()).decode()
        return await self.post(
            f"{self.provider.issuer}/token", form | changes, authorization=f"Basic {basic}"
        )


def read(answer: Answer) -> Any:  # noqa: ANN401 - any JSON that it answers
    """The body of an answer."""
    return json.loads(answer.body)


@pytest.fixture
async def client(anyio_backend: object) -> AsyncGenerator[Client, None]:
    """A client of a provider at which Alice is signed in."""
    del anyio_backend
    http = web_client(roots=None)
    made = Client(http)
    key = SigningKey.make("ES256")
    async with start_oidc(key=key, now=lambda: made.seconds) as made.provider:
        made.provider.user = "alice@example.com"
        yield made
    await http.close()


async def test_the_whole_flow(client: Client) -> None:
    """A code, then an ID token that its published key verifies."""
    issuer = client.provider.issuer
    configuration = read(await client.get(f"{issuer}/.well-known/openid-configuration"))
    granted = read(await client.redeem(await client.code()))
    keys = jwt.PyJWKSet.from_dict(read(await client.get(configuration["jwks_uri"])))
    token = granted["id_token"]
    claims = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["ES256"],
        audience=client.provider.client_id,
        issuer=configuration["issuer"],
        options={"verify_iat": False},
    )

    assert ("alice@example.com", True, "n", NOW, NOW + 3_600) == tuple(
        claims[name] for name in ("email", "email_verified", "nonce", "iat", "exp")
    )


async def test_a_code_is_redeemed_once(client: Client) -> None:
    """And then it is none."""
    code = await client.code()

    assert [200, 400] == [(await client.redeem(code)).status for _ in range(2)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"redirect_uri": BACK + "/other"}, "invalid_grant"),
        ({"code": "another"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
    ids=str,
)
async def test_a_code_is_for_who_asked(
    client: Client, changes: dict[str, str], expected: str
) -> None:
    """With the verifier of its challenge, and the address that it was sent to."""
    answer = await client.redeem(**{"code": await client.code()} | changes)

    assert (400, expected) == (answer.status, read(answer)["error"])


async def test_a_code_is_good_for_a_minute(client: Client) -> None:
    """As providers have it."""
    code = await client.code()
    client.seconds += CODE_SECONDS

    assert 400 == (await client.redeem(code)).status


async def test_a_client_shows_its_secret(client: Client) -> None:
    """In the header or in the form; a wrong one is refused."""
    code = await client.code()
    wrong = await client.redeem(code, secret="wrong")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        "client_id": client.provider.client_id,
        "client_secret": client.provider.client_secret,
    }
    right = await client.post(f"{client.provider.issuer}/token", form)

    assert (401, 200) == (wrong.status, right.status)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"scope": "email"},
    ],
    ids=str,
)
async def test_what_is_asked_must_be_complete(client: Client, changes: dict[str, str]) -> None:
    """Else the browser sees a page, and is sent nowhere."""
    assert 400 == (await client.get(client.asked(**changes))).status


async def test_a_person_signs_in_by_a_form(client: Client) -> None:
    """Where nobody is signed in already."""
    client.provider.user = None
    page = await client.get(client.asked(state='"><script>'))
    answer = await client.post(client.asked(), {"email": "bob@example.com"})

    assert (200, True, False) == (
        page.status,
        b'name="email"' in page.body,
        b"<script>" in page.body,
    )
    assert (302, True) == (
        answer.status,
        answer.headers["location"].startswith(f"{BACK}?code="),
    )


async def test_its_faults(client: Client) -> None:
    """Documents and tokens fail as told, and what else is asked is not there."""
    client.provider.faults.answer_status = 503
    client.provider.faults.token_status = 429
    documents = await client.get(client.provider.jwks_url)
    tokens = await client.redeem("any")
    client.provider.faults.answer_status = None
    nothing = await client.get(f"{client.provider.issuer}/other")
    kind = {"content-type": "application/json"}
    no_form = await client.post(f"{client.provider.issuer}/token", {}, **kind)

    assert [503, 429, 404, 429] == [one.status for one in (documents, tokens, nothing, no_form)]
    client.provider.faults.token_status = None
    assert 400 == (await client.post(f"{client.provider.issuer}/token", {}, **kind)).status
    assert (1, 3) == tuple(client.provider.calls[path] for path in ("/jwks", "/token"))


async def test_keys_change(client: Client) -> None:
    """A new key signs, the old one stays published until it is retired."""
    old = client.provider.keys[0].kid
    client.provider.rotate()
    new = client.provider.keys[0].kid
    both = read(await client.get(client.provider.jwks_url))["keys"]
    client.provider.retire_old_keys()
    one = read(await client.get(client.provider.jwks_url))["keys"]

    assert [[new, old], [new]] == [[key["kid"] for key in keys] for keys in (both, one)]
    assert new == jwt.get_unverified_header(client.provider.id_token("a@example.com"))["kid"]


async def test_the_proxy_signs_whom_it_lets_in(client: Client) -> None:
    """With its own key, which is published beside."""
    (key,) = read(await client.get(client.provider.proxy_jwks_url))["keys"]
    claims = jwt.decode(
        client.provider.proxy_assertion(
            "alice@example.com", audience="/projects/1", device_id="d", access_levels=("l",)
        ),
        jwt.PyJWK(key),
        algorithms=["ES256"],
        audience="/projects/1",
        issuer="https://cloud.google.com/iap",
        options={"verify_iat": False},
    )

    assert ("alice@example.com", {"device_id": "d", "access_levels": ["l"]}) == (
        claims["email"],
        claims["google"],
    )
