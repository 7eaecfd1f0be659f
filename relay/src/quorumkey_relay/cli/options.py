"""Options: those of the settings, from the table in ``config``, and those of single commands.

Every option is also a variable ``QUORUMKEY_RELAY_*``. A command reads only the settings that it
has flags for, so that a key can be revoked while the rest of the configuration is wrong; a
variable that neither a setting nor any command knows stops all of them.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Annotated, Concatenate, Final, ParamSpec, cast

import typer

from quorumkey_relay.config import OPTIONS, load_settings
from quorumkey_relay.option_table import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typer.models import OptionInfo

    from quorumkey_relay.option_table import Option
    from quorumkey_relay.settings import Settings

P = ParamSpec("P")

#: The options of single commands.
COMMAND_OPTIONS: Final = frozenset(
    {
        "apns_port",
        "apns_sandbox_port",
        "approver",
        "before",
        "condition",
        "count_requestor",
        "control_port",
        "dir",
        "dry_run",
        "env_file",
        "exclude_api_keys",
        "execution_expiry",
        "expires_in",
        "fcm_port",
        "in_seconds",
        "integrator",
        "json",
        "limit",
        "max_duration",
        "name",
        "not_before",
        "pace",
        "protected",
        "reason",
        "required",
        "scenario",
        "scope",
        "status",
        "test",
        "webpush_port",
        "yes",
    }
)

EVERY_SETTING: Final = tuple(option.name for option in OPTIONS)
#: Where the data lies, and the key if it lies elsewhere.
STORE_SETTINGS: Final = ("data_dir", "key_file")
#: Where the revocation list is, and what becomes of devices that it names.
REVOCATION_SETTINGS: Final = (
    *STORE_SETTINGS,
    "android_revocation",
    "android_revocation_max_age_seconds",
    "revoked_hardware",
)
#: What decides under which address the relay is reached.
ADDRESS_SETTINGS: Final = (
    *STORE_SETTINGS,
    "host",
    "port",
    "mode",
    "public_url",
    "app_origin",
    "attestation",
    "unsafe_http_hosts",
)

_EXIT_STATUS: Final = "Exit status: 0 done, 1 refused or failed, 2 usage or configuration."


def explained(text: str, *examples: str, status: str = _EXIT_STATUS) -> str:
    """Return a command's help: what it does, its exit status, and examples to copy."""
    shown = "\n".join(f"  {example}" for example in examples)
    title = "Example" if len(examples) == 1 else "Examples"
    return f"{text}\n\n\b\n{status}\n\n\b\n{title}:\n{shown}"


def own(
    name: str,
    metavar: str | None,
    help_text: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> OptionInfo:
    """Return an option of a single command, a flag where it has no ``metavar``."""
    if name not in COMMAND_OPTIONS:
        raise AssertionError(name)
    made = typer.Option(
        "--" + name.replace("_", "-"),
        envvar=ENVIRONMENT_PREFIX + name.upper(),
        show_envvar=True,
        metavar=metavar,
        help=help_text,
        min=least,
        max=most,
    )
    return cast("OptionInfo", made)


def said_each_time(name: str, metavar: str, help_text: str) -> OptionInfo:
    """Return an option that no variable stands for, because it is meant for one command only."""
    made = typer.Option("--" + name.replace("_", "-"), metavar=metavar, help=help_text)
    return cast("OptionInfo", made)


JsonOption = Annotated[bool, own("json", None, "Print JSON instead of text.")]
YesOption = Annotated[bool, own("yes", None, "Do not ask; for scripts.")]
IntegratorOption = Annotated[str, own("integrator", "ID", "The integrator's id.")]
TestOption = Annotated[bool, own("test", None, "Mark the API key as one for tests: qk_test_….")]


def read_settings(names: tuple[str, ...], given: Mapping[str, str | None]) -> Settings:
    """Read the settings called ``names`` from flags and environment.

    Raises ``ConfigError``.
    """
    others = {option.env for option in OPTIONS if option.name not in names}
    others |= {ENVIRONMENT_PREFIX + name.upper() for name in COMMAND_OPTIONS}
    environ = {name: text for name, text in os.environ.items() if name not in others}
    return load_settings(environ, {name: text for name, text in given.items() if text is not None})


def takes_settings(
    *names: str,
) -> Callable[[Callable[Concatenate[Settings, P], None]], Callable[..., None]]:
    """Give a command the flags of these settings; it is called with the settings they make."""
    options = [option for option in OPTIONS if option.name in names]

    def decorate(command: Callable[Concatenate[Settings, P], None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own_parameters = list(signature.parameters.values())[1:]

        @functools.wraps(command)
        def with_settings(**values: object) -> None:
            given = {name: cast("str | None", values.pop(name)) for name in names}
            cast("Callable[..., None]", command)(read_settings(names, given), **values)

        parameters = (*own_parameters, *(_flag(option) for option in options))
        # typer reads the first of these and checks it against the second.
        vars(with_settings)["__signature__"] = signature.replace(parameters=parameters)
        with_settings.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_settings

    return decorate


def _flag(option: Option) -> inspect.Parameter:
    unit = "" if option.unit is None else f" {option.unit}"
    text = f"{option.help} [env var: {option.env}; default: {option.default}{unit}]"
    declared = typer.Option(
        option.flag, metavar=option.kind.label.upper(), help=text, show_default=False
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, declared],
    )
