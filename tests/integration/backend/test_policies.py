"""What leek's policies do for tasks of Django's framework, and which has the last word."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from leek import exceptions
from leek.django_task import LeekTask
from leek.framework import InvalidTask, Task, TaskResult, task_backends
from leek.models import QueuedTasks, State
from leek.policy import policy
from leek.testing import run_pushed
from tests import settings
from tests.conftest import StartServer
from tests.integration.backend.outcomes import errors_of, finished
from tests.site import django_policies, django_tasks, tasks
from tests.site.django_policies import TAKES_KEYWORDS
from tests.site.models import Runs
from tests.site.policies import at_once, gate_is_open
from tests.support import wait_until

pytestmark = pytest.mark.django_db

site: Any = django_policies  # Django's stubs know no options
plain: Any = django_tasks
ALIASES: dict[str, Any] = settings.TASKS

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)


@contextmanager
def options_of_default(options: Any) -> Iterator[None]:
    """Give the default alias of TASKS these OPTIONS."""
    with override_settings(TASKS=ALIASES | {"default": ALIASES["default"] | {"OPTIONS": options}}):
        yield


# What is declared is kept

DECLARED = [
    site.fail_twice,
    site.fail_until,
    site.particular,
    site.hurried,
    site.hurried_slowly,
    site.write_and_fail,
    site.needy,
    site.behind_the_gate,
    site.one_for_each_user,
    site.one_for_each_user_by_policy,
    site.now_and_then,
    site.by_policy,
    site.with_own_priority,
    site.planned,
    site.tell.using(max_retries=7, retry_delay=[timedelta(seconds=5), 9]),
    site.tell.using(timeout=math.inf, atomic=False, retry_delay=timedelta(hours=1)),
    site.tell.using(limit=2, rate="5/10s", key="shared", requires="smtp"),
    site.one_for_each_user.using(key="of all users"),
    site.by_policy.using(queue_name="default", priority=0),
]
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "fail_until": ("marker", 3),
    "particular": ("os",),
    "write_and_fail": ("tag",),
    "one_for_each_user": (7, "log"),
    "one_for_each_user_by_policy": (7, "log"),
    "plain": (7,),
}


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.name)
def test_the_task_of_a_result_is_the_one_that_was_declared(declared: Task) -> None:
    result = declared.enqueue(*ARGUMENTS.get(declared.name, ()))
    assert result.task == declared
    assert declared.get_result(result.id).task == declared
    assert type(declared.get_result(result.id).task) is LeekTask


def test_options_are_kept_as_what_they_mean() -> None:
    declared: Any = site.particular
    assert (declared.retry_on, declared.give_up_on) == ((OSError,), (site.Refused,))
    assert declared.retry_delay is at_once
    assert site.needy.requires == (
        "tcp:127.0.0.1:9",
        f"{gate_is_open.__module__}.gate_is_open",
    )
    assert site.hurried.using(timeout=timedelta(minutes=1)).timeout == 60.0


@pytest.mark.skipif(not TAKES_KEYWORDS, reason="Django 6.0's decorator takes no such keywords")
def test_the_decorator_takes_options() -> None:
    made = site.task(max_retries=5, timeout=30, atomic=True, requires=["smtp"])(tasks.noop)
    assert made == site.task()(tasks.noop).using(
        max_retries=5, timeout=30, atomic=True, requires=["smtp"]
    )
    with pytest.raises(InvalidTask, match=r"^max_retries is 0\. Give a whole number from 1\.$"):
        site.task(max_retries=0)(tasks.noop)


WRONG: list[tuple[str, Any]] = [
    ("max_retries", 0),
    ("retry_delay", -1),
    ("retry_on", "OSError"),
    ("give_up_on", []),
    ("timeout", 0),
    ("atomic", "nowhere"),
    ("requires", ["soup"]),
    ("limit", True),
    ("rate", "often"),
    ("key", 5),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_option_is_refused_at_once(name: str, value: Any) -> None:
    with pytest.raises(InvalidTask, match=f"^{name} is .* Give "):
        site.tell.using(**{name: value})


def test_an_option_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(
        TypeError, match=r"'max_tries' is no option\. There are: priority, queue_name, "
    ):
        site.tell.using(max_tries=3)
    with pytest.raises(TypeError, match="'queue' is no option"):
        site.tell.using(queue="mail")


def test_a_retry_on_that_no_server_could_import_is_refused() -> None:
    class Local(Exception):
        """Known here only."""

    with pytest.raises(InvalidTask, match="cannot be imported"):
        site.tell.using(retry_on=Local).enqueue()
    assert not QueuedTasks.objects.exists()


def test_a_policy_above_the_decorator_is_refused() -> None:
    with pytest.raises(exceptions.InvalidTask, match="Put @policy below @task"):
        policy(max_retries=3)(plain.add)


# Queue and priority


def row_of(result: TaskResult) -> QueuedTasks:
    return QueuedTasks.objects.get(pk=result.id)


def test_queue_and_priority_of_a_policy_count_where_the_task_has_none() -> None:
    row = row_of(site.by_policy.enqueue())
    assert (row.queue, row.priority) == ("mail", 7)
    row = row_of(site.by_policy.using(queue_name="news", priority=-3).enqueue())
    assert (row.queue, row.priority) == ("news", -3)
    assert row_of(site.with_own_priority.enqueue()).priority == 1


def test_a_default_that_is_asked_for_wins_over_the_policy() -> None:
    later = site.by_policy.using(queue_name="default", priority=0)
    for asked in (later, later.using(max_retries=2)):
        row = row_of(asked.enqueue())
        assert (row.queue, row.priority) == ("default", 0)


def test_a_queue_of_a_policy_has_to_be_one_of_the_backend() -> None:
    with pytest.raises(InvalidTask, match="Queue 'mail' is not valid for backend"):
        site.by_policy.using(backend="default")


# Who has the last word


def told(declared: Task) -> tuple[int, float | None]:
    """Return the tries and the time limit that a task finds."""
    result = declared.enqueue()
    (row,) = run_pushed()
    assert row.pk == int(result.id)
    return row.result["max_retries"], row.result["timeout"]


def test_the_task_wins_over_its_function_that_over_its_alias_that_over_the_settings() -> None:
    with override_settings(TASKS_QUEUE={"MAX_RETRIES": 9, "TIMEOUT": 90}):
        assert told(site.tell) == (9, 90)
        with options_of_default({"max_retries": 8, "timeout": 40}):
            assert told(site.tell) == (8, 40)
            assert told(site.tell_by_policy) == (8, 20)
            assert told(site.tell_by_task) == (8, 10)
            assert told(site.tell_by_task.using(timeout=5, max_retries=1)) == (1, 5)
            assert told(site.tell.using(timeout=math.inf)) == (8, None)


def test_the_options_of_an_alias_are_for_its_tasks_only() -> None:
    with options_of_default({"max_retries": 8}):
        assert told(site.tell)[0] == 8
        assert told(site.tell.using(backend="any"))[0] == 3


@in_every_place
@pytest.mark.logs_errors
def test_a_server_tries_a_task_as_often_as_it_says(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, LEEK_MAX_RETRIES="5")
    by_task = site.fail_twice.enqueue()
    by_push = plain.fail.using(max_retries=3, retry_delay=0).enqueue("boom")
    by_class = site.particular.enqueue("os")
    for result, attempts in [(by_task, 2), (by_push, 3), (by_class, 4)]:
        assert finished(result).status == "FAILED"
        assert result.attempts == len(result.errors) == attempts
    for name in ("value", "refused"):
        assert finished(site.particular.enqueue(name)).attempts == 1


# Time limits


HURRIED = [site.hurried, site.hurried_in_context]


@in_every_place
@pytest.mark.logs_errors
def test_a_task_is_stopped_after_its_time(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    for result in [each.enqueue() for each in (*HURRIED, site.hurried_slowly)]:
        assert errors_of(finished(result)) == ["leek.exceptions.TaskTimeout"]
        assert "0.2" in result.errors[0].traceback


# Atomic


@in_every_place
@pytest.mark.logs_errors
def test_an_atomic_task_has_its_context_and_leaves_nothing_of_what_failed(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    assert finished(site.write_and_fail.enqueue("undone")).status == "FAILED"
    for declared in (site.write_at, site.write_slowly_at):
        result = finished(declared.enqueue(2, tag=declared.name))
        assert (result.return_value, result.attempts) == (1, 2)
    tags = [run.tag for run in Runs.objects.order_by("pk")]
    assert tags == ["write_at 2", "write_slowly_at 2"]


def test_the_options_of_an_alias_may_be_atomic() -> None:
    with options_of_default({"atomic": True, "max_retries": 1}):
        result = site.record.using(atomic=False).enqueue("kept")
        run_pushed()
        assert site.record.get_result(result.id).return_value == "kept"


# Limits


def most_at_once(log: Path, user: int) -> int:
    """Return how many tasks of a user ran at the same time, at most."""
    lines = [line.split() for line in log.read_text().splitlines()]
    times = sorted((float(at), what == "begins") for who, what, at in lines if int(who) == user)
    running = [sum(1 if begins else -1 for _, begins in times[:end]) for end in range(len(times))]
    return max(running, default=0)


ONE_FOR_EACH_USER = [
    site.one_for_each_user,
    site.one_for_each_user_slowly,
    site.one_for_each_user_by_policy,
]


@in_every_place
def test_a_key_gets_the_arguments_of_the_task_and_not_its_context(
    start_server: StartServer, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    start_server("--workers", "2", *arguments)
    logs = {each: tmp_path / each.name for each in ONE_FOR_EACH_USER}
    enqueued = [
        each.enqueue(number % 2, log=str(log)) for number in range(4) for each, log in logs.items()
    ]
    for result in enqueued:
        assert finished(result).return_value == 1
    assert [most_at_once(log, user) for log in logs.values() for user in (0, 1)] == [1] * 6


def test_tasks_wait_at_a_limit_of_an_alias(start_server: StartServer, tmp_path: Path) -> None:
    limited = ALIASES | {"default": ALIASES["default"] | {"OPTIONS": {"limit": 1, "key": "alias"}}}
    code = f"from tests.settings import *\nTASKS = {limited!r}\n"
    (tmp_path / "limited_alias.py").write_text(code)
    place = f"{Path.cwd()}:{tmp_path}"
    start_server("--workers", "2", DJANGO_SETTINGS_MODULE="limited_alias", PYTHONPATH=place)
    gate = tmp_path / "gate"
    first = site.wait_for.enqueue(str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    second = site.record.enqueue("second")
    wait_until(QueuedTasks.objects.filter(blocked_by="limit:alias").exists, "the gate")
    second.refresh()
    assert second.status == "READY"
    gate.touch()
    assert finished(first).status == finished(second).status == "SUCCESSFUL"


# Services


@in_every_place
def test_a_task_waits_for_its_service_at_no_cost(
    start_server: StartServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    gate = tmp_path / "gate"
    start_server(*arguments, LEEK_TEST_GATE=str(gate))
    result = site.behind_the_gate.enqueue()
    wait_until(QueuedTasks.objects.filter(state=State.BLOCKED).exists, "the gate")
    result.refresh()
    assert (result.status, result.attempts, result.started_at) == ("READY", 0, None)
    gate.touch()
    assert finished(result).return_value == 1
    assert result.errors == []


# OPTIONS that cannot be used

MISTAKES: list[tuple[Any, str]] = [
    ({"max_tries": 3}, "max_tries is no option of leek. There are: max_retries, "),
    ({"queue": "mail"}, "queue is no option of leek"),
    ({"max_retries": 0}, r"max_retries is 0\. Give a whole number from 1"),
    ({"requires": 5}, "requires is 5"),
    ([5], r"OPTIONS is \[5\], not a dictionary"),
    (None, "OPTIONS is None, not a dictionary"),
]


@pytest.mark.parametrize(("options", "problem"), MISTAKES)
def test_wrong_options_of_an_alias_are_an_error_of_the_checks_and_nothing_is_enqueued(
    options: Any, problem: str
) -> None:
    with options_of_default(options):
        (error,) = task_backends["default"].check()
        assert error.id == "leek.E006"
        assert error.hint == 'Correct TASKS["default"]["OPTIONS"].'
        with pytest.raises(AssertionError, match=problem):
            raise AssertionError(error.msg)
        with pytest.raises(InvalidTask, match=rf'^TASKS\["default"\]: {problem}'):
            site.tell.enqueue()
    assert not QueuedTasks.objects.exists()


def test_wrong_queues_of_an_alias_are_an_error_of_the_checks() -> None:
    wrong = ALIASES | {"default": ALIASES["default"] | {"QUEUES": ["mail", "", 5]}}
    with override_settings(TASKS=wrong):
        messages = task_backends["default"].check()
    assert [message.id for message in messages] == ["leek.E006"] * 2


def test_the_aliases_of_the_site_pass_the_checks() -> None:
    assert [message for alias in ALIASES for message in task_backends[alias].check()] == []
