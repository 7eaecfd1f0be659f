"""``quorumkey status``, ``receipt``, ``cancel``, ``devices`` and ``pair``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey.cli._arguments import write_output
from quorumkey.cli._device_options import pictogram_of
from quorumkey.cli._integrator import (
    HttpHostOption,
    JsonOption,
    RelayKeyOption,
    RequestArgument,
    UrlOption,
    connect,
    show_state,
)
from quorumkey.cli._output import Output
from quorumkey.cli._request_text import party_text
from quorumkey.device.visible import visible
from quorumkey.errors import ProtocolError
from quorumkey.protocol import Receipt, RequestDocument
from quorumkey.protocol.encoding import format_time
from quorumkey.protocol.pictogram import speakable

if TYPE_CHECKING:
    from quorumkey.client import ConfirmedDevice, Device
    from quorumkey.protocol import Envelope
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command("status")
def status(
    request_id: RequestArgument,
    wait: Annotated[
        int, typer.Option("--wait", metavar="SECONDS", help="0 to 60: answer when it has ended.")
    ] = 0,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show how a request stands, by the relay's word.

    Proof is the receipt: see quorumkey receipt and quorumkey verify.
    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey status 01a1fb5c-6c3d-7e5c-95cc-52144387310f --wait 30 --json
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        state = client.requests.get(request_id, wait_seconds=wait)
    out.json(state.to_json())
    show_state(out, state)


@app.command("cancel")
def cancel(
    request_id: RequestArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Withdraw a pending request.

    Exit status: 0 cancelled, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey cancel 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        state = client.requests.cancel(request_id)
    out.json(state.to_json())
    show_state(out, state)


@app.command("receipt")
def receipt(
    request_id: RequestArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here; default: print it.")
    ] = None,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Fetch the receipt of a finished request, unchecked.

    It is JSON in any case; --json only changes what is said about a written file.
    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Examples:
      quorumkey receipt 01a1fb5c-6c3d-7e5c-95cc-52144387310f -o receipt.json
      quorumkey verify receipt.json --policy policy.json
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        envelope = client.requests.receipt(request_id)
    if output is None:
        typer.echo(envelope.encode().decode())
        return
    write_output(output, envelope.encode())
    out.json({"request_id": request_id, "output": str(output)})
    way = (
        "verify_protected_call of quorumkey.protected"
        if _is_of_protected_method(envelope)
        else f"quorumkey verify {output} --policy FILE"
    )
    out.line(f"The receipt is in {output}; check it with: {way}")


def _is_of_protected_method(envelope: Envelope) -> bool:
    """Whether a receipt says that it is of a protected method's call; nothing of it is checked."""
    try:
        receipt = Receipt.decode(envelope.payload)
        return RequestDocument.decode(receipt.request.payload).profile == "protected_method"
    except ProtocolError:
        return False


@app.command("devices")
def devices(
    approver: Annotated[
        str | None, typer.Option("--approver", metavar="ID", help="Only this approver's.")
    ] = None,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the devices paired with this integrator.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey devices --approver alice
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        found = list(client.devices.list(approver_id=approver))
    out.json([_device_json(device) for device in found])
    if not found:
        out.line("No device is paired.")
    for device in found:
        rows = [
            ("Device", device.fingerprint),
            ("Pictogram", pictogram_of(device.fingerprint)),
            ("Approver", party_text(device.approver)),
            ("Platform", f"{visible(device.platform)}, assurance {visible(device.assurance)}"),
        ]
        if device.revoked_at is not None:
            rows.append(("Ended", format_time(device.revoked_at)))
        out.rows(rows)
        out.line()


def _device_json(device: Device) -> JsonValue:
    value: dict[str, JsonValue] = {
        "fingerprint": device.fingerprint,
        "device_public_key": device.device_public_key.base64,
        "pictogram_speakable": speakable(device.fingerprint),
        "platform": device.platform,
        "assurance": device.assurance,
        "approver": device.approver.to_json(),
        "enrolled_at": format_time(device.enrolled_at),
    }
    if device.revoked_at is not None:
        value["revoked_at"] = format_time(device.revoked_at)
    return value


@app.command("pair")
def pair(  # noqa: PLR0913 - one argument for each option
    approver_id: Annotated[str, typer.Argument(metavar="APPROVER", help="Your id for the person.")],
    *,
    name: Annotated[str | None, typer.Option("--name", help="What the person sees.")] = None,
    expires_in: Annotated[
        int | None, typer.Option("--expires-in", metavar="SECONDS", help="60 to 3600; default 600.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait at most so long.")
    ] = None,
    url: UrlOption = None,
    relay_key: RelayKeyOption = None,
    http_host: HttpHostOption = None,
    allow_unbound: Annotated[
        bool,
        typer.Option(
            "--allow-unbound",
            help="Accept a device that typed the code and so does not know the link's secret.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Pair an approver's device: print the link, wait for the device, check its proof.

    With --json, the first line is the pairing, the second the confirmed device.
    The link holds a secret: give it to the approver and to nobody else.
    Exit status: 0 paired and confirmed, 1 not confirmed or failed, 2 usage,
    130 interrupted.

    Example:
      quorumkey pair alice --name 'Alice Example'
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, relay_key) as client:
        pairing = client.pairings.create(approver_id, name, expires_in_seconds=expires_in)
        out.json(
            {
                "pairing_id": pairing.pairing_id,
                "pairing_code": pairing.code,
                "pairing_url": pairing.url,
                "expires_at": format_time(pairing.expires_at),
            }
        )
        out.line(f"Open on the approver's device, until {format_time(pairing.expires_at)}:")
        out.line(pairing.url)
        device = client.pairings.wait(pairing, timeout=timeout, allow_unbound=allow_unbound)
    out.json(_confirmed_json(device))
    out.rows(
        [
            ("Device", device.fingerprint),
            ("Pictogram", pictogram_of(device.fingerprint)),
            ("Approver", party_text(device.approver)),
            ("Confirmed", "yes" if device.bound else "no: not bound to the link's secret"),
        ]
    )


def _confirmed_json(device: ConfirmedDevice) -> JsonValue:
    return {
        "fingerprint": device.fingerprint,
        "device_public_key": device.device_public_key.base64,
        "pictogram_speakable": speakable(device.fingerprint),
        "platform": device.platform,
        "assurance": device.assurance,
        "approver": device.approver.to_json(),
        "confirmed": device.bound,
    }
