"""``quorumkey device list``, ``show``, ``approve``, ``deny`` and ``listen``."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey.cli._device_options import (
    DEFAULT_HOME,
    HomeOption,
    HttpHostOption,
    JsonOption,
    RelayOption,
    RequestArgument,
    YesOption,
    device_at,
    run_device,
)
from quorumkey.cli._output import FAILED, Output, confirm, say_error
from quorumkey.cli._request_text import request_json, show_request
from quorumkey.device import (
    Choice,
    Connected,
    Disconnected,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    SoftwareDevice,
    visible,
)

if TYPE_CHECKING:
    from quorumkey.device import Answered, DeviceEvent, DeviceRequest

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_requests(
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    every: Annotated[bool, typer.Option("--all", help="Also finished requests.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the requests that wait for this device.

    Exit status: 0 done, 1 failed, 2 usage, 130 interrupted.

    Example:
      quorumkey device list --home ~/.quorumkey
    """
    out = Output(as_json=as_json)

    async def work(device: SoftwareDevice) -> list[DeviceRequest]:
        return await device.pending(every=every)

    requests = run_device(device_at(home, relay, http_host), work)
    out.json([request_json(request) for request in requests])
    if not requests:
        out.line("Nothing waits for this device.")
    for request in requests:
        show_request(out, request)
        out.line()


@app.command("show")
def show(
    request_id: RequestArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one request in full, checked.

    Exit status: 0 it may be approved or is finished, 1 a check failed or the call did,
    2 usage, 130 interrupted.

    Example:
      quorumkey device show 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    out = Output(as_json=as_json)

    async def work(device: SoftwareDevice) -> DeviceRequest:
        return await device.show(request_id)

    request = run_device(device_at(home, relay, http_host), work)
    out.json(request_json(request))
    show_request(out, request)
    if request.problem is not None and request.can_deny:
        raise typer.Exit(FAILED)


@app.command("approve")
def approve(  # noqa: PLR0913 - one argument for each option
    request_id: RequestArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    code: Annotated[
        str | None, typer.Option("--code", help="The match code that you were told.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a request, ask, and sign an approval.

    Exit status: 0 the approval is recorded, 1 it is not, 2 usage, 130 interrupted.

    Examples:
      quorumkey device approve 01a1fb5c-6c3d-7e5c-95cc-52144387310f
      quorumkey device approve 01a1fb5c-6c3d-7e5c-95cc-52144387310f --code 4711 --yes
    """
    device = device_at(home, relay, http_host)
    _decide(device, request_id, Choice.APPROVE, text=code, yes=yes, as_json=as_json)


@app.command("deny")
def deny(  # noqa: PLR0913 - one argument for each option
    request_id: RequestArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="A sentence for the audit trail.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a request, ask, and sign a denial.

    Exit status: 0 the denial is recorded, 1 it is not, 2 usage, 130 interrupted.

    Example:
      quorumkey device deny 01a1fb5c-6c3d-7e5c-95cc-52144387310f --reason 'Not in this window'
    """
    device = device_at(home, relay, http_host)
    _decide(device, request_id, Choice.DENY, text=reason, yes=yes, as_json=as_json)


def _decide(  # noqa: PLR0913 - one argument for each option
    device: SoftwareDevice,
    request_id: str,
    choice: Choice,
    *,
    text: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Show, ask, sign; what is signed is what was shown."""
    out = Output(as_json=as_json)

    async def ask(device: SoftwareDevice) -> Answered | None:
        request = await device.show(request_id)
        show_request(out, request)
        if request.can_approve or request.can_deny:
            await device.acknowledge(request_id)
        if not yes and not confirm(f"{choice.value.capitalize()} this?"):
            return None
        if choice is Choice.DENY:
            return await device.deny(request, reason=text)
        wanted = request.document is not None and request.document.policy.match_code
        code = typer.prompt("Match code", err=True) if wanted and not text and not yes else text
        return await device.approve(request, code=code)

    answered = run_device(device, ask)
    if answered is None:
        say_error("Nothing was signed.")
        raise typer.Exit(FAILED)
    out.json(
        {
            "request_id": request_id,
            "decision": answered.decision.value,
            "status": answered.status.value,
            "groups_satisfied_count": answered.groups_satisfied_count,
            "groups_required": answered.groups_required,
        }
    )
    out.line(
        f"Recorded: {answered.decision.value}. The request is {answered.status.value};"
        f" {answered.groups_satisfied_count} of {answered.groups_required} groups approved."
    )


@app.command("listen")
def listen(
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    once: Annotated[bool, typer.Option("--once", help="End after the first request.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stay connected and show requests as they arrive, until interrupted.

    A connection that breaks is made again after 1 to 30 seconds. With --json,
    each event is one line.
    Exit status: 0 ended by --once, 1 the relay refuses this device or a file is
    damaged, 2 usage, 130 interrupted.

    Example:
      quorumkey device listen --home ~/.quorumkey
    """
    out = Output(as_json=as_json)

    async def work(device: SoftwareDevice) -> None:
        async with aclosing(device.listen()) as events:
            async for event in events:
                _show_event(out, event)
                if isinstance(event, RequestArrived):
                    await device.acknowledge(event.request.request_id)
                    if once:
                        return

    run_device(device_at(home, relay, http_host), work)


def _show_event(out: Output, event: DeviceEvent) -> None:
    match event:
        case Connected():
            out.json({"event": "connected"})
            out.line("Connected; waiting for requests. Press Ctrl-C to stop.")
        case Disconnected(reason, seconds):
            out.json({"event": "disconnected", "reason": reason, "retry_in": int(seconds)})
            out.line(f"{visible(reason)} Trying again in {seconds:.0f} s.")
        case RequestArrived(request):
            out.json({"event": "request", "request": request_json(request)})
            out.line()
            show_request(out, request)
            out.line(f"Answer with: quorumkey device approve|deny {visible(request.request_id)}")
        case RequestProgressed(request_id, count, required):
            out.json(
                {
                    "event": "progress",
                    "request_id": request_id,
                    "groups_satisfied_count": count,
                    "groups_required": required,
                }
            )
            out.line(f"{visible(request_id)}: {count} of {required} groups approved.")
        case RequestResolved(request_id, status):
            out.json({"event": "resolved", "request_id": request_id, "status": status.value})
            out.line(f"{visible(request_id)} is {status.value}.")
        case unusable:
            reason = unusable.reason
            out.json({"event": "unusable", "request_id": unusable.request_id, "reason": reason})
            out.line(visible(reason), style="bold red")
