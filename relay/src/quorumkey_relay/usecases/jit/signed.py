"""The signed request beside a request for a role, where the reviewers' devices decide it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import Group, Party, Policy, RequestDocument, b64encode
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.draft import approver
from quorumkey_relay.usecases.jit.rules import shown_activation
from quorumkey_relay.usecases.opening import NONCE_BYTES, opening, sealed
from quorumkey_relay.usecases.protection.panel import group_name, newest_of_each
from quorumkey_relay.usecases.rules import check_devices, pending_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit

#: For so long after the end of a request its approval can be acted on.
USE_WITHIN_SECONDS: Final = 3_600
BUSY: Final = "A reviewer has too many open requests already; choose another one, or wait."


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSignedRequest:
    """Writes and signs the request document of a request for a role."""

    store: Store
    mint: Mint
    keys: RelayKeys
    plan: DeliveryPlan
    max_pending_per_device: int

    def __call__(
        self, request: AccessRequest, *, needed: int, now: int
    ) -> tuple[str, Commit] | Refusal:
        """Return the signed request's id and the writes that open it; nothing is written yet.

        At least ``needed`` reviewers must have a paired device; those without one are left out.
        Raises ``ProtocolError`` for text that nobody may be shown.
        """
        directory = self.store.directory
        devices = {
            reviewer: directory.devices_of(request.integrator_id, reviewer)
            for reviewer in request.reviewers
        }
        without = [reviewer for reviewer, found in devices.items() if not found]
        if len(devices) - len(without) < needed:
            return _no_device(without)
        document = self._document(request, devices, now)
        persons = check_devices(document, directory)
        if isinstance(persons, Refusal):
            return persons
        busy = pending_limit(document, self.store, now=now, limit=self.max_pending_per_device)
        if busy is not None:
            return Refusal(busy.code, BUSY, retry_after=busy.retry_after)
        stored = sealed(document, persons=persons, key=self.keys.current(now))
        return document.request_id, opening(stored, plan=self.plan, now=now)

    def _document(
        self, request: AccessRequest, devices: dict[str, Sequence[Device]], now: int
    ) -> RequestDocument:
        integrator = self.store.directory.integrator(request.integrator_id)
        if integrator is None:
            message = "the integrator whose devices approve roles is not stored"
            raise LookupError(message)
        return RequestDocument(
            profile="jit_access",
            relay=self.keys.current(now).public_key.fingerprint,
            integrator=Party(integrator.id, integrator.name),
            request_id=self.mint.uuid7(),
            nonce=b64encode(self.mint.random(NONCE_BYTES)),
            requester=Party(request.beneficiary),
            action=shown_activation(request).action(),
            policy=Policy(
                required=request.required,
                groups=tuple(
                    Group(
                        group_name(reviewer),
                        tuple(
                            approver(device.fingerprint, b64encode(device.public_key), reviewer)
                            for device in chosen
                        ),
                    )
                    for reviewer, chosen in newest_of_each(devices.items())
                ),
                reject_policy=request.reject_policy,
            ),
            created_at=now,
            expires_at=request.decide_by,
            use_by=request.decide_by + USE_WITHIN_SECONDS,
        )


def _no_device(without: list[str]) -> Refusal:
    return Refusal(
        "failed_precondition",
        "These reviewers have no paired device to decide with: " + ", ".join(without) + ".",
        {"reviewers": list(without)},
    )
