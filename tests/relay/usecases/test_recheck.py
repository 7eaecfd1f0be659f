"""Certificates that are revoked after a device has enrolled."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay import attested
from tests.relay.reattested import (
    LABEL,
    admit,
    again,
    level,
    reattest,
    revoke_hardware,
    serial,
)
from tests.relay.simulator import (
    ACME,
    START,
    UMBRELLA,
    SimDevice,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey_relay.identity.principals import Attestation
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import PutAttestation
from quorumkey_relay.usecases import recheck

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from tests.relay.sim_members import SettingsMembers

    from quorumkey_relay.usecases.recheck import RecheckReport

pytestmark = pytest.mark.anyio

ATTESTATION_KEY = 1  # the index of the certificate that a series of phones shares
DAY = 86_400  # seconds
MAX_TURNS = 100_000  # of the event loop, until the list is read and compared
REVOKED = "attestation_revoked"


@pytest.fixture
async def trusting(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Simulator, None]:
    """A relay that revokes what the list names."""
    del anyio_backend
    async with simulator(tmp_path / "trusting", **attested.trusting(tmp_path)) as started:
        await first_look(started)
        yield started


@pytest.fixture
async def flagging(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Simulator, None]:
    """A relay that flags what the list names."""
    del anyio_backend
    async with simulator(tmp_path / "flagging", **flags(tmp_path)) as started:
        await first_look(started)
        yield started


@pytest.fixture
def log(restored_logging: None) -> Generator[io.BytesIO, None, None]:
    """What is logged."""
    del restored_logging
    sink = io.BytesIO()
    logs.configure("info", "json", sink)
    yield sink
    logs.configure("error", "json", io.BytesIO())


def flags(folder: Path) -> SettingsMembers:
    """The settings of a relay that flags."""
    settings = attested.trusting(folder)
    settings["revoked_hardware"] = "flag"
    return settings


async def first_look(sim: Simulator) -> None:
    """Wait for the look that a relay takes by itself as it starts, before the test's own begin."""
    for _ in range(MAX_TURNS):
        if metric(sim, 'quorumkey_attestation_rechecks_total{outcome="done"}'):
            return
        await asyncio.sleep(0)
    pytest.fail("the relay has not looked at the list")


async def look(sim: Simulator) -> RecheckReport:
    """Read the list, and compare it with what devices proved, as the background work does."""
    revocation = sim.relay.verifier.revocation
    assert revocation is not None
    await revocation.refresh()
    return await sim.relay.recheck.now()


async def phone(sim: Simulator, person: str) -> SimDevice:
    """An Android phone that proved where its key lives."""
    device = SimDevice(person)
    await admit(sim, device)
    return device


def changes(events: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    """Type, level and reason of the events that are not enrolments."""
    return [
        (event["type"], event["assurance"], event.get("reason"))
        for event in events
        if event["type"].startswith("device.") and event["type"] != "device.enrolled"
    ]


def lines(log: io.BytesIO, event: str) -> list[dict[str, Any]]:
    """The log's lines about one kind of event."""
    read = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in read if line["event"] == event]


def metric(sim: Simulator, name: str) -> float:
    """A metric's value; 0 where it does not stand there yet."""
    for line in sim.relay.metrics.render().decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


# Revoking


async def test_a_revoked_certificate_revokes_its_device(
    trusting: Simulator, tmp_path: Path
) -> None:
    """It is revoked for good, and its integrators are told why."""
    device = await phone(trusting, "alice")
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))

    report = await look(trusting)

    known = trusting.store.directory.device(device.fingerprint)
    assert known is not None
    assert (1, START) == (report.devices, known.revoked_at)
    assert [("device.revoked", "strongbox", REVOKED)] == changes(await trusting.events())


async def test_a_serial_of_digits_alone_is_hexadecimal(trusting: Simulator, tmp_path: Path) -> None:
    """An entry such as 161 is the number 0x161, and not 161."""
    alice, bob = await phone(trusting, "alice"), await phone(trusting, "bob")
    for device, number in ((alice, 0x161), (bob, 161)):
        await rest_on(trusting, device, f"{number:x}")
    revoke_hardware(trusting, tmp_path, "161")

    await look(trusting)

    assert [True, False] == [is_revoked(trusting, device) for device in (alice, bob)]


@pytest.mark.parametrize("written", ["0AB01", "ab01", "AB01"])
async def test_how_the_list_writes_a_serial_does_not_matter(
    trusting: Simulator, tmp_path: Path, written: str
) -> None:
    """Leading zeros and upper case mean the same number."""
    device = await phone(trusting, "alice")
    await rest_on(trusting, device, "ab01")
    revoke_hardware(trusting, tmp_path, written)

    await look(trusting)

    assert is_revoked(trusting, device)


async def rest_on(sim: Simulator, device: SimDevice, *serials: str) -> None:
    """Store evidence with these certificates."""
    proved = Attestation(
        device=device.fingerprint,
        format="android-key",
        assurance="strongbox",
        judged_at=sim.clock.now(),
        evidence=b"{}",
        serials=serials,
    )
    await sim.store.commit((PutAttestation(proved),))


def is_revoked(sim: Simulator, device: SimDevice) -> bool:
    """Whether a device is revoked."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known.revoked_at is not None


async def test_sessions_end_and_sockets_close(trusting: Simulator, tmp_path: Path) -> None:
    """Nothing that was open stays open."""
    device = await phone(trusting, "alice")
    token = await trusting.token(device)
    stream = trusting.listen(device)
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))

    await look(trusting)

    assert None is trusting.use.device_of_token(token)
    assert 4403 == stream.closed_with


async def test_its_approvals_do_not_count_any_more(trusting: Simulator, tmp_path: Path) -> None:
    """A pending request loses the approval; a finished one stays what it is."""
    alice, bob = await phone(trusting, "alice"), SimDevice("bob")
    await admit(trusting, bob, phone="iphone")
    done = await trusting.ask([alice])
    pending = await trusting.ask([alice], [bob], required=2)
    await trusting.approve(done, alice)
    await trusting.approve(pending, alice)
    revoke_hardware(trusting, tmp_path, await serial(trusting, alice, ATTESTATION_KEY))

    await look(trusting)

    assert "approved" == (await trusting.read(done)).status
    assert [] == (await trusting.read(pending)).groups_satisfied


async def test_every_integrator_is_told(trusting: Simulator, tmp_path: Path) -> None:
    """A device that is paired with two ends for both."""
    device = await phone(trusting, "alice")
    await trusting.admit(device, UMBRELLA)
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))

    await look(trusting)

    assert [1, 1] == [
        len(changes(await trusting.events(integrator))) for integrator in (ACME, UMBRELLA)
    ]


async def test_other_devices_stay(trusting: Simulator, tmp_path: Path) -> None:
    """What rests on no certificate of the list, or on none at all, is left alone."""
    alice, bob, carol = await phone(trusting, "alice"), SimDevice("bob"), SimDevice("carol")
    await admit(trusting, bob, phone="iphone")
    await admit(trusting, carol, phone="none")
    await rest_on(trusting, alice, "ab01")
    revoke_hardware(trusting, tmp_path, "ab02", "ab")

    report = await look(trusting)

    assert 0 == report.devices
    assert [False] * 3 == [is_revoked(trusting, device) for device in (alice, bob, carol)]


async def test_all_devices_of_a_series(
    trusting: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One certificate may stand behind more devices than are dealt with at once."""
    monkeypatch.setattr(recheck, "BATCH_DEVICES", 2)
    monkeypatch.setattr(recheck, "PAGE_SERIALS", 1)
    devices = [await phone(trusting, f"person-{number}") for number in range(5)]
    shared = await serial(trusting, devices[0], ATTESTATION_KEY)
    revoke_hardware(trusting, tmp_path, "ab01", shared, "ab02")

    report = await look(trusting)

    assert (5, 3) == (report.devices, report.entries)
    assert all(is_revoked(trusting, device) for device in devices)


async def test_looking_twice_tells_once(trusting: Simulator, tmp_path: Path) -> None:
    """What was revoked is not revoked again, in this life of the relay or the next."""
    device = await phone(trusting, "alice")
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))

    reports = [await look(trusting), await look(trusting)]

    assert [1, 0] == [report.devices for report in reports]
    assert 1 == len(changes(await trusting.events()))


async def test_a_device_that_somebody_else_has_revoked_meanwhile(
    trusting: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before that is not dealt with again, and the look comes to an end."""
    device = await phone(trusting, "alice")
    number = await serial(trusting, device, ATTESTATION_KEY)
    known = trusting.store.directory.device(device.fingerprint)
    assert known is not None
    await trusting.store.commit(trusting.relay.standing.revocation(known, reason="lost"))
    revoke_hardware(trusting, tmp_path, number)

    async def read_before(_serials: object, *, limit: int) -> list[tuple[str, str]]:
        assert limit
        return [(number, device.fingerprint)]

    monkeypatch.setattr(trusting.store, "attested_by", read_before)
    report = await look(trusting)

    assert ("done", 0) == (report.outcome, report.devices)
    assert [("device.revoked", "strongbox", "lost")] == changes(await trusting.events())


# Flagging


async def test_flagging_takes_the_level_away(flagging: Simulator, tmp_path: Path) -> None:
    """The device stays paired at level none, and its integrators are told why."""
    device = await phone(flagging, "alice")
    revoke_hardware(flagging, tmp_path, await serial(flagging, device, ATTESTATION_KEY))

    await look(flagging)

    found = await flagging.store.attestation(device.fingerprint)
    assert found is not None
    assert ("none", START) == (level(flagging, device), found.revoked_at)
    assert not is_revoked(flagging, device)
    assert [("device.assurance_changed", "none", REVOKED)] == changes(await flagging.events())


async def test_a_flagged_device_meets_no_floor(flagging: Simulator, tmp_path: Path) -> None:
    """Requests that ask for a level refuse it when made, when decided and when counted."""
    alice, bob = await phone(flagging, "alice"), SimDevice("bob")
    await admit(flagging, bob, phone="iphone")
    before = await flagging.ask([alice], [bob], required=2, min_assurance="tee")
    undecided = await flagging.ask([alice], min_assurance="tee")
    lenient = await flagging.ask([alice], [bob], required=2)
    await flagging.approve(before, alice)
    await flagging.approve(lenient, alice)
    revoke_hardware(flagging, tmp_path, await serial(flagging, alice, ATTESTATION_KEY))

    await look(flagging)

    assert [[], ["Group 1"]] == [
        (await flagging.read(request)).groups_satisfied for request in (before, lenient)
    ]
    assert ["insufficient_assurance"] * 2 == [
        (await refused(flagging.decide(alice, undecided))).code,
        (await flagging.ask_refused([alice], min_assurance="software")).code,
    ]


async def test_flagging_twice_tells_once(tmp_path: Path) -> None:
    """What was flagged is not flagged again, nor after a restart."""
    async with simulator(tmp_path, **flags(tmp_path)) as sim:
        device = await phone(sim, "alice")
        revoke_hardware(sim, tmp_path, await serial(sim, device, ATTESTATION_KEY))
        reports = [await look(sim), await look(sim)]
    async with simulator(tmp_path, **flags(tmp_path)) as sim:
        reports.append(await look(sim))
        told = changes(await sim.events())

        assert ([1, 0, 0], 1) == ([report.devices for report in reports], len(told))
        assert "none" == level(sim, device)


async def test_new_evidence_lifts_the_flag(flagging: Simulator, tmp_path: Path) -> None:
    """Evidence that holds and rests on no revoked certificate gives a level again."""
    device = await phone(flagging, "alice")
    revoke_hardware(flagging, tmp_path, await serial(flagging, device, ATTESTATION_KEY))
    await look(flagging)
    nonce = await flagging.nonce()
    sent = again(attested.from_iphone(device, nonce, label=LABEL))

    await granted(reattest(flagging, device, nonce, sent))
    report = await look(flagging)

    assert (0, "secure_enclave") == (report.devices, level(flagging, device))


async def test_the_revoked_evidence_does_not_lift_the_flag(
    flagging: Simulator, tmp_path: Path
) -> None:
    """The list refuses in judging what it took away in looking back."""
    device = await phone(flagging, "alice")
    revoke_hardware(flagging, tmp_path, await serial(flagging, device, ATTESTATION_KEY))
    await look(flagging)
    nonce = await flagging.nonce()

    refusal = await refused(
        reattest(flagging, device, nonce, again(attested.from_android(device, nonce)))
    )

    assert "revoked" == (refusal.details or {})["reason"]
    assert "none" == level(flagging, device)


# Lists that cannot be judged by


async def test_a_stale_list_revokes_nobody(
    trusting: Simulator, tmp_path: Path, log: io.BytesIO
) -> None:
    """It is logged and counted, and nothing else happens."""
    device = await phone(trusting, "alice")
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))
    trusting.clock.advance(172_801)

    report = await look(trusting)

    assert ("stale", 0) == (report.outcome, report.devices)
    assert not is_revoked(trusting, device)
    (line,) = lines(log, "attestations_rechecked")
    assert ("warning", "stale", 172_801) == (line["level"], line["outcome"], line["seconds"])
    assert 1 == metric(trusting, 'quorumkey_attestation_rechecks_total{outcome="stale"}')
    assert 172_801 == metric(trusting, "quorumkey_revocation_list_age_seconds")


async def test_a_missing_list_revokes_nobody(tmp_path: Path) -> None:
    """Without a list the age is infinite, so that an alert on it goes off."""
    settings = attested.trusting(tmp_path)
    (tmp_path / "status.json").unlink()
    async with simulator(tmp_path, **settings) as sim:
        report = await look(sim)

        assert "unavailable" == report.outcome
        assert float("inf") == metric(sim, "quorumkey_revocation_list_age_seconds")


async def test_a_look_is_told_in_one_line(
    trusting: Simulator, tmp_path: Path, log: io.BytesIO
) -> None:
    """How it went, what was done, to how many, by a list of what age."""
    device = await phone(trusting, "alice")
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))

    await look(trusting)

    (line,) = lines(log, "attestations_rechecked")
    del line["timestamp"]
    assert {
        "event": "attestations_rechecked",
        "level": "info",
        "outcome": "done",
        "kind": "revoke",
        "count": 1,
        "seconds": 0,
    } == line
    (about,) = lines(log, "device_attestation_revoked")
    assert device.fingerprint == about["device"]
    assert 1 == metric(trusting, 'quorumkey_attestation_revoked_devices_total{action="revoke"}')


async def test_a_look_that_fails_is_counted_and_taken_up_again(
    trusting: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store could not take is done by the next look."""
    device = await phone(trusting, "alice")
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))

    def full(_writes: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(trusting.store, "commit", full)
        with pytest.raises(StoreUnavailable):
            await look(trusting)
    report = await look(trusting)

    assert 1 == report.devices
    assert 1 == metric(trusting, 'quorumkey_attestation_rechecks_total{outcome="failed"}')


# When


async def test_it_is_done_at_start_and_then_daily(
    trusting: Simulator, tmp_path: Path, log: io.BytesIO
) -> None:
    """A day after the last look there is another, and none before."""
    device = await phone(trusting, "alice")
    await look(trusting)
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))
    found: list[bool] = []
    for seconds in (DAY - 1, 1):
        trusting.clock.advance(seconds)
        await trusting.relay.refresh_revocation()
        found.append(is_revoked(trusting, device))

    assert [False, True] == found
    assert 2 <= len(lines(log, "attestations_rechecked"))


async def test_without_a_list_it_is_tried_again_soon(trusting: Simulator, tmp_path: Path) -> None:
    """A relay that had no list to judge by does not wait a day for the next attempt."""
    device = await phone(trusting, "alice")
    trusting.clock.advance(172_801)
    await look(trusting)
    revoke_hardware(trusting, tmp_path, await serial(trusting, device, ATTESTATION_KEY))
    found: list[bool] = []
    for seconds in (recheck.RETRY_SECONDS - 1, 1):
        trusting.clock.advance(seconds)
        await trusting.relay.refresh_revocation()
        found.append(is_revoked(trusting, device))

    assert [False, True] == found


async def test_how_often_is_a_setting(tmp_path: Path) -> None:
    """Two looks are as far apart as the operator says."""
    settings = attested.trusting(tmp_path)
    settings["recheck_seconds"] = 3_600
    async with simulator(tmp_path, **settings) as sim:
        await look(sim)
        reports: list[RecheckReport | None] = []
        for seconds in (3_599, 1):
            sim.clock.advance(seconds)
            reports.append(await sim.relay.recheck.when_due())

        assert [True, False] == [report is None for report in reports]


async def test_a_relay_that_needs_no_list_looks_at_none(tmp_path: Path) -> None:
    """Where no evidence is judged by a list, asking for a look does nothing."""
    async with simulator(tmp_path) as sim:
        await sim.relay.recheck_now()
        await sim.relay.refresh_revocation()

        assert 0 == metric(sim, 'quorumkey_attestation_rechecks_total{outcome="unavailable"}')
