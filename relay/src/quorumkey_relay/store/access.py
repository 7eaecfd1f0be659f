"""The part of the store's port that just-in-time access works with: what is read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.mail import Mail
    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.domain.jit.request import AccessRequest


class AccessStore(Protocol):
    """Requests for roles, activations, policies and the mail about them."""

    async def access_request(self, access_request_id: str) -> AccessRequest | None:
        """Return a request for a role by id, as new as ``load``."""
        ...

    async def access_request_of(self, request_id: str) -> AccessRequest | None:
        """Return the request for a role whose signed request has this id, as new as ``load``."""
        ...

    def open_access_requests(self) -> Iterable[AccessRequest]:
        """Return the requests for roles of which nothing has come yet, oldest first.

        Those are: neither withdrawn nor closed, without an activation or a reason why there is
        none. Their time may be over. The newest state, durable or not.
        """
        ...

    async def access_requests(
        self,
        *,
        integrator_id: str,
        beneficiary: str | None,
        reviewer: str | None,
        before: str | None,
        limit: int,
    ) -> Sequence[AccessRequest]:
        """Return up to ``limit`` requests for roles, newest first, older than id ``before``.

        Of one beneficiary, of one reviewer, or where both are None of everybody.
        """
        ...

    async def activation(self, activation_id: str) -> Activation | None:
        """Return an activation by id, as new as ``load``."""
        ...

    async def activation_of(self, access_request_id: str) -> Activation | None:
        """Return the activation that came of a request for a role, as new as ``load``."""
        ...

    def open_activations(self) -> Iterable[Activation]:
        """Return the activations that something can still happen to, oldest first.

        It is the newest state, durable or not.
        """
        ...

    def activations_on(self, target: tuple[str, str, str, str]) -> Sequence[Activation]:
        """Return those of ``open_activations`` that have this target, oldest first."""
        ...

    async def activations(
        self, *, integrator_id: str, beneficiary: str | None, before: str | None, limit: int
    ) -> Sequence[Activation]:
        """Return up to ``limit`` activations, newest first, older than id ``before``."""
        ...

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """Return the policies that were handed to the relay, by project; the newest state."""
        ...

    async def due_mail(self, *, now: int, limit: int) -> Sequence[Mail]:
        """Return up to ``limit`` messages that are queued and due, the longest due first."""
        ...
