"""One question to the relay: may this call run? With what it says of the call, in every form."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ConflictError, InvalidRequestError
from quorumkey.protection._attempts import Identity
from quorumkey.protection.errors import (
    NobodyCanApproveError,
    ProtectionUnavailable,
    RequestRefused,
)
from quorumkey.protection.messages import Message, Target
from quorumkey.protocol.protected_call import ProtectedCall

if TYPE_CHECKING:
    from quorumkey.errors import ClientError
    from quorumkey.protection.declarations import Caller, Method, Resource
    from quorumkey.protection.errors import ProtectionError
    from quorumkey.protection.messages import Request
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["Question", "refusal_of"]

_LOG: Final = logging.getLogger("quorumkey.protection")


@dataclass(frozen=True, slots=True)
class Question:
    """A call, ready to be asked about."""

    method: Method
    caller: Caller
    message: Message
    target: Target

    @staticmethod
    async def prepare(
        method: Method, caller: Caller, request: Request, resource: Resource | None
    ) -> Question:
        """Write the request in its one spelling and find what the call acts on.

        Raises:
            RequestRefused: the request, or a given resource, has no single spelling.
        """
        message = Message.of(request)
        target = await _target(method, message) if resource is None else Target.of(resource)
        return Question(method, caller, message, target)

    @property
    def identity(self) -> Identity:
        """What the same call shares with this one."""
        return Identity(
            self.method.name,
            self.caller.kind,
            self.caller.id,
            self.message.binding,
            self.target.binding,
        )

    @property
    def call(self) -> ProtectedCall:
        """The call as its approvers have to have signed it."""
        return ProtectedCall(
            method=self.method.name,
            caller_kind=self.caller.kind,
            caller_id=self.caller.id,
            request=self.message.shown,
            request_binding=self.message.binding,
            resource=self.target.resource,
            resource_failed=self.target.failed,
            caller_name=self.caller.name,
        )

    def body(self, claim_key: str) -> dict[str, JsonValue]:
        """What the relay is sent."""
        body: dict[str, JsonValue] = {
            "method": self.method.name,
            "caller": self.caller.to_json(),
            "request": self.message.body,
            "claim_key": claim_key,
        }
        if self.target.resource is not None:
            body["resource"] = self.target.resource
        if self.target.failed:
            body["resource_failed"] = True
        return body


async def _target(method: Method, message: Message) -> Target:
    """Ask the resolver; whatever goes wrong in it makes the call wait."""
    if method.resolver is None:
        return Target()
    if not message.viewable:
        return Target(failed=True)
    try:
        # A resolver that changes what it is given must not change what is asked about.
        found = method.resolver(_copied(message.view))
        if inspect.isawaitable(found):
            found = await found
        return Target(failed=True) if found is None else Target.of(found)
    except Exception:  # noqa: BLE001 - whatever a service's own function raises, the call waits
        _LOG.exception("The resolver of %s failed, so the call waits for approval.", method.name)
        return Target(failed=True)


def _copied(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def refusal_of(method: Method, error: ClientError) -> ProtectionError:
    """What it means for a call that the relay refuses the question."""
    if isinstance(error, InvalidRequestError):
        return RequestRefused(f"The relay does not take this call of {method.name}: {error}")
    if isinstance(error, ConflictError) and error.code == "failed_precondition":
        return NobodyCanApproveError(error.message)
    return ProtectionUnavailable(f"{method.name} did not run, because the relay refused: {error}")
