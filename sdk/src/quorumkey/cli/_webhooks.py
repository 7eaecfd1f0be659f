"""``quorumkey webhook create``, ``list``, ``show``, ``rotate`` …: an integrator's webhooks."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.cli._arguments import UsageError
from quorumkey.cli._integrator import HttpHostOption, JsonOption, UrlOption, connect
from quorumkey.cli._output import Output
from quorumkey.device.errors import KeyFileError
from quorumkey.device.keyfile import replace_secret
from quorumkey.device.visible import visible
from quorumkey.protocol.encoding import format_time
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey.client import CreatedWebhook, Webhook, WebhookAttempt, WebhookDelivery
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["app"]

_EVERY_TYPE: Final = "*"

WebhookArgument = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id.")]
EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id.")]
SecretOutOption = Annotated[
    Path | None,
    typer.Option(
        "--secret-out",
        metavar="FILE",
        help="Write the secret here, mode 0600; default, and where it cannot be written: print it.",
    ),
]

app = typer.Typer(rich_markup_mode=None)


@app.command("create")
def create(  # noqa: PLR0913 - one argument for each option
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="What the relay calls.")],
    *,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="TYPE", help="Only this type; may be repeated."),
    ] = None,
    secret_out: SecretOutOption = None,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the relay tell events to an address.

    The secret that signs them is shown this once; a file that exists is not replaced.
    Exit status: 0 made, 1 refused or failed, 2 usage, 130 interrupted.

    Examples:
      quorumkey webhook create https://example.com/quorumkey --secret-out webhook.secret
      quorumkey webhook create https://example.com/quorumkey --event mpa.approved
    """
    if secret_out is not None and secret_out.exists():
        # It may hold another webhook's secret, which nobody could show again.
        raise UsageError(f"The file {secret_out} exists; name another for this webhook's secret.")
    with connect(url, http_host) as client:
        created = client.webhooks.create(address, event)
    _tell_created(created, secret_out, as_json=as_json)


@app.command("list")
def list_webhooks(
    url: UrlOption = None, http_host: HttpHostOption = None, *, as_json: JsonOption = False
) -> None:
    """List this integrator's webhooks, newest first.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook list
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        found = list(client.webhooks.list())
    out.json([_json(webhook) for webhook in found])
    if not found:
        out.line("There is no webhook.")
    for webhook in found:
        _show(out, webhook)
        out.line()


@app.command("show")
def show(
    webhook_id: WebhookArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one webhook: where it goes, what it gets, whether it is called.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook show 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    with connect(url, http_host) as client:
        webhook = client.webhooks.get(webhook_id)
    _tell(webhook, as_json=as_json)


@app.command("rotate")
def rotate(
    webhook_id: WebhookArgument,
    *,
    secret_out: SecretOutOption = None,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a webhook a new secret; the one before signs too for 24 hours.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook rotate 01a1fb5c-6c3d-7e5c-95cc-52144387310f --secret-out new.secret
    """
    with connect(url, http_host) as client:
        rotated = client.webhooks.rotate(webhook_id)
    _tell_created(rotated, secret_out, as_json=as_json)


@app.command("disable")
def disable(
    webhook_id: WebhookArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Call a webhook no more until it is enabled.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook disable 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    with connect(url, http_host) as client:
        webhook = client.webhooks.disable(webhook_id)
    _tell(webhook, as_json=as_json)


@app.command("enable")
def enable(
    webhook_id: WebhookArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Call a webhook again.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook enable 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    with connect(url, http_host) as client:
        webhook = client.webhooks.enable(webhook_id)
    _tell(webhook, as_json=as_json)


@app.command("delete")
def delete(
    webhook_id: WebhookArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Forget a webhook and its deliveries.

    Exit status: 0 deleted, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook delete 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        client.webhooks.delete(webhook_id)
    out.json({"deleted": webhook_id})
    out.line("The webhook is deleted.")


@app.command("test")
def send_test(
    webhook_id: WebhookArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Send a webhook an event of the type webhook.test.

    How that went is told by quorumkey webhook deliveries.
    Exit status: 0 queued, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook test 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    with connect(url, http_host) as client:
        sent = client.webhooks.test(webhook_id)
    _tell_delivery(sent, as_json=as_json)


@app.command("deliveries")
def deliveries(
    webhook_id: WebhookArgument,
    *,
    count: Annotated[
        int, typer.Option("--count", min=1, metavar="N", help="How many, newest first.")
    ] = DEFAULT_LIST_LIMIT,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was sent to a webhook, and how each attempt ended.

    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook deliveries 01a1fb5c-6c3d-7e5c-95cc-52144387310f --count 5
    """
    out = Output(as_json=as_json)
    with connect(url, http_host) as client:
        found = list(islice(client.webhooks.deliveries(webhook_id), count))
    out.json([_delivery_json(delivery) for delivery in found])
    if not found:
        out.line("Nothing was sent yet.")
    for delivery in found:
        _show_delivery(out, delivery)
        out.line()


@app.command("resend")
def resend(
    webhook_id: WebhookArgument,
    event_id: EventArgument,
    url: UrlOption = None,
    http_host: HttpHostOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Send an event to a webhook again, with 24 hours of attempts before it.

    Exit status: 0 queued, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey webhook resend 01a1fb5c-6c3d-7e5c-95cc-52144387310f \
        01a1fb5d-0000-7000-8000-000000000000
    """
    with connect(url, http_host) as client:
        sent = client.webhooks.resend(webhook_id, event_id)
    _tell_delivery(sent, as_json=as_json)


# ---------------------------------------------------------------- what is shown


def _tell_created(created: CreatedWebhook, secret_out: Path | None, *, as_json: bool) -> None:
    out = Output(as_json=as_json)
    value = _json(created.webhook)
    unwritten: KeyFileError | None = None
    if secret_out is not None:
        try:
            replace_secret(secret_out, created.secret.encode() + b"\n")
        except KeyFileError as error:
            # The relay shows it this once, and another rotation would end the one in use.
            unwritten, secret_out = error, None
    if secret_out is None:
        value["secret"] = created.secret
    else:
        value["secret_out"] = str(secret_out)
    out.json(value)
    _show(out, created.webhook)
    if secret_out is None:
        out.rows([("Secret", visible(created.secret))])
        out.line("Store the secret where the receiver reads it: it is not shown again.")
    else:
        out.line(f"The secret is in {secret_out}: it is not shown again.")
    if unwritten is not None:
        raise unwritten


def _tell(webhook: Webhook, *, as_json: bool) -> None:
    out = Output(as_json=as_json)
    out.json(_json(webhook))
    _show(out, webhook)


def _show(out: Output, webhook: Webhook) -> None:
    status = webhook.status.value
    if webhook.disabled_reason is not None:
        status = f"{status}: {webhook.disabled_reason}"
    rows = [
        ("Webhook", visible(webhook.webhook_id)),
        ("Address", visible(webhook.url)),
        ("Events", _events_text(webhook.events)),
        ("Status", visible(status)),
        ("Created", format_time(webhook.created_at)),
    ]
    if webhook.failing_since is not None:
        rows.append(("Failing", f"since {format_time(webhook.failing_since)}"))
    if webhook.old_secret_expires_at is not None:
        rows.append(("Old secret", f"signs until {format_time(webhook.old_secret_expires_at)}"))
    out.rows(rows)


def _events_text(events: Sequence[str]) -> str:
    return ", ".join("all" if event == _EVERY_TYPE else visible(event) for event in events)


def _json(webhook: Webhook) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "events": list(webhook.events),
        "status": webhook.status.value,
        "created_at": format_time(webhook.created_at),
    }
    if webhook.old_secret_expires_at is not None:
        value["old_secret_expires_at"] = format_time(webhook.old_secret_expires_at)
    if webhook.failing_since is not None:
        value["failing_since"] = format_time(webhook.failing_since)
    if webhook.disabled_reason is not None:
        value["disabled_reason"] = webhook.disabled_reason
    return value


def _tell_delivery(delivery: WebhookDelivery, *, as_json: bool) -> None:
    out = Output(as_json=as_json)
    out.json(_delivery_json(delivery))
    _show_delivery(out, delivery)


def _show_delivery(out: Output, delivery: WebhookDelivery) -> None:
    rows = [
        ("Event", f"{visible(delivery.event_id)} {visible(delivery.type)}"),
        ("Status", delivery.status.value),
        ("Created", format_time(delivery.created_at)),
    ]
    rows += [("Attempt", _attempt_text(attempt)) for attempt in delivery.attempts]
    if delivery.next_attempt_at is not None:
        rows.append(("Next", format_time(delivery.next_attempt_at)))
    out.rows(rows)


def _attempt_text(attempt: WebhookAttempt) -> str:
    how = str(attempt.status) if attempt.status is not None else visible(attempt.reason or "none")
    return f"{format_time(attempt.at)} {how} after {attempt.duration_ms} ms"


def _delivery_json(delivery: WebhookDelivery) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {
        "event_id": delivery.event_id,
        "type": delivery.type,
        "status": delivery.status.value,
        "created_at": format_time(delivery.created_at),
        "attempts": [_attempt_json(attempt) for attempt in delivery.attempts],
    }
    if delivery.next_attempt_at is not None:
        value["next_attempt_at"] = format_time(delivery.next_attempt_at)
    return value


def _attempt_json(attempt: WebhookAttempt) -> JsonValue:
    value: dict[str, JsonValue] = {
        "at": format_time(attempt.at),
        "duration_ms": attempt.duration_ms,
    }
    if attempt.status is not None:
        value["status"] = attempt.status
    if attempt.reason is not None:
        value["reason"] = attempt.reason
    return value
