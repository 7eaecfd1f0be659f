"""Enrolled devices prove themselves anew; what does not hold changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay import attested
from tests.relay.reattested import LABEL, admit, again, asserted, level, reattest
from tests.relay.simulator import (
    ACME,
    START,
    SimDevice,
    SimPasskey,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.testing import apple
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import AdvanceCounter
from quorumkey_relay.usecases.commands import ReattestationBody
from quorumkey_relay.usecases.views import ReattestedView

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from tests.relay.sim_members import SettingsMembers

    from quorumkey_relay.store.writes import Commit

    Spoil = Callable[[SimDevice, str], ReattestationBody]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def trusting(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Simulator, None]:
    """A relay that judges evidence of the test PKI where it is sent."""
    del anyio_backend
    async with simulator(tmp_path / "trusting", **attested.trusting(tmp_path)) as started:
        yield started


@pytest.fixture
async def iphone(trusting: Simulator) -> SimDevice:
    """A phone that an App Attest key vouches for."""
    device = SimDevice("alice")
    await admit(trusting, device, phone="iphone")
    return device


def counter(sim: Simulator) -> int:
    """The stored counter of the App Attest key."""
    key_id = apple.Attestation(client_data_hash=bytes(32), label=LABEL).key_id
    found = sim.store.directory.app_attest_key(key_id)
    assert found is not None
    return found.counter


def reason(refusal: Refusal) -> object:
    """Why evidence was rejected."""
    assert refusal.code == "attestation_rejected", refusal
    return (refusal.details or {})["reason"]


# What counts


async def test_an_assertion_proves_the_phone_anew(trusting: Simulator, iphone: SimDevice) -> None:
    """The level is answered, the counter moves, and evidence and time are stored."""
    trusting.clock.advance(100)
    nonce = await trusting.nonce()

    view = await granted(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=7)))

    found = await trusting.store.attestation(iphone.fingerprint)
    assert found is not None
    assert ReattestedView(iphone.fingerprint, "secure_enclave") == view
    assert (7, "apple-app-attest-assertion", "secure_enclave", START + 100) == (
        counter(trusting),
        found.format,
        found.assurance,
        found.judged_at,
    )


async def test_a_device_that_proved_nothing_can_prove_itself_later(trusting: Simulator) -> None:
    """Any format of enrolment raises the level, and the integrators are told."""
    device = SimDevice("alice")
    await admit(trusting, device, phone="none")
    nonce = await trusting.nonce()

    view = await granted(
        reattest(trusting, device, nonce, again(attested.from_android(device, nonce)))
    )

    assert ["strongbox"] * 2 == [view.assurance, level(trusting, device)]
    event = (await trusting.events())[-1]
    assert {
        "type": "device.assurance_changed",
        "fingerprint": device.fingerprint,
        "approver": {"id": "alice", "name": "Alice"},
        "assurance": "strongbox",
        "reason": "reattested",
        "timestamp": event["timestamp"],
    } == event


async def test_a_key_that_was_bound_by_reattesting_may_assert(trusting: Simulator) -> None:
    """An App Attest object sent later binds its key as one sent at enrolment does."""
    device = SimDevice("alice")
    await admit(trusting, device, phone="none")
    nonce = await trusting.nonce()
    sent = again(attested.from_iphone(device, nonce, label=LABEL))
    await granted(reattest(trusting, device, nonce, sent))
    nonce = await trusting.nonce()

    await granted(reattest(trusting, device, nonce, asserted(device, nonce, counter=1)))

    assert 1 == counter(trusting)


async def test_the_same_level_is_no_event(trusting: Simulator, iphone: SimDevice) -> None:
    """Integrators hear of changes only."""
    nonce = await trusting.nonce()

    await granted(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=1)))

    assert ["device.enrolled"] == [event["type"] for event in await trusting.events()]


async def test_the_newest_evidence_decides_also_downwards(trusting: Simulator) -> None:
    """Evidence that holds and proves less sets the lower level."""
    device = SimDevice("alice")
    await admit(trusting, device)
    nonce = await trusting.nonce()
    weaker = attested.from_android(device, nonce, level=SecurityLevel.TEE)

    view = await granted(reattest(trusting, device, nonce, again(weaker)))

    assert ["tee"] * 2 == [view.assurance, level(trusting, device)]


async def test_no_evidence_changes_nothing(trusting: Simulator, iphone: SimDevice) -> None:
    """Format none proves nothing, and takes nothing away."""
    before = await trusting.store.attestation(iphone.fingerprint)

    view = await granted(
        reattest(trusting, iphone, await trusting.nonce(), ReattestationBody(format="none"))
    )

    assert "secure_enclave" == view.assurance
    assert before == await trusting.store.attestation(iphone.fingerprint)


async def test_evidence_that_nobody_signed_takes_nothing_away(
    trusting: Simulator, iphone: SimDevice
) -> None:
    """Who holds a session can make it, so it neither lowers a level nor makes a passkey."""
    plain = SimDevice("bob")
    await admit(trusting, plain, phone="none")
    levels: list[str] = []
    for device in (iphone, plain):
        nonce = await trusting.nonce()
        sent = again(attested.from_browser(device, nonce, attested=False))
        view = await granted(reattest(trusting, device, nonce, sent))
        levels += [view.assurance, level(trusting, device)]

    assert ["secure_enclave", "secure_enclave", "none", "none"] == levels


async def test_a_passkey_that_was_flagged_is_a_passkey_again(trusting: Simulator) -> None:
    """A key that signs as a passkey gets back the level that it has without any evidence."""
    passkey = SimPasskey("alice")
    await trusting.admit(passkey)
    known = trusting.store.directory.device(passkey.fingerprint)
    assert known is not None
    flagged = trusting.relay.standing.regrading(known, assurance="none", reason="test")
    await trusting.store.commit(flagged)
    nonce = await trusting.nonce()
    sent = again(attested.from_browser(passkey, nonce, attested=False))

    await granted(reattest(trusting, passkey, nonce, sent))

    assert "passkey" == level(trusting, passkey)


# What does not


def _with_a_counter_that_stands_still(device: SimDevice, nonce: str) -> ReattestationBody:
    return asserted(device, nonce, counter=0)


def _over_another_nonce(device: SimDevice, nonce: str) -> ReattestationBody:
    del nonce
    return asserted(device, "A" * 43 + "=", counter=1)


def _for_another_device(device: SimDevice, nonce: str) -> ReattestationBody:
    return asserted(SimDevice(device.person), nonce, counter=1)


def _by_a_key_that_nobody_knows(device: SimDevice, nonce: str) -> ReattestationBody:
    return asserted(device, nonce, counter=1, label="another key")


def _by_a_key_that_is_not_the_named_one(device: SimDevice, nonce: str) -> ReattestationBody:
    return asserted(device, nonce, counter=1, label="another key", key_label=LABEL)


def _by_another_app(device: SimDevice, nonce: str) -> ReattestationBody:
    return asserted(device, nonce, counter=1, app_id="AAAAAAAAAA.com.example.game")


def _in_no_base64(device: SimDevice, nonce: str) -> ReattestationBody:
    sound = asserted(device, nonce, counter=1)
    return ReattestationBody(format=sound.format, key_id=sound.key_id, assertion="_-_-")


def _with_a_short_key_id(device: SimDevice, nonce: str) -> ReattestationBody:
    sound = asserted(device, nonce, counter=1)
    return ReattestationBody(format=sound.format, key_id="AAAA", assertion=sound.assertion)


def _that_is_no_cbor(device: SimDevice, nonce: str) -> ReattestationBody:
    sound = asserted(device, nonce, counter=1)
    return ReattestationBody(format=sound.format, key_id=sound.key_id, assertion="AAAA")


def _a_chain_for_another_nonce(device: SimDevice, nonce: str) -> ReattestationBody:
    del nonce
    return again(attested.from_android(device, "A" * 43 + "="))


BAD: dict[str, tuple[Spoil, str]] = {
    "counter": (_with_a_counter_that_stands_still, "counter"),
    "another nonce": (_over_another_nonce, "bad_signature"),
    "another device": (_for_another_device, "bad_signature"),
    "unknown key": (_by_a_key_that_nobody_knows, "key_mismatch"),
    "another key's signature": (_by_a_key_that_is_not_the_named_one, "bad_signature"),
    "another app": (_by_another_app, "app_id_mismatch"),
    "no base64": (_in_no_base64, "malformed"),
    "short key id": (_with_a_short_key_id, "malformed"),
    "no CBOR": (_that_is_no_cbor, "malformed"),
    "chain for another nonce": (_a_chain_for_another_nonce, "challenge_mismatch"),
}


@pytest.mark.parametrize(("evidence", "why"), BAD.values(), ids=BAD)
async def test_bad_evidence_changes_nothing(
    trusting: Simulator, iphone: SimDevice, evidence: Spoil, why: str
) -> None:
    """It is rejected with its reason; level, evidence and counter stay as they are."""
    before = await trusting.store.attestation(iphone.fingerprint)
    nonce = await trusting.nonce()

    refusal = await refused(reattest(trusting, iphone, nonce, evidence(iphone, nonce)))

    assert why == reason(refusal)
    assert ("secure_enclave", 0) == (level(trusting, iphone), counter(trusting))
    assert before == await trusting.store.attestation(iphone.fingerprint)


async def test_another_devices_key_is_refused_as_an_unknown_one(
    trusting: Simulator, iphone: SimDevice
) -> None:
    """Whose key it is, is not told."""
    other = SimDevice("mallory")
    await admit(trusting, other, phone="none")
    refusals: list[Refusal] = []
    for label in (LABEL, "another key"):
        nonce = await trusting.nonce()
        sent = asserted(other, nonce, counter=1, label=label)
        refusals.append(await refused(reattest(trusting, other, nonce, sent)))

    assert refusals[0] == refusals[1]
    assert "key_mismatch" == reason(refusals[0])
    assert "secure_enclave" == level(trusting, iphone)


async def test_an_object_of_another_devices_key_is_refused(
    trusting: Simulator, iphone: SimDevice
) -> None:
    """One genuine phone does not stand behind a second device, reattesting either."""
    other = SimDevice("mallory")
    await admit(trusting, other, phone="none")
    nonce = await trusting.nonce()
    sent = again(attested.from_iphone(other, nonce, label=LABEL))

    refusal = await refused(reattest(trusting, other, nonce, sent))

    assert "key_mismatch" == reason(refusal)
    assert "secure_enclave" == level(trusting, iphone)


@pytest.mark.parametrize("good", [True, False])
async def test_a_nonce_is_spent_whatever_comes_of_it(
    trusting: Simulator, iphone: SimDevice, *, good: bool
) -> None:
    """A second presentation is refused as such, after evidence that held and that did not."""
    nonce = await trusting.nonce()
    first = await reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=int(good)))

    refusal = await refused(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=2)))

    assert good is isinstance(first, ReattestedView)
    assert "nonce_expired" == refusal.code


async def test_a_nonce_that_nobody_issued(trusting: Simulator, iphone: SimDevice) -> None:
    """It is refused before the evidence is looked at."""
    nonce = "A" * 43 + "="

    refusal = await refused(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=1)))

    assert "nonce_expired" == refusal.code


@pytest.mark.parametrize(
    "body",
    [
        ReattestationBody(format="apple-app-attest-assertion", key_id="AA=="),
        ReattestationBody(format="none", assertion="AA=="),
        ReattestationBody(format="android-key", key_id="AA=="),
        ReattestationBody(
            format="apple-app-attest-assertion", key_id="AA==", assertion="AA==", object="AA=="
        ),
    ],
    ids=["a member less", "of another format", "of an enrolment's format", "a member more"],
)
async def test_members_that_the_format_has_not(
    trusting: Simulator, iphone: SimDevice, body: ReattestationBody
) -> None:
    """Exactly the members of the format are taken."""
    refusal = await refused(reattest(trusting, iphone, await trusting.nonce(), body))

    assert "invalid_request" == refusal.code


# Counters


async def test_of_assertions_at_once_one_wins(trusting: Simulator, iphone: SimDevice) -> None:
    """A copied key that counts as the genuine one does is found out."""
    nonces = [await trusting.nonce() for _ in range(8)]

    answers = await asyncio.gather(
        *(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=5)) for nonce in nonces)
    )

    losers = [answer for answer in answers if isinstance(answer, Refusal)]
    assert 7 == len(losers)
    assert {"counter"} == {reason(loser) for loser in losers}
    assert 5 == counter(trusting)


async def test_the_store_has_the_last_word(
    trusting: Simulator, iphone: SimDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was judged by a counter that has moved meanwhile is not written."""
    nonce = await trusting.nonce()
    key_id = apple.Attestation(client_data_hash=bytes(32), label=LABEL).key_id
    commit = trusting.store.commit

    def too_late(writes: Commit) -> Awaitable[None]:
        monkeypatch.undo()
        commit((AdvanceCounter(key_id, 0, 5),))
        return commit(writes)

    monkeypatch.setattr(trusting.store, "commit", too_late)
    refusal = await refused(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=5)))

    assert ("counter", 5) == (reason(refusal), counter(trusting))
    found = await trusting.store.attestation(iphone.fingerprint)
    assert found is not None
    assert "apple-app-attest" == found.format


async def test_the_counter_survives_a_restart(tmp_path: Path) -> None:
    """A relay that starts again knows where the counter stood."""
    settings = attested.trusting(tmp_path)
    device = SimDevice("alice")
    async with simulator(tmp_path, **settings) as sim:
        await admit(sim, device, phone="iphone")
        nonce = await sim.nonce()
        await granted(reattest(sim, device, nonce, asserted(device, nonce, counter=9)))
    async with simulator(tmp_path, **settings) as sim:
        nonce = await sim.nonce()
        refusal = await refused(reattest(sim, device, nonce, asserted(device, nonce, counter=9)))
        nonce = await sim.nonce()
        view = await granted(reattest(sim, device, nonce, asserted(device, nonce, counter=10)))

    assert "counter" == reason(refusal)
    assert "secure_enclave" == view.assurance


# Policy


NOT_ANY_MORE: dict[str, tuple[SettingsMembers, str]] = {
    "app": ({"app_attest_apps": ("AAAAAAAAAA.com.example.game",)}, "app_id_mismatch"),
    "environment": ({"app_attest_environment": "development"}, "environment"),
    "no app at all": ({"app_attest_apps": ()}, "unsupported"),
}


@pytest.mark.parametrize(("change", "why"), NOT_ANY_MORE.values(), ids=NOT_ANY_MORE)
async def test_an_app_that_is_not_allowed_any_more(
    tmp_path: Path, change: SettingsMembers, why: str
) -> None:
    """A key of an app or environment that the settings name no more asserts nothing."""
    settings = attested.trusting(tmp_path)
    device = SimDevice("alice")
    async with simulator(tmp_path, **settings) as sim:
        await admit(sim, device, phone="iphone")
    settings.update(change)
    async with simulator(tmp_path, **settings) as sim:
        nonce = await sim.nonce()
        refusal = await refused(reattest(sim, device, nonce, asserted(device, nonce, counter=1)))

    assert why == reason(refusal)


async def test_a_relay_that_judges_nothing_says_so(tmp_path: Path) -> None:
    """Where attestation is off, nobody is told that evidence was accepted."""
    settings = attested.trusting(tmp_path)
    settings["attestation"] = "off"
    device = SimDevice("alice")
    async with simulator(tmp_path, **settings) as sim:
        await admit(sim, device, phone="none")
        nonce = await sim.nonce()
        refusal = await refused(
            reattest(sim, device, nonce, again(attested.from_android(device, nonce)))
        )

    assert "unsupported" == reason(refusal)
    assert "attestation" in refusal.message


async def test_below_the_floor_nothing_is_stored(tmp_path: Path) -> None:
    """Where a level is required, evidence of a lower one leaves the device as it was."""
    settings = attested.trusting(tmp_path)
    settings["attestation"] = "required"
    settings["attestation_floor"] = "strongbox"
    device = SimDevice("alice")
    async with simulator(tmp_path, **settings) as sim:
        await admit(sim, device)
        nonce = await sim.nonce()
        weaker = attested.from_android(device, nonce, level=SecurityLevel.TEE)
        refusal = await refused(reattest(sim, device, nonce, again(weaker)))

        assert ("attestation_required", "strongbox") == (refusal.code, level(sim, device))


async def test_calls_are_charged_to_the_device(tmp_path: Path) -> None:
    """Reattesting counts among the device's calls, and spends no nonce when it is too often."""
    settings = attested.trusting(tmp_path)
    settings["rate_device"] = 1
    device = SimDevice("alice")
    async with simulator(tmp_path, **settings) as sim:
        await admit(sim, device, phone="iphone")
        nonce = await sim.nonce()
        await granted(reattest(sim, device, nonce, asserted(device, nonce, counter=1)))
        nonce = await sim.nonce()
        limited = await refused(reattest(sim, device, nonce, asserted(device, nonce, counter=2)))
        sim.clock.advance(60)
        view = await granted(reattest(sim, device, nonce, asserted(device, nonce, counter=2)))

    assert "rate_limited" == limited.code
    assert "secure_enclave" == view.assurance


async def test_a_revoked_device_proves_nothing(trusting: Simulator, iphone: SimDevice) -> None:
    """A session that is about to end is of no use here."""
    await trusting.unpair(iphone)
    nonce = await trusting.nonce()

    refusal = await refused(reattest(trusting, iphone, nonce, asserted(iphone, nonce, counter=1)))

    assert "device_revoked" == refusal.code


# What rests on the level


async def test_an_approval_below_the_floor_is_taken_back(trusting: Simulator) -> None:
    """A device that proves less than the request asks for does not carry its approval."""
    alice, bob = SimDevice("alice"), SimDevice("bob")
    await admit(trusting, alice)
    await admit(trusting, bob)
    strict = await trusting.ask([alice], [bob], required=2, min_assurance="strongbox")
    lenient = await trusting.ask([alice], [bob], required=2, min_assurance="tee")
    await trusting.approve(strict, alice)
    await trusting.approve(lenient, alice)
    nonce = await trusting.nonce()
    weaker = attested.from_android(alice, nonce, level=SecurityLevel.TEE)

    await granted(reattest(trusting, alice, nonce, again(weaker)))

    assert [[], ["Group 1"]] == [
        (await trusting.read(request)).groups_satisfied for request in (strict, lenient)
    ]


async def test_a_level_that_fell_is_noticed_at_the_decision(trusting: Simulator) -> None:
    """The floor counts when the device decides, not only when it is named."""
    alice, bob = SimDevice("alice"), SimDevice("bob")
    await admit(trusting, alice)
    await admit(trusting, bob)
    request = await trusting.ask([alice, bob], min_assurance="strongbox")
    nonce = await trusting.nonce()
    weaker = attested.from_android(alice, nonce, level=SecurityLevel.TEE)
    await granted(reattest(trusting, alice, nonce, again(weaker)))

    refusal = await refused(trusting.decide(alice, request))
    await trusting.approve(request, bob)

    assert "insufficient_assurance" == refusal.code
    assert ["mpa.approved"] == await trusting.outcomes(ACME)
