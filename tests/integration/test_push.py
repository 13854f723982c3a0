"""Pushing: what becomes a row, what is refused, and what the socket may cost."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.mail import send_mail
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leek import hinting, serializer
from leek.api import apush_task_to_queue, push_many, push_task_to_queue, using
from leek.conf import DEFAULTS
from leek.exceptions import InvalidTask, TaskNotFinished
from leek.models import QueuedTasks, State, Status
from leek.protocol import read_word
from tests.site.tasks import add, echo, noop
from tests.support import black_hole

AGES = 3600.0  # seconds


class HintCounter:
    """Listens where leek_server would, and counts the hints."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._socket.setblocking(False)

    def take(self) -> list[str]:
        """Return the words that came since the last call."""
        hinting.hinter.close()  # so that all of them are there
        words: list[str] = []
        while True:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return words
            with connection, connection.makefile("rb") as stream:
                connection.settimeout(10)
                while stream.peek():
                    words.append(read_word(stream))

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture
def hints(port: int) -> Iterator[HintCounter]:
    """Return what counts the hints of this test."""
    counter = HintCounter(port)
    yield counter
    counter.close()


@pytest.mark.django_db(transaction=True)
class TestThePushedRow:
    """A push stores the task, and hints once it is committed."""

    def test_holds_the_task(self, hints: HintCounter) -> None:
        row = push_task_to_queue(echo, 1, when=timedelta(hours=2))
        stored = QueuedTasks.objects.get()
        assert stored.pk == row.pk
        assert (stored.name, stored.status, stored.queue) == (
            "tests.site.tasks.echo",
            Status.READY,
            "default",
        )
        task = serializer.load_task(stored.payload, "auto")
        assert task.run() == {"args": (1,), "kwargs": {"when": timedelta(hours=2)}}
        with pytest.raises(TaskNotFinished, match="its status is READY"):
            _ = stored.result

    def test_hints_at_once_without_a_transaction(self, hints: HintCounter) -> None:
        push_task_to_queue(noop)
        assert hints.take() == ["hint"]

    def test_exists_only_if_the_transaction_commits(self, hints: HintCounter) -> None:
        with transaction.atomic():
            push_task_to_queue(noop)
            transaction.set_rollback(True)
        assert not QueuedTasks.objects.exists()
        assert hints.take() == []

    def test_hints_once_per_transaction_after_the_commit(self, hints: HintCounter) -> None:
        with transaction.atomic():
            for _ in range(5):
                push_task_to_queue(noop)
            assert hints.take() == []
        assert QueuedTasks.objects.count() == 5
        assert hints.take() == ["hint"]

    def test_hints_although_a_savepoint_before_it_was_rolled_back(self, hints: HintCounter) -> None:
        with transaction.atomic():
            with transaction.atomic():
                push_task_to_queue(noop)
                transaction.set_rollback(True)
            push_task_to_queue(noop)
        assert QueuedTasks.objects.count() == 1
        assert hints.take() == ["hint"]

    def test_holds_a_model_instance(self, hints: HintCounter) -> None:
        group = Group.objects.create(name="gardeners")
        row = push_task_to_queue(echo, group)
        assert '"pickle"' in row.payload
        (found,) = serializer.load_task(row.payload, "auto").args
        assert found == group

    def test_of_send_mail_is_readable(self, hints: HintCounter) -> None:
        row = push_task_to_queue(
            send_mail, subject="Grüße", message="", from_email=None, recipient_list=["a@b.c"]
        )
        assert '"subject": "Grüße"' in QueuedTasks.objects.get(pk=row.pk).payload

    def test_survives_every_character(self, hints: HintCounter) -> None:
        text = "\x00 \udc80 🥬 \u2028"
        row = QueuedTasks.objects.get(pk=push_task_to_queue(echo, text).pk)
        assert serializer.load_task(row.payload, "auto").args == (text,)

    def test_is_stored_where_autocommit_is_off(self, hints: HintCounter) -> None:
        transaction.set_autocommit(False)
        try:
            push_task_to_queue(noop)
            transaction.commit()
        finally:
            transaction.set_autocommit(True)
        assert QueuedTasks.objects.count() == 1
        assert hints.take() == []

    def test_comes_from_async_code_too(self, hints: HintCounter) -> None:
        async def view() -> int:
            row = await apush_task_to_queue(add, 1, 2)
            other = await using(priority=3).apush(echo, self=1, a_callable=2)
            await sync_to_async(connections.close_all)()  # they belong to another thread
            return int(other.pk - row.pk)

        assert asyncio.run(view()) > 0
        assert QueuedTasks.objects.count() == 2


@pytest.mark.django_db(transaction=True)
class TestPushMany:
    """Many tasks in one go."""

    def test_returns_rows_in_order_with_ids_and_hints_once(self, hints: HintCounter) -> None:
        rows = push_many([(echo, (number,), {}) for number in range(2500)])
        assert [row.pk for row in rows] == sorted(row.pk for row in rows)
        numbers = [
            serializer.load_task(payload, "auto").args[0]
            for payload in QueuedTasks.objects.order_by("pk").values_list("payload", flat=True)
        ]
        assert numbers == list(range(2500))
        assert hints.take() == ["hint"]

    def test_may_be_more_than_a_database_takes_at_once(self, hints: HintCounter) -> None:
        texts = [letter * 1_400_000 for letter in "abcdefghijklmnop"]  # more than 22 MB
        with CaptureQueriesContext(connection) as queries:
            rows = push_many([(echo, (text,), {}) for text in texts])
        inserts = [query for query in queries if query["sql"].startswith("INSERT")]
        at_once = connection.features.can_return_rows_from_bulk_insert
        assert len(inserts) == (8 if at_once else 16)
        for row, text in zip(rows, texts, strict=True):
            row.refresh_from_db()
            assert serializer.load_task(row.payload, "auto").args == (text,)
        assert hints.take() == ["hint"]

    def test_is_all_or_none_also_in_several_statements(self, hints: HintCounter) -> None:
        texts = ["a" * 2_000_000, "b" * 2_000_000, "c" * 17_000_000]
        longest = connection.vendor == "mysql"  # it refuses the last one
        with pytest.raises(OperationalError) if longest else nullcontext():
            push_many([(echo, (text,), {}) for text in texts])
        assert QueuedTasks.objects.count() == (0 if longest else 3)

    def test_stores_none_where_one_is_refused(self, hints: HintCounter) -> None:
        with pytest.raises(InvalidTask, match="add"):
            push_many([(add, (1, 2), {}), (add, (1,), {})])
        assert not QueuedTasks.objects.exists()

    @pytest.mark.parametrize("task", [(noop,), (noop, ()), noop, (noop, {}, ()), (noop, "ab", {})])
    def test_refuses_what_is_no_task_by_its_shape(self, hints: HintCounter, task: Any) -> None:
        with pytest.raises(InvalidTask, match=r"is not a tuple \(callable, args, kwargs\)"):
            push_many([(add, (1, 2), {}), task])
        assert not QueuedTasks.objects.exists()

    def test_takes_options(self, hints: HintCounter) -> None:
        rows = using(queue="mail", priority=3).push_many([(noop, (), {})] * 2)
        assert {(row.queue, row.priority) for row in rows} == {("mail", 3)}

    def test_of_nothing_does_nothing(self, hints: HintCounter) -> None:
        assert push_many([]) == []
        assert hints.take() == []


@pytest.mark.django_db
class TestOptions:
    """Options come through `using`, so that they cannot collide with a task's own arguments."""

    def test_are_stored(self) -> None:
        row = using(queue="mail", priority=-7, run_after=timedelta(minutes=5)).push(
            echo, queue="mine", priority="high"
        )
        row.refresh_from_db()
        assert (row.queue, row.priority, row.state) == ("mail", -7, State.DEFERRED)
        assert row.run_after - row.pushed_at == timedelta(minutes=5)
        assert row.status == Status.READY

    def test_take_a_datetime(self) -> None:
        when = timezone.now() + timedelta(days=1)
        row = using(run_after=when).push(noop)
        row.refresh_from_db()
        assert row.run_after == when

    def test_let_a_task_of_the_past_run_now(self) -> None:
        assert using(run_after=timedelta(minutes=-5)).push(noop).state == State.READY

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"priority": 101}, "priority is 101"),
            ({"priority": -101}, "priority is -101"),
            ({"priority": 1.5}, "priority is 1.5"),
            ({"priority": True}, "priority is True"),
            ({"queue": ""}, "queue is ''"),
            ({"queue": "x" * 101}, "queue is"),
            ({"queue": 7}, "queue is 7"),
            ({"run_after": 60}, "run_after is 60"),
            ({"run_after": timezone.now().replace(tzinfo=None)}, "with a time zone"),
        ],
    )
    def test_out_of_range_are_refused_by_name(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidTask, match=message):
            using(**options)

    def test_beyond_the_calendar_are_refused(self) -> None:
        with pytest.raises(InvalidTask, match="9999"):
            using(run_after=timedelta.max).push(noop)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda: None,), "lambda"),
        (("send_mail",), "'send_mail' is not callable"),
        ((add, 1), "missing a required argument: 'second'"),
        ((echo, [1, {"lock": memoryview(b"")}]), r'args\[0\]\[1\]\["lock"\]'),
    ],
)
def test_what_cannot_run_is_refused_at_the_push(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        push_task_to_queue(*arguments)
    assert not QueuedTasks.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestWithoutAServer:
    """The row is the queue: a server that is down or unreachable costs next to nothing."""

    def test_a_push_warns_once(self, port: int, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(3):
            push_task_to_queue(noop)
        (warning,) = [record for record in caplog.records if record.name == "leek"]
        assert warning.levelno == logging.WARNING
        assert f"No leek_server is listening at localhost:{port}" in warning.getMessage()
        assert "manage.py leek_server" in warning.getMessage()
        assert QueuedTasks.objects.count() == 3

    def test_a_refused_hint_is_not_tried_again_at_once(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", AGES)
        push_task_to_queue(noop)
        counter = HintCounter(port)
        push_task_to_queue(noop)
        assert counter.take() == []
        counter.close()

    def test_the_warning_returns_after_a_hint_succeeded(
        self, port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", 0.0)
        push_task_to_queue(noop)
        counter = HintCounter(port)
        push_task_to_queue(noop)
        assert counter.take() == ["hint"]
        counter.close()
        push_task_to_queue(noop)
        assert len([record for record in caplog.records if record.name == "leek"]) == 2

    def test_a_black_hole_costs_one_time_out_only(
        self, port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hinting, "FIRST_PAUSE", AGES)
        monkeypatch.setattr(hinting, "LONGEST_PAUSE", AGES)
        connect = socket.create_connection
        with black_hole(port):
            waits = []

            def spy(address: tuple[str, int], timeout: float) -> socket.socket:
                waits.append(timeout)
                return connect(address, timeout)

            monkeypatch.setattr(socket, "create_connection", spy)
            for _ in range(5):
                push_task_to_queue(noop)
        assert len(waits) <= 2  # 127.0.0.1 and ::1, once
        assert max(waits) <= DEFAULTS["HINT_TIMEOUT"]
        assert "timed out" in caplog.text
        assert QueuedTasks.objects.count() == 5
