"""What can be done with tasks in the admin: by whom, with which tasks, and what is said of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from leek.admin import actions
from leek.api import push_many, push_task_to_queue, using
from leek.models import QueuedTasks, State
from tests.site import tasks
from tests.support import finish

pytestmark = pytest.mark.django_db

LIST = "/admin/leek/queuedtasks/"
FAR = timedelta(hours=1)
PERMISSIONS = {
    "retry_tasks": "retry_queuedtasks",
    "cancel_tasks": "cancel_queuedtasks",
    "run_tasks_now": "run_queuedtasks",
    "move_tasks": "change_queuedtasks",
    "purge_tasks": "delete_queuedtasks",
}
each_action = pytest.mark.parametrize("action", PERMISSIONS)


def deferred() -> int:
    """Push a task that waits for its time."""
    return using(run_after=FAR).push(tasks.noop).pk


def failed() -> int:
    """Push a task and have it fail."""
    return finish([push_task_to_queue(tasks.noop)], "ValueError")[0]


MAKE: dict[str, Callable[[], int]] = {
    "retry_tasks": failed,
    "cancel_tasks": deferred,
    "run_tasks_now": deferred,
    "move_tasks": deferred,
    "purge_tasks": failed,
}


def looks(action: str) -> Callable[[int], bool]:
    """Return what tells whether an action was done with a task."""

    def is_done(task_id: int) -> bool:
        row = QueuedTasks.objects.filter(pk=task_id).first()
        return {
            "retry_tasks": lambda: row is not None and row.state == State.READY,
            "cancel_tasks": lambda: row is not None and row.state == State.FAILED,
            "run_tasks_now": lambda: row is not None and row.state == State.READY,
            "move_tasks": lambda: row is not None and row.queue == "mail",
            "purge_tasks": lambda: row is None,
        }[action]()

    return is_done


def form(action: str, *ids: int, **said: Any) -> dict[str, Any]:
    """Return what the list posts, and the question again."""
    place = {"queue": "mail", "priority": ""} if action == "move_tasks" else {}
    chosen = {"_selected_action": ids} if ids else {}
    return {"action": action, "index": "0", "select_across": "0", **chosen, **place, **said}


def post(client: Client, action: str, *ids: int, to: str = LIST, **said: Any) -> Any:
    """Order what the question has asked for."""
    answer: Any = client.post(to, form(action, *ids, post="yes", **said))
    return answer


def said(answer: Any) -> list[str]:
    """Return the messages that an answer leaves."""
    return [str(message) for message in get_messages(answer.wsgi_request)]


def staff(*permissions: str) -> Client:
    """Return a client of a member of the staff with these permissions on tasks."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@each_action
def test_it_is_asked_first(admin_client: Client, action: str) -> None:
    task_id = MAKE[action]()
    answer = admin_client.post(LIST, form(action, task_id))
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "1 task is meant." in text
    assert f"{task_id} tests.site.tasks.noop" in text
    assert "csrfmiddlewaretoken" in text
    assert f'name="_selected_action" value="{task_id}"' in text
    assert not looks(action)(task_id)


@each_action
def test_it_is_done_with_what_is_selected(admin_client: Client, action: str) -> None:
    task_id, other = MAKE[action](), MAKE[action]()
    answer = post(admin_client, action, task_id)
    assert answer.status_code == 302
    assert len(said(answer)) == 1
    assert looks(action)(task_id)
    assert not looks(action)(other)


@each_action
def test_it_is_done_with_all_that_match_the_filter(admin_client: Client, action: str) -> None:
    ids = [MAKE[action]() for _ in range(3)]
    QueuedTasks.objects.filter(pk=ids[2]).update(name="shop.other")
    address = f"{LIST}?q=tests.site.tasks.noop"
    asked = admin_client.post(address, form(action, ids[0], select_across="1"))
    assert "2 tasks are meant." in asked.content.decode()
    answer = post(admin_client, action, ids[0], to=address, select_across="1")
    assert answer.status_code == 302
    assert answer["Location"] == address
    assert [looks(action)(task_id) for task_id in ids] == [True, True, False]


@each_action
@pytest.mark.parametrize("held", ["none", "view only", "this", "all others", "this without view"])
def test_it_needs_its_permission(action: str, held: str) -> None:
    others = {*PERMISSIONS.values()} - {PERMISSIONS[action]}
    client = {
        "none": lambda: staff(),
        "view only": lambda: staff("view_queuedtasks"),
        "this": lambda: staff("view_queuedtasks", PERMISSIONS[action]),
        "all others": lambda: staff("view_queuedtasks", *others),
        "this without view": lambda: staff(PERMISSIONS[action]),
    }[held]()
    may_see = held in ("view only", "this", "all others") or (
        action == "move_tasks" and held != "none"
    )
    may_act = held == "this" or (action == "move_tasks" and held == "this without view")
    for number, place in enumerate((LIST, "page"), start=1):
        task_id = MAKE[action]()
        page = reverse("admin:leek_queuedtasks_change", args=[task_id])
        address, more = (page, {"from_page": "1"}) if place == "page" else (place, {})
        shown = client.get(address)
        assert shown.status_code == (200 if may_see else 403)
        assert (f'value="{action}"' in shown.content.decode()) == may_act
        assert "delete_selected" not in shown.content.decode()
        answer = post(client, action, task_id, to=address, **more)
        assert (answer.status_code == 403) != may_see
        assert looks(action)(task_id) == may_act
        assert LogEntry.objects.count() == number * may_act


@each_action
def test_nobody_else_may(action: str, client: Client) -> None:
    task_id = MAKE[action]()
    assert "login" in post(client, action, task_id)["Location"]
    assert not looks(action)(task_id)


@each_action
@pytest.mark.parametrize("place", ["list", "page"])
def test_what_another_site_posts_is_refused(action: str, place: str, admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    task_id = MAKE[action]()
    page = reverse("admin:leek_queuedtasks_change", args=[task_id])
    to = LIST if place == "list" else page
    assert post(client, action, task_id, to=to, from_page="1").status_code == 403
    assert not looks(action)(task_id)
    client.get(page)
    token = client.cookies["csrftoken"].value
    answer = post(client, action, task_id, to=to, from_page="1", csrfmiddlewaretoken=token)
    assert answer.status_code == 302
    assert looks(action)(task_id)


@each_action
def test_it_is_noted_who_has_done_it(admin_client: Client, admin_user: User, action: str) -> None:
    task_id = MAKE[action]()
    post(admin_client, action, task_id)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (admin_user, str(task_id))
    assert entry.object_repr == f"{task_id} tests.site.tasks.noop"
    assert entry.action_flag == (DELETION if action == "purge_tasks" else CHANGE)
    if action != "purge_tasks":
        history = admin_client.get(reverse("admin:leek_queuedtasks_history", args=[task_id]))
        assert entry.get_change_message() in history.content.decode()
    if action == "move_tasks":
        assert "queue: mail" in entry.change_message


def test_many_are_noted_once(admin_client: Client) -> None:
    rows = push_many([(tasks.noop, (), {})] * 101)
    answer = post(admin_client, "cancel_tasks", rows[0].pk, select_across="1")
    assert said(answer) == ["101 tasks are cancelled, or will be in a moment."]
    entry = LogEntry.objects.get()
    assert entry.object_id is None
    assert entry.object_repr == said(answer)[0]
    assert said(answer)[0] in entry.get_change_message()


def test_up_to_a_hundred_are_noted_one_by_one(admin_client: Client) -> None:
    ids = [row.pk for row in push_many([(tasks.noop, (), {})] * 100)]
    post(admin_client, "cancel_tasks", ids[0], select_across="1")
    noted = LogEntry.objects.values_list("object_id", flat=True)
    assert sorted(int(each or 0) for each in noted) == ids


def test_what_was_not_done_is_noted_nowhere(admin_client: Client) -> None:
    answer = post(admin_client, "retry_tasks", deferred())
    assert said(answer) == ["1 task had not failed."]
    assert not LogEntry.objects.exists()


def test_it_is_said_what_was_done_and_what_not_and_why(admin_client: Client) -> None:
    keyed = using(unique="key").push(tasks.noop)
    finish([keyed], "ValueError")
    using(unique="key").push(tasks.noop)
    finish(push_many([(tasks.noop, (), {})] * 3), "ValueError")
    answer = post(admin_client, "retry_tasks", deferred(), select_across="1")
    assert said(answer) == [
        "3 tasks are retried.",
        "1 task is left: a newer one has its unique key.",
        "2 tasks had not failed.",
    ]


def test_many_are_counted_up_to_a_bound(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("leek.orders", "leek.admin.deeds"):
        monkeypatch.setattr(f"{module}.COUNTED", 12)
    rows = push_many([(tasks.noop, (), {})] * 15)
    said_first = form("cancel_tasks", rows[0].pk, select_across="1")
    asked = admin_client.post(LIST, said_first).content.decode()
    assert "12+ tasks are meant." in asked
    assert asked.count("tests.site.tasks.noop</a>") == actions.LISTED


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"queue": "", "priority": ""}, "Give a queue, a priority, or both."),
        ({"queue": "x" * 101, "priority": ""}, "at most 100 characters"),
        ({"queue": "a\0b", "priority": ""}, "Null characters"),
        ({"queue": "mail", "priority": "101"}, "less than or equal to 100"),
        ({"queue": "mail", "priority": "-101"}, "greater than or equal to -100"),
        ({"queue": "mail", "priority": "high"}, "whole number"),
    ],
)
def test_tasks_are_moved_to_places_only_that_a_push_takes(
    admin_client: Client, place: dict[str, str], problem: str
) -> None:
    task_id = deferred()
    answer = post(admin_client, "move_tasks", task_id, **place)
    assert answer.status_code == 200
    assert problem in answer.content.decode()
    assert f'name="_selected_action" value="{task_id}"' in answer.content.decode()
    assert not LogEntry.objects.exists()
    assert QueuedTasks.objects.get().queue == "default"


def test_a_task_is_moved_to_a_queue_with_a_priority(admin_client: Client) -> None:
    task_id = deferred()
    answer = post(admin_client, "move_tasks", task_id, queue="a <b>", priority="-100")
    assert said(answer) == ["1 task is moved."]
    row = QueuedTasks.objects.get()
    assert (row.queue, row.priority, row.state) == ("a <b>", -100, State.DEFERRED)


@each_action
def test_the_buttons_of_a_page_lead_back_to_it(admin_client: Client, action: str) -> None:
    task_id = MAKE[action]()
    page = reverse("admin:leek_queuedtasks_change", args=[task_id])
    asked = admin_client.post(page, form(action, task_id, from_page="1"))
    assert 'name="from_page"' in asked.content.decode()
    assert f'href="{page}"' in asked.content.decode()
    answer = post(admin_client, action, task_id, to=page, from_page="1")
    assert answer["Location"] == (LIST if action == "purge_tasks" else page)
    assert looks(action)(task_id)


def test_the_buttons_of_a_page_mean_its_task_only(admin_client: Client) -> None:
    task_id, other = deferred(), deferred()
    page = reverse("admin:leek_queuedtasks_change", args=[task_id])
    post(admin_client, "cancel_tasks", other, to=page, from_page="1")
    post(admin_client, "cancel_tasks", task_id, to=page, from_page="1", select_across="1")
    assert looks("cancel_tasks")(task_id)
    assert not looks("cancel_tasks")(other)


def test_the_button_of_a_task_that_is_gone_is_refused(admin_client: Client) -> None:
    page = reverse("admin:leek_queuedtasks_change", args=[4711])
    assert post(admin_client, "cancel_tasks", 4711, to=page, from_page="1").status_code == 403


@pytest.mark.parametrize(
    ("make", "offered"),
    [
        (deferred, {"cancel_tasks", "run_tasks_now", "move_tasks"}),
        (failed, {"retry_tasks", "purge_tasks"}),
        (lambda: push_task_to_queue(tasks.noop).pk, {"cancel_tasks", "move_tasks"}),
        (lambda: finish([push_task_to_queue(tasks.noop)])[0], {"purge_tasks"}),
    ],
)
def test_a_page_offers_what_makes_sense(
    admin_client: Client, make: Callable[[], int], offered: set[str]
) -> None:
    page = reverse("admin:leek_queuedtasks_change", args=[make()])
    text = admin_client.get(page).content.decode()
    assert {action for action in PERMISSIONS if f'value="{action}"' in text} == offered
