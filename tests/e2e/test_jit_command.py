"""``quorumkey jit`` against a real relay on which clicks decide: every command, and who may not."""

from __future__ import annotations

import asyncio
import io
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from examples.jit_access.stagehands import Somebody, Town, open_town, served_relay
from rich.console import Console

from quorumkey_relay.demo.process import initialise
from quorumkey_relay.demo.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_logging")]

PROJECT = "project-1"
ADMIN = f"{PROJECT}:roles/compute.admin"
BROWSER = f"{PROJECT}:roles/browser"
REASON = ("--justification", "BUG-12345")
FORBIDDEN = (
    "quorumkey: forbidden: You are not allowed to do this, or what you ask for does not exist."
)


def _binding(role: str, marker: str, *names: str) -> dict[str, object]:
    return {
        "role": role,
        "members": [f"user:{name}@example.com" for name in names],
        "condition": {"title": "eligible", "expression": f"has({{}}.{marker})"},
    }


BINDINGS = [
    _binding("roles/compute.admin", "multiPartyApprovalConstraint", "alice", "bob", "carol"),
    _binding("roles/browser", "jitAccessConstraint", "alice"),
]


@asynccontextmanager
async def office(folder: Path) -> AsyncGenerator[tuple[Town, dict[str, Somebody]]]:
    """A relay whose settings say click, and four people at their terminals."""
    stage = Stage(Console(file=io.StringIO()), pace=0.0)
    made = await initialise(stage, folder / "relay", "Acme Corp")
    async with open_town(folder) as town:
        town.cloud.put_policy(PROJECT, BINDINGS)
        (folder / "policy.json").write_text(json.dumps({"project": PROJECT, "bindings": BINDINGS}))
        settings = {
            "integrator": made.integrator.id,
            "identity": {"oidc": {"issuer": town.oidc.issuer, "audiences": [town.oidc.client_id]}},
            "eligibility": {"file": "policy.json"},
            "executors": [
                {
                    "kind": "gcp_iam",
                    "name": "google",
                    "service_account_file": str(town.cloud.files.service_account_file),
                    "url": town.cloud.url,
                }
            ],
            "activation": {"approval": "click"},
            "notification": {
                "mail": {
                    "sender_address": "access@example.com",
                    "host": "127.0.0.1",
                    "port": town.mail.port,
                    "security": "none",
                },
                "push": False,
            },
        }
        jit_file = folder / "jit.yaml"
        jit_file.write_text(yaml.safe_dump(settings))
        async with served_relay(folder / "relay", jit_file, town) as url:
            names = ("alice", "bob", "carol", "eve")
            yield (
                town,
                {
                    name: Somebody(
                        name=name,
                        email=f"{name}@example.com",
                        folder=folder,
                        url=url,
                        town=town,
                        stage=stage,
                    )
                    for name in names
                },
            )


async def asked(alice: Somebody, *reviewers: str, minutes: int) -> str:
    """Ask for the role; answers the token."""
    peers = [word for name in reviewers for word in ("--peer", f"{name}@example.com")]
    request = await alice.reads("jit", "request", ADMIN, *peers, *REASON, "--minutes", str(minutes))
    return str(cast("dict[str, Any]", request)["activation"])


def status(request: object) -> str:
    """How the one role of a request stands."""
    return str(cast("dict[str, Any]", request)["roles"][0]["status"])


def test_a_click_decides(tmp_path: Path) -> None:
    """Denied, withdrawn and approved; what was approved is there, and revoked it is gone."""

    async def work() -> None:
        async with office(tmp_path) as (town, people):
            alice, bob, carol = people["alice"], people["bob"], people["carol"]
            token = await asked(alice, "bob", "carol", minutes=10)
            (waiting,) = cast("list[dict[str, Any]]", await bob.reads("jit", "review"))
            assert ("alice@example.com", 1) == (waiting["beneficiary"], waiting["required"])
            assert "DENIED" == status(await bob.reads("jit", "deny", token, "--yes"))
            token = await asked(alice, "bob", minutes=11)
            assert "WITHDRAWN" == status(await alice.reads("jit", "withdraw", token))
            token = await asked(alice, "carol", minutes=12)
            said = await alice.is_refused("jit", "approve", token, "--yes")
            assert "requester_cannot_approve" in said
            approved = await carol.reads("jit", "approve", token, "--yes")
            assert "ACTIVE" == status(approved)
            assert town.cloud.has_role(alice.email, PROJECT, "roles/compute.admin")
            (active,) = cast("list[dict[str, Any]]", await alice.reads("jit", "active"))
            assert ["carol@example.com"] == active["approvers"]
            ended = await carol.reads("jit", "revoke", active["activation_id"])
            assert "REVOKED" == cast("dict[str, Any]", ended)["status"]
            assert not town.cloud.has_role(alice.email, PROJECT, "roles/compute.admin")
            statuses = [
                status(each) for each in cast("list[object]", await alice.reads("jit", "requests"))
            ]
            assert ["REVOKED", "WITHDRAWN", "DENIED"] == statuses

    asyncio.run(work())


def test_a_stranger_is_told_one_thing(tmp_path: Path) -> None:
    """Whoever is no party, or not eligible, reads the same sentence whatever they try."""

    async def work() -> None:
        async with office(tmp_path) as (_, people):
            alice, eve = people["alice"], people["eve"]
            token = await asked(alice, "bob", minutes=10)
            activated = await alice.reads("jit", "activate", BROWSER, *REASON)
            assert "ACTIVE" == status(activated)
            (role,) = cast("dict[str, Any]", activated)["roles"]
            assert [] == await eve.reads("jit", "roles")
            listed = cast("dict[str, Any]", await eve.reads("jit", "roles", PROJECT))
            assert [] == listed["entitlements"]
            for arguments in (
                ("peers", ADMIN),
                ("peers", f"{PROJECT}:roles/nothing"),
                ("review", token),
                ("review", "nonsense"),
                ("approve", token, "--yes"),
                ("activate", BROWSER, *REASON),
                ("request", ADMIN, "--peer", "bob@example.com", *REASON),
                ("revoke", role["activation_id"]),
            ):
                said = await eve.is_refused("jit", *arguments)
                assert FORBIDDEN == re.sub(r"\s+", " ", said), arguments

    asyncio.run(work())
