"""``keys``: API keys are made, listed and revoked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.prompt import NO_SUCH_ID

from quorumkey.protocol import parse_time

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator


@pytest.fixture
def acme(operator: Operator) -> str:
    """The id of an integrator with one API key."""
    integrator = operator.init()["integrator"]
    return str(integrator["id"])


def test_a_new_key_has_an_id_and_its_text(operator: Operator, acme: str) -> None:
    """``keys create --json`` answers ``{key_id, api_key}``."""
    made = operator.json("keys", "create", "--integrator", acme)

    assert {"key_id", "api_key"} == made.keys()
    assert made["api_key"].startswith("qk_live_")


def test_two_keys_differ(operator: Operator, acme: str) -> None:
    """Each key is new."""
    one, other = (operator.json("keys", "create", "--integrator", acme) for _ in range(2))

    assert not set(one.values()) & set(other.values())


def test_a_key_for_tests_says_so(operator: Operator, acme: str) -> None:
    """With ``--test`` the key begins with ``qk_test_``."""
    made = operator.json("keys", "create", "--integrator", acme, "--test")

    assert made["api_key"].startswith("qk_test_")


def test_only_the_digest_is_stored(operator: Operator, acme: str) -> None:
    """No file holds the text of a key; the database holds its SHA-256."""
    text = operator.json("keys", "create", "--integrator", acme)["api_key"]

    stored = b"".join(path.read_bytes() for path in operator.data_dir.iterdir())
    assert text.removeprefix("qk_live_").encode() not in stored
    assert hashlib.sha256(text.encode()).digest() in stored


def test_a_key_is_listed_by_what_it_is_for(operator: Operator, acme: str) -> None:
    """The list has name, scope, integrator and time of a key, and never its text."""
    made = operator.json(
        "keys", "create", "--integrator", acme, "--name", "deploys", "--scope", "admin"
    )

    first, second = operator.json("keys", "list")

    assert ["first", "integrator"] == [first["name"], first["scope"]]
    assert second.keys() == {"key_id", "integrator_id", "name", "scope", "created_at"}
    assert [made["key_id"], acme, "deploys", "admin"] == [
        second[member] for member in ("key_id", "integrator_id", "name", "scope")
    ]


def test_one_integrators_keys(operator: Operator, acme: str) -> None:
    """With ``--integrator`` only the keys of that one are listed."""
    umbrella = operator.json("integrators", "create", "--name", "Umbrella")["id"]
    operator.json("keys", "create", "--integrator", umbrella)

    owners = [
        {key["integrator_id"] for key in operator.json("keys", "list", "--integrator", one)}
        for one in (acme, umbrella)
    ]

    assert [{acme}, {umbrella}] == owners


def test_a_revoked_key_stays_in_the_list(operator: Operator, acme: str) -> None:
    """A revoked key is listed with the time of its revocation."""
    made = operator.json("keys", "create", "--integrator", acme)

    revoked = operator.json("keys", "revoke", made["key_id"])

    assert revoked["key_id"] == made["key_id"]
    assert revoked["revoked_at"] == operator.json("keys", "list")[1]["revoked_at"]
    assert parse_time(revoked["revoked_at"], field="revoked_at")


def test_revoking_again_changes_nothing(operator: Operator, acme: str) -> None:
    """The first revocation stands, and asking again is no error."""
    made = operator.json("keys", "create", "--integrator", acme)

    assert operator.json("keys", "revoke", made["key_id"]) == operator.json(
        "keys", "revoke", made["key_id"]
    )


def test_people_see_a_table(operator: Operator, acme: str) -> None:
    """The table names the integrator and shows which key is revoked."""
    made = operator.json("keys", "create", "--integrator", acme, "--name", "deploys")
    assert "is revoked since" in operator("keys", "revoke", made["key_id"]).text

    _, live, revoked = operator("keys", "list").text.splitlines()

    assert "first" in live
    assert "Acme Corp" in live
    assert "deploys" in revoked
    assert live.count("Z") == 1
    assert revoked.count("Z") == 2


def test_people_see_the_text_of_a_new_key_once(operator: Operator, acme: str) -> None:
    """The text of a new key is printed when it is made, with a word that it is only now."""
    printed = operator("keys", "create", "--integrator", acme).text

    assert "Made an API key for Acme Corp; it is shown only now." in printed
    assert "qk_live_" in printed


def test_an_unknown_integrator_gets_no_key(operator: Operator, acme: str) -> None:
    """Keys are made and listed only for integrators that exist."""
    assert acme
    sentences = {
        operator("keys", "create", "--integrator", NO_SUCH_ID).refused(1),
        operator("keys", "list", "--integrator", NO_SUCH_ID).refused(1),
    }

    assert {
        "there is no integrator with this id; see: quorumkey-relay integrators list."
    } == sentences


def test_an_unknown_key_cannot_be_revoked(operator: Operator, acme: str) -> None:
    """A wrong key id is refused, whatever it is."""
    assert acme
    sentence = operator("keys", "revoke", NO_SUCH_ID).refused(1)

    assert sentence == "there is no API key with this id; see: quorumkey-relay keys list."
