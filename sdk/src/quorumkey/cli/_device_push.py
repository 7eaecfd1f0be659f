"""``quorumkey device push`` and ``open``: where to be woken, and what a push carried."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.cli._arguments import UsageError, read_input
from quorumkey.cli._device_options import (
    DEFAULT_HOME,
    HomeOption,
    HttpHostOption,
    JsonOption,
    RelayOption,
    device_at,
    run_device,
)
from quorumkey.cli._output import FAILED, Output
from quorumkey.cli._request_text import request_json, show_request
from quorumkey.device import RequestArrived
from quorumkey.device.visible import visible
from quorumkey.errors import ProtocolError
from quorumkey.protocol.push_address import NoPushAddress, parse_push_address
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from quorumkey.device import RequestWithdrawn, SoftwareDevice
    from quorumkey.protocol.push_address import PushAddress

__all__ = ["PushOption", "app", "push_address_of"]

_MAX_ADDRESS_BYTES: Final = 8_192
_MAX_PAYLOAD_BYTES: Final = 65_536  # more than any push has; the device refuses what is too large
_NOWHERE: Final = "none"

PushOption = Annotated[
    str | None,
    typer.Option(
        "--push", metavar="ADDRESS", help="Where to be woken: see quorumkey device push --help."
    ),
]

app = typer.Typer(rich_markup_mode=None)


def push_address_of(text: str) -> PushAddress:
    """Read the JSON of an address, ``none``, or ``-`` for a line of standard input.

    Raises:
        UsageError: it is none of these.
    """
    if text == "-":
        text = sys.stdin.readline(_MAX_ADDRESS_BYTES).strip()
    if text == _NOWHERE:
        return NoPushAddress()
    try:
        return parse_push_address(loads(text.encode(), max_bytes=_MAX_ADDRESS_BYTES))
    except ProtocolError as error:
        raise UsageError(f"The push address is not usable: {error}") from None


@app.command("push")
def push(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The address as JSON, none, or - to read it.")
    ],
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""Say where this device wants to be woken from now on.

    The address is the object that the protocol calls push; a program that tests the
    way of a push gives the token that its stand-in expects. Pass - to keep a token
    out of the list of processes.
    Exit status: 0 done, 1 refused or failed, 2 usage.

    Examples:
      quorumkey device push '{"channel": "fcm", "token": "…"}'
      quorumkey device push '{"channel": "apns", "token": "…", "topic": "com.example.app",
        "environment": "sandbox"}'
      quorumkey device push none
    """
    where = push_address_of(address)

    async def work(device: SoftwareDevice) -> None:
        await device.set_push(where)

    run_device(device_at(home, relay, http_host), work)
    out = Output(as_json=as_json)
    out.json({"channel": where.channel})
    if isinstance(where, NoPushAddress):
        out.line("This device is not woken any more; it listens or asks by itself.")
    else:
        out.line(f"This device is woken through {where.channel}.")


@app.command("open")
def open_push(
    payload: Annotated[
        str, typer.Argument(metavar="PAYLOAD", help="The push's JSON file; - reads standard input.")
    ],
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read what a push carried, show the request that it leads to, and acknowledge it.

    It is the whole payload of APNs, the data of FCM, or the decrypted body of Web
    Push. Its challenge has to be the pinned relay's, for this device and request.
    Exit status: 0 it may be approved, is finished or withdrawn; 1 a check failed or
    the call did; 2 usage, 130 interrupted.

    Example:
      quorumkey device open payload.json
    """
    out = Output(as_json=as_json)
    data = read_input(payload, max_bytes=_MAX_PAYLOAD_BYTES)

    async def work(device: SoftwareDevice) -> RequestArrived | RequestWithdrawn:
        event = await device.open_push(data)
        _show_event(out, event)
        if isinstance(event, RequestArrived) and event.request.can_deny:
            await device.acknowledge(event.request.request_id)
        return event

    event = run_device(device_at(home, relay, http_host), work)
    if isinstance(event, RequestArrived):
        request = event.request
        if request.problem is not None and request.can_deny:
            raise typer.Exit(FAILED)


def _show_event(out: Output, event: RequestArrived | RequestWithdrawn) -> None:
    if not isinstance(event, RequestArrived):
        out.json({"type": "request_resolved", "request_id": event.request_id})
        out.line(f"Withdrawn: {visible(event.request_id)} has ended.")
        return
    out.json({"type": "approval_request", "request": request_json(event.request)})
    show_request(out, event.request)
