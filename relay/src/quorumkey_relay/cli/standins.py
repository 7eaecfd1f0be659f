"""``stand-ins``: push services of one's own, for trying out and for tests."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import typer
from typer.core import TyperCommand

from quorumkey_relay.cli.options import JsonOption, explained, own
from quorumkey_relay.cli.output import Output, forget_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from quorumkey_relay.standins import Received, StandIns
    from quorumkey_relay.standins.exchange import Behaviour

_MAX_PORT: Final = 65_535


#: Holds the one command, for the program's own list.
app = typer.Typer()


class _Formatter(Protocol):
    """What lays out a help text."""

    def section(self, name: str) -> AbstractContextManager[None]:
        """Put what is written meanwhile under a title."""
        ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write names and explanations in two columns."""
        ...


class _WithTables(TyperCommand):
    """The command, whose help ends with what each stand-in can be made to do."""

    def format_epilog(self, ctx: object, formatter: _Formatter) -> None:
        """Write the tables of behaviours."""
        from quorumkey_relay.standins import (  # noqa: PLC0415 - others need not wait for it
            apns_table,
            fcm_table,
            webpush_table,
        )

        del ctx
        for title, behaviours in (
            ("APNs device tokens", apns_table.BEHAVIOURS),
            ("FCM registration tokens", fcm_table.BEHAVIOURS),
            ("Web Push subscriptions", webpush_table.BEHAVIOURS),
        ):
            with formatter.section(f"{title}, by name"):
                formatter.write_dl(_rows(behaviours.values()))


def _rows(behaviours: Iterable[Behaviour]) -> list[tuple[str, str]]:
    return [(one.name, one.help) for one in behaviours]


def _port_option(name: str, what: str) -> object:
    help_text = f"Port of {what}; 0 takes a free one."
    return own(name, "PORT", help_text, least=0, most=_MAX_PORT)


@app.command(
    "stand-ins",
    cls=_WithTables,
    help=explained(
        "Serve stand-ins for APNs, FCM and a Web Push service on loopback, until SIGINT or SIGTERM:"
        " they refuse what the providers refuse and go wrong as they do, so that a relay can be"
        " tried out and tested without anybody's account. First come their addresses and the"
        " variables that point a relay at them, then a line for each push. How a push is treated"
        " depends on its token, which apns_token() and fcm_token() of quorumkey_relay.standins"
        " make, and on its subscription, which POST /webpush/subscriptions of the control"
        " interface makes.",
        "quorumkey-relay stand-ins --dir stand-ins",
        "quorumkey-relay stand-ins --dir stand-ins --apns-port 2197 --fcm-port 8443 --json",
    ),
)
def stand_ins(  # noqa: PLR0913 - one parameter an option
    *,
    folder: Annotated[Path, own("dir", "DIR", "Folder of their keys; made when missing.")],
    apns_port: Annotated[int, _port_option("apns_port", "APNs, production")] = 0,
    apns_sandbox_port: Annotated[int, _port_option("apns_sandbox_port", "APNs, sandbox")] = 0,
    fcm_port: Annotated[int, _port_option("fcm_port", "FCM and its token endpoint")] = 0,
    webpush_port: Annotated[int, _port_option("webpush_port", "the Web Push service")] = 0,
    control_port: Annotated[int, _port_option("control_port", "the control interface")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Serve stand-ins until SIGINT or SIGTERM."""
    from quorumkey_relay.standins import Ports  # noqa: PLC0415 - others need not wait for it
    from quorumkey_relay.standins.foreground import run  # noqa: PLC0415 - as above

    out = Output(as_json=as_json)
    ports = Ports(
        apns=apns_port,
        apns_sandbox=apns_sandbox_port,
        fcm=fcm_port,
        webpush=webpush_port,
        control=control_port,
    )
    run(
        folder,
        ports,
        on_ready=lambda stands: _said(lambda: _say_ready(stands, out)),
        on_received=lambda push: _said(lambda: _say_push(push, out)),
    )


def _said(say: Callable[[], None]) -> None:
    """Print, and go on without output when nobody reads it."""
    try:
        say()
    except BrokenPipeError:
        forget_output()


def _say_ready(stands: StandIns, out: Output) -> None:
    settings = stands.settings()
    addresses = {name: stand.url for name, stand in stands.stands.items()}
    out.json({**addresses, "control": stands.control_url, "settings": settings, "pid": os.getpid()})
    out.line("Stand-ins for push services, for tests only. Ctrl-C stops them.")
    for name, url in (*addresses.items(), ("control", stands.control_url)):
        out.line(f"{name:<14}{url}")
    out.line()
    for name, text in settings.items():
        out.line(f"export {name}={shlex.quote(text)}")
    out.line()


def _say_push(push: Received, out: Output) -> None:
    shown = {
        "channel": push.channel,
        "token": push.label,
        "accepted": push.accepted,
        "reason": push.reason,
        "push_type": push.push_type,
        "collapse_id": push.collapse_id,
        "title": push.title,
    }
    out.json(shown)
    answer = "accepted" if push.accepted else push.reason
    more = " ".join(text for text in (push.push_type, push.collapse_id) if text)
    out.line(f"{push.channel:<13}{push.label:<24} {answer:<12} {more}  {push.title or ''}".rstrip())
