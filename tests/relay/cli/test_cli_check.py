"""``check``: what is healthy, and every way in which a folder is not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.cli.past import during, make_past
from tests.relay.cli.prompt import running

from quorumkey.protocol import FcmAddress, PrivateKey
from quorumkey_relay.store.sqlite.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.relay.cli.prompt import Operator
    from tests.relay.simulator import Simulator

NAMES = [
    "configuration",
    "folder",
    "secrets",
    "relay key",
    "channels",
    "database",
    "writing",
    "content",
    "just-in-time",
]


def checked(operator: Operator) -> tuple[int, list[dict[str, Any]]]:
    """Run ``check`` and return its status and findings."""
    printed = operator("check", "--json")
    document = json.loads(printed.out)
    assert document["ok"] is (printed.status == 0)
    return printed.status, document["checks"]


def last_problem(operator: Operator) -> tuple[str, str]:
    """The finding that failed, which is the last one."""
    status, findings = checked(operator)
    assert status == 1
    assert [True] * (len(findings) - 1) + [False] == [one["ok"] for one in findings]
    return findings[-1]["name"], findings[-1]["detail"]


def execute(operator: Operator, statement: str) -> None:
    """Change the database by hand."""
    with closing(sqlite3.connect(operator.data_dir / "relay.db")) as connection, connection:
        connection.execute(statement)


def test_a_healthy_folder(operator: Operator) -> None:
    """Everything that a start needs is looked at, and ``check`` exits 0."""
    operator.init()

    status, findings = checked(operator)

    assert status == 0
    assert NAMES == [one["name"] for one in findings]
    assert all(one["ok"] for one in findings)


def test_what_is_in_it_is_counted(operator: Operator) -> None:
    """One finding counts integrators, keys in force, devices and pending requests."""
    make_past(operator.data_dir)

    _, findings = checked(operator)

    assert findings[NAMES.index("content")]["detail"] == (
        "2 integrators, 0 API keys in force, 2 devices, 1 pending requests"
    )


def test_a_served_folder_can_be_checked(operator: Operator) -> None:
    """A serving relay is no reason for a bad report."""
    operator.init()
    with running(operator.data_dir):
        assert checked(operator)[0] == 0


def test_a_chain_of_keys_is_followed(operator: Operator) -> None:
    """After a change of key the finding shows the newest one."""
    operator.init()
    following = operator.json("keys", "rotate-relay")["next_relay"]

    _, findings = checked(operator)

    assert following == findings[NAMES.index("relay key")]["detail"]


def test_what_is_sealed_opens_with_the_folders_key(operator: Operator) -> None:
    """A push address that was sealed with another key than the folder's is found out."""

    async def set_push(sim: Simulator) -> None:
        alice = await sim.device("alice")
        envelope = await sim.push(alice, FcmAddress("token"))
        assert await sim.use.set_push(envelope=envelope) is None

    during(operator.data_dir, set_push)
    assert checked(operator)[0] == 0

    (operator.data_dir / "secrets.key").write_bytes(bytes(32))

    assert last_problem(operator) == (
        "content",
        "a sealed value does not open with the key of this data directory",
    )


def test_a_key_file_elsewhere(operator: Operator, tmp_path: Path) -> None:
    """With ``key_file`` set, that key is the one that is looked at."""
    path = tmp_path / "mine.pem"
    path.touch(mode=0o600)
    path.write_bytes(PrivateKey.generate().to_pem())
    made = operator.json("init", "--integrator", "Acme Corp", "--key-file", str(path))

    findings = operator.json("check", "--key-file", str(path))["checks"]

    assert made["relay"] == findings[NAMES.index("relay key")]["detail"]


def test_channels_that_are_on_are_named(operator: Operator) -> None:
    """Web Push is on with a contact, and its key is left for the first start to make."""
    operator.init()

    printed = operator("check", "--json", "--webpush-subject", "mailto:ops@example.com")
    findings = json.loads(printed.out)["checks"]

    assert "websocket, webpush" == findings[NAMES.index("channels")]["detail"]
    assert not (operator.data_dir / "vapid.key").exists()


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        (("--fcm-service-account", "nowhere.json"), "cannot read nowhere.json"),
        (("--ca-file", "nowhere.pem"), "nowhere.pem cannot be read"),
        (
            ("--webpush-subject", "mailto:ops@example.com", "--webpush-key-file", "nowhere.key"),
            "cannot read nowhere.key",
        ),
    ],
    ids=["fcm", "ca-file", "webpush"],
)
def test_a_channel_that_would_stop_a_start_is_named(
    operator: Operator, options: tuple[str, ...], detail: str
) -> None:
    """A file of credentials that a start could not read fails the check too."""
    operator.init()

    printed = operator("check", *options)

    assert printed.status == 1
    assert f"FAILED  channels       {detail}" in printed.out


def test_people_see_a_line_for_each(operator: Operator) -> None:
    """The text begins each line with what came out."""
    operator.init()

    lines = operator("check").text.splitlines()

    assert ["ok"] * len(NAMES) == [line.split()[0] for line in lines]


def test_people_see_what_failed(operator: Operator) -> None:
    """A failure stands in its line, and the exit status is 1."""
    printed = operator("check")

    assert printed.status == 1
    assert "FAILED  folder         there is no relay in" in printed.out


def test_nothing_is_made(operator: Operator) -> None:
    """Where there is no folder there is none afterwards."""
    checked(operator)

    assert not operator.data_dir.exists()


def open_to_others(operator: Operator) -> None:
    """Let everybody write into the folder."""
    operator.data_dir.chmod(0o777)


def lose_secrets(operator: Operator) -> None:
    """Lose the key of what is sealed."""
    (operator.data_dir / "secrets.key").unlink()


def shorten_secrets(operator: Operator) -> None:
    """Damage the key of what is sealed."""
    (operator.data_dir / "secrets.key").write_bytes(b"short")


def lose_the_key(operator: Operator) -> None:
    """Lose the relay's key."""
    (operator.data_dir / "relay.key").unlink()


def share_the_key(operator: Operator) -> None:
    """Let others read the relay's key."""
    (operator.data_dir / "relay.key").chmod(0o640)


def damage_the_key(operator: Operator) -> None:
    """Overwrite the relay's key."""
    (operator.data_dir / "relay.key").write_bytes(b"no key")


def lose_the_next_key(operator: Operator) -> None:
    """Lose the key that a succession names."""
    Path(operator.json("keys", "rotate-relay")["key_file"]).unlink()


def swap_the_next_key(operator: Operator) -> None:
    """Put another key where a succession's should be."""
    path = Path(operator.json("keys", "rotate-relay")["key_file"])
    path.write_bytes(PrivateKey.generate().to_pem())


def swap_the_first_key(operator: Operator) -> None:
    """Put another key where the one that signed a succession was."""
    operator.json("keys", "rotate-relay")
    (operator.data_dir / "relay.key").write_bytes(PrivateKey.generate().to_pem())


def newer_schema(operator: Operator) -> None:
    """Let a later release have migrated the database."""
    execute(operator, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")


def corrupt_an_index(operator: Operator) -> None:
    """Leave a row out of an index."""
    with closing(sqlite3.connect(operator.data_dir / "relay.db")) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE integrators (' || "
            "'id INTEGER PRIMARY KEY, integrator_id TEXT NOT NULL UNIQUE, name "
            "INTEGER NOT NULL CHECK (name > 5) ) STRICT' WHERE name = 'integrators'"
        )


def forget_a_table(operator: Operator) -> None:
    """Lose a table."""
    execute(operator, "DROP TABLE api_keys")


@pytest.mark.parametrize(
    ("harm", "name", "detail"),
    [
        (open_to_others, "folder", "can be written by others; run: chmod go-w "),
        (lose_secrets, "secrets", "secrets.key is missing"),
        (shorten_secrets, "secrets", "a vault key has 32 bytes, this one 5"),
        (lose_the_key, "relay key", "relay.key is missing"),
        (share_the_key, "relay key", "relay.key can be read by others; run: chmod 600 "),
        (damage_the_key, "relay key", "P-256"),
        (lose_the_next_key, "relay key", "cannot read "),
        (swap_the_next_key, "relay key", "holds another key"),
        (swap_the_first_key, "relay key", "not signed by the expected key"),
        (newer_schema, "database", "this release knows"),
        (corrupt_an_index, "database", "the database is damaged: "),
        (forget_a_table, "content", "no such table: api_keys"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_is_wrong_is_named(
    operator: Operator, harm: Callable[[Operator], None], name: str, detail: str
) -> None:
    """The first thing that is wrong fails with a sentence, and nothing after it is looked at."""
    operator.init()
    harm(operator)

    found = last_problem(operator)

    assert found[0] == name
    assert detail in found[1]


def test_an_older_schema_is_no_fault(operator: Operator) -> None:
    """A database that the next start will migrate is healthy, and is not migrated by a check."""
    operator.init()
    execute(operator, "PRAGMA user_version = 0")

    _, findings = checked(operator)

    assert findings[NAMES.index("database")]["detail"] == (
        f"schema 0, migrated to {len(MIGRATIONS)} at the next start"
    )
    with closing(sqlite3.connect(operator.data_dir / "relay.db")) as connection:
        assert (0,) == connection.execute("PRAGMA user_version").fetchone()
