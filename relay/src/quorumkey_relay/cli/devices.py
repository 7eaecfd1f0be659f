"""``devices``: every device of the relay, whoever it is paired with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey.protocol import check_fingerprint, check_text, format_time
from quorumkey.protocol.limits import MAX_REASON_CHARS, MIN_REASON_CHARS
from quorumkey_relay.cli.access import integrator_of, opened
from quorumkey_relay.cli.options import (
    STORE_SETTINGS,
    JsonOption,
    YesOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import Output, Refused, confirm
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import AppendEvent, PutDevice
from quorumkey_relay.usecases.advance import device_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.identity.principals import Attestation, Device, Pairing
    from quorumkey_relay.store.sqlite.admin import AdminStore

app = typer.Typer(
    name="devices",
    help="Every device of the relay, whoever it is paired with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "list",
    help=explained(
        "List the devices, revoked ones too, oldest first.",
        "quorumkey-relay devices list",
        "quorumkey-relay devices list --integrator 0190a000-0000-7000-8000-000000000001 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def list_devices(
    settings: Settings,
    *,
    integrator: Annotated[
        str | None, own("integrator", "ID", "Only those paired with this integrator.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the devices."""
    with opened(settings) as store:
        if integrator is not None:
            integrator_of(store, integrator)
        names = {one.id: one.name for one in store.read.integrators()}
        found = [
            (device, ties)
            for device, ties in _devices(store)
            if integrator is None or any(tie.integrator_id == integrator for tie in ties)
        ]
    out = Output(as_json=as_json)
    out.json([_device_json(device, ties) for device, ties in found])
    out.table(
        ("FINGERPRINT", "PLATFORM", "ASSURANCE", "PUSH", "PAIRED AS", "ENROLLED", "REVOKED"),
        [
            (
                device.fingerprint,
                device.platform,
                device.assurance,
                device.push_channel,
                _paired_as(ties, names) or "nobody",
                format_time(device.enrolled_at),
                "" if device.revoked_at is None else format_time(device.revoked_at),
            )
            for device, ties in found
        ],
        empty="No device yet.",
    )


@app.command(
    "show",
    help=explained(
        "Show a device: whose it is, by which channel it is woken, what it proved of where its key"
        " lives, in which format and when, and whether that is revoked by now.",
        "quorumkey-relay devices show FINGERPRINT",
        "quorumkey-relay devices show FINGERPRINT --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def show(
    settings: Settings,
    *,
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="The device's 64 hex digits.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show a device."""
    check_fingerprint(fingerprint, field="FINGERPRINT")
    with opened(settings) as store:
        device, ties = _device(store, fingerprint)
        proved = store.read.attestation(fingerprint)
        names = {one.id: one.name for one in store.read.integrators()}
    members = _device_json(device, ties)
    if proved is not None:
        members["attestation"] = _attestation_json(proved)
    out = Output(as_json=as_json)
    out.json(members)
    out.rows(
        [
            ("device", fingerprint),
            ("platform", device.platform),
            ("paired as", _paired_as(ties, names) or "nobody"),
            ("enrolled", format_time(device.enrolled_at)),
            ("push", _push_row(device)),
            ("revoked", "no" if device.revoked_at is None else format_time(device.revoked_at)),
            ("assurance", device.assurance),
            *_attestation_rows(proved),
        ]
    )


@app.command(
    "revoke",
    help=explained(
        "Revoke a device for all integrators, for good: its sessions end, its sockets close, its"
        " approvals in pending requests no longer count, and its key never enrols again on this"
        " relay. Revoking it again changes nothing.",
        "quorumkey-relay devices revoke FINGERPRINT --reason 'Lost on a train'",
        "quorumkey-relay devices revoke FINGERPRINT --yes --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def revoke(
    settings: Settings,
    *,
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="The device's 64 hex digits.")
    ],
    reason: Annotated[str | None, own("reason", "TEXT", "Why; its integrators are told.")] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Revoke a device for all integrators."""
    check_fingerprint(fingerprint, field="FINGERPRINT")
    if reason is not None:
        check_text(reason, field="reason", minimum=MIN_REASON_CHARS, maximum=MAX_REASON_CHARS)
    with opened(settings) as store:
        device, ties = _device(store, fingerprint)
        revoked_at = device.revoked_at
        if revoked_at is None:
            if not yes:
                names = {one.id: one.name for one in store.read.integrators()}
                whose = _paired_as(ties, names) or "paired with nobody"
                confirm(f"Revoke {fingerprint} ({whose}) for good?")
            revoked_at = _revoke(store, device, ties, reason)
    out = Output(as_json=as_json)
    out.json({"fingerprint": fingerprint, "revoked_at": format_time(revoked_at)})
    out.line(f"The device is revoked since {format_time(revoked_at)}.")


def _revoke(store: AdminStore, device: Device, ties: Sequence[Pairing], reason: str | None) -> int:
    """Revoke in one commit, with an event for each integrator; return since when."""
    now, mint = SystemClock().now(), SystemMint()
    events = (
        device_event("device.revoked", device, tie, now=now, mint=mint, reason=reason)
        for tie in ties
    )
    store.commit(
        PutDevice(replace(device, revoked_at=now)), *(AppendEvent(event) for event in events)
    )
    return now


def _devices(store: AdminStore) -> list[tuple[Device, list[Pairing]]]:
    """Return every device with its ties in force."""
    ties: dict[str, list[Pairing]] = {}
    for pairing in store.read.current_pairings(SystemClock().now()):
        if pairing.device is not None and pairing.ended_at is None:
            ties.setdefault(pairing.device, []).append(pairing)
    return [(device, ties.get(device.fingerprint, [])) for _, device in store.read.devices()]


def _device(store: AdminStore, fingerprint: str) -> tuple[Device, list[Pairing]]:
    for device, ties in _devices(store):
        if device.fingerprint == fingerprint:
            return device, ties
    message = "there is no device with this fingerprint; see: quorumkey-relay devices list"
    raise Refused(message)


def _paired_as(ties: Sequence[Pairing], names: dict[str, str]) -> str:
    return ", ".join(
        f"{tie.approver_name or tie.approver_id} of {names.get(tie.integrator_id, '?')}"
        for tie in ties
    )


def _device_json(device: Device, ties: Sequence[Pairing]) -> dict[str, object]:
    members: dict[str, object] = {
        "fingerprint": device.fingerprint,
        "platform": device.platform,
        "assurance": device.assurance,
        "enrolled_at": format_time(device.enrolled_at),
        "pairings": [_tie_json(tie) for tie in ties],
    }
    if device.push is not None:  # where it lies stays sealed
        members["push"] = {
            "channel": device.push_channel,
            "since": format_time(device.push_set_at),
            "faults": device.push_faults,
        }
    if device.revoked_at is not None:
        members["revoked_at"] = format_time(device.revoked_at)
    return members


def _push_row(device: Device) -> str:
    if device.push is None:
        return "none"
    return f"{device.push_channel}, since {format_time(device.push_set_at)}"


def _attestation_json(proved: Attestation) -> dict[str, object]:
    members: dict[str, object] = {
        "format": proved.format,
        "assurance": proved.assurance,
        "judged_at": format_time(proved.judged_at),
        "serials": list(proved.serials),
        "quirks": list(proved.quirks),
    }
    if proved.revoked_at is not None:
        members["revoked_at"] = format_time(proved.revoked_at)
    return members


def _attestation_rows(proved: Attestation | None) -> list[tuple[str, str]]:
    if proved is None:
        return [("evidence", "none")]
    rows = [
        ("evidence", f"{proved.format}, proved {proved.assurance}"),
        ("judged", format_time(proved.judged_at)),
    ]
    if proved.serials:  # other evidence has no certificate that is ever looked up
        found = proved.revoked_at
        rows.append(
            ("certificate", "not revoked" if found is None else f"revoked, {format_time(found)}")
        )
    return rows


def _tie_json(tie: Pairing) -> dict[str, object]:
    approver = {"id": tie.approver_id}
    if tie.approver_name is not None:
        approver["name"] = tie.approver_name
    return {"integrator_id": tie.integrator_id, "approver": approver}
