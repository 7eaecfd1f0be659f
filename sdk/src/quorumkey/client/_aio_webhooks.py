"""An integrator's webhooks, made and received: the awaited calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quorumkey.client import _webhook_calls
from quorumkey.client.webhooks import parse_webhook

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from quorumkey.client._core import Core
    from quorumkey.client._drivers import AsyncDriver
    from quorumkey.client._exchange import Call
    from quorumkey.client.approvals import CreatedRequest, Outcome
    from quorumkey.client.models import Event
    from quorumkey.client.webhook_models import CreatedWebhook, Webhook, WebhookDelivery

__all__ = ["AsyncWebhooks"]

T = TypeVar("T")


class AsyncWebhooks:
    """Where the relay tells events to, and receiving them."""

    def __init__(
        self,
        core: Core,
        driver: AsyncDriver,
        resolve: Callable[[CreatedRequest], Awaitable[Outcome | None]],
    ) -> None:
        self._core = core
        self._driver = driver
        self._resolve = resolve

    async def create(
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
        return await self._run(_webhook_calls.create_webhook(url, events, idempotency_key=key))

    async def list(self, *, limit: int | None = None) -> AsyncGenerator[Webhook]:
        """Yield this integrator's webhooks, newest first; pages are fetched as needed."""
        cursor: str | None = None
        while True:
            page = await self._run(_webhook_calls.list_webhooks(limit=limit, cursor=cursor))
            for item in page.data:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def get(self, webhook_id: str) -> Webhook:
        """One webhook.

        Raises:
            NotFoundError: this integrator has none with this id.
        """
        return await self._run(_webhook_calls.get_webhook(webhook_id))

    async def delete(self, webhook_id: str) -> None:
        """Call it no more, and forget it and its deliveries."""
        await self._run(_webhook_calls.delete_webhook(webhook_id))

    async def rotate(
        self, webhook_id: str, *, idempotency_key: str | None = None
    ) -> CreatedWebhook:
        """Give a webhook a new secret; the one before signs too for 24 hours.

        Rotating again within that time ends the older of the two at once.

        Args:
            webhook_id: which.
            idempotency_key: without one a new one is made.
        """
        key = self._core.idempotency_key(idempotency_key)
        return await self._run(_webhook_calls.rotate_secret(webhook_id, idempotency_key=key))

    async def disable(self, webhook_id: str) -> Webhook:
        """Call it no more until it is enabled; what happens meanwhile is not sent to it."""
        return await self._run(_webhook_calls.disable_webhook(webhook_id))

    async def enable(self, webhook_id: str) -> Webhook:
        """Call it again, beginning with what has waited for less than 24 hours."""
        return await self._run(_webhook_calls.enable_webhook(webhook_id))

    async def test(self, webhook_id: str) -> WebhookDelivery:
        """Send it an event of the type ``webhook.test``; `delivery` tells how that went.

        Raises:
            InvalidRequestError: it is disabled.
        """
        return await self._run(_webhook_calls.send_test(webhook_id))

    async def deliveries(
        self, webhook_id: str, *, limit: int | None = None
    ) -> AsyncGenerator[WebhookDelivery]:
        """Yield what was sent or is to be sent, newest first; pages are fetched as needed."""
        cursor: str | None = None
        while True:
            call = _webhook_calls.list_deliveries(webhook_id, limit=limit, cursor=cursor)
            page = await self._run(call)
            for item in page.data:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def delivery(self, webhook_id: str, event_id: str) -> WebhookDelivery:
        """How one event fared."""
        return await self._run(_webhook_calls.get_delivery(webhook_id, event_id))

    async def resend(self, webhook_id: str, event_id: str) -> WebhookDelivery:
        """Send an event again, with 24 hours of attempts before it.

        Raises:
            InvalidRequestError: the webhook is disabled.
        """
        return await self._run(_webhook_calls.resend_delivery(webhook_id, event_id))

    async def receive(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: str | Sequence[str],
        *,
        find: Callable[[str], Awaitable[CreatedRequest | None]],
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
        created = await find(event.request_id) if event.request_id is not None else None
        return event, None if created is None else await self._resolve(created)

    async def _run(self, call: Call[T]) -> T:
        return await self._driver.run(self._core.call(call))
