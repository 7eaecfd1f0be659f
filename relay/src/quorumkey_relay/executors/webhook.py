"""Granting by asking an endpoint of the operator's, as Standard Webhooks signs its messages.

What goes over the wire, and what an endpoint has to do, is described in ``docs/jit-access.md``.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from quorumkey.protocol import webhook as standard
from quorumkey_relay.delivery.egress import EgressRefused
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.delivery.transport import Answer
    from quorumkey_relay.domain.jit.activation import Activation

CallType = Literal["jit.grant", "jit.revoke"]

DONE: Final = "done"

_TYPES: Final[dict[CallType, str]] = {"jit.grant": "grant", "jit.revoke": "revoke"}
#: 4xx that say "not now" and not "no".
_NOT_NOW: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class _Asked(msgspec.Struct, frozen=True):
    """An activation as an endpoint reads it; times in seconds since the epoch."""

    id: str
    beneficiary: str
    entitlement: str
    project: str
    role: str
    condition: str
    justification: str
    approvers: tuple[str, ...]
    start: int
    end: int
    access_request: str | None
    request_id: str | None
    revoked_by: str | None


class _Call(msgspec.Struct, frozen=True):
    type: CallType
    activation: _Asked
    receipt: msgspec.Raw | None


class _Confirmation(msgspec.Struct, frozen=True):
    status: str = ""


class WebhookExecutor:
    """Posts one call for a grant and one for its end, each under an id that it keeps."""

    def __init__(  # noqa: PLR0913 - what the settings say, and the ways out
        self,
        *,
        name: str,
        url: str,
        secret: str,
        expires_by_itself: bool,
        timeout_seconds: int,
        egress: Egress,
        clock: Clock,
    ) -> None:
        """Sign with ``secret``; raises ``ProtocolError`` where it is none."""
        standard.sign(secret, "0", 0, b"")  # a secret that is none is refused here
        self._name = name
        self._url = url
        self._secret = secret
        self._expires_by_itself = expires_by_itself
        self._timeout_seconds = timeout_seconds
        self._egress = egress
        self._clock = clock

    @property
    def name(self) -> str:
        """Name in the settings."""
        return self._name

    @property
    def description(self) -> str:
        """Say what it does, and who ends what it grants."""
        if self._expires_by_itself:
            return "Asks an endpoint to grant the role, which ends it by itself in time."
        return "Asks an endpoint to grant the role, and asks it again to take it back in time."

    @property
    def expires_by_itself(self) -> bool:
        """Whether the endpoint has to end a grant without being asked."""
        return self._expires_by_itself

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Ask for the role, with the receipt of the approval; returns once that is confirmed."""
        await self._ask("jit.grant", activation, evidence)

    async def revoke(self, activation: Activation) -> None:
        """Ask for the role's end; returns once that is confirmed."""
        await self._ask("jit.revoke", activation, None)

    async def close(self) -> None:
        """Do nothing: the ways out belong to the relay."""

    async def _ask(
        self, call_type: CallType, activation: Activation, evidence: bytes | None
    ) -> None:
        message_id = f"{activation.activation_id}:{_TYPES[call_type]}"
        body = _body(call_type, activation, evidence)
        now = self._clock.now()
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": standard.sign(self._secret, message_id, now, body),
        }
        try:
            answer = await self._egress.post(
                self._url, headers=headers, body=body, timeout_seconds=self._timeout_seconds
            )
        except EgressRefused as refused:
            message = f"The endpoint of {self._name} may not be called: {refused.reason}."
            raise GrantFailed(message, is_final=True) from None
        except TransportFailed as failure:
            message = f"The endpoint of {self._name} did not answer: {failure.reason}."
            raise GrantFailed(message, is_final=False) from None
        _check(self._name, answer)


def _body(call_type: CallType, activation: Activation, evidence: bytes | None) -> bytes:
    asked = _Asked(
        id=activation.activation_id,
        beneficiary=activation.beneficiary,
        entitlement=str(activation.entitlement),
        project=activation.entitlement.project,
        role=activation.entitlement.role,
        condition=activation.entitlement.condition,
        justification=activation.justification,
        approvers=activation.approvers,
        start=activation.start,
        end=activation.end,
        access_request=activation.access_request,
        request_id=activation.request_id,
        revoked_by=activation.revoked_by,
    )
    receipt = None if evidence is None else msgspec.Raw(evidence)
    return msgspec.json.encode(_Call(call_type, asked, receipt))


def _check(name: str, answer: Answer) -> None:
    """Return for a confirmation; raises ``GrantFailed`` for any other answer."""
    status = answer.status
    if status == HTTPStatus.OK:
        try:
            is_done = msgspec.json.decode(answer.body, type=_Confirmation).status == DONE
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            is_done = False
        if is_done:
            return
    if status == HTTPStatus.ACCEPTED:
        message = f"The endpoint of {name} is still at it."
        raise GrantFailed(message, is_final=False)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and (
        status not in _NOT_NOW
    ):
        message = f"The endpoint of {name} refused with status {status}."
        raise GrantFailed(message, is_final=True)
    message = f"The endpoint of {name} answered {status} and confirmed nothing."
    raise GrantFailed(message, is_final=False)
