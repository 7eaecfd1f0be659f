"""Chromium without a window, as somebody sits in front of it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

PROGRAM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")
#: How long a page may take to show something before a test gives up.
PATIENCE_SECONDS: Final = 60

_OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--lang=en-GB",
    "--window-size=1000,1200",
)


@dataclass(frozen=True)
class Browser:
    """One browser with one profile."""

    driver: Chrome

    def go(self, url: str) -> None:
        """Open a page."""
        self.driver.get(url)

    def forget(self) -> None:
        """Be somebody else's browser from now on."""
        self.driver.delete_all_cookies()

    def find(self, selector: str, text: str = "") -> WebElement:
        """Wait until something is shown that has this text."""

        def shown(driver: Chrome) -> WebElement | Literal[False]:
            try:
                for found in driver.find_elements(By.CSS_SELECTOR, selector):
                    if found.is_displayed() and text in found.text:
                        return found
            except StaleElementReferenceException:
                pass  # the page has just been drawn anew: look again
            return False

        waiting = WebDriverWait(self.driver, PATIENCE_SECONDS)
        return waiting.until(shown, f"no {selector} with {text!r} is shown")

    def click(self, selector: str, text: str = "") -> None:
        """Click on something once it is shown."""
        self.find(selector, text).click()

    def write(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.find(selector).send_keys(text)

    def text(self, selector: str) -> str:
        """What is read there."""
        return self.find(selector).text

    def has(self, selector: str) -> bool:
        """Say whether the page has such an element, shown or not."""
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def run_first(self, script: str) -> None:
        """Run something in every page that is opened from now on, before the page's own program."""
        name = "Page.addScriptToEvaluateOnNewDocument"
        self.driver.execute_cdp_cmd(name, {"source": script})  # pyright: ignore[reportUnknownMemberType]  # untyped

    def run(self, script: str) -> object:
        """What a script in the page returns."""
        return self.driver.execute_script(script)  # pyright: ignore[reportUnknownMemberType]  # untyped

    def until(self, script: str) -> None:
        """Wait until a script in the page returns something that is true."""
        waiting = WebDriverWait(self.driver, PATIENCE_SECONDS)
        waiting.until(lambda _driver: self.run(script), f"{script} stays false")

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(key)

    def agree(self) -> None:
        """Say yes to what the page asks."""
        waiting = WebDriverWait(self.driver, PATIENCE_SECONDS)
        waiting.until(lambda driver: driver.switch_to.alert).accept()

    def complaints(self) -> list[str]:
        """What the browser found wrong with the page since it was asked last, refusals aside."""
        logged = (str(line["message"]) for line in self.driver.get_log("browser"))  # type: ignore[no-untyped-call]  # selenium has no type for it
        return [line for line in logged if "Failed to load resource" not in line]


@contextmanager
def browser(profile: Path, *options: str) -> Generator[Browser]:
    """A browser that keeps what it has to in ``profile``."""
    if PROGRAM is None or DRIVER is None:
        pytest.fail("chromium or chromedriver is missing: run scripts/setup dev")
    asked = ChromeOptions()
    asked.binary_location = PROGRAM
    for option in (*_OPTIONS, f"--user-data-dir={profile}", *options):
        asked.add_argument(option)
    asked.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=asked, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
