"""The live page, as a person watches it."""

import re
from datetime import timedelta
from pathlib import Path

from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.utils import timezone

from leek import lifecycle
from leek.api import push_many, push_task_to_queue, using
from leek.tally import BOUNDS, HOUR, MINUTE, Slice, Tally
from tests.browser.accessibility import inspect
from tests.browser.conftest import log_in
from tests.browser.visitor import Visitor
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import finish

LIVE = "admin/leek/queuedtasks/live/"
COUNTS, QUEUES, SERVERS = ".leek-counts", "#leek-queues-shown", "#leek-servers-shown"


def tally_the_last_day() -> None:
    """Store what servers would have counted in a day."""
    now = timezone.now().replace(second=0, microsecond=0)
    hour = now.replace(minute=0)
    names = {"shop.tasks.send_invoice": 40, "shop.tasks.resize_image": 90}
    minutes = {
        Slice(MINUTE, now - timedelta(minutes=each), ""): tally(each % 17 + 1)
        for each in range(0, 24 * 60, 3)
    }
    hours = {
        Slice(HOUR, hour - timedelta(hours=each), name): tally(number)
        for each in range(24)
        for name, number in names.items()
    }
    lifecycle.add_tallies({**minutes, **hours})


def tally(number: int) -> Tally:
    """Return so many successes that took up to a second, and some failures."""
    waits, runs = ([0] * (len(BOUNDS) + 1) for _ in range(2))
    waits[3], runs[5], runs[9] = number, number - number // 4, number // 4
    return Tally(
        succeeded=number - number // 5,
        failed=number // 5,
        waited=number / 100,
        ran=number / 10,
        waits=waits,
        runs=runs,
    )


def test_the_page_leaves_nobody_out(owner: Visitor, start_server: StartServer, gate: Path) -> None:
    tally_the_last_day()
    start_server()
    push_task_to_queue(tasks.advance, str(gate), 30, 100)
    lifecycle.pause("mail")
    using(queue="mail", run_after=timedelta(seconds=1)).push_many([(tasks.noop, (), {})] * 3)
    owner.visit(LIVE)
    owner.await_text(r"30 of 100", SERVERS)
    owner.await_text(r"mail 3", QUEUES)
    inspect(owner, "live", "#content")
    gate.touch()


def test_a_task_is_watched_running_and_done(
    owner: Visitor, start_server: StartServer, gate: Path
) -> None:
    start_server()
    owner.visit(LIVE)
    owner.mark()
    row = push_task_to_queue(tasks.advance, str(gate), 30, 100)
    owner.await_text(r"tests\.site\.tasks\.advance\s+for .+\s+30 of 100", SERVERS)
    assert owner.all("progress")[0].get_attribute("value") == "30"
    gate.touch()
    row.wait(60)
    owner.await_text(r"(?s)Running\s+0\s.*Successful\s+1", COUNTS)
    assert not owner.all("progress")
    assert owner.is_marked()


def test_a_queue_is_paused_and_resumed(owner: Visitor, start_server: StartServer) -> None:
    owner.visit(LIVE)
    owner.fill("Pause a queue by its name:", "mail")
    owner.follow("Pause", ".leek-by-name input[type=submit]")
    assert "The queue “mail” is paused." in owner.text(".messagelist")
    assert "1 queue is paused." in owner.text("#leek-verdict")
    start_server()
    row = using(queue="mail").push(tasks.add, 1, 2)
    owner.await_text(r"mail 1", QUEUES)
    owner.visit(f"admin/leek/queuedtasks/{row.pk}/change/")
    assert "paused" in owner.text(".leek-state")
    owner.visit(LIVE)
    owner.follow("Resume the queue mail")
    assert "The queue “mail” goes on." in owner.text(".messagelist")
    assert row.wait(60) == 3
    owner.await_text(r"Successful\s+1", COUNTS)


def test_the_page_refreshes_itself_and_keeps_what_the_reader_has(owner: Visitor) -> None:
    finish([push_task_to_queue(tasks.noop)])
    owner.visit(LIVE)
    owner.mark()
    owner.click("The figures", "#leek-hour summary")
    owner.await_text(r"(?i)median", "#leek-hour table")
    owner.run("document.querySelector('#leek-day summary').focus()")
    push_many([(tasks.noop, (), {})] * 3)
    owner.await_text(r"Waiting\s+3", COUNTS)
    assert owner.is_marked()
    assert owner.text("#leek-hour table")
    assert owner.run("return document.activeElement.closest('section').id") == "leek-day"


def test_refreshing_is_paused_and_resumed(owner: Visitor) -> None:
    owner.visit(LIVE)
    owner.click("Pause refreshing")
    push_task_to_queue(tasks.noop)
    owner.click("Resume refreshing")
    owner.await_text(r"Waiting\s+1", COUNTS)
    assert "Pause refreshing" in owner.text("#leek-refreshing")


def test_the_page_says_when_it_cannot_be_refreshed_and_goes_on_afterwards(owner: Visitor) -> None:
    owner.visit(LIVE)
    with owner.offline():
        owner.await_text("The page cannot be refreshed at the moment", "[role=alert]")
        inspect(owner, "live-lost", "#content")
    assert all("net::ERR_INTERNET_DISCONNECTED" in error for error in owner.errors())
    push_task_to_queue(tasks.noop)
    owner.await_text(r"Waiting\s+1", COUNTS)
    assert owner.text("[role=alert]") == ""


def test_who_was_logged_out_is_told(owner: Visitor) -> None:
    owner.visit(LIVE)
    Session.objects.all().delete()
    owner.await_text("You are logged out", "[role=alert]")


def test_without_javascript_the_page_shows_the_same(owner: Visitor) -> None:
    tally_the_last_day()
    finish([push_task_to_queue(tasks.noop)])
    lifecycle.pause("mail")
    owner.visit(LIVE)
    shown = contents(owner)
    with owner.without_scripts():
        owner.visit(LIVE)
        assert contents(owner) == shown
        assert not owner.all("#leek-refreshing")
        owner.photograph("live-without-javascript")
        owner.follow("Resume the queue mail")
        assert "The queue “mail” goes on." in owner.text(".messagelist")
        push_task_to_queue(tasks.noop)
        owner.await_text(r"Waiting\s+1", COUNTS)


def contents(visitor: Visitor) -> str:
    """Return what the page shows, but for the times of day: a minute may have gone by."""
    return re.sub(r"\b\d\d:\d\d(:\d\d)?\b", "", visitor.text("#leek-live"))


def test_who_may_only_look_is_offered_nothing_else(owner: Visitor) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_queuedtasks"))
    log_in(owner, viewer)
    lifecycle.pause("mail")
    owner.visit(LIVE)
    assert "mail" in owner.text(QUEUES)
    assert not owner.all("#leek-live button, #content form input")
