"""What changes, breaks or is lost while a call about roles is answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace as changed
from tests.relay.jit.desk import (
    ALICE,
    BOB,
    CAROL,
    PROJECT,
    ROLE,
    Surroundings,
    desk,
    token_of,
)
from tests.relay.simulator import ACME, granted, refused

from quorumkey_relay.eligibility.policy_file import PolicyFileSource
from quorumkey_relay.mail.messages import LetterWriter
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.usecases.jit.activate import NO_EXECUTOR
from quorumkey_relay.usecases.jit.eligible import SOURCE_UNAVAILABLE
from quorumkey_relay.usecases.jit.ports import MailFailed, SourceUnavailable
from quorumkey_relay.usecases.jit.request import MAIL_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


def collide(patch: pytest.MonkeyPatch, opened: Desk, times: int) -> list[int]:
    """Have so many commits find that somebody was faster; returns how many did, one item each."""
    kind = type(opened.sim.store)
    commit = kind.commit
    met: list[int] = []

    def commits(store: object, writes: Commit) -> object:
        if len(met) < times:
            met.append(len(writes))
            raise Conflict
        return commit(store, writes)  # type: ignore[arg-type] # the store itself

    patch.setattr(kind, "commit", commits)
    return met


def unavailable(patch: pytest.MonkeyPatch, method: str) -> None:
    """Have the source of eligibility not answer one of its questions."""

    async def fails(*_: object) -> None:
        message = "The policy file cannot be read."
        raise SourceUnavailable(message)

    patch.setattr(PolicyFileSource, method, fails)


@pytest.mark.parametrize(
    ("call", "status"),
    [("approve", "ACTIVE"), ("deny", "DENIED"), ("withdraw", "WITHDRAWN")],
)
async def test_jit_who_was_slower_judges_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str, status: str
) -> None:
    """A commit that rests on what has changed is made anew."""
    request = await desk.ask(BOB)
    with monkeypatch.context() as patched:
        met = collide(patched, desk, 2)
        view = await granted(
            getattr(desk.cases, call)(ALICE if call == "withdraw" else BOB, token_of(request))
        )

    assert (2, status) == (len(met), view.entitlements[0].status)


async def test_jit_what_keeps_changing_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a store that cannot be written; the caller may try again."""
    request = await desk.ask(BOB)
    with monkeypatch.context() as patched:
        collide(patched, desk, 1_000)
        with pytest.raises(StoreUnavailable):
            await desk.cases.approve(BOB, token_of(request))

    assert "ACTIVATION_PENDING" == await desk.status(request)


async def test_jit_policies_are_put_and_removed_after_a_collision(
    tmp_path: Path, anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that put at once both succeed, one after the other."""
    del anyio_backend
    async with desk(tmp_path, Surroundings(takes_policies=True)) as opened:
        with monkeypatch.context() as patched:
            collide(patched, opened, 1)
            put = await granted(opened.cases.policies.put(ACME, PROJECT, b'{"bindings":[]}'))
        with monkeypatch.context() as patched:
            collide(patched, opened, 1)
            gone = await opened.cases.policies.remove(ACME, PROJECT)

        assert (1, None, {}) == (put.revision, gone, dict(opened.sim.store.policies(ACME.id)))


@pytest.mark.parametrize("method", ["listing", "holders"])
async def test_jit_a_source_that_fails_half_way_refuses(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Nothing is granted or asked on half an answer."""
    with monkeypatch.context() as patched:
        unavailable(patched, method)
        if method == "listing":
            answers = [await refused(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))]
        else:
            answers = [
                await desk.why_not(desk.body()),
                await refused(desk.cases.peers(ALICE, PROJECT, f"{PROJECT}:{ROLE}")),
            ]

    assert ({SOURCE_UNAVAILABLE.code}, []) == ({one.code for one in answers}, await desk.told())


async def test_jit_a_last_approval_waits_for_the_source(
    tmp_path: Path, anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether those who approved earlier still may is not guessed."""
    del anyio_backend
    async with desk(tmp_path, required=2) as opened:
        request = await opened.ask(BOB, CAROL)
        await opened.approve(request, BOB)
        ask = PolicyFileSource.is_eligible

        async def asks(source: PolicyFileSource, who: str, *rest: object) -> bool:
            if who == BOB.email:
                message = "The policy file cannot be read."
                raise SourceUnavailable(message)
            return await ask(source, who, *rest)  # type: ignore[arg-type] # as it was called

        with monkeypatch.context() as patched:
            patched.setattr(PolicyFileSource, "is_eligible", asks)
            refusal = await refused(opened.cases.approve(CAROL, token_of(request)))
        view = await opened.approve(request, CAROL)

        assert (SOURCE_UNAVAILABLE, "ACTIVE") == (refusal, view.entitlements[0].status)


async def test_jit_a_target_that_was_taken_away_is_told_when_approved(desk: Desk) -> None:
    """The approval is not counted, so it can be given once there is one again."""
    request = await desk.ask(BOB)
    desk.target.serves = "another-project"
    refusal = await refused(desk.cases.approve(BOB, token_of(request)))
    desk.target.serves = PROJECT
    view = await desk.approve(request)

    assert (NO_EXECUTOR, "ACTIVE") == (refusal, view.entitlements[0].status)


async def test_jit_an_address_that_cannot_be_mapped_refuses_the_request(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could be told of it."""
    with monkeypatch.context() as patched:
        patched.setattr(LetterWriter, "requested", _no_address)
        refusal = await desk.why_not(desk.body())

    assert (MAIL_FAILED, []) == (refusal, await desk.told())


async def test_jit_a_denial_counts_though_nobody_can_be_mailed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event tells of it, and the lists do."""
    request = await desk.ask(BOB)
    with monkeypatch.context() as patched:
        patched.setattr(LetterWriter, "denied", _no_address)
        view = await desk.deny(request)

    assert ("DENIED", []) == (
        view.entitlements[0].status,
        list(await desk.sim.store.due_mail(now=desk.sim.clock.now(), limit=1)),
    )


async def test_jit_denials_are_not_mailed_where_there_is_no_mail(
    tmp_path: Path, anyio_backend: object
) -> None:
    """A relay that reaches people by push alone has none to send."""
    del anyio_backend
    async with desk(tmp_path, Surroundings(has_mail=False), approval="device") as opened:
        await opened.equip(BOB)
        request = await opened.ask(BOB)
        await opened.vote(request, BOB, "deny")

        assert ("DENIED", []) == (
            await opened.status(request),
            list(await opened.sim.store.due_mail(now=opened.sim.clock.now(), limit=1)),
        )


@pytest.mark.parametrize(
    ("project", "role"),
    [("p" * 129, ROLE), (PROJECT, "roles/" + "x" * 251), (PROJECT, "roles/\u202eevil")],
    ids=["long project", "long role", "bidi role"],
)
async def test_jit_text_that_nobody_may_be_shown_is_refused(
    desk: Desk, project: str, role: str
) -> None:
    """In both modes, before who is eligible is looked at."""
    body = desk.body(project=project, role=role)
    answer = await refused(desk.cases.request(ALICE, project, body))

    assert "invalid_request" == answer.code


# Tokens whose request is not known any more


async def test_jit_a_request_that_somebody_else_made_again_is_found(
    tmp_path: Path, anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two parties bring a stateless token at once; one of them makes the request anew."""
    del anyio_backend
    async with desk(tmp_path, is_stateless=True) as opened:
        request = await opened.ask(BOB)
        known = await opened.stored(request)
        with monkeypatch.context() as patched:
            _forget_once(patched, opened, known)
            view = await opened.read(request, BOB)

        assert known.id == view.entitlements[0].activation_id


@pytest.mark.parametrize("seconds", [1_741, 1_799], ids=["a minute", "a second"])
async def test_jit_devices_are_not_asked_again_at_the_last_moment(
    tmp_path: Path, anyio_backend: object, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """A signed request lasts for a minute at least, so less than that is not enough."""
    del anyio_backend
    async with desk(tmp_path, is_stateless=True, approval="device") as opened:
        await opened.equip(BOB)
        request = await opened.ask(BOB, minutes=30)
        opened.sim.clock.advance(seconds)
        with monkeypatch.context() as patched:
            _forget_once(patched, opened, await opened.stored(request))
            answer = await refused(opened.cases.read_request(BOB, token_of(request)))

        assert "invalid_request" == answer.code


async def test_jit_devices_are_asked_again_if_enough_are_left(
    tmp_path: Path, anyio_backend: object
) -> None:
    """A reviewer without one is left out, but those who are left must be enough."""
    del anyio_backend
    async with desk(tmp_path, is_stateless=True, approval="device") as opened:
        await opened.equip(BOB, CAROL)
        claims = opened.tokens.read(
            token_of(await opened.ask(BOB, CAROL)), now=opened.sim.clock.now()
        )
        await opened.sim.unpair(opened.devices[BOB.email])
        with_carol = opened.tokens.mint(replace(claims, id="mpa-AAAAAAAAAAAAAAAA"))
        with_bob = opened.tokens.mint(
            replace(claims, id="mpa-BBBBBBBBBBBBBBBB", reviewers=(BOB.email,))
        )
        view = await granted(opened.cases.read_request(ALICE, with_carol))
        answer = await refused(opened.cases.read_request(ALICE, with_bob))
        await opened.vote(view, CAROL)

        assert ("failed_precondition", "ACTIVE") == (
            answer.code,
            (await granted(opened.cases.read_request(ALICE, with_carol))).entitlements[0].status,
        )


async def test_jit_what_is_being_taken_back_is_told_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the target has confirmed, the access may still be there."""
    request = await desk.approve(await desk.ask(BOB))
    activation_id = request.entitlements[0].activation_id

    async def hangs(*_: object) -> None:
        message = "It does not answer."
        raise OSError(message)

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.target), "revoke", hangs)
        pending = await granted(desk.cases.revoke(ALICE, activation_id))
    late = await refused(desk.cases.approve(CAROL, token_of(request)))
    desk.sim.clock.advance(2)
    await desk.done()

    assert ("REVOKING", "forbidden", "REVOKED") == (
        pending.status,
        late.code,
        await desk.status(request),
    )


async def test_jit_nobody_joins_an_approval_that_is_over(desk: Desk) -> None:
    """A further reviewer comes after it was revoked, or after its end."""
    request = await desk.ask(BOB, CAROL)
    view = await desk.approve(request, BOB)
    await granted(desk.cases.revoke(ALICE, view.entitlements[0].activation_id))
    late = await refused(desk.cases.approve(CAROL, token_of(request)))

    assert ("request_completed", 1) == (late.code, len(desk.target.grants))


async def test_jit_the_keys_of_tokens_are_public(desk: Desk) -> None:
    """As a JWK Set, for whoever wants to check them."""
    assert b'"keys"' in desk.cases.jwks()


async def test_jit_an_entitlement_that_is_none_is_refused(desk: Desk) -> None:
    """Alone and with peers."""
    alone = changed(desk.alone(), entitlement_ids=["nonsense"])
    asked = changed(desk.body(), entitlement_id="nonsense")

    assert ["invalid_request", "invalid_request"] == [
        (await refused(desk.cases.self_activate(ALICE, PROJECT, alone))).code,
        (await desk.why_not(asked)).code,
    ]


def _no_address(*_: object, **__: object) -> None:
    message = "An address cannot be mapped."
    raise MailFailed(message, is_final=True)


def _forget_once(patch: pytest.MonkeyPatch, opened: Desk, known: AccessRequest) -> None:
    """Have the store not know a request once; it is there when it is made again."""
    kind = type(opened.sim.store)
    find: Callable[..., object] = kind.access_request
    asked: list[str] = []

    async def finds(store: object, access_request_id: str) -> object:
        if access_request_id == known.id and not asked:
            asked.append(access_request_id)
            return None
        return await find(store, access_request_id)  # type: ignore[misc] # a coroutine

    patch.setattr(kind, "access_request", finds)
