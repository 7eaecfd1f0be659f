"""What an attempt makes of a delivery and of its webhook: pure functions of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from quorumkey_relay.delivery.webhooks.schedule import next_attempt
from quorumkey_relay.store.records import WEBHOOK_DELIVERY_SECONDS

if TYPE_CHECKING:
    from quorumkey_relay.store.records import Webhook, WebhookAttempt, WebhookDelivery

#: ``gone``: the endpoint says that it wants nothing any more.
Verdict = Literal["delivered", "failed", "gone"]
#: Why a webhook is disabled without anybody having asked for it.
DisabledReason = Literal["failing", "gone"]

#: So long must an event have been tried in vain before its failure may disable its webhook. One
#: failed try a week is no outage: between the two an endpoint may have had nothing to answer.
LEAST_FAILING_SECONDS: Final = 3_600

_OK: Final = range(200, 300)
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt and its verdict; ``wait_seconds`` is what the endpoint asked for."""

    attempt: WebhookAttempt
    verdict: Verdict
    wait_seconds: int | None = None


def verdict_on(status: int) -> Verdict:
    """Say what an HTTP status means: 2xx is delivered, 410 gone, anything else, 3xx too, failed."""
    if status in _OK:
        return "delivered"
    return "gone" if status == _GONE else "failed"


def settled(delivery: WebhookDelivery, tried: Tried, *, now: int, jitter: float) -> WebhookDelivery:
    """Return a delivery after one more try: delivered, to be tried again, or failed for good.

    It has failed once the next try would come when it is of no use any more; until somebody has
    it sent again.
    """
    attempts = delivery.attempts + 1
    if tried.verdict == "delivered":
        return replace(delivery, attempts=attempts, state="delivered")
    at = next_attempt(
        now=now, attempts=attempts, jitter=jitter, retry_after_seconds=tried.wait_seconds
    )
    if at >= delivery.not_after:
        return replace(delivery, attempts=attempts, state="failed")
    return replace(delivery, attempts=attempts, next_at=at)


def judged(
    webhook: Webhook, delivery: WebhookDelivery, tried: Tried, *, now: int, disable_seconds: int
) -> Webhook | DisabledReason:
    """Return a webhook after an attempt at ``delivery``, or why it is to be disabled.

    ``failing_since`` is when the first attempt failed since the last success. An endpoint that
    has failed for ``disable_seconds``, and for ``LEAST_FAILING_SECONDS`` of this delivery's own
    day, gets nothing any more; nor does one that answers 410.
    """
    if tried.verdict == "delivered":
        return webhook if webhook.failing_since is None else replace(webhook, failing_since=None)
    if tried.verdict == "gone":
        return "gone"
    if webhook.failing_since is None:
        return replace(webhook, failing_since=now)
    began = delivery.not_after - WEBHOOK_DELIVERY_SECONDS
    is_long = now - webhook.failing_since >= disable_seconds
    return "failing" if is_long and now - began >= LEAST_FAILING_SECONDS else webhook
