"""A browser for each process that runs tests, and for each test a visitor."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.browser.site import Site
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


@pytest.fixture(scope="module")
def site(
    driver: Chrome, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The tests' site, which several tests visit."""
    site = Site(tmp_path_factory.mktemp("site"))
    yield site.wait_until_ready()
    site.stop()


@pytest.fixture
def port(site: Site, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the port where the site looks for a leek_server, as the pushes of this test do."""
    monkeypatch.setenv("LEEK_TASKS_PORT", str(site.leek_port))
    return site.leek_port


@pytest.fixture
def owner(transactional_db: None, site: Site, port: int, visitor: Visitor) -> Iterator[Visitor]:
    """Return a visitor who is logged in to the admin, and may do everything there."""
    visitor.site = site.url
    log_in(visitor, User.objects.create_superuser("owner"))
    yield visitor
    assert "Traceback" not in site.log, site.log


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return the path of a file that a task may wait for."""
    return tmp_path / "gate"


def log_in(visitor: Visitor, user: User) -> None:
    """Have the site know the visitor."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": visitor.site}
    visitor.driver.execute_cdp_cmd("Network.setCookie", cookie)
