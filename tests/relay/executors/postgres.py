"""A real PostgreSQL server: a new cluster in a folder of its own, reached by a socket in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from quorumkey_relay.standins import credentials
from quorumkey_relay.standins.credentials import Files

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
    port: int

    def dsn(self, user: str = RELAY) -> str:
        """The address by which somebody signs in."""
        return f"postgresql://{quote(user)}@/postgres?host={self.folder}&port={self.port}"

    def tls_dsn(self, roots: Path | None = None) -> str:
        """The address by which the relay signs in over the network, trusting some roots."""
        trusted = roots or Files(self.folder).ca_file
        options = f"sslmode=verify-full&sslrootcert={trusted}"
        return f"postgresql://{RELAY}@localhost:{self.port}/postgres?{options}"

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
        tls = Files(folder)
        credentials.prepare(tls)
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, SUPERUSER, SUPERUSER)
        port = _free_port()
        binaries, data = found[-1], folder / "data"
        made = ("initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "--no-sync", "-E", "UTF8")
        _as_owner(binaries / made[0], *made[1:])
        options = {
            "fsync": "off",
            "listen_addresses": "127.0.0.1",
            "port": port,
            "ssl": "on",
            "ssl_cert_file": tls.server_file,
            "ssl_key_file": tls.server_file,
            "unix_socket_directories": folder,
        }
        given = " ".join(f"-c {name}={value}" for name, value in options.items())
        control = (binaries / "pg_ctl", "-D", data, "-w")
        _as_owner(*control, "-o", given, "-l", folder / "log", "start")
        try:
            psql = ("-h", folder, "-p", str(port), "-U", SUPERUSER, "-v", "ON_ERROR_STOP=1")
            _as_owner(binaries / "psql", *psql, "-c", _SETUP)
            yield Server(folder, port)
        finally:
            _as_owner(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
