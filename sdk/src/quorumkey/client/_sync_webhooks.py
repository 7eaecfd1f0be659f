"""An integrator's webhooks, made and received: the blocking calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quorumkey.client import _webhook_calls
from quorumkey.client.webhooks import parse_webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from quorumkey.client._core import Core
    from quorumkey.client._drivers import SyncDriver
    from quorumkey.client._exchange import Call
    from quorumkey.client.approvals import CreatedRequest, Outcome
    from quorumkey.client.models import Event
    from quorumkey.client.webhook_models import CreatedWebhook, Webhook, WebhookDelivery

__all__ = ["Webhooks"]

T = TypeVar("T")


class Webhooks:
    """Where the relay tells events to, and receiving them."""

    def __init__(
        self,
        core: Core,
        driver: SyncDriver,
        resolve: Callable[[CreatedRequest], Outcome | None],
    ) -> None:
        self._core = core
        self._driver = driver
        self._resolve = resolve

    def create(
        self,
        url: str,
        events: Sequence[str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> CreatedWebhook:
        """Have the relay tell events to an address.

        Args:
            url: https, on a public host; see the relay's ``unsafe_egress_hosts`` for development.
            events: the types to send, such as ``mpa.approved``; None: every one, later ones too.
            idempotency_key: without one a new one is made.

        Returns:
            The webhook with its secret, which is shown this once.

        Raises:
            ApiError: the relay refused.
            TransportError: no usable answer came.
        """
        key = self._core.idempotency_key(idempotency_key)
        return self._run(_webhook_calls.create_webhook(url, events, idempotency_key=key))

    def list(self, *, limit: int | None = None) -> Iterator[Webhook]:
        """Yield this integrator's webhooks, newest first; pages are fetched as needed."""
        cursor: str | None = None
        while True:
            page = self._run(_webhook_calls.list_webhooks(limit=limit, cursor=cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def get(self, webhook_id: str) -> Webhook:
        """One webhook.

        Raises:
            NotFoundError: this integrator has none with this id.
        """
        return self._run(_webhook_calls.get_webhook(webhook_id))

    def delete(self, webhook_id: str) -> None:
        """Call it no more, and forget it and its deliveries."""
        self._run(_webhook_calls.delete_webhook(webhook_id))

    def rotate(self, webhook_id: str, *, idempotency_key: str | None = None) -> CreatedWebhook:
        """Give a webhook a new secret; the one before signs too for 24 hours.

        Rotating again within that time ends the older of the two at once.

        Args:
            webhook_id: which.
            idempotency_key: without one a new one is made.
        """
        key = self._core.idempotency_key(idempotency_key)
        return self._run(_webhook_calls.rotate_secret(webhook_id, idempotency_key=key))

    def disable(self, webhook_id: str) -> Webhook:
        """Call it no more until it is enabled; what happens meanwhile is not sent to it."""
        return self._run(_webhook_calls.disable_webhook(webhook_id))

    def enable(self, webhook_id: str) -> Webhook:
        """Call it again, beginning with what has waited for less than 24 hours."""
        return self._run(_webhook_calls.enable_webhook(webhook_id))

    def test(self, webhook_id: str) -> WebhookDelivery:
        """Send it an event of the type ``webhook.test``; `delivery` tells how that went.

        Raises:
            InvalidRequestError: it is disabled.
        """
        return self._run(_webhook_calls.send_test(webhook_id))

    def deliveries(self, webhook_id: str, *, limit: int | None = None) -> Iterator[WebhookDelivery]:
        """Yield what was sent or is to be sent, newest first; pages are fetched as needed."""
        cursor: str | None = None
        while True:
            call = _webhook_calls.list_deliveries(webhook_id, limit=limit, cursor=cursor)
            page = self._run(call)
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def delivery(self, webhook_id: str, event_id: str) -> WebhookDelivery:
        """How one event fared."""
        return self._run(_webhook_calls.get_delivery(webhook_id, event_id))

    def resend(self, webhook_id: str, event_id: str) -> WebhookDelivery:
        """Send an event again, with 24 hours of attempts before it.

        Raises:
            InvalidRequestError: the webhook is disabled.
        """
        return self._run(_webhook_calls.resend_delivery(webhook_id, event_id))

    def receive(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: str | Sequence[str],
        *,
        find: Callable[[str], CreatedRequest | None],
    ) -> tuple[Event, Outcome | None]:
        """Check a webhook, and where it is about a request, how that request really stands.

        Args:
            headers: the HTTP headers, names in any case.
            body: the body's exact bytes.
            secrets: the ``whsec_…`` secret, or during a rotation the old and the new one.
            find: answers the stored request with this id, or None where it is not known here.

        Returns:
            The event, and the outcome of its request: None where the event is about none, or
            about an unknown or a pending one.

        Raises:
            ProtocolError: the webhook is not signed with a secret, too old, or no event.
            ReceiptRefused: the relay says approved, and its receipt does not prove it.
            ClientError: the relay could not be asked; answer 503, the webhook comes again.
        """
        event = parse_webhook(headers, body, secrets, self._core.now())
        created = find(event.request_id) if event.request_id is not None else None
        return event, None if created is None else self._resolve(created)

    def _run(self, call: Call[T]) -> T:
        return self._driver.run(self._core.call(call))
