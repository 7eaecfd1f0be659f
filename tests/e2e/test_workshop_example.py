"""examples/workshop in both variants, answered with the command ``quorumkey mpa``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import httpx2
import pytest
from examples.workshop import workshop_pb2, workshop_pb2_grpc
from grpc import aio
from tests.e2e.sdk_relay_process import relay_process
from tests.e2e.workshop_process import Town, settle, workshop_process

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Generator[Town, None, None]:
    """One relay for the tests of this file."""
    folder = tmp_path_factory.mktemp("workshop")
    with relay_process(folder) as relay:
        yield settle(relay, folder)


@pytest.fixture
def site(town: Town) -> Generator[str, None, None]:
    """The ASGI variant."""
    with workshop_process(town, "asgi") as address:
        yield f"http://{address}"


@pytest.fixture
def server(town: Town) -> Generator[str, None, None]:
    """The gRPC variant."""
    with workshop_process(town, "grpc") as address:
        yield address


def delete_rule(server: str, rule_id: str, person: str = "alice") -> tuple[grpc.StatusCode, str]:
    """Call DeleteRule; the status, and the transaction where there is one."""

    async def inside() -> tuple[grpc.StatusCode, str]:
        async with aio.insecure_channel(server) as channel:
            metadata = (("authorization", f"Bearer token-of-{person}"),)
            request = workshop_pb2.DeleteRuleRequest(rule_id=rule_id)
            call = workshop_pb2_grpc.WorkshopStub(channel).DeleteRule(request, metadata=metadata)
            status = await call.code()
            trailers = dict(await call.trailing_metadata())
            return status, str(trailers.get("x-mpa-txid", ""))

    return asyncio.run(inside())


WAITS = grpc.StatusCode.FAILED_PRECONDITION


def test_the_asgi_variant_from_refusal_to_execution(town: Town, site: str) -> None:
    """A call waits, is approved at the command line, runs once in another spelling, waits again."""
    path, headers = f"{site}/KillProcessOnHostsWithTag", town.headers("alice")
    with httpx2.Client(headers=headers) as client:
        refused = client.post(path, json={"tag": "build", "process": "miner"})
        txid = refused.headers["x-mpa-txid"]
        before = client.get(f"{site}/hosts").json()
        listed = town.txids("bob")
        approved = town.mpa("bob", "approve", txid, "--yes", "--json")
        ran = client.post(path, json={"process": "miner", "tag": "build"})
        again = client.post(path, json={"tag": "build", "process": "miner"})
        shown = town.mpa("alice", "show", txid, "--json").object
        other = again.headers["x-mpa-txid"]
        cancelled = town.mpa("alice", "cancel", other, "--yes", "--json").object

    assert (409, [txid]) == (refused.status_code, listed)
    assert all("miner" in host["processes"] for host in before)
    assert "approved" == approved.object["state"]
    assert (200, {"hosts": ["build-1", "build-2"]}) == (ran.status_code, ran.json())
    assert ("executed", "ok") == (shown["state"], shown["result"])
    assert (409, True) == (again.status_code, other != txid)
    assert "cancelled" == cancelled["state"]


def test_the_asgi_variant_knows_its_callers(site: str) -> None:
    """Nobody without a token gets as far as a transaction."""
    refused = httpx2.post(f"{site}/DeleteRule", json={"rule_id": "rule-1"})

    assert 401 == refused.status_code


def test_the_condition_sees_what_the_resolver_finds(town: Town, server: str) -> None:
    """A rule for one tag goes at once; the global one, and one that nobody knows, wait."""
    at_once, _ = delete_rule(server, "rule-2")
    by_all, first = delete_rule(server, "rule-1")
    unknown, second = delete_rule(server, "rule-9")
    rejected = town.mpa("bob", "reject", first, "--yes", "--json").object
    town.mpa("alice", "cancel", second, "--yes")
    fresh, third = delete_rule(server, "rule-1")
    town.mpa("alice", "cancel", third, "--yes")

    assert (grpc.StatusCode.OK, WAITS, WAITS, WAITS) == (at_once, by_all, unknown, fresh)
    assert "rejected" == rejected["state"]
    assert third != first


def test_an_approved_call_is_taken_back_before_it_runs(town: Town, server: str) -> None:
    """Its caller cancels it after the approval; issued again, it waits anew."""
    _, txid = delete_rule(server, "rule-1")
    town.mpa("bob", "approve", txid, "--yes")
    late = town.mpa("bob", "reject", txid, "--yes")
    cancelled = town.mpa("alice", "cancel", txid, "--yes", "--json").object
    status, other = delete_rule(server, "rule-1")
    town.mpa("alice", "cancel", other, "--yes")

    assert (1, "cancelled") == (late.status, cancelled["state"])
    assert (WAITS, True) == (status, txid != other)


def test_what_became_of_an_approved_call_is_recorded(town: Town, server: str) -> None:
    """A handler that aborts uses its approval up, and the transaction says that it failed."""
    _, txid = delete_rule(server, "rule-9")
    town.mpa("bob", "approve", txid, "--yes")
    status, _ = delete_rule(server, "rule-9")
    shown = town.mpa("alice", "show", txid, "--json").object

    assert (grpc.StatusCode.NOT_FOUND, "failed", "error") == (
        status,
        shown["state"],
        shown["result"],
    )


def test_another_caller_cannot_use_an_approval(town: Town, server: str) -> None:
    """Bob's identical call does not run on what was approved for Alice."""
    _, txid = delete_rule(server, "rule-1", "alice")
    town.mpa("bob", "approve", txid, "--yes")
    status, other = delete_rule(server, "rule-1", "bob")
    town.mpa("bob", "cancel", other, "--yes")
    ran, _ = delete_rule(server, "rule-1", "alice")

    assert (WAITS, True) == (status, txid != other)
    assert grpc.StatusCode.OK == ran


def test_parallel_reissues_run_once(town: Town, server: str) -> None:
    """Of eight identical calls at once one runs, and the others wait under one new transaction."""

    async def inside() -> list[str]:
        async with aio.insecure_channel(server) as channel:
            stub = workshop_pb2_grpc.WorkshopStub(channel)
            request = workshop_pb2.KillProcessOnHostsWithTagRequest(tag="office", process="miner")
            metadata = (("authorization", "Bearer token-of-alice"),)
            calls = [stub.KillProcessOnHostsWithTag(request, metadata=metadata) for _ in range(8)]
            trailers = [dict(await call.trailing_metadata()) for call in calls]
            assert {await call.code() for call in calls} <= {grpc.StatusCode.OK, WAITS}
        return [str(one.get("x-mpa-txid", "ran")) for one in trailers]

    (first,) = set(asyncio.run(inside()))
    town.mpa("bob", "approve", first, "--yes")
    outcomes = asyncio.run(inside())
    second = set(outcomes) - {"ran"}
    for txid in second:
        town.mpa("alice", "cancel", txid, "--yes")

    assert 1 == outcomes.count("ran")
    assert 1 == len(second)
    assert first not in second
