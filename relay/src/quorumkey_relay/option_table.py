"""One row of the table of settings: how an option is called, read, shown and explained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from quorumkey_relay.option_kinds import Kind

T = TypeVar("T")

ENVIRONMENT_PREFIX: Final = "QUORUMKEY_RELAY_"
UNSAFE_PREFIX: Final = "unsafe_"


class ConfigError(Exception):
    """The relay cannot start with these settings.

    ``problems`` holds one sentence for each thing that is wrong; ``str()`` puts each on a line.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep the sentences."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as operators meet it: ``kind`` reads its text, ``default`` says what happens."""

    name: str
    kind: Kind[object]
    default: str
    help: str
    unit: str | None
    secret: bool

    @property
    def env(self) -> str:
        """Return the name of its environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Return its command-line flag."""
        return "--" + self.name.replace("_", "-")


def option(  # noqa: PLR0913 - one parameter a column of the table
    kind: Kind[T],
    default: T,
    help_text: str,
    *,
    default_text: str | None = None,
    unit: str | None = None,
    secret: bool = False,
) -> T:
    """Describe one field of `Settings`; the caller sees the type of its value."""
    column: dict[str, object] = {
        "kind": kind,
        "default": kind.show(default) if default_text is None else default_text,
        "help": help_text,
        "unit": unit,
        "secret": secret,
    }
    return dataclasses.field(default=default, metadata=column, repr=not secret)
