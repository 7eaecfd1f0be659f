"""Guards of two service processes, and one in this process, against a relay process."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, cast

import httpx2
import pytest
from tests.e2e.protected_service import ALICE, KILL, RENAME, REQUEST
from tests.e2e.protected_shop import LONG_AGO, Shop, shop_in

from quorumkey import Action, AsyncClient, Client, group
from quorumkey.errors import ConflictError
from quorumkey.protection import (
    Caller,
    Proceed,
    ProtectionUnavailable,
    ResultNotReportedError,
    Run,
    TransactionState,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from quorumkey.protection import Guard, Request

CALLS = 16


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Shop, None, None]:
    """One relay for the tests of this file."""
    with shop_in(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture
def own_shop(tmp_path: Path) -> Generator[Shop, None, None]:
    """A relay for one test alone."""
    with shop_in(tmp_path) as running:
        yield running


async def waits(guard: Guard, request: Request, caller: Caller = ALICE) -> str:
    """Call the method, which waits; answers the txid."""
    verdict = await guard.check(KILL, caller, request)
    assert isinstance(verdict, Wait)
    return verdict.txid


class Losing(httpx2.AsyncHTTPTransport):
    """A network that loses the answers of the next checks, after the relay made them."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, and perhaps lose the answer."""
        response = await super().handle_async_request(request)
        if self.losses and request.url.path == "/v1/protection/check":
            self.losses -= 1
            await response.aclose()
            raise httpx2.ReadError("lost")
        return response


def test_32_calls_of_two_processes_run_once(own_shop: Shop) -> None:
    """Of 32 identical calls at once through two processes one runs, the others wait for one."""
    txid = own_shop.approved()
    with own_shop.service(CALLS) as one, own_shop.service(CALLS) as other:
        one.go()
        other.go()
        answers = Counter(str(each) for said in (one.says(), other.says()) for each in _list(said))

    assert 1 == own_shop.executions
    assert 1 == answers.pop("ran")
    (anew,) = answers
    assert (2 * CALLS - 1, True) == (answers[anew], anew != txid)
    assert TransactionState.EXECUTED is state_of(own_shop, txid)


def test_a_service_killed_while_it_runs_a_call(own_shop: Shop) -> None:
    """After kill -9 between claim and result the call is indeterminate, and never runs again."""
    txid = own_shop.approved()
    with own_shop.service(0) as service:
        service.go()
        assert "running" == service.says()
        service.process.kill()
        service.process.wait()

    async def again() -> tuple[str, TransactionState]:
        async with own_shop.guard() as guard:
            return await own_shop.opened(guard), (await guard.transaction(txid)).state

    anew, state = asyncio.run(again())
    assert TransactionState.CLAIMED is state
    assert anew != txid

    own_shop.forward(LONG_AGO)

    assert (anew, TransactionState.INDETERMINATE) == asyncio.run(again())
    assert 1 == own_shop.executions


def test_a_result_after_the_hour_is_refused(own_shop: Shop) -> None:
    """A service that comes back too late is told that its call is indeterminate by now."""
    txid = own_shop.approved()

    async def inside() -> None:
        async with own_shop.guard() as guard:
            verdict = await guard.check(KILL, ALICE, REQUEST)
            assert isinstance(verdict, Run)
            await asyncio.to_thread(own_shop.forward, LONG_AGO)
            with pytest.raises(ResultNotReportedError, match="request_completed"):
                await verdict.claim.complete()
            assert TransactionState.INDETERMINATE is (await guard.transaction(txid)).state

    asyncio.run(inside())


def test_a_lost_answer_is_asked_for_again(shop: Shop) -> None:
    """A claim whose answer was lost is given again: at once, and to the identical call later on."""

    async def inside() -> None:
        network = Losing()
        async with shop.guard(network) as guard:
            for number, losses in enumerate((1, 3)):
                request: Request = {"lost": number}
                txid = await waits(guard, request)
                await shop.approve(txid)
                network.losses = losses
                if losses == 3:  # as often as the question is repeated
                    with pytest.raises(ProtectionUnavailable):
                        await guard.check(KILL, ALICE, request)
                verdict = await guard.check(KILL, ALICE, request)
                assert isinstance(verdict, Run)
                assert txid == verdict.txid
                async with verdict.claim:
                    pass
                transaction = await guard.transaction(txid)
                assert TransactionState.EXECUTED is transaction.state
                assert txid != await waits(guard, request)

    asyncio.run(inside())


def test_only_the_identical_call_matches(shop: Shop) -> None:
    """A changed byte or another caller is another call; the order of members is not."""

    async def inside() -> None:
        async with shop.guard() as guard:
            txid = await waits(guard, {"tag": "x", "pid": 1})

            assert txid == await waits(guard, {"pid": 1, "tag": "x"})
            others = [
                await waits(guard, {"tag": "X", "pid": 1}),
                await waits(guard, {"tag": "x", "pid": "1"}),
                await waits(guard, {"tag": "x", "pid": 1}, Caller("person", "bob")),
                await waits(guard, {"tag": "x", "pid": 1}, Caller("api_key", "alice")),
            ]
            assert 5 == len({txid, *others})

    asyncio.run(inside())


def test_a_condition_on_the_resource(shop: Shop) -> None:
    """A condition that the relay evaluates decides: false proceeds, true and unknown wait."""

    async def inside() -> None:
        async with shop.guard() as guard:

            async def verdict(resource: Mapping[str, str]) -> type:
                return type(
                    await guard.check("DeleteRule", ALICE, {"id": "r1"}, resource=dict(resource))
                )

            assert Proceed is await verdict({"tag": "local"})
            assert Wait is await verdict({"tag": "global"})
            assert Wait is await verdict({"other": "global"})

    asyncio.run(inside())


def test_a_large_request_waits_by_its_digest(shop: Shop) -> None:
    """A request over 64 KiB can be approved and run, though nobody sees it."""

    async def inside() -> None:
        request: Request = {"blob": "x" * 1_000_000}
        async with shop.guard() as guard:
            txid = await waits(guard, request)
            await shop.approve(txid)
            verdict = await guard.check(KILL, ALICE, request)
            assert isinstance(verdict, Run)
            assert txid == verdict.txid
            await verdict.claim.complete("sha256:" + "0" * 64)
            transaction = await guard.transaction(txid)
            assert transaction.claim is not None
            assert "sha256:" + "0" * 64 == transaction.claim.result_digest

    asyncio.run(inside())


def test_a_change_by_the_operator_is_heard(own_shop: Shop) -> None:
    """A method that the operator protects waits once the guard's held question is answered."""

    async def inside() -> None:
        async with own_shop.guard() as guard:
            assert not guard.may_wait(RENAME, ALICE)
            before = guard.revision
            assert before is not None

            await asyncio.to_thread(own_shop.operate, "protection", "add", RENAME)
            await guard.reach(before + 1)

            assert guard.may_wait(RENAME, ALICE)
            assert isinstance(await guard.check(RENAME, ALICE, {}), Wait)

    asyncio.run(inside())


def test_a_guard_outlives_its_relay(own_shop: Shop) -> None:
    """While the relay is away nothing protected runs; when it is back the guard goes on."""

    async def inside() -> None:
        async with own_shop.guard() as guard:
            txid = await own_shop.opened(guard)
            await asyncio.to_thread(own_shop.relay.stop)
            with pytest.raises(ProtectionUnavailable):
                await guard.check(KILL, ALICE, REQUEST)
            await asyncio.to_thread(own_shop.relay.start)

            assert txid == await own_shop.opened(guard)

    asyncio.run(inside())


def test_an_ordinary_approval_is_claimed_once(shop: Shop) -> None:
    """An integrator may claim an approval of its own: one does, and records what came of it."""
    action = Action("cold_boot", "Cold boot engine ENG-001")
    with Client(shop.relay.url, shop.relay.api_key) as client:
        bob = next(client.devices.list(approver_id="bob"))
        created = client.requests.create(action=action, groups=[group("Bob", bob)], required=1)
        with pytest.raises(ConflictError, match="not_completed"):
            client.requests.claim(created.request_id)
        asyncio.run(shop.approve(created.request_id))

        key = "an-attempt-of-our-own"
        claim = client.requests.claim(created.request_id, claim_key=key)
        assert claim == client.requests.claim(created.request_id, claim_key=key)
        with pytest.raises(ConflictError, match="request_completed"):
            client.requests.claim(created.request_id)

        settled = client.requests.settle(claim.claim_id, "error")
        assert settled == client.requests.settle(claim.claim_id, "error")
        assert ("error", created.request_id) == (settled.result, settled.txid)
        with pytest.raises(ConflictError, match="request_completed"):
            client.requests.settle(claim.claim_id, "ok")


def test_an_ordinary_approval_is_claimed_in_an_event_loop(shop: Shop) -> None:
    """The awaited client claims and settles as the blocking one does."""

    async def inside() -> None:
        async with AsyncClient(shop.relay.url, shop.relay.api_key) as client:
            bob = await anext(client.devices.list(approver_id="bob"))
            created = await client.requests.create(
                action=Action("cold_boot", "Cold boot engine ENG-001"),
                groups=[group("Bob", bob)],
                required=1,
            )
            await shop.approve(created.request_id)
            claim = await client.requests.claim(created.request_id)
            settled = await client.requests.settle(
                claim.claim_id, "ok", result_digest="sha256:" + "0" * 64
            )

        assert settled.execution is not None
        assert ("ok", "sha256:" + "0" * 64) == (settled.result, settled.result_digest)

    asyncio.run(inside())


def state_of(shop: Shop, txid: str) -> TransactionState:
    """How a transaction stands."""

    async def inside() -> TransactionState:
        async with shop.guard() as guard:
            return (await guard.transaction(txid)).state

    return asyncio.run(inside())


def _list(said: object) -> list[object]:
    assert isinstance(said, list)
    return cast("list[object]", said)
