"""Nobody finds out roles, peers or requests that are not theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.relay.api.harness import NO_SUCH_ID
from tests.relay.jit.reception import (
    ALICE,
    BOB,
    CALL,
    CAROL,
    DAVE,
    ENTITLEMENT,
    MALLORY,
    OWN_ENTITLEMENT,
    PROJECT,
    eligible,
    reception,
    refused,
)

from quorumkey_relay.api.jit_routes import PEOPLE_ROUTES
from quorumkey_relay.domain.jit.request import FORBIDDEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2
    from tests.relay.jit.reception import Reception

pytestmark = pytest.mark.anyio

NOT_YOURS = (403, "forbidden", FORBIDDEN.message)
HIDDEN = "project-9"


class Named(NamedTuple):
    """What a call can name."""

    project: str
    role: str
    own_role: str
    token: str
    activation_id: str


@dataclass
class Secrets:
    """What there is, and what a stranger would make up."""

    office: Reception
    token: str
    activation_id: str

    def calls(self, path: str) -> list[tuple[str, dict[str, str], Any]]:
        """Path, query and body of one route: with what exists, and with what does not."""
        real = Named(PROJECT, ENTITLEMENT, OWN_ENTITLEMENT, self.token, self.activation_id)
        made_up = Named(
            HIDDEN,
            f"{HIDDEN}:roles/owner",
            f"{HIDDEN}:roles/viewer",
            self.token[:-8] + "AAAAAAAA",
            NO_SUCH_ID,
        )
        return [_call(path, named) for named in (real, made_up)]

    async def answers(self, person: str, verb: str, path: str) -> list[httpx2.Response]:
        """What a person is answered."""
        headers = self.office.signed_in(person)
        return [
            await self.office.house.http.request(
                verb, address, params=query, json=body, headers=headers
            )
            for address, query, body in self.calls(path)
        ]


def _call(path: str, named: Named) -> tuple[str, dict[str, str], Any]:
    project, role, own_role, token, activation_id = named
    query, body = {}, None
    if path.endswith("/peers"):
        query = {"id": role}
    elif "/activation-request" in path:
        query = {"role": "reviewer"} if path.endswith("s") else {"activation": token}
    elif path.endswith("self-activate"):
        body = {"entitlementIds": [own_role], "justification": "BUG-1"}
    elif path.endswith("roles/request"):
        body = {"entitlementId": role, "justification": "BUG-1", "peers": [BOB]}
    return path.format(project=project, activation_id=activation_id), query, body


@pytest.fixture(scope="module")
async def secrets(
    anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Secrets, None]:
    """Alice has a role and asked Bob for another."""
    del anyio_backend
    async with reception(tmp_path_factory.mktemp("reception")) as office:
        activated = await office.activate()
        asked = await office.ask()
        yield Secrets(office, asked["activation"], activated["entitlements"][0]["activationId"])


ROUTES = [(route.method, route.path) for route in PEOPLE_ROUTES]
NAMES = [f"{verb} {path.removeprefix('/jit/api')}" for verb, path in ROUTES]

#: These answer about the caller alone, so a stranger's answer is empty.
OF_ONESELF = {
    "/jit/api/policy",
    "/jit/api/projects",
    "/jit/api/projects/{project}/roles",
    "/jit/api/activation-requests",
    "/jit/api/activations",
}


@pytest.mark.parametrize("person", [MALLORY, DAVE], ids=["without-access", "of-another-project"])
@pytest.mark.parametrize(("verb", "path"), ROUTES, ids=NAMES)
async def test_c25_a_stranger_learns_nothing(
    secrets: Secrets, verb: str, path: str, person: str
) -> None:
    """What exists and what does not answer alike: 403 with one text, or nothing of one's own."""
    real, made_up = await secrets.answers(person, verb, path)

    assert (real.status_code, real.content) == (made_up.status_code, made_up.content)
    if path not in OF_ONESELF:
        assert NOT_YOURS == refused(real)
    else:
        assert 200 == real.status_code
        for name in (ALICE, BOB, CAROL, PROJECT, "BUG-12345"):
            assert name not in real.text


@pytest.mark.parametrize(("verb", "path"), ROUTES, ids=NAMES)
async def test_c25_nobody_learns_less(secrets: Secrets, verb: str, path: str) -> None:
    """Who is not signed in is told so by every call, whatever it names."""
    answers = [
        await secrets.office.house.http.request(
            verb, address, params=query, json=body, headers=CALL
        )
        for address, query, body in secrets.calls(path)
    ]

    assert [(401, "unauthorized", "You are not signed in.")] * 2 == [
        refused(answer) for answer in answers
    ]


async def test_c25_a_token_alone_gives_nothing(secrets: Secrets) -> None:
    """A peer who holds the role but was not asked has no more than a stranger with the token."""
    office, token = secrets.office, secrets.token

    answers = [
        await office.get(CAROL, "/activation-request", activation=token),
        await office.post(CAROL, "/activation-request", activation=token),
        await office.post(CAROL, "/activation-request/deny", activation=token),
        await office.post(CAROL, "/activation-request/withdraw", activation=token),
    ]

    assert [NOT_YOURS] * 4 == [refused(answer) for answer in answers]


async def test_c25_what_a_party_may_not_do(secrets: Secrets) -> None:
    """Who asked cannot deny, and who was asked cannot take back."""
    office, token = secrets.office, secrets.token

    answers = [
        await office.post(ALICE, "/activation-request/deny", activation=token),
        await office.post(BOB, "/activation-request/withdraw", activation=token),
    ]

    assert [NOT_YOURS] * 2 == [refused(answer) for answer in answers]


async def test_c25_a_reviewer_who_lost_the_role(secrets: Secrets) -> None:
    """A reviewer may still see the request, but cannot approve without being eligible."""
    office, token = secrets.office, secrets.token
    bindings = office.around.bindings
    office.around.bindings = [
        eligible("roles/compute.admin", "multiPartyApprovalConstraint", ALICE, CAROL),
        *bindings[1:],
    ]
    office.around.write_policies()

    seen = await office.get(BOB, "/activation-request", activation=token)
    approved = await office.post(BOB, "/activation-request", activation=token)
    office.around.bindings = bindings
    office.around.write_policies()

    assert 200 == seen.status_code
    assert NOT_YOURS == refused(approved)


@pytest.mark.parametrize(
    "header",
    [
        "x-debug-principal",
        "x-goog-authenticated-user-email",
        "x-goog-authenticated-user-id",
        "x-forwarded-user",
        "x-forwarded-email",
        "remote-user",
    ],
)
async def test_c25_a_bare_header_is_nobody(secrets: Secrets, header: str) -> None:
    """What anybody could write into a header says nothing about who calls."""
    answer = await secrets.office.house.http.get(
        "/jit/api/policy", headers=CALL | {header: f"accounts.google.com:{ALICE}"}
    )

    assert (401, "unauthorized") == refused(answer)[:2]
