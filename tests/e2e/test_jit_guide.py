"""docs/jit-access.md as its reader types it, beside stand-ins for what is somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import yaml
from examples.jit_access.stagehands import MailServer, served_mail
from tests.repo import markdown
from tests.repo.markdown import Fence
from tests.repo.running import Terminal, exchanges, terminal
from tests.sdk.jit.activation_world import ALICE, APPROVED, BOB, END, World

from quorumkey.protocol import webhook
from quorumkey_relay.standins.google_cloud import GoogleCloud, start_google_cloud
from quorumkey_relay.standins.oidc import OidcStandIn, start_oidc

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.slow

GUIDE = Path("docs/jit-access.md")
WHOLE = "run-by: tests/e2e/test_jit_guide.py::test_the_guide_from_settings_to_the_end_of_a_role"
PROGRAM = "run-by: tests/e2e/test_jit_guide.py::test_the_program_of_the_guide"
ENDPOINT = "run-by: tests/e2e/test_jit_guide.py::test_the_endpoint_of_the_guide"
BY_API = "run-by: tests/e2e/test_jit_guide.py::test_a_policy_is_handed_in_as_the_guide_says"
SECRET = "run-by: tests/e2e/test_jit_guide.py::test_the_secret_of_the_guide"
MIGRATION = "run-by: tests/e2e/test_jit_guide.py::test_the_migration_of_the_guide"


def blocks(note: str) -> list[Fence]:
    """The blocks that one test runs, in order."""
    found = [fence for fence in markdown.fences(GUIDE) if fence.note == note]
    assert found
    return found


class Surroundings:
    """Google Cloud, an identity provider and a mail server, in a thread of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self._opened: Future[tuple[GoogleCloud, OidcStandIn, MailServer]] = Future()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.cloud, self.oidc, self.mail = self._opened.result(30)

    def _run(self) -> None:
        with contextlib.closing(self.loop):
            self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with (
            start_google_cloud(self.folder) as cloud,
            start_oidc() as oidc,
            served_mail() as mail,
        ):
            cloud.put_policy("project-1", [])
            self._opened.set_result((cloud, oidc, mail))
            await self._end.wait()

    def close(self) -> None:
        """Close all three."""
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)

    def subjects(self, number: int) -> list[str]:
        """The subjects of the next mails."""

        async def take() -> list[str]:
            return [str((await self.mail.next()).message["Subject"]) for _ in range(number)]

        return asyncio.run_coroutine_threadsafe(take(), self.loop).result(30)

    def here(self, text: str) -> str:
        """A block with the stand-ins in place of what is somebody else's."""
        account = "    service_account_file: service-account.json\n"
        server = "    host: smtp.example.com\n"
        local = f"    host: 127.0.0.1\n    port: {self.mail.port}\n    security: none\n"
        return (
            text.replace("https://id.example.com", self.oidc.issuer)
            .replace("audiences: [quorumkey]", f"audiences: [{self.oidc.client_id}]")
            .replace(account, f"{account}    url: {self.cloud.url}\n")
            .replace(server, local)
        )


@pytest.fixture
def around(tmp_path: Path) -> Generator[Surroundings]:
    """What stands around the relay of the guide."""
    made = Surroundings(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def reader(tmp_path: Path, around: Surroundings) -> Generator[Terminal]:
    """A reader's terminal, with two people's ID tokens and the key of a service account."""
    for person in ("alice", "bob"):
        (tmp_path / f"{person}.token").write_text(around.oidc.id_token(f"{person}@example.com"))
    account = tmp_path / "service-account.json"
    if account != around.cloud.files.service_account_file:
        account.touch(0o600)
        account.write_text(around.cloud.files.service_account_file.read_text())
    with terminal(tmp_path) as opened:
        opened.variables["QUORUMKEY_RELAY_CA_FILE"] = str(around.cloud.files.ca_file)
        yield opened


def follow(reader: Terminal, around: Surroundings, note: str = WHOLE) -> None:
    """Type the blocks in order; the one that serves goes on in the background."""
    for block in blocks(note):
        body = around.here(block.body)
        serves = "quorumkey-relay serve" in body
        approves = "jit approve" in body
        reader.type(
            Fence(block.path, block.line, block.language, body, "background" if serves else None)
        )
        if approves:
            _until_granted(reader)


def _until_granted(reader: Terminal) -> None:
    """Wait until Google has confirmed, as a reader who reads on does."""
    look = "quorumkey jit active --json --token-file alice.token | grep -q ACTIVE"
    command = f"n=0\nuntil {look}; do n=$((n + 1)); test $n -lt 30; done\n"
    reader.type(Fence(GUIDE, 0, "sh", command, None))


def test_the_guide_from_settings_to_the_end_of_a_role(
    reader: Terminal, around: Surroundings
) -> None:
    """Typed from top to bottom the guide does what it says, and Google has one role left."""
    follow(reader, around)

    (binding,) = around.cloud.bindings("project-1")
    assert ("roles/browser", ["user:alice@example.com"]) == (
        binding["role"],
        binding["members"],
    )
    subject = "alice@example.com requests access to project project-1"
    assert [subject, f"Re: {subject}"] == around.subjects(2)


def test_the_program_of_the_guide(reader: Terminal, around: Surroundings) -> None:
    """The program asks for the role, beside the relay of the guide."""
    for block in blocks(WHOLE):
        if "quorumkey jit roles" in block.body:
            break
        body = around.here(block.body)
        serves = "quorumkey-relay serve" in body
        reader.type(
            Fence(block.path, block.line, block.language, body, "background" if serves else None)
        )
    follow(reader, around, PROGRAM)

    assert ["alice@example.com requests access to project project-1"] == around.subjects(1)


def test_a_policy_is_handed_in_as_the_guide_says(
    reader: Terminal, around: Surroundings, tmp_path: Path
) -> None:
    """What gcloud printed, handed in by the API, says who may activate what, and whom to warn."""
    guide = yaml.safe_load(
        Path("docs/jit-access.md").read_text().split("policies.yaml <<'END'")[1].split("END")[0]
    )
    bindings = guide["projects"]["project-1"]["bindings"][:1]
    unread = {"title": "Eligible", "expression": "has({}.jitAccessConstraint) &&"}
    bindings.append({"role": "roles/x", "members": ["user:bob@example.com"], "condition": unread})
    printed = {"bindings": bindings, "etag": "BwYAAAAAAAA=", "version": 3}
    (tmp_path / "project-1.json").write_text(json.dumps(printed))
    for block in blocks(WHOLE):
        body = around.here(block.body).replace("file: policies.yaml", "api: yes")
        serves = "quorumkey-relay serve" in body
        reader.type(
            Fence(block.path, block.line, block.language, body, "background" if serves else None)
        )
        if serves:
            break
    follow(reader, around, BY_API)
    reader.type(Fence(GUIDE, 0, "sh", "export QUORUMKEY_URL=http://127.0.0.1:8080\n", None))
    look = "quorumkey jit roles project-1 --json --token-file"
    listed: dict[str, Any] = {}
    for person in ("alice", "bob"):
        reader.type(Fence(GUIDE, 0, "sh", f"{look} {person}.token > {person}.json\n", None))
        listed[person] = json.loads((tmp_path / f"{person}.json").read_text())

    for found in listed.values():
        assert ["project-1:roles/compute.admin"] == [one["id"] for one in found["entitlements"]]
    assert (0, 1) == (len(listed["alice"]["warnings"]), len(listed["bob"]["warnings"]))


def test_the_secret_of_the_guide(tmp_path: Path) -> None:
    """The secret of an endpoint is one that the relay takes, in a file that nobody else reads."""
    with terminal(tmp_path) as reader:
        for block in blocks(SECRET):
            reader.type(Fence(block.path, block.line, block.language, block.body, None))
    made = tmp_path / "webhook.secret"

    assert 0o600 == made.stat().st_mode & 0o777
    assert webhook.sign(made.read_text().strip(), "x", APPROVED, b"{}")


def test_the_migration_of_the_guide(tmp_path: Path) -> None:
    """The variables of a deployment become settings."""
    with terminal(tmp_path) as reader:
        for block in blocks(MIGRATION):
            reader.type(Fence(block.path, block.line, block.language, block.body, None))

    settings = yaml.safe_load((tmp_path / "jit.yaml").read_text())
    assert (60, "BUG-[0-9]+", "click") == (
        settings["activation"]["max_minutes"],
        settings["activation"]["justification_pattern"],
        settings["activation"]["approval"],
    )
    assert "organizations/123456789" == settings["eligibility"]["google"]["scope"]


# ---------------------------------------------------------------- the endpoint


class Endpoint:
    """The endpoint of the guide, in this process."""

    def __init__(self, folder: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        pins = {
            "relay": [world.relay.public_key.base64],
            "integrator": "acme",
            "reviewers": world.reviewers(),
        }
        (folder / "pins.json").write_text(json.dumps(pins))
        self.secret = webhook.generate_secret(bytes(32))
        monkeypatch.chdir(folder)
        monkeypatch.setenv("WEBHOOK_SECRET", self.secret)
        monkeypatch.setattr(time, "time", lambda: APPROVED + 2)
        (block,) = blocks(ENDPOINT)
        self.names: dict[str, Any] = {}
        exec(compile(block.body, str(block), "exec"), self.names)  # noqa: S102 - the guide's own

    def call(self, kind: str, body: dict[str, Any], *, secret: str | None = None) -> int:
        """Call it as the relay does; answers the status."""
        data = json.dumps(body | {"type": f"jit.{kind}"}).encode()
        name = f"{body['activation']['id']}:{kind}"
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(APPROVED + 2),
            "webhook-signature": webhook.sign(secret or self.secret, name, APPROVED + 2, data),
        }

        async def post() -> int:
            transport = httpx2.ASGITransport(app=self.names["app"])
            async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
                answer = await client.post("/roles", content=data, headers=headers)
            assert (answer.status_code == 200) is (answer.json() == {"status": "done"})
            return answer.status_code

        return asyncio.run(post())


def _wanted(world: World, activation_id: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - any member
    asked = world.activation
    activation = {
        "id": activation_id,
        "beneficiary": asked.beneficiary,
        "project": asked.project,
        "role": asked.role,
        "condition": asked.condition,
        "justification": asked.justification,
        "approvers": [BOB],
        "start": asked.start,
        "end": asked.end,
        "request_id": world.document.request_id,
        "revoked_by": None,
        **members,
    }
    return {"activation": activation, "receipt": world.receipt().to_json()}


def test_the_endpoint_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grants what Bob approved, once, and nothing else; a grant after its revocation is none."""
    world = World()
    endpoint = Endpoint(tmp_path, world, monkeypatch)
    granted = endpoint.names["granted"]
    other = webhook.generate_secret(bytes(range(32)))

    assert 200 == endpoint.call("grant", _wanted(world, "a-1"))
    assert 200 == endpoint.call("grant", _wanted(world, "a-1"))
    assert 1 == len(granted)
    assert 400 == endpoint.call("grant", _wanted(world, "a-2", role="roles/owner"))
    assert 400 == endpoint.call("grant", _wanted(world, "a-2"), secret=other)
    assert 400 == endpoint.call("grant", _wanted(world, "a-2") | {"receipt": None})
    assert 200 == endpoint.call("revoke", _wanted(world, "a-1") | {"receipt": None})
    assert 200 == endpoint.call("grant", _wanted(world, "a-1"))
    assert {} == granted


def test_a_later_activation_at_the_endpoint_of_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later activation takes the place of an earlier one, which is there again without it."""
    world = World()
    endpoint = Endpoint(tmp_path, world, monkeypatch)
    granted = endpoint.names["granted"]
    role = (ALICE, "project-1", "roles/compute.admin", "")

    assert 200 == endpoint.call("grant", _wanted(world, "a-1"))
    assert 200 == endpoint.call("grant", _wanted(world, "a-2"))
    assert {role: END} == granted
    assert 200 == endpoint.call("revoke", _wanted(world, "a-2") | {"receipt": None})
    assert {} == granted
    assert 200 == endpoint.call("grant", _wanted(world, "a-2"))
    assert {} == granted
    assert 200 == endpoint.call("grant", _wanted(world, "a-1"))
    assert {role: END} == granted


def test_every_console_block_of_the_guide_is_read() -> None:
    """Each command of the guide that shows output has output."""
    consoles = [block for block in blocks(WHOLE) if block.language == "console"]

    assert consoles
    assert all(any(seen for _, seen in exchanges(block.body)) for block in consoles)
