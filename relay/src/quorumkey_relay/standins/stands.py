"""The stand-ins together: APNs in both environments, FCM, and a Web Push service."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.standins import credentials
from quorumkey_relay.standins.apns import ApnsService
from quorumkey_relay.standins.control import ControlService
from quorumkey_relay.standins.credentials import HOST, Files
from quorumkey_relay.standins.faults import Faults
from quorumkey_relay.standins.fcm import FcmService
from quorumkey_relay.standins.ledger import Ledger, Numbers, Received
from quorumkey_relay.standins.listener import Front
from quorumkey_relay.standins.oauth import TokenEndpoint
from quorumkey_relay.standins.provider_tokens import ProviderTokens
from quorumkey_relay.standins.stand import Stand, WebPushStand
from quorumkey_relay.standins.vapid import Vapid
from quorumkey_relay.standins.webpush import WebPushService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from quorumkey_relay.standins.apns_table import Environment

_SUBJECT: Final = "mailto:stand-ins@example.com"
_PREFIX: Final = "QUORUMKEY_RELAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the stand-ins listen; 0 takes a free port."""

    apns: int = 0
    apns_sandbox: int = 0
    fcm: int = 0
    webpush: int = 0
    control: int = 0


class StandIns:
    """All stand-ins, while ``start_stand_ins`` holds them open."""

    def __init__(
        self, files: Files, now: Callable[[], float], on_received: Callable[[Received], None]
    ) -> None:
        """Prepare; nothing listens yet."""
        self.files = files
        self._now = now
        numbers = Numbers()
        self.apns, self.apns_sandbox = (
            Stand(
                name,
                faults=Faults(first_success_streams=True),
                numbers=numbers,
                on_received=on_received,
            )
            for name in ("apns", "apns_sandbox")
        )
        self.fcm = Stand("fcm", faults=Faults(), numbers=numbers, on_received=on_received)
        self.webpush = WebPushStand(
            "webpush", faults=Faults(), numbers=numbers, on_received=on_received
        )
        #: Plain HTTP on loopback; what it does stands in ``control``.
        self.control_url = ""
        self._tokens: TokenEndpoint | None = None

    @property
    def stands(self) -> dict[str, Stand]:
        """Each stand-in by its name."""
        every = (self.apns, self.apns_sandbox, self.fcm, self.webpush)
        return {one.name: one for one in every}

    @property
    def token_endpoint(self) -> TokenEndpoint:
        """Google's token endpoint; ``revoke`` takes back its access tokens."""
        if self._tokens is None:
            raise RuntimeError("the stand-ins do not serve yet")
        return self._tokens

    def settings(self) -> dict[str, str]:
        """Return the variables that point a relay, in development mode, at the stand-ins."""
        values = {
            "mode": "development",
            "ca_file": str(self.files.ca_file),
            "apns_url": self.apns.url,
            "apns_sandbox_url": self.apns_sandbox.url,
            "apns_key_file": str(self.files.apns_key_file),
            "apns_key_id": self.files.apns_key_id,
            "apns_team_id": self.files.apns_team_id,
            "apns_topics": self.files.apns_topic,
            "fcm_url": self.fcm.url,
            "fcm_service_account": str(self.files.service_account_file),
            "webpush_subject": _SUBJECT,
            "webpush_services": HOST,
            "unsafe_egress_hosts": HOST,
        }
        return {_PREFIX + name.upper(): text for name, text in values.items()}

    async def open_apns(self, environment: Environment, *, host: str, port: int) -> None:
        """Serve one of Apple's environments."""
        stand = self.apns if environment == "production" else self.apns_sandbox
        service = ApnsService(
            environment=environment,
            topic=self.files.apns_topic,
            tokens=ProviderTokens(
                key=credentials.apns_public_key(self.files),
                key_id=self.files.apns_key_id,
                team_id=self.files.apns_team_id,
                faults=stand.faults,
                now=self._now,
            ),
            ledger=stand.ledger,
            faults=stand.faults,
            now=self._now,
        )
        tls = credentials.server_context(self.files, "h2")
        await stand.open(service, service.forget, tls, host=host, port=port, is_http2_only=True)

    async def open_fcm(self, *, host: str, port: int) -> None:
        """Serve Firebase Cloud Messaging and Google's token endpoint."""
        self._tokens = TokenEndpoint(
            key=credentials.service_account_public_key(self.files),
            client_email=self.files.fcm_client_email,
            ledger=self.fcm.ledger,
            faults=self.fcm.faults,
            now=self._now,
        )
        service = FcmService(
            project=self.files.fcm_project,
            tokens=self._tokens,
            ledger=self.fcm.ledger,
            faults=self.fcm.faults,
            now=self._now,
        )
        tls = credentials.server_context(self.files, "h2", "http/1.1")
        await self.fcm.open(service, service.forget, tls, host=host, port=port)
        self._tokens.url = f"{self.fcm.url}{self._tokens.path}"
        credentials.write_service_account(self.files, self._tokens.url)

    async def open_webpush(self, *, host: str, port: int) -> None:
        """Serve Web Push."""
        vapid = Vapid(self._now)
        self.webpush.service = WebPushService(
            vapid=vapid, ledger=self.webpush.ledger, faults=self.webpush.faults, now=self._now
        )
        service = self.webpush.service
        tls = credentials.server_context(self.files, "h2", "http/1.1")
        await self.webpush.open(service, service.forget, tls, host=host, port=port)
        vapid.origin = self.webpush.url


def _nobody(_push: Received) -> None:
    """Tell nobody."""


@contextlib.asynccontextmanager
async def start_stand_ins(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    ports: Ports | None = None,
    now: Callable[[], float] = time.time,
    on_received: Callable[[Received], None] = _nobody,
) -> AsyncGenerator[StandIns, None]:
    """Serve every stand-in on loopback until the block ends.

    Keys, certificates and accounts are made in ``folder`` where they are missing. ``now`` is the
    clock that tokens are judged by, in seconds since the epoch; ``on_received`` is called with
    each push. Raises ``OSError`` where a port cannot be taken.
    """
    wanted = ports or Ports()
    files = Files(folder)
    credentials.prepare(files)
    stands = StandIns(files, now, on_received)
    async with contextlib.AsyncExitStack() as open_stands:
        await stands.open_apns("production", host=host, port=wanted.apns)
        open_stands.push_async_callback(stands.apns.close)
        await stands.open_apns("sandbox", host=host, port=wanted.apns_sandbox)
        open_stands.push_async_callback(stands.apns_sandbox.close)
        await stands.open_fcm(host=host, port=wanted.fcm)
        open_stands.push_async_callback(stands.fcm.close)
        await stands.open_webpush(host=host, port=wanted.webpush)
        open_stands.push_async_callback(stands.webpush.close)
        control = Front(ControlService(stands), Ledger(Numbers(), _nobody), Faults(), None)
        await control.open(host, wanted.control)
        open_stands.push_async_callback(control.close)
        stands.control_url = f"http://{HOST}:{control.port}"
        yield stands
