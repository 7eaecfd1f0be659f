"""``admins``: who may approve calls of protected methods, and govern them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from quorumkey_relay.cli.access import opened
from quorumkey_relay.cli.governing import (
    BreakGlassOption,
    PairedDevices,
    Told,
    WhoseOption,
    change,
    chosen,
    protection_of,
)
from quorumkey_relay.cli.options import STORE_SETTINGS, JsonOption, explained, takes_settings
from quorumkey_relay.cli.output import Output
from quorumkey_relay.domain import protection_rules
from quorumkey_relay.settings import Settings
from quorumkey_relay.usecases.protection.audit import by_person
from quorumkey_relay.usecases.protection.votes import able_administrators

if TYPE_CHECKING:
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.refusal import Refusal

app = typer.Typer(
    name="admins",
    help="Who may approve calls of protected methods, and govern them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ApproverArgument = Annotated[
    str, typer.Argument(metavar="APPROVER", help="The integrator's id for the person.")
]


@app.command(
    "add",
    help=explained(
        "Name an approver an administrator. They can approve on each device that is paired for"
        " them. While protection is on this is done by the API, with approval. Doing it again"
        " changes nothing.",
        "quorumkey-relay admins add alice",
        "quorumkey-relay admins add alice --integrator 0190a000-0000-7000-8000-000000000001 --json",
        "quorumkey-relay admins add erin --break-glass 'Everybody else lost their phone'",
    ),
)
@takes_settings(*STORE_SETTINGS)
def add(
    settings: Settings,
    *,
    approver: ApproverArgument,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name an approver an administrator."""
    with opened(settings) as store:
        owner = chosen(store, integrator)
        change(
            store,
            owner,
            lambda before: protection_rules.add_administrator(before, approver),
            lambda _before, _after: Told(
                "protection.administrator_added", {"approver": by_person(approver)}
            ),
            break_glass=break_glass,
        )
        member = _member(PairedDevices(store), owner, approver)
    out = Output(as_json=as_json)
    out.json(member)
    out.line(f"{approver} is an administrator.")
    if not member["devices"]:
        out.line("No device is paired for them yet, so they cannot approve. Pair one with:")
        out.line(f"  quorumkey-relay pairings create --integrator {owner} --approver {approver}")


@app.command(
    "remove",
    help=explained(
        "Take the role of an administrator away. What they approved and was not executed yet no"
        " longer counts. While protection is on this is done by the API, with approval; breaking"
        " the glass can leave fewer administrators than are needed.",
        "quorumkey-relay admins remove alice",
        "quorumkey-relay admins remove alice --break-glass 'Account taken over' --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def remove(
    settings: Settings,
    *,
    approver: ApproverArgument,
    integrator: WhoseOption = None,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the role of an administrator away."""
    with opened(settings) as store:
        owner = chosen(store, integrator)
        devices = PairedDevices(store)

        def without(before: Protection) -> Protection | Refusal:
            others = tuple(one for one in before.administrators if one != approver)
            return protection_rules.remove_administrator(
                before,
                approver,
                able_after=able_administrators(devices, replace(before, administrators=others)),
                may_fall_short=True,  # without a reason `change` refuses it anyway
            )

        done = change(
            store,
            owner,
            without,
            lambda _before, _after: Told(
                "protection.administrator_removed", {"approver": by_person(approver)}
            ),
            break_glass=break_glass,
        )
    out = Output(as_json=as_json)
    out.json({"integrator_id": owner, "administrators": list(done.protection.administrators)})
    out.line(f"{approver} is no administrator any more.")


@app.command(
    "list",
    help=explained(
        "List the administrators, and on how many devices each can approve now.",
        "quorumkey-relay admins list",
        "quorumkey-relay admins list --integrator 0190a000-0000-7000-8000-000000000001 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def list_administrators(
    settings: Settings, *, integrator: WhoseOption = None, as_json: JsonOption = False
) -> None:
    """List the administrators."""
    with opened(settings) as store:
        owner = chosen(store, integrator)
        paired = PairedDevices(store)
        found = [_member(paired, owner, one) for one in protection_of(store, owner).administrators]
    out = Output(as_json=as_json)
    out.json(found)
    out.table(
        ("APPROVER", "NAME", "DEVICES"),
        [
            tuple(str(one.get(name, "")) for name in ("approver_id", "name", "devices"))
            for one in found
        ],
        empty="No administrator yet.",
    )


def _member(paired: PairedDevices, integrator_id: str, approver: str) -> dict[str, object]:
    members: dict[str, object] = {
        "integrator_id": integrator_id,
        "approver_id": approver,
        "devices": len(paired.devices_of(integrator_id, approver)),
    }
    name = paired.name_of(integrator_id, approver)
    if name is not None:
        members["name"] = name
    return members
