"""``init``: key, database, first integrator and first API key of a data directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.protocol import check_text
from quorumkey.protocol.limits import MAX_NAME_CHARS, MIN_NAME_CHARS
from quorumkey_relay.cli.access import alone, has_database, opened
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.identity.apikeys import make_api_key
from quorumkey_relay.identity.files import PRIVATE_DIRECTORY_MODE
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.identity.relaykeys import first_key
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.sqlite.admin import AdminStore
from quorumkey_relay.store.writes import PutApiKey, PutIntegrator

if TYPE_CHECKING:
    from quorumkey_relay.settings import Settings

FIRST_KEY: Final = "first"


def init(settings: Settings, name: str, *, test: bool, out: Output) -> None:
    """Make what a relay needs; a folder that has an integrator is left as it is."""
    directory = settings.data_dir
    check_text(name, field="integrator", minimum=MIN_NAME_CHARS, maximum=MAX_NAME_CHARS)
    directory.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
    with alone(directory):
        _refuse_another(settings)
        key = first_key(directory, settings.key_file).public_key
        clock, mint = SystemClock(), SystemMint()
        integrator = Integrator(mint.uuid7(), name)
        text, api_key = make_api_key(
            mint,
            integrator_id=integrator.id,
            name=FIRST_KEY,
            scope="integrator",
            now=clock.now(),
            test=test,
        )
        with AdminStore(directory, vault=Vault.open_in(directory), create=True) as store:
            store.commit(PutIntegrator(integrator), PutApiKey(api_key))
    out.json(
        {
            "integrator": {"id": integrator.id, "name": integrator.name},
            "api_key": text,
            "relay": key.fingerprint,
        }
    )
    out.line(f"Made a relay in {directory}.")
    out.rows(
        [
            ("Relay", key.fingerprint),
            ("Integrator", f"{integrator.name} ({integrator.id})"),
            ("API key", text),
        ]
    )
    out.line("The API key is shown only now. Start the relay with:")
    out.line(f"  quorumkey-relay serve --data-dir {directory}")


def _refuse_another(settings: Settings) -> None:
    """Raise ``Refused`` where there is an integrator already.

    A folder without one has been served before it was set up, and goes on as it is.
    """
    if not has_database(settings.data_dir):
        return
    with opened(settings) as store:
        known = store.read.integrators()
    if known:
        first = known[0]
        message = (
            f"{settings.data_dir} is set up already, for {first.name} ({first.id}); for another"
            " integrator: quorumkey-relay integrators create --name NAME; for another API key:"
            f" quorumkey-relay keys create --integrator {first.id}"
        )
        raise Refused(message)
