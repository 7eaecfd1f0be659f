"""The workshop's administrators at work: votes, denials, roles, and what is audited of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from tests.relay.protection.workshop import METHODS, Workshop
from tests.relay.simulator import ACME, granted, refused, shown

from quorumkey_relay.domain.protection import Protection, ProtectionSettings
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.protection.commands import CallerBody

if TYPE_CHECKING:
    from typing import Self

    from tests.relay.simulator import Simulator

    from quorumkey.protocol import DecisionValue
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.usecases.protection.commands import CheckBody


def by(caller: str) -> CallerBody:
    """Who calls: a person, or after ``key:`` an API key."""
    kind, _, name = caller.rpartition(":")
    return CallerBody("api_key" if kind else "person", name)


class Council(Workshop):
    """Administrators and others, each with a device, and calls that wait for them."""

    @classmethod
    async def of(
        cls,
        sim: Simulator,
        *people: str,
        others: tuple[str, ...] = (),
        **settings: Any,  # noqa: ANN401 - any setting
    ) -> Self:
        """``people`` are administrators, ``others`` are not; protection is on."""
        made = cls(sim)
        for person in (*people, *others):
            made.devices[person] = await sim.device(person)
        said = {"enabled": True, **settings}
        await made.put(
            Protection(
                integrator_id=ACME.id,
                settings=ProtectionSettings(**said),
                methods={method.name: method for method in METHODS},
                protected={one.name: "" for one in METHODS if one.kind == "default"},
                administrators=people,
            )
        )
        return made

    async def appoint(self, *people: str) -> None:
        """Have these be the administrators, with what follows from it, in one commit."""
        before = self.protection
        after = replace(before, administrators=people, revision=before.revision + 1)
        follows = self.sim.relay.protection.votes.withdrawals(after)
        await self.sim.store.commit((PutProtection(before, after), *follows))

    # Calls

    async def verdict(self, body: CheckBody | None = None) -> dict[str, Any]:
        """What a call is told; it must not be refused."""
        return shown(await granted(self.check(body)))

    async def wait(self, caller: str = "alice") -> str:
        """The txid of a call that waits."""
        return (await self.waits(self.body(caller=by(caller)))).txid

    async def run(self, caller: str = "alice") -> str:
        """The txid under which a call runs."""
        told = await self.verdict(self.body(caller=by(caller)))
        assert told["verdict"] == "run", told
        return str(told["transaction"]["txid"])

    # Decisions

    async def approve(self, txid: str, *people: str) -> str:
        """Each approves; how the request stands after the last."""
        status = ""
        for person in people:
            status = (await granted(self.vote(person, txid))).status
        return status

    async def deny(self, txid: str, person: str) -> str:
        """Somebody denies; how the call stands then."""
        return (await granted(self.vote(person, txid, "deny"))).status

    async def refusal(self, txid: str, person: str, decision: DecisionValue = "approve") -> Refusal:
        """Why a decision is refused."""
        return await refused(self.vote(person, txid, decision))

    async def refusal_code(
        self, txid: str, person: str, decision: DecisionValue = "approve"
    ) -> str:
        """The code with which a decision is refused."""
        return (await self.refusal(txid, person, decision)).code

    # What became of it

    async def transaction(self, txid: str) -> dict[str, Any]:
        """A transaction as its integrator reads it."""
        return shown(await self.read(txid))

    async def state(self, txid: str) -> str:
        """How a transaction stands."""
        return str((await self.transaction(txid))["state"])

    async def audited(self, prefix: str) -> list[dict[str, Any]]:
        """The audit events whose type begins so."""
        return [event for event in await self.sim.events() if str(event["type"]).startswith(prefix)]

    async def story(self, txid: str) -> list[str]:
        """What is audited of one call, and who did it."""
        return [
            event["type"].partition(".")[2] + (f" by {event['by']['id']}" if "by" in event else "")
            for event in await self.audited("protected_method.")
            if event["txid"] == txid
        ]
