"""``pairings create``: a link that a device can use."""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.prompt import NO_SUCH_ID, running

from quorumkey.protocol import parse_time

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator


@pytest.fixture
def acme(operator: Operator) -> str:
    """The id of an integrator."""
    return str(operator.init()["integrator"]["id"])


def test_a_pairing_answers_like_the_api(operator: Operator, acme: str) -> None:
    """``pairings create --json`` has the members of ``POST /v1/pairings``."""
    made = operator.json("pairings", "create", "--integrator", acme, "--approver", "alice")

    assert {"pairing_id", "pairing_code", "pairing_url", "expires_at"} == made.keys()
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}", made["pairing_code"])


def test_the_link_names_code_and_relay(operator: Operator) -> None:
    """The link leads to the app, with code and relay in its fragment."""
    made = operator.init()

    pairing = operator.json(
        "pairings", "create", "--integrator", made["integrator"]["id"], "--approver", "alice"
    )

    assert pairing["pairing_url"] == (
        f"http://127.0.0.1:8080/app/pair#code={pairing['pairing_code']}&relay={made['relay']}"
    )


@pytest.mark.parametrize(
    ("options", "origin"),
    [
        (("--port", "9000"), "http://127.0.0.1:9000"),
        (("--public-url", "https://relay.example.com"), "https://relay.example.com"),
        (
            ("--public-url", "https://r.example.com", "--app-origin", "https://app.example.com"),
            "https://app.example.com",
        ),
    ],
    ids=["port", "public URL", "app origin"],
)
def test_the_settings_say_where_the_relay_is(
    operator: Operator, acme: str, options: tuple[str, ...], origin: str
) -> None:
    """The link begins with the address that the same settings give to ``serve``."""
    made = operator.json(
        "pairings", "create", "--integrator", acme, "--approver", "alice", *options
    )

    assert made["pairing_url"].startswith(f"{origin}/app/pair#")


def test_the_folder_remembers_where_it_is_served(operator: Operator, acme: str) -> None:
    """Without settings the link leads to the address at which the folder is served."""
    with running(operator.data_dir) as relay:
        made = operator.json("pairings", "create", "--integrator", acme, "--approver", "alice")

        assert made["pairing_url"].startswith(f"{relay.url}/app/pair#")


def test_what_is_not_an_address_is_not_believed(operator: Operator, acme: str) -> None:
    """A lock file with something else in it leaves the address to the settings."""
    (operator.data_dir / "serving.lock").write_bytes(b"12\n\xff\xff")

    made = operator.json("pairings", "create", "--integrator", acme, "--approver", "alice")

    assert made["pairing_url"].startswith("http://127.0.0.1:8080/app/pair#")


def test_only_the_digest_of_the_code_is_stored(operator: Operator, acme: str) -> None:
    """No file holds the code; the database holds its SHA-256."""
    made = operator.json("pairings", "create", "--integrator", acme, "--approver", "alice")
    code = made["pairing_code"].replace("-", "")

    stored = b"".join(path.read_bytes() for path in operator.data_dir.iterdir())
    assert code.encode() not in stored
    assert hashlib.sha256(code.encode()).digest() in stored


def test_a_code_is_good_for_as_long_as_was_asked(operator: Operator, acme: str) -> None:
    """``--expires-in`` counts from now; without it a code is good for ten minutes."""
    made = [
        operator.json("pairings", "create", "--integrator", acme, "--approver", "alice", *options)
        for options in ((), ("--expires-in", "3600"))
    ]

    left = [parse_time(one["expires_at"], field="expires_at") - time.time() for one in made]
    assert 540 < left[0] <= 600
    assert 3540 < left[1] <= 3600


def test_people_see_the_command_to_type(operator: Operator, acme: str) -> None:
    """The text has the link once for the person and once in a command that pairs a device."""
    printed = operator(
        "pairings", "create", "--integrator", acme, "--approver", "alice", "--name", "Alice"
    ).text

    assert "Alice can pair one device with Acme Corp." in printed
    assert "  quorumkey device enroll 'http://127.0.0.1:8080/app/pair#code=" in printed


def test_an_unknown_integrator_has_no_pairings(operator: Operator, acme: str) -> None:
    """A pairing is opened only for an integrator that exists."""
    assert acme
    sentence = operator(
        "pairings", "create", "--integrator", NO_SUCH_ID, "--approver", "alice"
    ).refused(1)

    assert sentence.startswith("there is no integrator with this id")


@pytest.mark.parametrize("options", [("--approver", ""), ("--approver", "a", "--name", "a\tb")])
def test_a_person_has_a_name_that_can_be_seen(
    operator: Operator, acme: str, options: tuple[str, ...]
) -> None:
    """Ids and names that a person could not read are refused."""
    operator("pairings", "create", "--integrator", acme, *options).refused(2)
