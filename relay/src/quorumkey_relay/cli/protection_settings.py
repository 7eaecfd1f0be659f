"""``protection``: how calls of protected methods are approved, and whether they wait at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from quorumkey_relay.cli.access import opened
from quorumkey_relay.cli.governing import (
    BreakGlassOption,
    Told,
    WhoseOption,
    able,
    change,
    chosen,
    counts_of,
    protection_of,
)
from quorumkey_relay.cli.options import STORE_SETTINGS, JsonOption, explained, own, takes_settings
from quorumkey_relay.cli.output import Output
from quorumkey_relay.domain import protection_rules
from quorumkey_relay.domain.protection import (
    MAX_DURATION_SECONDS,
    MIN_DURATION_SECONDS,
    MIN_REQUIRED_APPROVERS,
)
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue
    from quorumkey_relay.domain.protection import Protection, ProtectionSettings
    from quorumkey_relay.domain.refusal import Refusal

#: Becomes part of ``protection``.
app = typer.Typer()

RequiredOption = Annotated[
    int | None,
    own(
        "required",
        "NUMBER",
        "How many approvers; an administrator who asks is the first.",
        least=MIN_REQUIRED_APPROVERS,
        most=protection_rules.MAX_ADMINISTRATORS,
    ),
]
YesNo = Literal["yes", "no"]
_YES: Final = {"yes": True, "no": False, None: None}


@app.command(
    "show",
    help=explained(
        "Show how protected methods are approved, and how many administrators can approve now.",
        "quorumkey-relay protection show",
        "quorumkey-relay protection show --integrator 0190a000-0000-7000-8000-000000000001 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def show(
    settings: Settings, *, integrator: WhoseOption = None, as_json: JsonOption = False
) -> None:
    """Show the settings."""
    with opened(settings) as store:
        protection = protection_of(store, chosen(store, integrator))
        count = able(store, protection)
    _print_settings(Output(as_json=as_json), protection, count)


@app.command(
    "enable",
    help=explained(
        "Turn protection on: from now on, calls of protected methods wait. It takes as many"
        " administrators with a paired device as are required; see: quorumkey-relay admins add.",
        "quorumkey-relay protection enable",
        "quorumkey-relay protection enable --required 3 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def enable(
    settings: Settings,
    *,
    required: RequiredOption = None,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn protection on."""
    with opened(settings) as store:
        owner = chosen(store, integrator)

        def rule(before: Protection) -> Protection | Refusal:
            return protection_rules.set_settings(
                before, able=able(store, before), enabled=True, required=required
            )

        done = change(store, owner, rule, _settings_changed, break_glass=break_glass)
        count = able(store, done.protection)
    _print_settings(Output(as_json=as_json), done.protection, count)


@app.command(
    "disable",
    help=explained(
        "Turn protection off: every call proceeds. Every other setting stays as it is. While"
        " protection is on this is done by the API, with approval.",
        "quorumkey-relay protection disable --break-glass 'Two of three phones are broken'",
        "quorumkey-relay protection disable --break-glass 'Drill of 21 November' --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def disable(
    settings: Settings,
    *,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn protection off."""
    with opened(settings) as store:
        owner = chosen(store, integrator)
        done = change(
            store, owner, protection_rules.disable, _settings_changed, break_glass=break_glass
        )
        count = able(store, done.protection)
    _print_settings(Output(as_json=as_json), done.protection, count)


@app.command(
    "set",
    help=explained(
        "Change how protected methods are approved; what is not given stays as it is. A call waits"
        " for approval no longer than the maximum duration, and what was approved has to be"
        " executed within the execution expiry. With API keys excluded, calls by a key never wait.",
        "quorumkey-relay protection set --required 3 --max-duration 3600",
        "quorumkey-relay protection set --execution-expiry 900 --exclude-api-keys yes --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def set_settings(  # noqa: PLR0913 - one argument for each option
    settings: Settings,
    *,
    required: RequiredOption = None,
    max_duration: Annotated[
        int | None,
        own(
            "max_duration",
            "SECONDS",
            "How long a call can wait for approval.",
            least=MIN_DURATION_SECONDS,
            most=MAX_DURATION_SECONDS,
        ),
    ] = None,
    execution_expiry: Annotated[
        int | None,
        own(
            "execution_expiry",
            "SECONDS",
            "How long an approval can be used.",
            least=MIN_DURATION_SECONDS,
            most=MAX_DURATION_SECONDS,
        ),
    ] = None,
    exclude_api_keys: Annotated[
        YesNo | None, own("exclude_api_keys", "yes|no", "Let calls by API keys proceed.")
    ] = None,
    count_requestor: Annotated[
        YesNo | None,
        own("count_requestor", "yes|no", "Count an administrator who asks as the first approver."),
    ] = None,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the settings."""
    with opened(settings) as store:
        owner = chosen(store, integrator)

        def rule(before: Protection) -> Protection | Refusal:
            return protection_rules.set_settings(
                before,
                able=able(store, before),
                required=required,
                max_duration_seconds=max_duration,
                execution_expiry_seconds=execution_expiry,
                exclude_api_keys=_YES[exclude_api_keys],
                count_requestor=_YES[count_requestor],
            )

        done = change(store, owner, rule, _settings_changed, break_glass=break_glass)
        count = able(store, done.protection)
    _print_settings(Output(as_json=as_json), done.protection, count)


def _settings_changed(before: Protection, after: Protection) -> Told:
    members: dict[str, JsonValue] = {
        name: value
        for name, value in _settings(after.settings).items()
        if value != _settings(before.settings)[name]
    }
    return Told("protection.settings_changed", {"settings": members})


def _settings(settings: ProtectionSettings) -> dict[str, JsonValue]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def _print_settings(out: Output, protection: Protection, count: int) -> None:
    settings = protection.settings
    out.json(
        {"integrator_id": protection.integrator_id}
        | _settings(settings)
        | {"administrators": count, "revision": protection.revision}
        | counts_of(protection)
    )
    counts = counts_of(protection)
    out.rows(
        [
            ("protection", "on" if settings.enabled else "off"),
            ("required", f"{settings.required} approvers"),
            ("admins", f"{count} can approve now"),
            ("methods", f"{counts['protected']} of {counts['methods']} protected"),
            ("waits for", f"{settings.max_duration_seconds} s at most"),
            ("executed", f"within {settings.execution_expiry_seconds} s of the approval"),
            ("API keys", "excluded" if settings.exclude_api_keys else "wait like people"),
            (
                "who asks",
                "is the first approver" if settings.count_requestor else "is not an approver",
            ),
        ]
    )
