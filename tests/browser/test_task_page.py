"""The page of a task, as a person uses it."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User

from leek.api import push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import QueuedTasks, Status
from tests.browser.accessibility import inspect
from tests.browser.conftest import log_in
from tests.browser.visitor import Visitor
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import wait_until

BUTTONS = "#content input[type=submit]"
LOOK_OF_BREADCRUMBS = """
    const line = document.querySelector("nav .breadcrumbs");
    const style = getComputedStyle(line);
    return [line.offsetHeight, style.color, style.backgroundColor];
"""
LATER = timedelta(hours=3)


def show(visitor: Visitor, row: QueuedTasks) -> None:
    visitor.visit(f"admin/leek/queuedtasks/{row.pk}/change/")


def shown(visitor: Visitor, row: QueuedTasks, selector: str) -> str:
    """Return what a part of the page of a task says when it is loaded."""
    show(visitor, row)
    return visitor.text(selector)


def do(visitor: Visitor, button: str, yes: str = "") -> None:
    """Push a button of the page, and say yes to its question."""
    visitor.follow(button, BUTTONS)
    visitor.follow(yes or button, BUTTONS)


@pytest.mark.logs_errors
def test_a_failed_task_shows_its_traceback_and_is_retried(
    owner: Visitor, start_server: StartServer, gate: Path
) -> None:
    start_server()
    row = using(max_retries=1).push(tasks.fail_until, str(gate), 2)
    with pytest.raises(TaskFailed):
        row.wait(60)
    show(owner, row)
    assert "raise ValueError" not in owner.text("#content")
    owner.click("Traceback", "section[aria-labelledby=leek-error] summary")
    assert 'raise ValueError(f"try {count}")' in owner.text("#content")
    inspect(owner, "task-failed", "#content")
    do(owner, "Retry")
    assert "1 task is retried." in owner.text(".messagelist")
    assert QueuedTasks.objects.get(pk=row.pk).wait(60) == 2
    show(owner, row)
    assert "successful" in owner.text(".leek-state")
    inspect(owner, "task-successful", "#content")


def test_a_running_task_shows_its_progress(
    owner: Visitor, start_server: StartServer, gate: Path
) -> None:
    start_server()
    row = push_task_to_queue(tasks.advance, str(gate), 30, 100)
    wait_until(lambda: "30 of 100" in shown(owner, row, ".leek-progress"))
    assert owner.all("progress")[0].get_attribute("value") == "30"
    inspect(owner, "task-running", "#content")
    gate.touch()
    row.wait(60)


def test_a_deferred_task_is_cancelled(owner: Visitor) -> None:
    row = using(run_after=LATER).push(tasks.noop)
    show(owner, row)
    inspect(owner, "task-deferred", "#content")
    do(owner, "Cancel", "Cancel the tasks")
    assert "1 task is cancelled" in owner.text(".messagelist")
    assert "failed" in owner.text(".leek-state")
    row.refresh_from_db()
    assert row.status == Status.FAILED


def test_a_deferred_task_is_run_now(owner: Visitor, start_server: StartServer) -> None:
    start_server()
    row = using(run_after=LATER).push(tasks.add, 1, 2)
    show(owner, row)
    do(owner, "Run now")
    assert "1 task is due now." in owner.text(".messagelist")
    assert row.wait(60) == 3


def test_a_waiting_task_gets_another_queue_and_priority(owner: Visitor) -> None:
    row = using(run_after=LATER).push(tasks.noop)
    show(owner, row)
    owner.follow("Move", BUTTONS)
    owner.follow("Move", BUTTONS)
    assert "Give a queue, a priority, or both." in owner.text("#content")
    inspect(owner, "question-refused", "#content")
    owner.fill("Queue:", "mail")
    owner.fill("Priority:", "7")
    owner.follow("Move", BUTTONS)
    assert "1 task is moved." in owner.text(".messagelist")
    row.refresh_from_db()
    assert (row.queue, row.priority) == ("mail", 7)


def test_what_stands_around_a_page_is_as_on_djangos_own(owner: Visitor) -> None:
    row = using(run_after=LATER).push(tasks.noop)
    owner.visit("admin/leek/queuedtasks/")
    breadcrumbs = owner.run(LOOK_OF_BREADCRUMBS)
    show(owner, row)
    assert owner.run(LOOK_OF_BREADCRUMBS) == breadcrumbs
    assert owner.text(".object-tools").casefold() == "history"
    owner.follow("Cancel", BUTTONS)
    assert owner.run(LOOK_OF_BREADCRUMBS) == breadcrumbs


def test_who_may_only_look_is_offered_nothing_else(owner: Visitor) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_queuedtasks"))
    log_in(owner, viewer)
    row = using(run_after=LATER).push(tasks.noop)
    show(owner, row)
    assert "deferred" in owner.text(".leek-state")
    assert not owner.all("#content input[type=submit], #content button, #content select")
    owner.visit("admin/leek/queuedtasks/")
    assert "deferred" in owner.text("#result_list")
    assert not owner.all("#content select, .action-select")
