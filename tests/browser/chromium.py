"""Chromium without a window, and the program that drives it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

NAMES = {
    "Chromium": ("chromium", "chromium-browser", "google-chrome"),
    "ChromeDriver": ("chromedriver",),
}
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # as root in a container it has no other choice
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--force-prefers-reduced-motion",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # pages ask no other host
)


def missing() -> list[str]:
    """Name what the browser tests need and this machine does not have."""
    return [part for part in NAMES if not _program(part)]


def _program(part: str) -> str | None:
    return next(filter(None, map(shutil.which, NAMES[part])), None)


@contextmanager
def running(folder: Path) -> Iterator[Chrome]:
    """Start the browser with a fresh profile; end it and its driver afterwards."""
    options = ChromeOptions()
    options.binary_location = _program("Chromium") or ""
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = {**os.environ, "TMPDIR": str(folder)}
    driver = Chrome(options, Service(_program("ChromeDriver"), env=environment))
    # A window that gets the focus with the first key tells the page twice what that led to.
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    try:
        yield driver
    finally:
        driver.quit()
