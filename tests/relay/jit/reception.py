"""A served relay with just-in-time access, and all that is around it.

An identity provider, Google Cloud and a mail server are stand-ins that speak the real protocols;
who may activate what stands in a policy file.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import yaml
from tests.relay.api.harness import INTEGRATOR, House, house
from tests.relay.mail.mail_server import MailServer, mail_server
from tests.relay.simulator import ManualClock

from quorumkey_relay.standins.google_cloud import GoogleCloud, start_google_cloud
from quorumkey_relay.standins.oidc import CLIENT_ID, OidcStandIn, start_oidc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    import httpx2

ALICE, BOB, CAROL, DAVE = (f"{name}@example.com" for name in ("alice", "bob", "carol", "dave"))
#: Knows how to sign in, and may activate nothing at all.
MALLORY = "mallory@example.com"

PROJECT = "project-1"
ROLE = "roles/compute.admin"
ENTITLEMENT = f"{PROJECT}:{ROLE}"
OWN_ROLE = "roles/browser"
OWN_ENTITLEMENT = f"{PROJECT}:{OWN_ROLE}"

CALL = {"X-JITACCESS": "1"}
PROXY_AUDIENCE = "/projects/1/apps/access"
NOTHING: Mapping[str, object] = MappingProxyType({})


def eligible(role: str, marker: str, *people: str, condition: str = "") -> dict[str, Any]:
    """A binding that lets people activate a role."""
    expression = f"has({{}}.{marker})" + (f" && {condition}" if condition else "")
    return {
        "role": role,
        "members": [f"user:{person}" for person in people],
        "condition": {"title": "Eligible", "expression": expression},
    }


BINDINGS = [
    eligible(ROLE, "multiPartyApprovalConstraint", ALICE, BOB, CAROL),
    eligible(OWN_ROLE, "jitAccessConstraint", ALICE),
    eligible(
        "roles/storage.admin",
        "jitAccessConstraint",
        ALICE,
        condition='resource.name.startsWith("logs-")',
    ),
]
#: Dave's project, of which the others know nothing.
OTHER_BINDINGS = [eligible("roles/owner", "jitAccessConstraint", DAVE)]


@dataclass
class Around:
    """What the relay works with."""

    oidc: OidcStandIn
    cloud: GoogleCloud
    mail: MailServer
    policy_file: Path
    bindings: list[dict[str, Any]] = field(default_factory=lambda: list(BINDINGS))

    def write_policies(self) -> None:
        """Write down who may activate what."""
        projects = {PROJECT: {"bindings": self.bindings}, "project-2": {"bindings": OTHER_BINDINGS}}
        self.policy_file.write_text(json.dumps({"projects": projects}))


@dataclass
class Reception:
    """The relay and what people do with it; each signs in with a real token."""

    house: House
    around: Around

    def signed_in(self, person: str) -> dict[str, str]:
        """The headers of somebody's call."""
        return CALL | {"Authorization": f"Bearer {self.around.oidc.id_token(person)}"}

    async def get(self, person: str, path: str, **query: str | int) -> httpx2.Response:
        """Read as a person."""
        headers = self.signed_in(person)
        return await self.house.http.get(f"/jit/api{path}", params=query, headers=headers)

    async def post(
        self, person: str, path: str, body: object = None, **query: str
    ) -> httpx2.Response:
        """Act as a person."""
        headers = self.signed_in(person)
        return await self.house.http.post(
            f"/jit/api{path}", json=body, params=query, headers=headers
        )

    async def activate(self, person: str = ALICE, *ids: str, **members: object) -> dict[str, Any]:
        """Roles that somebody has activated alone."""
        body = {"entitlementIds": list(ids or (OWN_ENTITLEMENT,)), "justification": "BUG-1"}
        return done(
            await self.post(person, f"/projects/{PROJECT}/roles/self-activate", body | members)
        )

    async def ask(self, person: str = ALICE, *peers: str, **members: object) -> dict[str, Any]:
        """A request for the role that peers approve."""
        body = {
            "entitlementId": ENTITLEMENT,
            "justification": "BUG-12345",
            "peers": list(peers or (BOB,)),
            "activationTimeout": 30,
        }
        return done(await self.post(person, f"/projects/{PROJECT}/roles/request", body | members))


def done(answer: httpx2.Response) -> dict[str, Any]:
    """The body of a success."""
    assert answer.status_code == 200, answer.text
    return cast("dict[str, Any]", answer.json())


def refused(answer: httpx2.Response) -> tuple[int, str, str]:
    """Status, code and message of a refusal, whose form is checked (C34)."""
    document = cast("dict[str, Any]", answer.json())
    assert document.keys() - {"details"} == {"code", "message"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status_code, str(document["code"]), str(document["message"])


@asynccontextmanager
async def reception(
    folder: Path,
    changes: Mapping[str, object] = NOTHING,
    *,
    clock: ManualClock | None = None,
    limits: Mapping[str, object] = NOTHING,
    is_behind_proxy: bool = False,
) -> AsyncGenerator[Reception, None]:
    """A relay whose file has these members beside, or instead of, the usual ones."""
    clock = clock or ManualClock()
    data_dir = folder / "data"
    async with AsyncExitStack() as stack:
        oidc = await stack.enter_async_context(start_oidc(now=clock.now, algorithm="ES256"))
        cloud = await stack.enter_async_context(
            start_google_cloud(folder / "google", now=clock.now)
        )
        cloud.put_policy(PROJECT, [])
        around = Around(oidc, cloud, stack.enter_context(mail_server()), folder / "policies.json")
        around.write_policies()
        settings = _settings(around, folder) | dict(changes)
        if is_behind_proxy:
            keys = {"audience": PROXY_AUDIENCE, "jwks_url": oidc.proxy_jwks_url}
            settings["identity"] = {"proxy": keys}
        said = yaml.safe_dump(settings)
        jit_file = private(folder / "jit.yaml", said)
        # The integrator whose devices approve has to be there before the file names it.
        async with house(data_dir, clock):
            pass
        served = await stack.enter_async_context(
            house(data_dir, clock, jit_file=jit_file, ca_file=cloud.files.ca_file, **limits)
        )
        yield Reception(served, around)


def _settings(around: Around, folder: Path) -> dict[str, Any]:
    secret = private(folder / "client-secret", around.oidc.client_secret)
    return {
        "integrator": INTEGRATOR.id,
        "identity": {
            "oidc": {
                "issuer": around.oidc.issuer,
                "audiences": [CLIENT_ID],
                "client_id": CLIENT_ID,
                "client_secret_file": str(secret),
            }
        },
        "eligibility": {"file": str(around.policy_file)},
        "executors": [
            {
                "kind": "gcp_iam",
                "name": "cloud",
                "url": around.cloud.url,
                "service_account_file": str(around.cloud.files.service_account_file),
            }
        ],
        "activation": {"approval": "click"},
        "notification": {
            "mail": {
                "sender_address": "access@example.com",
                "host": "127.0.0.1",
                "port": around.mail.port,
                "security": "none",
            }
        },
    }


def private(path: Path, text: str) -> Path:
    """A file that nobody else may read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path
