"""The list of all tasks: its columns, its filters, and who may see it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leek import leases, lifecycle, tally
from leek.admin import looking, readonly, window
from leek.admin.recent import Mark
from leek.admin.tasks import QueuedTasksAdmin
from leek.api import push_many, push_task_to_queue, using
from leek.models import FailedTasks, QueuedTasks, State
from tests.site.tasks import add, noop
from tests.support import finish

pytestmark = pytest.mark.django_db

Ids = dict[str, int]
CANCELLED = "leek.exceptions.TaskCancelled"


@pytest.fixture
def ids() -> Ids:
    """Have a task of each kind; return their ids by a word for each, in the order of the push."""
    (successful,) = finish([push_task_to_queue(noop)])
    (failed,) = finish([using(queue="mail").push(add, 1, 2)], "ValueError")
    (cancelled,) = finish([push_task_to_queue(noop)], CANCELLED)
    running = push_task_to_queue(noop).pk
    lifecycle.claim(_server(), 1, 10, None)
    late = using(run_after=timedelta(days=1)).push(noop).pk
    due = using(run_after=timedelta(days=1), queue="mail").push(noop).pk
    QueuedTasks.objects.filter(pk=due).update(run_after=timezone.now() - timedelta(hours=1))
    ready = using(queue="mail").push(add, 3, 4).pk
    return {
        "successful": successful,
        "failed": failed,
        "cancelled": cancelled,
        "running": running,
        "late": late,
        "due": due,
        "ready": ready,
    }


def _server() -> int:
    return leases.register(address="127.0.0.1", port=1, workers=1, queues=None, seconds=30).pk


def get(client: Client, **query: Any) -> Any:
    """Return the list, filtered."""
    answer = client.get(reverse("admin:leek_queuedtasks_changelist"), query)
    assert answer.status_code == 200
    return answer


def listed(client: Client, **query: Any) -> list[int]:
    """Return the ids of the tasks that are listed."""
    return [row.pk for row in get(client, **query).context["cl"].result_list]


def said(client: Client, **query: Any) -> list[str]:
    """Return what the list says of how much was looked through."""
    return [notice.text for notice in get(client, **query).context["cl"].notices]


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"state": "deferred"}, {"late", "due"}),
    ({"state": "running"}, {"running"}),
    ({"state": "blocked"}, set()),
    ({"state": "waiting"}, {"due", "ready"}),
    ({"state": "failed"}, {"failed", "cancelled"}),
    ({"state": "finished"}, {"successful", "failed", "cancelled"}),
    ({"state": "FAILED"}, {"failed", "cancelled"}),
    ({"state": 2}, {"running"}),
    ({"state__exact": 2}, {"running"}),
    ({"queue": "mail"}, {"failed", "due", "ready"}),
    ({"queue": "none"}, set()),
    ({"name": "tests.site.tasks.add"}, {"failed", "ready"}),
    ({"exception": "ValueError"}, {"failed"}),
    ({"exception": CANCELLED}, {"cancelled"}),
    ({"exception": "TaskCancelled"}, {"cancelled"}),
    ({"exception": "Cancelled"}, set()),
    ({"state": "finished", "exception": "TaskCancelled"}, {"cancelled"}),
    ({"state": "successful", "exception": "ValueError"}, set()),
    ({"state": "waiting", "queue": "mail"}, {"due", "ready"}),
    ({"state": "waiting", "queue": "mail", "name": "tests.site.tasks.add"}, {"ready"}),
    ({"state": "ready", "queue": "mail"}, {"ready"}),
    ({"state": "failed", "queue": "mail"}, {"failed"}),
    ({"state": "finished", "queue": "default"}, {"successful", "cancelled"}),
    ({"state": "successful", "queue": "mail"}, set()),
    ({"state": "failed", "exception": "ValueError", "queue": "default"}, set()),
]


@pytest.mark.parametrize(("query", "words"), FILTERS)
def test_a_filter_shows_what_it_says_newest_first(
    admin_client: Client, ids: Ids, query: dict[str, Any], words: set[str]
) -> None:
    wanted = sorted((ids[word] for word in words), reverse=True)
    assert listed(admin_client, **query) == wanted
    assert listed(admin_client, **query, all_tasks=1) == wanted
    assert get(admin_client, **query).context["cl"].result_count == len(wanted)


@pytest.mark.parametrize(("query", "words"), FILTERS)
def test_the_rows_for_actions_are_those_that_are_listed(
    admin_client: Client, ids: Ids, query: dict[str, Any], words: set[str]
) -> None:
    rows = get(admin_client, **query).context["cl"].queryset
    assert set(rows.values_list("pk", flat=True)) == {ids[word] for word in words}


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"pushed": "ever"},
        {"name": "a\0b"},
        {"pushed_at__year": "9999"},
        {"pushed_at__year": "x"},
        {"p": "0"},
        {"p": "9" * 30},
        {"none": "1"},
    ],
)
def test_what_cannot_be_meant_leads_back_to_the_list(
    admin_client: Client, ids: Ids, query: dict[str, str]
) -> None:
    answer = admin_client.get(reverse("admin:leek_queuedtasks_changelist"), query)
    assert (answer.status_code, answer.headers["Location"].endswith("?e=1")) == (302, True)


def test_the_filters_offer_what_there_is(admin_client: Client, ids: Ids) -> None:
    lifecycle.add_tallies(
        {tally.Slice(tally.EVER, tally.BEGINNING, "purged.long.ago"): tally.Tally(succeeded=1)}
    )
    page = get(admin_client, queue="typed by hand").content.decode()
    for query in (
        "name=purged.long.ago",
        "name=tests.site.tasks.add",
        "queue=mail",
        "exception=ValueError",
        "state=waiting",
        "pushed=week",
    ):
        assert query in page
    assert 'class="selected">\n    <a href="?queue=typed+by+hand">typed by hand' in page


# When it was pushed


@pytest.fixture
def days() -> list[int]:
    """Have a task of each of ten days; return their ids."""
    first = datetime(2026, 1, 27, 12, tzinfo=UTC)
    rows = push_many([(noop, (), {})] * 10)
    for number, row in enumerate(rows):
        pushed_at = first + timedelta(days=number)
        QueuedTasks.objects.filter(pk=row.pk).update(pushed_at=pushed_at)
    return [row.pk for row in rows]


def drilled(client: Client, **query: Any) -> tuple[str | None, list[str]]:
    """Return where the drill-down leads back, and to what it leads."""
    found = get(client, **query).context["cl"].drill_down
    return found.back and found.back["title"], [choice["title"] for choice in found.choices]


def test_the_drill_down_leads_from_years_to_days(admin_client: Client, days: list[int]) -> None:
    year, month = {"pushed_at__year": 2026}, {"pushed_at__month": 1}
    assert drilled(admin_client) == (None, ["January 2026", "February 2026"])
    assert drilled(admin_client, **year) == ("All dates", ["January 2026", "February 2026"])
    january = ["January 27", "January 28", "January 29", "January 30", "January 31"]
    assert drilled(admin_client, **year, **month) == ("2026", january)
    day = {**year, **month, "pushed_at__day": 28}
    assert drilled(admin_client, **day) == ("January 2026", ["January 28"])
    assert listed(admin_client, **day) == [days[1]]
    assert listed(admin_client, **year, **month) == days[4::-1]
    assert listed(admin_client, pushed_at__year=2025) == []
    QueuedTasks.objects.filter(pk=days[0]).update(pushed_at=datetime(2024, 5, 1, tzinfo=UTC))
    assert drilled(admin_client) == (None, ["2024", "2025", "2026"])


def test_an_empty_list_has_no_drill_down(admin_client: Client) -> None:
    assert get(admin_client).context["cl"].drill_down is None


@pytest.mark.parametrize(("span", "number"), [("hour", 1), ("day", 2), ("week", 3)])
def test_tasks_are_filtered_by_how_long_ago_they_were_pushed(
    admin_client: Client, span: str, number: int
) -> None:
    rows = push_many([(noop, (), {})] * 4)
    for row, ago in zip(
        rows, (minutes(3), minutes(90), minutes(3000), minutes(30_000)), strict=True
    ):
        QueuedTasks.objects.filter(pk=row.pk).update(pushed_at=timezone.now() - ago)
    assert listed(admin_client, pushed=span) == [row.pk for row in rows[:number]][::-1]


def minutes(number: int) -> timedelta:
    """Return so many minutes."""
    return timedelta(minutes=number)


def test_the_window_of_a_day_begins_where_it_ends(
    admin_client: Client, days: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "TASKS", 2)
    day = {"pushed_at__year": 2026, "pushed_at__month": 1, "pushed_at__day": 30}
    assert listed(admin_client, **day) == [days[3]]
    assert said(admin_client, **day) == []  # the one before is of another day
    month = {"pushed_at__year": 2026, "pushed_at__month": 1}
    assert listed(admin_client, **month) == [days[4], days[3]]
    assert said(admin_client, **month) == [f"Looked through 2 tasks, from task {days[4]} back."]
    assert listed(admin_client, **month, all_tasks=1) == days[4::-1]


@pytest.mark.parametrize("probes", [1, 3, 2_000])
def test_the_end_of_a_time_is_found_between_gaps(
    days: list[int], probes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "PROBES", probes)
    monkeypatch.setattr(window, "CLOSE", 1)
    QueuedTasks.objects.filter(pk__in=days[2:5]).delete()
    from_db = QueuedTasks.objects.order_by("pk").values_list("pk", "pushed_at")
    marks = [Mark(*found) for found in from_db]
    for moment in [mark.pushed_at + timedelta(hours=1) for mark in marks]:
        bound = window.last_before(moment, (marks[0], marks[-1]))
        before = [mark.id for mark in marks if mark.pushed_at < moment]
        assert bound is None or bound >= before[-1]
        if probes == 2_000 and before != [mark.id for mark in marks]:
            assert bound == marks[len(before)].id - 1


# Windows


def test_what_no_index_finds_is_looked_for_among_the_newest(
    admin_client: Client, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "TASKS", 3)
    assert listed(admin_client, queue="mail") == [ids["ready"], ids["due"]]
    assert said(admin_client, queue="mail") == ["Looked through the newest 3 tasks."]
    page = get(admin_client, queue="mail")
    assert "?all_tasks=1&amp;queue=mail" in page.content.decode()
    assert len(listed(admin_client, queue="mail", all_tasks=1)) == 3
    assert said(admin_client, queue="mail", all_tasks=1) == ["Looked through all tasks."]
    assert said(admin_client) == said(admin_client, state="failed") == []
    monkeypatch.setattr(looking, "TASKS", 7)
    assert said(admin_client, queue="mail") == []


def test_failures_are_looked_for_among_the_newest_failures(
    admin_client: Client, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "FAILURES", 1)
    assert listed(admin_client, exception="TaskCancelled") == [ids["cancelled"]]
    assert listed(admin_client, exception="ValueError") == []
    assert listed(admin_client, state="failed", queue="mail") == []
    notice = ["Looked through the newest 1 failed task."]
    assert said(admin_client, exception="ValueError") == notice
    assert listed(admin_client, exception="ValueError", all_tasks=1) == [ids["failed"]]


def test_few_unfinished_tasks_are_looked_through_however_old_they_are(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = using(queue="mail").push(add, 1, 2).pk
    finish(push_many([(noop, (), {})] * 5))
    monkeypatch.setattr(looking, "TASKS", 2)
    for query in ({"queue": "mail"}, {"name": "tests.site.tasks.add"}):
        for state in ("ready", "waiting"):
            assert listed(admin_client, state=state, **query) == [old]
    monkeypatch.setattr(looking, "FEW", 0)
    assert listed(admin_client, state="ready", queue="mail") == [old]  # an index has these
    assert listed(admin_client, state="ready", name="tests.site.tasks.add") == []
    assert said(admin_client, state="waiting", queue="mail") == [
        "Looked through the newest 2 tasks."
    ]


def test_successes_are_looked_for_below_a_backlog(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = finish(push_many([(noop, (), {})] * 3))
    push_many([(noop, (), {})] * 5)
    monkeypatch.setattr(looking, "TASKS", 2)
    assert listed(admin_client, state="successful", queue="default") == [done[2], done[1]]


# Pages and counts


def test_a_bounded_count_says_so(
    admin_client: Client, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readonly, "COUNTED", 4)
    monkeypatch.setattr(QueuedTasksAdmin, "list_per_page", 2)
    page = get(admin_client).content.decode()
    assert "4+ results" in page
    assert "4+ tasks" in page
    assert re.search(r'<a [^>]*href="\?p=2"[^>]*>\s*2\+\s*</a>', page)
    assert listed(admin_client, p=2) == sorted(ids.values(), reverse=True)[2:4]
    assert "3 results" in get(admin_client, state="finished").content.decode()


@pytest.mark.parametrize("query", [{}, {"state": "finished"}, {"queue": "default"}])
def test_pages_follow_each_other(
    admin_client: Client, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = push_many([(noop, (), {})] * 7)
    for number, row in enumerate(rows):
        finish([row], "ValueError" if number % 3 else "")
    monkeypatch.setattr(QueuedTasksAdmin, "list_per_page", 3)
    shown = [listed(admin_client, p=number, **query) for number in (1, 2, 3)]
    newest_first = [row.pk for row in rows][::-1]
    assert shown == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert listed(admin_client, all="", **query) == newest_first
    address = reverse("admin:leek_queuedtasks_changelist")
    assert admin_client.get(address, {"p": "4", **query}).status_code == 302
    monkeypatch.setattr(QueuedTasksAdmin, "list_per_page", 7)
    assert listed(admin_client, p=4, **query) == newest_first  # Django's lists do so, too


STATEMENTS = 15  # with those for the session and the user


@pytest.mark.parametrize("query", [query for query, _ in FILTERS] + [{"q": "1"}, {"q": "noop x"}])
def test_a_list_takes_few_statements_however_many_rows_there_are(
    staff: Callable[..., Client], ids: Ids, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = staff("view_queuedtasks")
    push_many([(noop, (), {})])
    few = statements(client, **query)
    finish(push_many([(noop, (), {})] * 10))
    finish(push_many([(add, (1, 2), {})] * 10), "ValueError")
    push_many([(noop, (), {})] * 10)
    # One more where there were no rows to load.
    assert few <= statements(client, **query) <= few + 1 <= STATEMENTS
    monkeypatch.setattr(QueuedTasksAdmin, "list_per_page", 2)
    assert statements(client, **query) <= STATEMENTS


@pytest.mark.parametrize(
    "query", [{"state": "successful"}, {"state": "failed"}, {"state": "waiting"}, {}]
)
def test_the_longest_way_takes_few_statements(
    staff: Callable[..., Client], query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = staff("view_queuedtasks")
    rows = push_many([(noop, (), {})] * 40)
    for error, some in (("", rows[:10]), ("ValueError", rows[10:20])):
        finish(some, error)
    monkeypatch.setattr(QueuedTasksAdmin, "list_per_page", 2)
    monkeypatch.setattr(looking, "FEW", 0)
    for name in ("TASKS", "PAYLOADS", "FAILURES", "PAYLOADS_OF_FAILURES"):
        monkeypatch.setattr(looking, name, 5)
    now = timezone.now()
    QueuedTasks.objects.filter(pk=rows[-1].pk).update(pushed_at=now + timedelta(days=60))
    day = {"pushed_at__year": now.year, "pushed_at__month": now.month, "pushed_at__day": now.day}
    text = {"q": str(rows[3].pk), "pushed": "week", "queue": "default"}
    assert statements(client, **query, **text, **day) <= STATEMENTS


def statements(client: Client, **query: Any) -> int:
    """Return how many statements a list takes."""
    with CaptureQueriesContext(connection) as made:
        get(client, **query)
    assert not [each for each in made if "FOR UPDATE" in each["sql"].upper()]
    return len(made)


# Columns


def cells(client: Client, task: int) -> list[str]:
    """Return the texts in the row of a task, from its state on."""
    page = get(client, q=task).content.decode()
    row = page.split("<tbody>")[1].split("</tbody>")[0]
    return [cell.split("</td>")[0].split(">", 1)[1] for cell in row.split("<td")[-9:]]


def test_a_row_tells_how_a_task_went(admin_client: Client, ids: Ids) -> None:
    began = datetime(2026, 1, 27, 14, 2, 3, tzinfo=UTC)
    failure = FailedTasks.objects.filter(pk=ids["failed"])
    failure.update(started_at=began, finished_at=began + timedelta(seconds=125))
    state, name, queue, _priority, _pushed, _due, started, took, attempts = cells(
        admin_client, ids["failed"]
    )
    assert state == '<span class="leek-label leek-label-failed">failed</span>'
    assert (name, queue, took, attempts) == ("tests.site.tasks.add", "mail", "2 min 5 s", "1")
    assert 'title="Jan. 27, 2026, 2:02 p.m.">01/27/2026 14:02:03<' in started


def test_a_row_tells_since_when_a_task_runs(admin_client: Client, ids: Ids) -> None:
    taken = timezone.now() - timedelta(hours=2, minutes=1)
    QueuedTasks.objects.filter(pk=ids["running"]).update(claimed_at=taken, tries=1, crashes=1)
    *_, started, took, attempts = cells(admin_client, ids["running"])
    assert started != "-"
    assert (took, attempts) == ("2 h 1 min", "3")


def test_a_row_of_a_task_that_has_not_begun_is_blank_there(admin_client: Client, ids: Ids) -> None:
    *_, started, took, attempts = cells(admin_client, ids["ready"])
    assert (started, took, attempts) == ("-", "-", "0")


def test_columns_cannot_be_sorted_by(admin_client: Client, ids: Ids) -> None:
    assert listed(admin_client, o="2") == sorted(ids.values(), reverse=True)
    assert "sortable" not in get(admin_client).content.decode()


def test_what_tasks_and_addresses_hold_is_escaped(admin_client: Client) -> None:
    QueuedTasks.objects.filter(pk=push_task_to_queue(noop).pk).update(queue="<b>&", name="<i>")
    page = get(admin_client, name="<u>").content.decode()
    page += get(admin_client, q="<s>").content.decode()
    assert not any(tag in page for tag in ("<b>&", "<i>", "<u>", "<s>"))


# Who may see it


@pytest.fixture
def staff(client: Client) -> Callable[..., Client]:
    """Return a function that logs a member of staff in who has some permissions."""

    def log_in(*permissions: str, is_staff: bool = True) -> Client:
        user = User.objects.create_user("somebody", is_staff=is_staff)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


def test_who_is_not_logged_in_is_asked_to(client: Client) -> None:
    address = reverse("admin:leek_queuedtasks_changelist")
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(reverse("admin:login"))


def test_staff_without_permission_is_refused(staff: Callable[..., Client]) -> None:
    client = staff("view_successtasks")
    assert client.get(reverse("admin:leek_queuedtasks_changelist")).status_code == 403


def test_who_is_no_staff_is_asked_to_log_in(staff: Callable[..., Client]) -> None:
    client = staff("view_queuedtasks", is_staff=False)
    answer = client.get(reverse("admin:leek_queuedtasks_changelist"))
    assert answer.headers["Location"].startswith(reverse("admin:login"))


def test_who_may_view_sees_the_list_and_has_no_actions(
    staff: Callable[..., Client], ids: Ids
) -> None:
    client = staff("view_queuedtasks")
    assert listed(client) == sorted(ids.values(), reverse=True)
    page = get(client).content.decode()
    assert 'name="action"' not in page
    assert "addlink" not in page.split('id="content"')[1]


def test_the_state_is_said_in_words(admin_client: Client, ids: Ids) -> None:
    page = get(admin_client).content.decode()
    for state in (State.READY, State.DEFERRED, State.RUNNING, State.SUCCESSFUL, State.FAILED):
        kind = state.name.lower()
        assert f'<span class="leek-label leek-label-{kind}">{state.label}</span>' in page
    assert "leek/task_list.css" in page


@pytest.mark.parametrize("query", [{}, {"pushed": "hour"}, {"state": "waiting"}, {"q": "noop"}])
def test_it_is_shown_where_local_times_are_stored(
    admin_client: Client, query: dict[str, str]
) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        row = push_task_to_queue(noop)
        page = admin_client.get(reverse("admin:leek_queuedtasks_changelist"), query)
        assert list(page.context["cl"].result_list) == [row]
        # After midnight the day is told, too.
        assert f"{row.pushed_at:%H:%M:%S}</time>" in page.content.decode()
