"""``requests``: what was asked, who decided, and how the notifications fared; for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from quorumkey.protocol import Decision, JsonValue, RequestDocument, check_uuid7, format_time
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT, MAX_LIST_LIMIT, MIN_LIST_LIMIT
from quorumkey_relay.cli.access import integrator_of, opened
from quorumkey_relay.cli.options import (
    STORE_SETTINGS,
    JsonOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.domain.model import Status
from quorumkey_relay.settings import Settings
from quorumkey_relay.usecases.render import request_from, request_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.store.records import Delivery, Evidence, Stored
    from quorumkey_relay.usecases.views import RequestView

#: Characters of a fingerprint that tell devices apart on a screen; --json has all of them.
_SHORT_CHARS: Final = 16

_NOTIFIED: Final = (
    "kind",
    "channel",
    "state",
    "attempts",
    "changed_at",
    "approver_id",
    "device",
    "reason",
)

app = typer.Typer(
    name="requests",
    help="What was asked, who decided, and how the notifications fared.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "list",
    help=explained(
        "List requests, newest first.",
        "quorumkey-relay requests list",
        "quorumkey-relay requests list --status pending --limit 100",
        "quorumkey-relay requests list --before 01a1fb5c-6c3d-7e5c-95cc-52144387310f --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def list_requests(  # noqa: PLR0913 - one argument for each option
    settings: Settings,
    *,
    integrator: Annotated[str | None, own("integrator", "ID", "Only this integrator's.")] = None,
    status: Annotated[
        Status | None,
        own("status", "|".join(Status), "Only those in this status."),
    ] = None,
    limit: Annotated[
        int,
        own("limit", "NUMBER", "How many.", least=MIN_LIST_LIMIT, most=MAX_LIST_LIMIT),
    ] = DEFAULT_LIST_LIMIT,
    before: Annotated[
        str | None, own("before", "ID", "Only those older than this request.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List requests."""
    now = SystemClock().now()
    with opened(settings) as store:
        if integrator is not None:
            integrator_of(store, integrator)
        if before is not None:
            check_uuid7(before, field="--before")
        names = {one.id: one.name for one in store.read.integrators()}
        found = [
            (summary.integrator_id, request_from(summary, now))
            for summary in store.read.summaries(
                integrator_id=integrator, status=status, before=before, limit=limit, now=now
            )
        ]
    out = Output(as_json=as_json)
    out.json([{"integrator_id": owner} | _members(view) for owner, view in found])
    out.table(
        ("ID", "STATUS", "GROUPS", "INTEGRATOR", "CREATED", "ENDED"),
        [
            (
                view.request_id,
                view.status,
                f"{len(view.groups_satisfied)} of {view.groups_required}",
                names.get(owner, owner),
                view.created_at,
                view.completed_at if isinstance(view.completed_at, str) else "",
            )
            for owner, view in found
        ],
        empty="No request yet.",
    )


@app.command(
    "show",
    help=explained(
        "Show a request in full: what was asked, who decided what, and each notification."
        " Integrators never learn who denied; what is shown here is for the operator.",
        "quorumkey-relay requests show 01a1fb5c-6c3d-7e5c-95cc-52144387310f",
        "quorumkey-relay requests show 01a1fb5c-6c3d-7e5c-95cc-52144387310f --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def show(
    settings: Settings,
    *,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id.")],
    as_json: JsonOption = False,
) -> None:
    """Show a request in full."""
    now = SystemClock().now()
    with opened(settings) as store:
        found = store.read.stored(request_id)
        if found is None:
            message = "there is no request with this id; see: quorumkey-relay requests list"
            raise Refused(message)
        stored = found[1]
        decisions = store.read.evidence(request_id)
        deliveries = store.read.outbox.of_request(request_id)
    view = request_of(stored, now)
    document = RequestDocument.decode(stored.document.payload)
    decided = [_decision(stored, evidence) for evidence in decisions]
    notified = [_delivery(stored, delivery) for delivery in deliveries]
    out = Output(as_json=as_json)
    out.json(
        _members(view)
        | _asked(document)
        | {"decisions": list(decided), "deliveries": list(notified)}
    )
    _show(out, view, document)
    out.table(
        ("DECISION", "GROUP", "APPROVER", "DEVICE", "DECIDED", "REASON"),
        _cells(decided, ("decision", "group", "approver_id", "device", "decided_at", "reason")),
        empty="Nobody has decided.",
    )
    out.table(
        ("MESSAGE", "CHANNEL", "STATE", "TRIES", "CHANGED", "APPROVER", "DEVICE", "REASON"),
        _cells(notified, _NOTIFIED),
        empty="Nobody was notified.",
    )


def _members(view: RequestView) -> dict[str, object]:
    return msgspec.convert(msgspec.to_builtins(view), dict[str, object])


def _asked(document: RequestDocument) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {"integrator": document.integrator.to_json()}
    if document.requester is not None:
        members["requester"] = document.requester.to_json()
    members["action"] = document.action.to_json()
    members["policy"] = document.policy.to_json()
    return members


def _decision(stored: Stored, evidence: Evidence) -> dict[str, JsonValue]:
    said = Decision.decode(evidence.envelope.payload)
    members = _seat(stored, evidence.device)
    members |= {"decision": said.decision, "decided_at": format_time(said.decided_at)}
    if said.reason is not None:
        members["reason"] = said.reason
    return members


def _delivery(stored: Stored, delivery: Delivery) -> dict[str, JsonValue]:
    members = _seat(stored, delivery.device)
    members |= {
        "channel": delivery.channel,
        "kind": delivery.kind,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": format_time(delivery.created_at),
        "changed_at": format_time(delivery.changed_at),
    }
    if delivery.state == "queued":
        members["next_attempt_at"] = format_time(delivery.next_at)
    if delivery.reason is not None:
        members["reason"] = delivery.reason
    return members


def _seat(stored: Stored, device: str) -> dict[str, JsonValue]:
    seat = stored.terms.seats[device]
    return {
        "device": device,
        "group": stored.terms.groups[seat.group],
        "approver_id": seat.person,
    }


def _show(out: Output, view: RequestView, document: RequestDocument) -> None:
    action, policy = document.action, document.policy
    rows = [
        ("Request", view.request_id),
        ("Status", view.status),
        ("From", f"{document.integrator.name} ({document.integrator.id})"),
    ]
    if document.requester is not None:
        rows.append(("Wanted by", document.requester.name or document.requester.id))
    rows += [("Action", action.description), ("Type", action.type)]
    rows += [
        ("Parameter", f"{name} = {msgspec.json.encode(value).decode()}")
        for name, value in action.params.items()
    ]
    rows += [("Binding", f"{name} = {digest}") for name, digest in (action.bindings or {}).items()]
    names = ", ".join(group.name for group in policy.groups)
    approved = ", ".join(view.groups_satisfied) or "none"
    rows += [
        ("Quorum", f"{policy.required} of: {names}"),
        ("Approved by", approved),
        ("Created", view.created_at),
        ("Expires", view.expires_at),
    ]
    if isinstance(view.completed_at, str):
        rows.append(("Ended", view.completed_at))
    out.rows(rows)


def _cells(items: Iterable[dict[str, JsonValue]], names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [
        tuple(
            str(item.get(name, ""))[: _SHORT_CHARS if name == "device" else None] for name in names
        )
        for item in items
    ]
