"""What the HTTP layer needs of just-in-time access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.jit import views
    from quorumkey_relay.usecases.jit.commands import AccessRequestBody, SelfActivateBody
    from quorumkey_relay.usecases.jit.ports import People, Person
    from quorumkey_relay.usecases.views import Page


class RolePoliciesPort(Protocol):
    """What is done with policies that an integrator hands in."""

    async def put(
        self, integrator: Integrator, project: str, document: bytes
    ) -> views.RolePolicyView | Refusal:
        """Take the IAM policy of a project in."""
        ...

    async def list(
        self, integrator: Integrator, *, limit: int, cursor: str | None
    ) -> Page[views.RolePolicyView] | Refusal:
        """List what policies there are."""
        ...

    async def read(self, integrator: Integrator, project: str) -> bytes | Refusal:
        """Return a policy as it was handed in."""
        ...

    async def remove(self, integrator: Integrator, project: str) -> Refusal | None:
        """Forget the policy of a project."""
        ...


class JitCasesPort(Protocol):
    """The tasks of just-in-time access; all may raise ProtocolError and StoreUnavailable."""

    @property
    def policies(self) -> RolePoliciesPort:
        """The policies that are handed in."""
        ...

    def policy(self, person: Person) -> views.PolicyView:
        """Say who is signed in, and the rules that a page has to know."""
        ...

    async def projects(self, person: Person) -> views.ProjectsView | Refusal:
        """List where a person may activate something."""
        ...

    async def roles(self, person: Person, project: str) -> views.EntitlementsView | Refusal:
        """List what a person may activate in a project."""
        ...

    async def peers(
        self, person: Person, project: str, entitlement_id: str
    ) -> views.PeersView | Refusal:
        """List who may approve a role for a person."""
        ...

    async def self_activate(
        self, person: Person, project: str, body: SelfActivateBody
    ) -> views.AccessRequestView | Refusal:
        """Activate roles alone."""
        ...

    async def request(
        self, person: Person, project: str, body: AccessRequestBody
    ) -> views.AccessRequestView | Refusal:
        """Ask peers for a role."""
        ...

    async def read_request(self, person: Person, token: str) -> views.AccessRequestView | Refusal:
        """Read a request as a party to it."""
        ...

    async def approve(self, person: Person, token: str) -> views.AccessRequestView | Refusal:
        """Approve a request by a click."""
        ...

    async def deny(self, person: Person, token: str) -> views.AccessRequestView | Refusal:
        """Deny a request by a click."""
        ...

    async def withdraw(self, person: Person, token: str) -> views.AccessRequestView | Refusal:
        """Take a request back."""
        ...

    async def reviews(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[views.AccessRequestView] | Refusal:
        """List requests that a person may decide, newest first."""
        ...

    async def requests(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[views.AccessRequestView] | Refusal:
        """List a person's own requests, newest first."""
        ...

    async def active(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[views.ActivationView] | Refusal:
        """List access that a person has, is about to have, or had, newest first."""
        ...

    async def revoke(self, person: Person, activation_id: str) -> views.ActivationView | Refusal:
        """End access before its time."""
        ...

    def jwks(self) -> bytes:
        """Return the keys of the tokens in links, as a JWK set (RFC 7517)."""
        ...


class SignInAnswerPort(Protocol):
    """What a browser that signs in or out is answered: it goes elsewhere, or is told why not."""

    @property
    def status(self) -> int:
        """The status of the answer."""
        ...

    @property
    def location(self) -> str | None:
        """Where the browser goes."""
        ...

    @property
    def cookies(self) -> tuple[str, ...]:
        """Whole values of ``Set-Cookie``."""
        ...

    @property
    def message(self) -> str:
        """A sentence for the person where the browser goes nowhere."""
        ...


class SignInPort(Protocol):
    """Signs browsers in through the identity provider."""

    async def begin(
        self, *, query: Mapping[str, str], headers: Mapping[bytes, bytes]
    ) -> SignInAnswerPort:
        """Send a browser to the provider."""
        ...

    async def callback(
        self, *, query: Mapping[str, str], headers: Mapping[bytes, bytes]
    ) -> SignInAnswerPort:
        """Take a browser back from the provider."""
        ...

    async def sign_out(self, *, headers: Mapping[bytes, bytes]) -> SignInAnswerPort:
        """End a browser's session."""
        ...


class JitPort(Protocol):
    """Just-in-time access, as a relay serves it."""

    @property
    def cases(self) -> JitCasesPort:
        """Its tasks."""
        ...

    @property
    def people(self) -> People:
        """Who finds out who calls."""
        ...

    @property
    def sign_in(self) -> SignInPort | None:
        """The sign-in of browsers, where the relay has one."""
        ...
