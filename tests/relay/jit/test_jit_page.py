"""The page of just-in-time access in a real browser."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys
from tests.relay.api.harness import ok
from tests.relay.jit.browser import browser
from tests.relay.jit.reception import (
    ALICE,
    BOB,
    MALLORY,
    NOTHING,
    OWN_ROLE,
    PROJECT,
    ROLE,
    reception,
)
from tests.relay.simulator import START, ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from tests.relay.jit.browser import Browser
    from tests.relay.jit.reception import Reception

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

#: The page's clock is the relay's, and it looks for news without waiting long.
CLOCK = f"""
window.now = {START * 1000};
Date.now = () => window.now;
const later = window.setTimeout;
window.setTimeout = (work, milliseconds) => later(work, milliseconds / 50);
"""
#: Counts how often each address is asked for.
COUNTED = """
window.asked = {};
const ask = window.fetch;
window.fetch = (path, how) => {
  window.asked[path] = (window.asked[path] ?? 0) + 1;
  return ask(path, how);
};
"""
#: What the relay answers to whoever acts is held back until the page's answer() is called.
HELD_BACK = """
const ask = window.fetch;
window.fetch = (path, how) => how.method === "GET" ? ask(path, how) : new Promise((resolve) => {
  window.answer = () => resolve(new Response('{"message": "It did not work."}', { status: 502 }));
});
"""
MARKUP = "<img src=x onerror=\"document.title='run'\"> {{USER}}"


@asynccontextmanager
async def desk_with_browser(
    folder: Path, changes: Mapping[str, object] = NOTHING, *, clock: ManualClock | None = None
) -> AsyncGenerator[tuple[Reception, Browser]]:
    """A relay and a browser in front of it."""
    async with reception(folder, changes, clock=clock) as office:
        opening = browser(folder / "profile")
        chrome = await asyncio.to_thread(opening.__enter__)
        try:
            yield office, chrome
        finally:
            await asyncio.to_thread(opening.__exit__, None, None, None)


def sign_in(office: Reception, chrome: Browser, person: str, address: str) -> None:
    """Go to a page as somebody who has yet to sign in."""
    office.around.oidc.user = person
    chrome.forget()
    chrome.go(office.house.url + address)
    chrome.click("#sign-in-link")
    chrome.find("#person-name", person)


def activate_alone(chrome: Browser) -> None:
    """Activate the role that needs no peer, with markup as the reason."""
    chrome.click("label.card", OWN_ROLE)
    chrome.click("#roles-go")
    chrome.write("#reason", MARKUP)
    chrome.click("#ask-go")
    chrome.find("#notice .good", "Your access is active.")


def ask_bob(chrome: Browser) -> None:
    """Ask one peer for the role that needs one."""
    chrome.click("#roles .card button", "Ask peers…")
    chrome.click("#ask-peers-list label", BOB)
    chrome.write("#reason", MARKUP)
    chrome.click("#ask-go")
    chrome.find("#review [data-status=ACTIVATION_PENDING]")


def approve(chrome: Browser) -> None:
    """Approve what is shown."""
    chrome.find("#review", f"{ALICE} asks for access to the project {PROJECT}.")
    chrome.click("#review button", "Approve")
    chrome.find("#notice .good", "You approved the request.")
    chrome.find("#review [data-status=ACTIVE]")


def end_access(chrome: Browser) -> None:
    """End the access that Bob has approved."""
    card = chrome.find("#active .card", ROLE)
    assert BOB in card.text
    chrome.click("#active .card:has([data-status=ACTIVE]) button", "End now")
    chrome.agree()
    chrome.find("#notice .good", "The access has ended.")


async def test_activate_ask_approve_and_end(tmp_path: Path) -> None:
    """Alice activates a role and asks for another, Bob approves it by a click, Alice ends it."""
    async with desk_with_browser(tmp_path) as (office, chrome):

        def alice() -> str:
            sign_in(office, chrome, ALICE, "/jit/")
            activate_alone(chrome)
            assert MARKUP in chrome.text("#active .card")
            ask_bob(chrome)
            return chrome.driver.current_url.removeprefix(office.house.url)

        def bob(link: str) -> None:
            sign_in(office, chrome, BOB, "/jit/")
            chrome.find("#reviews .card", ALICE)
            assert MARKUP in chrome.text("#reviews .card")
            sign_in(office, chrome, BOB, link)
            assert MARKUP in chrome.text("#review table")
            approve(chrome)

        def alice_again() -> None:
            sign_in(office, chrome, ALICE, "/jit/")
            end_access(chrome)
            chrome.click("#sign-out")
            chrome.find("#sign-in-link")

        link = await asyncio.to_thread(alice)
        assert link.startswith("/jit/?activation=")
        assert office.around.cloud.has_role(ALICE, PROJECT, OWN_ROLE)
        await asyncio.to_thread(bob, link)
        assert office.around.cloud.has_role(ALICE, PROJECT, ROLE)
        await asyncio.to_thread(alice_again)
        assert not office.around.cloud.has_role(ALICE, PROJECT, ROLE)
        assert not chrome.has("img")
        assert chrome.driver.title == "Just-in-time access"
        assert chrome.complaints() == []


async def test_a_request_that_devices_decide(tmp_path: Path) -> None:
    """The page has nothing to click for a reviewer, and shows by itself what the device decided."""
    changes = {"activation": {"approval": "device"}}
    async with desk_with_browser(tmp_path, changes) as (office, chrome):
        phone = await office.house.device(BOB)
        asked = await office.ask()
        link = f"/jit/?activation={asked['activation']}"

        def bob() -> None:
            sign_in(office, chrome, BOB, link)
            chrome.find("#review", "Decide on your device")
            assert asked["requestId"] in chrome.text("#review table")
            assert not chrome.has("#review button")

        await asyncio.to_thread(bob)
        request = ok(await office.house.get(f"/v1/requests/{asked['requestId']}"))
        ok(await office.house.decide(phone, request))
        await asyncio.to_thread(chrome.find, "#review [data-status=ACTIVE]")
        assert office.around.cloud.has_role(ALICE, PROJECT, ROLE)
        assert chrome.complaints() == []


async def test_what_is_refused_is_said(tmp_path: Path) -> None:
    """A link that is not yours, and a reason that does not do, are told in a sentence."""
    changes = {"activation": {"approval": "click", "justification_pattern": "BUG-[0-9]+"}}
    async with desk_with_browser(tmp_path, changes) as (office, chrome):

        def alice() -> None:
            sign_in(office, chrome, ALICE, "/jit/?activation=nothing")
            chrome.find("#notice .bad", "You are not allowed to do this")
            chrome.click("h1 a")
            chrome.click("label.card", OWN_ROLE)
            chrome.click("#roles-go")
            chrome.write("#reason", "because")
            chrome.click("#ask-go")
            chrome.find("#ask-problem", "Justification does not meet criteria: Bug or case number")

        await asyncio.to_thread(alice)
        assert chrome.complaints() == []


async def test_deny_and_withdraw(tmp_path: Path) -> None:
    """A reviewer denies and who asked takes back, each where they read the request."""
    async with desk_with_browser(tmp_path) as (office, chrome):
        links = [
            f"/jit/?activation={(await office.ask(justification=reason))['activation']}"
            for reason in ("BUG-1", "BUG-2")
        ]

        def decide() -> None:
            sign_in(office, chrome, BOB, links[0])
            chrome.click("#review button", "Deny")
            chrome.find("#review [data-status=DENIED]")
            sign_in(office, chrome, ALICE, links[1])
            chrome.click("#review button", "Withdraw")
            chrome.find("#review [data-status=WITHDRAWN]")
            assert not chrome.has("#review button")

        await asyncio.to_thread(decide)
        assert chrome.complaints() == []


async def test_access_is_shown_although_policies_cannot_be_read(tmp_path: Path) -> None:
    """Where nobody can say who may activate what, what is active can still be seen and ended."""
    async with desk_with_browser(tmp_path) as (office, chrome):
        await office.activate()
        office.around.policy_file.write_text("no policy")

        def alice() -> None:
            sign_in(office, chrome, ALICE, "/jit/")
            chrome.find("#roles .notice", "cannot be found out")
            chrome.click("#active .card button", "End now")
            chrome.agree()
            chrome.find("#notice .good", "The access has ended.")

        await asyncio.to_thread(alice)
        assert not office.around.cloud.has_role(ALICE, PROJECT, OWN_ROLE)


async def test_the_page_keeps_up_without_taking_the_focus_away(tmp_path: Path) -> None:
    """The time that is left is told anew, and a button that somebody stands on is still there."""
    async with desk_with_browser(tmp_path) as (office, chrome):
        await office.activate(activationTimeout=60)
        chrome.run_first(CLOCK)

        def alice() -> None:
            sign_in(office, chrome, ALICE, "/jit/")
            card = chrome.find("#active .card", "60 minutes left")
            chrome.run("document.querySelector('#active button').focus(); window.now += 60000")
            chrome.find("#active .card", "59 minutes left")
            assert "End now" == chrome.run("return document.activeElement.textContent")
            assert "59 minutes left" in card.text

        await asyncio.to_thread(alice)


async def test_roles_are_asked_for_when_something_has_changed(tmp_path: Path) -> None:
    """A page that is left open asks for news, and not again and again what may be activated."""
    async with desk_with_browser(tmp_path) as (office, chrome):
        chrome.run_first(CLOCK + COUNTED)
        roles = f"window.asked['api/projects/{PROJECT}/roles']"
        looks = "window.asked['api/activations?limit=100']"

        def alice() -> None:
            sign_in(office, chrome, ALICE, "/jit/")
            chrome.find("#roles .card")
            chrome.until(f"return {looks} > 3")
            assert 1 == chrome.run(f"return {roles}")

        await asyncio.to_thread(alice)
        await office.activate()
        await asyncio.to_thread(chrome.find, "#roles .card [data-status=ACTIVE]")
        assert 2 == await asyncio.to_thread(chrome.run, f"return {roles}")


async def test_what_is_over_is_shown_as_over(tmp_path: Path) -> None:
    """The page of a request shows by itself that its time is over, and offers nothing any more."""
    clock = ManualClock()
    async with desk_with_browser(tmp_path, clock=clock) as (office, chrome):
        chrome.run_first(CLOCK)
        asked = await office.ask()
        missed = await office.ask(activationTimeout=60)
        await office.post(BOB, "/activation-request", activation=asked["activation"])

        def alice() -> None:
            sign_in(office, chrome, ALICE, f"/jit/?activation={asked['activation']}")
            chrome.find("#review button", "End now")
            clock.advance(1_800)
            chrome.find("#review [data-status=ENDED]")
            assert not chrome.has("#review button")
            chrome.go(f"{office.house.url}/jit/?activation={missed['activation']}")
            chrome.find("#review button", "Withdraw")
            clock.advance(1_800)
            chrome.find("#review [data-status=EXPIRED]")
            assert not chrome.has("#review button")

        await asyncio.to_thread(alice)


async def test_a_link_of_others_says_what_to_do(tmp_path: Path) -> None:
    """Who has signed in as somebody else is told as whom, and that others can open the link."""
    async with desk_with_browser(tmp_path) as (office, chrome):
        asked = await office.ask()

        def mallory() -> None:
            sign_in(office, chrome, MALLORY, f"/jit/?activation={asked['activation']}")
            chrome.find("#notice .bad", "You are not allowed to do this")
            chrome.find("#review", f"You are signed in as {MALLORY}.")
            chrome.click("#review a", "All your access")
            chrome.find("#roles", "There is nothing that you may activate.")
            assert not chrome.run("return document.getElementById('project').checkVisibility()")

        await asyncio.to_thread(mallory)


async def test_a_failure_is_told_although_the_dialog_is_closed(tmp_path: Path) -> None:
    """Who closes the dialog before the relay has answered still reads that it did not work."""
    async with desk_with_browser(tmp_path) as (office, chrome):
        chrome.run_first(HELD_BACK)

        def alice() -> None:
            sign_in(office, chrome, ALICE, "/jit/")
            chrome.click("label.card", OWN_ROLE)
            chrome.click("#roles-go")
            chrome.write("#reason", "BUG-1" + Keys.ENTER)
            chrome.press(Keys.ESCAPE)
            chrome.run("window.answer()")
            chrome.find("#notice .bad", "It did not work.")

        await asyncio.to_thread(alice)


async def test_too_few_peers_are_told(tmp_path: Path) -> None:
    """Where fewer people may approve than have to be asked, that is said instead of a rule."""
    changes = {"activation": {"approval": "click", "min_reviewers": 3}}
    async with desk_with_browser(tmp_path, changes) as (office, chrome):

        def alice() -> None:
            sign_in(office, chrome, ALICE, "/jit/")
            chrome.click("#roles .card button", "Ask peers…")
            chrome.find("#ask-peers-rule", "Only 2 others may approve this role, and at least 3")
            assert not chrome.find("#ask-go").is_enabled()

        await asyncio.to_thread(alice)
