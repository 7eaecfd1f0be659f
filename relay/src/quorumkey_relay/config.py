"""Reading the settings: one table from which names, command-line options and docs derive.

Each option is a field of `Settings`; `OPTIONS` lists them with their environment variable, flag,
kind, unit, default and help. `load_settings` reads them as text (a flag wins over the
environment, the environment over the default) and refuses to start on anything it does not
understand: an unknown variable is more often a misspelt limit than a harmless one.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any, Final

from quorumkey_relay.config_conflicts import conflicts, is_loopback
from quorumkey_relay.option_kinds import OptionError
from quorumkey_relay.option_table import ENVIRONMENT_PREFIX, ConfigError, Option
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPTIONS: Final[tuple[Option, ...]] = tuple(
    Option(
        name=field.name,
        kind=field.metadata["kind"],
        default=field.metadata["default"],
        help=field.metadata["help"],
        unit=field.metadata["unit"],
        secret=field.metadata["secret"],
    )
    for field in dataclasses.fields(Settings)
)


def load_settings(environ: Mapping[str, str], overrides: Mapping[str, str]) -> Settings:
    """Read the settings: ``overrides`` by option name, then ``environ``, then the defaults.

    Both hold text as the operator wrote it. Raises ConfigError with a sentence for each unknown
    name, bad value and combination that the mode does not allow.
    """
    problems = list(_unknown_names(environ, overrides))
    values: dict[str, Any] = {}  # each is what its option's kind reads
    for row in OPTIONS:
        source, text = _given(row, environ, overrides)
        if text is None:
            continue
        try:
            values[row.name] = row.kind.read(text)
        except OptionError as error:
            shown = "" if row.secret else f" (it is {_shortened(text)!r})"
            problems.append(f"{source} must be {error.expected}{shown}.")
    if problems:
        raise ConfigError(tuple(problems))
    if "mode" not in values:
        host = values.get("host", Settings.__dataclass_fields__["host"].default)
        values["mode"] = "development" if is_loopback(str(host)) else "production"
    settings = dataclasses.replace(Settings(), **values)
    problems.extend(conflicts(settings, decided=values.keys()))
    if problems:
        raise ConfigError(tuple(problems))
    return settings


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _given(
    row: Option, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[str, str | None]:
    """Return where the option's text comes from, as the operator knows it, and the text."""
    if row.name in overrides:
        return row.flag, overrides[row.name]
    return row.env, environ.get(row.env)


def _unknown_names(environ: Mapping[str, str], overrides: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each name that no option has, with the nearest one that exists."""
    known = {row.name.upper() for row in OPTIONS}
    for variable in sorted(environ):
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name != variable and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {ENVIRONMENT_PREFIX}{near[0]}?" if near else "."
            yield f"{variable} is not a setting of the relay{hint}"
    for name in sorted(overrides.keys() - {row.name for row in OPTIONS}):
        yield f"{name} is not a setting of the relay."
