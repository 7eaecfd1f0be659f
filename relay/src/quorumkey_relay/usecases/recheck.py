"""The look at the makers' revocation list for what enrolled devices have proved.

A certificate that stands behind a device's evidence may be revoked long after the device enrolled.
The newest list is compared with the serial numbers that are stored, page by page.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from quorumkey_attestation import AttestationError
from quorumkey_relay.store.writes import PutAttestation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.standing import Standing

RevokedHardware = Literal["flag", "revoke"]
RecheckOutcome = Literal["done", "stale", "unavailable", "failed"]

ATTESTATION_REVOKED: Final = "attestation_revoked"
PAGE_SERIALS: Final = 500  # entries of the list that are looked up between two turns of the loop
BATCH_DEVICES: Final = 100  # devices that are dealt with between two turns of the loop
RETRY_SECONDS: Final = 600  # until the next attempt where there was no list to judge by


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """What one look at the list has done: to how many devices, and how old the list was."""

    outcome: RecheckOutcome
    devices: int = 0
    entries: int = 0
    age_seconds: int | None = None


def usable(newest: RevocationList | None, now: int) -> RecheckOutcome:
    """Say whether anything may be judged by this list: ``done`` where it may."""
    if newest is None:
        return "unavailable"
    try:
        newest.require_fresh(datetime.fromtimestamp(now, UTC))
    except AttestationError:
        return "stale"
    return "done"


def pages(revocation: RevocationList) -> Iterator[list[str]]:
    """Yield the list's serial numbers as they are stored, in lower-case hex, page by page."""
    serials = (f"{number:x}" for number in revocation.entries)
    while page := list(islice(serials, PAGE_SERIALS)):
        yield page


@dataclass(slots=True, kw_only=True)
class RecheckHardware:
    """Revokes or flags the devices whose evidence rests on a revoked certificate.

    A list that is stale or missing changes nothing. What was done to a device is stored with it,
    in the same commit, so a look that was broken off is simply begun again. ``tell`` hears of each
    look; ``interval_seconds`` lie between two.
    """

    store: Store
    clock: Clock
    standing: Standing
    newest: Callable[[], RevocationList | None]
    policy: RevokedHardware
    interval_seconds: int
    tell: Callable[[RecheckReport], None]
    _next_at: float = field(default=float("-inf"))

    async def when_due(self) -> RecheckReport | None:
        """Look at the list if it is time to; the first time is at once."""
        if self.clock.monotonic() < self._next_at:
            return None
        return await self.now()

    async def now(self) -> RecheckReport:
        """Look at the list, due or not.

        Raises ``StoreUnavailable``; what was left over then is taken up by the next look.
        """
        self._next_at = self.clock.monotonic() + RETRY_SECONDS
        report = RecheckReport(outcome="failed")
        try:
            report = await self._look()
        finally:
            self.tell(report)
        if report.outcome == "done":
            self._next_at = self.clock.monotonic() + self.interval_seconds
        return report

    async def _look(self) -> RecheckReport:
        newest, now = self.newest(), self.clock.now()
        outcome = usable(newest, now)
        if newest is None:
            return RecheckReport(outcome=outcome)
        age = now - int(newest.fetched_at.timestamp())
        devices = 0
        if outcome == "done":
            for page in pages(newest):
                devices += await self._page(page)
                await asyncio.sleep(0)
        return RecheckReport(
            outcome=outcome, devices=devices, entries=len(newest.entries), age_seconds=age
        )

    async def _page(self, serials: Sequence[str]) -> int:
        """Deal with the devices that rest on these certificates, a batch at a time."""
        done = 0
        while found := await self.store.attested_by(serials, limit=BATCH_DEVICES):
            changed = await self._batch(sorted({device for _, device in found}))
            if not changed:
                # Each was revoked meanwhile by somebody else, whose commit is on its way.
                break
            done += changed
            await asyncio.sleep(0)
        return done

    async def _batch(self, fingerprints: Sequence[str]) -> int:
        """Deal with some devices; each in a commit of its own, which wait for the disk together."""
        proved = [await self.store.attestation(fingerprint) for fingerprint in fingerprints]
        commits: list[Awaitable[None]] = []
        revoked: list[str] = []
        now = self.clock.now()
        for attestation in proved:
            device = None
            if attestation is not None:
                device = self.store.directory.device(attestation.device)
            if attestation is None or device is None or device.revoked_at is not None:
                continue
            if self.policy == "revoke":
                change = self.standing.revocation(device, reason=ATTESTATION_REVOKED)
                revoked.append(device.fingerprint)
            else:
                change = self.standing.regrading(
                    device, assurance="none", reason=ATTESTATION_REVOKED
                )
            mark = PutAttestation(replace(attestation, revoked_at=now))
            commits.append(self.store.commit((mark, *change)))
        await asyncio.gather(*commits)
        for fingerprint in revoked:
            self.standing.void(fingerprint)
        return len(commits)
