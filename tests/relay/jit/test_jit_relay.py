"""A whole relay with just-in-time access: its file, a mail server, Google Cloud's stand-in."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.relay.mail.mail_server import Behaviour, MailServer, mail_server
from tests.relay.simulator import (
    ACME,
    START,
    Asked,
    ManualClock,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey_relay.app import ACCESS_IS_UNWATCHED
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.standins.google_cloud import start_google_cloud
from quorumkey_relay.usecases.jit.commands import AccessRequestBody
from quorumkey_relay.usecases.jit.ports import Person

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from email.message import EmailMessage
    from pathlib import Path

    from quorumkey_relay.jit_parts import JitParts
    from quorumkey_relay.standins.google_cloud import GoogleCloud
    from quorumkey_relay.usecases.jit.views import AccessRequestView

pytestmark = pytest.mark.anyio

ALICE, BOB = Person(email="alice@example.com"), Person(email="bob@example.com")
ROLE = "roles/compute.admin"
BODY = AccessRequestBody(
    entitlement_id=f"project-1:{ROLE}",
    justification="BUG-12345",
    peers=[BOB.email],
    activation_timeout=30,
)


@dataclass
class House:
    """What a relay stands in: its folder, the clock, the mail server, Google Cloud."""

    folder: Path
    clock: ManualClock
    mail: MailServer
    cloud: GoogleCloud

    def write(self, **parts: object) -> Path:
        """Write the settings and the policy, and return the file of settings."""
        members = [f"user:{one.email}" for one in (ALICE, BOB)]
        condition = {"title": "x", "expression": "has({}.multiPartyApprovalConstraint)"}
        bindings = [{"role": ROLE, "members": members, "condition": condition}]
        (self.folder / "policy.yaml").write_text(
            yaml.safe_dump({"project": "project-1", "bindings": bindings})
        )
        settings = {
            "integrator": ACME.id,
            "identity": {"oidc": {"issuer": "https://login.example.com", "audiences": ["relay"]}},
            "eligibility": {"file": "policy.yaml"},
            "executors": [
                {
                    "kind": "gcp_iam",
                    "name": "google",
                    "service_account_file": str(self.cloud.files.service_account_file),
                    "url": self.cloud.url,
                }
            ],
            "activation": {"approval": "click"},
            "notification": {
                "mail": {
                    "sender_address": "relay@quorumkey.example",
                    "host": "127.0.0.1",
                    "port": self.mail.port,
                    "security": "none",
                    "timeout_seconds": 5,
                }
            },
            **parts,
        }
        path = self.folder / "jit.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    @asynccontextmanager
    async def relay(self, **parts: object) -> AsyncGenerator[tuple[Simulator, JitParts]]:
        """Start a relay on the folder, which has its integrators already."""
        path = self.write(**parts)
        data = self.folder / "data"
        async with simulator(data, self.clock):
            pass
        roots = self.cloud.files.ca_file
        async with simulator(data, self.clock, jit_file=path, ca_file=roots) as sim:
            assert sim.relay.jit is not None
            yield sim, sim.relay.jit  # type: ignore[misc]  # the parts, not the port of the API

    def letters(self) -> list[EmailMessage]:
        """Return what the mail server took, as mail programs read it."""
        return [message_from_bytes(one.message, policy=policy.default) for one in self.mail.taken]


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[House, None]:
    """A house with a project."""
    del anyio_backend
    clock = ManualClock()
    with mail_server() as mail:
        async with start_google_cloud(tmp_path / "google", now=clock.now) as cloud:
            cloud.put_policy("project-1", [])
            yield House(tmp_path, clock, mail, cloud)


def plain(letter: EmailMessage) -> str:
    """Return a letter's plain text."""
    part = letter.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


async def ask(jit: JitParts) -> AccessRequestView:
    """Alice asks bob for the role."""
    return await granted(jit.cases.request(ALICE, "project-1", BODY))


async def test_from_the_request_to_the_end(house: House) -> None:
    """A request is mailed, approved, granted in Google Cloud, told of, and over in time."""
    async with house.relay() as (_, jit):
        view = await ask(jit)
        (asked,) = house.letters()
        assert not house.cloud.has_role(ALICE.email, "project-1", ROLE)

        (token,) = re.findall(
            r"View request: http://127\.0\.0\.1:8080/jit/\?activation=([\w~-]+)&projectId=project-1\n",
            plain(asked),
        )

        house.clock.advance(60)
        approved = await granted(jit.cases.approve(BOB, token))
        assert "ACTIVE" == approved.entitlements[0].status
        assert house.cloud.has_role(ALICE.email, "project-1", ROLE)
        assert jit.mail is not None
        await jit.mail.sweep()
        _, told = house.letters()
        assert (asked["Message-ID"], f"Re: {asked['Subject']}") == (
            told["In-Reply-To"],
            told["Subject"],
        )

        house.clock.advance(29 * 60)
        assert not house.cloud.has_role(ALICE.email, "project-1", ROLE)
        await jit.sweeper.sweep()
        await jit.sweeper.drain()
        ended = await granted(jit.cases.read_request(ALICE, str(view.activation)))
        assert "ENDED" == ended.entitlements[0].status


async def test_a_device_decides(house: House) -> None:
    """With approval by device, bob's mail links to the request and his device's vote grants it."""
    async with house.relay(activation={"approval": "device"}) as (sim, jit):
        phone = await sim.device(BOB.email)
        view = await ask(jit)
        stored = await sim.relay.store.load(str(view.request_id))
        assert stored is not None
        answer = {"request_id": view.request_id, "request_digest": stored.terms.digest}
        await sim.approve(Asked(sim.body([phone]), answer), phone)
        await jit.sweeper.sweep()
        await jit.sweeper.drain()

        assert house.cloud.has_role(ALICE.email, "project-1", ROLE)
        after = await granted(jit.cases.read_request(ALICE, str(view.activation)))
        assert "ACTIVE" == after.entitlements[0].status


@pytest.mark.parametrize("approval", ["click", "device"])
async def test_no_mail_no_request(house: House, approval: str) -> None:
    """While the mail server takes nothing the request says so, and nothing is half-made."""
    house.mail.behaviour = Behaviour(replies={"DATA": "451 later"})
    async with house.relay(activation={"approval": approval}) as (sim, jit):
        phone = await sim.device(BOB.email)
        before = len(await sim.events())

        refusal = await refused(jit.cases.request(ALICE, "project-1", BODY))

        assert "backend_failed" == refusal.code
        assert before == len(await sim.events())
        assert [] == list(sim.relay.store.open_access_requests())
        assert [] == list(sim.relay.store.pending_for(phone.fingerprint))
        house.mail.behaviour.replies.clear()
        await ask(jit)
        assert 1 == len(house.mail.taken)


async def test_an_approval_is_told_after_a_restart(house: House) -> None:
    """Mail about an approval that could not be sent is sent by the next process, once."""
    async with house.relay() as (sim, jit):
        view = await ask(jit)
        house.mail.behaviour.replies["DATA"] = "451 later"
        await granted(jit.cases.approve(BOB, str(view.activation)))
        assert jit.mail is not None
        await jit.mail.sweep()
        assert any("E-mail waits" in warning for warning in sim.relay.warnings())
    house.mail.behaviour.replies.clear()
    house.clock.advance(60)
    async with house.relay() as (_, jit):
        assert jit.mail is not None
        await jit.mail.sweep()
        await jit.mail.sweep()

    assert ["Access request", "Your request was approved"] == [
        plain(letter).splitlines()[0] for letter in house.letters()
    ]


async def test_tokens_survive_a_restart(house: House) -> None:
    """A link of before a restart still leads to its request: the key is in the data folder."""
    async with house.relay() as (_, jit):
        view = await ask(jit)
    async with house.relay() as (_, jit):
        again = await granted(jit.cases.read_request(BOB, str(view.activation)))

    assert view.entitlements == again.entitlements
    assert 0o600 == (house.folder / "data" / "jit-token-key.pem").stat().st_mode & 0o777


async def test_an_integrator_that_does_not_exist(house: House) -> None:
    """A relay whose file names an unknown integrator does not start, and says which there are."""
    stranger = "0190a000-0000-7000-8000-00000000dead"

    with pytest.raises(ConfigError, match=f"integrator is {stranger}, which this relay does not"):
        async with house.relay(integrator=stranger):
            pass


async def test_off_unless_there_is_a_file(tmp_path: Path) -> None:
    """Without the setting there is no just-in-time access, and no key is made."""
    async with simulator(tmp_path) as sim:
        assert sim.relay.jit is None

    assert not (tmp_path / "jit-token-key.pem").exists()


async def test_nothing_is_asked_of_nobody(house: House) -> None:
    """C23: with neither mail nor a device to push to, roles that need a peer are not available."""
    async with house.relay(notification={}) as (_, jit):
        refusal = await refused(jit.cases.request(ALICE, "project-1", BODY))

        assert "not_configured" == refusal.code
        assert jit.mail is None
    assert START == house.clock.now()


async def test_switched_off_while_a_role_is_open(house: House) -> None:
    """A relay that is started without its settings of access says that nobody ends what is open."""
    async with house.relay() as (_, jit):
        view = await ask(jit)
        await granted(jit.cases.approve(BOB, str(view.activation)))

    async with simulator(house.folder / "data", house.clock) as sim:
        assert [ACCESS_IS_UNWATCHED] == list(sim.relay.warnings())
    async with house.relay() as (sim, _):
        assert [] == list(sim.relay.warnings())
