"""The command ``quorumkey`` against a relay process, as people and scripts type it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.e2e.sdk_relay_process import RelayProcess, relay_process
from tests.sdk.cli.terminal import Done, type_in

from quorumkey import Action, Client, group
from quorumkey.device import (
    SoftwareDevice,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from quorumkey import ConfirmedDevice
    from quorumkey.client import Pairing

ACTION = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001", "attempts": 3})


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Generator[RelayProcess, None, None]:
    """One relay for the tests of this file."""
    with relay_process(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def own_relay(tmp_path: Path) -> Generator[RelayProcess, None, None]:
    """A relay for one test that stops it or changes its key."""
    with relay_process(tmp_path) as running:
        yield running


@pytest.fixture
def client(relay: RelayProcess) -> Generator[Client, None, None]:
    """The integrator's client."""
    with Client(relay.url, relay.api_key) as made:
        yield made


@pytest.fixture
def terminal(relay: RelayProcess, monkeypatch: pytest.MonkeyPatch) -> RelayProcess:
    """The integrator's settings in this process's environment, for `type_in`."""
    monkeypatch.setenv("QUORUMKEY_URL", relay.url)
    monkeypatch.setenv("QUORUMKEY_API_KEY", relay.api_key)
    return relay


def pair(client: Client, home: Path, person: str) -> ConfirmedDevice:
    """Pair the device of a home with the integrator, as `person`."""
    pairing = client.pairings.create(person, person.title())

    async def enroll() -> None:
        async with SoftwareDevice(home) as device:
            await device.enroll(pairing.url)

    asyncio.run(enroll())
    return client.pairings.wait(pairing, timeout=30)


def approve(home: Path, request_id: str, code: str | None = None) -> None:
    """Approve with the device of a home."""

    async def inside() -> None:
        async with SoftwareDevice(home) as device:
            await device.approve(request_id, code=code)

    asyncio.run(inside())


def enroll_by_hand(home: Path, link: str) -> Done:
    """Make a home and pair it, as a script would."""
    assert type_in("device", "init", "--home", home, "--json").object == {"home": str(home)}
    return type_in("device", "enroll", "-", "--home", home, "--yes", "--json", stdin=link + "\n")


def paired(client: Client, home: Path, person: str) -> str:
    """Pair a device by the command; answers its fingerprint."""
    pairing = client.pairings.create(person, person.title())
    done = enroll_by_hand(home, pairing.url)
    assert done.status == 0, done.err
    return client.pairings.wait(pairing, timeout=30).fingerprint


REQUEST = (
    "request",
    "--type",
    "cold_boot",
    "--description",
    "Cold boot engine ENG-001",
    "--param",
    "engine_id=ENG-001",
    "--param",
    "attempts:=3",
)


@pytest.mark.usefixtures("terminal")
def test_the_whole_story_by_hand(client: Client, relay: RelayProcess, tmp_path: Path) -> None:
    """Asked, shown, approved, fetched and verified offline with the command alone."""
    fingerprint = paired(client, tmp_path / "olga", "olga")
    policy, receipt = tmp_path / "policy.json", tmp_path / "receipt.json"
    asked = type_in(
        *REQUEST,
        "--group",
        f"Engineering={fingerprint}",
        "--requester",
        "dana=Dana",
        "--binding",
        "plan=sha256:" + "0" * 64,
        "--integrator-id",
        relay.integrator_id,
        "--policy-out",
        policy,
        "--json",
    )
    request_id = str(asked.object["request_id"])
    home = ("--home", tmp_path / "olga")
    listed = type_in("device", "list", *home)
    shown = type_in("device", "show", request_id, *home)
    early = type_in("receipt", request_id)
    answered = type_in("device", "approve", request_id, *home, stdin="y\n")
    status = type_in("status", request_id, "--wait", "5")
    fetched = type_in("receipt", request_id, "-o", receipt)
    printed = type_in("receipt", request_id)
    verified = type_in("verify", receipt, "--policy", policy)

    assert [0, 0, 0, 0, 0, 0, 0, 0] == [
        done.status for done in (asked, listed, shown, answered, status, fetched, printed, verified)
    ]
    assert (1, "") == (early.status, early.out)
    assert "not_completed" in early.err
    assert 'engine_id: "ENG-001"' in shown.out
    assert shown.out.partition("Time left")[0] in listed.out
    assert "Recorded: approve. The request is approved; 1 of 1 groups approved." in answered.out
    assert "Status      approved" in status.out
    assert printed.out == receipt.read_text() + "\n"
    assert verified.out.startswith("Valid: Cold boot engine ENG-001\n")
    assert "Approved by Engineering" in verified.out

    receipt.write_bytes(receipt.read_bytes().replace(b'"payload":"e', b'"payload":"f', 1))
    changed = type_in("verify", receipt, "--policy", policy)
    assert (1, "") == (changed.status, changed.out)
    assert "Refused at step 1" in changed.err


@pytest.mark.usefixtures("terminal")
def test_answers_by_hand(client: Client, tmp_path: Path) -> None:
    """A person who says no signs nothing; a denial rejects; the other decision is refused."""
    fingerprint = paired(client, tmp_path / "paul", "paul")
    home = ("--home", tmp_path / "paul")

    def ask(*options: str) -> str:
        done = type_in(*REQUEST, "--group", f"Ops={fingerprint}", *options, "--json")
        return str(done.object["request_id"])

    first, second = ask(), ask("--match-code", "4711")
    unsure = type_in("device", "approve", first, *home, stdin="n\n")
    silent = type_in("device", "approve", first, *home)
    denied = type_in("device", "deny", first, *home, "--reason", "No.", "--yes", "--json")
    too_late = type_in("device", "approve", first, *home, "--yes")
    typed = type_in("device", "approve", second, *home, "--json", stdin="y\n4711\n")
    again = type_in("device", "approve", second, *home, "--code", "4711", "--yes")
    nothing = type_in("device", "list", *home)
    every = type_in("device", "list", "--all", "--json", *home)

    assert [1, 1, 0, 1, 0, 0] == [
        done.status for done in (unsure, silent, denied, too_late, typed, again)
    ]
    assert "Nothing was signed." in unsure.err
    assert ("rejected", "deny") == (denied.object["status"], denied.object["decision"])
    assert "already" in too_late.err
    assert typed.object["status"] == "approved"
    assert nothing.out == "Nothing waits for this device.\n"
    assert isinstance(every.json, list)
    assert len(every.json) == 2


@pytest.mark.usefixtures("terminal")
def test_what_cannot_be_approved_by_hand(
    client: Client, relay: RelayProcess, tmp_path: Path
) -> None:
    """Show exits with 1 for a request with a failed check that waits for an answer."""
    fingerprint = paired(client, tmp_path / "rosa", "rosa")
    done = type_in(*REQUEST, "--group", f"Ops={fingerprint}", "--json")
    request_id = str(done.object["request_id"])
    (record,) = (tmp_path / "rosa" / "relays").glob("*/relay.json")
    record.write_text(record.read_text().replace(relay.integrator_id, "other"))
    shown = type_in("device", "show", request_id, "--home", tmp_path / "rosa")

    assert 1 == shown.status
    assert "not paired with" in shown.out


@pytest.mark.usefixtures("terminal")
def test_who_am_i_by_hand(client: Client, relay: RelayProcess, tmp_path: Path) -> None:
    """Whoami shows the device and its pairings; unpair ends them."""
    fingerprint = paired(client, tmp_path / "sven", "sven")
    home = ("--home", tmp_path / "sven")
    before = type_in("device", "whoami", *home)
    as_json = type_in("device", "whoami", *home, "--json").json
    unsure = type_in("device", "unpair", *home, stdin="n\n")
    unpaired = type_in("device", "unpair", *home, "--integrator", relay.integrator_id, "--yes")
    after = type_in("device", "whoami", *home)
    nobody = type_in("device", "whoami", "--home", tmp_path / "none")

    assert f"Device      {fingerprint}\n" in before.out
    assert f"Paired with Acme Corp ({relay.integrator_id})\n" in before.out
    assert isinstance(as_json, list)
    assert isinstance(as_json[0], dict)
    assert fingerprint == as_json[0]["fingerprint"]
    assert [1, 0] == [unsure.status, unpaired.status]
    assert "Paired with nobody\n" in after.out
    assert "This device is not paired.\n" == nobody.out


@pytest.mark.usefixtures("terminal")
def test_enrolling_by_hand(client: Client, relay: RelayProcess, tmp_path: Path) -> None:
    """Enrolment shows who wants to pair before it asks, and takes a typed code as well."""
    pairing = client.pairings.create("tara", "Tara")
    home = tmp_path / "tara"
    options = (pairing.code, "--relay", relay.url, "--home", home)
    unsure = type_in("device", "enroll", *options, stdin="n\n")
    sure = type_in("device", "enroll", *options, stdin="y\n")
    spent = type_in("device", "enroll", *options, "--yes")
    nonsense = type_in("device", "enroll", "nonsense", "--home", home)

    assert [1, 0, 1, 2] == [done.status for done in (unsure, sure, spent, nonsense)]
    assert "For         Tara\n" in unsure.out
    assert "Nothing was paired." in unsure.err
    assert f"Paired with Acme Corp ({relay.integrator_id}).\n" in sure.out
    assert "pairing_expired" in spent.err


@pytest.mark.usefixtures("terminal")
def test_devices_and_cancelling_by_hand(client: Client, tmp_path: Path) -> None:
    """Devices lists what is paired, cancel withdraws, and an unknown device cannot be named."""
    fingerprint = paired(client, tmp_path / "uwe", "uwe")
    listed = type_in("devices", "--approver", "uwe")
    as_json = type_in("devices", "--approver", "uwe", "--json").json
    nobody = type_in("devices", "--approver", "nobody")
    asked = type_in(*REQUEST, "--group", f"Ops={fingerprint}")
    request_id = asked.out.split()[1]
    cancelled = type_in("cancel", request_id, "--json")
    unknown = type_in(*REQUEST, "--group", "Ops=" + "0" * 64)

    assert f"Device      {fingerprint}\n" in listed.out
    assert isinstance(as_json, list)
    assert isinstance(as_json[0], dict)
    assert fingerprint == as_json[0]["fingerprint"]
    assert "No device is paired.\n" == nobody.out
    assert "cancelled" == cancelled.object["status"]
    assert (2, "") == (unknown.status, unknown.out)
    assert "is paired with this integrator" in unknown.err


def start(relay: RelayProcess, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the program ``quorumkey``."""
    return subprocess.Popen(
        [sys.executable, "-c", "from quorumkey.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=relay.environment,
    )


def test_pairing_by_program(relay: RelayProcess, tmp_path: Path) -> None:
    """Pair prints the link, waits for the device, and says that it is confirmed."""
    with start(relay, "pair", "vera", "--name", "Vera", "--json") as program:
        assert program.stdout is not None
        link = json.loads(program.stdout.readline())["pairing_url"]
        enrolled = enroll_by_hand(tmp_path / "vera", link).object
        out, err = program.communicate(timeout=60)
    confirmed = json.loads(out)

    assert (0, "") == (program.returncode, err)
    assert confirmed["confirmed"]
    assert enrolled["fingerprint"] == confirmed["fingerprint"]


def test_pairing_by_hand(
    terminal: RelayProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For people pair prints the link and who was paired."""
    links: list[str] = []
    create = type(Client(terminal.url, terminal.api_key).pairings).create

    def enroll_at_once(*arguments: object, **options: object) -> Pairing:
        pairing = create(*arguments, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        links.append(pairing.url)
        assert enroll_by_hand(tmp_path / "willi", pairing.url).status == 0
        return pairing

    monkeypatch.setattr("quorumkey.client._sync_devices.Pairings.create", enroll_at_once)
    done = type_in("pair", "willi")

    assert 0 == done.status
    assert links[0] in done.out
    assert "Confirmed   yes\n" in done.out


def test_waiting_by_program(relay: RelayProcess, client: Client, tmp_path: Path) -> None:
    """Request --wait ends with 0 when approved, and writes policy and receipt."""
    fingerprint = paired(client, tmp_path / "xenia", "xenia")
    policy, receipt = tmp_path / "policy.json", tmp_path / "receipt.json"
    files = ("--policy-out", policy, "--receipt-out", receipt)
    group_option = ("--group", f"Ops={fingerprint}")
    home = ("--home", tmp_path / "xenia")
    with (
        start(relay, "device", "listen", "--once", "--json", *home) as listening,
        start(relay, *REQUEST, *group_option, "--wait", *files, "--json") as waiting,
    ):
        events = [json.loads(line) for line in listening.communicate(timeout=60)[0].splitlines()]
        request = events[-1]["request"]
        answered = type_in("device", "approve", request["request_id"], *home, "--yes", "--json")
        out, err = waiting.communicate(timeout=60)
    outcome = json.loads(out)

    assert ["connected", "request"] == [event["event"] for event in events]
    assert request["can_approve"]
    assert 0 == answered.status
    assert (0, 0) == (listening.returncode, waiting.returncode)
    assert "Waiting for" in err
    assert (True, ["Ops"]) == (outcome["approved"], outcome["groups_satisfied"])
    assert [fingerprint] == [approver["fingerprint"] for approver in outcome["approvers"]]
    assert 0 == type_in("verify", receipt, "--policy", policy, "--json").status


@pytest.mark.usefixtures("terminal")
def test_waiting_by_hand(client: Client, tmp_path: Path) -> None:
    """Request --wait says who approved, or exits with 3 when nobody did; files are templates."""
    fingerprint = paired(client, tmp_path / "yves", "yves")
    policy, receipt = tmp_path / "policy.json", tmp_path / "receipt.json"
    asked = type_in(*REQUEST, "--group", f"Ops={fingerprint}", "--policy-out", policy, "--json")
    type_in("cancel", str(asked.object["request_id"]))
    files = ("--file", policy, "--receipt-out", receipt)
    denied = answered_by(tmp_path / "yves", "deny", *files)
    approved = answered_by(tmp_path / "yves", "approve", *files)

    assert "verify needs --integrator-id" in asked.err
    assert (3, "Not approved: rejected.\n") == (denied.status, denied.out)
    assert (0, "Approved by: Ops. The receipt was verified.\n") == (
        approved.status,
        approved.out,
    )
    assert receipt.exists()


def answered_by(home: Path, decision: str, *options: str | Path) -> Done:
    """Ask and wait in this process while the device answers in another one."""
    with subprocess.Popen(
        [sys.executable, "-c", ANSWER, str(home), decision], stdout=subprocess.PIPE, text=True
    ) as phone:
        assert phone.stdout is not None
        assert phone.stdout.readline() == "connected\n"
        done = type_in("request", *options, "--wait", "--timeout", "30")
        phone.wait(30)
    return done


ANSWER = """
import asyncio, sys
from contextlib import aclosing
from quorumkey.device import Connected, RequestArrived, SoftwareDevice

async def answer(home, decision):
    async with SoftwareDevice(home) as device, aclosing(device.listen()) as events:
        async for event in events:
            if isinstance(event, Connected):
                print("connected", flush=True)
            if isinstance(event, RequestArrived):
                await getattr(device, decision)(event.request)
                return

asyncio.run(answer(*sys.argv[1:]))
"""


def test_interrupting_the_program(relay: RelayProcess, client: Client, tmp_path: Path) -> None:
    """Ctrl-C ends a listening device with 130 and no traceback."""
    paired(client, tmp_path / "zoe", "zoe")
    with start(relay, "device", "listen", "--home", tmp_path / "zoe") as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith("Connected")
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=60)

    assert (130, "") == (program.returncode, err)


def test_listening_by_hand(client: Client, tmp_path: Path) -> None:
    """A listening device shows requests in full, how they go on, and when it is cut off."""
    fingerprint = paired(client, tmp_path / "abel", "abel")
    with subprocess.Popen(
        [sys.executable, "-c", OBSERVED, str(tmp_path / "abel")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith("Connected")
        device = client.devices.get(fingerprint)
        created = client.requests.create(action=ACTION, groups=[group("Ops", device)], required=1)
        seen = ""
        while "Answer with" not in seen:
            seen += program.stdout.readline()
        client.requests.cancel(created.request_id)
        resolved = program.stdout.readline()
        client.devices.delete(fingerprint)
        _, err = program.communicate(timeout=60)

    assert 'engine_id: "ENG-001"' in seen
    assert f"{created.request_id} is cancelled.\n" == resolved
    assert (1, "quorumkey: This device is revoked or no longer paired.\n") == (
        program.returncode,
        err,
    )


OBSERVED = """
import sys
from quorumkey.cli._app import run
sys.exit(run(["device", "listen", "--home", sys.argv[1]]))
"""
