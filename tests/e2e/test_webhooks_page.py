"""The commands and programs of docs/webhooks.md, as they stand there, against a real relay."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standardwebhooks.webhooks import Webhook
from tests.e2e.sdk_relay_process import relay_process
from tests.e2e.test_push_page import typed
from tests.e2e.webhook_receiver import Delivered, Receiver, receiving
from tests.repo import markdown
from tests.repo.running import terminal

from quorumkey import Action, Client, group
from quorumkey.device import SoftwareDevice

if TYPE_CHECKING:
    import pytest

    from quorumkey.client import CreatedRequest

PAGE = Path("docs/webhooks.md")
OWN = f"run-by: tests/e2e/{Path(__file__).name}::"
EXAMPLE = "https://backend.example.com/quorumkey"


def test_the_page_s_commands_and_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A webhook is made, tested, received, sent again and given a new secret as the page says."""
    create, test, with_sdk, with_library, resend, rotate = (
        block.body for block in markdown.fences(PAGE) if (block.note or "").startswith(OWN)
    )
    programs: dict[str, Any] = {}
    for program in (with_sdk, with_library):
        exec(compile(program, str(PAGE), "exec"), programs)  # noqa: S102 - the page's own program
    relay_folder = tmp_path / "relay"
    relay_folder.mkdir()
    monkeypatch.chdir(tmp_path)
    with (
        receiving() as receiver,
        relay_process(relay_folder, "--unsafe-egress-hosts", "localhost") as relay,
        Client(relay.url, relay.api_key) as acme,
        terminal(tmp_path) as reader,
    ):
        reader.variables |= {"QUORUMKEY_URL": relay.url, "QUORUMKEY_API_KEY": relay.api_key}
        typed(reader, create.replace(EXAMPLE, receiver.url))
        (webhook,) = acme.webhooks.list()
        reader.variables["WEBHOOK_ID"] = webhook.webhook_id

        typed(reader, test)
        (tested,) = receiver.wait(1)
        assert "webhook.test" == programs["event_of"](tested.headers, tested.body)["type"]

        request = approved(acme, tmp_path)
        programs["requests"][request.request_id] = request
        call = newest(receiver, "mpa.approved", 3)
        programs["handle"](acme, call.headers, call.body)
        assert f"{call.event_id}: approved by Engineering\n" == capsys.readouterr().out

        reader.variables["EVENT_ID"] = call.event_id
        typed(reader, resend)
        assert call.event_id == receiver.wait(4)[-1].event_id

        old = Path("webhook.secret").read_text().strip()
        typed(reader, rotate)
        typed(reader, test)
        signed = newest(receiver, "webhook.test", 5)
        for secret in (old, Path("new.secret").read_text().strip()):
            Webhook(secret).verify(signed.body, signed.headers)


def approved(acme: Client, folder: Path) -> CreatedRequest:
    """A request that a new device has approved."""

    async def decide(url: str, request_id: str | None) -> None:
        async with SoftwareDevice(folder / "phone") as device:
            if request_id is None:
                await device.enroll(url)
            else:
                await device.approve(request_id)

    pairing = acme.pairings.create("alice")
    asyncio.run(decide(pairing.url, None))
    alice = acme.pairings.confirm(pairing)
    request = acme.requests.create(
        action=Action("cold_boot", "Cold boot engine ENG-001", {}),
        groups=[group("Engineering", alice)],
        required=1,
    )
    asyncio.run(decide(pairing.url, request.request_id))
    return request


def newest(receiver: Receiver, kind: str, count: int) -> Delivered:
    """The newest call of a type, once there are so many calls in all."""
    calls = receiver.wait(count)
    return [call for call in calls if json.loads(call.body)["type"] == kind][-1]
