"""The stand-ins together: APNs in both environments and FCM with its token endpoint."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.standins import credentials
from quorumkey_relay.standins.apns import ApnsService
from quorumkey_relay.standins.credentials import HOST, Files
from quorumkey_relay.standins.faults import Faults
from quorumkey_relay.standins.fcm import FcmService
from quorumkey_relay.standins.ledger import Counters, Ledger, Received
from quorumkey_relay.standins.listener import Front
from quorumkey_relay.standins.oauth import TokenEndpoint
from quorumkey_relay.standins.provider_tokens import ProviderTokens

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from quorumkey_relay.standins.apns_table import Environment
    from quorumkey_relay.standins.exchange import Service

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


class Stand:
    """One stand-in: where it is, what it counted and received, and what is wrong with it."""

    def __init__(
        self, name: str, *, faults: Faults, on_received: Callable[[Received], None]
    ) -> None:
        """Prepare; it serves once ``open`` was called."""
        self.name = name
        self.faults = faults
        self._ledger = Ledger(on_received)
        self._front: Front | None = None
        self._forget: Callable[[], None] = lambda: None

    @property
    def ledger(self) -> Ledger:
        """What its service writes into."""
        return self._ledger

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"https://{HOST}:{self._door.port}"

    @property
    def counters(self) -> Counters:
        """What it counted since the start or the last ``reset``."""
        return self._ledger.counters

    @property
    def received(self) -> Sequence[Received]:
        """The newest pushes, oldest first."""
        return tuple(self._ledger.received)

    async def until(self, holds: Callable[[Counters], bool]) -> Counters:
        """Wait until ``holds(counters)``, which is asked at every change; return the counters."""
        return await self._ledger.until(holds)

    def go_away(self, *, reason: str | None = None) -> None:
        """End every connection that stands by GOAWAY, and answer what came before."""
        self._door.go_away(reason=reason)

    def lose_connections(self) -> None:
        """Lose every connection that stands, without a word."""
        self._door.lose_connections()

    def reset(self) -> None:
        """Forget pushes, counters and credentials; faults stay."""
        self._forget()
        self._ledger.reset()

    async def open(
        self,
        service: Service,
        forget: Callable[[], None],
        tls: ssl.SSLContext,
        *,
        host: str,
        port: int,
    ) -> None:
        """Serve."""
        self._forget = forget
        self._front = Front(service, self._ledger, self.faults, tls)
        await self._front.open(host, port)

    async def close(self) -> None:
        """Serve no longer."""
        await self._door.close()

    @property
    def _door(self) -> Front:
        if self._front is None:
            raise RuntimeError("the stand-in does not serve yet")
        return self._front


class StandIns:
    """All stand-ins, while ``start_stand_ins`` holds them open."""

    def __init__(
        self, files: Files, now: Callable[[], float], on_received: Callable[[Received], None]
    ) -> None:
        """Prepare; nothing listens yet."""
        self.files = files
        self._now = now
        self.apns = Stand(
            "apns", faults=Faults(first_success_streams=True), on_received=on_received
        )
        self.apns_sandbox = Stand(
            "apns_sandbox", faults=Faults(first_success_streams=True), on_received=on_received
        )
        self.fcm = Stand("fcm", faults=Faults(), on_received=on_received)
        self._tokens: TokenEndpoint | None = None

    @property
    def stands(self) -> dict[str, Stand]:
        """Each stand-in by its name."""
        every = (self.apns, self.apns_sandbox, self.fcm)
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
        await stand.open(service, service.forget, tls, host=host, port=port)

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
        yield stands
