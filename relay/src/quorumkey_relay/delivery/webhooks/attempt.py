"""One try to deliver an event to an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.egress import EgressRefused
from quorumkey_relay.delivery.retry_after import retry_after_seconds
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.delivery.webhooks.verdicts import Tried, verdict_on
from quorumkey_relay.identity.vault import VaultError
from quorumkey_relay.store.records import WebhookAttempt

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.delivery.webhooks.signing import Signer
    from quorumkey_relay.delivery.webhooks.verdicts import Verdict
    from quorumkey_relay.store.records import Webhook, WebhookDelivery

ATTEMPT_TIMEOUT_SECONDS: Final = 15

_ASKS_TO_WAIT: Final = frozenset({429, 503})


async def try_once(
    *, egress: Egress, signer: Signer, clock: Clock, webhook: Webhook, delivery: WebhookDelivery
) -> Tried:
    """POST the event's bytes; ends within ``ATTEMPT_TIMEOUT_SECONDS`` and raises nothing of it.

    The attempt has the HTTP status of the answer, or the reason why there was none: one of
    `EgressRefused` or `TransportFailed`, or ``secret_unreadable``.
    """
    now, began = clock.now(), clock.monotonic()
    status: int | None = None
    reason: str | None = None
    verdict: Verdict = "failed"
    wait_seconds: int | None = None
    try:
        answer = await egress.post(
            webhook.url,
            headers=signer.headers(webhook, delivery, now),
            body=delivery.body,
            timeout_seconds=ATTEMPT_TIMEOUT_SECONDS,
        )
        status = answer.status
        verdict = verdict_on(status)
        if status in _ASKS_TO_WAIT:
            wait_seconds = retry_after_seconds(answer.headers.get("retry-after"), now=clock.now())
    except (EgressRefused, TransportFailed) as error:
        reason = error.reason
    except VaultError:
        reason = "secret_unreadable"
    milliseconds = max(0, round((clock.monotonic() - began) * 1_000))
    attempt = WebhookAttempt(at=now, milliseconds=milliseconds, status=status, reason=reason)
    return Tried(attempt, verdict, wait_seconds)
