"""What the governing service needs of the use cases behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from msgspec import Struct

    from quorumkey.protocol import Envelope
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.usecases.protection.actor import Actor
    from quorumkey_relay.usecases.protection.commands import SettingsBody
    from quorumkey_relay.usecases.protection.govern_commands import (
        AdministratorBody,
        CreateKeyBody,
        ListBody,
        MethodNameBody,
        ProtectBody,
        UpdateKeyBody,
    )
    from quorumkey_relay.usecases.protection.govern_requests import Choice

V_co = TypeVar("V_co", bound="Struct", covariant=True)


class GovernedPort(Protocol[V_co]):
    """A call that took effect."""

    @property
    def view(self) -> V_co:
        """What it answers."""
        ...

    @property
    def txid(self) -> str | None:
        """The transaction it ran under, if it had to have one."""
        ...


class SettingsPort(Protocol):
    """The settings."""

    async def read(self, actor: Actor) -> Struct | Refusal:
        """Return them."""
        ...

    async def set(self, actor: Actor, body: SettingsBody) -> GovernedPort[Struct] | Refusal:
        """Change those that are given."""
        ...

    async def disable(self, actor: Actor) -> GovernedPort[Struct] | Refusal:
        """Turn protection off."""
        ...


class MethodsPort(Protocol):
    """The protected methods."""

    async def list(self, actor: Actor) -> Struct | Refusal:
        """Return every method."""
        ...

    async def add(self, actor: Actor, body: ProtectBody) -> GovernedPort[Struct] | Refusal:
        """Protect a method."""
        ...

    async def remove(self, actor: Actor, body: MethodNameBody) -> GovernedPort[Struct] | Refusal:
        """End the protection of a method."""
        ...

    async def reset(self, actor: Actor) -> GovernedPort[Struct] | Refusal:
        """Restore the defaults."""
        ...


class KeysPort(Protocol):
    """The API keys."""

    async def list(self, actor: Actor) -> Struct | Refusal:
        """Return them."""
        ...

    async def create(self, actor: Actor, body: CreateKeyBody) -> GovernedPort[Struct] | Refusal:
        """Make one."""
        ...

    async def update(self, actor: Actor, body: UpdateKeyBody) -> GovernedPort[Struct] | Refusal:
        """Change or revoke one."""
        ...


class AdministratorsPort(Protocol):
    """The administrators."""

    async def list(self, actor: Actor) -> Struct | Refusal:
        """Return them."""
        ...

    async def add(self, actor: Actor, body: AdministratorBody) -> GovernedPort[Struct] | Refusal:
        """Name one."""
        ...

    async def remove(self, actor: Actor, body: AdministratorBody) -> GovernedPort[Struct] | Refusal:
        """Take the role away."""
        ...


class RequestsPort(Protocol):
    """The calls that wait."""

    async def list(self, actor: Actor, body: ListBody) -> Struct | Refusal:
        """Return a page of them."""
        ...

    async def read(self, actor: Actor, txid: str) -> Struct | Refusal:
        """Return one."""
        ...

    async def resolve(
        self, actor: Actor, txid: str, decision: Choice, envelope: Envelope
    ) -> Struct | Refusal:
        """Count a decision."""
        ...


class GovernPort(Protocol):
    """Everything that the service does."""

    def person(self, device: str, named: str | None) -> Actor | Refusal:
        """Return who calls by a device's session."""
        ...

    @property
    def settings(self) -> SettingsPort:
        """The settings."""
        ...

    @property
    def methods(self) -> MethodsPort:
        """The protected methods."""
        ...

    @property
    def keys(self) -> KeysPort:
        """The API keys."""
        ...

    @property
    def administrators(self) -> AdministratorsPort:
        """The administrators."""
        ...

    @property
    def requests(self) -> RequestsPort:
        """The calls that wait."""
        ...
