"""Policies that are handed in over HTTP, by an API key of scope admin."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.api import harness
from tests.relay.api.harness import INTEGRATOR, OTHER_INTEGRATOR, compact, ok
from tests.relay.jit.reception import ALICE, BINDINGS, OWN_ENTITLEMENT, PROJECT, done, reception
from tests.relay.simulator import START

from quorumkey_relay.domain.jit.policy import MAX_POLICY_BYTES
from quorumkey_relay.identity.principals import ApiKey
from quorumkey_relay.store.writes import PutApiKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2
    from tests.relay.jit.reception import Reception

    from quorumkey_relay.identity.principals import Integrator

pytestmark = pytest.mark.anyio

ADMIN = "qk_test_" + "3c" * 32
OTHER_ADMIN = "qk_test_" + "4d" * 32
#: How long an answer may take before a test gives up.
PATIENCE_SECONDS = 20
PATH = f"/v1/jit/policies/{PROJECT}"


async def admin_key(office: Reception, integrator: Integrator, text: str) -> None:
    """Give an integrator an API key of scope admin."""
    key = ApiKey(
        key_id=text[-36:],
        integrator_id=integrator.id,
        scope="admin",
        name="policies",
        digest=hashlib.sha256(text.encode()).digest(),
        created_at=START,
    )
    await office.house.relay.store.commit((PutApiKey(key),))


@pytest.fixture(scope="module")
async def office(
    anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Reception, None]:
    """A relay that takes its policies through the API."""
    del anyio_backend
    folder = tmp_path_factory.mktemp("reception")
    async with reception(folder, {"eligibility": {"api": True}}) as running:
        await admin_key(running, INTEGRATOR, ADMIN)
        await admin_key(running, OTHER_INTEGRATOR, OTHER_ADMIN)
        yield running


async def call(
    office: Reception, verb: str, path: str = PATH, body: object = None, key: str = ADMIN
) -> httpx2.Response:
    """Call with an API key."""
    headers = {"Authorization": f"Bearer {key}"}
    return await office.house.http.request(verb, path, json=body, headers=headers)


async def test_a_policy_is_put_read_listed_and_removed(office: Reception) -> None:
    """What is handed in counts at once, and no more once it is removed."""
    policy = {"bindings": BINDINGS, "etag": "BwX", "version": 3}

    put = ok(await call(office, "PUT", body=policy))
    again = ok(await call(office, "PUT", body=policy))
    activated = await office.activate()
    listed = ok(await call(office, "GET", "/v1/jit/policies"))
    read = ok(await call(office, "GET"))
    removed = await call(office, "DELETE")
    body = {"entitlementIds": [OWN_ENTITLEMENT], "justification": "BUG-1"}
    after = await office.post(ALICE, f"/projects/{PROJECT}/roles/self-activate", body)

    view = {
        "project": PROJECT,
        "revision": 1,
        "size_bytes": len(compact(policy)),
        "changed_at": "2027-01-15T08:00:00Z",
    }
    assert view == put == again
    assert {"data": [view], "next_cursor": None} == listed
    assert policy == read
    assert "ACTIVE" == activated["entitlements"][0]["status"]
    assert (204, b"") == (removed.status_code, removed.content)
    assert (404, "not_found") == harness.refused(await call(office, "GET"))[:2]
    assert (404, "not_found") == harness.refused(await call(office, "DELETE"))[:2]
    assert 403 == after.status_code
    assert {"projects": []} == done(await office.get(ALICE, "/projects"))


async def test_projects_are_listed_page_by_page(office: Reception) -> None:
    """A list goes on after its cursor."""
    projects = [f"list-{n}" for n in range(3)]
    for project in projects:
        ok(await call(office, "PUT", f"/v1/jit/policies/{project}", {"bindings": []}))

    first = ok(await call(office, "GET", "/v1/jit/policies?limit=2"))
    rest = ok(await call(office, "GET", f"/v1/jit/policies?cursor={first['next_cursor']}"))

    listed: list[Any] = [*first["data"], *rest["data"]]
    assert projects == [one["project"] for one in listed]


@pytest.mark.parametrize(("verb", "path"), [("PUT", PATH), ("GET", PATH), ("DELETE", PATH)])
async def test_who_asks_for_approvals_does_not_say_who_may(
    office: Reception, verb: str, path: str
) -> None:
    """An API key of scope integrator is refused, as is none, and a key of another integrator."""
    body: object = {"bindings": []} if verb == "PUT" else None

    asking = await call(office, verb, path, body, key=harness.API_KEY)
    unknown = await call(office, verb, path, body, key="qk_test_" + "00" * 32)
    foreign = await call(office, verb, path, body, key=OTHER_ADMIN)

    assert harness.refused(asking) == (
        403,
        "forbidden",
        "This API key has another scope than admin.",
    )
    assert (401, "unauthorized") == harness.refused(unknown)[:2]
    assert (404, "not_found") == harness.refused(foreign)[:2]


async def test_an_admin_key_asks_for_no_approval(office: Reception) -> None:
    """The key that says who may is no key that asks."""
    answer = await call(office, "GET", "/v1/requests")

    assert harness.refused(answer) == (
        403,
        "forbidden",
        "This API key has another scope than integrator.",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_request"),
        ("{", "invalid_request"),
        ('{"bindings":[],"bindings":[]}', "invalid_json"),
        ('{"etag":' + "[" * 40 + "]" * 40 + "}", "invalid_json"),
        ("[]", "invalid_request"),
        ("null", "invalid_request"),
        ('{"bindings":1}', "invalid_request"),
        ('{"bindings":[1]}', "invalid_request"),
    ],
    ids=["nothing", "broken", "twice", "deep", "a-list", "null", "a-number", "no-binding"],
)
async def test_what_is_no_policy_changes_nothing(office: Reception, text: str, code: str) -> None:
    """A document that cannot be read as a whole is 400, and what was there stays."""
    path = "/v1/jit/policies/kept"
    kept = ok(await call(office, "PUT", path, {"bindings": []}))

    answer = await office.house.http.put(
        path,
        content=text.encode(),
        headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"},
    )

    assert (400, code) == harness.refused(answer)[:2]
    listed = ok(await call(office, "GET", "/v1/jit/policies"))["data"]
    assert kept in listed


async def test_a_policy_is_bounded(office: Reception) -> None:
    """A document of more than 4 MiB is 413 before it is read."""
    answer = await office.house.http.put(
        PATH,
        content=b" " * (MAX_POLICY_BYTES + 1),
        headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"},
    )

    assert (413, "payload_too_large") == harness.refused(answer)[:2]


@pytest.mark.parametrize(
    ("key", "refusal"),
    [("qk_test_" + "00" * 32, (401, "unauthorized")), (harness.API_KEY, (403, "forbidden"))],
    ids=["unknown", "of-another-scope"],
)
async def test_a_policy_is_taken_in_from_who_may_alone(
    office: Reception, key: str, refusal: tuple[int, str]
) -> None:
    """Who may not hand in policies is refused by the head of the call; no byte of it is awaited."""
    host, port = office.house.url.removeprefix("http://").split(":")
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {MAX_POLICY_BYTES}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.readuntil(b"}")
    writer.close()

    status, code = refusal
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert f'"code":"{code}"'.encode() in answer


async def test_a_relay_with_a_policy_file_takes_none(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Where a file says who may, what is handed in would say nothing, so it is refused."""
    async with reception(tmp_path_factory.mktemp("reception")) as running:
        await admin_key(running, INTEGRATOR, ADMIN)
        answer = await call(running, "PUT", body={"bindings": []})

    assert (409, "failed_precondition") == harness.refused(answer)[:2]
