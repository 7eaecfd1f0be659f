"""``attestation``: what devices proved, looked at again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey_relay.cli.access import opened
from quorumkey_relay.cli.options import (
    REVOCATION_SETTINGS,
    JsonOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.protocol import AlreadyServed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_relay.settings import RevokedHardware
    from quorumkey_relay.store.sqlite.admin import AdminStore

NO_LIMIT: Final = -1  # rows, as SQLite writes it
_DONE: Final = {"revoke": "revoked", "flag": "flagged"}

app = typer.Typer(
    name="attestation",
    help="What devices proved, looked at again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dataclass(frozen=True, slots=True)
class Affected:
    """A device whose evidence rests on revoked certificates, by their serial numbers."""

    fingerprint: str
    assurance: str
    serials: tuple[str, ...]


@app.command(
    "recheck",
    help=explained(
        "Look for devices whose evidence rests on a certificate that is revoked by now, and revoke"
        " or flag them as revoked_hardware says. A relay does so every day by itself. Where one"
        " serves the folder, it is told to look at once, by its own list and settings.",
        "quorumkey-relay attestation recheck --dry-run",
        "quorumkey-relay attestation recheck --android-revocation status.json --json",
    ),
)
@takes_settings(*REVOCATION_SETTINGS)
def recheck(
    settings: Settings,
    *,
    dry_run: Annotated[
        bool, own("dry_run", None, "Only show which devices it would be; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at the revocation list."""
    policy = settings.revoked_hardware
    with opened(settings) as store:
        newest = _list(settings)
        affected = _affected(store, newest)
        is_served = False
        if not dry_run:
            try:
                asyncio.run(_carry_out(settings, newest))
            except AlreadyServed:
                is_served = True
                store.ask_for_recheck()
    outcome = "would" if dry_run else "asked" if is_served else "done"
    out = Output(as_json=as_json)
    out.json(_json(outcome, policy, newest, affected))
    out.table(
        ("FINGERPRINT", "ASSURANCE", "REVOKED CERTIFICATES"),
        [(one.fingerprint, one.assurance, ", ".join(one.serials)) for one in affected],
        empty=f"No device rests on one of the {len(newest.entries)} certificates of the list.",
    )
    if is_served:
        out.line("The relay that serves this folder looks now, by its own list and settings.")
    elif affected:
        would = "would be " if dry_run else ""
        out.line(f"{len(affected)} {would}{_DONE[policy]}.")


def _list(settings: Settings) -> RevocationList:
    """Return a list that may be judged by; raises ``Refused`` or ``OSError``."""
    from quorumkey_attestation import AttestationError, explain  # noqa: PLC0415 - half a second
    from quorumkey_relay.attestation.revocation import (  # noqa: PLC0415 - as above
        moment,
        source_of,
    )

    clock = SystemClock()
    now = moment(clock)
    try:
        newest = source_of(settings, clock).read(now)
        newest.require_fresh(now)
    except AttestationError as error:
        message = f"{error.detail} {explain(error)}"
        raise Refused(message) from None
    return newest


def _affected(store: AdminStore, newest: RevocationList) -> list[Affected]:
    from quorumkey_relay.usecases.recheck import pages  # noqa: PLC0415 - as in _list

    serials: dict[str, list[str]] = {}
    for page in pages(newest):
        for serial, device in store.read.attested_by(page, NO_LIMIT):
            serials.setdefault(device, []).append(serial)
    levels = {device.fingerprint: device.assurance for _, device in store.read.devices()}
    return [Affected(device, levels[device], tuple(serials[device])) for device in sorted(serials)]


async def _carry_out(settings: Settings, newest: RevocationList) -> None:
    """Do what a relay does every day; raises ``AlreadyServed`` where one serves the folder."""
    from quorumkey_relay.delivery.addresses import ADDRESSED_CHANNELS  # noqa: PLC0415 - as in _list
    from quorumkey_relay.delivery.hub import DeviceHub  # noqa: PLC0415 - as in _list
    from quorumkey_relay.delivery.plan import DeliveryPlan  # noqa: PLC0415 - as in _list
    from quorumkey_relay.identity.sessions import Sessions  # noqa: PLC0415 - as in _list
    from quorumkey_relay.identity.vault import Vault  # noqa: PLC0415 - as in _list
    from quorumkey_relay.store.sqlite import SqliteStore  # noqa: PLC0415 - as in _list
    from quorumkey_relay.usecases.recheck import RecheckHardware  # noqa: PLC0415 - as in _list
    from quorumkey_relay.usecases.standing import Standing  # noqa: PLC0415 - as in _list

    clock, mint, folder = SystemClock(), SystemMint(), settings.data_dir
    store = SqliteStore(folder, vault=Vault.open_in(folder), clock=clock)
    await store.start()
    try:
        hub = DeviceHub()
        standing = Standing(
            store=store,
            clock=clock,
            mint=mint,
            sessions=Sessions(mint),
            sockets=hub,
            # The next relay that serves the folder sends what is to be withdrawn.
            plan=DeliveryPlan(store=store, presence=hub, channels=ADDRESSED_CHANNELS),
        )
        await RecheckHardware(
            store=store,
            clock=clock,
            standing=standing,
            newest=lambda: newest,
            policy=settings.revoked_hardware,
            interval_seconds=settings.recheck_seconds,
            tell=lambda _report: None,
        ).now()
    finally:
        await store.close()


def _json(
    outcome: str, policy: RevokedHardware, newest: RevocationList, affected: Sequence[Affected]
) -> dict[str, object]:
    age = SystemClock().now() - int(newest.fetched_at.timestamp())
    return {
        "outcome": outcome,
        "action": policy,
        "list": {"entries": len(newest.entries), "age_seconds": age},
        "devices": [
            {
                "fingerprint": one.fingerprint,
                "assurance": one.assurance,
                "revoked_serials": list(one.serials),
            }
            for one in affected
        ],
    }
