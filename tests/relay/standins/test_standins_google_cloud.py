"""The stand-in for Google's Resource Manager judges as Google does."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.relay.simulator import START, ManualClock

from quorumkey_relay.standins.google_cloud import start_google_cloud
from quorumkey_relay.standins.oauth import CLOUD_PLATFORM_SCOPE, MESSAGING_SCOPE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.standins.google_cloud import GoogleCloud

pytestmark = pytest.mark.anyio

PROJECT = "project-1"
ALICE = "user:alice@example.com"
ROLE = "roles/compute.admin"
WINDOW = (
    'request.time >= timestamp("2027-01-15T08:00:00Z")'
    ' && request.time < timestamp("2027-01-15T08:10:00Z")'
)


def conditional(expression: str = WINDOW, **changes: object) -> dict[str, object]:
    """A binding with a condition."""
    condition = {"title": "For a while", "expression": expression, **changes}
    return {"role": ROLE, "members": [ALICE], "condition": condition}


class Caller:
    """Somebody who calls the Resource Manager by hand."""

    def __init__(self, cloud: GoogleCloud, clock: ManualClock, client: httpx.AsyncClient) -> None:
        self.cloud, self.clock, self.client = cloud, clock, client
        self.token = ""

    async def sign_in(self, scope: str = CLOUD_PLATFORM_SCOPE) -> httpx.Response:
        """Exchange an assertion for a token."""
        key = load_pem_private_key(self.cloud.files.service_account_key_file.read_bytes(), None)
        claims = {
            "iss": self.cloud.files.fcm_client_email,
            "aud": self.cloud.token_endpoint.url,
            "scope": scope,
            "iat": self.clock.now(),
            "exp": self.clock.now() + 3_600,
        }
        response = await self.client.post(
            self.cloud.token_endpoint.url,
            data={
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": jwt.encode(claims, key, "RS256"),  # type: ignore[arg-type]  # it is RSA
            },
        )
        self.token = response.json().get("access_token", "")
        return response

    async def call(self, method: str, body: object, project: str = PROJECT) -> httpx.Response:
        """Call a method of a project."""
        return await self.client.post(
            f"{self.cloud.url}/v1/projects/{project}:{method}",
            json=body,
            headers={"authorization": f"Bearer {self.token}"},
        )

    async def read(self) -> dict[str, Any]:
        """The project's policy."""
        response = await self.call("getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
        policy: dict[str, Any] = response.json()
        return policy

    async def write(self, *bindings: dict[str, object], **changes: object) -> httpx.Response:
        """Write bindings over what is there now."""
        policy = {**await self.read(), "version": 3, "bindings": [*bindings], **changes}
        return await self.call("setIamPolicy", {"policy": policy})


@pytest.fixture
async def caller(credentials_folder: Path, anyio_backend: object) -> AsyncGenerator[Caller, None]:
    """Somebody who has signed in, and a project without bindings."""
    del anyio_backend
    clock = ManualClock()
    async with start_google_cloud(credentials_folder, now=clock.now) as cloud:
        cloud.put_policy(PROJECT, [])
        context = ssl.create_default_context(cafile=cloud.files.ca_file)
        async with httpx.AsyncClient(http2=True, verify=context) as client:
            ready = Caller(cloud, clock, client)
            await ready.sign_in()
            yield ready


async def test_what_is_written_is_read(caller: Caller) -> None:
    """A policy comes back with another etag."""
    before = await caller.read()

    response = await caller.write(conditional())

    after = await caller.read()
    assert (200, [conditional()]) == (response.status_code, after["bindings"])
    assert before["etag"] != after["etag"]


@pytest.mark.parametrize("status", [409, 412])
async def test_an_old_etag_is_refused(caller: Caller, status: int) -> None:
    """What was read before somebody else's change is not written."""
    caller.cloud.faults.conflicts = 1
    caller.cloud.faults.conflict_status = status

    refused = await caller.write(conditional())
    taken = await caller.write(conditional())

    assert (status, 200) == (refused.status_code, taken.status_code)


async def test_conditions_are_read_as_version_3(caller: Caller) -> None:
    """Whoever asks for an older form of a policy with conditions is refused."""
    await caller.write(conditional())

    older = await caller.call("getIamPolicy", {})
    unknown = await caller.call("getIamPolicy", {"options": {"requestedPolicyVersion": 2}})

    assert (400, 400) == (older.status_code, unknown.status_code)


async def test_conditions_are_written_as_version_3(caller: Caller) -> None:
    """Also a policy that leaves conditional bindings out says that it knew of them."""
    first = await caller.write(conditional(), version=1)
    await caller.write(conditional())
    last = await caller.write(version=1)

    assert (400, 400) == (first.status_code, last.status_code)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true &&& true #",
        "(request.time",
        "request.time]",
        "alice.is.nice",
        'request.time < timestamp("yesterday")',
        '"open',
    ],
    ids=["empty", "signs", "open", "closed", "name", "time", "quote"],
)
async def test_what_is_no_condition_is_refused(caller: Caller, expression: str) -> None:
    """Unknown signs, unknown names, and brackets that do not match."""
    assert 400 == (await caller.write(conditional(expression))).status_code


@pytest.mark.parametrize(
    "binding",
    [
        {"role": "compute.admin", "members": [ALICE]},
        {"role": ROLE, "members": []},
        {"role": ROLE, "members": ["alice@example.com"]},
        {"role": ROLE, "members": [7]},
        {"role": ROLE},
        {"role": ROLE, "members": [ALICE], "colour": "red"},
        {**conditional(), "role": "roles/owner"},
        conditional(title=""),
        conditional(title="t" * 101),
        conditional(description="d" * 257),
        conditional(colour="red"),
        {**conditional(), "condition": "true"},
    ],
    ids=[
        "role",
        "nobody",
        "member",
        "number",
        "no_members",
        "unknown",
        "basic",
        "no_title",
        "title",
        "description",
        "condition",
        "text",
    ],
)
async def test_what_is_no_binding_is_refused(caller: Caller, binding: dict[str, object]) -> None:
    """Nothing of the policy is written, and the error is Google's."""
    response = await caller.write(binding)

    assert (400, "INVALID_ARGUMENT") == (response.status_code, response.json()["error"]["status"])
    assert [] == caller.cloud.bindings(PROJECT)


async def test_what_is_no_policy_is_refused(caller: Caller) -> None:
    """A policy is an object whose bindings are a list."""
    nothing = await caller.call("setIamPolicy", {})
    no_list = await caller.write(bindings={})

    assert (400, 400) == (nothing.status_code, no_list.status_code)


async def test_bindings_of_one_role_and_condition_are_one(caller: Caller) -> None:
    """Google merges them, so a reader meets several members."""
    bob = {**conditional(), "members": ["user:bob@example.com"]}

    await caller.write(conditional(), bob)

    (binding,) = caller.cloud.bindings(PROJECT)
    assert [ALICE, "user:bob@example.com"] == binding["members"]


async def test_who_has_a_role_depends_on_the_clock(caller: Caller) -> None:
    """A window opens with its first second and closes before its last."""
    await caller.write(conditional())
    had: list[bool] = []
    for second in (START - 1, START, START + 599, START + 600):
        caller.clock.seconds = second
        had.append(caller.cloud.has_role("alice@example.com", PROJECT, ROLE))

    assert [False, True, True, False] == had


@pytest.mark.parametrize(
    ("expression", "has"),
    [
        ("has({}.jitAccessConstraint)", False),
        ('request.time <= timestamp("2027-01-15T08:00:00Z")', True),
        ('request.time > timestamp("2027-01-15T08:00:00Z")', False),
        ('resource.name.startsWith("a")', True),
    ],
    ids=["eligible", "until", "after", "resource"],
)
async def test_who_has_a_role_depends_on_the_condition(
    caller: Caller, expression: str, *, has: bool
) -> None:
    """Being eligible gives nothing; a condition on resources gives some."""
    await caller.write(conditional(expression))

    assert has == caller.cloud.has_role("alice@example.com", PROJECT, ROLE)


async def test_a_binding_without_a_condition_always_holds(caller: Caller) -> None:
    """It is for its members and its role, and nobody else."""
    await caller.write({"role": ROLE, "members": [ALICE]})

    asked = [("alice@example.com", ROLE), ("bob@example.com", ROLE), ("alice@example.com", "x")]
    has = [caller.cloud.has_role(email, PROJECT, role) for email, role in asked]
    assert [True, False, False] == has


async def test_strangers_are_turned_away(caller: Caller) -> None:
    """Without a good token, in a project that is not there, or by a method that is none."""
    known = caller.token
    caller.token = "wrong"
    stranger = await caller.call("getIamPolicy", {})
    elsewhere = await caller.client.get(f"{caller.cloud.url}/v1/else")
    caller.token = known
    nowhere = await caller.call("getIamPolicy", {}, "project-2")
    nothing = await caller.call("removeIamPolicy", {})

    statuses = [one.status_code for one in (stranger, elsewhere, nowhere, nothing)]
    assert [401, 401, 403, 404] == statuses


async def test_the_scope_has_to_be_the_clouds(caller: Caller) -> None:
    """The token endpoint gives nothing for Firebase's scope here."""
    assert 400 == (await caller.sign_in(MESSAGING_SCOPE)).status_code


async def test_calls_are_kept(caller: Caller) -> None:
    """Method, project, reason and status of each; forgetting them keeps the policies."""
    await caller.write(conditional())
    calls = [(call.method, call.project, call.status) for call in caller.cloud.calls]
    caller.cloud.forget()

    assert [("getIamPolicy", PROJECT, 200), ("setIamPolicy", PROJECT, 200)] == calls
    assert ([], (PROJECT,)) == (caller.cloud.calls, caller.cloud.projects)
