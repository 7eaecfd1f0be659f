"""Calls made from the OpenAPI document: none gives a 500, and every answer is as documented."""

# schemathesis is typed in part only:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.relay.api.harness import API_KEY, house
from tests.relay.api.threaded import in_a_thread

from quorumkey_relay.api.openapi import build_document
from quorumkey_relay.api.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from schemathesis import Case
    from schemathesis.schemas import BaseSchema


@dataclass
class Served:
    """A relay that another thread serves, and a device's session on it."""

    url: str
    session: str


@asynccontextmanager
async def opened(data_dir: Path) -> AsyncGenerator[Served]:
    """Serve a relay, and open a device's session on it."""
    async with house(data_dir) as running:
        device = await running.device("alice")
        await running.ask(device)
        session = (await running.session(device))["Authorization"]
        yield Served(running.url, session)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served, None, None]:
    """One relay for all calls."""
    with in_a_thread(opened(tmp_path_factory.mktemp("relay"))) as running:
        yield running


def described() -> BaseSchema:
    """The document that every relay serves, without the stream that never ends."""
    document = build_document(ROUTES, version="0")
    return schemathesis.openapi.from_dict(msgspec.to_builtins(document)).exclude(path="/v1/events")


schema = described()


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
def test_answers_are_as_documented(case: Case[Any], served: Served) -> None:
    """Any call is answered with a documented status and body, and never with a 500.

    That a body of the documented shape is accepted is not asked: a schema cannot say that a
    signature verifies.
    """
    token = served.session if case.path.startswith("/v1/device/") else f"Bearer {API_KEY}"
    case.call_and_validate(
        base_url=served.url,
        headers={"Authorization": token},
        excluded_checks=[positive_data_acceptance],
    )
