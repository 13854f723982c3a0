"""Health over HTTP: who may look, and what is told."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils import timezone

from leek import leases, views
from leek.api import push_many, push_task_to_queue, using
from leek.models import QueuedTasks, Servers
from tests.site.tasks import noop
from tests.support import finish, python

pytestmark = pytest.mark.django_db

TOKEN = "a token that nobody can guess"
PATHS = ["/leek/health/", "/leek/health/live/", "/leek/health/ready/", "/leek/metrics/"]
READY, LIVE = "/leek/health/ready/", "/leek/health/live/"
ODD_TOKENS = ["7", "with spaces  inside", "qu\"o'te,;=\\", "été", "€uro", "Bearer x", "%41+/=="]

every_path = pytest.mark.parametrize("path", PATHS)


@pytest.fixture
def is_open() -> Iterator[None]:
    """Let the token open health and metrics."""
    with override_settings(TASKS_QUEUE={"HEALTH_TOKEN": TOKEN}):
        yield


@pytest.fixture
def server() -> Servers:
    """Return a server whose lease lives."""
    return leases.register(address="127.0.0.1", port=1, workers=3, queues=None, seconds=30)


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask(path: str = READY, token: str = TOKEN, **parameters: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the content of an answer."""
    answer = Client().get(path, parameters, headers=bearing(token))
    return answer.status_code, answer.json()


def user_of_staff(**changes: bool) -> Client:
    """Return a client that is logged in."""
    user = User.objects.create(username="ann", **{"is_staff": True, "is_active": True} | changes)
    client = Client()
    client.force_login(user)
    return client


# Who may look


def test_the_paths_have_names() -> None:
    names = ["health", "health-live", "health-ready", "metrics"]
    assert [reverse(f"leek:{name}") for name in names] == PATHS


@every_path
@pytest.mark.parametrize("token", ["None", "", TOKEN])
def test_without_a_token_in_the_settings_nothing_is_there(path: str, token: str) -> None:
    nowhere = Client().get("/nowhere/")
    for client in (Client(), user_of_staff()):
        for method in (client.get, client.post, client.head):
            answer = method(path, headers=bearing(token))
            assert answer.status_code == 404
            assert answer.headers.keys() == nowhere.headers.keys()
    assert Client().get(path.rstrip("/")).status_code == 404


@every_path
@pytest.mark.parametrize("value", ["", 7, "two\nlines", " x ", b"bytes"])
def test_a_setting_that_is_no_token_opens_nothing(path: str, value: object) -> None:
    with override_settings(TASKS_QUEUE={"HEALTH_TOKEN": value}):
        assert Client().get(path, headers=bearing(str(value))).status_code == 404


@every_path
@pytest.mark.usefixtures("is_open", "server")
def test_the_token_opens(path: str) -> None:
    answer = Client().get(path, headers=bearing(TOKEN))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert not answer.cookies


@pytest.mark.parametrize("token", ODD_TOKENS)
def test_a_token_may_have_odd_characters(token: str) -> None:
    as_servers_tell = token.encode().decode("latin-1")
    with override_settings(TASKS_QUEUE={"HEALTH_TOKEN": token}):
        assert ask(LIVE, as_servers_tell) == (200, {"live": True})
        assert Client().get(LIVE, headers=bearing(f"{token}x")).status_code == 401


def test_a_token_may_be_sent_in_latin_1() -> None:
    with override_settings(TASKS_QUEUE={"HEALTH_TOKEN": "été"}):
        assert ask(LIVE, "été")[0] == 200


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEEK_HEALTH_TOKEN", TOKEN)
    assert ask(LIVE)[0] == 200


@pytest.mark.usefixtures("is_open")
def test_the_scheme_may_be_in_small_letters() -> None:
    given = {"Authorization": f"bearer  {TOKEN} "}
    assert Client().get(LIVE, headers=given).status_code == 200


@every_path
@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer é",
        "Bearer €",
    ],
)
def test_everybody_else_is_refused(path: str, given: str | None) -> None:
    headers = None if given is None else {"Authorization": given}
    for client in (Client(), user_of_staff(is_staff=False)):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not answer.cookies


@every_path
@pytest.mark.usefixtures("is_open", "server")
def test_the_staff_may_look(path: str) -> None:
    client = user_of_staff()
    assert client.get(path).status_code == 200
    User.objects.update(is_active=False)
    assert client.get(path).status_code == 401


@pytest.mark.usefixtures("is_open")
def test_a_site_may_have_no_users() -> None:
    assert views.live(RequestFactory().get(LIVE)).status_code == 401
    assert views.live(RequestFactory().get(LIVE, headers=bearing(TOKEN))).status_code == 200


CSRF = "django.middleware.csrf.CsrfViewMiddleware"


@every_path
@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_it_is_only_looked_at(path: str, method: str) -> None:
    with override_settings(MIDDLEWARE=[CSRF]):
        client = Client(enforce_csrf_checks=True)
        answer = client.generic(method, path, headers=bearing(TOKEN))
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Cache-Control"] == "no-store"


@every_path
@pytest.mark.usefixtures("is_open", "server")
def test_a_head_has_no_body(path: str) -> None:
    answer = Client().head(path, headers=bearing(TOKEN))
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.usefixtures("is_open", "server")
def test_who_has_the_token_gets_no_session() -> None:
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        answer = Client().get(READY, headers=bearing(TOKEN))
    assert "Vary" not in answer.headers
    assert not answer.cookies


# What is told


@pytest.mark.usefixtures("is_open", "server")
@pytest.mark.parametrize("path", ["/leek/health/", READY])
def test_a_queue_that_a_server_serves_is_ready(path: str) -> None:
    assert ask(path) == (
        200,
        {
            "ready": True,
            "database": True,
            "servers": 1,
            "oldest_waiting": None,
            "failed": 0,
            "problems": [],
        },
    )


@pytest.mark.usefixtures("is_open")
def test_without_a_server_it_is_not_ready(server: Servers) -> None:
    problem = "No server is running: none has a lease that lives."
    past = timezone.now() - timedelta(seconds=5)
    Servers.objects.filter(pk=server.pk).update(expires_at=past)
    status, told = ask()
    assert (status, told["ready"], told["servers"]) == (503, False, 0)
    assert told["problems"] == [problem]


def age(rows: list[QueuedTasks], seconds: float) -> None:
    """Let tasks have been due for so long."""
    due_at = timezone.now() - timedelta(seconds=seconds)
    QueuedTasks.objects.filter(pk__in=[row.pk for row in rows]).update(run_after=due_at)


@pytest.mark.usefixtures("is_open", "server")
def test_a_task_that_waits_too_long_is_a_problem() -> None:
    urgent = using(priority=100).push(noop)
    late = using(priority=-100, queue="mail").push(noop)
    age([urgent], 10)
    age([late], 90)
    status, told = ask(max_age="60")
    assert status == 503
    assert 90 <= told["oldest_waiting"] < 150
    (problem,) = told["problems"]
    assert problem.startswith("A task has been waiting for 9")
    assert problem.endswith(" s, which is more than 60 s.")
    assert ask(max_age="3600")[0] == 200
    assert ask()[0] == 200


@pytest.mark.usefixtures("is_open", "server")
def test_a_retry_that_is_first_in_line_hides_nobody() -> None:
    first, *others = push_many([(noop, (), {})] * 4)
    age(others, 90)
    assert ask()[1]["oldest_waiting"] >= 90
    assert first.pk < others[0].pk


@pytest.mark.usefixtures("is_open", "server")
def test_a_deferred_task_waits_from_its_time_on() -> None:
    row = using(run_after=timedelta(hours=1)).push(noop)
    assert ask()[1]["oldest_waiting"] is None
    age([row], 90)
    assert ask()[1]["oldest_waiting"] >= 90


@pytest.mark.usefixtures("is_open", "server")
def test_too_many_failed_tasks_are_a_problem() -> None:
    finish(push_many([(noop, (), {})] * 3), "ValueError")
    assert ask(max_failed="3")[0] == 200
    status, told = ask(max_failed="2")
    assert (status, told["failed"]) == (503, 3)
    assert told["problems"] == ["More than 2 task(s) have failed."]


@pytest.mark.usefixtures("is_open", "server")
def test_failed_tasks_are_not_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leek.health.COUNTED", 2)
    finish(push_many([(noop, (), {})] * 5), "ValueError")
    assert ask()[1]["failed"] == 2
    assert ask(max_failed="3")[1]["failed"] == 4


@pytest.mark.usefixtures("is_open")
def test_every_problem_is_told_of() -> None:
    finish([push_task_to_queue(noop)], "ValueError")
    age([push_task_to_queue(noop)], 90)
    assert len(ask(max_age="1.5", max_failed="0")[1]["problems"]) == 3


@pytest.mark.usefixtures("is_open", "server")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_age", value) for value in ["", "x", "-1", "nan", "inf", "1e999", "1;2"]),
        *(("max_failed", value) for value in ["", "x", "-1", "1.5", "100001", "٣", "9" * 5000]),
    ],
)
def test_a_limit_that_is_none_is_refused(name: str, value: str) -> None:
    status, told = ask(**{name: value})
    (problem,) = told["problems"]
    assert status == 400
    assert problem.startswith(f"{name} is ")
    assert " from 0" in problem


@pytest.mark.usefixtures("is_open", "server")
def test_a_misspelt_limit_is_refused() -> None:
    problem = "maxage is no parameter. Known are max_age and max_failed."
    assert ask(maxage="60") == (400, {"problems": [problem]})


@pytest.mark.usefixtures("is_open", "server")
def test_the_statements_are_few(django_assert_max_num_queries: Any) -> None:
    push_many([(noop, (), {})] * 20)
    with django_assert_max_num_queries(7):
        ask(max_age="60", max_failed="10")
    with django_assert_max_num_queries(0):
        ask(LIVE)


# While the database is down

WITHOUT_DATABASE = f"""
import json
import django
from django.conf import settings

settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
settings.TASKS_QUEUE = {{"HEALTH_TOKEN": "{TOKEN}"}}
django.setup()
from django.test import Client

given = {{"Authorization": "Bearer {TOKEN}"}}
client = Client(SERVER_NAME="localhost")
answers = [client.get(path, headers=given) for path in {PATHS}]
client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
answers.append(client.get("{LIVE}"))
print(json.dumps([[answer.status_code, answer.content.decode()] for answer in answers]))
"""


def test_a_database_that_is_down_is_a_problem_and_no_error() -> None:
    done = python("-c", WITHOUT_DATABASE, TESTS_DATABASE_NAME="/no/such/database")
    assert done.returncode == 0, done.stderr
    health, live, ready, metrics, unknown = json.loads(done.stdout)
    for status, text in (health, ready):
        told = json.loads(text)
        assert (status, told["ready"], told["database"], told["servers"]) == (
            503,
            False,
            False,
            None,
        )
        (problem,) = told["problems"]
        assert problem.startswith("The queue's database cannot be read: OperationalError: ")
    assert live == [200, '{"live": true}']
    assert metrics[0] == 503
    assert metrics[1].startswith("The queue's database cannot be read: OperationalError: ")
    assert unknown[0] == 401
