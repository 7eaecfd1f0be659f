"""API keys, made, changed and revoked by administrators (B20, B26)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType

from quorumkey.errors import ProtocolError
from quorumkey.protocol import check_text, format_time
from quorumkey.protocol.limits import MAX_NAME_CHARS, MIN_NAME_CHARS
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.apikeys import make_api_key
from quorumkey_relay.store.writes import PutApiKey
from quorumkey_relay.usecases.protection.govern import Change
from quorumkey_relay.usecases.protection.govern_settings import told
from quorumkey_relay.usecases.protection.views import ApiKeyView

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue
    from quorumkey_relay.identity.principals import ApiKey
    from quorumkey_relay.usecases.protection.actor import Actor
    from quorumkey_relay.usecases.protection.govern import Governed, Governor
    from quorumkey_relay.usecases.protection.govern_commands import CreateKeyBody, UpdateKeyBody

UNKNOWN_KEY: Final = Refusal("not_found", "key_id: there is no API key with this id.")
REVOKED_KEY: Final = Refusal(
    "failed_precondition", "key_id: this API key is revoked; make a new one."
)


class KeyAnswer(Struct, frozen=True):
    """One API key, without its text."""

    key: ApiKeyView


class NewKeyAnswer(Struct, frozen=True):
    """A new API key, with its text."""

    key: ApiKeyView
    api_key: str


class KeysAnswer(Struct, frozen=True):
    """All API keys, oldest first."""

    keys: list[ApiKeyView]


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernKeys:
    """List, create, update."""

    governor: Governor

    async def list(self, actor: Actor) -> KeysAnswer | Refusal:
        """Return the integrator's API keys, revoked ones too."""
        refused = self.governor.may_not(actor)
        if refused is not None:
            return refused
        await self.governor.store.settled()
        keys = self.governor.store.directory.keys_of(actor.integrator.id)
        return KeysAnswer([_view(key) for key in keys])

    async def create(self, actor: Actor, body: CreateKeyBody) -> Governed[NewKeyAnswer] | Refusal:
        """Make an API key; its text is in this answer and nowhere else."""

        def plan() -> Change[NewKeyAnswer] | Refusal:
            refused = _unfit(body.name)
            if refused is not None:
                return refused
            text, key = make_api_key(
                self.governor.mint,
                integrator_id=actor.integrator.id,
                name=body.name,
                scope=body.scope or "integrator",
                now=self.governor.clock.now(),
                test=False,
            )
            event = told(
                self.governor,
                actor,
                "protection.api_key_created",
                key_id=key.key_id,
                name=key.name,
                scope=key.scope,
            )
            return Change((PutApiKey(key), *event), NewKeyAnswer(_view(key), text))

        return await self.governor.change(actor, "CreateAPIKey", body, plan)

    async def update(self, actor: Actor, body: UpdateKeyBody) -> Governed[KeyAnswer] | Refusal:
        """Change the name or scope of an API key, or revoke it."""

        def plan() -> Change[KeyAnswer] | Refusal:
            key = self._find(actor, body.key_id)
            if key is None:
                return UNKNOWN_KEY
            if not isinstance(body.name, UnsetType) and (refused := _unfit(body.name)):
                return refused
            changed = _updated(key, body, self.governor.clock.now())
            if changed == key:
                return Change((), KeyAnswer(_view(key)))
            if key.revoked_at is not None:
                return REVOKED_KEY
            members: dict[str, JsonValue] = {"name": changed.name, "scope": changed.scope}
            event = told(
                self.governor,
                actor,
                "protection.api_key_updated",
                key_id=key.key_id,
                revoked=changed.revoked_at is not None,
                **members,
            )
            return Change((PutApiKey(changed), *event), KeyAnswer(_view(changed)))

        return await self.governor.change(actor, "UpdateAPIKey", body, plan)

    def _find(self, actor: Actor, key_id: str) -> ApiKey | None:
        keys = self.governor.store.directory.keys_of(actor.integrator.id)
        return next((key for key in keys if key.key_id == key_id), None)


def _updated(key: ApiKey, body: UpdateKeyBody, now: int) -> ApiKey:
    if not isinstance(body.name, UnsetType):
        key = replace(key, name=body.name)
    if not isinstance(body.scope, UnsetType):
        key = replace(key, scope=body.scope)
    if body.revoke and key.revoked_at is None:
        key = replace(key, revoked_at=now)
    return key


def _unfit(name: str) -> Refusal | None:
    try:
        check_text(name, field="name", minimum=MIN_NAME_CHARS, maximum=MAX_NAME_CHARS)
    except ProtocolError as error:
        return Refusal(error.code, error.message)
    return None


def _view(key: ApiKey) -> ApiKeyView:
    return ApiKeyView(
        key_id=key.key_id,
        name=key.name,
        scope=key.scope,
        created_at=format_time(key.created_at),
        revoked_at=UNSET if key.revoked_at is None else format_time(key.revoked_at),
    )
