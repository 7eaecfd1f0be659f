"""``protection``: which methods of an integrator's services wait for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from quorumkey.protocol import format_time
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT, MAX_LIST_LIMIT, MIN_LIST_LIMIT
from quorumkey_relay.cli import protection_settings
from quorumkey_relay.cli.access import opened
from quorumkey_relay.cli.governing import (
    BreakGlassOption,
    Told,
    WhoseOption,
    change,
    chosen,
    counts_of,
    protection_of,
)
from quorumkey_relay.cli.options import STORE_SETTINGS, JsonOption, explained, own, takes_settings
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.conditions import why_unusable
from quorumkey_relay.domain import protection_rules
from quorumkey_relay.presets import PRESETS, preset
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.protection_rules import Listed
    from quorumkey_relay.store.records import EventRecord

app = typer.Typer(
    name="protection",
    help="Which methods of an integrator's services wait for approval.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.registered_commands += protection_settings.app.registered_commands

MethodArgument = Annotated[str, typer.Argument(metavar="METHOD", help="The method's name.")]


@app.command(
    "list",
    help=explained(
        "List the methods that services have registered, those of the relay itself first: whether"
        " each is protected, and under which condition. A default whose condition is not the"
        " registered one has drifted.",
        "quorumkey-relay protection list",
        "quorumkey-relay protection list --protected --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def list_methods(
    settings: Settings,
    *,
    integrator: WhoseOption = None,
    protected: Annotated[bool, own("protected", None, "Only those that are protected.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the methods."""
    with opened(settings) as store:
        protection = protection_of(store, chosen(store, integrator))
    found = [one for one in protection_rules.listed(protection) if one.protected or not protected]
    out = Output(as_json=as_json)
    out.json([_method_json(one) for one in found])
    out.table(
        ("METHOD", "SERVICE", "KIND", "PROTECTED", "CONDITION", "DRIFTED"),
        [
            (
                one.method.name,
                one.method.service,
                one.method.kind,
                one.mark or "no",
                one.condition,
                "yes" if one.drifted else "",
            )
            for one in found
        ],
        empty="No method yet.",
    )


@app.command(
    "add",
    help=explained(
        "Protect a method that a service has registered: each call of it waits, or each for which"
        " the condition (CEL over request and resource) is not false. A method that is protected"
        " already gets the new condition.",
        "quorumkey-relay protection add CreateRule --condition 'request.rule.tag == \"global\"'",
        "quorumkey-relay protection add DeleteHost --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def add(  # noqa: PLR0913 - one argument for each option
    settings: Settings,
    *,
    method: MethodArgument,
    condition: Annotated[
        str, own("condition", "CEL", "Which calls wait; without it every call does.")
    ] = "",
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Protect a method."""
    with opened(settings) as store:
        done = change(
            store,
            chosen(store, integrator),
            lambda before: protection_rules.add_method(before, method, condition, why_unusable),
            lambda _before, _after: Told(
                "protection.method_added", {"method": method, "condition": condition or None}
            ),
            break_glass=break_glass,
        )
    _print_method(Output(as_json=as_json), done.protection, method)


@app.command(
    "remove",
    help=explained(
        "Take the protection of a method away. What is always protected stays so.",
        "quorumkey-relay protection remove CreateRule",
        "quorumkey-relay protection remove CreateRule --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def remove(
    settings: Settings,
    *,
    method: MethodArgument,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the protection of a method away."""
    with opened(settings) as store:
        done = change(
            store,
            chosen(store, integrator),
            lambda before: protection_rules.remove_method(before, method),
            lambda _before, _after: Told("protection.method_removed", {"method": method}),
            break_glass=break_glass,
        )
    _print_method(Output(as_json=as_json), done.protection, method)


@app.command(
    "reset",
    help=explained(
        "Protect what the services registered as default, under the conditions that they"
        " registered, and nothing else.",
        "quorumkey-relay protection reset",
        "quorumkey-relay protection reset --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def reset(
    settings: Settings,
    *,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore the defaults."""
    with opened(settings) as store:
        done = change(
            store,
            chosen(store, integrator),
            protection_rules.reset_methods,
            lambda _before, _after: Told("protection.methods_reset", {}),
            break_glass=break_glass,
        )
    _print_summary(Output(as_json=as_json), done.protection)


@app.command(
    "load",
    help=explained(
        "Register the methods of a service from a preset, for a service that does not register"
        " them itself. Its defaults are protected, unless they were removed before."
        f" There is: {', '.join(PRESETS)}.",
        "quorumkey-relay protection load workshop",
        "quorumkey-relay protection load workshop --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def load(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(metavar="PRESET", help="Its name.")],
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register the methods of a preset."""
    if name not in PRESETS:
        message = f"there is no preset with this name; there is: {', '.join(PRESETS)}"
        raise Refused(message)
    found = preset(name)
    with opened(settings) as store:
        done = change(
            store,
            chosen(store, integrator),
            lambda before: protection_rules.register(
                before, found.service, found.to_register, why_unusable
            ),
            lambda _before, after: Told(
                "protection.catalogue_registered",
                {
                    "service": found.service,
                    "methods": len(found.to_register),
                    "revision": after.revision,
                },
            ),
            break_glass=break_glass,
        )
    _print_summary(Output(as_json=as_json), done.protection)


@app.command(
    "log",
    help=explained(
        "Show who did what about protected methods, newest first: each call that waited, each vote,"
        " what became of it, and every change of settings, methods and administrators.",
        "quorumkey-relay protection log",
        "quorumkey-relay protection log --limit 100 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def log(
    settings: Settings,
    *,
    integrator: WhoseOption = None,
    limit: Annotated[
        int, own("limit", "NUMBER", "How many.", least=MIN_LIST_LIMIT, most=MAX_LIST_LIMIT)
    ] = DEFAULT_LIST_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """Show the audit log."""
    with opened(settings) as store:
        found = store.read.protection.audited(integrator_id=chosen(store, integrator), limit=limit)
    out = Output(as_json=as_json)
    out.json([{"id": event.id} | _body(event) for event in found])
    out.table(
        ("AT", "WHAT", "METHOD", "BY", "TXID", "MORE"),
        [_logged(event) for event in found],
        empty="Nothing happened yet.",
    )


def _print_summary(out: Output, protection: Protection) -> None:
    counts = counts_of(protection)
    out.json({"integrator_id": protection.integrator_id, "revision": protection.revision} | counts)
    out.line(f"{counts['protected']} of {counts['methods']} methods are protected.")


def _print_method(out: Output, protection: Protection, name: str) -> None:
    (found,) = (one for one in protection_rules.listed(protection) if one.method.name == name)
    out.json(_method_json(found))
    if not found.protected:
        out.line(f"{name} is not protected any more.")
    elif found.condition:
        out.line(f"{name} is protected where: {found.condition}")
    else:
        out.line(f"{name} is protected, every call.")


def _method_json(one: Listed) -> dict[str, object]:
    members: dict[str, object] = {
        "name": one.method.name,
        "kind": one.method.kind,
        "permission": one.method.permission,
        "service": one.method.service,
        "resolver": one.method.resolver,
        "protected": one.protected,
        "condition": one.condition,
        "drifted": one.drifted,
    }
    if one.mark is not None:
        members["mark"] = one.mark
    return members


def _body(event: EventRecord) -> dict[str, object]:
    return msgspec.json.decode(event.body, type=dict[str, object])


class _By(msgspec.Struct, frozen=True):
    kind: str
    id: str


class _Logged(msgspec.Struct, frozen=True):
    """The members of an event that the table has columns for."""

    method: str = ""
    txid: str = ""
    by: _By | None = None


def _logged(event: EventRecord) -> tuple[str, ...]:
    said = msgspec.json.decode(event.body, type=_Logged)
    shown = {"type", "timestamp", *_Logged.__struct_fields__}
    rest = {name: value for name, value in _body(event).items() if name not in shown}
    by = "" if said.by is None else f"{said.by.kind} {said.by.id}"
    more = ", ".join(
        f"{name}={msgspec.json.encode(value).decode()}" for name, value in rest.items()
    )
    return (format_time(event.created_at), event.type, said.method, by, said.txid, more)
