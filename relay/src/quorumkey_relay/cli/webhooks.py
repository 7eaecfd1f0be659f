"""``webhooks``: where integrators are told of what happened, and switching one off or on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.protocol import check_uuid7, format_time
from quorumkey_relay.cli.access import integrator_of, opened
from quorumkey_relay.cli.options import (
    STORE_SETTINGS,
    JsonOption,
    YesOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import Output, Refused, confirm
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.delivery.egress_url import host_of
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutWebhook
from quorumkey_relay.usecases.webhooks import ALL_EVENTS, disable_webhook, enabled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.store.records import Webhook, WebhookAttempt, WebhookDelivery
    from quorumkey_relay.store.sqlite.admin import AdminStore

SHOWN_DELIVERIES: Final = 10

app = typer.Typer(
    name="webhooks",
    help="Where integrators are told of what happened.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

WebhookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")]


@app.command(
    "list",
    help=explained(
        "List the webhooks, oldest first. Of an address only the host is shown: the rest may hold"
        " a secret of its integrator.",
        "quorumkey-relay webhooks list",
        "quorumkey-relay webhooks list --integrator 0190a000-0000-7000-8000-000000000001 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def list_webhooks(
    settings: Settings,
    *,
    integrator: Annotated[str | None, own("integrator", "ID", "Only those of this one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the webhooks."""
    with opened(settings) as store:
        if integrator is not None:
            integrator_of(store, integrator)
        names = {one.id: one.name for one in store.read.integrators()}
        found = [
            one for one in store.read.webhooks.webhooks() if integrator in (None, one.integrator_id)
        ]
    out = Output(as_json=as_json)
    out.json([_webhook_json(webhook) for webhook in found])
    out.table(
        ("WEBHOOK", "INTEGRATOR", "HOST", "EVENTS", "STATUS", "FAILING SINCE"),
        [
            (
                webhook.webhook_id,
                names.get(webhook.integrator_id, "?"),
                host_of(webhook.url),
                _events(webhook),
                _status(webhook),
                _time(webhook.failing_since),
            )
            for webhook in found
        ],
        empty="No webhook yet.",
    )


@app.command(
    "show",
    help=explained(
        f"Show a webhook and the newest {SHOWN_DELIVERIES} events that were queued for it: how"
        " often each was tried, and how the last attempt ended.",
        "quorumkey-relay webhooks show WEBHOOK",
        "quorumkey-relay webhooks show WEBHOOK --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def show(settings: Settings, *, webhook: WebhookArgument, as_json: JsonOption = False) -> None:
    """Show a webhook."""
    with opened(settings) as store:
        found = _webhook(store, webhook)
        names = {one.id: one.name for one in store.read.integrators()}
        deliveries = store.read.webhooks.deliveries(
            webhook_id=webhook, before=None, limit=SHOWN_DELIVERIES
        )
    out = Output(as_json=as_json)
    out.json(_webhook_json(found) | {"deliveries": [_delivery_json(*one) for one in deliveries]})
    out.rows(
        [
            ("webhook", webhook),
            ("integrator", names.get(found.integrator_id, "?")),
            ("host", host_of(found.url)),
            ("events", _events(found)),
            ("status", _status(found)),
            ("failing", _time(found.failing_since) or "no"),
            ("made", format_time(found.created_at)),
        ]
    )
    out.line()
    out.table(
        ("EVENT", "TYPE", "QUEUED", "STATE", "ATTEMPTS", "LAST"),
        [
            (
                delivery.event_id,
                delivery.event_type,
                format_time(delivery.created_at),
                delivery.state,
                str(len(attempts)),
                _outcome(attempts),
            )
            for delivery, attempts in deliveries
        ],
        empty="Nothing was queued for it yet.",
    )


@app.command(
    "disable",
    help=explained(
        "Have nothing sent to a webhook until it is enabled. What is queued for it waits, for a"
        " day at most; its integrator's other webhooks are told. Doing it again changes nothing.",
        "quorumkey-relay webhooks disable WEBHOOK",
        "quorumkey-relay webhooks disable WEBHOOK --yes --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def disable(
    settings: Settings,
    *,
    webhook: WebhookArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have nothing sent to a webhook."""
    with opened(settings) as store:
        found = _webhook(store, webhook)
        if found.status == "active":
            if not yes:
                confirm(f"Disable {webhook} ({host_of(found.url)})?")
            put, told = disable_webhook(
                found, reason="operator", now=SystemClock().now(), mint=SystemMint()
            )
            store.commit(put, told)
            found = put.webhook
    out = Output(as_json=as_json)
    out.json(_webhook_json(found))
    out.line(f"The webhook is {_status(found)}.")


@app.command(
    "enable",
    help=explained(
        "Have events sent to a webhook again, with those that waited. That it failed is forgotten.",
        "quorumkey-relay webhooks enable WEBHOOK",
        "quorumkey-relay webhooks enable WEBHOOK --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def enable(settings: Settings, *, webhook: WebhookArgument, as_json: JsonOption = False) -> None:
    """Have events sent to a webhook again."""
    with opened(settings) as store:
        found = _webhook(store, webhook)
        if found.status == "disabled":
            found = enabled(found)
            store.commit(PutWebhook(found))
    out = Output(as_json=as_json)
    out.json(_webhook_json(found))
    out.line("The webhook is active.")


def _webhook(store: AdminStore, webhook_id: str) -> Webhook:
    check_uuid7(webhook_id, field="WEBHOOK")
    found = store.read.webhooks.webhook(webhook_id)
    if found is None:
        message = "there is no webhook with this id; see: quorumkey-relay webhooks list"
        raise Refused(message)
    return found


def _events(webhook: Webhook) -> str:
    return ", ".join(webhook.events) or "all"


def _status(webhook: Webhook) -> str:
    reason = webhook.disabled_reason
    return webhook.status if reason is None else f"{webhook.status} ({reason})"


def _time(moment: int | None) -> str:
    return "" if moment is None else format_time(moment)


def _outcome(attempts: Sequence[WebhookAttempt]) -> str:
    if not attempts:
        return ""
    last = attempts[-1]
    return last.reason or str(last.status)


def _webhook_json(webhook: Webhook) -> dict[str, object]:
    members: dict[str, object] = {
        "webhook_id": webhook.webhook_id,
        "integrator_id": webhook.integrator_id,
        "host": host_of(webhook.url),
        "events": list(webhook.events) or [ALL_EVENTS],
        "status": webhook.status,
        "created_at": format_time(webhook.created_at),
    }
    if webhook.disabled_reason is not None:
        members["disabled_reason"] = webhook.disabled_reason
    if webhook.failing_since is not None:
        members["failing_since"] = format_time(webhook.failing_since)
    return members


def _delivery_json(
    delivery: WebhookDelivery, attempts: Sequence[WebhookAttempt]
) -> dict[str, object]:
    return {
        "event_id": delivery.event_id,
        "type": delivery.event_type,
        "status": delivery.state,
        "created_at": format_time(delivery.created_at),
        "attempts": [_attempt_json(attempt) for attempt in attempts],
    }


def _attempt_json(attempt: WebhookAttempt) -> dict[str, object]:
    ended: dict[str, object] = (
        {"reason": attempt.reason} if attempt.status is None else {"status": attempt.status}
    )
    return {"at": format_time(attempt.at), **ended, "duration_ms": attempt.milliseconds}
