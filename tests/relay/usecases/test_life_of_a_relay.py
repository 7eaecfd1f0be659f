"""A relay's start, health, keys and end."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import api_key
from tests.relay.simulator import (
    ACME,
    START,
    ManualClock,
    SimDevice,
    SimStream,
    Simulator,
    shown,
    simulator,
)

from quorumkey.protocol import (
    PrivateKey,
    pictogram,
    speakable,
)
from quorumkey_relay import app
from quorumkey_relay.app import build
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.delivery.websocket import WebSocketChannel
from quorumkey_relay.identity.files import UnsafeFileError, write_private
from quorumkey_relay.identity.relaykeys import RelayKeyError
from quorumkey_relay.identity.vault import VaultError
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.protocol import AlreadyServed, StoreUnavailable
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import PutApiKey, PutIntegrator
from quorumkey_relay.usecases.expire import Sweeper
from quorumkey_relay.usecases.standing import Standing

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.delivery.channel import Message, Outcome

pytestmark = pytest.mark.anyio


async def test_a_relay_describes_itself(sim: Simulator) -> None:
    """Key, pictogram, version, attestation, passkeys, successions and time."""
    key = sim.relay.keys.current(START).public_key

    info = shown(await sim.use.info())

    assert 0 < len(info.pop("version"))
    assert {
        "relay": key.fingerprint,
        "relay_public_key": key.base64,
        "pictogram": list(pictogram(key.fingerprint)),
        "pictogram_speakable": speakable(key.fingerprint),
        "attestation": "off",
        "webauthn": {"rp_id": "127.0.0.1", "origins": ["http://127.0.0.1:8080"]},
        "successions": [],
        "time": "2027-01-15T08:00:00Z",
    } == info


async def test_passkeys_belong_to_the_apps_origin(tmp_path: Path) -> None:
    """What passkeys must be made for is a matter of the settings."""
    async with simulator(
        tmp_path,
        attestation="preferred",
        app_origin="https://app.example",
        rp_id="example",
        webauthn_origins=("https://app.example", "https://admin.example"),
    ) as sim:
        info = shown(await sim.use.info())

    assert "preferred" == info["attestation"]
    assert {
        "rp_id": "example",
        "origins": ["https://admin.example", "https://app.example"],
    } == info["webauthn"]


async def test_a_relay_keeps_its_key(tmp_path: Path) -> None:
    """The key is made at the first start, for nobody else to read, and is the same afterwards."""
    async with simulator(tmp_path) as sim:
        first = sim.fingerprint
    async with simulator(tmp_path) as sim:
        second = sim.fingerprint

    assert first == second
    assert {"relay.key": 0o600, "secrets.key": 0o600} == modes(tmp_path)


def modes(folder: Path) -> dict[str, int]:
    """Who may do what with the keys in a folder."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.glob("*.key")}


async def test_a_relay_may_be_given_its_key(tmp_path: Path) -> None:
    """With a key file, that key signs, and none is made."""
    key = PrivateKey.generate()
    write_private(tmp_path / "given.pem", key.to_pem())

    async with simulator(tmp_path / "data", key_file=tmp_path / "given.pem") as sim:
        found = sim.fingerprint

    assert key.public_key.fingerprint == found
    assert not (tmp_path / "data" / "relay.key").exists()


@pytest.mark.parametrize("name", ["relay.key", "secrets.key"])
async def test_a_key_that_others_may_read_stops_the_start(tmp_path: Path, name: str) -> None:
    """A relay does not start on a key that is not its own alone."""
    async with simulator(tmp_path):
        pass
    (tmp_path / name).chmod(0o640)

    with pytest.raises(UnsafeFileError, match="chmod 600"):
        await build(Settings(data_dir=tmp_path)).start()


@pytest.mark.parametrize(
    "text", [b"no key", PrivateKey.generate().public_key.compressed], ids=["text", "point"]
)
async def test_a_broken_key_stops_the_start(tmp_path: Path, text: bytes) -> None:
    """A key file that holds something else is told."""
    write_private(tmp_path / "relay.key", text)

    with pytest.raises(RelayKeyError, match="no P-256 private key"):
        await build(Settings(data_dir=tmp_path)).start()


async def test_secrets_of_another_key_stop_the_start(tmp_path: Path) -> None:
    """With another secrets.key, what is sealed does not open, and the folder is let go."""
    async with simulator(tmp_path) as sim:
        await sim.ask([await sim.device("alice")], match_code="4711")
    secret = (tmp_path / "secrets.key").read_bytes()
    (tmp_path / "secrets.key").write_bytes(os.urandom(32))

    with pytest.raises(VaultError, match="does not open"):
        await build(Settings(data_dir=tmp_path)).start()

    (tmp_path / "secrets.key").write_bytes(secret)
    async with simulator(tmp_path, ManualClock()) as sim:
        assert 1 == len(list(sim.store.pending()))


async def test_a_start_that_fails_lets_go_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels and the guard of addresses are closed, and the folder can be served again."""
    closed: list[str] = []

    async def fail(_: Standing) -> None:
        raise StoreUnavailable

    async def close(part: object) -> None:
        closed.append(type(part).__name__)

    with monkeypatch.context() as patched:
        patched.setattr(Standing, "reconcile", fail)
        patched.setattr(WebSocketChannel, "close", close)
        patched.setattr(Egress, "close", close)
        with pytest.raises(StoreUnavailable):
            await build(Settings(data_dir=tmp_path)).start()

    async with simulator(tmp_path) as sim:
        assert ([], ["WebSocketChannel", "Egress"]) == (sim.relay.ready(), closed)


async def test_a_folder_is_served_once(tmp_path: Path) -> None:
    """A second relay on the folder does not start, and the first one goes on."""
    async with simulator(tmp_path) as sim:
        with pytest.raises(AlreadyServed):
            await build(Settings(data_dir=tmp_path)).start()

        assert "pending" == (await sim.ask([await sim.device("alice")])).answer["status"]


# Health


async def test_a_relay_is_ready_between_start_and_end(tmp_path: Path) -> None:
    """Not before it has started, and not once it is on its way down."""
    relay = build(Settings(data_dir=tmp_path))
    before = relay.ready()
    await relay.start()
    running = relay.ready()
    relay.begin_shutdown()
    await relay.check()
    ending = relay.ready()
    await relay.stop()

    assert (["the relay is starting"], [], ["the relay is shutting down"]) == (
        before,
        running,
        ending,
    )


async def test_a_store_that_cannot_be_written_is_not_ready(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness follows the store's health, in both directions."""
    outage = StoreUnavailable("the disk is gone")

    async def fails() -> dict[str, str]:
        raise outage

    with monkeypatch.context() as patched:
        patched.setattr(sim.store, "check", fails)
        await sim.relay.check()
    failing = sim.relay.ready()
    await sim.relay.check()

    assert (["the store cannot be written"], []) == (failing, sim.relay.ready())


async def test_background_work_outlives_what_it_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that fails, whatever it raises, is followed by the next."""
    monkeypatch.setattr(app, "SWEEP_SECONDS", 0)
    failures: list[Exception] = [RuntimeError(), StoreUnavailable()]
    swept = asyncio.Event()

    async def sweep(_: Sweeper) -> int:
        if failures:
            raise failures.pop()
        swept.set()
        return 0

    monkeypatch.setattr(Sweeper, "sweep", sweep)
    relay = build(Settings(data_dir=tmp_path))
    await relay.start()
    await swept.wait()
    await relay.stop()

    assert [] == failures


async def test_the_background_works_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout is written down and told without anybody's asking."""
    monkeypatch.setattr(app, "SWEEP_SECONDS", 0)
    async with simulator(tmp_path) as sim:
        request = await sim.ask([await sim.device("alice")])
        waiting = asyncio.ensure_future(sim.read(request, wait_seconds=60))
        await asyncio.sleep(0)
        sim.clock.advance(300)

        assert "timeout" == (await waiting).status


async def test_a_slow_channel_does_not_keep_the_relay_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in flight is waited for a moment; the next relay finds it and need not wait."""
    monkeypatch.setattr(app, "DRAIN_SECONDS", 0)
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        sim.relay.hub.attach(alice.fingerprint, SimStream())
        slow = next(iter(sim.relay.channels))
        begun = asyncio.Event()

        async def hang(message: Message) -> Outcome:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError(message)

        monkeypatch.setattr(slow, "send", hang)
        asked = await sim.ask([alice])
        await begun.wait()

    async with simulator(tmp_path) as sim:
        await sim.relay.worker.rest()
        (found,) = await sim.store.deliveries(asked.id)

        assert [] == sim.relay.ready()
        assert ("dropped", "not_listening") == (found.state, found.reason)


# Parts that tests replace


async def test_a_relay_has_a_clock_and_a_mint_of_its_own(tmp_path: Path) -> None:
    """Without others it reads the machine's clock and randomness."""
    relay = build(Settings(data_dir=tmp_path))

    assert (SystemClock, SystemMint) == (type(relay.clock), type(relay.mint))
    assert relay.clock.monotonic() <= relay.clock.monotonic()
    assert START < relay.clock.now() + 10**9


async def test_an_api_key_names_its_integrator(sim: Simulator) -> None:
    """A live key of a known integrator; not a revoked, an unknown, or nobody's key."""
    live = api_key("qk_test_live")
    revoked = api_key("qk_test_revoked", revoked_at=START)
    nobodys = replace(api_key("qk_test_nobodys"), integrator_id="nobody")
    await sim.store.commit(tuple(PutApiKey(key) for key in (live, revoked, nobodys)))

    texts = ("qk_test_live", "qk_test_revoked", "qk_test_nobodys", "qk_test_unknown")

    assert [(live, ACME), None, None, None] == [sim.use.api_key(text) for text in texts]


async def test_an_integrator_may_be_renamed_while_serving(sim: Simulator) -> None:
    """New pairings and requests show the new name; what was signed keeps the old one."""
    alice = await sim.device("alice")
    old = await sim.ask([alice])
    renamed = type(ACME)(ACME.id, "Acme Limited")
    with AdminStore(sim.relay.settings.data_dir, vault=sim.vault) as admin:
        admin.commit(PutIntegrator(renamed))
    await sim.relay.follow_changes()

    bob = SimDevice("bob")
    enrolled = await sim.admit(bob)
    stored = await sim.store.load(old.id)

    assert stored is not None
    assert ("Acme Limited", True) == (
        enrolled.view.integrator.name,
        b'"Acme Corp"' in stored.document.payload,
    )
