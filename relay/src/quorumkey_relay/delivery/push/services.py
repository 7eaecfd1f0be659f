"""Which addresses this relay can serve: known before a device's address is stored (§4.3, §10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.protocol import b64url_decode
from quorumkey_relay.delivery.egress_url import EgressRefused, read_url
from quorumkey_relay.delivery.push.webpush_encryption import NotAPoint, Receiver

if TYPE_CHECKING:
    from collections.abc import Collection

    from quorumkey.protocol import ApnsAddress, PushAddress, WebPushAddress
    from quorumkey_relay.settings import Settings


def service_of(host: str, services: Collection[str]) -> str | None:
    """Return the listed push service that a host is, or is below; whole labels are compared."""
    for service in services:
        if host == service or host.endswith(f".{service}"):
            return service
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAddresses:
    """Judges a push address by the settings alone; ``apns_topics`` None where APNs is off."""

    apns_topics: frozenset[str] | None
    webpush_services: tuple[str, ...]
    unsafe_hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> ServedAddresses:
        """Return what the settings serve."""
        return cls(
            apns_topics=frozenset(settings.apns_topics) if settings.apns_key_file else None,
            webpush_services=settings.webpush_services,
            unsafe_hosts=frozenset(settings.unsafe_egress_hosts),
        )

    def problem(self, address: PushAddress) -> str | None:
        """Return why an address cannot be taken, in a sentence that repeats nothing of it."""
        if address.channel == "apns":
            return self._apns_problem(address)
        if address.channel == "webpush":
            return self._webpush_problem(address)
        return None

    def _apns_problem(self, address: ApnsAddress) -> str | None:
        if self.apns_topics is None or address.topic in self.apns_topics:
            return None
        return "push.topic is not the bundle id of an app that this relay notifies."

    def _webpush_problem(self, address: WebPushAddress) -> str | None:
        try:
            host = read_url(address.endpoint, self.unsafe_hosts).host
        except EgressRefused:
            return (
                "push.endpoint must be an https address with a host name, and without user"
                " information or fragment."
            )
        if service_of(host, self.webpush_services) is None:
            return "push.endpoint is not at a push service that this relay knows."
        try:
            Receiver.of(b64url_decode(address.p256dh, field="push.p256dh"), b"")
        except NotAPoint:
            return "push.p256dh must be a point of P-256."
        return None
