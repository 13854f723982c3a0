"""The live page of the admin: what it shows, to whom, and how queues are paused there."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leek import leases, lifecycle, pausing
from leek.admin import live_values
from leek.api import push_many, push_task_to_queue, using
from leek.models import PausedQueues, QueuedTasks, Servers, State
from leek.tally import BOUNDS, MINUTE, Tally, beginning_of, slices_of
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import finish, wait_until

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('&amp;\"')</script>"
VIEW, PAUSE, RESUME = "view_queuedtasks", "add_pausedqueues", "delete_pausedqueues"

ClientOf = Callable[..., Client]


@pytest.fixture
def client_of(db: None) -> ClientOf:
    """Return how to log in as one of the staff who has these permissions."""

    def log_in(*permissions: str, is_staff: bool = True, checks_csrf: bool = False) -> Client:
        user = User.objects.create_user("somebody", is_staff=is_staff)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client(enforce_csrf_checks=checks_csrf)
        client.force_login(user)
        return client

    return log_in


def address(query: str = "") -> str:
    """Return the address of the page."""
    return reverse("admin:leek_live") + query


def shown(client: Client, query: str = "") -> str:
    """Return the page."""
    answer = client.get(address(query))
    assert answer.status_code == 200
    return answer.content.decode()


def part(page: str, name: str) -> str:
    """Return the text of a section, without tags, its words one blank apart."""
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]*>", " ", found.group()).split())


def serve(number: int = 1, running: dict[str, str] | None = None) -> None:
    """Register servers with these running tasks."""
    for port in range(1, number + 1):
        row = leases.register(
            address="127.0.0.1", port=port, workers=2, queues=["mail"], seconds=300
        )
        Servers.objects.filter(pk=row.pk).update(running=running or {})


def count(name: str, *, failed: int = 0) -> None:
    """Store that a task of this name succeeded just now, and that so many failed."""
    tally = Tally(succeeded=1, failed=failed, waited=1.0, ran=3.0, runs=[0] * (len(BOUNDS) + 1))
    tally.runs[0] = tally.waits[0] = 1 + failed
    minute = beginning_of(MINUTE, timezone.now())
    lifecycle.add_tallies(slices_of({(minute, name): tally}))


class TestContent:
    """What is shown."""

    def test_counts_lead_to_the_lists_of_tasks(self, admin_client: Client) -> None:
        finish(push_many([(tasks.noop, (), {})] * 3))
        finish([push_task_to_queue(tasks.noop)], "ValueError")
        push_many([(tasks.noop, (), {})] * 2)
        using(run_after=timedelta(hours=1)).push(tasks.noop)
        counts = admin_client.get(address()).context["counts"]
        told = {count.label: count.number for count in counts if count.address}
        assert told == {
            "Waiting": "2",
            "Running": "0",
            "Deferred": "1",
            "Blocked": "0",
            "Failed": "1",
            "Successful": "3",
        }
        for each in counts:
            if each.address:
                rows = admin_client.get(each.address).context["cl"].result_list
                assert len(rows) == int(each.number)

    def test_counting_ends_where_there_are_many(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live_values, "CAP", 2)
        finish(push_many([(tasks.noop, (), {})] * 3))
        assert ">2+</a>" in shown(admin_client)

    def test_a_server_is_shown_with_what_it_runs(self, admin_client: Client) -> None:
        row = push_task_to_queue(tasks.noop)
        server = leases.register(
            address="10.0.0.7", port=81, workers=3, queues={"mail": 3, "x-*": 1}, seconds=300
        )
        since = timezone.now() - timedelta(minutes=5, seconds=2)
        Servers.objects.update(running={str(row.pk): since.isoformat()}, hostname="web7")
        QueuedTasks.objects.update(
            state=State.RUNNING, owner=server.pk, progress_done=30, progress_total=120
        )
        page = shown(admin_client)
        text = part(page, "leek-servers-shown")
        assert "web7 10.0.0.7:81" in text
        assert "3 Workers, 1 task claimed; queues mail (3), x-* (1);" in text
        assert re.search(r"tests\.site\.tasks\.noop for 5 min \d+ s 30 of 120", text)
        assert '<progress max="120" value="30"' in page
        assert f'href="{reverse("admin:leek_queuedtasks_change", args=[row.pk])}"' in page

    def test_a_queue_is_shown_with_its_oldest_task(self, admin_client: Client) -> None:
        using(queue="mail").push_many([(tasks.noop, (), {})] * 2)
        old = timezone.now() - timedelta(days=2, hours=3, minutes=30)
        QueuedTasks.objects.update(run_after=old)
        assert "mail 2 2 d 3 h" in part(shown(admin_client), "leek-queues-shown")

    def test_what_keeps_tasks_waiting_comes_first(self, admin_client: Client) -> None:
        verdicts = [verdict(admin_client)]
        serve()
        verdicts.append(verdict(admin_client))
        lifecycle.pause("mail")
        verdicts.append(verdict(admin_client))
        push_task_to_queue(tasks.noop)
        QueuedTasks.objects.update(state=State.BLOCKED, blocked_by="smtp")
        lifecycle.note_outage("smtp", "Connection refused")
        page = shown(admin_client)
        assert "smtp 1" in part(page, "leek-gates-shown")
        told = r"smtp 1 \d+/\d+/\d{4} \d\d:\d\d:\d\d Connection refused"
        assert re.search(told, part(page, "leek-gates-shown"))
        assert [*verdicts, verdict(admin_client)] == [
            ("bad", "No server is running: tasks wait."),
            ("good", "Servers are running, and nothing keeps tasks waiting."),
            ("note", "1 queue is paused."),
            ("bad", "Tasks wait for the end of an outage: smtp. 1 queue is paused."),
        ]

    def test_recurring_tasks_are_shown_with_their_next_time(self, admin_client: Client) -> None:
        schedule = {"nightly": {"task": "tests.site.tasks.noop", "every": 3600}}
        with override_settings(TASKS_QUEUE={"SCHEDULE": schedule}):
            text = part(shown(admin_client), "leek-schedules-shown")
        assert re.search(r"nightly \d+/\d+/\d{4} \d\d:00:00 ", text)

    def test_the_slowest_and_the_most_failing_names_lead_to_their_tasks(
        self, admin_client: Client
    ) -> None:
        count("shop.tasks.pay", failed=3)
        count("shop.tasks.ship")
        page = shown(admin_client)
        assert "shop.tasks.ship 1 3 s" in part(page, "leek-slowest")
        assert "shop.tasks.pay 4 750 ms 0.9 ms 3 (75 %)" in part(page, "leek-failing")
        assert "ship" not in part(page, "leek-failing")
        assert re.search(r'href="[^"]*\?[^"]*name=shop\.tasks\.ship"', page)

    def test_the_last_hour_and_day_are_plots_with_their_figures_in_a_table(
        self, admin_client: Client
    ) -> None:
        count("shop.tasks.pay", failed=2)
        page = shown(admin_client)
        plots = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
        drawn = [plot for plot in plots if 'role="img"' in plot]
        assert len(drawn) == 6
        for plot in drawn:
            for name in re.findall(r'aria-labelledby="([^"]*)"', plot)[0].split():
                assert f'id="{name}">' in plot
        assert "3 attempts ended, 2 of them without success." in drawn[0]
        assert re.search(r"\d\d:\d\d 3 2 0\.5 ms 0\.9 ms 0\.5 ms 0\.9 ms", part(page, "leek-hour"))
        assert len(re.findall(r'<tr><th scope="row">', page)) == 60 + 96

    def test_of_many_the_most_urgent_are_shown_and_the_others_counted(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live_values, "MOST", 3)
        serve(5)
        for number in range(5):
            row = using(queue=f"queue-{number}").push(tasks.noop)
            due = timezone.now() - timedelta(minutes=number)
            QueuedTasks.objects.filter(pk=row.pk).update(run_after=due)
        lifecycle.pause("queue-0")
        page = shown(admin_client)
        text = part(page, "leek-queues-shown")
        assert re.findall(r"queue-\d", text.split("State")[1]) == ["queue-0", "queue-3", "queue-4"]
        assert text.endswith("and 2 more")
        assert part(page, "leek-servers-shown").endswith("and 2 more")

    def test_the_fragment_is_the_part_of_the_page_that_changes(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)  # or the plots may move on in between
        count("a.b")
        serve()
        using(queue="mail").push(tasks.noop)
        page, fragment = shown(admin_client), shown(admin_client, "?fragment=1")
        assert fragment.startswith('<div id="leek-live"')
        assert timeless(fragment.strip()) in timeless(page)

    def test_names_of_all_kinds_are_shown_as_they_are(self, admin_client: Client) -> None:
        row = using(queue=HOSTILE).push(tasks.noop)
        QueuedTasks.objects.update(name=HOSTILE, state=State.RUNNING)
        serve(running={str(row.pk): timezone.now().isoformat()})
        QueuedTasks.objects.update(owner=Servers.objects.get().pk)
        Servers.objects.update(hostname=HOSTILE, queues=[HOSTILE])
        using(queue=HOSTILE).push(tasks.noop)
        gated = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.filter(pk=gated.pk).update(state=State.BLOCKED, blocked_by=HOSTILE)
        lifecycle.note_outage(HOSTILE, HOSTILE)
        lifecycle.pause(HOSTILE)
        count(HOSTILE, failed=1)
        page = shown(admin_client)
        assert HOSTILE not in page
        escaped = "&lt;script&gt;alert(&#x27;&amp;amp;&quot;&#x27;)&lt;/script&gt;"
        sections = ["queues-shown", "servers-shown", "slowest", "failing", "gates-shown"]
        assert [name for name in sections if escaped not in part(page, f"leek-{name}")] == []

    def test_it_has_no_inline_script_or_style(self, admin_client: Client) -> None:
        fragment = shown(admin_client, "?fragment=1")
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", fragment)

    def test_without_javascript_the_page_loads_itself_again(self, admin_client: Client) -> None:
        expected = '<noscript><meta http-equiv="refresh" content="10"></noscript>'
        assert expected in shown(admin_client)


def verdict(client: Client) -> tuple[str, str]:
    """Return how things are, in a word and in a sentence."""
    told = client.get(address()).context["verdict"]
    return told.mood, told.text


def timeless(page: str) -> str:
    """Return a page without times and spans of time."""
    return re.sub(r"[\d.]+ m?s\b|\d\d:\d\d(:\d\d)?|T[\d:.+]+|\s+", "", page)


RECURRING = {"SCHEDULE": {"nightly": {"task": "tests.site.tasks.noop", "every": 3600}}}


class TestStatements:
    """What the page costs the database."""

    @override_settings(TASKS_QUEUE=RECURRING)
    def test_it_takes_as_many_for_many_of_all_as_for_one(self, admin_client: Client) -> None:
        few, many = self.statements(admin_client, 1), self.statements(admin_client, 30)
        assert many == few <= 14

    @override_settings(TASKS_QUEUE=RECURRING)
    def test_it_takes_sixteen_at_most_where_permissions_are_read(self, client_of: ClientOf) -> None:
        assert self.statements(client_of(VIEW), 2) <= 16

    def statements(self, client: Client, number: int) -> int:
        """Return how many statements the page takes where there are so many of everything."""
        for each in range(number):
            using(queue=f"queue-{each}").push(tasks.noop)
            lifecycle.pause(f"queue-{each}")
            row = using(queue="gated").push(tasks.noop)
            QueuedTasks.objects.filter(pk=row.pk).update(
                state=State.BLOCKED, blocked_by=f"gate {each}"
            )
            late = using(queue="late").push(tasks.noop)
            QueuedTasks.objects.filter(pk=late.pk).update(state=State.DEFERRED)
            count(f"name {each}")
        serve(number, {str(row.pk): timezone.now().isoformat()})
        counts = []
        for query in ("", "?fragment=1"):
            with CaptureQueriesContext(connection) as made:
                shown(client, query)
            counts.append(len(made))
        return max(counts)


class TestPermissions:
    """Who sees what, and who may do what."""

    def test_the_unknown_are_asked_to_log_in(self, client: Client) -> None:
        for answer in (client.get(address()), client.post(address(), {"pause": "mail"})):
            assert answer.status_code == 302
            assert reverse("admin:login") in answer["Location"]
        assert not PausedQueues.objects.exists()

    def test_who_is_not_of_the_staff_is_asked_to_log_in(self, client_of: ClientOf) -> None:
        answer = client_of(VIEW, PAUSE, RESUME, is_staff=False).get(address())
        assert answer.status_code == 302

    @pytest.mark.parametrize("permissions", [(), (PAUSE, RESUME)])
    def test_who_may_not_see_tasks_is_refused(
        self, client_of: ClientOf, permissions: tuple[str, ...]
    ) -> None:
        client = client_of(*permissions)
        assert client.get(address()).status_code == 403
        assert client.get(address("?fragment=1")).status_code == 403
        assert client.post(address(), {"pause": "mail"}).status_code == 403
        assert not PausedQueues.objects.exists()

    @pytest.mark.parametrize(
        ("permissions", "pauses", "resumes"),
        [((), False, False), ((PAUSE,), True, False), ((RESUME,), False, True)],
    )
    def test_who_may_see_tasks_is_offered_what_is_allowed_besides(
        self, client_of: ClientOf, permissions: tuple[str, ...], pauses: bool, resumes: bool
    ) -> None:
        lifecycle.pause("news")
        using(queue="mail").push(tasks.noop)
        client = client_of(VIEW, *permissions)
        page = shown(client)
        assert ('name="pause" value="mail"' in page) is pauses
        assert ('id="leek-queue-name"' in page) is pauses
        assert ('name="resume" value="news"' in page) is resumes
        assert client.post(address(), {"pause": "mail"}).status_code == (302 if pauses else 403)
        assert client.post(address(), {"resume": "news"}).status_code == (302 if resumes else 403)
        paused = {"mail"} if pauses else set()
        paused |= set() if resumes else {"news"}
        assert set(PausedQueues.objects.values_list("name", flat=True)) == paused

    def test_the_page_is_linked_for_who_may_see_it(
        self, client_of: ClientOf, admin_client: Client
    ) -> None:
        app = reverse("admin:app_list", args=["leek"])
        others = client_of("view_servers")
        for path in (app, reverse("admin:leek_servers_changelist")):
            assert f'href="{address()}"' in admin_client.get(path).content.decode()
            assert f'href="{address()}"' not in others.get(path).content.decode()
        tasks_list = admin_client.get(reverse("admin:leek_queuedtasks_changelist"))
        assert f'href="{address()}"' in tasks_list.content.decode()


class TestPausing:
    """Queues are paused and resumed on the page."""

    def post(self, client: Client, **form: str) -> str:
        """Send a form; return the page that follows."""
        answer = client.post(address(), form, follow=True)
        assert answer.redirect_chain == [(address(), 302)]
        return answer.content.decode()

    def test_a_queue_is_paused_by_its_name(self, client_of: ClientOf) -> None:
        page = self.post(client_of(VIEW, PAUSE), pause=HOSTILE)
        assert PausedQueues.objects.get().name == HOSTILE
        assert "is paused." in page
        entry = LogEntry.objects.get()
        assert (entry.user.get_username(), entry.action_flag) == ("somebody", ADDITION)
        assert entry.object_repr == HOSTILE
        assert entry.get_edited_object() == PausedQueues.objects.get()
        assert entry.get_change_message() == "Added."

    def test_a_queue_that_somebody_resumes_at_once_is_no_error(
        self, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def pause_while_another_resumes(queue: str) -> bool:
            return lifecycle.pause(queue) and lifecycle.resume(queue)

        monkeypatch.setattr(pausing, "pause_queue", pause_while_another_resumes)
        assert "is paused." in self.post(client_of(VIEW, PAUSE), pause="mail")
        assert not LogEntry.objects.exists()

    def test_a_queue_is_resumed(self, client_of: ClientOf) -> None:
        lifecycle.pause("mail")
        page = self.post(client_of(VIEW, RESUME), resume="mail")
        assert not PausedQueues.objects.exists()
        assert "goes on." in page
        entry = LogEntry.objects.get()
        assert (entry.action_flag, entry.object_repr) == (DELETION, "mail")

    def test_what_is_so_already_is_said_and_not_logged(self, client_of: ClientOf) -> None:
        client = client_of(VIEW, PAUSE, RESUME)
        lifecycle.pause("mail")
        assert "is paused already." in self.post(client, pause="mail")
        assert "is not paused." in self.post(client, resume="news")
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize(
        "form",
        [
            {},
            {"pause": "a", "resume": "a"},
            {"pause": ""},
            {"pause": "x" * 101},
            {"resume": "a\0b"},
            {"queue": "mail"},
        ],
    )
    def test_a_bad_form_is_refused_with_the_reason(
        self, admin_client: Client, form: dict[str, str]
    ) -> None:
        answer = admin_client.post(address(), form)
        assert answer.status_code == 400
        assert "queue" in answer.content.decode()
        assert not PausedQueues.objects.exists()

    @pytest.mark.parametrize("query", ["?fragment=2", "?fragment=", "?page=1", "?<b>=1"])
    def test_an_unknown_parameter_is_refused_with_its_name(
        self, admin_client: Client, query: str
    ) -> None:
        answer = admin_client.get(address(query))
        assert answer.status_code == 400
        assert answer["Content-Type"].startswith("text/plain")
        assert f"\N{LEFT DOUBLE QUOTATION MARK}{query[1:].split('=')[0]}" in answer.content.decode()

    def test_other_methods_are_refused(self, admin_client: Client) -> None:
        assert admin_client.put(address()).status_code == 405

    def test_a_form_of_another_site_is_refused(self, client_of: ClientOf) -> None:
        client = client_of(VIEW, PAUSE, checks_csrf=True)
        assert client.post(address(), {"pause": "mail"}).status_code == 403
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', shown(client))[0]
        form = {"pause": "mail", "csrfmiddlewaretoken": token}
        assert client.post(address(), form).status_code == 302


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns"])
def test_it_is_shown_where_local_times_are_stored(admin_client: Client, zone: str) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE=zone):
        row = push_task_to_queue(tasks.noop)
        lifecycle.pause("mail")
        count("shop.pack")
        serve(running={str(row.pk): "2026-11-28T14:02:03+00:00"})
        lifecycle.claim(Servers.objects.get().pk, 1, 1, None)
        page = shown(admin_client)
    assert f"/{row.pk}/change/" in page
    assert "shop.pack" in part(page, "leek-slowest")


@pytest.mark.django_db(transaction=True)
def test_a_resumed_queue_goes_on_at_once(
    admin_client: Client, port: int, start_server: StartServer
) -> None:
    start_server(LEEK_POLL_INTERVAL="3600")
    lifecycle.pause("default")
    row = push_task_to_queue(tasks.noop)
    assert admin_client.post(address(), {"resume": "default"}).status_code == 302
    wait_until(lambda: QueuedTasks.objects.filter(pk=row.pk, state=State.SUCCESSFUL).exists())
