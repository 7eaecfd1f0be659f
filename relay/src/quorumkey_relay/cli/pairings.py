"""``pairings``: an operator's invitation, for a first device or a lost phone."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import UNSET

from quorumkey.protocol import Party, format_time
from quorumkey.protocol.limits import (
    DEFAULT_PAIRING_SECONDS,
    MAX_PAIRING_SECONDS,
    MIN_PAIRING_SECONDS,
)
from quorumkey_relay.cli.access import integrator_of, noted_address, opened, relay_keys
from quorumkey_relay.cli.governing import protection_of
from quorumkey_relay.cli.options import (
    ADDRESS_SETTINGS,
    IntegratorOption,
    JsonOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutPairing
from quorumkey_relay.usecases.pair import NOT_FOR_ADMINISTRATORS, invitation, pairing_url
from quorumkey_relay.usecases.views import PartyView

app = typer.Typer(
    name="pairings",
    help="An operator's invitation, for a first device or a lost phone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "create",
    help=explained(
        "Open a pairing: a link that ties one device to an approver of an integrator. Who has the"
        " link can enrol, so give it to that person only. Its address is the one at which this"
        " folder was last served, unless the settings name another.",
        "quorumkey-relay pairings create --integrator 0190a000-0000-7000-8000-000000000001"
        " --approver alice",
        "quorumkey-relay pairings create --integrator 0190a000-0000-7000-8000-000000000001"
        " --approver alice --name Alice --expires-in 3600 --json",
    ),
)
@takes_settings(*ADDRESS_SETTINGS)
def create(  # noqa: PLR0913 - one argument for each option
    settings: Settings,
    *,
    integrator: IntegratorOption,
    approver: Annotated[str, own("approver", "ID", "The integrator's id for the person.")],
    name: Annotated[str | None, own("name", "TEXT", "The person's name.")] = None,
    expires_in: Annotated[
        int,
        own(
            "expires_in",
            "SECONDS",
            "How long the link is good.",
            least=MIN_PAIRING_SECONDS,
            most=MAX_PAIRING_SECONDS,
        ),
    ] = DEFAULT_PAIRING_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Open a pairing."""
    person = Party(approver, name)
    now = SystemClock().now()
    with opened(settings) as store:
        owner = integrator_of(store, integrator)
        if not protection_of(store, owner.id).takes_devices_of(person.id):
            raise Refused(NOT_FOR_ADMINISTRATORS.message)
        pairing, code = invitation(
            SystemMint(),
            integrator_id=owner.id,
            approver=PartyView(person.id, UNSET if person.name is None else person.name),
            now=now,
            expires_in=expires_in,
        )
        link = pairing_url(_address(settings), code, relay_keys(settings, store).fingerprint(now))
        store.commit(PutPairing(pairing))
    out = Output(as_json=as_json)
    out.json(
        {
            "pairing_id": pairing.pairing_id,
            "pairing_code": code,
            "pairing_url": link,
            "expires_at": format_time(pairing.expires_at),
        }
    )
    out.line(f"{person.name or person.id} can pair one device with {owner.name}.")
    out.rows([("Link", link), ("Code", code), ("Good until", format_time(pairing.expires_at))])
    out.line("On a computer, a software device is paired with:")
    out.line(f"  quorumkey device enroll '{link}'")


def _address(settings: Settings) -> str:
    """Return where the person's device finds the relay."""
    undecided = settings.app_url == Settings().app_url
    noted = noted_address(settings.data_dir) if undecided else None
    return noted or settings.app_url
