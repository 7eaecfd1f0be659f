"""``integrators``: who may ask for approvals."""

from __future__ import annotations

from typing import Annotated

import typer

from quorumkey.protocol import check_text
from quorumkey.protocol.limits import MAX_NAME_CHARS, MIN_NAME_CHARS
from quorumkey_relay.cli.access import opened
from quorumkey_relay.cli.options import STORE_SETTINGS, JsonOption, explained, own, takes_settings
from quorumkey_relay.cli.output import Output
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutIntegrator

app = typer.Typer(
    name="integrators",
    help="Who may ask for approvals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "create",
    help=explained(
        "Add an integrator. Give it an API key next.",
        "quorumkey-relay integrators create --name 'Example Bank'",
        "quorumkey-relay integrators create --name 'Example Bank' --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def create(
    settings: Settings,
    *,
    name: Annotated[str, own("name", "TEXT", "Its name, as approvers see it.")],
    as_json: JsonOption = False,
) -> None:
    """Add an integrator."""
    check_text(name, field="name", minimum=MIN_NAME_CHARS, maximum=MAX_NAME_CHARS)
    integrator = Integrator(SystemMint().uuid7(), name)
    with opened(settings) as store:
        store.commit(PutIntegrator(integrator))
    out = Output(as_json=as_json)
    out.json({"id": integrator.id, "name": integrator.name})
    out.line(f"Added {integrator.name} ({integrator.id}). Give it an API key with:")
    out.line(f"  quorumkey-relay keys create --integrator {integrator.id}")


@app.command(
    "list",
    help=explained("List the integrators, oldest first.", "quorumkey-relay integrators list"),
)
@takes_settings(*STORE_SETTINGS)
def list_integrators(settings: Settings, *, as_json: JsonOption = False) -> None:
    """List the integrators."""
    with opened(settings) as store:
        found = store.read.integrators()
    out = Output(as_json=as_json)
    out.json([{"id": one.id, "name": one.name} for one in found])
    out.table(("ID", "NAME"), [(one.id, one.name) for one in found], empty="No integrator yet.")
