"""The OpenAPI document and the page made from it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import ok

from quorumkey.errors import ERRORS
from quorumkey_relay.api.routes import ROUTES

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio


@pytest.fixture
async def document(house: House) -> dict[str, Any]:
    """The document as it is served."""
    return ok(await house.http.get("/openapi.json"))


async def test_it_has_every_route(document: dict[str, Any]) -> None:
    """Every row of the table of routes is an operation, and the document describes itself."""
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }

    assert document["openapi"] == "3.1.0"
    assert described == {(route.method, route.path) for route in ROUTES} | {
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
    }


async def test_names_are_unique(document: dict[str, Any]) -> None:
    """No two operations share a name."""
    names = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    ]

    assert len(names) == len(set(names))
    assert "getRequestsByRequestIdReceipt" in names


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Every $ref names a schema of the document."""
    names = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))

    assert names
    assert names <= document["components"]["schemas"].keys()


async def test_every_own_error_is_known() -> None:
    """The codes that routes name are codes of the protocol."""
    assert {code for route in ROUTES for code in route.errors} <= ERRORS.keys()


async def test_parameters_and_bodies(document: dict[str, Any]) -> None:
    """An operation tells its parameters, headers, body, answers and who may call it."""
    create = document["paths"]["/v1/requests"]["post"]
    read = document["paths"]["/v1/requests/{request_id}"]["get"]
    enroll = document["paths"]["/v1/device/enroll"]["post"]

    assert [item["name"] for item in create["parameters"]] == ["Idempotency-Key"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/AskBody"
    }
    assert create["security"] == [{"apiKey": []}]
    assert {item["name"]: item["in"] for item in read["parameters"]} == {
        "request_id": "path",
        "wait_seconds": "query",
    }
    assert {"200", "201", "400", "403", "404", "409", "410"} <= enroll["responses"].keys()
    assert "Retry-After" in enroll["responses"]["429"]["headers"]


class _Page(HTMLParser):
    """Collects what a page links to and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        values = dict(attrs)
        self.tags.add(tag)
        self.anchors.add(values.get("id") or "")
        for name in ("href", "src"):
            if name in values:
                self.links.append(values[name] or "")


async def test_the_page_loads_nothing(house: House) -> None:
    """/docs is one page without scripts, images or anything from another host."""
    answer = await house.http.get("/docs")
    page = _Page(answer.text)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert not page.tags & {"script", "link", "img", "iframe", "form"}
    assert all(link.startswith("#") or link == "/openapi.json" for link in page.links)


async def test_the_page_leads_to_what_it_names(house: House) -> None:
    """Every link within the page has its place on it, and every error code is explained."""
    page = _Page((await house.http.get("/docs")).text)

    assert {link[1:] for link in page.links if link.startswith("#")} <= page.anchors
    assert ERRORS.keys() <= page.anchors
