"""Granting by membership in a role of a PostgreSQL server.

PostgreSQL knows no membership that ends, so the relay takes it back in time. It takes back only
what it has given: which memberships these are stands in a table of the database, written in the
transaction of the ``GRANT``. Who was a member before is not touched.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from quorumkey_relay.config_conflicts import is_loopback
from quorumkey_relay.eligibility.mapping import AddressMapping, MappingError
from quorumkey_relay.executors.memberships import Membership, Session, give, take
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.jit_settings import PostgresqlExecutor as PostgresqlSettings

# The library has no types; what is used of it is said here.
_asyncpg: Any = import_module("asyncpg")
_connect: Callable[..., Awaitable[_Connection]] = _asyncpg.connect
_PostgresError: type[Exception] = _asyncpg.PostgresError
#: The connection string is none after all, which the library says when it connects.
_Unusable: type[Exception] = _asyncpg.exceptions.ClientConfigurationError
#: No connection, none any more, or no answer in time.
_Unanswered: tuple[type[Exception], ...] = (
    OSError,
    _asyncpg.InterfaceError,
    _asyncpg.InternalClientError,
)

#: For connecting, and for each statement.
TIMEOUT_SECONDS: Final = 10.0
#: For everything that one call does.
TOTAL_SECONDS: Final = 25.0

#: Classes of SQLSTATE that say "no" and not "not now" (PostgreSQL, appendix A): wrong values, no
#: authorization, no such database or object, not allowed, a membership that would be a loop.
_FINAL_CLASSES: Final = frozenset({"0L", "0P", "22", "28", "3D", "3F", "42"})


class _Connection(Session, Protocol):
    async def close(self, *, timeout: float) -> None: ...  # noqa: ASYNC109 - the library's own

    def terminate(self) -> None: ...


def postgresql_executor(settings: PostgresqlSettings, dsn: str) -> PostgresqlExecutor:
    """Return the executor; nothing is connected yet. Raises ``ConfigError``."""
    _check_dsn(settings, dsn)
    try:
        mapping = AddressMapping(settings.user_mapping)
    except MappingError as error:
        raise ConfigError((f"user_mapping of the executor {settings.name}: {error}",)) from None
    return PostgresqlExecutor(
        name=settings.name,
        dsn=dsn,
        user_of=mapping.address,
        ends_sessions=settings.ends_sessions,
    )


class PostgresqlExecutor:
    """Connects for each call: grants are rare, and a connection that idles for days is none."""

    def __init__(
        self,
        *,
        name: str,
        dsn: str,
        user_of: Callable[[str], str],
        ends_sessions: bool,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Grant to the PostgreSQL role that ``user_of`` returns for an e-mail address."""
        self._name = name
        self._dsn = dsn
        self._user_of = user_of
        self._ends_sessions = ends_sessions
        self._timeout_seconds = timeout_seconds

    @property
    def name(self) -> str:
        """Name in the settings."""
        return self._name

    @property
    def description(self) -> str:
        """Say what it does, and who ends what it grants."""
        return (
            "Makes the person a member of a PostgreSQL role. PostgreSQL cannot end a membership by"
            " itself: the relay revokes it in time."
        )

    @property
    def expires_by_itself(self) -> bool:
        """Say that the relay has to end it."""
        return False

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Make the person a member of the role, unless they are one."""
        del evidence
        if activation.entitlement.condition:
            message = "PostgreSQL grants whole roles; this one is limited by a condition."
            raise GrantFailed(message, is_final=True)
        wanted = self._membership(activation)
        await self._in_session(lambda session: give(session, wanted, end=activation.end))

    async def revoke(self, activation: Activation) -> None:
        """End the membership that this activation gave, and the person's connections."""
        given = self._membership(activation)
        await self._in_session(
            lambda session: take(session, given, ends_sessions=self._ends_sessions)
        )

    async def close(self) -> None:
        """Do nothing: no connection outlives its call."""

    def _membership(self, activation: Activation) -> Membership:
        try:
            member = self._user_of(activation.beneficiary)
        except MappingError:
            message = f"The user_mapping of {self._name} gives no PostgreSQL role for the person."
            raise GrantFailed(message, is_final=True) from None
        return Membership(
            role=activation.entitlement.role,
            member=member,
            project=activation.entitlement.project,
            activation_id=activation.activation_id,
        )

    async def _in_session(self, work: Callable[[Session], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                session = await _connect(
                    self._dsn,
                    timeout=self._timeout_seconds,
                    command_timeout=self._timeout_seconds,
                    statement_cache_size=0,
                    server_settings={
                        "application_name": "quorumkey-relay",
                        # No object of somebody else's stands before those that are meant.
                        "search_path": "pg_catalog",
                    },
                )
                try:
                    await work(session)
                    await session.close(timeout=self._timeout_seconds)
                finally:
                    session.terminate()
        except _PostgresError as error:
            raise self._failed(getattr(error, "sqlstate", None)) from None
        except _Unusable:
            message = f"The connection string of {self._name} cannot be used."
            raise GrantFailed(message, is_final=True) from None
        except _Unanswered:
            message = f"The PostgreSQL server of {self._name} did not answer."
            raise GrantFailed(message, is_final=False) from None

    def _failed(self, sqlstate: str | None) -> GrantFailed:
        state = sqlstate or "unknown"
        return GrantFailed(
            f"The PostgreSQL server of {self._name} refused with SQLSTATE {state}.",
            is_final=state[:2] in _FINAL_CLASSES,
        )


def _check_dsn(settings: PostgresqlSettings, dsn: str) -> None:
    """Refuse a connection string that leaves open who is connected to, or may be overheard."""
    problem = _problem(dsn)
    if problem is not None:
        raise ConfigError((f"{settings.dsn_file} {problem}.",))


def _problem(dsn: str) -> str | None:
    try:
        parts = urlsplit(dsn)
        options = parse_qs(parts.query)
        hosts = [*options.get("host", []), *([parts.hostname] if parts.hostname else [])]
        # Of two "@" the library and this reader would take another one for the host's.
        is_clear = parts.scheme in ("postgresql", "postgres") and parts.netloc.count("@") <= 1
        is_clear = is_clear and bool(hosts) and parts.port != 0
    except ValueError:
        hosts, options, is_clear = [], {}, False
    if not is_clear:
        return "must hold an address postgresql://… that names its host"
    if all(one.startswith("/") or is_loopback(one) for one in hosts):
        return None
    if options.get("sslmode") != ["verify-full"]:
        return "must ask for sslmode=verify-full: the server is on another machine"
    roots = options.get("sslrootcert", [])
    if len(roots) != 1 or not Path(roots[0]).is_file():
        return "must name a file in sslrootcert that holds the roots of the server's certificate"
    return None
