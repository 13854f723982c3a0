"""Tasks of the framework in servers of other kinds: in child processes, with unruly receivers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from leek.exceptions import WorkerLost
from tests.conftest import StartServer
from tests.integration.backend.contract.framework import (
    SYNC,
    TaskResult,
    TaskResultStatus,
    of_each_kind,
)
from tests.site import django_tasks as tasks
from tests.support import LeekServer, manage, wait_until, whole_lines

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)
of_both_sums = of_each_kind(tasks.add, tasks.add_async)

Start = Callable[..., LeekServer]


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    """Return the file that the server of a test tells of the signals it sends."""
    return tmp_path / "signals"


@pytest.fixture
def start(start_server: StartServer, signals: Path) -> Start:
    """Return a function that starts a server with one of the receivers of the test site."""

    def start_with(*arguments: str, receiver: str = "record", **extra: str) -> LeekServer:
        return start_server(
            *arguments,
            TESTS_FRAMEWORK_RECEIVERS=receiver,
            TESTS_SIGNALS=str(signals),
            LEEK_RETRY_DELAY="0",
            **extra,
        )

    return start_with


def heard(signals: Path, number: int) -> list[dict[str, Any]]:
    """Return what receivers were told, when there is so much of it."""
    wait_until(lambda: len(whole_lines(signals)) >= number, "signals")
    return [json.loads(line) for line in whole_lines(signals)]


# Child processes


@pytest.mark.logs_errors
def test_tasks_in_child_processes_have_the_same_results_and_signals(
    start: Start, signals: Path
) -> None:
    start("--isolate")
    results = [
        SYNC.run(tasks.tell, 2, "one"),
        SYNC.run(tasks.tell_async, 1, "one"),
        SYNC.run(tasks.fail_by, "error of the site"),
        SYNC.run(tasks.give, "an object"),
    ]
    told = [(each["id"], each["signal"], each["status"]) for each in heard(signals, 9)]
    first, second, third, fourth = (result.id for result in results)
    assert sorted(told) == sorted(
        [
            (first, "started", "RUNNING"),
            (first, "started", "RUNNING"),
            (first, "finished", "SUCCESSFUL"),
            (second, "started", "RUNNING"),
            (second, "finished", "SUCCESSFUL"),
            (third, "started", "RUNNING"),
            (third, "finished", "FAILED"),
            (fourth, "started", "RUNNING"),
            (fourth, "finished", "FAILED"),
        ]
    )
    assert [result.attempts for result in results] == [2, 1, 1, 1]
    assert results[0].return_value["errors"] == ["tests.site.django_tasks.Odd"]
    assert results[2].errors[0].exception_class is tasks.Odd
    assert results[3].errors[0].exception_class is TypeError


@pytest.mark.logs_errors
def test_a_task_that_kills_its_process_fails_with_an_error_of_each_attempt(
    start: Start, signals: Path
) -> None:
    start("--isolate", LEEK_MAX_CRASHES="2")
    result = SYNC.run(tasks.kill_own_process)
    assert result.status is TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [WorkerLost] * 2
    assert all("was killed" in error.traceback for error in result.errors)
    assert result.attempts == len(result.worker_ids) == 2
    started, again, finished = heard(signals, 3)
    assert [started["attempts"], again["attempts"]] == [1, 2]
    assert (finished["status"], finished["attempts"]) == ("FAILED", 2)
    assert finished["handled"].startswith("leek.exceptions.WorkerLost: the process running it")


# Receivers


@of_both_sums
@in_every_place
def test_receivers_of_the_framework_may_be_async(
    start: Start, signals: Path, arguments: tuple[str, ...], a_task: Any
) -> None:
    start(*arguments, receiver="record_slowly")
    result = SYNC.run(a_task, 1, 2)
    assert heard(signals, 2) == [
        {"signal": "started", "id": result.id, "stored": "RUNNING"},
        {"signal": "finished", "id": result.id, "stored": "SUCCESSFUL"},
    ]


@in_every_place
@pytest.mark.logs_errors
@pytest.mark.parametrize("receiver", ["fail", "break_transaction"])
def test_receivers_of_the_framework_that_raise_harm_no_task(
    start: Start, arguments: tuple[str, ...], receiver: str
) -> None:
    server = start(*arguments, receiver=receiver, TESTS_DEBUG="1")
    for a_task in (tasks.add, tasks.add_async, tasks.add.using(atomic=True)):  # type: ignore[call-arg]
        result = SYNC.run(a_task, 1, 2)
        assert (result.return_value, result.attempts, result.errors) == (3, 1, [])
    failed = SYNC.run(tasks.fail_by, "error of the site")
    assert [error.exception_class for error in failed.errors] == [tasks.Odd]
    wait_until(lambda: f"Error calling {receiver}" in server.log, "the record of the error")
    assert server.terminate() == 0


# The order


def test_a_server_takes_a_backlog_by_priority_and_age(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "turns"
    results = [
        tasks.take_turn.using(priority=priority).enqueue(str(file), word)
        for priority, word in [(0, "d"), (-100, "f"), (7, "b"), (7, "c"), (100, "a"), (-1, "e")]
    ]
    start()
    for result in results:
        SYNC.finished(result)
    assert file.read_text().split() == [*"abcdef"]
    assert [result.task.priority for result in results] == [0, -100, 7, 7, 100, -1]


def test_a_priority_of_the_decorator_counts(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "turns"
    words = [tasks.note_turn.enqueue(str(file), "low"), tasks.take_turn.enqueue(str(file), "high")]
    start()
    for result in words:
        SYNC.finished(result)
    assert file.read_text().split() == ["high", "low"]


def test_a_server_takes_the_tasks_of_its_queues_only(start: Start) -> None:
    mails = tasks.add.using(backend="mail", queue_name="mail").enqueue(1, 2)
    news = tasks.add.using(backend="mail", queue_name="news").enqueue(3, 4)
    start("--queues", "news")
    assert SYNC.finished(news).return_value == 7
    mails.refresh()
    assert (mails.status, mails.backend) == (TaskResultStatus.READY, "mail")
    assert mails.task.queue_name == "mail"


# Other processes


@pytest.mark.logs_errors
def test_a_task_whose_server_dies_has_an_error_of_that_attempt(
    start: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start()
    result = tasks.wait_at.enqueue(str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the start")
    result.refresh()
    first = result.started_at
    server.kill()
    gate.touch()
    start(port=server.port)
    SYNC.finished(result)
    assert result.return_value == "through"
    assert result.attempts == len(result.worker_ids) == 2
    assert len({*result.worker_ids}) == 2
    assert [error.exception_class for error in result.errors] == [WorkerLost]
    assert first is not None
    assert result.started_at is not None
    assert result.last_attempted_at is not None
    assert first <= result.started_at < result.last_attempted_at


def test_a_result_is_found_from_another_process(start: Start) -> None:
    start()
    result = SYNC.run(tasks.add, 40, 2)
    code = f"""if True:
        from tests.site.django_tasks import add
        found = add.get_result("{result.id}")
        print(found.return_value, found.status, found.started_at, found.worker_ids)
    """
    answer = manage("shell", "-c", code)
    assert answer.returncode == 0, answer.stderr
    assert f"42 SUCCESSFUL {result.started_at} {result.worker_ids}\n" in answer.stdout


def test_a_task_waits_for_the_server_to_start(start: Start) -> None:
    result: TaskResult = tasks.add.enqueue(40, 2)
    with transaction.atomic():
        other = tasks.add_async.enqueue(40, 2)
    assert result.status is other.status is TaskResultStatus.READY
    start()
    assert SYNC.finished(result).return_value == SYNC.finished(other).return_value == 42
