"""What the command changes in the data of a serving relay, the relay follows at once.

A relay looks every quarter of a second; how soon is `CHANGES_POLL_SECONDS`, which is a constant
and not measured here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.person import ask, enroll, enrolled, session
from tests.relay.cli.prompt import eventually, running

from quorumkey.client import RelayPins
from quorumkey.device import Connected, SoftwareDevice, StreamClosedError
from quorumkey.errors import AuthenticationError, NotFoundError
from quorumkey_relay.store.sqlite.store import CHANGES_POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.relay.cli.prompt import Operator, RunningRelay

    from quorumkey.client import Client


@pytest.fixture
def acme(operator: Operator) -> str:
    """The API key of the first integrator."""
    return str(operator.init()["api_key"])


@pytest.fixture
def relay(operator: Operator, acme: str) -> Generator[RunningRelay]:
    """The folder, served by a process of its own."""
    assert acme
    with running(operator.data_dir) as started:
        yield started


@pytest.fixture
def client(relay: RunningRelay, acme: str) -> Generator[Client]:
    """The first integrator's client."""
    with relay.client(acme) as made:
        yield made


def is_known(relay: RunningRelay, api_key: str) -> bool:
    """Whether the relay takes an API key."""
    with relay.client(api_key) as client:
        try:
            list(client.requests.list(limit=1))
        except AuthenticationError:
            return False
    return True


def test_a_relay_looks_several_times_a_second() -> None:
    """A change is seen well within the second that operators were promised."""
    assert CHANGES_POLL_SECONDS <= 0.25


def test_a_new_api_key_works(operator: Operator, relay: RunningRelay) -> None:
    """A key that is made while the relay serves is accepted."""
    (acme,) = operator.json("integrators", "list")

    made = operator.json("keys", "create", "--integrator", acme["id"])

    assert eventually(lambda: is_known(relay, made["api_key"]))


def test_a_revoked_api_key_does_not(operator: Operator, relay: RunningRelay, acme: str) -> None:
    """A key that is revoked while the relay serves is refused."""
    assert is_known(relay, acme)
    (key,) = operator.json("keys", "list")

    operator.json("keys", "revoke", key["key_id"])

    assert eventually(lambda: not is_known(relay, acme))


def test_a_new_integrator_can_ask(operator: Operator, relay: RunningRelay) -> None:
    """An integrator that is added while the relay serves opens pairings under its own name."""
    umbrella = operator.json("integrators", "create", "--name", "Umbrella")
    key = operator.json("keys", "create", "--integrator", umbrella["id"])["api_key"]
    eventually(lambda: is_known(relay, key))

    with relay.client(key) as client:
        pairing = client.pairings.create("alice")

    assert inviter(pairing.url) == "Umbrella"


def inviter(link: str) -> str | None:
    """Who invites a device, or None while the relay does not know the link."""

    async def preview() -> str | None:
        try:
            return (await SoftwareDevice("unused").preview(link)).integrator.name
        except NotFoundError:
            return None

    return asyncio.run(preview())


def test_a_link_from_the_command_pairs_a_device(
    operator: Operator, relay: RunningRelay, client: Client, tmp_path: Path
) -> None:
    """A device enrols with the link that ``pairings create`` printed."""
    (acme,) = operator.json("integrators", "list")

    made = operator.json("pairings", "create", "--integrator", acme["id"], "--approver", "alice")

    assert made["pairing_url"].startswith(relay.url)
    assert eventually(lambda: inviter(made["pairing_url"])) == "Acme Corp"
    fingerprint = enroll(tmp_path / "phone", made["pairing_url"])
    assert client.devices.get(fingerprint).approver.id == "alice"


def test_a_revoked_device_is_cut_off(operator: Operator, client: Client, tmp_path: Path) -> None:
    """The stream of a device that is revoked is closed with 4403."""
    alice = enrolled(client, "alice", tmp_path)

    async def listen() -> None:
        async with SoftwareDevice(alice.home) as device:
            async for event in device.listen():
                assert event == Connected()
                operator.json("devices", "revoke", alice.fingerprint, "--yes")

    with pytest.raises(StreamClosedError) as closed:
        asyncio.run(listen())

    assert closed.value.code == 4403


def test_sessions_of_a_revoked_device_are_void(
    operator: Operator, relay: RunningRelay, client: Client, tmp_path: Path
) -> None:
    """A session that was open when the device was revoked is refused."""
    alice = enrolled(client, "alice", tmp_path)
    bearer = session(relay, alice)
    assert bearer.status() == 200

    operator.json("devices", "revoke", alice.fingerprint, "--yes")

    assert eventually(lambda: bearer.status() == 401)


def test_an_approval_of_a_revoked_device_no_longer_counts(
    operator: Operator, client: Client, tmp_path: Path
) -> None:
    """An approval given before the revocation does not satisfy its group any more."""
    alice, bob, carol = (enrolled(client, name, tmp_path) for name in ("alice", "bob", "carol"))
    request = ask(client, (alice, carol), (bob,))
    assert alice.approve(request).groups_satisfied_count == 1

    operator.json("devices", "revoke", alice.fingerprint, "--yes")

    eventually(lambda: not client.requests.get(request.request_id).groups_satisfied)
    assert bob.approve(request).groups_satisfied_count == 1
    assert carol.approve(request).status.value == "approved"


def test_integrators_hear_of_a_revoked_device(
    operator: Operator, client: Client, tmp_path: Path
) -> None:
    """An open event stream gets ``device.revoked`` with the operator's reason."""
    alice = enrolled(client, "alice", tmp_path)
    events = client.events(last_event_id=None)
    operator.json("devices", "revoke", alice.fingerprint, "--reason", "Lost", "--yes")

    event = next(event for event in events if event.type == "device.revoked")

    assert (alice.fingerprint, "Lost") == (event.fingerprint, event.reason)


def test_a_changed_key_is_followed(
    operator: Operator, relay: RunningRelay, client: Client, tmp_path: Path
) -> None:
    """The succession appears in ``/v1/info``, and who pinned the old key follows it to the end."""
    alice = enrolled(client, "alice", tmp_path)
    old = client.info().relay_public_key

    done = operator.json("keys", "rotate-relay")

    successions = eventually(lambda: client.info().successions)
    followed = RelayPins.of([old]).follow(successions)
    assert [relay.fingerprint, done["next_relay"]] == [pin.key.fingerprint for pin in followed.pins]
    eventually(lambda: client.info().relay == done["next_relay"])
    request = ask(client, (alice,))
    assert alice.approve(request).status.value == "approved"
    assert client.requests.wait(request).approved


def test_keys_survive_a_restart(operator: Operator, acme: str) -> None:
    """After a change of key and a restart the relay signs with the new one."""
    assert acme
    following = operator.json("keys", "rotate-relay", "--in-seconds", "1")["next_relay"]

    with running(operator.data_dir) as relay, relay.client(acme) as client:
        assert eventually(lambda: client.info().relay == following)
