"""A browser for each process that runs tests, and a visitor for each test."""

import os
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.browser.visitor import LIGHT, Visitor


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser; without one the tests are left out, or fail if TESTS_BROWSER is "required"."""
    wanted = os.environ.get("TESTS_BROWSER")
    if wanted == "none":
        pytest.skip("TESTS_BROWSER is none")
    if missing := " and ".join(chromium.missing()):
        (pytest.fail if wanted == "required" else pytest.skip)(f"no {missing} on this machine")
    with chromium.running(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def visitor(driver: Chrome) -> Iterator[Visitor]:
    """Return a visitor whom no site knows; fail the test if a script or a request has failed."""
    visitor = Visitor(driver)
    visitor.put_on(LIGHT)
    yield visitor
    errors = visitor.errors()
    visitor.leave()
    assert not errors
