"""What tasks log is stored with their attempts."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import leases, lifecycle, upkeep
from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.lifecycle.settling import ATTEMPTS_KEPT
from leek.models import AttemptLogs, FailedAttempts, QueuedTasks, State
from leek.outcome import Claimed, ErrorReport, Failure, Logged, Outcome, Retry, Success
from leek.server.recorder import _text
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.any_version

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)
LINE = ("2026-11-28T14:02:03.000004+00:00", "INFO", "shop", "hello")
LOGGED = Logged((LINE,), 3)

# A site that silences what it does not name, and keeps its own log to itself.
SETTINGS = """
from tests.settings import *

LOGGING = {
    "version": 1,
    "disable_existing_loggers": True,
    "handlers": {"null": {"class": "logging.NullHandler"}},
    "loggers": {
        "shop": {"handlers": ["null"], "level": "WARNING", "propagate": False},
        "shop.errors": {"level": "CRITICAL"},
    },
    "root": {"handlers": ["null"], "level": "CRITICAL"},
}
"""


def logs(row: QueuedTasks) -> dict[int, list[str]]:
    """Return the messages that are stored of each attempt."""
    return {
        log.attempt: [message for *_, message in log.lines]
        for log in AttemptLogs.objects.filter(task=row.pk).order_by("attempt")
    }


# A server


@in_every_place
@pytest.mark.parametrize("a_callable", [tasks.log, tasks.log_slowly], ids=["sync", "async"])
def test_what_a_task_logs_is_stored_with_its_success(
    start_server: StartServer, arguments: tuple[str, ...], a_callable: Callable[..., Any]
) -> None:
    start_server(*arguments)
    row = push_task_to_queue(a_callable, "hello")
    row.wait(60)
    log = AttemptLogs.objects.get()
    ((time, *rest),) = log.lines
    assert rest == ["WARNING", "shop", "They say hello"]
    assert row.success.started_at.isoformat() <= time <= row.success.finished_at.isoformat()
    assert (log.task_id, log.attempt, log.omitted) == (row.pk, 1, 0)


@in_every_place
def test_of_a_long_log_the_latest_lines_are_stored(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, LEEK_LOG_LINES="7")
    row = push_task_to_queue(tasks.log_often, 20)
    row.wait(60)
    assert logs(row) == {1: [str(number) for number in range(13, 20)]}
    assert AttemptLogs.objects.get().omitted == 13


@in_every_place
def test_an_atomic_task_stores_its_log_with_what_it_writes(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    row = using(atomic=True).push(tasks.log, "hello")
    row.wait(60)
    assert logs(row) == {1: ["They say hello"]}


@in_every_place
@pytest.mark.logs_errors
@pytest.mark.parametrize("is_atomic", [False, True])
def test_each_attempt_has_its_own_log(
    start_server: StartServer, arguments: tuple[str, ...], is_atomic: bool
) -> None:
    start_server(*arguments, LEEK_RETRY_DELAY="0.01", LEEK_MAX_RETRIES="2")
    row = using(atomic=is_atomic).push(tasks.log_and_fail, "hello")
    with pytest.raises(TaskFailed, match="as asked"):
        row.wait(60)
    lines = ["They say hello", "It does not go on\nValueError: as asked"]
    assert logs(row) == {1: lines, 2: lines}


def test_a_task_that_succeeds_at_last_keeps_the_logs_of_all_tries(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server(LEEK_RETRY_DELAY="0.01")
    row = push_task_to_queue(tasks.log_and_fail_until, str(tmp_path / "tries"), 3)
    row.wait(60)
    assert logs(row) == {number: [f"They say try {number}"] for number in (1, 2, 3)}


def test_tasks_that_run_beside_each_other_do_not_mix_their_logs(start_server: StartServer) -> None:
    start_server("--workers", "3")
    callables = [tasks.log, tasks.log_slowly] * 20
    rows = push_many([(each, (str(number),), {}) for number, each in enumerate(callables)])
    for number, row in enumerate(rows):
        row.wait(60)
        assert logs(row) == {1: [f"They say {number}"]}


def test_a_thread_with_the_context_of_the_task_belongs_to_it(start_server: StartServer) -> None:
    start_server()
    row = push_task_to_queue(tasks.log_in_threads)
    row.wait(60)
    assert logs(row) == {1: ["They say mine"]}


@in_every_place
@pytest.mark.logs_errors
def test_a_task_that_takes_too_long_keeps_its_log(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, LEEK_TIMEOUT="0.3", LEEK_MAX_RETRIES="1000", LEEK_RETRY_DELAY="0")
    row = push_task_to_queue(tasks.log_and_stay)
    found = wait_until(lambda: logs(row), "an attempt that had the time to log")
    attempt, lines = found.popitem()
    assert lines == ["They say I stay"]
    failed = FailedAttempts.objects.get(task=row.pk, attempt=attempt)
    assert failed.exception_type == "leek.exceptions.TaskTimeout"


@pytest.mark.logs_errors
def test_a_task_that_kills_its_process_keeps_the_end_of_its_log(start_server: StartServer) -> None:
    start_server("--isolate", LEEK_MAX_CRASHES="2", LEEK_LOG_LINES="3")
    row = push_task_to_queue(tasks.log_and_die, 5)
    others = push_many([(tasks.noop, (), {})] * 5)
    with pytest.raises(TaskFailed, match="WorkerLost"):
        row.wait(60)
    assert logs(row) == {1: ["2", "3", "4"], 2: ["2", "3", "4"]}
    assert set(AttemptLogs.objects.values_list("omitted", flat=True)) == {2}
    for other in others:
        other.wait(60)
        assert logs(other) == {}


@in_every_place
def test_an_async_task_that_is_cancelled_keeps_its_log(
    start_server: StartServer, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    start_server(*arguments)
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.log_and_wait_slowly, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the start")
    assert row.cancel()
    with pytest.raises(TaskFailed, match="cancelled"):
        row.wait(60)
    assert logs(row) == {1: ["They say I wait"]}


@in_every_place
def test_nothing_is_stored_of_tasks_that_log_nothing_or_where_it_is_off(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments, LEEK_LOG_LINES="0")
    push_task_to_queue(tasks.log, "hello").wait(60)
    push_task_to_queue(tasks.noop).wait(60)
    assert not AttemptLogs.objects.exists()


@in_every_place
@pytest.mark.any_database
def test_it_takes_what_the_levels_of_the_site_let_through_wherever_that_goes(
    start_server: StartServer, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "silent_settings.py").write_text(SETTINGS)
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    start_server(
        *arguments,
        DJANGO_SETTINGS_MODULE="silent_settings",
        PYTHONPATH=paths,
        LEEK_MAX_RETRIES="1",
    )
    row = push_task_to_queue(tasks.log_and_fail, "hello")
    with pytest.raises(TaskFailed, match="as asked"):
        row.wait(60)
    assert logs(row) == {1: ["They say hello"]}


# EAGER


@pytest.mark.django_db
@pytest.mark.parametrize("a_callable", [tasks.log, tasks.log_slowly], ids=["sync", "async"])
def test_an_eager_task_has_a_log(a_callable: Callable[..., Any]) -> None:
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        assert logs(push_task_to_queue(a_callable, "hello")) == {1: ["They say hello"]}
        logging.getLogger("shop").warning("after it")
        assert logs(push_task_to_queue(tasks.noop)) == {}


# What becomes of the rows


def claimed(number: int = 1) -> list[Claimed]:
    """Return tasks that a server has claimed."""
    push_many([(tasks.noop, (), {})] * number)
    server = leases.register(address="here", port=1, workers=1, queues=None, seconds=60)
    return lifecycle.claim(server.pk, 1, number, None)


def ended(kind: type[Any], task: Claimed, *more: Any, logged: Logged | None = LOGGED) -> Outcome:
    """Return an outcome with a log."""
    outcome: Outcome = kind(task, timezone.now(), timezone.now(), *more, logged=logged)
    return outcome


ERROR = ErrorReport("ValueError", "as asked", "Traceback")


@pytest.mark.django_db
class TestSettle:
    """Logs are stored with the outcomes."""

    def test_stores_lines_as_they_are_and_how_many_are_missing(self) -> None:
        one, other, third = claimed(3)
        odd = ("then", "INFO", 'sh"op\\', "ünï \U0001f600 {},[] %s \\u0000 '\n")
        lifecycle.settle(
            [
                ended(Success, one, None),
                ended(Failure, other, ERROR, logged=Logged((LINE, odd), 0)),
                ended(Retry, third, ERROR, 60.0),
            ]
        )
        found = AttemptLogs.objects.order_by("task").values_list("task", "lines", "omitted")
        assert [*found] == [
            (one.id, [[*LINE]], 3),
            (other.id, [[*LINE], [*odd]], 0),
            (third.id, [[*LINE]], 3),
        ]

    def test_takes_no_statement_more_where_nothing_was_logged(self) -> None:
        with CaptureQueriesContext(connection) as made:
            lifecycle.settle([ended(Success, task, None, logged=None) for task in claimed(5)])
        assert not [query for query in made if AttemptLogs._meta.db_table in query["sql"]]

    def test_stores_nothing_of_an_outcome_that_is_refused(self) -> None:
        (task,) = claimed()
        lifecycle.release([task])
        outcome = ended(Success, task, None)
        assert lifecycle.settle([outcome]) == [outcome]
        assert not AttemptLogs.objects.exists()

    def test_stores_what_is_long_in_several_statements(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leek.database.inserts.LONGEST_STATEMENT", 2500)
        long = Logged((("t", "INFO", "shop", "x" * 1000),), 0)
        with CaptureQueriesContext(connection) as made:
            lifecycle.settle([ended(Success, task, None, logged=long) for task in claimed(4)])
        assert AttemptLogs.objects.count() == 4
        table = AttemptLogs._meta.db_table
        assert len([each for each in made if f"INSERT INTO {table}" in _bare(each["sql"])]) == 2

    def test_keeps_the_first_and_the_latest_attempts(self) -> None:
        (task,) = claimed()
        for tries in range(ATTEMPTS_KEPT + 5):
            QueuedTasks.objects.update(state=State.RUNNING, owner=task.owner)
            lifecycle.settle([ended(Retry, task._replace(tries=tries), ERROR, 0.0)])
        kept = AttemptLogs.objects.order_by("attempt").values_list("attempt", flat=True)
        assert [*kept] == [1, *range(6, ATTEMPTS_KEPT + 6)]


def _bare(sql: str) -> str:
    return sql.replace('"', "").replace("`", "")


@pytest.mark.django_db
def test_logs_are_purged_with_their_task() -> None:
    one, other = claimed(2)
    lifecycle.settle([ended(Success, one, None), ended(Failure, other, ERROR)])
    sum(upkeep.purge(upkeep.successes()))
    assert AttemptLogs.objects.get().task_id == other.id
    sum(upkeep.purge(upkeep.failures()))
    assert not AttemptLogs.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("key", [None, "a key"])
def test_a_failed_task_that_is_pushed_back_begins_without_logs(key: str | None) -> None:
    using(unique=key).push(tasks.noop)
    one, other = claimed()[:1], claimed()[:1]
    lifecycle.settle([ended(Failure, task, ERROR) for task in (*one, *other)])
    assert QueuedTasks.objects.get(pk=one[0].id).retry()
    assert AttemptLogs.objects.get().task_id == other[0].id


def test_the_recorder_counts_the_text_of_logs() -> None:
    task = Claimed(1, "a", "", 0, 0, 0, None, False, 0.0, timezone.now(), 1, 1)
    plain = ended(Success, task, "result", logged=None)
    assert _text(ended(Success, task, "result")) == _text(plain) + sum(map(len, LINE))
    assert _text(ended(Failure, task, ERROR)) == len("as asked" + "Traceback") + sum(map(len, LINE))
