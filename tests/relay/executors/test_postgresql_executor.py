"""Granting memberships, against a PostgreSQL server of this machine's own kind (C9, C11)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.relay.executors.parts import ALICE, END, activation
from tests.relay.executors.postgres import LOST

from quorumkey_relay.eligibility.mapping import MappingError
from quorumkey_relay.executors.memberships import Membership, quoted, take
from quorumkey_relay.executors.postgresql import PostgresqlExecutor
from quorumkey_relay.standins import credentials
from quorumkey_relay.standins.credentials import Files
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.relay.executors.postgres import Server

    from quorumkey_relay.domain.jit.activation import Activation

pytestmark = pytest.mark.anyio

REPORTS = "reports"
ODD_ROLE = 'odd "role"; DROP TABLE x; --'
ODD_USER = 'o\'hara \\ "x"@example.com'
FRESH = (
    "DROP SCHEMA IF EXISTS quorumkey_jit CASCADE",
    *(
        f"DROP ROLE IF EXISTS {quoted(name)}"
        for name in (REPORTS, ODD_ROLE, ALICE, ODD_USER, "carol")
    ),
    f"CREATE ROLE {REPORTS}",
    f"CREATE ROLE {quoted(ODD_ROLE)}",
    f"CREATE ROLE {quoted(ALICE)} LOGIN",
    f"CREATE ROLE {quoted(ODD_USER)} LOGIN",
    f"GRANT {REPORTS}, {quoted(ODD_ROLE)} TO relay WITH ADMIN OPTION",
)
IS_MEMBER = "SELECT pg_has_role($1::name, $2::name, 'member')"
MEMBERSHIPS = "SELECT count(*) FROM quorumkey_jit.memberships"


def executor(
    server: Server,
    *,
    dsn: str | None = None,
    user_of: Callable[[str], str] = str,
    ends_sessions: bool = True,
    timeout_seconds: float = 10,
) -> PostgresqlExecutor:
    """The executor, signed in as the relay's role."""
    return PostgresqlExecutor(
        name="reports",
        dsn=dsn or server.dsn(),
        user_of=user_of,
        ends_sessions=ends_sessions,
        timeout_seconds=timeout_seconds,
    )


def asked(
    role: str = REPORTS, *, condition: str = "", project: str = "warehouse", **members: object
) -> Activation:
    """An activation of a PostgreSQL role."""
    return activation(role=role, project=project, condition=condition, **members)


NEWER = asked(activation_id="0193d3c1-6b1e-7000-8000-000000000002", end=END + 600)


@pytest.fixture
async def server(postgresql_server: Server, anyio_backend: object) -> Server:
    """The server, with the roles of these tests and no memberships."""
    del anyio_backend
    await postgresql_server.run(*FRESH)
    return postgresql_server


async def is_member(server: Server, user: str = ALICE, role: str = REPORTS) -> bool:
    """Whether the server lets somebody use a role."""
    return bool(await server.value(IS_MEMBER, user, role))


async def failure(tried: PostgresqlExecutor, wanted: Activation) -> GrantFailed:
    """Why a role was not granted."""
    with pytest.raises(GrantFailed) as caught:
        await tried.grant(wanted, None)
    return caught.value


async def test_a_member_for_a_while(server: Server) -> None:
    """Granting makes the person a member, revoking ends it, and nothing is left behind."""
    target = executor(server)

    await target.grant(asked(), None)
    during = await is_member(server)
    await target.revoke(asked())

    assert (True, False) == (during, await is_member(server))
    assert 0 == await server.value(MEMBERSHIPS)


async def test_c11_granting_twice_is_granting_once(server: Server) -> None:
    """A second grant changes nothing, and one revoke ends both."""
    target = executor(server)

    await target.grant(asked(), None)
    await target.grant(asked(), None)
    during = await server.value(MEMBERSHIPS)
    await target.revoke(asked())

    assert (1, False) == (during, await is_member(server))


async def test_revoking_what_was_never_granted(server: Server) -> None:
    """It is fine before the first grant ever, after one, and for roles that are not there."""
    target = executor(server)

    await target.revoke(asked())
    await target.grant(asked(), None)
    await target.revoke(asked())
    await target.revoke(asked())
    await target.revoke(asked(role="nobody"))

    assert not await is_member(server)


async def test_who_was_a_member_before_stays_one(server: Server) -> None:
    """A membership that the relay has not given is not ended by it."""
    await server.run(f"GRANT {REPORTS} TO {quoted(ALICE)}")
    target = executor(server)

    await target.grant(asked(), None)
    await target.revoke(asked())

    assert await is_member(server)


async def test_c11_an_extension_outlasts_the_first(server: Server) -> None:
    """The membership belongs to the newer activation: the older one's end does not end it."""
    target = executor(server)
    await target.grant(asked(), None)

    await target.grant(NEWER, None)
    await target.revoke(asked())
    after_the_first = await is_member(server)
    await target.revoke(NEWER)

    assert (True, False) == (after_the_first, await is_member(server))


async def test_two_projects_can_lead_to_one_membership(server: Server) -> None:
    """It lasts until the last of them has ended, whichever was granted first."""
    target = executor(server)
    here = asked()
    there = asked(project="lake", activation_id="0193d3c1-6b1e-7000-8000-000000000003")
    await target.grant(there, None)
    await target.grant(here, None)

    await target.revoke(here)
    after_one = await is_member(server)
    await target.revoke(there)

    assert (True, False) == (after_one, await is_member(server))


async def test_the_record_says_until_when(server: Server) -> None:
    """Whoever runs the server can read which memberships are temporary, and their ends."""
    await executor(server).grant(asked(), None)

    until = "SELECT extract(epoch FROM until)::int FROM quorumkey_jit.memberships WHERE member = $1"
    assert END == await server.value(until, ALICE)


async def test_names_are_quoted(server: Server) -> None:
    """Quotes, semicolons and comments in names stay parts of names."""
    target = executor(server)
    odd = asked(role=ODD_ROLE, beneficiary=ODD_USER)

    await target.grant(odd, None)
    during = await is_member(server, ODD_USER, ODD_ROLE)
    await target.revoke(odd)

    assert (True, False) == (during, await is_member(server, ODD_USER, ODD_ROLE))


@pytest.mark.parametrize(
    ("role", "user"),
    [
        ("nobody", ALICE),
        (REPORTS, "nobody@example.com"),
        ("Reports", ALICE),
        ("public", ALICE),
        (REPORTS, "public"),
        (REPORTS, "current_user"),
        (f"{REPORTS}{'x' * 60}", ALICE),
        ("nul\0", ALICE),
        ("", ALICE),
    ],
    ids=["no_role", "no_user", "case", "public", "to_public", "keyword", "long", "nul", "empty"],
)
async def test_a_name_that_is_not_there_is_refused(server: Server, role: str, user: str) -> None:
    """No other role is meant by it, and the refusal is final."""
    failed = await failure(executor(server, user_of=lambda _: user), asked(role=role))

    assert failed.is_final
    assert not await is_member(server)


async def test_a_name_too_long_is_nobody_elses(server: Server) -> None:
    """PostgreSQL cuts names to 63 bytes; a role of the cut name is not granted instead."""
    await server.run("DROP ROLE IF EXISTS " + "r" * 63, "CREATE ROLE " + "r" * 63)

    failed = await failure(executor(server), asked(role="r" * 64))

    assert failed.is_final
    await server.run("DROP ROLE " + "r" * 63)


async def test_a_role_limited_by_a_condition_is_refused(server: Server) -> None:
    """PostgreSQL cannot limit a membership, so more would be given than was approved."""
    failed = await failure(executor(server), asked(condition="true"))

    assert (True, False) == (failed.is_final, await is_member(server))


async def test_a_role_that_the_relay_may_not_grant_is_refused(server: Server) -> None:
    """The server's "no" is final and named; a membership that would be a loop is refused too."""
    await server.run(f"REVOKE ADMIN OPTION FOR {REPORTS} FROM relay")
    not_allowed = await failure(executor(server), asked())
    await server.run(f"GRANT {REPORTS} TO relay WITH ADMIN OPTION")
    loop = await failure(executor(server, user_of=lambda _: REPORTS), asked())

    assert (True, True) == (not_allowed.is_final, loop.is_final)
    assert "42501" in not_allowed.message


async def test_the_mapping_names_the_user(server: Server) -> None:
    """The person's PostgreSQL role is what the mapping makes of their address."""
    await server.run("CREATE ROLE carol LOGIN")
    target = executor(server, user_of=lambda email: email.partition("@")[0])

    await target.grant(asked(beneficiary="carol@example.com"), None)

    assert await is_member(server, "carol")


async def test_who_has_no_user_is_refused(server: Server) -> None:
    """A mapping that gives a person no name is final."""

    def user_of(email: str) -> str:
        raise MappingError(email)

    assert (await failure(executor(server, user_of=user_of), asked())).is_final


async def test_a_session_that_took_the_role_ends(server: Server) -> None:
    """After SET ROLE a session would keep the role for ever; it ends with the access."""
    target = executor(server)
    await target.grant(asked(), None)
    async with server.session(ALICE) as session:
        await session.execute(f"SET ROLE {REPORTS}")

        await target.revoke(asked())

        with pytest.raises((OSError, *LOST)):
            await session.fetchval("SELECT current_user")


async def test_sessions_can_be_left_alone(server: Server) -> None:
    """With ends_sessions off they stay, and with them the role, as PostgreSQL has it."""
    target = executor(server, ends_sessions=False)
    await target.grant(asked(), None)
    async with server.session(ALICE) as session:
        await session.execute(f"SET ROLE {REPORTS}")

        await target.revoke(asked())

        assert REPORTS == await session.fetchval("SELECT current_user::text")


async def test_sessions_of_permanent_members_stay(server: Server) -> None:
    """Who keeps the role keeps their connections."""
    await server.run(f"GRANT {REPORTS} TO {quoted(ALICE)}")
    target = executor(server)
    await target.grant(asked(), None)
    async with server.session(ALICE) as session:
        await target.revoke(asked())

        assert ALICE == await session.fetchval("SELECT current_user::text")


async def test_a_revoke_that_could_not_end_sessions_is_not_done(server: Server) -> None:
    """Without the right to end sessions the membership ends, and the rest is tried again."""
    await server.run("REVOKE pg_signal_backend FROM relay")
    target = executor(server)
    await target.grant(asked(), None)
    async with server.session(ALICE) as session:
        with pytest.raises(GrantFailed) as caught:
            await target.revoke(asked())
        during = await is_member(server)

        await server.run("GRANT pg_signal_backend TO relay")
        await target.revoke(asked())

        assert ("42501" in caught.value.message, False) == (True, during)
        with pytest.raises((OSError, *LOST)):
            await session.fetchval("SELECT 1")
        assert 0 == await server.value(MEMBERSHIPS)


class StubbornSession:
    """A server on which somebody's connection does not end."""

    def __init__(self) -> None:
        self.executed: list[str] = []

    async def execute(self, query: str, *values: object) -> None:
        """Do nothing."""
        del values
        self.executed.append(query)

    async def fetchval(self, query: str, *values: object) -> object:
        """Everything is there, the membership is ours alone, and a connection stays."""
        del values
        if "activation_id FROM" in query:
            return "1"
        return "pg_terminate_backend" not in query and "project <>" not in query

    @asynccontextmanager
    async def transaction(self, *, isolation: str) -> AsyncGenerator[None, None]:
        """No transaction."""
        del isolation
        yield


async def test_a_connection_that_does_not_end_is_waited_for() -> None:
    """The membership is ended, but not forgotten: the next try ends the connection."""
    session = StubbornSession()
    given = Membership(role=REPORTS, member="carol", project="warehouse", activation_id="1")

    with pytest.raises(GrantFailed) as caught:
        await take(session, given, ends_sessions=True)

    assert (False, 'REVOKE "reports" FROM "carol"') == (
        caught.value.is_final,
        session.executed[-1],
    )


@pytest.mark.parametrize(
    "name", ["", "nul\0", "n" * 64, "é" * 32], ids=["empty", "nul", "long", "long_bytes"]
)
def test_what_cannot_be_a_name_is_not_quoted(name: str) -> None:
    """PostgreSQL would end or cut it, and take another name for it."""
    with pytest.raises(ValueError, match=r".*"):
        quoted(name)


async def test_two_grants_at_once(server: Server) -> None:
    """Any number of calls at once end as one would."""
    target = executor(server)

    await asyncio.gather(*(target.grant(asked(), None) for _ in range(4)))
    await asyncio.gather(*(target.revoke(asked()) for _ in range(4)))

    assert (False, 0) == (await is_member(server), await server.value(MEMBERSHIPS))


async def test_a_grant_that_is_cut_off_has_done_nothing(server: Server) -> None:
    """The record and the membership are one transaction: without its end there is neither."""
    target = executor(server)
    await target.grant(asked(), None)
    await target.revoke(asked())
    async with server.session("postgres") as blocker:
        await blocker.execute("SELECT pg_advisory_lock(hashtextextended('quorumkey_jit', 0))")
        impatient = executor(server, timeout_seconds=0.3)

        failed = await failure(impatient, asked())

        assert (False, False, 0) == (
            failed.is_final,
            await is_member(server),
            await server.value(MEMBERSHIPS),
        )


async def test_a_server_that_is_not_there_is_not_final(server: Server, tmp_path: Path) -> None:
    """Without a server nothing was done, and it is tried again."""
    dsn = f"postgresql://relay@/postgres?host={tmp_path}"

    assert not (await failure(executor(server, dsn=dsn), asked())).is_final


async def test_a_server_that_never_answers_is_not_final(server: Server) -> None:
    """A connection on which nothing comes is given up in time."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        target = executor(
            server, dsn=f"postgresql://relay@127.0.0.1:{port}/postgres", timeout_seconds=0.2
        )

        assert not (await failure(target, asked())).is_final


async def test_a_stranger_is_refused_for_good(server: Server) -> None:
    """A database that does not exist, or an account, is a matter of settings: final."""
    dsn = server.dsn("stranger")

    assert (await failure(executor(server, dsn=dsn), asked())).is_final


async def test_a_server_is_reached_by_verified_tls(server: Server) -> None:
    """Over the network the server's certificate is checked against the roots of the settings."""
    await executor(server, dsn=server.tls_dsn()).grant(asked(), None)

    assert await is_member(server)


async def test_a_server_of_other_roots_is_not_talked_to(server: Server, tmp_path: Path) -> None:
    """Whoever has another certificate is told nothing; it may be mended, so it is tried again."""
    others = Files(tmp_path / "others")
    credentials.prepare(others)

    failed = await failure(executor(server, dsn=server.tls_dsn(others.ca_file)), asked())

    assert (False, False) == (failed.is_final, await is_member(server))


async def test_a_connection_string_that_is_none_is_refused_for_good(server: Server) -> None:
    """What the driver finds wrong with it when it connects is a matter of settings."""
    dsn = "postgresql://relay@localhost/postgres?sslmode=wrong"

    assert (await failure(executor(server, dsn=dsn), asked())).is_final


async def test_it_says_that_the_relay_revokes(server: Server) -> None:
    """Its description tells people that PostgreSQL ends nothing by itself."""
    target = executor(server)

    assert ("reports", False) == (target.name, target.expires_by_itself)
    assert "the relay revokes it" in target.description
    await target.close()
