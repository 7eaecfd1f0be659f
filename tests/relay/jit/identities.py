"""People at a real provider and a real proxy: what an identity provider signs, over a socket."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tests.relay.sim_devices import ManualClock

from quorumkey_relay.delivery.transport import web_client
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.people import Identity, open_identity
from quorumkey_relay.jit_settings import IdentitySettings, OidcSettings, ProxySettings
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.standins.oidc import SigningKey, start_oidc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.delivery.transport import HttpClient
    from quorumkey_relay.standins.oidc import Algorithm, OidcStandIn
    from quorumkey_relay.usecases.jit.ports import Person

PROXY_AUDIENCE = "/projects/1/apps/quorumkey"
PROXY_HEADER = b"x-goog-iap-jwt-assertion"
PUBLIC_URL = "https://relay.example"


@dataclass
class Rig:
    """A provider, a proxy, a clock that both share with the relay, and a client."""

    clock: ManualClock
    oidc: OidcStandIn
    client: HttpClient
    folder: Path

    def oidc_settings(self, **changes: object) -> OidcSettings:
        """Settings for the provider, with a browser sign-in."""
        secret = self.folder / "client-secret"
        if not secret.exists():
            secret.touch(0o600)
            secret.write_text(self.oidc.client_secret + "\n")
        members: dict[str, object] = {
            "issuer": self.oidc.issuer,
            "audiences": (self.oidc.client_id,),
            "client_id": self.oidc.client_id,
            "client_secret_file": secret,
        }
        return OidcSettings(**members | changes)  # type: ignore[arg-type] # members of any type

    def proxy_settings(self) -> ProxySettings:
        """Settings for the proxy."""
        return ProxySettings(audience=PROXY_AUDIENCE, jwks_url=self.oidc.proxy_jwks_url)

    def identity(
        self,
        *,
        oidc: OidcSettings | None = None,
        proxy: ProxySettings | None = None,
        public_url: str = PUBLIC_URL,
    ) -> Identity:
        """What these settings turn on; the provider alone where there are none."""
        if oidc is None and proxy is None:
            oidc = self.oidc_settings()
        return open_identity(
            IdentitySettings(oidc=oidc, proxy=proxy),
            public_url=public_url,
            clock=self.clock,
            mint=SystemMint(),
            client=self.client,
        )


#: Making an RSA key takes a tenth of a second; the tests of a process share one.
key_for = cache(SigningKey.make)


@asynccontextmanager
async def provided(folder: Path, *, algorithm: Algorithm = "RS256") -> AsyncGenerator[Rig, None]:
    """Serve a provider that lives in the time of the test."""
    clock = ManualClock()
    async with start_oidc(key=key_for(algorithm), now=clock.now) as oidc:
        client = web_client(roots=None)
        try:
            yield Rig(clock, oidc, client, folder)
        finally:
            await client.close()


def bearer(token: str) -> dict[bytes, bytes]:
    """The headers of a call with a bearer token."""
    return {b"authorization": f"Bearer {token}".encode()}


def behind(token: str) -> dict[bytes, bytes]:
    """The headers of a call that came through the proxy."""
    return {PROXY_HEADER: token.encode()}


def named(found: Person | Refusal) -> str:
    """Who somebody is, or the code that they are refused with."""
    return found.code if isinstance(found, Refusal) else found.email


def query_of(location: str | None) -> dict[str, str]:
    """What an address asks with."""
    return dict(parse_qsl(urlsplit(location or "").query))


def cookies_of(values: tuple[str, ...]) -> dict[bytes, bytes]:
    """The headers of the next call of a browser that was given these cookies."""
    kept = [value.partition(";")[0] for value in values if "Max-Age=0" not in value]
    return {b"cookie": "; ".join(kept).encode()}
