from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sdk.cli.terminal import Done, type_in
from tests.sdk.relay_double import URL, Stored, answer, failure

from quorumkey.cli._device_requests import _show_event  # pyright: ignore[reportPrivateUsage]  # tested alone
from quorumkey.cli._output import Output
from quorumkey.client import Status
from quorumkey.device import (
    Connected,
    Disconnected,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestUnusable,
    SoftwareDevice,
)
from quorumkey.protocol import Decision, Party, PrivateKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.sdk.device.phones import Desk

    from quorumkey.device import DeviceEvent, DeviceRequest
    from quorumkey.protocol import JsonValue


@pytest.fixture
def stored(desk: Desk) -> Stored:
    """A request that waits for the device, now paired."""
    return desk.ask()


def device(desk: Desk, command: str, *arguments: str, stdin: str = "") -> Done:
    """Type a command of this device."""
    return type_in("device", command, *arguments, "--home", desk.home, stdin=stdin)


def test_making_a_home(tmp_path: Path) -> None:
    """Init makes the folder and says what comes next; a shared folder is refused."""
    made = type_in("device", "init", "--home", tmp_path / "new")
    (tmp_path / "new").chmod(0o755)
    refused = type_in("device", "init", "--home", tmp_path / "new")

    assert 0 == made.status
    assert "quorumkey device enroll" in made.out
    assert (1, "") == (refused.status, refused.out)
    assert "chmod 700" in refused.err


def test_enrolling(desk: Desk) -> None:
    """Enrolment shows integrator, approver and relay, asks, and names the device."""
    done = device(desk, "enroll", "-", stdin=f"{desk.link}\ny\n")
    identity = desk.device().identity

    assert 0 == done.status
    assert done.out.startswith("Integrator  Acme Corp (acme)\nFor         Alice\n")
    assert f"Relay       {desk.relay.fingerprint}\n" in done.out
    assert done.out.endswith(
        f"Device      {identity.fingerprint}\n"
        f"Pictogram   {' '.join(identity.pictogram)}  {identity.pictogram_speakable}\n"
    )


def test_enrolling_for_programs(desk: Desk) -> None:
    """With --json and --yes the result is one object."""
    done = device(desk, "enroll", desk.link, "--yes", "--json")

    assert {
        "fingerprint",
        "pictogram",
        "pictogram_speakable",
        "integrator",
        "relay",
        "assurance",
    } == done.object.keys()


def test_not_enrolling(desk: Desk) -> None:
    """Without a yes nothing is paired, and nothing was sent but the question who it is."""
    done = device(desk, "enroll", desk.link, stdin="\n")

    assert (1, True) == (done.status, done.err.endswith("quorumkey: Nothing was paired.\n"))
    assert ["POST /v1/device/pairing"] == desk.relay.seen()


def test_a_relay_that_names_no_fingerprint(desk: Desk) -> None:
    """A preview whose relay is no fingerprint has no pictogram, and pairs nothing."""
    lie: dict[str, JsonValue] = {**desk.relay.preview(), "relay": "\x1b[31m", "approver": {}}
    desk.relay.script("POST /v1/device/pairing", answer(lie))
    done = device(desk, "enroll", "7Q4M-2XKD-90FZ", "--relay", URL, "--yes")

    assert 1 == done.status
    assert "Relay       ⟨U+001B⟩[31m\nPictogram   none\n" in done.out
    assert "For " not in done.out


def test_listing(desk: Desk, stored: Stored) -> None:
    """List shows what waits, in full; with nothing to show it says so."""
    full = device(desk, "list")
    as_json = device(desk, "list", "--json").json
    desk.relay.requests.clear()
    empty = device(desk, "list")

    assert f"Request     {stored.document.request_id}\n" in full.out
    assert isinstance(as_json, list)
    assert 1 == len(as_json)
    assert "Nothing waits for this device.\n" == empty.out


def test_showing(desk: Desk, stored: Stored) -> None:
    """Show exits with 0 for a sound request, with 1 where a check failed."""
    sound = device(desk, "show", stored.document.request_id, "--json")
    foreign = desk.relay.ask(desk.enroll(), change={"integrator": Party("evil", "Evil Corp")})
    unsound = device(desk, "show", foreign.document.request_id)

    assert (0, True) == (sound.status, sound.object["can_approve"])
    assert 1 == unsound.status
    assert "Do not approve: " in unsound.out


def test_approving(desk: Desk, stored: Stored) -> None:
    """Approve shows, acknowledges, asks and signs."""
    done = device(desk, "approve", stored.document.request_id, stdin="y\n")

    assert 0 == done.status
    assert "Approve this?" in done.err
    assert "Recorded: approve. The request is pending; 1 of 1 groups approved.\n" in done.out
    assert f"POST /v1/device/requests/{stored.document.request_id}/ack" in desk.relay.seen()


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_saying_no(desk: Desk, stored: Stored, command: str) -> None:
    """Who does not say yes signs neither."""
    done = device(desk, command, stored.document.request_id, stdin="n\n")

    assert (1, True) == (done.status, done.err.endswith("quorumkey: Nothing was signed.\n"))
    assert [] == stored.decisions


def test_denying(desk: Desk, stored: Stored) -> None:
    """Deny signs the reason."""
    done = device(desk, "deny", stored.document.request_id, "--reason", "No.", "--yes", "--json")

    assert (0, "deny") == (done.status, done.object["decision"])
    assert "No." == Decision.decode(stored.decisions[0].payload).reason


def test_typing_the_match_code(desk: Desk, stored: Stored) -> None:
    """Where a code is wanted and none was given, it is asked for; scripts give it."""
    policy = stored.document.policy
    change = {"policy": type(policy)(required=1, groups=policy.groups, match_code=True)}
    asked = desk.relay.ask(desk.enroll(), change=change)
    given = desk.relay.ask(desk.enroll(), change=change)
    device(desk, "approve", asked.document.request_id, stdin="y\n4711\n")
    device(desk, "approve", given.document.request_id, "--code", "1234", "--yes")
    missing = device(desk, "approve", asked.document.request_id, "--yes")

    assert "4711" == Decision.decode(asked.decisions[0].payload).code
    assert "1234" == Decision.decode(given.decisions[0].payload).code
    assert 0 == missing.status  # the stored approval is sent again


def test_a_forged_request_is_not_acknowledged(desk: Desk, stored: Stored) -> None:
    """A request that the relay did not sign is shown with the reason and not answered."""
    desk.relay.store(stored.document, PrivateKey.generate())
    done = device(desk, "approve", stored.document.request_id, "--yes")

    assert 1 == done.status
    assert "not signed by the pinned relay" in done.err
    assert not any(call.endswith("/ack") for call in desk.relay.seen())


def test_a_refusal_is_one_sentence(desk: Desk, stored: Stored) -> None:
    """What the relay refuses is one line on standard error, with its code."""
    desk.relay.script(
        f"POST /v1/device/requests/{stored.document.request_id}/decision",
        failure(409, "request_completed"),
    )
    done = device(desk, "approve", stored.document.request_id, "--yes")

    assert (1, "quorumkey: request_completed: It is request_completed.\n") == (
        done.status,
        done.err,
    )


@pytest.mark.usefixtures("stored")
def test_unpairing(desk: Desk) -> None:
    """Unpair asks, then ends the pairing."""
    unsure = device(desk, "unpair", stdin="n\n")
    sure = device(desk, "unpair", "--json", stdin="y\n")

    assert (1, True) == (unsure.status, unsure.err.endswith("quorumkey: Nothing was changed.\n"))
    assert {"unpaired": True} == sure.object
    assert () == desk.device().identity.integrators


def shown(event: DeviceEvent, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """An event as a person and as a program sees it."""
    _show_event(Output(as_json=False), event)
    text = capsys.readouterr().out
    _show_event(Output(as_json=True), event)
    return text, capsys.readouterr().out


@pytest.mark.parametrize(
    ("event", "text", "name"),
    [
        (Connected(), "Connected; waiting for requests. Press Ctrl-C to stop.\n", "connected"),
        (Disconnected("It is gone.", 1.6), "It is gone. Trying again in 2 s.\n", "disconnected"),
        (RequestProgressed("r-1", 1, 2), "r-1: 1 of 2 groups approved.\n", "progress"),
        (RequestResolved("r-1", Status.TIMEOUT), "r-1 is timeout.\n", "resolved"),
        (RequestUnusable(None, "It is \x1bforged."), "It is ⟨U+001B⟩forged.\n", "unusable"),
    ],
)
def test_events(
    event: DeviceEvent, text: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each event is a sentence for people and a line of JSON for programs."""
    seen, as_json = shown(event, capsys)

    assert text == seen
    assert as_json.startswith(f'{{"event": "{name}"')
    assert 1 == as_json.count("\n")


def test_who_the_device_is(desk: Desk) -> None:
    """Whoami names the device at each relay; a device that is not paired says so."""
    nobody = device(desk, "whoami")
    fingerprint = desk.enroll().approver.fingerprint
    text = device(desk, "whoami").out
    as_json = device(desk, "whoami", "--json").json

    assert "This device is not paired.\n" == nobody.out
    assert f"Device      {fingerprint}\n" in text
    assert "Paired with Acme Corp (acme)\n" in text
    assert isinstance(as_json, list)
    assert isinstance(as_json[0], dict)
    assert fingerprint == as_json[0]["fingerprint"]


def test_listening_once(desk: Desk, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --once listening ends after the first request, which was acknowledged."""

    async def events(self: SoftwareDevice) -> AsyncGenerator[DeviceEvent]:
        yield Connected()
        yield RequestArrived(await self.show(stored.document.request_id))
        yield Connected()

    monkeypatch.setattr(SoftwareDevice, "listen", events)
    once = device(desk, "listen", "--once", "--json")
    for_ever = device(desk, "listen", "--json")

    assert ["connected", "request"] == [line["event"] for line in once.lines]
    assert 3 == len(for_ever.lines)
    assert f"POST /v1/device/requests/{stored.document.request_id}/ack" in desk.relay.seen()


def test_an_arriving_request(
    desk: Desk, stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request that arrives is shown in full, with how to answer it."""
    request: DeviceRequest = desk.use(lambda device: device.show(stored.document.request_id))
    seen, as_json = shown(RequestArrived(request), capsys)

    assert "Action      Cold boot engine ENG-001\n" in seen
    assert seen.endswith(f"quorumkey device approve|deny {stored.document.request_id}\n")
    assert '"can_approve": true' in as_json
