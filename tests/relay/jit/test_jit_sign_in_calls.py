"""Signing in with a browser, the page's own files, and the keys of links, over HTTP."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from tests.relay.jit.reception import ALICE, CALL, PROXY_AUDIENCE, done, reception, refused

from quorumkey_relay.api.jit_pages import PAGES
from quorumkey_relay.identity.activation_tokens import plain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import httpx2
    from tests.relay.jit.reception import Reception

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def office(
    anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Reception, None]:
    """A relay with a sign-in, shared by the tests of this file."""
    del anyio_backend
    async with reception(tmp_path_factory.mktemp("reception")) as running:
        yield running


def cookie_of(answer: httpx2.Response) -> dict[str, str]:
    """The header with which a browser gives back the cookies of an answer."""
    jar = SimpleCookie()
    for text in answer.headers.get_list("set-cookie"):
        jar.load(text)
    given = [f"{name}={morsel.value}" for name, morsel in jar.items() if morsel.value]
    return {"Cookie": "; ".join(given)}


async def signed_in(office: Reception, return_to: str = "/jit/") -> httpx2.Response:
    """Somebody's way through the provider: the answer to its coming back."""
    http = office.house.http
    office.around.oidc.user = ALICE
    begun = await http.get("/jit/sign-in", params={"return_to": return_to})
    assert begun.status_code == 303
    provided = await http.get(begun.headers["location"])
    assert provided.headers["location"].startswith(f"{office.house.url}/jit/callback?")
    return await http.get(provided.headers["location"], headers=cookie_of(begun))


async def test_a_browser_signs_in(office: Reception) -> None:
    """After the provider, a cookie says who calls, and the browser is where it wanted to be."""
    back = await signed_in(office, "/jit/?activation=abc~d&projectId=project-1")

    assert (303, "/jit/?activation=abc~d&projectId=project-1") == (
        back.status_code,
        back.headers["location"],
    )
    assert "HttpOnly; SameSite=Lax" in back.headers["set-cookie"]
    policy = await office.house.http.get("/jit/api/policy", headers=CALL | cookie_of(back))
    assert {"email": ALICE} == done(policy)["signedInUser"]


async def test_a_browser_goes_nowhere_else(office: Reception) -> None:
    """Whoever sends a browser to the sign-in cannot have it end on another site."""
    for outside in ("https://evil.example/", "//evil.example/jit/", "/v1/info", "/jit/../x"):
        assert (await signed_in(office, outside)).headers["location"] == "/jit/"


async def test_a_cookie_moves_nothing_without_the_header(office: Reception) -> None:
    """Another site that makes a browser call has the cookie sent, but not the header."""
    cookie = cookie_of(await signed_in(office))
    http, origin = office.house.http, {"Origin": "https://evil.example"}

    call = await http.post("/jit/api/activation-request", headers=cookie | origin)
    sign_out = await http.post("/jit/sign-out", headers=cookie | origin)
    preflight = await http.options(
        "/jit/api/policy",
        headers=origin
        | {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-jitaccess",
        },
    )

    assert [(400, "invalid_request")] * 2 == [refused(call)[:2], refused(sign_out)[:2]]
    assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_signing_out(office: Reception) -> None:
    """A session that was ended opens nothing any more, whoever kept the cookie."""
    cookie = cookie_of(await signed_in(office))

    answer = await office.house.http.post("/jit/sign-out", headers=CALL | cookie)

    assert (204, b"") == (answer.status_code, answer.content)
    assert "Max-Age=0" in answer.headers["set-cookie"]
    after = await office.house.http.get("/jit/api/policy", headers=CALL | cookie)
    assert (401, "unauthorized") == refused(after)[:2]


async def test_a_sign_in_that_fails_is_shown_as_a_page(office: Reception) -> None:
    """What came back from elsewhere, or of another browser's sign-in, is a page that says so."""
    answer = await office.house.http.get(
        "/jit/callback", params={"code": "x", "state": "<script>", "session_state": "any"}
    )

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "This sign-in was not begun in this browser" in answer.text
    assert "<script" not in answer.text


async def test_a_provider_that_is_down(office: Reception) -> None:
    """A provider that cannot say who came back lets nobody in, and the answer is 502."""
    office.around.oidc.faults.token_status = 500
    try:
        back = await signed_in(office)
    finally:
        office.around.oidc.faults.token_status = None

    assert back.status_code == 502
    assert "set-cookie" in back.headers


async def test_guessing_is_slow(tmp_path: Path) -> None:
    """An address that sends wrong tokens too often is told to wait; right tokens are not."""
    async with reception(tmp_path, limits={"rate_ip_failures": 3}) as office:
        wrong = CALL | {"Authorization": "Bearer a.b.c"}
        statuses = [
            (await office.house.http.get("/jit/api/policy", headers=wrong)).status_code
            for _ in range(5)
        ]
        right = await office.get(ALICE, "/policy")

    assert [401, 401, 401, 429, 429] == statuses
    assert 200 == right.status_code


async def test_guessing_behind_a_proxy_is_slow(tmp_path: Path) -> None:
    """Wrong headers of the proxy count like wrong tokens; a call that bears nothing does not."""
    limits = {"rate_ip_failures": 3}
    async with reception(tmp_path, limits=limits, is_behind_proxy=True) as office:
        wrong = CALL | {"x-goog-iap-jwt-assertion": "a.b.c"}
        statuses = [
            (await office.house.http.get("/jit/api/policy", headers=headers)).status_code
            for headers in (*[CALL] * 5, *[wrong] * 5)
        ]

    assert [401] * 8 + [429] * 2 == statuses


async def test_a_person_is_charged_for_their_calls(tmp_path: Path) -> None:
    """Who calls too often has to wait, and nobody else with them."""
    async with reception(tmp_path, limits={"rate_person": 2}) as office:
        mine = [await office.get(ALICE, "/policy") for _ in range(3)]
        others = await office.get("bob@example.com", "/policy")

    assert [200, 200, 429] == [answer.status_code for answer in mine]
    assert int(mine[-1].headers["retry-after"]) >= 1
    assert 200 == others.status_code


async def test_a_proxy_signs_people_in(tmp_path: Path) -> None:
    """Behind a proxy that signs, its header is who calls, and there is no sign-in of ours."""
    async with reception(tmp_path, is_behind_proxy=True) as office:
        http, oidc = office.house.http, office.around.oidc
        assertion = oidc.proxy_assertion(ALICE, audience=PROXY_AUDIENCE)
        other = oidc.proxy_assertion(ALICE, audience="/projects/2/apps/access")
        name = "x-goog-iap-jwt-assertion"
        signed = await http.get("/jit/api/policy", headers=CALL | {name: assertion})
        for_another = await http.get("/jit/api/policy", headers=CALL | {name: other})
        bare = await http.get("/jit/api/policy", headers=CALL | {name: ALICE})
        token = await office.get(ALICE, "/policy")
        ways = [
            await http.get("/jit/sign-in"),
            await http.get("/jit/callback", params={"code": "x", "state": "y"}),
            await http.post("/jit/sign-out", headers=CALL),
        ]

    assert {"email": ALICE} == done(signed)["signedInUser"]
    assert [(401, "unauthorized")] * 3 == [
        refused(answer)[:2] for answer in (for_another, bare, token)
    ]
    assert "details" not in bare.json()
    assert [404] * 3 == [answer.status_code for answer in ways]


async def test_c14_the_keys_of_links_are_published(office: Reception) -> None:
    """Whoever gets a link can check who made it, with any JWT library."""
    token = plain((await office.ask())["activation"])

    answer = await office.house.http.get("/.well-known/jwks.json")

    document = done(answer)
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = {key["kid"]: jwt.PyJWK(key) for key in document["keys"]}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=office.house.url,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["beneficiary"] == ALICE
    assert not {"d", "p", "q", "k"} & {name for key in document["keys"] for name in key}


async def test_c27_the_link_in_an_e_mail(office: Reception) -> None:
    """The link leads to the page, and its token is taken as it stands there."""
    asked = await office.ask(justification="BUG-27")
    sent = next(
        one.message for one in reversed(office.around.mail.taken) if b"access" in one.message
    )
    (link,) = set(re.findall(r"http://[^\s\"<>]+/jit/\?activation=[^\s\"<>]+", _text(sent)))
    address = urlsplit(str(link))
    query = parse_qs(address.query)

    seen = await office.get(
        "bob@example.com", "/activation-request", activation=query["activation"][0]
    )

    assert "/jit/" == address.path
    assert ["project-1"] == query["projectId"]
    assert not query["activation"][0].startswith("ey")
    assert "." not in query["activation"][0]
    assert "BUG-27" == done(seen)["justification"] == asked["justification"]
    assert 200 == (await office.house.http.get(f"{address.path}?{address.query}")).status_code


def _text(message: bytes) -> str:
    """A message as it is read as plain text."""
    read = message_from_bytes(message, policy=default)
    assert isinstance(read, EmailMessage)
    body = read.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


class _Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.found.append((tag, dict(attrs)))


async def test_the_page_has_no_code_in_it_and_loads_nothing_from_elsewhere(
    office: Reception,
) -> None:
    """The policy allows the page's own files alone, and the page needs nothing else."""
    answer = await office.house.http.get("/jit/")
    elements = _Elements(answer.text).found

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    own = {page.path.removeprefix("/jit/") for page in PAGES} | {"./", "#main", "data:,"}
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert tag not in ("style", "iframe", "object", "embed", "base")
        assert {attributes.get("src"), attributes.get("href")} - {None} <= own
    assert re.search(r"<script[^>]*>\s*</script>", answer.text)


@pytest.mark.parametrize("path", [page.path for page in PAGES])
async def test_every_file_of_the_page_is_served(office: Reception, path: str) -> None:
    """Each has its media type and cannot be taken for another."""
    answer = await office.house.http.get(path)

    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"].endswith("; charset=utf-8")
    assert answer.content


async def test_the_programs_make_no_elements_from_text(office: Reception) -> None:
    """Nothing in the page's programs turns a string into elements or code."""
    dangerous = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    )
    for page in PAGES:
        if page.media_type == "text/javascript":
            text = (await office.house.http.get(page.path)).text
            assert dangerous.search(text) is None, page.path


async def test_the_page_has_a_slash_at_its_end(office: Reception) -> None:
    """Without it a browser is sent there."""
    answer = await office.house.http.get("/jit")

    assert (308, "/jit/") == (answer.status_code, answer.headers["location"])


@pytest.mark.parametrize("query", ["utm", "&&", "activation=%ff", "a=1&a=2", "a=1&" * 100])
async def test_the_page_is_shown_whatever_stands_behind_its_address(
    office: Reception, query: str
) -> None:
    """Links are changed on their way by mail programs, and the page reads what is left of them."""
    answer = await office.house.http.get(f"{office.house.url}/jit/?{query}")

    assert (200, "text/html; charset=utf-8") == (
        answer.status_code,
        answer.headers["content-type"],
    )
