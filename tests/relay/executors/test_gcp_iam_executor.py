"""Granting in Google Cloud IAM, against the stand-in for Google (C9 to C12)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from tests.relay.executors.parts import (
    ALICE,
    BOB,
    ELIGIBLE,
    END,
    PERMANENT,
    PROJECT,
    ROLE,
    WINDOW,
    activation,
    google_cloud,
)

from quorumkey_relay.executors.gcp_iam import MAX_RETRIES, PAUSE_SECONDS
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.executors.parts import CloudRig

    from quorumkey_relay.domain.jit.activation import Activation

pytestmark = pytest.mark.anyio

WRITTEN = [("getIamPolicy", 200), ("setIamPolicy", 200)]
GRANTED: dict[str, object] = {
    "role": ROLE,
    "members": [f"user:{ALICE}"],
    "condition": {
        "title": "JIT access activation",
        "description": "Approved by bob@example.com, justification: BUG-12345",
        "expression": WINDOW,
    },
}


async def failure(google: CloudRig, asked: Activation | None = None) -> GrantFailed:
    """Why a role was not granted."""
    with pytest.raises(GrantFailed) as caught:
        await google.executor.grant(asked or activation(), None)
    return caught.value


async def test_c09_a_role_is_granted_for_its_window(google: CloudRig) -> None:
    """The project's policy gets the binding, and Google lets the person in."""
    await google.executor.grant(activation(), None)

    assert [ELIGIBLE, PERMANENT, GRANTED] == google.cloud.bindings(PROJECT)
    assert google.has_role()


async def test_c12_access_ends_by_the_clock_alone(google: CloudRig) -> None:
    """At the end of the window the role is gone, although nobody has called Google again."""
    await google.executor.grant(activation(), None)
    google.clock.seconds = END - 1
    assert google.has_role()

    google.clock.seconds = END

    assert (False, WRITTEN) == (google.has_role(), google.methods)


async def test_c09_nobody_else_is_let_in(google: CloudRig) -> None:
    """A peer who is eligible too does not get the role by the way."""
    await google.executor.grant(activation(), None)

    assert not google.has_role(BOB)


async def test_c10_the_policy_is_of_version_3(google: CloudRig) -> None:
    """Version 3 is asked for and written, with the etag that was read."""
    await google.executor.grant(activation(), None)

    read, written = google.cloud.calls
    policy = cast("dict[str, object]", written.body["policy"])
    assert {"options": {"requestedPolicyVersion": 3}} == read.body
    assert (3, True) == (policy["version"], bool(policy["etag"]))


async def test_c10_the_reason_stands_in_the_header(google: CloudRig) -> None:
    """Each call carries the justification for Google's audit log, in letters a header can hold."""
    await google.executor.grant(activation(justification="BUG-1: grüße\t!"), None)

    reasons = {call.headers["x-goog-request-reason"] for call in google.cloud.calls}
    assert {"BUG-1: gr%C3%BC%C3%9Fe%09!"} == reasons


async def test_c11_granting_twice_is_granting_once(google: CloudRig) -> None:
    """The second grant finds the binding and writes nothing."""
    await google.executor.grant(activation(), None)
    await google.executor.grant(activation(), None)

    assert [*WRITTEN, ("getIamPolicy", 200)] == google.methods
    assert [GRANTED] == google.temporary


async def test_c11_an_extension_takes_the_place_of_the_first(google: CloudRig) -> None:
    """A later end leaves one binding, which holds until then."""
    await google.executor.grant(activation(), None)

    await google.executor.grant(activation(end=END + 600), None)

    google.clock.seconds = END
    assert (1, True) == (len(google.temporary), google.has_role())


async def test_c12_a_second_approver_is_shown(google: CloudRig) -> None:
    """Granting again for another approver keeps the window and changes the description."""
    await google.executor.grant(activation(), None)

    await google.executor.grant(activation(approvers=(BOB, "carol@example.com")), None)

    (binding,) = google.temporary
    condition = cast("dict[str, object]", binding["condition"])
    assert (WINDOW, "Approved by carol@example.com, justification: BUG-12345") == (
        condition["expression"],
        condition["description"],
    )


async def test_c10_an_earlier_binding_of_another_resource_goes(google: CloudRig) -> None:
    """One temporary binding of a role and a person is all that there ever is."""
    limited = activation(condition='resource.type == "compute.googleapis.com/Instance"')
    await google.executor.grant(limited, None)

    await google.executor.grant(activation(), None)

    assert [GRANTED] == google.temporary


async def test_revoking_takes_the_binding_away(google: CloudRig) -> None:
    """The policy is again what it was."""
    await google.executor.grant(activation(), None)

    await google.executor.revoke(activation())

    assert [ELIGIBLE, PERMANENT] == google.cloud.bindings(PROJECT)


async def test_revoking_twice_is_revoking_once(google: CloudRig) -> None:
    """What was never granted, or is gone, is looked for and nothing is written."""
    await google.executor.revoke(activation())

    assert [("getIamPolicy", 200)] == google.methods


@pytest.mark.parametrize("status", [409, 412])
async def test_c10_four_concurrent_changes_are_survived(google: CloudRig, status: int) -> None:
    """The policy is read anew 200 ms after each, four times, and then written."""
    google.cloud.faults.conflicts = MAX_RETRIES
    google.cloud.faults.conflict_status = status

    await google.executor.grant(activation(), None)

    lost = [("getIamPolicy", 200), ("setIamPolicy", status)]
    assert [*lost * 4, *WRITTEN] == google.methods
    assert [0.2] * 4 == google.pauses.seconds == [PAUSE_SECONDS] * MAX_RETRIES
    assert google.has_role()


@pytest.mark.parametrize("status", [409, 412])
async def test_c10_five_concurrent_changes_are_too_many(google: CloudRig, status: int) -> None:
    """After the fifth it is given up with these words; nothing was changed, so it may be tried."""
    google.cloud.faults.conflicts = MAX_RETRIES + 1
    google.cloud.faults.conflict_status = status

    failed = await failure(google)

    assert "concurrent modifications" in failed.message
    assert (False, 10, [], 4) == (
        failed.is_final,
        len(google.methods),
        google.temporary,
        len(google.pauses.seconds),
    )


async def test_c10_somebody_elses_change_is_kept(google: CloudRig) -> None:
    """What was written between reading and writing is in the policy afterwards, beside ours."""
    other: dict[str, object] = {"role": "roles/viewer", "members": ["group:all@example.com"]}

    async def change() -> None:
        google.cloud.put_policy(PROJECT, [ELIGIBLE, PERMANENT, other])

    google.cloud.faults.conflicts = 1
    google.pauses.during = change

    await google.executor.grant(activation(), None)

    assert [ELIGIBLE, PERMANENT, other, GRANTED] == google.cloud.bindings(PROJECT)


async def test_c10_a_project_is_changed_by_one_at_a_time(google: CloudRig) -> None:
    """Five grants at once never find each other's change between reading and writing."""
    asked = [activation(beneficiary=f"person{number}@example.com") for number in range(5)]

    await asyncio.gather(*(google.executor.grant(one, None) for one in asked))

    assert WRITTEN * 5 == google.methods
    assert all(google.has_role(one.beneficiary) for one in asked)


async def test_projects_do_not_wait_for_each_other(google: CloudRig) -> None:
    """While one project's change waits for Google, another's goes through."""
    google.cloud.put_policy("project-2", [])
    google.cloud.faults.conflicts = 1
    reached, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await release.wait()

    google.pauses.during = hold
    held = asyncio.create_task(google.executor.grant(activation(), None))
    await reached.wait()

    await google.executor.grant(activation(project="project-2"), None)

    assert not held.done()
    release.set()
    await held


async def test_an_answer_that_never_comes_is_not_waited_for(credentials_folder: Path) -> None:
    """After its time a call is given up, nobody knows what became of it, and it is tried again."""
    async with google_cloud(credentials_folder, timeout_seconds=0.2) as google:
        google.cloud.faults.hangs = 1

        failed = await failure(google)
        await google.executor.grant(activation(), None)

        assert (False, True) == (failed.is_final, google.has_role())


async def test_a_lost_answer_is_found_out(google: CloudRig) -> None:
    """Without an answer nobody knows; the next try finds the binding and writes nothing."""
    google.cloud.faults.lost_answers = 1
    failed = await failure(google)

    await google.executor.grant(activation(), None)

    assert not failed.is_final
    assert [("getIamPolicy", 200), ("setIamPolicy", 0), ("getIamPolicy", 200)] == google.methods
    assert [GRANTED] == google.temporary


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_is_final(google: CloudRig, status: int) -> None:
    """What Google refuses is not asked again, and was not done."""
    google.cloud.faults.statuses = [status, status]

    failed = await failure(google)

    assert (True, []) == (failed.is_final, google.temporary)
    assert f"{status} " in failed.message


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_not_now_is_not_final(google: CloudRig, status: int) -> None:
    """Trouble on Google's side may pass."""
    google.cloud.faults.statuses = [status]

    assert not (await failure(google)).is_final


async def test_an_unknown_project_is_refused(google: CloudRig) -> None:
    """Google does not tell whether it exists; the role is not granted."""
    failed = await failure(google, activation(project="project-9"))

    assert (True, True) == (failed.is_final, "403 PERMISSION_DENIED" in failed.message)


async def test_a_role_that_google_does_not_know_is_refused(google: CloudRig) -> None:
    """Google's 400 is final, and the policy stays as it was."""
    failed = await failure(google, activation(role="compute.admin"))

    assert (True, [ELIGIBLE, PERMANENT]) == (failed.is_final, google.cloud.bindings(PROJECT))


async def test_c09_a_condition_that_ends_its_brackets_reaches_nobody(google: CloudRig) -> None:
    """It is refused before Google is asked to write it."""
    failed = await failure(google, activation(condition="true) || (true"))

    assert (True, [("getIamPolicy", 200)]) == (failed.is_final, google.methods)


async def test_an_access_token_that_was_taken_back_is_renewed(google: CloudRig) -> None:
    """A 401 costs one more call, and the role is granted."""
    await google.executor.grant(activation(), None)
    google.clock.advance(60)
    google.cloud.token_endpoint.revoke()

    await google.executor.revoke(activation())

    assert ("getIamPolicy", 401) in google.methods
    assert [] == google.temporary


async def test_an_account_that_gets_no_token_is_told(google: CloudRig) -> None:
    """An assertion that Google refuses is final; a token endpoint that is down is not."""
    google.cloud.stand.faults.token_status = 503
    is_down = await failure(google)
    google.cloud.stand.faults.token_status = 400

    is_refused = await failure(google)

    assert (False, True) == (is_down.is_final, is_refused.is_final)
    assert [] == google.methods


async def test_google_being_down_is_not_final(google: CloudRig) -> None:
    """Without a connection nothing was done, and it is tried again."""
    google.cloud.stand.faults.is_down = True

    assert not (await failure(google)).is_final


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"bindings":[]}', b'{"etag":"x","bindings":{}}'], ids=str
)
async def test_what_is_no_policy_is_not_written_over(google: CloudRig, body: bytes) -> None:
    """A page of a proxy, a policy without an etag, and another form stop the change."""
    google.cloud.faults.bodies = [body]

    failed = await failure(google)

    assert (False, [("getIamPolicy", 200)]) == (failed.is_final, google.methods)


async def test_a_page_of_a_proxy_confirms_nothing(google: CloudRig) -> None:
    """A write whose answer is no policy may or may not have been done; the next try finds out."""
    google.cloud.faults.written_bodies = [b"<html>Welcome</html>"]

    failed = await failure(google)
    await google.executor.grant(activation(), None)

    assert (False, [*WRITTEN, ("getIamPolicy", 200)]) == (failed.is_final, google.methods)


async def test_an_error_without_googles_word_is_told_by_its_status(google: CloudRig) -> None:
    """A proxy's page is not repeated to anybody."""
    google.cloud.faults.bodies = [b"<html>c4n4ry", b'{"error":{"status":"c4n4ry; DROP"}}']
    google.cloud.faults.body_status = 403

    first, second = await failure(google), await failure(google)

    assert {"Google Cloud did not read the IAM policy of project-1: 403."} == {
        first.message,
        second.message,
    }


async def test_what_the_executor_says_of_itself(google: CloudRig) -> None:
    """Its name is that of the settings, and it ends what it grants by itself."""
    executor = google.executor

    assert ("cloud", True) == (executor.name, executor.expires_by_itself)
    assert "by itself" in executor.description
