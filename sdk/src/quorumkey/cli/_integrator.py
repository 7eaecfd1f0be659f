"""What the integrator's commands share: their options, their client, how they show a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey.client import Client
from quorumkey.device.visible import visible
from quorumkey.protocol.encoding import format_time

if TYPE_CHECKING:
    from quorumkey.cli._output import Output
    from quorumkey.client import RequestState

__all__ = [
    "HttpHostOption",
    "JsonOption",
    "RelayKeyOption",
    "RequestArgument",
    "UrlOption",
    "connect",
    "show_state",
]

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The relay's address; default: QUORUMKEY_URL.")
]
RelayKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--relay-key",
        metavar="BASE64",
        help="Trust this relay key; without it, the key that the relay names.",
    ),
]
HttpHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--http-host", metavar="HOST", help="May be called without TLS; for development only."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
RequestArgument = Annotated[str, typer.Argument(metavar="ID", help="The request's id.")]


def connect(
    url: str | None,
    http_hosts: list[str] | None,
    relay_keys: list[str] | None = None,
    integrator_id: str | None = None,
) -> Client:
    """A client with the API key of the environment."""
    return Client(
        url,
        relay_public_keys=relay_keys or None,
        integrator_id=integrator_id,
        http_hosts=http_hosts or (),
    )


def show_state(out: Output, state: RequestState) -> None:
    """Print how a request stands, by the relay's word."""
    satisfied = ", ".join(visible(name) for name in state.groups_satisfied)
    rows = [
        ("Request", visible(state.request_id)),
        ("Status", state.status.value),
        ("Quorum", f"{len(state.groups_satisfied)} of {state.groups_required} required"),
    ]
    if satisfied:
        rows.append(("Approved by", satisfied))
    rows += [
        ("Digest", visible(state.request_digest)),
        ("Expires", format_time(state.expires_at)),
        ("Use by", format_time(state.use_by)),
    ]
    if state.completed_at is not None:
        rows.append(("Completed", format_time(state.completed_at)))
    out.rows(rows)
