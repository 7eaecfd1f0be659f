"""The HTTP API of just-in-time access: its shapes and statuses (C29 to C34)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.reception import (
    ALICE,
    BOB,
    CALL,
    CAROL,
    ENTITLEMENT,
    MALLORY,
    OWN_ENTITLEMENT,
    OWN_ROLE,
    PROJECT,
    ROLE,
    done,
    reception,
    refused,
)
from tests.relay.simulator import START

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases.jit.catalog import JitCases

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.relay.jit.reception import Reception

pytestmark = pytest.mark.anyio

ROLES = f"/projects/{PROJECT}/roles"
REQUEST = "/activation-request"


@pytest.fixture(scope="module")
async def office(
    anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Reception, None]:
    """A relay where clicks decide, shared by the tests of this file."""
    del anyio_backend
    async with reception(tmp_path_factory.mktemp("reception")) as running:
        yield running


async def test_c29_an_outdated_page_is_told_to_refresh(office: Reception) -> None:
    """The root of the API is 404 with where the page is now, without login and header."""
    answer = await office.house.http.get("/jit/api")

    assert refused(answer) == (
        404,
        "not_found",
        f"This is an outdated version of the page; refresh it: {office.house.url}/jit/",
    )


async def test_c29_policy(office: Reception) -> None:
    """A page is told who is signed in and what it has to know."""
    policy = done(await office.get(ALICE, "/policy"))

    assert {
        "justificationHint": "Bug or case number",
        "signedInUser": {"email": ALICE},
        "applicationVersion": office.house.relay.usecases.info.policy.version,
        "defaultActivationTimeout": 60,
        "maxActivationTimeout": 120,
    }.items() <= policy.items()
    assert policy.keys() == {
        "justificationHint",
        "signedInUser",
        "applicationVersion",
        "defaultActivationTimeout",
        "maxActivationTimeout",
        "approval",
        "maxRoles",
        "minReviewers",
        "maxReviewers",
        "required",
    }


async def test_c30_projects(office: Reception) -> None:
    """A person is shown where they may activate something, and nothing else."""
    assert {"projects": [PROJECT]} == done(await office.get(ALICE, "/projects"))
    assert {"projects": []} == done(await office.get(MALLORY, "/projects"))


async def test_c30_roles(office: Reception) -> None:
    """Each role is told with its id, condition, kind and status."""
    found = done(await office.get(ALICE, ROLES))

    by_name = {one["name"]: one for one in found["entitlements"]}
    assert found.keys() == {"entitlements", "warnings"}
    assert found["warnings"] == []
    assert by_name[ROLE] == {
        "id": ENTITLEMENT,
        "name": ROLE,
        "activationType": "MPA",
        "status": "INACTIVE",
    }
    assert by_name["roles/storage.admin"]["resourceCondition"] == (
        'resource.name.startsWith("logs-")'
    )
    assert by_name["roles/storage.admin"]["activationType"] == "JIT"
    assert len(by_name) == 3


async def test_c31_peers(office: Reception) -> None:
    """The peers of a role are the others who may activate it with peers."""
    found = await office.get(ALICE, f"/projects/{PROJECT}/peers", id=ENTITLEMENT)

    assert {"peers": [{"email": BOB}, {"email": CAROL}]} == done(found)


async def test_c31_the_role_is_of_the_project(office: Reception) -> None:
    """An id of another project than the path's is an argument that does not fit."""
    answers = [
        await office.get(ALICE, "/projects/project-2/peers", id=ENTITLEMENT),
        await office.get(ALICE, f"/projects/{PROJECT}/peers", id="no-id"),
        await office.get(ALICE, f"/projects/{PROJECT}/peers"),
    ]

    assert [(400, "invalid_request")] * 3 == [refused(answer)[:2] for answer in answers]


async def test_c32_self_activate(office: Reception) -> None:
    """What somebody activated alone is told as a request is, and is active from now on."""
    activated = await office.activate(ALICE, activationTimeout=5)

    (entitlement,) = activated["entitlements"]
    assert (START, START + 300) == (entitlement.pop("startTime"), entitlement.pop("endTime"))
    assert entitlement.pop("activationId")
    assert entitlement == {
        "projectId": PROJECT,
        "id": OWN_ENTITLEMENT,
        "name": OWN_ROLE,
        "status": "ACTIVE",
    }
    assert {"beneficiary": {"email": ALICE}, "reviewers": [], "isBeneficiary": True}.items() <= (
        activated.items()
    )
    assert office.around.cloud.has_role(ALICE, PROJECT, OWN_ROLE)
    shown = done(await office.get(ALICE, ROLES))["entitlements"]
    (role,) = [one for one in shown if one["name"] == OWN_ROLE]
    assert ("ACTIVE", START + 300) == (role["status"], role["validUntil"])


async def test_c33_a_request(office: Reception) -> None:
    """A request is answered as its view, and read again by its token."""
    asked = await office.ask(ALICE, BOB, CAROL, justification="BUG-33")
    token = asked["activation"]

    seen = done(await office.get(BOB, REQUEST, activation=token))

    (entitlement,) = seen["entitlements"]
    assert entitlement.pop("activationId").startswith("mpa-")
    assert entitlement == {
        "projectId": PROJECT,
        "id": ENTITLEMENT,
        "name": ROLE,
        "status": "ACTIVATION_PENDING",
        "startTime": START,
        "endTime": START + 1_800,
    }
    assert {
        "beneficiary": {"email": ALICE},
        "reviewers": [{"email": BOB}, {"email": CAROL}],
        "isBeneficiary": False,
        "isReviewer": True,
        "justification": "BUG-33",
        "approval": "click",
        "required": 1,
        "approvals": [],
        "requestTime": START,
        "expiryTime": START + 1_800,
    }.items() <= seen.items()
    assert (asked["isBeneficiary"], asked["isReviewer"]) == (True, False)


async def test_c33_approve(office: Reception) -> None:
    """A reviewer's POST approves: the role is active, and everybody concerned sees that."""
    asked = await office.ask(ALICE, BOB, justification="BUG-34")

    approved = done(await office.post(BOB, REQUEST, activation=asked["activation"]))

    assert approved["entitlements"][0]["status"] == "ACTIVE"
    assert approved["approvals"] == [{"email": BOB}]
    assert office.around.cloud.has_role(ALICE, PROJECT, ROLE)
    seen = done(await office.get(ALICE, REQUEST, activation=asked["activation"]))
    assert seen["entitlements"] == approved["entitlements"]


async def test_deny_and_withdraw(office: Reception) -> None:
    """A reviewer may deny, and who asked may take it back; both are told in the status."""
    first = await office.ask(ALICE, BOB, justification="BUG-35")
    second = await office.ask(ALICE, BOB, justification="BUG-36")

    denied = await office.post(BOB, f"{REQUEST}/deny", activation=first["activation"])
    withdrawn = await office.post(ALICE, f"{REQUEST}/withdraw", activation=second["activation"])

    assert done(denied)["entitlements"][0]["status"] == "DENIED"
    assert done(withdrawn)["entitlements"][0]["status"] == "WITHDRAWN"


async def test_lists(office: Reception) -> None:
    """Requests are listed for who made them and for who may decide them, page by page."""
    asked = [await office.ask(ALICE, CAROL, justification=f"BUG-4{n}") for n in range(3)]
    newest_first = [one["justification"] for one in reversed(asked)]

    path = "/activation-requests"
    page = done(await office.get(CAROL, path, role="reviewer", limit=2))
    rest = done(await office.get(CAROL, path, role="reviewer", limit=1, cursor=page["next_cursor"]))
    own = done(await office.get(ALICE, path, role="beneficiary", limit=3))

    assert newest_first == [one["justification"] for one in (*page["data"], *rest["data"])]
    assert newest_first == [one["justification"] for one in own["data"]]
    assert {"data": [], "next_cursor": None} == done(
        await office.get(MALLORY, path, role="reviewer")
    )
    assert (400, "invalid_request") == refused(await office.get(ALICE, path))[:2]
    assert (400, "invalid_request") == refused(await office.get(ALICE, path, role="boss"))[:2]


async def test_active_and_revoke(office: Reception) -> None:
    """Active access is listed, and ends when its owner says so."""
    activated = await office.activate(ALICE, f"{PROJECT}:{OWN_ROLE}", justification="BUG-50")
    activation_id = activated["entitlements"][0]["activationId"]
    listed = done(await office.get(ALICE, "/activations", limit=1))["data"]

    ended = done(await office.post(ALICE, f"/activations/{activation_id}/revoke"))

    assert [activation_id] == [one["activationId"] for one in listed]
    assert {
        "projectId": PROJECT,
        "name": OWN_ROLE,
        "beneficiary": {"email": ALICE},
        "approvers": [],
        "justification": "BUG-50",
        "status": "ACTIVE",
    }.items() <= listed[0].items()
    assert ended["status"] == "REVOKED"
    assert not office.around.cloud.has_role(ALICE, PROJECT, OWN_ROLE)


async def test_c34_the_header_is_required(office: Reception) -> None:
    """A call without X-JITACCESS: 1 is 400, whoever makes it and before all else."""
    headers = office.signed_in(ALICE)
    del headers["X-JITACCESS"]

    for more in ({}, {"X-JITACCESS": "0"}, {"X-JITACCESS": "true"}):
        answer = await office.house.http.get("/jit/api/policy", headers=headers | more)
        assert refused(answer) == (400, "invalid_request", "Send the header X-JITACCESS: 1.")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"entitlementIds":null,"justification":"x"}',
        b'{"entitlementIds":[],"justification":null}',
        b'{"entitlementIds":["a"],"justification":"x","justification":"y"}',
        b'{"entitlementIds":["a"],"justification":"x","more":1}',
        b'{"entitlementIds":["a"],"justification":"x","activationTimeout":1.5}',
        b'{"entitlementIds":["a"],"justification":"x","activationTimeout":1e999}',
    ],
    ids=lambda body: body.decode() or "nothing",
)
async def test_c34_arguments(office: Reception, body: bytes) -> None:
    """A body that is none, lacks something or has too much is 400."""
    headers = office.signed_in(ALICE) | {"Content-Type": "application/json"}

    answer = await office.house.http.post(
        f"/jit/api{ROLES}/self-activate", content=body, headers=headers
    )

    assert refused(answer)[0] == 400


async def test_c34_arguments_of_the_call(office: Reception) -> None:
    """What the use case finds wrong with an argument is 400 with a sentence."""
    empty = {"entitlementIds": [OWN_ENTITLEMENT], "justification": " "}
    own_review = {"entitlementId": ENTITLEMENT, "justification": "x", "peers": [ALICE]}

    answers = [
        await office.post(ALICE, f"{ROLES}/self-activate", empty),
        await office.post(ALICE, f"{ROLES}/request", own_review),
    ]

    assert [
        (400, "invalid_request", "Justification does not meet criteria: Bug or case number"),
        (400, "invalid_request", "peers: The beneficiary cannot be a reviewer."),
    ] == [refused(answer) for answer in answers]


async def test_c34_not_signed_in(office: Reception) -> None:
    """Without a token a call is 401, and a page is told where to sign in."""
    answer = await office.house.http.get("/jit/api/policy", headers=CALL)

    assert refused(answer)[:2] == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="quorumkey"'
    assert answer.json()["details"] == {"sign_in": "/jit/sign-in"}


async def test_c34_forbidden(office: Reception) -> None:
    """What is not yours is 403 with the one text."""
    answer = await office.get(MALLORY, f"/projects/{PROJECT}/peers", id=ENTITLEMENT)

    assert refused(answer) == (403, "forbidden", FORBIDDEN.message)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/organizations/1/roles",
        "/folders/1/roles",
        "/projects/",
        "/projects/a:b/roles",
        f"/projects/{PROJECT}/roles/",
        "/activations/no-uuid/revoke",
        "/policy/",
    ],
)
async def test_c34_unknown_paths(office: Reception, path: str) -> None:
    """Another kind of scope and any other path is 404, in the form of this API."""
    verb = "POST" if path.endswith("revoke") else "GET"

    answer = await office.house.http.request(
        verb, f"/jit/api{path}", headers=office.signed_in(ALICE)
    )

    assert refused(answer)[:2] == (404, "not_found")


async def test_c34_methods(office: Reception) -> None:
    """A method that a path does not have is 405 with those that it has; HEAD is GET."""
    http, headers = office.house.http, office.signed_in(ALICE)
    wrong = await http.delete("/jit/api/policy", headers=headers)
    wrong_at_root = await http.post("/jit/api", headers=headers)
    head = await http.head("/jit/api/policy", headers=headers)
    options = await http.options(f"/jit/api{REQUEST}")

    for answer in (wrong, wrong_at_root):
        assert refused(answer)[:2] == (405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert (head.status_code, head.content) == (200, b"")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


async def test_c34_not_acceptable(office: Reception) -> None:
    """Who takes no JSON is 406."""
    headers = office.signed_in(ALICE) | {"Accept": "text/html"}

    answer = await office.house.http.get("/jit/api/policy", headers=headers)

    assert refused(answer)[:2] == (406, "not_acceptable")


async def test_c34_the_state_of_the_server(
    office: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is 500 and a store that is gone 503, both in the form of this API."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    def gone(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(JitCases, "policy", fail)
    defect = await office.get(ALICE, "/policy")
    monkeypatch.setattr(JitCases, "policy", gone)
    unreachable = await office.get(ALICE, "/policy")

    assert refused(defect)[:2] == (500, "internal_error")
    assert refused(unreachable)[:2] == (503, "store_unavailable")
    assert unreachable.headers["retry-after"] == "1"


async def test_c34_a_backend_that_fails(office: Reception) -> None:
    """A source of policies that cannot be read is 502, and a mail server that is down too."""
    text = office.around.policy_file.read_text()
    office.around.policy_file.write_text("no policy")
    unreadable = await office.get(ALICE, ROLES)
    office.around.policy_file.write_text(text)
    office.around.mail.behaviour.replies["DATA"] = "451 Try again later"
    body = {"entitlementId": ENTITLEMENT, "justification": "BUG-60", "peers": [BOB]}
    unsent = await office.post(ALICE, f"{ROLES}/request", body)
    del office.around.mail.behaviour.replies["DATA"]

    assert [(502, "backend_failed")] * 2 == [refused(unreadable)[:2], refused(unsent)[:2]]


async def test_c34_health(office: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes ask without login and header; a relay that cannot serve is 503, with the reasons."""
    http, relay = office.house.http, office.house.relay

    def not_ready(_relay: object) -> list[str]:
        return ["the store cannot be written"]

    relay.alarms.raise_alarm("jit_end", "one", "A role could not be taken back.")
    alive, ready = await http.get("/health/alive"), await http.get("/health/ready")
    monkeypatch.setattr(type(relay), "ready", not_ready)
    unready, still_alive = await http.get("/health/ready"), await http.get("/health/alive")

    for answer in (alive, still_alive):
        assert (200, {"healthy": True, "details": {}}) == (answer.status_code, answer.json())
    assert (200, True) == (ready.status_code, ready.json()["healthy"])
    assert "A role could not be taken back." in ready.json()["details"]["warnings"]
    assert (503, False) == (unready.status_code, unready.json()["healthy"])
    assert ["the store cannot be written"] == unready.json()["details"]["problems"]
