"""Reading the settings of just-in-time access, and what cannot be meant among them.

Everything is told at once, a sentence a problem, before the relay starts. Whether the integrator
exists is known only then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from quorumkey_relay.conditions.whole_text import is_pattern
from quorumkey_relay.config_conflicts import is_loopback
from quorumkey_relay.eligibility.eligibility_problems import eligibility_problems
from quorumkey_relay.eligibility.mapping import AddressMapping, MappingError
from quorumkey_relay.identity.email_address import email_address
from quorumkey_relay.identity.files import UnsafeFileError, read_private
from quorumkey_relay.identity.identity_problems import identity_problems
from quorumkey_relay.identity.published import is_trustworthy
from quorumkey_relay.jit_settings import (
    GcpIamExecutor,
    JitSettings,
    PostgresqlExecutor,
    WebhookExecutor,
)
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.yaml_file import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quorumkey_relay.jit_settings import ActivationSettings, ExecutorSettings, MailSettings

#: Mail between servers goes there, without a password and often without TLS.
_RELAY_PORT: Final = 25
#: As log lines and alarms take it.
_EXECUTOR_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def read_jit_file(path: Path) -> JitSettings:
    """Read the file; the paths in it are absolute afterwards.

    Raises ``ConfigError`` with a sentence for each problem.
    """
    settings = read_file(path, JitSettings)
    problems = tuple(f"{path}: {problem}" for problem in _problems(settings))
    if problems:
        raise ConfigError(problems)
    return settings


def _problems(settings: JitSettings) -> Iterator[str]:
    yield from identity_problems(settings.identity)
    yield from eligibility_problems(settings.eligibility)
    yield from _of_activation(settings.activation)
    yield from _of_executors(settings.executors)
    if settings.notification.mail is not None:
        yield from _of_mail(settings.notification.mail)
    yield from _of_mappings(settings)
    yield from _of_files(settings)


def _of_activation(activation: ActivationSettings) -> Iterator[str]:
    if activation.min_reviewers > activation.max_reviewers:
        yield "activation.min_reviewers must not be above activation.max_reviewers."
    if activation.required > activation.max_reviewers:
        yield "activation.required must not be above activation.max_reviewers."
    if activation.request_timeout_minutes > activation.max_minutes:
        yield "activation.request_timeout_minutes must not be above activation.max_minutes."
    if not is_pattern(activation.justification_pattern):
        yield "activation.justification_pattern must be a regular expression, as RE2 takes them."


def _of_executors(executors: tuple[ExecutorSettings, ...]) -> Iterator[str]:
    if not executors:
        yield "executors must have at least one."
    names: set[str] = set()
    for index, executor in enumerate(executors):
        path = f"executors[{index}]"
        if _EXECUTOR_NAME.fullmatch(executor.name) is None:
            yield (f"{path}.name must be up to 64 of a-z, 0-9, - and _, and begin with a letter.")
        if executor.name in names:
            yield f"{path}.name is that of another executor."
        names.add(executor.name)
        if not executor.projects:
            yield f"{path}.projects must name at least one project, or *."
        if isinstance(executor, GcpIamExecutor) and not is_trustworthy(executor.url):
            yield f"{path}.url must be an https address."


def _of_mail(mail: MailSettings) -> Iterator[str]:
    path = "notification.mail"
    if email_address(mail.sender_address) is None:
        yield f"{path}.sender_address must be an e-mail address."
    if mail.port == _RELAY_PORT:
        yield f"{path}.port must not be 25: use 587 with starttls, or 465 with tls."
    if mail.security == "none" and not is_loopback(mail.host):
        yield f"{path}.security must be starttls or tls: none is for a loopback address."
    if (mail.username is None) != (mail.password_file is None):
        yield f"{path} must have both username and password_file, or neither."
    try:
        ZoneInfo(mail.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"{path}.time_zone must be a time zone such as Europe/Berlin."


def _of_mappings(settings: JitSettings) -> Iterator[str]:
    mappings = [
        (f"executors[{index}].user_mapping", executor.user_mapping)
        for index, executor in enumerate(settings.executors)
        if isinstance(executor, PostgresqlExecutor)
    ]
    if settings.notification.mail is not None:
        expression = settings.notification.mail.address_mapping
        mappings.append(("notification.mail.address_mapping", expression))
    for path, expression in mappings:
        try:
            AddressMapping(expression)
        except MappingError as error:
            yield f"{path}: {error}"


def _of_files(settings: JitSettings) -> Iterator[str]:
    """Open every file that holds a secret: nobody else may read it."""
    for path, file in _secret_files(settings):
        try:
            read_private(file)
        except UnsafeFileError as error:
            yield f"{path}: {error}."


def _secret_files(settings: JitSettings) -> Iterator[tuple[str, Path]]:
    oidc, google = settings.identity.oidc, settings.eligibility.google
    if oidc is not None and oidc.client_secret_file is not None:
        yield "identity.oidc.client_secret_file", oidc.client_secret_file
    if google is not None:
        yield "eligibility.google.service_account_file", google.service_account_file
    mail = settings.notification.mail
    if mail is not None and mail.password_file is not None:
        yield "notification.mail.password_file", mail.password_file
    for index, executor in enumerate(settings.executors):
        path = f"executors[{index}]"
        if isinstance(executor, PostgresqlExecutor):
            yield f"{path}.dsn_file", executor.dsn_file
        elif isinstance(executor, WebhookExecutor):
            yield f"{path}.secret_file", executor.secret_file
        else:
            yield f"{path}.service_account_file", executor.service_account_file
