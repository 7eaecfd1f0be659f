"""The demonstration's parts: its relay, its phones, its proof, and how each of them fails."""

from __future__ import annotations

import asyncio
import io
import signal
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from quorumkey.client import ConfirmedDevice, Status
from quorumkey.device import (
    Connected,
    DeviceRequest,
    Disconnected,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestUnusable,
    RequestWithdrawn,
    SoftwareDevice,
)
from quorumkey.errors import ReceiptRefused, RefusalReason
from quorumkey.protocol import Party, PrivateKey
from quorumkey_relay.demo import phones as phones_module
from quorumkey_relay.demo import process as process_module
from quorumkey_relay.demo.phones import Phone, PhoneFailedError, Phones
from quorumkey_relay.demo.process import (
    Initialised,
    RelayFailedError,
    Serving,
    environment,
    initialise,
    served,
)
from quorumkey_relay.demo.proof import ForgeryAcceptedError, refusal, verify, with_one_byte_changed
from quorumkey_relay.demo.scenario import Person, read_scenario
from quorumkey_relay.demo.stage import Stage
from quorumkey_relay.demo.story import Summary, UnexpectedOutcomeError, play, trusting_client

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.device import DeviceEvent

ALICE = Person("alice", "Alice")


def quiet_stage() -> Stage:
    """A stage that nobody watches."""
    return Stage(Console(file=io.StringIO()), pace=0)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """What a demonstration leaves in its folder, and what it came to."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, asyncio.run(play(read_scenario(None), quiet_stage(), folder))


# The whole


def test_what_it_comes_to(played: tuple[Path, Summary]) -> None:
    """Two groups approve, two forgeries are refused for their reasons, the other is rejected."""
    assert (
        Summary(
            approved_by=("Engineering", "Security"),
            refused=("untrusted_relay", "action_mismatch"),
            denied="rejected",
            pushes=played[1].pushes,
        )
        == played[1]
    )


def test_what_is_pushed(played: tuple[Path, Summary]) -> None:
    """Each request is pushed to two phones, and withdrawn from those that did not end it."""
    assert [
        ("alice", "Acme Corp is requesting approval"),
        ("alice", "Acme Corp is requesting approval"),
        ("alice", "Acme Corp: request closed"),
        ("alice", "Acme Corp: request closed"),
        ("bob", "Acme Corp is requesting approval"),
        ("bob", "Acme Corp is requesting approval"),
        ("bob", "Acme Corp: request closed"),
    ] == sorted((push.person, push.title) for push in played[1].pushes)


def test_each_phone_has_a_key_of_its_own(played: tuple[Path, Summary]) -> None:
    """There are five homes with five different key files."""
    keys = [path.read_bytes() for path in played[0].glob("phones/*/relays/*/key.pem")]

    assert len(set(keys)) == len(keys) == 5


# The proof


def test_the_receipt_in_the_folder_verifies(played: tuple[Path, Summary]) -> None:
    """Receipt and policy as they lie there prove the approval without any relay."""
    receipt = (played[0] / "receipt.json").read_bytes()

    verified = verify(receipt, played[0] / "policy.json")

    assert verified.groups_satisfied == ("Engineering", "Security")


def test_one_byte_is_one_byte(played: tuple[Path, Summary]) -> None:
    """The forged receipt differs from the genuine one in a single byte, and stays JSON."""
    receipt = (played[0] / "receipt.json").read_bytes()

    forged = with_one_byte_changed(receipt)

    assert len(receipt) == len(forged)
    assert sum(one != other for one, other in zip(receipt, forged, strict=True)) == 1
    with pytest.raises(ReceiptRefused) as refused:
        verify(forged, played[0] / "policy.json")
    assert refused.value.reason is RefusalReason.UNTRUSTED_RELAY


def test_a_letter_is_never_replaced_by_itself() -> None:
    """Whatever stands in the middle, it is another letter afterwards."""
    assert [b"xBy", b"xAy"] == [with_one_byte_changed(one) for one in (b"xAy", b"xBy")]


def test_an_accepted_forgery_is_a_failure(played: tuple[Path, Summary]) -> None:
    """What should have been refused and is not ends the demonstration."""
    receipt = (played[0] / "receipt.json").read_bytes()

    with pytest.raises(ForgeryAcceptedError):
        refusal(receipt, played[0] / "policy.json")


# The relay


def test_the_relay_is_configured_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables for relays and integrators do not reach the demonstration's relay."""
    monkeypatch.setenv("QUORUMKEY_RELAY_PORT", "banana")
    monkeypatch.setenv("QUORUMKEY_URL", "http://elsewhere")

    assert not [name for name in environment() if "QUORUMKEY" in name]


def test_a_folder_that_cannot_be_set_up(tmp_path: Path) -> None:
    """What ``init`` says is what the demonstration fails with."""
    with pytest.raises(RelayFailedError) as failed:
        asyncio.run(initialise(quiet_stage(), tmp_path, ""))

    assert str(failed.value) == "quorumkey-relay: integrator must have 1 to 80 characters."


async def serve(data: Path) -> Serving:
    """Serve a folder for a moment."""
    async with served(quiet_stage(), data) as serving:
        return serving


def test_a_relay_that_does_not_start(tmp_path: Path) -> None:
    """The last line of its log is what the demonstration fails with."""
    asyncio.run(initialise(quiet_stage(), tmp_path, "Acme"))
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        connection.execute("PRAGMA user_version = 999")

    with pytest.raises(RelayFailedError, match="the database has schema 999"):
        asyncio.run(serve(tmp_path))


def test_a_relay_that_is_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that says nothing in time is given up."""
    monkeypatch.setattr(process_module, "START_SECONDS", 0)

    with pytest.raises(RelayFailedError, match="the relay did not start in time"):
        asyncio.run(serve(tmp_path))


def test_a_process_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ignores SIGTERM is killed, so that nothing is left behind."""
    monkeypatch.setattr(process_module, "STOP_SECONDS", 0)

    async def stubborn() -> int | None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "import signal; signal.signal(15, signal.SIG_IGN); print(1); signal.pause()"),
            stdout=asyncio.subprocess.PIPE,
        )
        async with process_module.ended(process):
            assert process.stdout is not None
            assert await process.stdout.readline()
        return process.returncode

    assert asyncio.run(stubborn()) == -signal.SIGKILL


def test_another_relay_is_not_trusted(tmp_path: Path) -> None:
    """Where another relay answers than the one that was made, nothing is asked of it."""

    async def meet() -> None:
        made = await initialise(quiet_stage(), tmp_path, "Acme")
        other = Initialised(made.integrator, made.api_key, "00" * 32)
        async with served(quiet_stage(), tmp_path) as serving:
            await trusting_client(other, serving)

    with pytest.raises(UnexpectedOutcomeError, match="another relay answers"):
        asyncio.run(meet())


# The phones


def phone(folder: Path) -> Phone:
    """Alice's, which has heard of nothing."""
    key = PrivateKey.generate().public_key
    confirmed = ConfirmedDevice(
        fingerprint=key.fingerprint,
        device_public_key=key,
        approver=Party("alice", "Alice"),
        platform="cli",
        assurance="none",
        bound=True,
    )
    return Phone(ALICE, "Engineering", SoftwareDevice(folder), confirmed, "")


def request(problem: str | None) -> DeviceRequest:
    """A request as a phone shows it."""
    return DeviceRequest(
        request_id="r",
        status=Status.PENDING,
        groups_satisfied_count=0,
        my_decision=None,
        seconds_left=60,
        problem=problem,
        digest="sha256:00",
        document=None,
        group="Engineering",
    )


def test_a_phone_remembers_what_it_is_told(tmp_path: Path) -> None:
    """Connection, request, progress and end are kept by request."""
    told = phone(tmp_path)
    for event in (
        Connected(),
        RequestArrived(request(None)),
        RequestProgressed("r", 1, 2),
        RequestResolved("r", Status.APPROVED),
        RequestWithdrawn("s"),
    ):
        told.take(event)

    assert told.is_connected
    assert ({"r": request(None)}, {"r": 1}, {"r": "approved", "s": "withdrawn"}) == (
        told.arrived,
        told.progress,
        told.resolved,
    )


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (RequestArrived(request("It is not ours.")), " refuses the request: It is not ours."),
        (RequestUnusable("r", "A challenge was ignored."), ": A challenge was ignored."),
        (Disconnected("The relay closed the stream.", 1.0), ": The relay closed the stream."),
    ],
    ids=["problem", "unusable", "disconnected"],
)
def test_bad_news_ends_the_demonstration(tmp_path: Path, event: DeviceEvent, message: str) -> None:
    """A phone that refuses, or loses its relay, is a failure with a sentence."""
    with pytest.raises(PhoneFailedError) as failed:
        phone(tmp_path).take(event)

    assert str(failed.value).startswith("Alice's phone")
    assert str(failed.value).endswith(message)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not happen in time is named."""
    monkeypatch.setattr(phones_module, "PATIENCE_SECONDS", 0)
    nobody = Phones([], notice=print, pushed=print)

    with pytest.raises(PhoneFailedError, match="waited 0 s in vain: the sun rises"):
        asyncio.run(nobody.until(lambda: False, "the sun rises"))
