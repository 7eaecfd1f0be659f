"""``quorumkey jit approve`` and ``deny``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.cli._device_options import (
    DEFAULT_HOME,
    HomeOption,
    RelayOption,
    YesOption,
    device_at,
    run_device,
)
from quorumkey.cli._integrator import HttpHostOption, JsonOption, UrlOption
from quorumkey.cli._jit_options import (
    LinkArgument,
    TokenCommandOption,
    TokenFileOption,
    activation_of,
    connect,
)
from quorumkey.cli._jit_text import request_json, show_access, status_text
from quorumkey.cli._output import FAILED, Output, confirm, say_error
from quorumkey.cli._request_text import show_request
from quorumkey.device import Choice
from quorumkey.errors import ProtocolError
from quorumkey.jit.client import ApprovalMode
from quorumkey.protocol import RoleActivation, json_equal

if TYPE_CHECKING:
    from quorumkey.device import DeviceRequest, SoftwareDevice
    from quorumkey.jit.client import AccessRequest, JitClient

__all__ = ["app"]

_SECONDS_A_MINUTE: Final = 60

app = typer.Typer(rich_markup_mode=None)


@app.command("approve")
def approve(  # noqa: PLR0913 - one argument for each option
    link: LinkArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    yes: YesOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a request, ask, and approve it, with the device under --home where that is needed.

    Exit status: 0 the approval is recorded, 1 it is not, 2 usage, 130 interrupted.

    Example:
      quorumkey jit approve 'https://relay.example.com/jit/?activation=…&projectId=project-1'
    """
    with connect(url, http_host, token_file, token_command) as client:
        device = device_at(home, relay, http_host)
        _decide(client, device, link, Choice.APPROVE, reason=None, yes=yes, as_json=as_json)


@app.command("deny")
def deny(  # noqa: PLR0913 - one argument for each option
    link: LinkArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="A sentence that the device signs too.")
    ] = None,
    yes: YesOption = False,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a request, ask, and deny it, with the device under --home where that is needed.

    Exit status: 0 the denial is recorded, 1 it is not, 2 usage, 130 interrupted.

    Example:
      quorumkey jit deny 'https://relay.example.com/jit/?activation=…&projectId=project-1'
    """
    with connect(url, http_host, token_file, token_command) as client:
        device = device_at(home, relay, http_host)
        _decide(client, device, link, Choice.DENY, reason=reason, yes=yes, as_json=as_json)


def _decide(  # noqa: PLR0913 - one argument for each option
    client: JitClient,
    device: SoftwareDevice,
    link: str,
    choice: Choice,
    *,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Show, ask, decide: on the device what it has checked and signs, else by a call."""
    out = Output(as_json=as_json)
    activation = activation_of(link)
    asked = client.get(activation)
    if asked.approval is ApprovalMode.DEVICE:
        is_decided = _sign(device, asked, choice, out, reason=reason, yes=yes)
        decided = client.get(activation) if is_decided else None
    else:
        show_access(out, asked)
        act = client.approve if choice is Choice.APPROVE else client.deny
        is_decided = yes or confirm(f"{choice.value.capitalize()} this?")
        decided = act(activation) if is_decided else None
    if decided is None:
        say_error("Nothing was decided.")
        raise typer.Exit(FAILED)
    out.json(request_json(decided))
    out.line()
    status = decided.roles[0].status if decided.roles else None
    out.line("Recorded." if status is None else f"Recorded; it is now {status_text(status)}.")


def _sign(  # noqa: PLR0913 - one argument for each option
    device: SoftwareDevice,
    asked: AccessRequest,
    choice: Choice,
    out: Output,
    *,
    reason: str | None,
    yes: bool,
) -> bool:
    """What is signed is what the device was shown, and is what the link leads to.

    The relay says which request that is: it must not be able to name one of another kind, which
    ``--yes`` would sign unseen.
    """
    if asked.request_id is None:
        say_error("The relay names no signed request.")
        return False
    request_id = asked.request_id

    async def work(device: SoftwareDevice) -> bool:
        request = await device.show(request_id)
        show_request(out, request)
        if choice is Choice.APPROVE and not _is_what_was_asked(request, asked):
            say_error("The request to sign is not what the link leads to; nothing was signed.")
            return False
        if request.can_approve or request.can_deny:
            await device.acknowledge(request_id)
        if not yes and not confirm(f"{choice.value.capitalize()} this?"):
            return False
        if choice is Choice.APPROVE:
            await device.approve(request)
        else:
            await device.deny(request, reason=reason)
        return True

    return run_device(device, work)


def _is_what_was_asked(request: DeviceRequest, asked: AccessRequest) -> bool:
    """Whether a signed request is for the one role that the link leads to.

    One that cannot be read has a problem, for which the device does not sign it.
    """
    document = request.document
    if document is None:
        return True
    if document.profile != "jit_access" or len(asked.roles) != 1:
        return False
    (role,) = asked.roles
    seconds = (asked.duration_minutes or 0) * _SECONDS_A_MINUTE
    if role.start is not None and role.end is not None:
        seconds = role.end - role.start
    try:
        activation = RoleActivation(
            beneficiary=asked.beneficiary,
            project=role.project,
            role=role.role,
            justification=asked.justification,
            duration_seconds=seconds,
            condition=role.condition,
            start=role.start,
        )
    except ProtocolError:
        return False
    return json_equal(document.action.to_json(), activation.action().to_json())
