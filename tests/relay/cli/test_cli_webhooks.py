"""``webhooks``: what an operator sees of them, and switching one while the relay serves."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.hooks import about
from tests.e2e.webhook_receiver import receiving
from tests.relay.cli.past import during
from tests.relay.cli.person import enrolled
from tests.relay.cli.prompt import NO_SUCH_ID, eventually, running
from tests.relay.simulator import ACME, START, UMBRELLA, granted

from quorumkey.protocol import format_time
from quorumkey_relay.store.records import WebhookAttempt
from quorumkey_relay.store.writes import AppendEvent, PutWebhook, SettleWebhookDelivery
from quorumkey_relay.usecases.commands import WebhookBody

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.webhook_receiver import Receiver
    from tests.relay.cli.prompt import Operator, RunningRelay
    from tests.relay.simulator import Simulator

    from quorumkey.client import Client

CANARY = "c4n4ry"


@pytest.fixture
def webhook(operator: Operator) -> str:
    """The id of a webhook of Acme's in a folder that nobody serves; its address is secret."""
    made: list[str] = []

    async def scene(sim: Simulator) -> None:
        body = WebhookBody(url=f"https://hooks.example/{CANARY}", events=["mpa.approved"])
        for integrator in (ACME, UMBRELLA):
            await granted(
                sim.use.create_webhook(integrator=integrator, body=body, idempotency=None)
            )
        (ours,) = sim.store.directory.webhooks(ACME.id)
        made.append(ours.webhook_id)

    during(operator.data_dir, scene)
    return made[0]


def test_webhooks_are_listed(operator: Operator, webhook: str) -> None:
    """The list has each webhook with its integrator, or those of one integrator."""
    everything = operator.json("webhooks", "list")
    (ours,) = operator.json("webhooks", "list", "--integrator", ACME.id)

    assert 2 == len(everything)
    assert ours == everything[0]
    assert ours.pop("created_at")
    assert {
        "webhook_id": webhook,
        "integrator_id": ACME.id,
        "host": "hooks.example",
        "events": ["mpa.approved"],
        "status": "active",
    } == ours


@pytest.mark.parametrize("command", ["list", "show", "disable", "enable"])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_no_more_of_an_address_than_the_host(
    operator: Operator, webhook: str, command: str, options: tuple[str, ...]
) -> None:
    """Neither the rest of the address nor a secret is printed."""
    named = () if command == "list" else (webhook,)
    agreed = ("--yes",) if command == "disable" else ()

    printed = operator("webhooks", command, *named, *agreed, *options).text

    assert CANARY not in printed
    assert "secret" not in printed


def test_a_folder_without_a_webhook(operator: Operator) -> None:
    """An empty list says so."""
    operator.init()

    assert [] == operator.json("webhooks", "list")
    assert "No webhook yet.\n" == operator("webhooks", "list").text


def test_switching_a_webhook(operator: Operator, webhook: str) -> None:
    """It is disabled by the operator, and active again; doing either twice changes nothing."""
    disabled = [operator.json("webhooks", "disable", webhook, "--yes") for _ in range(2)]
    shown = operator.json("webhooks", "show", webhook)
    enabled = [operator.json("webhooks", "enable", webhook) for _ in range(2)]

    assert [("disabled", "operator")] * 3 == [
        (one["status"], one["disabled_reason"]) for one in (*disabled, shown)
    ]
    assert ["active", "active"] == [one["status"] for one in enabled]
    assert "disabled_reason" not in enabled[0]


def test_disabling_asks_first(operator: Operator, webhook: str) -> None:
    """Without ``--yes`` and with nobody to ask nothing changes."""
    operator("webhooks", "disable", webhook)

    assert "active" == operator.json("webhooks", "show", webhook)["status"]


@pytest.mark.parametrize("command", ["show", "disable", "enable"])
def test_an_unknown_webhook(operator: Operator, command: str) -> None:
    """An id that there is not is refused with where to look."""
    operator.init()

    said = operator("webhooks", command, NO_SUCH_ID).refused(1)

    assert "there is no webhook with this id; see: quorumkey-relay webhooks list." == said


def test_an_id_that_cannot_be(operator: Operator) -> None:
    """What is no id is a mistake in the command."""
    operator.init()

    assert operator("webhooks", "show", "mine").refused(2)


def test_the_others_are_told(operator: Operator, webhook: str) -> None:
    """The integrator's event stream has why a webhook was disabled."""
    operator.json("webhooks", "disable", webhook, "--yes")
    events: list[dict[str, Any]] = []

    async def read(sim: Simulator) -> None:
        events.extend(await sim.events(ACME))

    during(operator.data_dir, read)

    (told,) = events
    assert ("webhook.disabled", webhook, "operator") == (
        told["type"],
        told["webhook_id"],
        told["reason"],
    )


def test_what_was_sent_is_shown(operator: Operator, webhook: str) -> None:
    """Each event has its attempts: the status that was answered, or why there was none."""
    operator.json("webhooks", "disable", webhook, "--yes")  # so that nothing is really sent
    event = about("r1", at=int(time.time()))

    async def scene(sim: Simulator) -> None:
        await sim.store.commit((AppendEvent(event, only_for=webhook),))
        found = await sim.store.webhook_delivery(webhook_id=webhook, event_id=event.id)
        assert found is not None
        for status, reason in ((503, None), (None, "timeout")):
            attempt = WebhookAttempt(
                at=event.created_at, milliseconds=7, status=status, reason=reason
            )
            await sim.store.commit((SettleWebhookDelivery(found[0], attempt),))

    during(operator.data_dir, scene)
    (shown,) = operator.json("webhooks", "show", webhook)["deliveries"]
    last = operator("webhooks", "show", webhook).text.splitlines()[-1]

    at = format_time(event.created_at)
    assert shown.pop("created_at")
    assert {
        "event_id": event.id,
        "type": "mpa.approved",
        "status": "queued",
        "attempts": [
            {"at": at, "status": 503, "duration_ms": 7},
            {"at": at, "reason": "timeout", "duration_ms": 7},
        ],
    } == shown
    assert [event.id, "mpa.approved", "queued", "2", "timeout"] == [
        cell for cell in last.split() if not cell.endswith("Z")
    ]


def test_a_webhook_that_fails(operator: Operator, webhook: str) -> None:
    """The list and the page of a webhook say since when."""

    async def scene(sim: Simulator) -> None:
        found = sim.store.directory.webhook(webhook)
        assert found is not None
        await sim.store.commit((PutWebhook(replace(found, failing_since=START)),))

    during(operator.data_dir, scene)

    since = format_time(START)
    assert since == operator.json("webhooks", "show", webhook)["failing_since"]
    assert since in operator("webhooks", "list").text
    assert since in operator("webhooks", "show", webhook).text


# Beside a serving relay


@pytest.fixture
def receiver() -> Generator[Receiver]:
    """Where events go."""
    with receiving() as started:
        yield started


@pytest.fixture
def acme(operator: Operator) -> str:
    """The API key of the first integrator."""
    return str(operator.init()["api_key"])


@pytest.fixture
def relay(operator: Operator, acme: str) -> Generator[RunningRelay]:
    """The folder, served by a process of its own that may call loopback."""
    assert acme
    with running(operator.data_dir, "--unsafe-egress-hosts", "localhost") as started:
        yield started


@pytest.fixture
def client(relay: RunningRelay, acme: str) -> Generator[Client]:
    """The first integrator's client."""
    with relay.client(acme) as made:
        yield made


def test_what_the_command_revokes_is_told(
    operator: Operator, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    """An event of the command's process goes to the webhook, signed like any other."""
    made = client.webhooks.create(receiver.url, events=["device.revoked"])
    alice = enrolled(client, "alice", tmp_path)

    operator.json("devices", "revoke", alice.fingerprint, "--reason", "Lost", "--yes")

    (call,) = receiver.wait(1)
    event = call.verified(made.secret)
    assert ("device.revoked", alice.fingerprint, "Lost") == (
        event["type"],
        event["fingerprint"],
        event["reason"],
    )
    (delivery,) = operator.json("webhooks", "show", made.webhook.webhook_id)["deliveries"]
    assert (call.event_id, "device.revoked") == (delivery["event_id"], delivery["type"])


def test_a_serving_relay_follows(operator: Operator, client: Client, receiver: Receiver) -> None:
    """The integrator reads what the operator switched."""
    webhook_id = client.webhooks.create(receiver.url).webhook.webhook_id

    def status() -> str:
        return client.webhooks.get(webhook_id).status.value

    operator.json("webhooks", "disable", webhook_id, "--yes")
    assert eventually(lambda: status() == "disabled")
    operator.json("webhooks", "enable", webhook_id)
    assert eventually(lambda: status() == "active")
