"""``keys rotate-relay``: the relay's key names its follower."""

from __future__ import annotations

import stat
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.relay.cli.prompt import started

from quorumkey.client import RelayPins
from quorumkey.protocol import (
    PrivateKey,
    Succession,
    format_time,
    parse_envelope,
    parse_time,
    strict_json,
    verify_statement,
)
from quorumkey_relay.cli.rotation import HEARD_WITHIN_SECONDS, next_second
from quorumkey_relay.store.sqlite.schema import connect
from quorumkey_relay.store.sqlite.store import CHANGES_POLL_SECONDS

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator

    from quorumkey.protocol import Envelope

YEAR_2100 = "2100-01-01T00:00:00Z"


def successions(operator: Operator) -> list[Envelope]:
    """What devices would read of the folder's key changes."""
    with closing(connect(operator.data_dir, read_only=True)) as connection:
        rows = connection.execute("SELECT envelope FROM successions ORDER BY id").fetchall()
    return [parse_envelope(strict_json.loads(row[0], max_bytes=65_536)) for row in rows]


def first_key(operator: Operator) -> PrivateKey:
    """The key that ``init`` made."""
    return PrivateKey.from_pem((operator.data_dir / "relay.key").read_bytes())


def rotate(operator: Operator, *options: str) -> dict[str, Any]:
    """Change the key."""
    changed: dict[str, Any] = operator.json("keys", "rotate-relay", *options)
    return changed


def test_the_old_key_names_the_new_one(operator: Operator) -> None:
    """A succession signed by the outgoing key holds the new key and its first second."""
    operator.init()

    done = rotate(operator)

    (envelope,) = successions(operator)
    said = verify_statement(envelope, Succession, key=first_key(operator).public_key).statement
    assert said.relay == done["relay"] == first_key(operator).public_key.fingerprint
    assert said.next_public_key == done["next_public_key"]
    assert said.next_key.fingerprint == done["next_relay"]
    assert format_time(said.not_before) == done["not_before"]


def test_the_new_key_lies_in_a_file_of_its_own(operator: Operator) -> None:
    """The file has mode 0600 and holds the key that the succession names."""
    operator.init()

    path = Path(rotate(operator)["key_file"])

    (envelope,) = successions(operator)
    said = Succession.decode(envelope.payload)
    assert said.next_key == PrivateKey.from_pem(path.read_bytes()).public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_chain_is_followed_from_the_first_key(operator: Operator) -> None:
    """After two changes whoever pinned the first key trusts the third."""
    operator.init()
    rotate(operator, "--in-seconds", "1")
    last = rotate(operator, "--in-seconds", "2")

    pins = RelayPins.of([first_key(operator).public_key]).follow(successions(operator))

    assert last["next_relay"] == pins.pins[-1].key.fingerprint


def test_two_at_once_make_one_chain(operator: Operator) -> None:
    """Of two changes at the same time one follows the other, so both are followed."""
    operator.init()
    arguments = ("keys", "rotate-relay", "--data-dir", str(operator.data_dir), "--in-seconds")
    with started(*arguments, "100") as one, started(*arguments, "200") as other:
        for process in (one, other):
            process.communicate(timeout=60)
    done = [one.returncode, other.returncode].count(0)

    pins = RelayPins.of([first_key(operator).public_key]).follow(successions(operator))
    assert done >= 1
    assert len(pins.pins) == 1 + done


def test_it_may_begin_later(operator: Operator) -> None:
    """``--in-seconds`` and ``--not-before`` say from when the new key signs."""
    operator.init()
    before = int(time.time())

    first = parse_time(rotate(operator, "--in-seconds", "60")["not_before"], field="not_before")
    second = rotate(operator, "--not-before", YEAR_2100)["not_before"]

    assert before + 60 <= first <= int(time.time()) + 60
    assert second == YEAR_2100


def test_a_key_begins_after_the_one_before_it(operator: Operator) -> None:
    """A change that would begin before the last one is refused, with that one's time."""
    operator.init()
    rotate(operator, "--not-before", YEAR_2100)

    sentence = operator("keys", "rotate-relay").refused(1)

    assert sentence == (
        f"the last change of key begins at {YEAR_2100}; choose a later time than that."
    )
    assert len(successions(operator)) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--in-seconds", "0"), "--in-seconds must be at least 1"),
        (("--not-before", "2020-01-01T00:00:00Z"), "--not-before must lie in the future"),
        (("--not-before", "tomorrow"), "--not-before must be a time"),
        (("--not-before", YEAR_2100, "--in-seconds", "9"), "not both"),
    ],
    ids=["at once", "past", "no time", "both"],
)
def test_a_time_that_cannot_be(operator: Operator, options: tuple[str, ...], problem: str) -> None:
    """A time that is none, or is over, ends with status 2 and changes nothing."""
    operator.init()

    assert problem in operator("keys", "rotate-relay", *options).refused(2)
    assert [] == successions(operator)


def test_a_key_from_elsewhere_is_not_changed_here(operator: Operator, tmp_path: Path) -> None:
    """With ``key_file`` set a change is refused, and the sentence says what to do first."""
    path = tmp_path / "mine.pem"
    path.touch(mode=0o600)
    path.write_bytes(PrivateKey.generate().to_pem())
    operator.json("init", "--integrator", "Acme Corp", "--key-file", str(path))

    sentence = operator("keys", "rotate-relay", "--key-file", str(path)).refused(1)

    assert "comes from key_file" in sentence
    assert [] == list(operator.data_dir.glob("relay-*.key"))


def test_a_lost_key_names_no_follower(operator: Operator) -> None:
    """Where the newest key's file is gone, nothing is signed in its place."""
    operator.init()
    Path(rotate(operator)["key_file"]).unlink()

    assert operator("keys", "rotate-relay", "--not-before", YEAR_2100).refused(1)
    assert len(successions(operator)) == 1


def test_people_see_both_keys_and_what_to_back_up(operator: Operator) -> None:
    """The text has the time, both fingerprints and the new file."""
    operator.init()

    printed = operator("keys", "rotate-relay").text

    (path,) = operator.data_dir.glob("relay-*.key")
    assert "The relay signs with a new key from 20" in printed
    assert f"Until then  {first_key(operator).public_key.fingerprint}" in printed
    assert f"Back up     {path}" in printed


@given(st.floats(1.7e9, 1.9e9))
def test_a_relay_hears_of_the_key_before_its_time(now: float) -> None:
    """A key begins within a second of the command, and not before a serving relay knows it."""
    pause, begins_at = next_second(now)

    left = begins_at - (now + pause)
    assert HEARD_WITHIN_SECONDS <= left <= 1.0
    assert 0.0 <= pause < HEARD_WITHIN_SECONDS
    assert CHANGES_POLL_SECONDS < HEARD_WITHIN_SECONDS
