"""A relay whose integrator runs a service with protected methods, and its administrators.

Everything is real but the clock; the service's calls go through the use case that the HTTP layer
calls, and administrators vote with signed decisions.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace
from tests.relay.simulator import ACME, Asked, SimDevice, Simulator, granted, refused, simulator

from quorumkey_relay.domain.protection import Method, Protection, ProtectionSettings
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.commands import PairingBody, PartyBody
from quorumkey_relay.usecases.protection.commands import (
    CallerBody,
    CheckBody,
    MessageBody,
    ResultBody,
)
from quorumkey_relay.usecases.protection.views import ProceedView, RunView, WaitView

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from typing import Unpack

    from tests.relay.sim_members import SettingsMembers
    from tests.relay.simulator import ManualClock

    from quorumkey.protocol import DecisionValue
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.usecases.protection.views import ClaimView, TransactionView, Verdict
    from quorumkey_relay.usecases.views import DecisionView

__all__ = ["ACME", "ALICE", "KEY", "KILL", "Workshop", "workshop"]

KILL = "KillProcessOnHostsWithTag"
SERVICE = "workshop"
ALICE = CallerBody("person", "alice")
BOB = CallerBody("person", "bob")
KEY = CallerBody("api_key", "0190a000-0000-7000-8000-0000000000a1")
_KEYS = count()
TAGGED = {"tag": "staging", "process": "nginx"}

METHODS = (
    Method(name=KILL, kind="default", service=SERVICE),
    Method(name="DeleteRule", kind="eligible", resolver=True, service=SERVICE),
    Method(name="CreateRule", kind="eligible", service=SERVICE),
    Method(name="RotateRoot", kind="always", service=SERVICE),
    Method(name="ListRules", kind="ineligible", permission="read", service=SERVICE),
)


@dataclass
class Workshop:
    """The relay, its administrators' devices by person, and short names for what they do."""

    sim: Simulator
    devices: dict[str, SimDevice] = field(default_factory=dict[str, SimDevice])

    # Protection

    @property
    def protection(self) -> Protection:
        """The integrator's protection."""
        return self.sim.store.directory.protection(ACME.id) or Protection(integrator_id=ACME.id)

    async def put(self, after: Protection) -> None:
        """Change the protection, without asking whether the rules allow it."""
        before = self.sim.store.directory.protection(ACME.id)
        after = replace(after, revision=self.protection.revision + 1)
        await self.sim.store.commit((PutProtection(before, after),))

    async def set(self, **settings: int) -> None:
        """Change settings."""
        current = self.protection
        await self.put(replace(current, settings=replace(current.settings, **settings)))

    async def protect(self, method: str, condition: str = "") -> None:
        """Protect a method."""
        current = self.protection
        await self.put(replace(current, protected={**current.protected, method: condition}))

    async def dismiss(self, person: str) -> None:
        """Take the role of an administrator away, and nothing else."""
        current = self.protection
        left = tuple(one for one in current.administrators if one != person)
        await self.put(replace(current, administrators=left))

    async def administrators(self, *people: str) -> None:
        """Name administrators, each with a device."""
        for person in people:
            if person not in self.devices:
                self.devices[person] = await self.device(person)
        current = self.protection
        await self.put(replace(current, administrators=(*current.administrators, *people)))

    async def device(self, person: str) -> SimDevice:
        """A new device of a person; the pairing names them by the start of their id."""
        pairing = PairingBody(approver=PartyBody(id=person, name=person[:20].title()))
        made = json.loads(
            await granted(
                self.sim.use.create_pairing(integrator=ACME, body=pairing, idempotency=None)
            )
        )
        device = SimDevice(person)
        await granted(self.sim.enroll(await self.sim.enrollment(device, str(made["pairing_code"]))))
        return device

    async def another_device(self, person: str) -> SimDevice:
        """A further device of an administrator, for which protection is turned off."""
        device = SimDevice(person)
        await self.admit(device)
        return device

    async def admit(self, device: SimDevice) -> None:
        """Pair an administrator's device, for which protection is turned off."""
        await self.set(enabled=False)
        await self.sim.admit(device)
        await self.set(enabled=True)

    # Calls of the service

    def body(  # noqa: PLR0913 - the members of a check
        self,
        method: str = KILL,
        request: object = None,
        *,
        caller: CallerBody = ALICE,
        key: str | None = None,
        resource: dict[str, Any] | None = None,
        resource_failed: bool = False,
        message: MessageBody | None = None,
    ) -> CheckBody:
        """The body of a check; without a key, with a new one."""
        return CheckBody(
            method=method,
            caller=caller,
            request=message or MessageBody(json=TAGGED if request is None else request),
            claim_key=key or f"claim-key-{next(_KEYS):08d}",
            resource=UNSET if resource is None else resource,
            resource_failed=resource_failed,
        )

    async def check(self, body: CheckBody | None = None) -> Verdict | Refusal:
        """Ask whether a call may run."""
        return await self.sim.use.protection.check(integrator=ACME, body=body or self.body())

    async def proceeds(self, body: CheckBody | None = None) -> str:
        """Why a call may run without approval."""
        verdict = await granted(self.check(body))
        assert isinstance(verdict, ProceedView), verdict
        return verdict.reason

    async def waits(self, body: CheckBody | None = None) -> TransactionView:
        """The transaction that a call waits for."""
        verdict = await granted(self.check(body))
        assert isinstance(verdict, WaitView), verdict
        return verdict.transaction

    async def runs(self, body: CheckBody | None = None) -> RunView:
        """The claim under which a call runs."""
        verdict = await granted(self.check(body))
        assert isinstance(verdict, RunView), verdict
        return verdict

    async def why_not(self, body: CheckBody) -> Refusal:
        """Why a check is refused."""
        return await refused(self.check(body))

    async def settle(self, claim: ClaimView, body: ResultBody | None = None) -> ClaimView | Refusal:
        """Record a result, ``ok`` unless told otherwise."""
        return await self.sim.use.protection.settle(
            integrator_id=ACME.id, claim_id=claim.claim_id, body=body or ResultBody("ok")
        )

    async def read(self, txid: str) -> TransactionView:
        """A transaction as the service reads it."""
        return await granted(self.sim.use.protection.transaction(integrator_id=ACME.id, txid=txid))

    # Votes

    async def asked(self, txid: str) -> Asked:
        """The approval request of a transaction."""
        stored = await self.sim.store.load(txid)
        assert stored is not None
        answer = {"request_id": txid, "request_digest": stored.terms.digest}
        return Asked(self.sim.body(), answer)

    async def vote(
        self, person: str, txid: str, decision: DecisionValue = "approve"
    ) -> DecisionView | Refusal:
        """A signed decision of an administrator's device."""
        return await self.sim.decide(self.devices[person], await self.asked(txid), decision)

    async def approved(self, *people: str, body: CheckBody | None = None) -> str:
        """The txid of a call that these have approved."""
        txid = (await self.waits(body)).txid
        for person in people:
            await granted(self.vote(person, txid))
        return txid

    async def document(self, txid: str) -> dict[str, Any]:
        """The request document that the administrators sign."""
        stored = await self.sim.store.load(txid)
        assert stored is not None
        document: dict[str, Any] = json.loads(stored.document.payload)
        return document

    async def audit(self, txid: str | None = None) -> list[str]:
        """The types of the events about protected methods, of one transaction or all."""
        return [
            str(event["type"]).removeprefix("protected_method.")
            for event in await self.sim.events()
            if str(event["type"]).startswith("protected_method.")
            and txid in (None, event.get("txid"))
        ]


@asynccontextmanager
async def workshop(
    data_dir: Path,
    clock: ManualClock | None = None,
    *people: str,
    **settings: Unpack[SettingsMembers],
) -> AsyncGenerator[Workshop, None]:
    """A relay with protection on, two approvers required, and administrators alice, bob, carol.

    The same folder again is the same relay after a restart.
    """
    async with simulator(data_dir, clock, **settings) as sim:
        made = Workshop(sim)
        if sim.store.directory.protection(ACME.id) is None:
            await made.put(
                Protection(
                    integrator_id=ACME.id,
                    settings=ProtectionSettings(enabled=True),
                    methods={method.name: method for method in METHODS},
                    protected={KILL: ""},
                )
            )
            await made.administrators(*(people or ("alice", "bob", "carol")))
        yield made
