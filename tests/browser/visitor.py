"""A visitor: what a person does in a browser, and what is to be seen there."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from tests.conftest import SCREENSHOTS
from tests.support import wait_until

READ = """
    const found = [...document.querySelectorAll(arguments[0])];
    const texts = found.filter((one) => one.checkVisibility()).map((one) => one.innerText);
    return texts.join("\\n").replace(/[ \\t\xa0]+/g, " ");
"""
FIND = """
    const [selector, wanted] = arguments;
    const isText = (node) => node.nodeType === Node.TEXT_NODE;
    const own = (one) => [...one.childNodes].filter(isText).map((node) => node.data).join("");
    const said = (label) => own(label).trim() || label.querySelector("img")?.alt;
    const labels = (one) => [...(one.labels ?? [])].map(said);
    const names = (one) => [
        one.innerText, one.value, one.getAttribute("aria-label"), ...labels(one),
    ];
    const isMeant = (one) => names(one).some((name) => name?.trim().toLowerCase() === wanted);
    const found = [...document.querySelectorAll(selector)];
    return found.filter((one) => one.checkVisibility() && isMeant(one));
"""
CLICKABLE = "a, button, input[type=submit], summary"
FINISH_TRANSITIONS = """
    const all = document.getAnimations();
    all.filter((one) => one instanceof CSSTransition).forEach((one) => one.finish());
"""


@dataclass(frozen=True)
class Look:
    """A window, and whether its owner likes it dark."""

    name: str
    width: int = 1280
    height: int = 900
    scheme: str = "light"
    is_phone: bool = False


LIGHT = Look("light")
DARK = Look("dark", scheme="dark")
NARROW = Look("narrow", width=390, height=844, is_phone=True)
LOOKS = (LIGHT, DARK, NARROW)


class Visitor:
    """Someone at a site, who finds things by what they say."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.site = ""
        self.look = LIGHT

    def visit(self, path: str = "") -> None:
        """Open a page of the site."""
        self.driver.get(self.site + path)

    def leave(self) -> None:
        """Forget the site, and see nothing."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.get("about:blank")

    def put_on(self, look: Look) -> None:
        """Change the window."""
        self.look = look
        window = {"width": look.width, "height": look.height, "mobile": look.is_phone}
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**window, "deviceScaleFactor": 1}
        )
        scheme = {"name": "prefers-color-scheme", "value": look.scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.run(FINISH_TRANSITIONS)

    def looks(self) -> Iterator[Look]:
        """Put on each look, and at the end the one from before."""
        former = self.look
        for look in LOOKS:
            self.put_on(look)
            yield look
        self.put_on(former)

    @contextmanager
    def without_scripts(self) -> Iterator[None]:
        """Turn JavaScript off for pages that are opened meanwhile."""
        command = "Emulation.setScriptExecutionDisabled"
        self.driver.execute_cdp_cmd(command, {"value": True})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd(command, {"value": False})

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Cut the browser off meanwhile."""
        command = "Network.emulateNetworkConditions"
        unlimited = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(command, {"offline": True, **unlimited})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd(command, {"offline": False, **unlimited})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns that runs in the page."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that are to be seen, by a selector of CSS."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    def text(self, selector: str = "body") -> str:
        """Return what the elements say, all read at one moment."""
        return str(self.run(READ, selector))

    def await_text(self, pattern: str, selector: str = "body") -> re.Match[str]:
        """Wait until the page says so by itself."""
        try:
            return wait_until(lambda: re.search(pattern, self.text(selector)))
        except AssertionError:
            raise AssertionError(f"no {pattern!r} at {selector}: {self.text()}") from None

    def click(self, text: str | None, selector: str = CLICKABLE) -> None:
        """Click the one thing that says just this, be it in capitals, or has it as its name.

        Without a text it is the one thing that the selector finds.
        """
        things = self.all(selector) if text is None else self._named(text, selector)
        assert len(things) == 1, f"{len(things)} things are {text!r} at {self.text()}"
        things[0].click()

    def _named(self, text: str, selector: str) -> list[WebElement]:
        found: list[WebElement] = self.run(FIND, selector, text.lower())
        return found

    def follow(self, text: str | None, selector: str = CLICKABLE) -> None:
        """Click what leads to another page, or to this one anew, and wait for that."""
        self.mark()
        self.click(text, selector)
        loaded = "return !window.isMarked && document.readyState === 'complete'"
        wait_until(lambda: self.run(loaded), f"what follows {text!r}")

    def mark(self) -> None:
        """Leave a mark in the page, which is gone once the page is loaded again."""
        self.run("window.isMarked = true")

    def is_marked(self) -> bool:
        """Tell whether this is still the page that was marked."""
        return bool(self.run("return window.isMarked"))

    def field(self, label: str) -> WebElement:
        """Return the field with this label."""
        fields = self._named(label, "input:not([type=submit]), select, textarea")
        assert len(fields) == 1, f"{len(fields)} fields are {label!r} at {self.text()}"
        return fields[0]

    def fill(self, label: str, value: str) -> None:
        """Write into the field with this label, in the place of what it holds."""
        field = self.field(label)
        field.clear()
        field.send_keys(value)

    def choose(self, label: str, option: str) -> None:
        """Choose an option of the field with this label."""
        Select(self.field(label)).select_by_visible_text(option)

    def press_tab(self, times: int) -> None:
        """Press the Tab key."""
        ActionChains(self.driver).send_keys(*[Keys.TAB] * times).perform()

    def errors(self) -> list[str]:
        """Return what went wrong in the page since this was last asked: scripts and requests."""
        log = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        messages = [entry["message"] for entry in log if entry["level"] in ("WARNING", "SEVERE")]
        return [message for message in messages if "/favicon.ico" not in message]

    def photograph(self, name: str) -> None:
        """Take a screenshot of the whole page as it looks."""
        SCREENSHOTS.mkdir(exist_ok=True)
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        whole = {"clip": {**size, "scale": 1}, "captureBeyondViewport": True}
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", whole)["data"]
        (SCREENSHOTS / f"{name}-{self.look.name}.png").write_bytes(base64.b64decode(picture))
