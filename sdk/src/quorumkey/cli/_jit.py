"""``quorumkey jit``: what a person may activate, asking for it, and what they have."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey.cli._integrator import HttpHostOption, JsonOption, UrlOption
from quorumkey.cli._jit_options import (
    CountOption,
    EntitlementArgument,
    JustificationOption,
    LinkArgument,
    MinutesOption,
    TokenCommandOption,
    TokenFileOption,
    activation_of,
    connect,
    project_of,
)
from quorumkey.cli._jit_text import (
    active_json,
    entitlement_json,
    request_json,
    show_access,
    show_active,
    show_entitlement,
)
from quorumkey.cli._output import Output
from quorumkey.device import visible
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey.jit.client import AccessRequest

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command("roles")
def roles(  # noqa: PLR0913 - one argument for each option
    project: Annotated[
        str | None, typer.Argument(metavar="PROJECT", help="Where; without, lists the projects.")
    ] = None,
    *,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the roles that you may activate in a project, or the projects where you may.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Examples:
      quorumkey jit roles
      quorumkey jit roles project-1 --json
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        if project is None:
            _list(out, client.projects(), "There is no project in which you may activate a role.")
            return
        found = client.roles(project)
    out.json(
        {
            "entitlements": [entitlement_json(each) for each in found.entitlements],
            "warnings": list(found.warnings),
        }
    )
    for warning in found.warnings:
        out.note(f"Warning: {visible(warning)}")
    if not found.entitlements:
        out.line("There is no role that you may activate there.")
    for entitlement in found.entitlements:
        show_entitlement(out, entitlement)
        out.line()


@app.command("peers")
def peers(  # noqa: PLR0913 - one argument for each option
    entitlement: EntitlementArgument,
    *,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """List who may approve a role for you.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit peers project-1:roles/compute.admin
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        found = client.peers(project_of(entitlement), entitlement)
    _list(out, found, "There is nobody who could approve it for you.")


@app.command("activate")
def activate(  # noqa: PLR0913 - one argument for each option
    entitlements: Annotated[
        list[str], typer.Argument(metavar="ENTITLEMENT…", help="PROJECT:ROLE, of one project.")
    ],
    *,
    justification: JustificationOption,
    minutes: MinutesOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Activate roles that need nobody's approval.

    Activating a role again gives you the new time in place of what is left.
    Exit status: 0 activated, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit activate project-1:roles/viewer -j BUG-12345 -m 30
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        activated = client.activate(
            project_of(entitlements[0]), entitlements, justification=justification, minutes=minutes
        )
    out.json(request_json(activated))
    show_access(out, activated)


@app.command("request")
def request(  # noqa: PLR0913 - one argument for each option
    entitlement: EntitlementArgument,
    *,
    peer: Annotated[
        list[str],
        typer.Option("--peer", metavar="EMAIL", help="Who shall approve; repeat for more."),
    ],
    justification: JustificationOption,
    minutes: MinutesOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask peers for a role; who could approve it says quorumkey jit peers.

    Exit status: 0 your peers were asked, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit request project-1:roles/compute.admin --peer bob@example.com -j BUG-12345
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        asked = client.request(
            project_of(entitlement),
            entitlement,
            justification=justification,
            peers=peer,
            minutes=minutes,
        )
    out.json(request_json(asked))
    show_access(out, asked)


@app.command("requests")
def requests(  # noqa: PLR0913 - one argument for each option
    *,
    count: CountOption = DEFAULT_LIST_LIMIT,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your own requests and how they stand.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit requests --count 5
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        _show_requests(out, islice(client.requests(), count), "You have not asked for a role.")


@app.command("review")
def review(  # noqa: PLR0913 - one argument for each option
    link: Annotated[
        str | None,
        typer.Argument(metavar="LINK", help="The link of the e-mail; without, lists what waits."),
    ] = None,
    *,
    count: CountOption = DEFAULT_LIST_LIMIT,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a request that you made or are asked to approve, or list what waits for you.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Examples:
      quorumkey jit review
      quorumkey jit review 'https://relay.example.com/jit/?activation=…&projectId=project-1'
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        if link is None:
            _show_requests(out, islice(client.reviews(), count), "Nothing waits for you.")
            return
        shown = client.get(activation_of(link))
    out.json(request_json(shown))
    show_access(out, shown)


@app.command("withdraw")
def withdraw(  # noqa: PLR0913 - one argument for each option
    link: LinkArgument,
    *,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a request of your own that nobody has decided.

    Exit status: 0 it is withdrawn, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit withdraw 'https://relay.example.com/jit/?activation=…&projectId=project-1'
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        withdrawn = client.withdraw(activation_of(link))
    out.json(request_json(withdrawn))
    show_access(out, withdrawn)


@app.command("active")
def active(  # noqa: PLR0913 - one argument for each option
    *,
    every: Annotated[bool, typer.Option("--all", help="Also what has ended.")] = False,
    count: CountOption = DEFAULT_LIST_LIMIT,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the roles that you have now.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit active
      quorumkey jit active --all --json
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        wanted = (role for role in client.activations() if every or role.status.is_in_force)
        found = [*islice(wanted, count)]
    out.json([active_json(role) for role in found])
    if not found:
        out.line("You have no role that was activated.")
    for role in found:
        show_active(out, role)
        out.line()


@app.command("revoke")
def revoke(  # noqa: PLR0913 - one argument for each option
    activation_id: Annotated[
        str,
        typer.Argument(metavar="ACTIVATION", help="As quorumkey jit active or review has it."),
    ],
    *,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    token_command: TokenCommandOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """End access before its time: your own, or what you were asked to approve.

    Exit status: 0 it ends, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey jit revoke 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    out = Output(as_json=as_json)
    with connect(url, http_host, token_file, token_command) as client:
        ended = client.revoke(activation_id)
    out.json(active_json(ended))
    show_active(out, ended)


def _list(out: Output, names: Iterable[str], nothing: str) -> None:
    found = list(names)
    out.json([*found])
    for name in found or [nothing]:
        out.line(visible(name))


def _show_requests(out: Output, requests: Iterable[AccessRequest], nothing: str) -> None:
    found = [*requests]
    out.json([request_json(each) for each in found])
    if not found:
        out.line(nothing)
    for each in found:
        show_access(out, each)
        out.line()
