"""``quorumkey device init``, ``enroll``, ``reattest``, ``whoami`` and ``unpair``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.cli._attestation import (
    AttestationCommandOption,
    RequiredAttestationCommandOption,
    attest_by,
)
from quorumkey.cli._device_options import (
    DEFAULT_HOME,
    HomeOption,
    HttpHostOption,
    JsonOption,
    RelayOption,
    YesOption,
    device_at,
    pictogram_of,
    run_device,
)
from quorumkey.cli._device_push import PushOption, push_address_of
from quorumkey.cli._output import FAILED, Output, confirm, say_error
from quorumkey.cli._request_text import party_text
from quorumkey.device import SoftwareDevice, visible
from quorumkey.device.home import DeviceHome
from quorumkey.errors import ProtocolError
from quorumkey.protocol.keys import check_fingerprint

if TYPE_CHECKING:
    from quorumkey.device import Enrolled, Identity, PairingPreview, Reattested
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["app"]

_MAX_LINK_CHARS: Final = 4096

app = typer.Typer(rich_markup_mode=None)


@app.command("init")
def init(*, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Make the device's folder, closed to other users.

    Keys are made at enrolment, one for each relay.
    Exit status: 0 done, 1 the folder is open to others or cannot be made, 2 usage.

    Example:
      quorumkey device init --home ~/.quorumkey
    """
    folder = home.expanduser()
    DeviceHome(folder).prepare()
    out = Output(as_json=as_json)
    out.json({"home": str(folder)})
    out.line(f"The device's folder is {folder}; enrol it with: quorumkey device enroll PAIRING_URL")


@app.command("enroll")
def enroll(  # noqa: PLR0913 - one argument for each option
    pairing: Annotated[
        str,
        typer.Argument(metavar="PAIRING", help="The pairing link, a typed code, or - to read one."),
    ],
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    attestation_command: AttestationCommandOption = None,
    push: PushOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pair this device with an integrator.

    Shows who wants to pair, then pins the relay's key and makes a key of its own
    for that relay. A link carries a secret: pass - to keep it out of the list of
    processes. With a typed code, compare the relay's pictogram. A key in a file is
    proved to live nowhere; --attestation-command is for relays that accept evidence
    of tests.
    Exit status: 0 paired, 1 refused or failed, 2 usage, 130 interrupted.

    Examples:
      quorumkey device enroll 'https://relay.example.com/app/pair#code=…&relay=…&secret=…'
      quorumkey device enroll 7Q4M-2XKD-90FZ --relay https://relay.example.com
      quorumkey device enroll 'http://127.0.0.1:8080/app/pair#…'
        --attestation-command 'quorumkey-attest mint android-key --level strongbox'
    """
    if pairing == "-":
        pairing = sys.stdin.readline(_MAX_LINK_CHARS).strip()
    out = Output(as_json=as_json)
    attest = None if attestation_command is None else attest_by(attestation_command)
    address = None if push is None else push_address_of(push)
    device = device_at(home, relay, http_host)
    preview = asyncio.run(device.preview(pairing))
    _show_preview(out, preview)
    if not yes and not confirm("Pair this device?"):
        say_error("Nothing was paired.")
        raise typer.Exit(FAILED)

    async def work(device: SoftwareDevice) -> Enrolled:
        return await device.enroll(pairing, preview=preview, attest=attest, push=address)

    enrolled = run_device(device, work)
    out.json(
        {
            "fingerprint": enrolled.fingerprint,
            "pictogram": list(enrolled.pictogram),
            "pictogram_speakable": enrolled.pictogram_speakable,
            "integrator": enrolled.integrator.to_json(),
            "relay": preview.relay,
            "assurance": enrolled.assurance,
        }
    )
    # The device's own pictogram is drawn here, not taken from the relay.
    out.line(f"Paired with {party_text(enrolled.integrator)}.")
    out.rows([("Device", enrolled.fingerprint), ("Pictogram", pictogram_of(enrolled.fingerprint))])
    if attest is not None:
        out.rows([("Assurance", visible(enrolled.assurance))])


@app.command("reattest")
def reattest(
    *,
    attestation_command: RequiredAttestationCommandOption,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove anew where this device's key lives.

    The newest evidence that holds decides the device's level, also where it proves
    less; evidence that does not hold changes nothing.
    Exit status: 0 proved, 1 refused or failed, 2 usage.

    Example:
      quorumkey device reattest --attestation-command 'quorumkey-attest mint android-key'
    """
    attest = attest_by(attestation_command)
    device = device_at(home, relay, http_host)

    async def work(device: SoftwareDevice) -> Reattested:
        return await device.reattest(attest)

    reattested = run_device(device, work)
    out = Output(as_json=as_json)
    out.json({"fingerprint": reattested.fingerprint, "assurance": reattested.assurance})
    out.rows([("Assurance", visible(reattested.assurance))])


def _show_preview(out: Output, preview: PairingPreview) -> None:
    rows = [("Integrator", party_text(preview.integrator))]
    if preview.approver_name is not None:
        rows.append(("For", visible(preview.approver_name)))
    rows += [("Relay", visible(preview.relay)), ("Pictogram", _relay_pictogram(preview.relay))]
    out.rows(rows)


def _relay_pictogram(fingerprint: str) -> str:
    # What a relay claims here is checked at enrolment; until then it may be anything.
    try:
        return pictogram_of(check_fingerprint(fingerprint, field="relay"))
    except ProtocolError:
        return "none"


@app.command("whoami")
def whoami(*, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show who this device is at each relay it knows.

    Exit status: 0 done, 1 a file is damaged or open to others, 2 usage.

    Example:
      quorumkey device whoami --json
    """
    out = Output(as_json=as_json)
    identities = SoftwareDevice(home.expanduser()).identities()
    out.json([_identity_json(identity) for identity in identities])
    if not identities:
        out.line("This device is not paired.")
    for identity in identities:
        with_whom = ", ".join(party_text(integrator) for integrator in identity.integrators)
        out.rows(
            [
                ("Device", identity.fingerprint),
                ("Pictogram", pictogram_of(identity.fingerprint)),
                ("Relay", f"{identity.relay_url} {identity.relay}"),
                ("Paired with", with_whom or "nobody"),
            ]
        )


def _identity_json(identity: Identity) -> JsonValue:
    return {
        "fingerprint": identity.fingerprint,
        "pictogram": list(identity.pictogram),
        "pictogram_speakable": identity.pictogram_speakable,
        "relay": identity.relay,
        "relay_url": identity.relay_url,
        "integrators": [integrator.to_json() for integrator in identity.integrators],
    }


@app.command("unpair")
def unpair(  # noqa: PLR0913 - one argument for each option
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    integrator: Annotated[
        str | None, typer.Option("--integrator", metavar="ID", help="Only from this integrator.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """End the pairing with one integrator, or with every one of the relay.

    Exit status: 0 unpaired, 1 failed, 2 usage, 130 interrupted.

    Example:
      quorumkey device unpair --integrator acme --yes
    """
    device = device_at(home, relay, http_host)
    whom = "every integrator" if integrator is None else integrator
    if not yes and not confirm(f"Unpair from {visible(whom)}?"):
        say_error("Nothing was changed.")
        raise typer.Exit(FAILED)

    async def work(device: SoftwareDevice) -> None:
        await device.unpair(integrator)

    run_device(device, work)
    out = Output(as_json=as_json)
    out.json({"unpaired": True})
    out.line(f"Unpaired from {visible(whom)}.")
