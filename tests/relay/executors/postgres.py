"""A real PostgreSQL server: a new cluster in a folder of its own, reached by a socket in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from quorumkey_relay.executors.memberships import Session

_asyncpg: Any = import_module("asyncpg")

#: What asyncpg raises on a connection that the server has ended.
LOST: tuple[type[Exception], ...] = (_asyncpg.PostgresError, _asyncpg.InterfaceError)
SUPERUSER = "postgres"
#: Who the relay signs in as: it may make its schema, and ends sessions.
RELAY = "relay"
_SETUP = f"""
CREATE ROLE {RELAY} LOGIN;
GRANT CREATE ON DATABASE postgres TO {RELAY};
GRANT pg_signal_backend TO {RELAY};
"""


@dataclass(frozen=True)
class Server:
    """A server that runs; its socket lies in ``folder``."""

    folder: Path
    binaries: Path

    def dsn(self, user: str = RELAY) -> str:
        """The address by which somebody signs in."""
        return f"postgresql://{quote(user)}@/postgres?host={self.folder}"

    async def run(self, *statements: str) -> None:
        """Have the superuser run statements."""
        session = await _asyncpg.connect(self.dsn(SUPERUSER))
        try:
            for statement in statements:
                await session.execute(statement)
        finally:
            await session.close()

    async def value(self, query: str, *values: object) -> object:
        """What a query of the superuser's says."""
        session = await _asyncpg.connect(self.dsn(SUPERUSER))
        try:
            found: object = await session.fetchval(query, *values)
            return found
        finally:
            await session.close()

    @asynccontextmanager
    async def session(self, user: str) -> AsyncGenerator[Session, None]:
        """A connection of somebody's, until the end of the block."""
        session = await _asyncpg.connect(self.dsn(user))
        try:
            yield session
        finally:
            session.terminate()


def _as_owner(*command: str | Path) -> None:
    """Run a program as somebody who may own a cluster: the server refuses to run as root."""
    prefix = ("runuser", "-u", SUPERUSER, "--") if os.geteuid() == 0 else ()
    subprocess.run([*prefix, *map(str, command)], check=True, capture_output=True, cwd="/")


@contextmanager
def running_server() -> Generator[Server, None, None]:
    """Make a cluster and serve it until the end of the block."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.fail("PostgreSQL's programs are missing: scripts/setup dev says how to get them")
    folder = Path(mkdtemp(prefix="quorumkey-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, SUPERUSER, SUPERUSER)
        binaries, data = found[-1], folder / "data"
        _as_owner(
            binaries / "initdb",
            "-D",
            data,
            "-U",
            SUPERUSER,
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        control = (binaries / "pg_ctl", "-D", data, "-w")
        _as_owner(*control, "-o", options, "-l", folder / "log", "start")
        try:
            server = Server(folder, binaries)
            psql = ("psql", "-h", folder, "-U", SUPERUSER, "-v", "ON_ERROR_STOP=1", "-c", _SETUP)
            _as_owner(binaries / psql[0], *psql[1:])
            yield server
        finally:
            _as_owner(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
