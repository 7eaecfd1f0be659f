"""Pairings (§4.1, §4.2, §4.4): codes, addresses, previews and what the integrator is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, fragment, ok, plain, refused
from tests.e2e.protocol_crypto import Json, Key, epoch

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
CROCKFORD = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def new(world: World) -> Device:
    """A device that has not enrolled."""
    return Device(world.relay, Key())


def code(world: World, person: str = "someone", **members: object) -> str:
    """A fresh pairing code."""
    return str(world.acme.pairing(person, **members)["pairing_code"])


def preview(world: World, text: object) -> Json:
    """What a device is told about a code."""
    return ok(world.relay.post("/v1/device/pairing", {"pairing_code": text}))


def test_pairing_has_the_members_of_the_page(world: World) -> None:
    """A pairing answers id, code, address and end; the code is 12 Crockford characters."""
    pairing = world.acme.pairing("alice")

    assert pairing.keys() == {"pairing_id", "pairing_code", "pairing_url", "expires_at"}
    groups = str(pairing["pairing_code"]).split("-")
    assert [len(group) for group in groups] == [4, 4, 4]
    assert set("".join(groups)) <= CROCKFORD
    assert epoch(pairing["expires_at"]) == world.relay.now() + 600


def test_pairing_url_carries_code_and_pin_in_its_fragment(world: World) -> None:
    """The QR's address is ``<relay URL>/app/pair`` with code and relay in the fragment."""
    pairing = world.acme.pairing("alice")
    url = str(pairing["pairing_url"])

    assert url.partition("#")[0] == f"{world.relay.url}/app/pair"
    assert plain(fragment(url)["code"]) == plain(pairing["pairing_code"])
    assert fragment(url)["relay"] == world.relay.info()["relay"]


@pytest.mark.parametrize("seconds", [60, 3600])
def test_pairing_life_at_its_bounds(world: World, seconds: int) -> None:
    """A code lives 60 to 3600 seconds."""
    pairing = world.acme.pairing("alice", expires_in_seconds=seconds)

    assert epoch(pairing["expires_at"]) == world.relay.now() + seconds


BAD_PAIRINGS: list[object] = [
    {}, {"approver": {}}, {"approver": {"id": ""}}, {"approver": {"id": "a" * 129}}, [],
    {"approver": {"id": "a", "name": ""}}, {"approver": {"id": "a", "name": "b" * 81}},
    {"approver": {"id": "a", "name": "b\u200bc"}}, {"approver": {"id": "a", "mail": "x"}},
    {"approver": {"id": "a", "name": None}}, {"approver": {"id": 1}}, {"approver": "a"},
    {"approver": {"id": "a"}, "expires_in_seconds": 59}, "a",
    {"approver": {"id": "a"}, "expires_in_seconds": 3601},
    {"approver": {"id": "a"}, "expires_in_seconds": None},
    {"approver": {"id": "a"}, "extra": 1},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_PAIRINGS)
def test_pairing_refuses_other_values(world: World, body: object) -> None:
    """A pairing body outside the page's values is ``invalid_request``."""
    assert refused(world.acme.post("/v1/pairings", body)) == INVALID


def test_preview_tells_who_asks_and_spends_nothing(world: World) -> None:
    """The preview names integrator, approver and relay, as often as it is asked."""
    pairing = world.acme.pairing("alice")
    text = str(pairing["pairing_code"])

    first = preview(world, text)

    assert first == preview(world, text)
    assert first == {
        "integrator": {"id": world.acme.integrator_id, "name": world.acme.name},
        "approver": {"name": "Alice"},
        "relay": world.relay.info()["relay"],
        "expires_at": pairing["expires_at"],
    }
    assert ok(new(world).enrol(text), 201)


def test_preview_of_an_unnamed_approver(world: World) -> None:
    """An approver without a name is shown without one, and its id is not shown."""
    body = {"approver": {"id": "secret-id"}}
    pairing = ok(world.acme.post("/v1/pairings", body), 201)

    assert preview(world, pairing["pairing_code"])["approver"] == {}


def test_code_is_read_as_people_type_it(world: World) -> None:
    """Hyphens, spaces, case and the letters O, I and L do not matter."""
    codes = (code(world) for _ in range(500))
    text = next(each for each in codes if "0" in each and "1" in each)
    typed = " " + text.lower().replace("-", " - ").replace("0", "o").replace("1", "l")

    assert preview(world, typed) == preview(world, text)
    assert preview(world, text.replace("1", "I").replace("-", "")) == preview(world, text)
    assert ok(new(world).enrol(typed), 201)


def test_unknown_code_is_not_found(world: World) -> None:
    """A code that was never given is 404 ``pairing_not_found``, seen or used."""
    text = "0000-0000-0000"

    answer = world.relay.post("/v1/device/pairing", {"pairing_code": text})

    assert refused(answer) == (404, "pairing_not_found")
    assert refused(new(world).enrol(text)) == (404, "pairing_not_found")


@pytest.mark.parametrize("text", ["", "A", "0000-0000-000", "0000-0000-00000", "UUUU-UUUU-UUUU"])
def test_text_that_is_no_code_is_refused(world: World, text: str) -> None:
    """Text that cannot be a code is ``invalid_request``, shown or signed."""
    answer = world.relay.post("/v1/device/pairing", {"pairing_code": text})

    assert refused(answer) == INVALID
    assert refused(new(world).enrol(text)) == INVALID


def test_expired_code_is_gone(world: World) -> None:
    """A code lives while now is before ``expires_at`` and is then 410 ``pairing_expired``."""
    pairing = world.acme.pairing("alice", expires_in_seconds=60)
    text = str(pairing["pairing_code"])
    world.clock.advance(59)
    preview(world, text)
    world.clock.advance(1)

    answer = world.relay.post("/v1/device/pairing", {"pairing_code": text})

    assert refused(answer) == (410, "pairing_expired")
    assert refused(new(world).enrol(text)) == (410, "pairing_expired")
    report = ok(world.acme.get(f"/v1/pairings/{pairing['pairing_id']}"))
    assert report == {"pairing_id": pairing["pairing_id"], "status": "expired"}


def test_used_code_is_gone(world: World) -> None:
    """A code that another device used is 410 ``pairing_expired``."""
    text = code(world)
    ok(new(world).enrol(text), 201)

    answer = world.relay.post("/v1/device/pairing", {"pairing_code": text})

    assert refused(answer) == (410, "pairing_expired")
    assert refused(new(world).enrol(text)) == (410, "pairing_expired")
