"""Memberships in PostgreSQL roles, and the record of those that the relay has given.

The record is the table ``quorumkey_jit.memberships``, made where it is missing. A row is written
in the transaction of its ``GRANT``, and goes once all has ended, so a crash between leaves
nothing that the next try would not end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

#: NAMEDATALEN - 1: PostgreSQL cuts longer names, and so would name somebody else's.
MAX_NAME_BYTES: Final = 63

_EXISTS: Final = "SELECT pg_catalog.to_regclass('quorumkey_jit.memberships') IS NOT NULL"
_HAS_SCHEMA: Final = "SELECT pg_catalog.to_regnamespace('quorumkey_jit') IS NOT NULL"
_CREATE_SCHEMA: Final = "CREATE SCHEMA quorumkey_jit"
_CREATE_TABLE: Final = """
CREATE TABLE quorumkey_jit.memberships (
    role text NOT NULL,
    member text NOT NULL,
    project text NOT NULL,
    activation_id text NOT NULL,
    until timestamptz NOT NULL,
    given_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (role, member, project)
)"""
#: Whatever the server's default: what is read after the lock is what its last holder has left.
_ISOLATION: Final = "read_committed"
#: One change at a time, by any relay: the server would refuse one of two.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('quorumkey_jit', 0))"
# As text: a comparison of names would cut what is too long.
_HAS_ROLE: Final = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname::text = $1)"
_IS_MEMBER: Final = """
SELECT EXISTS (
    SELECT FROM pg_auth_members AS membership
    JOIN pg_roles AS role ON role.oid = membership.roleid
    JOIN pg_roles AS member ON member.oid = membership.member
    WHERE role.rolname::text = $1 AND member.rolname::text = $2
)"""
_IS_OURS: Final = """
SELECT EXISTS (SELECT FROM quorumkey_jit.memberships WHERE role = $1 AND member = $2)"""
_GIVEN_FOR: Final = """
SELECT activation_id FROM quorumkey_jit.memberships
WHERE role = $1 AND member = $2 AND project = $3"""
_ANOTHER_HOLDS: Final = """
SELECT EXISTS (
    SELECT FROM quorumkey_jit.memberships WHERE role = $1 AND member = $2 AND project <> $3
)"""
_RECORD: Final = """
INSERT INTO quorumkey_jit.memberships (role, member, project, activation_id, until)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (role, member, project) DO UPDATE SET activation_id = excluded.activation_id,
    until = excluded.until"""
_FORGET: Final = """
DELETE FROM quorumkey_jit.memberships
WHERE role = $1 AND member = $2 AND project = $3 AND activation_id = $4"""
# It waits for each, and says false where one is still there; null where there is none.
_END_SESSIONS: Final = """
SELECT bool_and(pg_terminate_backend(pid, 2000)) FROM pg_stat_activity
WHERE usename::text = $1 AND pid <> pg_backend_pid()"""


class Session(Protocol):
    """A connection, as asyncpg has it."""

    async def execute(self, query: str, *values: object) -> object:
        """Run a statement."""
        ...

    async def fetchval(self, query: str, *values: object) -> object:
        """Return the first column of the first row; None where there is none."""
        ...

    def transaction(self, *, isolation: str) -> AbstractAsyncContextManager[object]:
        """Begin, and commit or roll back at the end of the block."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A role, who is to be a member of it, and the activation that says so.

    Two projects may lead to one membership: it lasts as long as one of them holds it.
    """

    role: str
    member: str
    project: str
    activation_id: str

    @property
    def names(self) -> tuple[str, str]:
        """Return what PostgreSQL knows of it."""
        return self.role, self.member

    @property
    def record(self) -> tuple[str, str, str]:
        """Return the key of its record."""
        return self.role, self.member, self.project


async def give(session: Session, wanted: Membership, *, end: int) -> None:
    """Make somebody a member of a role, and note that an activation did.

    Who is a member already, and not by an activation, stays one and nothing is noted. Raises
    ``GrantFailed`` for a role that is not there, and what the connection raises.
    """
    async with session.transaction(isolation=_ISOLATION):
        await session.execute(_LOCK)
        await _prepare(session)
        for name in wanted.names:
            if not await session.fetchval(_HAS_ROLE, name):
                message = f"The PostgreSQL server has no role {name}."
                raise GrantFailed(message, is_final=True)
        if not await session.fetchval(_IS_MEMBER, *wanted.names):
            await session.execute(f"GRANT {quoted(wanted.role)} TO {quoted(wanted.member)}")
        elif not await session.fetchval(_IS_OURS, *wanted.names):
            return
        until = datetime.fromtimestamp(end, UTC)
        await session.execute(_RECORD, *wanted.record, wanted.activation_id, until)


async def take(session: Session, given: Membership, *, ends_sessions: bool) -> None:
    """End the membership if this activation gave it; with ``ends_sessions`` connections too.

    A session that has done ``SET ROLE`` would keep the role. Raises ``GrantFailed`` where one has
    not ended yet, and what the connection raises.
    """
    if not await session.fetchval(_EXISTS):
        return
    async with session.transaction(isolation=_ISOLATION):
        await session.execute(_LOCK)
        if await session.fetchval(_GIVEN_FOR, *given.record) != given.activation_id:
            return
        if await session.fetchval(_ANOTHER_HOLDS, *given.record):
            await session.execute(_FORGET, *given.record, given.activation_id)
            return
        if await session.fetchval(_IS_MEMBER, *given.names):
            await session.execute(f"REVOKE {quoted(given.role)} FROM {quoted(given.member)}")
    # After the commit: whoever connects anew finds no membership any more.
    if ends_sessions and await session.fetchval(_END_SESSIONS, given.member) is False:
        message = f"Connections of {given.member} to the PostgreSQL server have not ended yet."
        raise GrantFailed(message, is_final=False)
    await session.execute(_FORGET, *given.record, given.activation_id)


def quoted(name: str) -> str:
    """Return a name as an identifier in SQL; raises ``ValueError`` for what cannot be one."""
    if not name or "\0" in name or len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(name)
    return '"' + name.replace('"', '""') + '"'


async def _prepare(session: Session) -> None:
    if await session.fetchval(_EXISTS):
        return
    if not await session.fetchval(_HAS_SCHEMA):
        await session.execute(_CREATE_SCHEMA)
    await session.execute(_CREATE_TABLE)
