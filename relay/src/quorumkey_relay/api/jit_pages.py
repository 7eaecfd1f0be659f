"""The web page of just-in-time access, and the sign-in of browsers.

The page is three files of the package. Its policy lets it load and call its own origin alone and
has no place for inline code; what people wrote reaches it as JSON and is shown as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from quorumkey_relay.api import operations
from quorumkey_relay.api.answers import Answer, Headers, Refused, nothing, page
from quorumkey_relay.api.jit import part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.api.jit_ports import SignInAnswerPort, SignInPort
    from quorumkey_relay.usecases.jit.ports import Person

#: "303 See Other": the browser goes there with GET, whatever it came with (RFC 9110 §15.4.4).
ELSEWHERE: Final = 303
#: "308 Permanent Redirect" (RFC 9110 §15.4.9).
MOVED: Final = 308

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
#: The address of the page may hold a token; it goes nowhere else.
PAGE_HEADERS: Final[Headers] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_HTML: Final = "text/html"
_SERVER_ERROR: Final = 500
_FOLDER: Final = files("quorumkey_relay.web") / "jit"


@dataclass(frozen=True, slots=True)
class Page:
    """A file of the page, and the path it is served at."""

    path: str
    summary: str
    media_type: str
    handle: Callable[[Call[None, None]], Awaitable[Result]]


def _file(name: str, media_type: str, summary: str, *, path: str | None = None) -> Page:
    shown = page(
        (_FOLDER / name).read_bytes(), f"{media_type}; charset=utf-8".encode(), *PAGE_HEADERS
    )
    return Page(path or f"/jit/{name}", summary, media_type, operations.fixed(shown))


_TO_THE_PAGE: Final = Answer(MOVED, b"", ((b"location", b"/jit/"), *PAGE_HEADERS))

PAGES: Final = (
    _file(
        "index.html",
        _HTML,
        "The page on which people activate, request and review access.",
        path="/jit/",
    ),
    _file("app.js", "text/javascript", "The page's program."),
    _file("ask.js", "text/javascript", "Its dialog."),
    _file("parts.js", "text/javascript", "What both are made of."),
    _file("style.css", "text/css", "The page's style."),
)

moved: Final = operations.fixed(_TO_THE_PAGE)


def _sign_in(call: Call[Any, None]) -> SignInPort:
    found = part(call).sign_in
    if found is None:
        raise Refused("not_found")
    return found


def _texts(call: Call[None, None]) -> dict[str, str]:
    return {name: str(value) for name, value in call.query.items()}


async def sign_in(call: Call[None, None]) -> Result:
    """``GET /jit/sign-in``."""
    return _elsewhere(await _sign_in(call).begin(query=_texts(call), headers=call.headers))


async def callback(call: Call[None, None]) -> Result:
    """``GET /jit/callback``."""
    return _elsewhere(await _sign_in(call).callback(query=_texts(call), headers=call.headers))


async def sign_out(call: Call[Person | None, None]) -> Result:
    """``POST /jit/sign-out``."""
    answer = await _sign_in(call).sign_out(headers=call.headers)
    return nothing(*_cookies(answer))


def _cookies(answer: SignInAnswerPort) -> Headers:
    return tuple((b"set-cookie", cookie.encode("latin-1")) for cookie in answer.cookies)


def _elsewhere(answer: SignInAnswerPort) -> Answer:
    """Return where a browser goes next, or a page that says why it goes nowhere."""
    more = (*PAGE_HEADERS, *_cookies(answer))
    if answer.location is not None:
        gone = nothing((b"location", answer.location.encode("latin-1")), *more)
        return Answer(int(answer.status), b"", gone.headers)
    shown = page(_refused_page(answer.message), f"{_HTML}; charset=utf-8".encode(), *more)
    # Whoever guesses at sign-ins of others is counted as whoever guesses at tokens.
    code = "backend_failed" if answer.status >= _SERVER_ERROR else "unauthorized"
    return Answer(int(answer.status), shown.body, shown.headers, code)


def _refused_page(message: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<title>Just-in-time access</title><link rel="stylesheet" href="/jit/style.css"></head>'
        f"<body><main><h1>You are not signed in</h1><p>{escape(message)}</p>"
        '<p><a class="button" href="/jit/">Back</a></p></main></body></html>'
    ).encode()
