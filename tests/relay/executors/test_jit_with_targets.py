"""Activations from the request to their end, with real executors behind the relay (C9 to C12)."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.receiver import answer, receiving
from tests.relay.executors.parts import PROJECT, ROLE
from tests.relay.jit.desk import ALICE, BOB, CAROL, Desk, RecordedTarget, Surroundings, token_of
from tests.relay.jit.desk import desk as open_desk
from tests.relay.simulator import ACME, ManualClock, refused

from quorumkey.jit import read_call
from quorumkey.protocol.webhook import generate_secret
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.executors.memberships import quoted
from quorumkey_relay.executors.postgresql import PostgresqlExecutor
from quorumkey_relay.executors.webhook import WebhookExecutor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.relay.delivery.receiver import Receiver
    from tests.relay.executors.parts import CloudRig
    from tests.relay.executors.postgres import Server

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import ApprovalMode
    from quorumkey_relay.usecases.jit.ports import Executor

pytestmark = pytest.mark.anyio

SECRET = generate_secret(bytes(range(32)))
REPORTS = "reports"
IS_MEMBER = "SELECT pg_has_role($1::name, $2::name, 'member')"
HALF_AN_HOUR = 1_800


@dataclass
class Behind(RecordedTarget):
    """Hands on what it is asked for to a real executor, and notes what that has confirmed."""

    executor: Executor | None = None

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Note the grant once it is confirmed."""
        assert self.executor is not None
        await self.executor.grant(activation, evidence)
        await super().grant(activation, evidence)

    async def revoke(self, activation: Activation) -> None:
        """Note the end once it is confirmed."""
        assert self.executor is not None
        await self.executor.revoke(activation)
        await super().revoke(activation)


@asynccontextmanager
async def relay(
    folder: Path,
    executor: Executor,
    clock: ManualClock | None = None,
    *,
    approval: ApprovalMode = "click",
) -> AsyncGenerator[Desk, None]:
    """A relay whose roles this executor grants."""
    target = Behind(executor=executor, expires_by_itself=executor.expires_by_itself)
    around = Surroundings(clock=clock, target=target)
    async with open_desk(folder, around, approval=approval) as opened:
        yield opened


@pytest.fixture
async def cloud(tmp_path: Path, google: CloudRig) -> AsyncGenerator[Desk, None]:
    """A relay that grants in Google Cloud, on its clock."""
    async with relay(tmp_path, google.executor, google.clock) as opened:
        yield opened


@pytest.fixture
async def database(tmp_path: Path, postgresql_server: Server) -> AsyncGenerator[Desk, None]:
    """A relay that grants a role of a PostgreSQL server to Alice."""
    await postgresql_server.run(
        "ALTER ROLE relay LOGIN",
        "DROP SCHEMA IF EXISTS quorumkey_jit CASCADE",
        f"DROP ROLE IF EXISTS {REPORTS}, {quoted(ALICE.email)}",
        f"CREATE ROLE {REPORTS}",
        f"CREATE ROLE {quoted(ALICE.email)} LOGIN",
        f"GRANT {REPORTS} TO relay WITH ADMIN OPTION",
    )
    executor = PostgresqlExecutor(
        name="target", dsn=postgresql_server.dsn(), user_of=str, ends_sessions=True
    )
    async with relay(tmp_path, executor) as opened:
        opened.policy.put(REPORTS, "has({}.multiPartyApprovalConstraint)", "alice", "bob")
        yield opened


async def test_c09_a_role_is_there_and_gone_in_time(cloud: Desk, google: CloudRig) -> None:
    """Bob approves, the policy has the binding, half an hour later Alice has the role no more."""
    view = await cloud.approve(await cloud.ask())
    during = google.has_role()

    cloud.sim.clock.advance(HALF_AN_HOUR)
    await cloud.done()

    assert ("ACTIVE", True, False) == (view.entitlements[0].status, during, google.has_role())
    assert ("ENDED", []) == (await cloud.status(view), cloud.target.revoked)


async def test_c10_four_concurrent_changes_hold_nobody_up(cloud: Desk, google: CloudRig) -> None:
    """The reviewer's answer says that the role is there."""
    google.cloud.faults.conflicts = 4
    google.cloud.faults.conflict_status = 412

    view = await cloud.approve(await cloud.ask())

    assert ("ACTIVE", True) == (view.entitlements[0].status, google.has_role())


async def test_c10_after_five_concurrent_changes_it_is_tried_again(
    cloud: Desk, google: CloudRig
) -> None:
    """The role is still being granted, and is there once the policy rests."""
    google.cloud.faults.conflicts = 5
    google.cloud.faults.conflict_status = 412
    view = await cloud.approve(await cloud.ask())
    before = (view.entitlements[0].status, google.has_role())

    cloud.sim.clock.advance(1)
    await cloud.done()

    assert (("GRANTING", False), "ACTIVE", True) == (
        before,
        await cloud.status(view),
        google.has_role(),
    )


async def test_c11_a_lost_answer_leaves_one_binding(cloud: Desk, google: CloudRig) -> None:
    """Google did it and its answer was lost: the next try finds it, with the same window."""
    google.cloud.faults.lost_answers = 1
    view = await cloud.approve(await cloud.ask())

    cloud.sim.clock.advance(1)
    await cloud.done()

    assert ("ACTIVE", 1) == (await cloud.status(view), len(google.temporary))
    assert 1 == [method for method, _ in google.methods].count("setIamPolicy")


async def test_a_role_that_google_refuses_has_failed(cloud: Desk, google: CloudRig) -> None:
    """A final no is told at once, and the policy is what it was."""
    google.cloud.faults.statuses = [403]

    view = await cloud.ask()

    refusal = await refused(cloud.cases.approve(BOB, token_of(view)))

    assert ("backend_failed", "FAILED", []) == (
        refusal.code,
        await cloud.status(view),
        google.temporary,
    )


async def test_c12_a_second_reviewer_is_shown_in_the_policy(cloud: Desk, google: CloudRig) -> None:
    """Bob and then Carol approve: one binding, the same window, Carol's name."""
    view = await cloud.ask(BOB, CAROL)
    await cloud.approve(view, BOB)
    before = str(google.temporary[0]["condition"])

    cloud.sim.clock.advance(60)
    await cloud.approve(view, CAROL)
    await cloud.done()

    (binding,) = google.temporary
    assert before.replace("bob@", "carol@") == str(binding["condition"])


async def test_c11_an_extension_in_google_cloud(cloud: Desk, google: CloudRig) -> None:
    """A second request leads to one binding that lasts longer; the first end changes nothing."""
    await cloud.approve(await cloud.ask())
    cloud.sim.clock.advance(HALF_AN_HOUR - 60)
    await cloud.approve(await cloud.ask(justification="BUG-2"))

    cloud.sim.clock.advance(60)
    await cloud.done()

    assert (1, True, []) == (len(google.temporary), google.has_role(), cloud.target.revoked)


async def test_a_role_in_google_cloud_is_revoked_early(cloud: Desk, google: CloudRig) -> None:
    """Alice gives it back, and the binding is gone long before its end."""
    view = await cloud.approve(await cloud.ask())

    await cloud.cases.revoke(ALICE, str(view.entitlements[0].activation_id))
    await cloud.done()

    assert (False, []) == (google.has_role(), google.temporary)


async def test_c11_a_membership_ends_with_the_first_look_after_its_end(
    database: Desk, postgresql_server: Server
) -> None:
    """PostgreSQL ends nothing by itself: the sweeper does, at the very second of the end."""
    view = await database.approve(await database.ask(role=REPORTS))
    during = await postgresql_server.value(IS_MEMBER, ALICE.email, REPORTS)
    database.sim.clock.advance(HALF_AN_HOUR - 1)
    await database.done()
    before_the_end = await postgresql_server.value(IS_MEMBER, ALICE.email, REPORTS)

    database.sim.clock.advance(1)
    await database.done()

    at_the_end = await postgresql_server.value(IS_MEMBER, ALICE.email, REPORTS)
    assert (True, True, False) == (during, before_the_end, at_the_end)
    assert "ENDED" == await database.status(view)


async def test_a_membership_is_taken_back_however_long_it_takes(
    database: Desk, postgresql_server: Server
) -> None:
    """Even a server that refuses the relay's sign-in for good is asked again until it does it."""
    view = await database.approve(await database.ask(role=REPORTS))
    await postgresql_server.run("ALTER ROLE relay NOLOGIN")
    database.sim.clock.advance(HALF_AN_HOUR)
    await database.done()
    while_refused = await postgresql_server.value(IS_MEMBER, ALICE.email, REPORTS)

    await postgresql_server.run("ALTER ROLE relay LOGIN")
    database.sim.clock.advance(60)
    await database.done()

    afterwards = await postgresql_server.value(IS_MEMBER, ALICE.email, REPORTS)
    assert (True, False) == (while_refused, afterwards)
    assert "ENDED" == await database.status(view)


async def test_c11_an_extension_in_postgresql(database: Desk, postgresql_server: Server) -> None:
    """The end of the first activation leaves the membership to the second, whose end ends it."""
    await database.approve(await database.ask(role=REPORTS))
    database.sim.clock.advance(HALF_AN_HOUR - 60)
    await database.approve(await database.ask(role=REPORTS, justification="BUG-2"))
    had: list[object] = []
    for seconds in (60, HALF_AN_HOUR - 60):
        database.sim.clock.advance(seconds)
        await database.done()
        had.append(await postgresql_server.value(IS_MEMBER, ALICE.email, REPORTS))

    assert [True, False] == had


@pytest.fixture
async def endpoint(anyio_backend: object) -> AsyncGenerator[Receiver, None]:
    """An endpoint that needs a second to grant a role."""
    del anyio_backend
    async with receiving() as receiver:
        receiver.answers = [answer(202), answer(200, body=b'{"status":"done"}')]
        yield receiver


@pytest.fixture
async def hooked(tmp_path: Path, endpoint: Receiver) -> AsyncGenerator[Desk, None]:
    """A relay that asks the endpoint, and whose reviewers sign; Bob has a device."""
    clock = ManualClock()
    egress = Egress(clock=clock, unsafe_hosts=frozenset({"localhost"}))
    executor = WebhookExecutor(
        name="target",
        url=endpoint.url,
        secret=SECRET,
        expires_by_itself=False,
        timeout_seconds=10,
        egress=egress,
        clock=clock,
    )
    async with relay(tmp_path, executor, clock, approval="device") as opened:
        await opened.equip(BOB)
        yield opened
    await egress.close()


async def test_an_endpoint_can_prove_who_approved(hooked: Desk, endpoint: Receiver) -> None:
    """What Bob's device signed reaches the endpoint, which checks it with keys of its own."""
    view = await hooked.ask(BOB)
    await hooked.vote(view)
    not_yet = await hooked.status(view)
    hooked.sim.clock.advance(1)
    await hooked.done()

    first, second = endpoint.received
    now = hooked.sim.clock.now()
    call = read_call(second.headers, second.body, SECRET, now)
    proof = call.verify(
        relay_public_keys=[hooked.sim.relay.keys.current(now).public_key],
        integrator_id=ACME.id,
        now=now,
        reviewers={BOB.email: [hooked.devices[BOB.email].key.public_key]},
    )

    assert ("GRANTING", "ACTIVE") == (not_yet, await hooked.status(view))
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert (PROJECT, ROLE, proof.start, proof.end) == (
        call.activation.project,
        call.activation.role,
        call.activation.start,
        call.activation.end,
    )


async def test_an_endpoint_is_asked_for_the_end(hooked: Desk, endpoint: Receiver) -> None:
    """At the end of the window the endpoint is asked to take the role back, once."""
    view = await hooked.ask(BOB)
    await hooked.vote(view)
    hooked.sim.clock.advance(1)
    await hooked.done()

    hooked.sim.clock.advance(HALF_AN_HOUR)
    await hooked.done()

    kinds = [json.loads(received.body)["type"] for received in endpoint.received]
    assert ["jit.grant", "jit.grant", "jit.revoke"] == kinds
    assert "ENDED" == await hooked.status(view)
