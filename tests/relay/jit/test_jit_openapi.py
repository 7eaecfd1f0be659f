"""The OpenAPI document of a relay with just-in-time access, and answers held against it."""

# schemathesis is typed in part only:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.relay.api.harness import INTEGRATOR
from tests.relay.api.threaded import in_a_thread
from tests.relay.jit.reception import ALICE, reception
from tests.relay.jit.test_jit_policy_calls import ADMIN, admin_key

from quorumkey.errors import ERRORS
from quorumkey_relay.api.jit_routes import JIT_ROUTES, PEOPLE_ROUTES, POLICY_ROUTES
from quorumkey_relay.api.openapi import build_document
from quorumkey_relay.api.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from schemathesis import Case
    from schemathesis.schemas import BaseSchema


@dataclass
class Served:
    """A relay that another thread serves, and what lets a person and an admin in."""

    url: str
    person: str
    admin: str
    document: dict[str, Any]
    page: str


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Served]:
    """Serve a relay, and sign a person and an admin in."""
    async with reception(folder, {"eligibility": {"api": True}}) as office:
        await admin_key(office, INTEGRATOR, ADMIN)
        document = (await office.house.http.get("/openapi.json")).json()
        page = (await office.house.http.get("/docs")).text
        person = office.signed_in(ALICE)["Authorization"]
        yield Served(office.house.url, person, f"Bearer {ADMIN}", document, page)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """One relay for all calls."""
    with in_a_thread(opened(tmp_path_factory.mktemp("reception"))) as running:
        yield running


def test_the_document_has_every_route(served: Served) -> None:
    """A relay with just-in-time access describes it beside the rest, each by a name of its own."""
    operations = [
        (method.upper(), path, operation["operationId"])
        for path, item in served.document["paths"].items()
        for method, operation in item.items()
    ]

    assert {(verb, path) for verb, path, _ in operations} == {
        (route.method, route.path) for route in (*ROUTES, *JIT_ROUTES)
    } | {("GET", "/openapi.json"), ("GET", "/docs")}
    assert len(operations) == len({name for _, _, name in operations})


def test_every_reference_of_it_leads_somewhere(served: Served) -> None:
    """Every schema that it names is there, and every error code is one of the protocol's."""
    names = set(re.findall(r"#/components/schemas/([^'\"]+)", str(served.document)))

    assert names <= served.document["components"]["schemas"].keys()
    assert {code for route in JIT_ROUTES for code in route.errors} <= ERRORS.keys()


def test_calls_of_people_are_described(served: Served) -> None:
    """What a person calls needs the header and a token, and refuses in its own form (C34)."""
    operation = served.document["paths"]["/jit/api/projects/{project}/roles/request"]["post"]

    parameters = {one["name"]: one.get("required", False) for one in operation["parameters"]}
    assert parameters == {"project": True, "X-JITACCESS": True}
    assert operation["security"] == [{"person": []}]
    assert operation["tags"] == ["Just-in-time access"]
    assert {"400", "401", "403", "404", "406", "500", "502"} <= operation["responses"].keys()
    assert "failed_precondition" in operation["responses"]["400"]["description"]
    schema = operation["responses"]["403"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/JitErrorDocument"}


def test_people_read_of_it_too(served: Served) -> None:
    """The page of the API shows it under a heading of its own."""
    assert "<h2>Just-in-time access</h2>" in served.page


def described() -> BaseSchema:
    """What people and admins call."""
    document = build_document((*PEOPLE_ROUTES, *POLICY_ROUTES), version="0")
    return schemathesis.openapi.from_dict(msgspec.to_builtins(document))


schema = described()


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
def test_answers_are_as_documented(case: Case[Any], served: Served) -> None:
    """Any call is answered with a documented status and body, and never with a defect."""
    token = served.person if case.path.startswith("/jit/") else served.admin
    answer = case.call(base_url=served.url, headers={"Authorization": token})
    case.validate_response(answer, excluded_checks=[positive_data_acceptance])

    assert "internal_error" not in answer.text
