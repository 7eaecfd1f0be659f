"""An integrator's webhooks: every call as it is meant, and every way to be refused (§10)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api.harness import (
    INTEGRATOR,
    NO_SUCH_ID,
    OTHER_API_KEY,
    ok,
    refused,
)
from tests.relay.api.harness import house as served
from tests.relay.api.hooked import DAY_SECONDS, URL, hook

from quorumkey.protocol import format_time
from quorumkey_relay.usecases.webhooks import EVENT_TYPES, MAX_WEBHOOKS_PER_INTEGRATOR

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio

OTHER = {"Authorization": f"Bearer {OTHER_API_KEY}"}
OF_A_WEBHOOK = [
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/rotate"),
    ("POST", "/disable"),
    ("POST", "/enable"),
    ("POST", "/test"),
    ("GET", "/deliveries"),
    ("GET", f"/deliveries/{NO_SUCH_ID}"),
    ("POST", f"/deliveries/{NO_SUCH_ID}/resend"),
]
CALLS = [("POST", ""), ("GET", ""), *((method, f"/{NO_SUCH_ID}{p}") for method, p in OF_A_WEBHOOK)]


def names(calls: list[tuple[str, str]]) -> list[str]:
    """What the calls are called in the list of tests."""
    return [f"{method} {path.replace(NO_SUCH_ID, 'id')}" for method, path in calls]


@pytest.fixture
async def house(
    log: io.BytesIO, anyio_backend: object, tmp_path: Path
) -> AsyncGenerator[House, None]:
    """A served relay without a webhook."""
    del anyio_backend, log
    async with served(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
async def shared(
    log: io.BytesIO, anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House, None]:
    """A served relay for all the calls that are refused."""
    del anyio_backend, log
    async with served(tmp_path_factory.mktemp("relay")) as running:
        yield running


# Making one


async def test_creating(house: House) -> None:
    """A new webhook is active, wants every event, and shows the secret that signs."""
    created = await hook(house)

    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", created.pop("secret"))
    assert created.pop("webhook_id")
    assert {
        "url": URL,
        "events": ["*"],
        "status": "active",
        "created_at": format_time(house.clock.now()),
    } == created


async def test_every_secret_is_another(house: House) -> None:
    """No two webhooks share a secret."""
    assert (await hook(house))["secret"] != (await hook(house))["secret"]


@pytest.mark.parametrize(
    ("wanted", "answered"),
    [
        (["*"], ["*"]),
        (["mpa.timeout", "mpa.approved", "mpa.timeout"], ["mpa.timeout", "mpa.approved"]),
        (list(EVENT_TYPES), list(EVENT_TYPES)),
    ],
    ids=["all", "some", "each"],
)
async def test_the_events_of_a_webhook(
    house: House, wanted: list[str], answered: list[str]
) -> None:
    """A webhook may ask for some types, each once, or for all by a star."""
    assert answered == (await hook(house, URL, *wanted))["events"]


@pytest.mark.parametrize(
    "events",
    [[], ["mpa.unknown"], ["*", "mpa.approved"], ["webhook.test"], ["MPA.APPROVED"], [""]],
    ids=["none", "unknown", "star and more", "test", "upper case", "empty"],
)
async def test_unknown_events(shared: House, events: list[str]) -> None:
    """A type that there is not is refused with the names of those that there are."""
    status, code, message = refused(
        await shared.post("/v1/webhooks", {"url": URL, "events": events})
    )

    assert (400, "invalid_request") == (status, code)
    assert all(name in message for name in EVENT_TYPES)


URLS = {
    "http": ("http://hooks.example/", "url must be https."),
    "another scheme": ("ftp://hooks.example/", "url must be https."),
    "user": ("https://me:secret@hooks.example/", "url must not hold a user name or password."),
    "fragment": ("https://hooks.example/#here", "url must not have a fragment."),
    "low port": (
        "https://hooks.example:25/",
        "url must be at port 443 or at one from 1,024 up.",
    ),
    "no url": (
        "hooks.example",
        "url must be a complete https URL of at most 2,048 ASCII characters.",
    ),
    "empty": ("", "url must be a complete https URL of at most 2,048 ASCII characters."),
    "too long": (
        f"https://hooks.example/{'a' * 2_048}",
        "url must be a complete https URL of at most 2,048 ASCII characters.",
    ),
    "no host": (
        "https:///path",
        "url must have a host name, or an IP address in its usual form.",
    ),
    "odd address": (
        "https://0x7f.1/",
        "url must have a host name, or an IP address in its usual form.",
    ),
    **{
        address: (f"https://{address}/", "url must have a host that the public internet reaches.")
        for address in (
            "127.0.0.1",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "[::1]",
            "[fd00::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::7f00:1]",
        )
    },
}


@pytest.mark.parametrize("name", URLS)
async def test_refused_addresses(shared: House, name: str) -> None:
    """What must not be called is refused at once, with what to do about it."""
    url, advice = URLS[name]

    answer = await shared.post("/v1/webhooks", {"url": url})

    assert (400, "invalid_request", advice) == refused(answer)
    assert [] == ok(await shared.get("/v1/webhooks"))["data"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": 1},
        {"url": None},
        {"url": URL, "events": None},
        {"url": URL, "events": "*"},
        {"url": URL, "events": [1]},
        {"url": URL, "secret": "whsec_mine"},
        [],
    ],
    ids=["empty", "number", "null", "no events", "text", "numbers", "unknown member", "list"],
)
async def test_malformed_bodies(shared: House, body: object) -> None:
    """A body of another shape is refused."""
    assert (400, "invalid_request") == refused(await shared.post("/v1/webhooks", body))[:2]


async def test_the_number_of_webhooks_is_bounded(house: House) -> None:
    """An integrator that has the most must delete one first; another is not concerned."""
    created = [await hook(house) for _ in range(MAX_WEBHOOKS_PER_INTEGRATOR)]

    one_more = await house.post("/v1/webhooks", {"url": URL})
    other = await house.http.post("/v1/webhooks", json={"url": URL}, headers=OTHER)
    await house.http.delete(f"/v1/webhooks/{created[0]['webhook_id']}", headers=house.bearer)
    after = await house.post("/v1/webhooks", {"url": URL})

    assert (
        400,
        "invalid_request",
        f"An integrator has at most {MAX_WEBHOOKS_PER_INTEGRATOR} webhooks; delete one first.",
    ) == refused(one_more)
    assert {"limit": MAX_WEBHOOKS_PER_INTEGRATOR} == one_more.json()["error"]["details"]
    assert (201, 201) == (other.status_code, after.status_code)


async def test_creating_with_an_idempotency_key(house: House) -> None:
    """A lost answer is given again, the secret in it too; another body is refused."""
    first = await house.post("/v1/webhooks", {"url": URL}, Idempotency_Key="k")
    again = await house.post("/v1/webhooks", {"url": URL}, Idempotency_Key="k")
    other = await house.post("/v1/webhooks", {"url": URL + "/2"}, Idempotency_Key="k")

    assert first.content == again.content
    assert (409, "idempotency_conflict") == refused(other)[:2]
    assert 1 == len(ok(await house.get("/v1/webhooks"))["data"])


# Reading


async def test_reading(house: House) -> None:
    """A read answers what the creation did, but for the secret."""
    created = await hook(house, URL, "mpa.approved")

    found = ok(await house.get(f"/v1/webhooks/{created['webhook_id']}"))

    assert {name: created[name] for name in created.keys() - {"secret"}} == found


async def test_listing(house: House) -> None:
    """Webhooks are listed newest first, in pages, without their secrets; only one's own."""
    created = [await hook(house) for _ in range(3)]
    await house.http.post("/v1/webhooks", json={"url": URL}, headers=OTHER)
    for one in created:
        del one["secret"]

    first = ok(await house.get("/v1/webhooks?limit=2"))
    second = ok(await house.get(f"/v1/webhooks?limit=2&cursor={first['next_cursor']}"))

    assert {"data": [created[2], created[1]], "next_cursor": created[1]["webhook_id"]} == first
    assert {"data": [created[0]], "next_cursor": None} == second


async def test_paging_while_deleting(house: House) -> None:
    """Who deletes what a page showed can go on after it."""
    created = [await hook(house) for _ in range(2)]
    first = ok(await house.get("/v1/webhooks?limit=1"))
    await house.http.delete(f"/v1/webhooks/{created[1]['webhook_id']}", headers=house.bearer)

    second = ok(await house.get(f"/v1/webhooks?limit=1&cursor={first['next_cursor']}"))

    assert [created[0]["webhook_id"]] == [one["webhook_id"] for one in second["data"]]


async def test_a_cursor_of_no_list(shared: House) -> None:
    """A cursor that no list has answered is refused."""
    assert (400, "invalid_request") == refused(await shared.get("/v1/webhooks?cursor=x"))[:2]


@pytest.mark.parametrize(("method", "rest"), CALLS, ids=names(CALLS))
async def test_every_call_takes_an_api_key(shared: House, method: str, rest: str) -> None:
    """Without a key nothing is done."""
    answer = await shared.http.request(method, f"/v1/webhooks{rest}")

    assert (401, "unauthorized") == refused(answer)[:2]


@pytest.mark.parametrize(("method", "rest"), OF_A_WEBHOOK, ids=names(OF_A_WEBHOOK))
async def test_anothers_webhook_is_not_found(house: House, method: str, rest: str) -> None:
    """To another integrator a webhook does not exist, and nothing happens to it."""
    created = await hook(house)
    path = f"/v1/webhooks/{created['webhook_id']}"

    answer = await house.http.request(method, path + rest, headers=OTHER)

    assert (404, "not_found") == refused(answer)[:2]
    del created["secret"]
    assert created == ok(await house.get(path))


@pytest.mark.parametrize(("method", "rest"), OF_A_WEBHOOK, ids=names(OF_A_WEBHOOK))
@pytest.mark.parametrize("webhook_id", [NO_SUCH_ID, "me", "%00"], ids=["none", "word", "nul"])
async def test_no_such_webhook(shared: House, method: str, rest: str, webhook_id: str) -> None:
    """An id that is not there and one that cannot be are not found."""
    answer = await shared.http.request(
        method, f"/v1/webhooks/{webhook_id}{rest}", headers=shared.bearer
    )

    assert (404, "not_found") == refused(answer)[:2]


# Deleting, rotating, switching


async def test_deleting(house: House) -> None:
    """A deleted webhook is gone."""
    path = f"/v1/webhooks/{(await hook(house))['webhook_id']}"

    deleted = await house.http.delete(path, headers=house.bearer)

    assert (204, b"") == (deleted.status_code, deleted.content)
    assert (404, "not_found") == refused(await house.get(path))[:2]
    assert [] == ok(await house.get("/v1/webhooks"))["data"]


async def test_rotating(house: House) -> None:
    """A rotation shows a new secret, and until when the old one signs too."""
    created = await hook(house)
    path = f"/v1/webhooks/{created['webhook_id']}"

    rotated = ok(await house.post(f"{path}/rotate"))
    during = ok(await house.get(path))
    house.clock.advance(DAY_SECONDS)
    after = ok(await house.get(path))

    assert created["secret"] != rotated["secret"]
    until = format_time(house.clock.now())
    del created["secret"], rotated["secret"]
    assert created | {"old_secret_expires_at": until} == rotated == during
    assert created == after


async def test_rotating_with_an_idempotency_key(house: House) -> None:
    """A rotation whose answer was lost is not done twice."""
    path = f"/v1/webhooks/{(await hook(house))['webhook_id']}/rotate"

    first = await house.post(path, Idempotency_Key="k")
    again = await house.post(path, Idempotency_Key="k")

    assert ok(first) == ok(again)


async def test_disabling_and_enabling(house: House) -> None:
    """Both answer the webhook; done twice they answer the same."""
    created = await hook(house)
    del created["secret"]
    path = f"/v1/webhooks/{created['webhook_id']}"

    disabled = [ok(await house.post(f"{path}/disable")) for _ in range(2)]
    found = ok(await house.get(path))
    enabled = [ok(await house.post(f"{path}/enable")) for _ in range(2)]

    expected = created | {"status": "disabled", "disabled_reason": "requested"}
    assert [expected] * 3 == [*disabled, found]
    assert [created] * 2 == enabled


@pytest.mark.parametrize("rest", ["rotate", "disable", "enable", "test"])
async def test_calls_without_a_body_take_none(house: House, rest: str) -> None:
    """An empty object is no body; anything in it is refused."""
    path = f"/v1/webhooks/{(await hook(house))['webhook_id']}/{rest}"

    empty = await house.post(path, {})
    full = await house.post(path, {"reason": "because"})

    assert 200 == empty.status_code
    assert (400, "invalid_request") == refused(full)[:2]


# Secrets


async def test_secrets_stay_secret(house: House, log: io.BytesIO) -> None:
    """A secret is in the one answer that shows it: in no other, no log, and sealed on the disk."""
    created = await hook(house)
    path = f"/v1/webhooks/{created['webhook_id']}"
    rotated = ok(await house.post(f"{path}/rotate", Idempotency_Key="k"))

    answers: list[Any] = [
        (await house.get(path)).text,
        (await house.get("/v1/webhooks")).text,
        (await house.post(f"{path}/disable")).text,
        (await house.post(f"{path}/enable")).text,
    ]

    files = house.relay.settings.data_dir.glob("relay.db*")
    disk = b"".join(file.read_bytes() for file in files)
    memory = repr(house.relay.store.directory.webhooks(INTEGRATOR.id))
    for secret in (created["secret"], rotated["secret"]):
        bare = secret.removeprefix("whsec_")
        assert not any(bare in answer for answer in answers)
        assert bare not in memory
        assert bare.encode() not in log.getvalue()
        assert bare.encode() not in disk
    assert "whsec_" not in "".join(answers) + memory
    assert URL not in memory
