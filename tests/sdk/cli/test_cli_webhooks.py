from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.cli.terminal import Done, type_in
from tests.sdk.clock import START
from tests.sdk.relay_double import RelayDouble, answer, body_of, failure

from quorumkey.protocol import format_time

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import JsonValue

HOOK = "01a1fb5c-6c3d-7e5c-95cc-52144387310f"
EVENT = "01a1fb5c-6c3d-7e5c-95cc-521443873110"
ADDRESS = "https://hooks.example.com/quorumkey"
SECRET = "whsec_" + "A" * 43 + "="
PATH = f"/v1/webhooks/{HOOK}"
TIME = format_time(START)


def hook(**more: JsonValue) -> dict[str, JsonValue]:
    """A webhook as the relay tells it."""
    return {
        "webhook_id": HOOK,
        "url": ADDRESS,
        "events": ["mpa.approved", "mpa.rejected"],
        "status": "active",
        "created_at": TIME,
        **more,
    }


def delivery(**more: JsonValue) -> dict[str, JsonValue]:
    """A delivery as the relay tells it, after an attempt without and one with an answer."""
    attempts: list[JsonValue] = [
        {"at": TIME, "duration_ms": 10_000, "reason": "timeout"},
        {"at": TIME, "duration_ms": 7, "status": 503},
    ]
    return {
        "event_id": EVENT,
        "type": "mpa.approved",
        "status": "queued",
        "created_at": TIME,
        "attempts": attempts,
        "next_attempt_at": TIME,
        **more,
    }


def webhook(*arguments: str | Path) -> Done:
    """Type a command about webhooks."""
    return type_in("webhook", *arguments)


def test_making_a_webhook(relay: RelayDouble) -> None:
    """Creation sends the address and the types, and shows the secret with a warning."""
    relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))
    done = webhook("create", ADDRESS, "--event", "mpa.approved", "--event", "mpa.rejected")

    assert 0 == done.status
    assert {"url": ADDRESS, "events": ["mpa.approved", "mpa.rejected"]} == body_of(relay.calls[-1])
    assert (
        f"Webhook     {HOOK}\n"
        f"Address     {ADDRESS}\n"
        "Events      mpa.approved, mpa.rejected\n"
        "Status      active\n"
        f"Created     {TIME}\n"
        f"Secret      {SECRET}\n"
        "Store the secret where the receiver reads it: it is not shown again.\n"
    ) == done.out


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("command", ["create", "rotate"])
def test_a_secret_goes_into_a_file(
    relay: RelayDouble, tmp_path: Path, command: str, flags: tuple[str, ...]
) -> None:
    """With --secret-out the secret is in a file of mode 0600 and nowhere in what is printed."""
    path = tmp_path / "webhook.secret"
    relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))
    relay.script(f"POST {PATH}/rotate", answer(hook(secret=SECRET)))
    what = ADDRESS if command == "create" else HOOK
    done = webhook(command, what, "--secret-out", path, *flags)

    assert (0, f"{SECRET}\n") == (done.status, path.read_text())
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert SECRET not in done.out


def test_a_new_webhook_s_secret_replaces_no_file(relay: RelayDouble, tmp_path: Path) -> None:
    """A file that may hold another webhook's secret is kept, and no webhook is made."""
    path = tmp_path / "webhook.secret"
    path.write_text("another secret\n")
    done = webhook("create", ADDRESS, "--secret-out", path)

    assert (2, "another secret\n", []) == (done.status, path.read_text(), relay.calls)
    assert f"The file {path} exists" in done.err


def test_every_type_is_called_all(relay: RelayDouble) -> None:
    """A webhook that gets whatever there is says so in a word."""
    relay.script(f"GET {PATH}", answer(hook(events=["*"])))

    assert "Events      all\n" in webhook("show", HOOK).out


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("command", ["create", "rotate"])
def test_a_secret_that_cannot_be_written_is_not_lost(
    relay: RelayDouble, tmp_path: Path, command: str, flags: tuple[str, ...]
) -> None:
    """It is printed, the command fails, and nobody has to rotate again to learn it."""
    path = tmp_path / "nowhere" / "webhook.secret"
    relay.script("POST /v1/webhooks", answer(hook(secret=SECRET), 201))
    relay.script(f"POST {PATH}/rotate", answer(hook(secret=SECRET)))
    what = ADDRESS if command == "create" else HOOK
    done = webhook(command, what, "--secret-out", path, *flags)

    assert 1 == done.status
    assert SECRET in done.out
    assert f"The file {path} cannot be written" in done.err


def test_a_secret_for_programs(relay: RelayDouble) -> None:
    """With --json the webhook and its secret are one object."""
    rotated = hook(secret=SECRET, old_secret_expires_at=TIME)
    relay.script(f"POST {PATH}/rotate", answer(rotated))

    assert rotated == webhook("rotate", HOOK, "--json").object


def test_a_rotation_says_how_long_the_old_secret_signs(relay: RelayDouble) -> None:
    """After a rotation the end of the old secret is shown."""
    relay.script(f"POST {PATH}/rotate", answer(hook(secret=SECRET, old_secret_expires_at=TIME)))

    assert f"Old secret  signs until {TIME}\n" in webhook("rotate", HOOK).out


def test_listing_webhooks(relay: RelayDouble) -> None:
    """Every webhook is shown, with the reason why one is disabled."""
    page: JsonValue = {
        "data": [
            hook(),
            hook(status="disabled", disabled_reason="failing", failing_since=TIME),
        ],
        "next_cursor": None,
    }
    relay.script("GET /v1/webhooks", answer(page), answer(page))
    text, as_json = webhook("list").out, webhook("list", "--json").json

    assert f"Status      disabled: failing\nCreated     {TIME}\nFailing     since {TIME}\n" in text
    assert isinstance(page, dict)
    assert page["data"] == as_json


def test_no_webhook(relay: RelayDouble) -> None:
    """An integrator without a webhook is told so."""
    relay.script("GET /v1/webhooks", answer({"data": [], "next_cursor": None}))

    assert "There is no webhook.\n" == webhook("list").out


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("show", f"GET {PATH}"),
        ("enable", f"POST {PATH}/enable"),
        ("disable", f"POST {PATH}/disable"),
    ],
    ids=["show", "enable", "disable"],
)
def test_one_webhook(relay: RelayDouble, command: str, call: str) -> None:
    """Showing, enabling and disabling answer with the webhook, as text and as JSON."""
    relay.script(call, answer(hook()), answer(hook()))

    assert f"Webhook     {HOOK}\n" in webhook(command, HOOK).out
    assert hook() == webhook(command, HOOK, "--json").object
    assert [call, call] == relay.seen()


def test_deleting_a_webhook(relay: RelayDouble) -> None:
    """A deleted webhook is said to be deleted."""
    relay.script(f"DELETE {PATH}", httpx2.Response(204), httpx2.Response(204))

    assert "The webhook is deleted.\n" == webhook("delete", HOOK).out
    assert {"deleted": HOOK} == webhook("delete", HOOK, "--json").object


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (("test", HOOK), f"POST {PATH}/test"),
        (("resend", HOOK, EVENT), f"POST {PATH}/deliveries/{EVENT}/resend"),
    ],
    ids=["test", "resend"],
)
def test_sending(relay: RelayDouble, arguments: tuple[str, ...], call: str) -> None:
    """A test and a re-send answer with the delivery that was queued."""
    relay.script(call, answer(delivery(attempts=[])), answer(delivery(attempts=[])))

    assert (
        f"Event       {EVENT} mpa.approved\nStatus      queued\nCreated     {TIME}\n"
        f"Next        {TIME}\n"
    ) == webhook(*arguments).out
    assert delivery(attempts=[]) == webhook(*arguments, "--json").object


def test_deliveries_with_their_attempts(relay: RelayDouble) -> None:
    """Each attempt is shown with its answer's status, or why there was none."""
    page: JsonValue = {"data": [delivery()], "next_cursor": None}
    relay.script(f"GET {PATH}/deliveries", answer(page), answer(page))
    text = webhook("deliveries", HOOK).out

    assert (
        f"Attempt     {TIME} timeout after 10000 ms\nAttempt     {TIME} 503 after 7 ms\n"
    ) in text
    assert [delivery()] == webhook("deliveries", HOOK, "--json").json


def test_only_so_many_deliveries(relay: RelayDouble) -> None:
    """--count ends the list, and no page is fetched beyond it."""
    page: JsonValue = {"data": [delivery(), delivery()], "next_cursor": "more"}
    relay.script(f"GET {PATH}/deliveries", answer(page))
    done = webhook("deliveries", HOOK, "--count", "1", "--json").json

    assert isinstance(done, list)
    assert (1, 1) == (len(done), len(relay.calls))


def test_no_delivery(relay: RelayDouble) -> None:
    """A webhook that was never called says so."""
    relay.script(f"GET {PATH}/deliveries", answer({"data": [], "next_cursor": None}))

    assert "Nothing was sent yet.\n" == webhook("deliveries", HOOK).out


def test_a_refusal_is_one_sentence(relay: RelayDouble) -> None:
    """An unknown webhook ends the command with 1 and the relay's words."""
    relay.script(f"GET {PATH}", failure(404, "not_found"))
    done = webhook("show", HOOK)

    assert (1, "") == (done.status, done.out)
    assert "It is not_found." in done.err
