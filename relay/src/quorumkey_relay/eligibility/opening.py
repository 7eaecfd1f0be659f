"""The source of eligibility that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_relay.delivery.google.access_token import CLOUD_PLATFORM_SCOPE, ServiceAccount
from quorumkey_relay.delivery.google.api import GoogleApi, google_client
from quorumkey_relay.eligibility.google import AssetInventory, PolicyAnalyzer
from quorumkey_relay.eligibility.google_rest import GoogleRest
from quorumkey_relay.eligibility.policy import PolicyError
from quorumkey_relay.eligibility.policy_file import PolicyFileSource
from quorumkey_relay.eligibility.stored import StoredPolicySource
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.eligibility.stored import PolicyStore
    from quorumkey_relay.jit_settings import EligibilitySettings, GoogleSource
    from quorumkey_relay.usecases.jit.ports import EligibilitySource

#: Cloud Identity takes the first too, but only for accounts that have a role there.
_SCOPES: Final = (
    f"{CLOUD_PLATFORM_SCOPE} https://www.googleapis.com/auth/cloud-identity.groups.readonly"
)


class OpenSource(NamedTuple):
    """A source, and what has to be closed after it."""

    source: EligibilitySource
    api: GoogleApi | None = None

    async def close(self) -> None:
        """Let go of connections."""
        if self.api is not None:
            await self.api.close()


def open_source(
    settings: EligibilitySettings,
    *,
    store: PolicyStore,
    integrator_id: str,
    clock: Clock,
    roots: bytes | None = None,
) -> OpenSource:
    """Open the one source that the settings name.

    Args:
        settings: exactly one of its members is set.
        store: has the policies that were handed to the relay.
        integrator_id: whose policies those are.
        clock: says when Google's access tokens end.
        roots: certificates in PEM that count beside the public ones.

    Raises:
        ConfigError: a file that it names cannot be used.
    """
    if settings.google is not None:
        return _google(settings.google, clock, roots)
    if settings.file is not None:
        source = PolicyFileSource(settings.file)
        try:
            source.check()
        except PolicyError as error:
            raise ConfigError((str(error),)) from None
        return OpenSource(source)
    return OpenSource(StoredPolicySource(store, integrator_id))


def _google(settings: GoogleSource, clock: Clock, roots: bytes | None) -> OpenSource:
    account = ServiceAccount.read(settings.service_account_file)
    api = GoogleApi(account, google_client(roots), clock, scope=_SCOPES)
    rest = GoogleRest(
        api, scope=settings.scope, asset_url=settings.asset_url, groups_url=settings.groups_url
    )
    if settings.catalog == "asset_inventory":
        return OpenSource(AssetInventory(rest), api)
    return OpenSource(PolicyAnalyzer(rest), api)
