"""The executors of the settings, and which of them serves a project."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from quorumkey.errors import ProtocolError
from quorumkey_relay.delivery.egress import EgressRefused
from quorumkey_relay.delivery.google.access_token import ServiceAccount
from quorumkey_relay.delivery.google.api import GoogleApi, google_client
from quorumkey_relay.executors.gcp_iam import GcpIamExecutor
from quorumkey_relay.executors.webhook import WebhookExecutor
from quorumkey_relay.identity.files import UnsafeFileError, read_private
from quorumkey_relay.jit_settings import GcpIamExecutor as GcpIamSettings
from quorumkey_relay.jit_settings import PostgresqlExecutor as PostgresqlSettings
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.jit_settings import ExecutorSettings
    from quorumkey_relay.jit_settings import WebhookExecutor as WebhookSettings
    from quorumkey_relay.usecases.jit.ports import Executor


class ConfiguredExecutors:
    """Executors in the order of the settings, each with the patterns of its projects.

    In a pattern ``*`` stands for any characters, ``?`` for one and ``[…]`` for one of some.
    """

    def __init__(self, entries: Iterable[tuple[Sequence[str], Executor]]) -> None:
        """Serve the projects of the first entry that names them."""
        self._entries = tuple(entries)

    def for_project(self, project: str) -> Executor | None:
        """Return the first executor whose patterns name the project."""
        for patterns, executor in self._entries:
            if any(fnmatchcase(project, pattern) for pattern in patterns):
                return executor
        return None

    def named(self, name: str) -> Executor | None:
        """Return an executor by name."""
        return next((one for _, one in self._entries if one.name == name), None)

    async def close(self) -> None:
        """Let go of connections; what is under way fails."""
        await asyncio.gather(*(executor.close() for _, executor in self._entries))


def open_executors(
    settings: Sequence[ExecutorSettings],
    *,
    clock: Clock,
    egress: Egress,
    roots: bytes | None,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> ConfiguredExecutors:
    """Return the executors of the settings; nothing is called before there is something to grant.

    ``roots`` are PEM certificates that count beside the public ones, ``pause`` is how an executor
    waits some seconds. Raises ``ConfigError`` with everything that is wrong.
    """
    entries: list[tuple[Sequence[str], Executor]] = []
    problems: list[str] = []
    for one in settings:
        try:
            if isinstance(one, GcpIamSettings):
                executor = _gcp_iam(one, clock, roots, pause)
            elif isinstance(one, PostgresqlSettings):
                executor = _postgresql(one)
            else:
                executor = _webhook(one, clock, egress)
        except ConfigError as error:
            problems += error.problems
        else:
            entries.append((one.projects, executor))
    if problems:
        raise ConfigError(tuple(problems))
    return ConfiguredExecutors(entries)


def _gcp_iam(
    settings: GcpIamSettings,
    clock: Clock,
    roots: bytes | None,
    pause: Callable[[float], Awaitable[None]],
) -> Executor:
    account = ServiceAccount.read(settings.service_account_file)
    api = GoogleApi(account, google_client(roots), clock)
    return GcpIamExecutor(name=settings.name, url=settings.url, api=api, pause=pause)


def _webhook(settings: WebhookSettings, clock: Clock, egress: Egress) -> Executor:
    try:
        egress.check_url(settings.url)
        return WebhookExecutor(
            name=settings.name,
            url=settings.url,
            secret=_secret(settings.secret_file),
            expires_by_itself=settings.expires == "target",
            timeout_seconds=settings.timeout_seconds,
            egress=egress,
            clock=clock,
        )
    except EgressRefused as refused:
        problem = f"The url of the executor {settings.name} may not be called: {refused.reason}."
    except ProtocolError as error:
        problem = f"{settings.secret_file}: {error}"
    raise ConfigError((problem,))


def _postgresql(settings: PostgresqlSettings) -> Executor:
    try:
        from quorumkey_relay.executors.postgresql import (  # noqa: PLC0415 - an extra
            postgresql_executor,
        )
    except ImportError:
        problem = (
            f"The executor {settings.name} needs the extra:"
            " pip install 'quorumkey-relay[postgresql]'."
        )
        raise ConfigError((problem,)) from None
    return postgresql_executor(settings, _secret(settings.dsn_file))


def _secret(path: Path) -> str:
    """Return the one line of a file that nobody else may read; raises ``ConfigError``."""
    try:
        text = read_private(path).decode().strip()
    except UnsafeFileError as error:
        raise ConfigError((f"{error}.",)) from None
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise ConfigError((f"{path} must hold one line of text.",))
    return text
