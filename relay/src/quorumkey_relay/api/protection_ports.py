"""What the HTTP layer needs of the use cases about protected methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from quorumkey_relay.api.rpc_ports import GovernPort
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.protection import views
    from quorumkey_relay.usecases.protection.commands import CatalogueBody, CheckBody, ResultBody
    from quorumkey_relay.usecases.views import Page


class ProtectionPort(Protocol):
    """The tasks about protected methods; all may raise ProtocolError and StoreUnavailable."""

    @property
    def govern(self) -> GovernPort:
        """What the governing service does."""
        ...

    async def register_catalogue(
        self, *, integrator: Integrator, body: CatalogueBody
    ) -> views.SnapshotView | Refusal:
        """Take in all methods of one service."""
        ...

    async def snapshot(
        self, *, integrator_id: str, revision: int | None, hold: bool = True
    ) -> views.SnapshotView:
        """Say what is protected; wait a moment for a change where ``revision`` is the newest."""
        ...

    async def check(self, *, integrator: Integrator, body: CheckBody) -> views.Verdict | Refusal:
        """Say whether a call may run."""
        ...

    async def claim_request(
        self, *, integrator_id: str, request_id: str, claim_key: str
    ) -> views.ClaimView | Refusal:
        """Claim an approval that the integrator acts on by itself."""
        ...

    async def settle(
        self, *, integrator_id: str, claim_id: str, body: ResultBody
    ) -> views.ClaimView | Refusal:
        """Record what became of a claimed call."""
        ...

    async def read_claim(self, *, integrator_id: str, claim_id: str) -> views.ClaimView | Refusal:
        """Read a claim."""
        ...

    async def transactions(
        self, *, integrator_id: str, limit: int, cursor: str | None
    ) -> Page[views.TransactionView] | Refusal:
        """List the integrator's transactions, newest first."""
        ...

    async def transaction(
        self, *, integrator_id: str, txid: str
    ) -> views.TransactionView | Refusal:
        """Read a transaction."""
        ...
