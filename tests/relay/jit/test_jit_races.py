"""What happens at the same moment, half-way, or after something was lost."""

from __future__ import annotations

import asyncio
import json
from email import message_from_string
from email.policy import default
from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import (
    ALICE,
    BOB,
    CAROL,
    EVE,
    PROJECT,
    Postbox,
    Surroundings,
    desk,
    emails,
    token_of,
)
from tests.relay.simulator import granted, refused

from quorumkey.jit import verify_activation
from quorumkey.protocol import RoleActivation
from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.jit_settings import MailSettings
from quorumkey_relay.mail.mailer import open_mailer
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases.jit.request import MAIL_FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.domain.jit.request import ApprovalMode

pytestmark = pytest.mark.anyio


# Two reviewers at once


async def test_jit_two_reviewers_click_at_once(desk: Desk) -> None:
    """One activation comes of it, which names both; nobody is refused."""
    request = await desk.ask(BOB, CAROL)
    token = token_of(request)
    views = await asyncio.gather(
        granted(desk.cases.approve(BOB, token)), granted(desk.cases.approve(CAROL, token))
    )
    view = await desk.read(request)

    assert (1, {"ACTIVE"}, {"bob@example.com", "carol@example.com"}, 1) == (
        len({one.entitlements[0].activation_id for one in views}),
        {one.entitlements[0].status for one in (*views, view)},
        set(emails(view.approvals or ())),
        (await desk.told()).count("approved"),
    )


async def test_jit_two_reviewers_sign_at_once(signing: Desk) -> None:
    """One vote approves, the other comes too late; the role is granted once."""
    request = await signing.ask(BOB, CAROL)
    asked = await signing.signed(request)
    answers = await asyncio.gather(
        *(signing.sim.decide(signing.devices[one.email], asked) for one in (BOB, CAROL))
    )
    await signing.done()
    refusals = [one.code for one in answers if isinstance(one, Refusal)]

    assert (["request_completed"], 1, ["requested", "approved", "granted"]) == (
        refusals,
        len(signing.target.grants),
        await signing.told(),
    )


async def test_jit_an_approval_and_a_denial_by_clicks_at_once(desk: Desk) -> None:
    """One of them decides; what is shown is what was granted."""
    request = await desk.ask(BOB, CAROL)
    token = token_of(request)
    await asyncio.gather(desk.cases.approve(BOB, token), desk.cases.deny(CAROL, token))
    status = await desk.status(request)

    assert (status, len(desk.target.grants)) in {("ACTIVE", 1), ("DENIED", 0)}


async def test_jit_an_approval_and_a_withdrawal_at_once(signing: Desk) -> None:
    """Who took the request back has no role, or was told that it is approved."""
    request = await signing.ask(BOB)
    asked = await signing.signed(request)
    await asyncio.gather(
        signing.sim.decide(signing.devices[BOB.email], asked),
        signing.cases.withdraw(ALICE, token_of(request)),
    )
    await signing.done()
    status = await signing.status(request)

    assert (status, len(signing.target.grants)) in {("ACTIVE", 1), ("WITHDRAWN", 0)}


async def test_jit_the_same_request_twice_at_once_is_one(desk: Desk) -> None:
    """Both callers are answered with it, and one e-mail went out."""
    views = await asyncio.gather(desk.ask(BOB), desk.ask(BOB))

    assert (1, 1) == (
        len({one.entitlements[0].activation_id for one in views}),
        len(desk.post.sent),
    )


class HeldPostbox(Postbox):
    """Takes a message, and says so to nobody before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.may_go = asyncio.Event(), asyncio.Event()

    async def send(self, message: bytes, recipients: tuple[str, ...]) -> None:
        """Keep a message, and wait."""
        await super().send(message, recipients)
        self.entered.set()
        await self.may_go.wait()


async def test_jit_a_request_that_is_being_mailed_is_not_mailed_twice(
    tmp_path: Path, anyio_backend: object
) -> None:
    """Whoever asks again while the mail server takes its time waits for the first answer."""
    del anyio_backend
    post = HeldPostbox()
    async with desk(tmp_path, Surroundings(mailer=post)) as opened:
        first = asyncio.create_task(opened.ask(BOB))
        await post.entered.wait()
        second = asyncio.create_task(opened.ask(BOB))
        for _ in range(20):
            await asyncio.to_thread(int)  # the second has every chance to go on
        post.may_go.set()
        views = await asyncio.gather(first, second)

        assert (1, 1) == (len({one.entitlements[0].activation_id for one in views}), len(post.sent))


async def test_jit_a_vote_that_was_counted_is_answered_again(
    tmp_path: Path, anyio_backend: object
) -> None:
    """A lost answer is asked for again, also by who lost the role since; it changes nothing."""
    del anyio_backend
    async with desk(tmp_path, approval="device", required=2) as opened:
        await opened.equip(BOB, CAROL)
        request = await opened.ask(BOB, CAROL)
        first = await granted(opened.vote(request, BOB))
        opened.policy.drop(BOB)
        again = await granted(opened.vote(request, BOB))

        assert (first, "pending") == (again, again.status)


async def test_jit_a_policy_that_changes_between_the_vote_and_the_grant(signing: Desk) -> None:
    """The vote counted; nothing is granted to who is not eligible any more."""
    request = await signing.ask(BOB)
    await signing.sim.decide(signing.devices[BOB.email], await signing.signed(request))
    signing.policy.drop(ALICE)
    await signing.done()

    assert (await signing.status(request), len(signing.target.grants)) in {
        ("NOT_GRANTED", 0),  # the relay had not asked yet
        ("ACTIVE", 1),  # it had
    }


# What a device has signed


async def test_jit_the_target_is_handed_the_evidence(signing: Desk) -> None:
    """Whoever grants can check offline that this reviewer's device signed this activation."""
    request = await signing.ask(BOB)
    await signing.vote(request)
    receipt = signing.target.receipts[0]
    assert receipt is not None
    view = await signing.read(request)
    one = view.entitlements[0]
    assert isinstance(one.start_time, int)
    verify_activation(
        receipt,
        relay_public_keys=[signing.sim.relay.keys.current(signing.sim.clock.now()).public_key],
        integrator_id=signing.rules.integrator_id,
        now=signing.sim.clock.now(),
        activation=RoleActivation(
            beneficiary=ALICE.email,
            project=PROJECT,
            role=one.name,
            justification=view.justification,
            duration_seconds=1_800,
            start=one.start_time,
        ),
        reviewers={BOB.email: [signing.devices[BOB.email].key.public_key]},
    )

    assert "ACTIVE" == one.status


async def test_jit_reviewers_devices_are_shown_the_request(signing: Desk) -> None:
    """Who, which role, where, why and until when, and one group for each reviewer."""
    request = await signing.ask(BOB, CAROL)
    stored = await signing.sim.store.load(str(request.request_id))
    assert stored is not None
    document = json.loads(stored.document.payload)

    assert (
        "jit_access",
        "alice@example.com",
        ["bob@example.com", "carol@example.com"],
        "Activate roles/compute.admin on project-1 for alice@example.com: BUG-12345",
    ) == (
        document["profile"],
        document["requester"]["id"],
        [group["name"] for group in document["policy"]["groups"]],
        document["action"]["description"],
    )


async def test_jit_a_lost_device_takes_its_approval_along(
    tmp_path: Path, anyio_backend: object
) -> None:
    """Two approvals are needed, and the first came from a device that is revoked since."""
    del anyio_backend
    async with desk(tmp_path, approval="device", required=2) as opened:
        await opened.equip(BOB, CAROL)
        request = await opened.ask(BOB, CAROL)
        await opened.vote(request, BOB)
        await opened.sim.unpair(opened.devices[BOB.email])
        await opened.vote(request, CAROL)

        assert ("ACTIVATION_PENDING", []) == (await opened.status(request), opened.target.grants)


# SMTP is down


async def test_jit_without_a_mail_server_nothing_is_half_made(
    tmp_path: Path, anyio_backend: object
) -> None:
    """The call says so; there is no request, no signed one, no event, and nothing waits."""
    del anyio_backend
    settings = MailSettings(
        sender_address="relay@example.com",
        host="127.0.0.1",
        port=1,
        security="none",
        timeout_seconds=1,
    )
    nobody = open_mailer(settings, roots=None)
    async with desk(tmp_path, Surroundings(mailer=nobody), approval="device") as opened:
        await opened.equip(BOB)
        refusal = await opened.why_not(opened.body())
        page = await granted(opened.cases.requests(ALICE, limit=10, cursor=None))

        assert (MAIL_FAILED, [], [], [], []) == (
            refusal,
            page.data,
            await opened.told(),
            list(opened.sim.store.pending()),
            list(opened.sim.store.open_access_requests()),
        )


async def test_jit_after_the_mail_server_is_back_the_request_is_made(desk: Desk) -> None:
    """Nothing of the first try is in the way."""
    desk.post.is_down = True
    refusal = await desk.why_not(desk.body())
    desk.post.is_down = False
    view = await desk.ask()

    assert (MAIL_FAILED, "ACTIVATION_PENDING", 1) == (
        refusal,
        view.entitlements[0].status,
        len(desk.post.sent),
    )


async def test_jit_a_store_that_fails_is_no_success(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail may be out, and its link leads nowhere."""

    async def fails(_: object, writes: object) -> None:
        del writes
        message = "the disk is full"
        raise StoreUnavailable(message)

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.sim.store), "commit", fails)
        with pytest.raises(StoreUnavailable):
            await desk.send(desk.body())
    mail = message_from_string(desk.post.sent[0][0], policy=default).get_body(("plain",))
    assert mail is not None
    token = mail.get_content().partition("activation=")[2].partition("&")[0]

    assert ([], FORBIDDEN) == (
        list(desk.sim.store.open_access_requests()),
        await refused(desk.cases.approve(BOB, token)),
    )
    assert BOB.email in desk.tokens.read(token, now=desk.sim.clock.now()).reviewers


# Stateless tokens


async def test_c26_tokens_are_pointers_unless_they_are_stateless(
    tmp_path: Path, anyio_backend: object
) -> None:
    """After the store was lost, a token leads nowhere, or is all that is needed."""
    del anyio_backend
    answers: list[object] = []
    for is_stateless in (False, True):
        token, key = await _asked_and_lost(tmp_path / f"before-{is_stateless}", "click")
        folder = _with_key(tmp_path / f"after-{is_stateless}", key)
        async with desk(folder, is_stateless=is_stateless) as opened:
            answer = await opened.cases.approve(BOB, token)
            stranger = await refused(opened.cases.approve(EVE, token))
            answers.append(answer if isinstance(answer, Refusal) else answer.entitlements[0].status)
            assert FORBIDDEN == stranger

    assert [FORBIDDEN, "ACTIVE"] == answers


async def test_c26_a_stateless_token_makes_nothing_after_its_time(
    tmp_path: Path, anyio_backend: object
) -> None:
    """Nobody reads, and so revives, a request that the store lost and whose time is over."""
    del anyio_backend
    token, key = await _asked_and_lost(tmp_path / "before", "click")
    folder = _with_key(tmp_path / "after", key)
    async with desk(folder, is_stateless=True) as opened:
        opened.sim.clock.advance(3_600)
        refusal = await refused(opened.cases.read_request(ALICE, token))

        assert (FORBIDDEN, []) == (refusal, list(opened.sim.store.open_access_requests()))


async def test_c26_a_stateless_token_asks_the_devices_again(
    tmp_path: Path, anyio_backend: object
) -> None:
    """The first party that looks has the signed request made anew, under the same id."""
    del anyio_backend
    token, key = await _asked_and_lost(tmp_path / "before", "device")
    folder = _with_key(tmp_path / "after", key)
    async with desk(folder, is_stateless=True, approval="device") as opened:
        await opened.equip(BOB)
        first, second = await asyncio.gather(
            granted(opened.cases.read_request(ALICE, token)),
            granted(opened.cases.read_request(BOB, token)),
        )
        await opened.vote(first)
        view = await granted(opened.cases.read_request(ALICE, token))

        assert (first.request_id, "ACTIVE", 1) == (
            second.request_id,
            view.entitlements[0].status,
            len(
                list(
                    await opened.sim.store.access_requests(
                        integrator_id=opened.rules.integrator_id,
                        beneficiary=ALICE.email,
                        reviewer=None,
                        before=None,
                        limit=10,
                    )
                )
            ),
        )


async def test_c26_a_stateless_token_counts_once(tmp_path: Path, anyio_backend: object) -> None:
    """While its request is known, what came of that counts: taken back stays taken back."""
    del anyio_backend
    async with desk(tmp_path, is_stateless=True) as opened:
        request = await opened.ask(BOB)
        await opened.withdraw(request)

        answer = await refused(opened.cases.approve(BOB, token_of(request)))
        assert "request_completed" == answer.code


async def _asked_and_lost(folder: Path, approval: ApprovalMode) -> tuple[str, bytes]:
    """A token whose request is in another store, and the key that signed it."""
    async with desk(_new(folder), approval=approval) as opened:
        await opened.equip(BOB)
        return token_of(await opened.ask(BOB)), _key(folder)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _key(folder: Path) -> bytes:
    return (folder / "jit-token-key.pem").read_bytes()


def _with_key(folder: Path, key: bytes) -> Path:
    """An empty data directory with a key for tokens."""
    path = _new(folder) / "jit-token-key.pem"
    path.touch(mode=0o600)
    path.write_bytes(key)
    return folder
