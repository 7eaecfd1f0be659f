from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from tests.sdk.clock import START, ManualClock
from tests.sdk.jit.jit_answers import (
    ACTIVATION,
    ALICE,
    BOB,
    ENTITLEMENT,
    POLICY,
    ROLES,
    TOKEN,
    active_value,
    request_value,
)
from tests.sdk.relay_double import URL, RelayDouble, answer, body_of

from quorumkey.errors import (
    ConfigurationError,
    PermissionDeniedError,
    RelayError,
    UnexpectedAnswerError,
)
from quorumkey.jit.client import (
    AccessStatus,
    ActivationType,
    ApprovalMode,
    AsyncJitClient,
    JitClient,
)

if TYPE_CHECKING:
    import httpx2

    from quorumkey.protocol import JsonValue

BASE = "/jit/api"
PROJECT = f"{BASE}/projects/project-1"
ONE = f"{BASE}/activation-request"


@pytest.fixture
def relay() -> RelayDouble:
    """A relay in memory."""
    return RelayDouble()


@pytest.fixture
def client(relay: RelayDouble) -> JitClient:
    """Alice's client."""
    return JitClient(URL, TOKEN, transport=relay.transport, sleep=ManualClock().sleep)


def _last(relay: RelayDouble) -> httpx2.Request:
    return relay.calls[-1]


def test_every_call_says_who_calls_and_that_no_page_made_it(
    relay: RelayDouble, client: JitClient
) -> None:
    """The ID token and the header that no other site's page can send are in each call."""
    relay.script(f"GET {BASE}/policy", answer(POLICY))

    policy = client.policy()

    assert (ALICE, "Bug or case number", 60, 120) == (
        policy.signed_in_user,
        policy.justification_hint,
        policy.default_minutes,
        policy.max_minutes,
    )
    assert f"Bearer {TOKEN}" == _last(relay).headers["authorization"]
    assert "1" == _last(relay).headers["x-jitaccess"]


def test_a_token_may_be_asked_for_before_each_call(relay: RelayDouble) -> None:
    """ID tokens end after an hour; who gives them is asked each time."""
    tokens = iter(["one", "two"])
    client = JitClient(URL, lambda: next(tokens), transport=relay.transport)
    relay.script(f"GET {BASE}/projects", *[answer({"projects": ["project-1"]})] * 2)

    assert ("project-1",) == client.projects() == client.projects()
    assert ["Bearer one", "Bearer two"] == [call.headers["authorization"] for call in relay.calls]


def test_what_can_be_activated(relay: RelayDouble, client: JitClient) -> None:
    """Roles with their kind and condition, and who could approve them."""
    relay.script(f"GET {PROJECT}/roles", answer(ROLES))
    relay.script(f"GET {PROJECT}/peers", answer({"peers": [{"email": BOB}]}))

    roles = client.roles("project-1")

    assert ("A group could not be read.",) == roles.warnings
    assert [
        (ENTITLEMENT, "", ActivationType.WITH_PEERS, False, None),
        ("project-1:roles/viewer:YSA9PSBi", "a == b", ActivationType.ALONE, True, START + 600),
    ] == [
        (each.id, each.condition, each.activation_type, each.is_active, each.valid_until)
        for each in roles.entitlements
    ]
    assert (BOB,) == client.peers("project-1", ENTITLEMENT)
    assert ENTITLEMENT == _last(relay).url.params["id"]


def test_asking_and_activating(relay: RelayDouble, client: JitClient) -> None:
    """A request names peers, and an activation names roles; the time is left out or given."""
    relay.script(f"POST {PROJECT}/roles/request", answer(request_value()))
    alone = request_value(
        "ACTIVE",
        reviewers=[],
        approval=None,
        required=None,
        approvals=None,
        durationMinutes=None,
        requestTime=None,
        expiryTime=None,
        activation=None,
    )
    relay.script(f"POST {PROJECT}/roles/self-activate", answer(alone))

    asked = client.request("project-1", ENTITLEMENT, justification="BUG-12345", peers=iter([BOB]))
    assert {
        "entitlementId": ENTITLEMENT,
        "justification": "BUG-12345",
        "peers": [BOB],
    } == body_of(_last(relay))
    activated = client.activate("project-1", [ENTITLEMENT], justification="BUG-12345", minutes=30)
    assert {
        "entitlementIds": [ENTITLEMENT],
        "justification": "BUG-12345",
        "activationTimeout": 30,
    } == body_of(_last(relay))

    assert (AccessStatus.PENDING, ApprovalMode.CLICK, ACTIVATION, 30) == (
        asked.status,
        asked.approval,
        asked.activation,
        asked.duration_minutes,
    )
    assert (AccessStatus.ACTIVE, None, None, ()) == (
        activated.status,
        activated.approval,
        activated.activation,
        activated.reviewers,
    )


def test_several_roles_have_no_one_status(relay: RelayDouble, client: JitClient) -> None:
    """What was activated together may stand differently."""
    entitlements = request_value("ACTIVE")["entitlements"]
    assert isinstance(entitlements, list)
    value = request_value(entitlements=[*entitlements, *entitlements])
    relay.script(f"POST {PROJECT}/roles/self-activate", answer(value))

    activated = client.activate("project-1", [ENTITLEMENT, "b:c"], justification="BUG-1")

    assert (2, None) == (len(activated.roles), activated.status)


@pytest.mark.parametrize(
    ("act", "path"),
    [
        ("approve", f"POST {ONE}"),
        ("deny", f"POST {ONE}/deny"),
        ("withdraw", f"POST {ONE}/withdraw"),
        ("get", f"GET {ONE}"),
    ],
)
def test_a_request_is_named_by_its_token(
    relay: RelayDouble, client: JitClient, act: str, path: str
) -> None:
    """Reading, approving, denying and withdrawing carry the token of the link."""
    relay.script(path, answer(request_value("ACTIVE", approvals=[{"email": BOB}])))

    request = getattr(client, act)(ACTIVATION)

    assert ((BOB,), AccessStatus.ACTIVE) == (request.approvals, request.status)
    assert {"activation": ACTIVATION} == dict(_last(relay).url.params)


def test_lists_follow_their_pages(relay: RelayDouble, client: JitClient) -> None:
    """Reviews, one's own requests and active access come page by page."""
    pages: list[JsonValue] = [
        {"data": [request_value()], "next_cursor": "c-1"},
        {"data": [request_value("DENIED")], "next_cursor": None},
    ]
    relay.script(f"GET {BASE}/activation-requests", *map(answer, pages * 2))
    relay.script(
        f"GET {BASE}/activations",
        answer({"data": [active_value(executor="Ends by itself.")], "next_cursor": "c-2"}),
        answer({"data": [active_value("REVOKING", fault="No answer.")], "next_cursor": None}),
    )

    assert [AccessStatus.PENDING, AccessStatus.DENIED] == [each.status for each in client.reviews()]
    assert {"role": "reviewer", "cursor": "c-1"} == dict(_last(relay).url.params)
    assert 2 == len([*client.requests()])
    assert {"role": "beneficiary", "cursor": "c-1"} == dict(_last(relay).url.params)
    first, second = client.activations()
    assert ("Ends by itself.", None, (BOB,)) == (first.executor, first.fault, first.approvers)
    assert (AccessStatus.REVOKING, "No answer.") == (second.status, second.fault)


def test_revoking(relay: RelayDouble, client: JitClient) -> None:
    """Access is ended by its id."""
    relay.script(f"POST {BASE}/activations/a/b/revoke", answer(active_value("REVOKED")))

    assert AccessStatus.REVOKED is client.revoke("a/b").status
    assert f"{BASE}/activations/a%2Fb/revoke".encode() == _last(relay).url.raw_path


def test_refusals_are_read(relay: RelayDouble, client: JitClient) -> None:
    """These calls write an error's members at the top; they are the same errors."""
    text = "You are not allowed to do this, or what you ask for does not exist."
    refused: JsonValue = {"code": "forbidden", "message": text, "details": {"a": 1}}
    relay.script(f"GET {ONE}", answer(refused, 403))

    with pytest.raises(PermissionDeniedError) as caught:
        client.get(ACTIVATION)

    assert ("forbidden", text, {"a": 1}) == (
        caught.value.code,
        caught.value.message,
        caught.value.details,
    )


def test_what_is_not_set_up_is_not_asked_for_again(relay: RelayDouble, client: JitClient) -> None:
    """A relay that lacks a setting will lack it a second later; one whose mail fails may not."""
    path = f"POST {PROJECT}/roles/request"
    relay.script(path, answer({"code": "not_configured", "message": "No mail."}, 500))
    with pytest.raises(RelayError, match="No mail"):
        client.request("project-1", ENTITLEMENT, justification="BUG-1", peers=[BOB])
    assert 1 == len(relay.calls)
    relay.script(
        path,
        answer({"code": "backend_failed", "message": "No answer."}, 502),
        answer(request_value()),
    )

    assert client.request("project-1", ENTITLEMENT, justification="BUG-1", peers=[BOB]).activation
    assert 3 == len(relay.calls)


def test_activating_is_sent_once(relay: RelayDouble, client: JitClient) -> None:
    """A second call would begin the time anew."""
    relay.script(f"POST {PROJECT}/roles/self-activate", answer({}, 503))

    with pytest.raises(RelayError):
        client.activate("project-1", [ENTITLEMENT], justification="BUG-1")

    assert 1 == len(relay.calls)


def test_calls_that_wait_for_others_have_more_time(relay: RelayDouble, client: JitClient) -> None:
    """A relay that asks a mail server or a target before it answers is waited for longer."""
    relay.script(f"GET {ONE}", answer(request_value()))
    relay.script(f"POST {ONE}", answer(request_value("ACTIVE")))

    client.get(ACTIVATION)
    client.approve(ACTIVATION)

    read, approved = (call.extensions["timeout"]["read"] for call in relay.calls)
    assert (10, 40) == (read, approved)


def test_an_answer_of_another_form_is_none(relay: RelayDouble, client: JitClient) -> None:
    """A status that nobody knows is no answer."""
    relay.script(f"GET {ONE}", answer(request_value("PERHAPS")))

    with pytest.raises(UnexpectedAnswerError, match="status"):
        client.get(ACTIVATION)


@pytest.mark.parametrize("token", ["", "two\nlines", "é", "x" * 16_385])
def test_tokens_that_could_not_travel(token: str) -> None:
    """An ID token is one line of printable ASCII, and not longer than a relay reads."""
    with pytest.raises(ConfigurationError, match="ID token"), JitClient(URL, token) as client:
        client.policy()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and token come from variables, and what is missing is named."""
    monkeypatch.delenv("QUORUMKEY_URL", raising=False)
    monkeypatch.delenv("QUORUMKEY_JIT_TOKEN", raising=False)
    with pytest.raises(ConfigurationError, match="QUORUMKEY_URL"):
        JitClient()
    monkeypatch.setenv("QUORUMKEY_URL", URL)
    with pytest.raises(ConfigurationError, match="QUORUMKEY_JIT_TOKEN"):
        JitClient()
    monkeypatch.setenv("QUORUMKEY_JIT_TOKEN", TOKEN)

    JitClient().close()


def test_tokens_are_in_no_repr() -> None:
    """Neither the ID token nor the token of a link is printed by accident."""
    client = JitClient(URL, TOKEN)

    assert TOKEN not in repr(vars(client))
    client.close()


def test_both_clients_have_the_same_surface() -> None:
    """The awaited client has the blocking one's methods with the same arguments."""

    def surface(kind: type[Any]) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert surface(JitClient) == surface(AsyncJitClient)


def test_the_awaited_client_asks_the_same(relay: RelayDouble) -> None:
    """Every call of the awaited client is the blocking one's."""
    scripts: dict[str, JsonValue] = {
        f"GET {BASE}/policy": POLICY,
        f"GET {BASE}/projects": {"projects": ["project-1"]},
        f"GET {PROJECT}/roles": ROLES,
        f"GET {PROJECT}/peers": {"peers": []},
        f"POST {PROJECT}/roles/self-activate": request_value("ACTIVE"),
        f"POST {PROJECT}/roles/request": request_value(),
        f"GET {ONE}": request_value(),
        f"POST {ONE}": request_value(),
        f"POST {ONE}/deny": request_value(),
        f"POST {ONE}/withdraw": request_value(),
        f"POST {BASE}/activations/a/revoke": active_value("REVOKED"),
    }
    for path, value in scripts.items():
        relay.script(path, answer(value))
    pages: list[JsonValue] = [
        {"data": [request_value()], "next_cursor": "c"},
        {"data": [], "next_cursor": None},
    ]
    relay.script(f"GET {BASE}/activation-requests", *map(answer, pages * 2))
    relay.script(
        f"GET {BASE}/activations",
        answer({"data": [active_value()], "next_cursor": "c"}),
        answer({"data": [], "next_cursor": None}),
    )

    async def everything() -> None:
        clock = ManualClock()
        async with AsyncJitClient(
            URL, TOKEN, transport=relay.transport, sleep=clock.asleep
        ) as client:
            await client.policy()
            await client.projects()
            await client.roles("project-1")
            await client.peers("project-1", ENTITLEMENT)
            await client.activate("project-1", [ENTITLEMENT], justification="BUG-1")
            await client.request("project-1", ENTITLEMENT, justification="BUG-1", peers=[BOB])
            for act in (client.get, client.approve, client.deny, client.withdraw):
                await act(ACTIVATION)
            assert 1 == len([each async for each in client.reviews()])
            assert 1 == len([each async for each in client.requests()])
            assert 1 == len([each async for each in client.activations()])
            await client.revoke("a")

    asyncio.run(everything())

    assert {*scripts, f"GET {BASE}/activation-requests", f"GET {BASE}/activations"} == {
        *relay.seen()
    }
