"""``init``: what it makes, and that it never makes it twice."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.prompt import Operator, started

from quorumkey.protocol import PrivateKey
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.sqlite.admin import AdminStore

if TYPE_CHECKING:
    from pathlib import Path


def test_the_json_has_these_members(operator: Operator) -> None:
    """``init --json`` answers integrator, API key and relay, and nothing else."""
    made = operator.init()

    assert {"integrator", "api_key", "relay"} == made.keys()
    assert {"id", "name"} == made["integrator"].keys()
    assert made["integrator"]["name"] == "Acme Corp"
    assert len(made["relay"]) == 64


def test_only_the_owner_can_read_what_it_makes(operator: Operator) -> None:
    """The folder has mode 0700 and the key files 0600."""
    operator.init()

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (operator.data_dir, *operator.data_dir.glob("*.key"))
    }
    assert {"data": 0o700, "relay.key": 0o600, "secrets.key": 0o600} == modes


def test_the_relay_is_the_key_in_the_folder(operator: Operator) -> None:
    """``relay`` is the fingerprint of the key that was made."""
    made = operator.init()

    key = PrivateKey.from_pem((operator.data_dir / "relay.key").read_bytes())
    assert key.public_key.fingerprint == made["relay"]


def test_an_api_key_has_64_hex_digits(operator: Operator) -> None:
    """The first API key is one of the live kind."""
    text = operator.init()["api_key"]

    prefix, live, digits = text.split("_")
    assert ("qk", "live") == (prefix, live)
    assert len(bytes.fromhex(digits)) == 32


def test_an_api_key_for_tests(operator: Operator) -> None:
    """With ``--test`` the first API key says that it is for tests."""
    made = operator.json("init", "--integrator", "Acme Corp", "--test")

    assert made["api_key"].startswith("qk_test_")


def test_only_the_digest_of_the_api_key_is_stored(operator: Operator) -> None:
    """No file holds the key's text; the database holds its SHA-256."""
    text = operator.init()["api_key"]

    stored = b"".join(path.read_bytes() for path in operator.data_dir.iterdir() if path.is_file())
    assert text.removeprefix("qk_live_").encode() not in stored
    assert hashlib.sha256(text.encode()).digest() in stored


def test_the_text_says_what_to_type_next(operator: Operator) -> None:
    """People see the key, that it is shown only now, and the command that serves."""
    printed = operator("init", "--integrator", "Acme Corp").text

    assert "qk_live_" in printed
    assert "The API key is shown only now." in printed
    assert f"  quorumkey-relay serve --data-dir {operator.data_dir}\n" in printed


def test_a_folder_is_set_up_once(operator: Operator) -> None:
    """A second ``init`` is refused, names the integrator, and says what to do instead."""
    made = operator.init()

    sentence = operator("init", "--integrator", "Umbrella").refused(1)

    assert f"is set up already, for Acme Corp ({made['integrator']['id']})" in sentence
    assert "integrators create --name NAME" in sentence
    assert f"keys create --integrator {made['integrator']['id']}" in sentence


def test_a_refused_init_changes_nothing(operator: Operator) -> None:
    """After a refused ``init`` there is one integrator with one API key."""
    operator.init()
    operator("init", "--integrator", "Umbrella")

    assert [1, 1] == [
        len(operator.json("integrators", "list")),
        len(operator.json("keys", "list")),
    ]


def test_a_relay_that_was_served_first_keeps_its_key(operator: Operator) -> None:
    """A folder with a database and no integrator is set up with the keys that it has."""
    operator.data_dir.mkdir(mode=0o700)
    with AdminStore(operator.data_dir, vault=Vault.open_in(operator.data_dir), create=True):
        secret = (operator.data_dir / "secrets.key").read_bytes()

    operator.init()

    assert secret == (operator.data_dir / "secrets.key").read_bytes()


def test_a_key_file_elsewhere_is_the_relays_key(operator: Operator, tmp_path: Path) -> None:
    """With ``--key-file`` the relay is that key, and none is made in the folder."""
    key = PrivateKey.generate()
    path = tmp_path / "mine.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.to_pem())

    made = operator.json("init", "--integrator", "Acme Corp", "--key-file", str(path))

    assert key.public_key.fingerprint == made["relay"]
    assert not (operator.data_dir / "relay.key").exists()


def test_of_two_at_once_one_sets_up(operator: Operator) -> None:
    """Two processes that start together leave one integrator; the other one is refused."""
    arguments = ("--data-dir", str(operator.data_dir))
    with (
        started("init", "--integrator", "Acme Corp", *arguments) as one,
        started("init", "--integrator", "Umbrella", *arguments) as other,
    ):
        for process in (one, other):
            process.communicate(timeout=60)

    assert {0, 1} == {one.returncode, other.returncode}
    assert len(operator.json("integrators", "list")) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "integrator must have 1 to 80 characters."),
        ("A" * 81, "integrator must have 1 to 80 characters."),
        (" Acme", "integrator must not begin or end with white space."),
        (
            "Acme\u202e",
            "integrator must not have control, invisible or direction-changing characters.",
        ),
    ],
)
def test_a_name_is_text_that_people_can_see(operator: Operator, name: str, problem: str) -> None:
    """A name that approvers could not read is refused before anything is made."""
    assert problem == operator("init", "--integrator", name).refused(2)
    assert not operator.data_dir.exists()


def test_a_folder_that_cannot_be_made(operator: Operator) -> None:
    """A file in the way is named in one sentence."""
    operator.data_dir.write_text("in the way")

    assert f"{operator.data_dir}: File exists." == operator(
        "init", "--integrator", "Acme Corp"
    ).refused(1)
