"""The list of tasks, as a person uses it."""

from datetime import timedelta

from leek.api import push_many, push_task_to_queue, using
from leek.models import QueuedTasks
from tests.browser.accessibility import inspect
from tests.browser.visitor import Look, Visitor
from tests.site import tasks
from tests.support import finish

LIST = "admin/leek/queuedtasks/"
ROWS = "#result_list tbody tr"


def run_action(visitor: Visitor, action: str) -> None:
    """Have an action ask whether to do it with the tasks that are selected."""
    visitor.choose("Action:", action)
    visitor.follow(None, "button[name=index]")


def test_the_list_leaves_nobody_out(owner: Visitor) -> None:
    finish([push_task_to_queue(tasks.echo, number) for number in range(3)])
    finish([using(queue="mail").push(tasks.fail, "as asked")], "ValueError")
    using(run_after=timedelta(hours=3), priority=5).push(tasks.echo, subject="Cabbage")
    owner.visit(LIST)
    inspect(owner, "list", "#content")


def test_a_row_is_seen_from_end_to_end_in_a_window_of_common_width(owner: Visitor) -> None:
    finish([push_task_to_queue(tasks.echo)])
    owner.put_on(Look("common", width=1440))
    owner.visit(LIST)
    assert owner.run("""
        const box = document.querySelector(".results");
        return box.scrollWidth <= box.clientWidth;
    """)


def test_a_task_is_found_by_filters_and_by_search_and_opened(owner: Visitor) -> None:
    push_many([(tasks.noop, (), {})] * 3)
    using(run_after=timedelta(hours=3)).push(tasks.echo, subject="Cabbage")
    wanted = using(run_after=timedelta(hours=3), queue="mail").push(tasks.echo, subject="Carrot")
    owner.visit(LIST)
    assert len(owner.all(ROWS)) == 5
    owner.follow("deferred")
    assert len(owner.all(ROWS)) == 2
    owner.fill("Search", "carrot")
    owner.follow("Search")
    assert len(owner.all(ROWS)) == 1
    owner.follow("mail")
    owner.follow(str(wanted.pk))
    assert "Carrot" in owner.text("#content")


def test_the_list_is_drilled_down_by_dates(owner: Visitor) -> None:
    old, _ = push_many([(tasks.noop, (), {})] * 2)
    year_ago = old.pushed_at - timedelta(days=400)
    QueuedTasks.objects.filter(pk=old.pk).update(pushed_at=year_ago)
    owner.visit(LIST)
    owner.follow(str(year_ago.year))
    assert owner.text("#result_list tbody th") == str(old.pk)
    owner.follow(None, "a.date-back")
    assert len(owner.all(ROWS)) == 2


def test_all_that_match_are_purged_and_no_others(owner: Visitor) -> None:
    push_task_to_queue(tasks.noop)
    finish(push_many([(tasks.noop, (), {})] * 104))
    owner.visit(LIST)
    owner.follow("finished")
    owner.click(None, "#action-toggle")
    owner.click("Select all 104 tasks")
    run_action(owner, "Purge tasks")
    assert "104 tasks are meant." in owner.text("#content")
    inspect(owner, "question", "#content")
    owner.follow("Purge")
    assert "104 tasks are purged." in owner.text(".messagelist")
    owner.visit(LIST)
    assert len(owner.all(ROWS)) == 1
    assert QueuedTasks.objects.count() == 1


def test_who_takes_the_question_back_leaves_all_as_it_was(owner: Visitor) -> None:
    finish([push_task_to_queue(tasks.noop)])
    owner.visit(LIST)
    owner.click(None, "input.action-select")
    run_action(owner, "Purge tasks")
    owner.follow("No, take me back")
    assert len(owner.all(ROWS)) == 1
