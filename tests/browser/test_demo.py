"""The demo's page, as its visitors see it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.accessibility import inspect
from tests.browser.visitor import Visitor
from tests.demo_site import SITE, DemoProcess

NEWEST = "#rows tr:first-child"


@pytest.fixture(scope="module")
def demo(driver: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """A demo that several tests visit."""
    folder = tmp_path_factory.mktemp("demo")
    running = DemoProcess(folder, TMPDIR=str(folder))  # a test's own would end before it
    yield running
    running.close()


@pytest.fixture
def own_demo(driver: object, tmp_path: Path) -> Iterator[DemoProcess]:
    """A demo that the test may stop."""
    running = DemoProcess(tmp_path)
    yield running
    running.close()


@pytest.fixture
def visitor(demo: DemoProcess, visitor: Visitor) -> Visitor:
    """Return a visitor who has opened the page."""
    visitor.site = demo.find(SITE)[1]
    visitor.visit()
    return visitor


def test_the_page_leaves_nobody_out(visitor: Visitor) -> None:
    for button in ("Push the mail", "Push the slow task", "Push the failing task"):
        visitor.follow(button)
    visitor.await_text("SUCCESSFUL.*", "#rows")
    visitor.await_text("FAILED.*", "#rows")
    visitor.await_text("All finished", "#live")
    inspect(visitor, "demo")


def test_a_slow_task_is_seen_running_and_then_done(demo: DemoProcess, visitor: Visitor) -> None:
    visitor.fill("Seconds:", "2")
    with demo.holding():
        visitor.follow("Push the slow task")
        visitor.mark()
        visitor.await_text("count_slowly RUNNING", NEWEST)
        visitor.await_text("not finished yet", "#live")
    visitor.await_text("count_slowly SUCCESSFUL 1 returned 'counted to 2'", NEWEST)
    visitor.await_text("All finished", "#live")
    assert visitor.is_marked()


def test_a_failing_task_is_seen_tried_again_and_given_up(
    demo: DemoProcess, visitor: Visitor
) -> None:
    with demo.holding(attempt=2):
        visitor.follow("Push the failing task")
        visitor.mark()
        visitor.await_text("demo.tasks.fail RUNNING 1", NEWEST)
    visitor.await_text("demo.tasks.fail FAILED 3 RuntimeError: this", NEWEST)
    assert visitor.is_marked()


def test_a_mail_is_pushed_and_arrives(demo: DemoProcess, visitor: Visitor) -> None:
    visitor.fill("To:", "mo@example.com")
    visitor.fill("Subject:", "Hi Mo")
    visitor.follow("Push the mail")
    visitor.await_text("send_mail SUCCESSFUL", NEWEST)
    demo.find(r"to mo@example\.com: Hi Mo")


def test_a_form_is_sent_by_the_keyboard_alone(visitor: Visitor) -> None:
    visitor.field("Seconds:").send_keys(Keys.CONTROL, "a", Keys.NULL, "1", Keys.ENTER)
    visitor.await_text("count_slowly SUCCESSFUL 1 returned 'counted to 1'", NEWEST)


def test_a_refused_form_says_what_is_wrong(visitor: Visitor) -> None:
    # A browser refuses it itself, so the page is asked to leave that to the site.
    visitor.run("for (const form of document.forms) form.noValidate = true")
    visitor.fill("To:", "nobody")
    visitor.follow("Push the mail")
    assert "Enter a valid email address." in visitor.text()
    assert visitor.field("To:").get_attribute("aria-invalid") == "true"
    inspect(visitor, "demo-refused")
    assert all("422" in error for error in visitor.errors())


def test_without_javascript_the_page_reloads_itself(demo: DemoProcess, visitor: Visitor) -> None:
    with visitor.without_scripts():
        visitor.visit()
        visitor.fill("Seconds:", "2")
        with demo.holding():
            visitor.follow("Push the slow task")
            assert re.search("count_slowly (READY|RUNNING)", visitor.text(NEWEST))
        visitor.await_text("count_slowly SUCCESSFUL", NEWEST)


def test_it_says_when_the_site_is_gone(own_demo: DemoProcess, visitor: Visitor) -> None:
    visitor.site = own_demo.find(SITE)[1]
    visitor.visit()
    own_demo.close()
    visitor.await_text("The site does not answer", "#live")
    visitor.leave()  # or it asks again, and fails again
    assert all("net::ERR_" in error for error in visitor.errors())
