"""``attestation recheck`` and ``devices show``: what was proved, and what has become of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay import attested
from tests.relay.cli.prompt import eventually, running
from tests.relay.reattested import admit, revoke_hardware, serial
from tests.relay.simulator import ManualClock, SimDevice, simulator

from quorumkey_relay.usecases.recheck import ATTESTATION_REVOKED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.cli.prompt import Operator

ATTESTATION_KEY = 1  # the index of the certificate that a series of phones shares


@dataclass(frozen=True)
class Phones:
    """An Android phone whose certificate is on the list by now, and an iPhone."""

    android: SimDevice
    iphone: SimDevice
    serial: str
    list: Path

    @property
    def options(self) -> tuple[str, str]:
        """Where the list is, as an operator says it."""
        return ("--android-revocation", str(self.list))


@pytest.fixture
def phones(operator: Operator, tmp_path: Path) -> Phones:
    """A folder with two phones that proved themselves."""
    clock = ManualClock(int(time.time()))
    settings = attested.trusting(tmp_path, at=clock.now())
    android, iphone = SimDevice("alice"), SimDevice("bob")
    found: list[str] = []

    async def play() -> None:
        async with simulator(operator.data_dir, clock, **settings) as sim:
            await admit(sim, android)
            await admit(sim, iphone, phone="iphone")
            found.append(await serial(sim, android, ATTESTATION_KEY))
            await sim.relay.refresh_revocation()
            revoke_hardware(sim, tmp_path, "161", found[0])

    asyncio.run(play())
    return Phones(android, iphone, found[0], tmp_path / "status.json")


def told(operator: Operator) -> list[tuple[str, str | None]]:
    """Type and reason of the events of the integrators, but enrolments."""
    events: list[dict[str, Any]] = []

    async def read() -> None:
        async with simulator(operator.data_dir) as sim:
            events.extend(await sim.events())

    asyncio.run(read())
    return [
        (event["type"], event.get("reason"))
        for event in events
        if event["type"] != "device.enrolled"
    ]


def test_a_dry_run_shows_and_changes_nothing(operator: Operator, phones: Phones) -> None:
    """Which devices it would be, on which certificates they rest, and by what list."""
    shown = operator.json("attestation", "recheck", "--dry-run", *phones.options)

    age = shown["list"].pop("age_seconds")
    assert isinstance(age, int)
    assert {
        "outcome": "would",
        "action": "revoke",
        "list": {"entries": 2},
        "devices": [
            {
                "fingerprint": phones.android.fingerprint,
                "assurance": "strongbox",
                "revoked_serials": [phones.serial],
            }
        ],
    } == shown
    assert "revoked_at" not in operator.json("devices", "show", phones.android.fingerprint)


def test_a_look_revokes(operator: Operator, phones: Phones) -> None:
    """The device is revoked once, its integrators are told, and other devices stay."""
    outcomes = [
        operator.json("attestation", "recheck", *phones.options)["outcome"] for _ in range(2)
    ]

    assert ["done", "done"] == outcomes
    assert [("device.revoked", ATTESTATION_REVOKED)] == told(operator)
    assert [True, False] == [
        "revoked_at" in operator.json("devices", "show", device.fingerprint)
        for device in (phones.android, phones.iphone)
    ]


def test_a_look_flags_where_the_operator_says_so(operator: Operator, phones: Phones) -> None:
    """The level is gone, and what was proved is still shown, as revoked."""
    operator.json("attestation", "recheck", *phones.options, "--revoked-hardware", "flag")

    shown = operator.json("devices", "show", phones.android.fingerprint)
    assert "none" == shown["assurance"]
    assert "revoked_at" not in shown
    assert ("android-key", "strongbox") == (
        shown["attestation"]["format"],
        shown["attestation"]["assurance"],
    )
    assert shown["attestation"]["revoked_at"] >= shown["attestation"]["judged_at"]
    assert [("device.assurance_changed", ATTESTATION_REVOKED)] == told(operator)


def test_a_relay_that_serves_is_told_to_look(operator: Operator, phones: Phones) -> None:
    """It does so at once, by its own list, and nobody stops it for that."""
    served = (*phones.options, "--attestation", "preferred")
    app = f"{attested.PACKAGE}={attested.SIGNER}"
    empty = phones.list.with_name("empty.json")
    empty.write_bytes(b'{"entries": {}}')
    listed = phones.list.read_bytes()
    phones.list.write_bytes(empty.read_bytes())
    with running(operator.data_dir, *served, "--android-apps", app):
        phones.list.write_bytes(listed)
        asked = operator.json("attestation", "recheck", *phones.options)
        shown = eventually(
            lambda: _once_revoked(operator.json("devices", "show", phones.android.fingerprint))
        )

    assert "asked" == asked["outcome"]
    assert phones.android.fingerprint == shown["fingerprint"]


def _once_revoked(shown: dict[str, Any]) -> dict[str, Any] | None:
    return shown if "revoked_at" in shown else None


def test_a_list_that_is_too_old_is_not_judged_by(
    operator: Operator, phones: Phones, tmp_path: Path
) -> None:
    """Neither a dry run nor a look says anything by it."""
    attested.revocation_file(tmp_path, {phones.serial: "REVOKED"}, at=int(time.time()) - 172_900)

    said = operator("attestation", "recheck", *phones.options).refused(1)

    assert "too old" in said
    assert [] == told(operator)


def test_a_list_that_is_not_there(operator: Operator, phones: Phones) -> None:
    """The file that is missing is named."""
    phones.list.unlink()

    said = operator("attestation", "recheck", *phones.options).refused(1)

    assert str(phones.list) in said


def test_people_are_told_in_words(operator: Operator, phones: Phones) -> None:
    """A table, and what would become of its rows."""
    some = operator("attestation", "recheck", "--dry-run", *phones.options).text
    phones.list.write_bytes(b'{"entries": {}}')
    none = operator("attestation", "recheck", *phones.options).text

    assert phones.android.fingerprint in some
    assert some.endswith("1 would be revoked.\n")
    assert "No device rests on one of the 0 certificates of the list.\n" == none


def test_a_device_is_shown_with_what_it_proved(operator: Operator, phones: Phones) -> None:
    """Format, level, time and certificates, for people and for programs."""
    shown = operator.json("devices", "show", phones.android.fingerprint)
    text = operator("devices", "show", phones.android.fingerprint).text

    assert {"format", "assurance", "judged_at", "serials", "quirks"} == shown["attestation"].keys()
    assert phones.serial in shown["attestation"]["serials"]
    assert ["strongbox", "strongbox"] == [shown["assurance"], shown["attestation"]["assurance"]]
    assert "android-key, proved strongbox" in text
    assert "not revoked" in text


def test_nothing_is_said_of_certificates_that_nobody_looks_up(
    operator: Operator, phones: Phones
) -> None:
    """Evidence of App Attest has none that a list would name."""
    text = operator("devices", "show", phones.iphone.fingerprint).text

    assert "apple-app-attest, proved secure_enclave" in text
    assert "certificate" not in text


def test_a_device_that_proved_nothing_is_shown(operator: Operator) -> None:
    """There is no evidence to show."""
    device = SimDevice("carol")

    async def play() -> None:
        async with simulator(operator.data_dir, ManualClock(int(time.time()))) as sim:
            await admit(sim, device, phone="none")

    asyncio.run(play())

    assert "attestation" not in operator.json("devices", "show", device.fingerprint)
    assert "evidence    none\n" in operator("devices", "show", device.fingerprint).text
