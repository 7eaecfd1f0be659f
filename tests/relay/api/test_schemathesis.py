"""Calls made from the OpenAPI document: none gives a 500, and every answer is as documented."""

# schemathesis is typed in part only:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import schemathesis
import uvloop
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.relay.api.harness import API_KEY, house

from quorumkey_relay.api.openapi import build_document
from quorumkey_relay.api.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from schemathesis import Case
    from schemathesis.schemas import BaseSchema


@dataclass
class Served:
    """A relay that another thread serves, and a device's session on it."""

    url: str
    session: str


@contextmanager
def in_a_thread(data_dir: Path) -> Generator[Served, None, None]:
    """Serve a relay in a thread of its own, as the caller's calls block."""
    ready: list[Served] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with house(data_dir) as running:
            device = await running.device("alice")
            await running.ask(device)
            session = (await running.session(device))["Authorization"]
            ready.append(Served(running.url, session))
            started.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served, None, None]:
    """One relay for all calls."""
    with in_a_thread(tmp_path_factory.mktemp("relay")) as running:
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
