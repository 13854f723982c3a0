"""Spans of pushes and attempts, in one trace with the request."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from leek import tracing, untraced
from leek.api import apush_task_to_queue, push_many, push_task_to_queue, using
from leek.exceptions import InvalidTask, TaskFailed
from leek.models import QueuedTasks
from leek.serializer import load_task
from tests.conftest import StartServer
from tests.site import tasks
from tests.site.spans import (
    push_another,
    tell_of_the_span,
    tell_of_the_span_atomically,
    tell_of_the_span_slowly,
)
from tests.support import ROOT, python, wait_until, whole_lines

pytestmark = [pytest.mark.any_database, pytest.mark.any_version]

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)
WHAT_TELLS = [tell_of_the_span, tell_of_the_span_slowly, tell_of_the_span_atomically]

Spans = list[dict[str, Any]]


@contextmanager
def provided(provider: trace.TracerProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a provider be the one of this process, which OpenTelemetry lets be set only once."""
    with monkeypatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        yield


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return what gets the spans of this process."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provided(provider, monkeypatch):
        yield exporter
    assert not context.get_current()


@contextmanager
def request() -> Iterator[trace.SpanContext]:
    """Be in the span of a request."""
    with trace.get_tracer("tests").start_as_current_span("GET /") as span:
        yield span.get_span_context()


def spans_in(exporter: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind == kind]


def push_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return spans_in(exporter, SpanKind.PRODUCER)


def read(file: Path) -> Spans:
    """Return the spans that servers have written."""
    return [json.loads(line) for line in whole_lines(file)]


def written(file: Path, number: int) -> Spans:
    """Return the spans that servers have written, as soon as there are so many."""
    wait_until(lambda: len(read(file)) >= number, f"{number} spans")
    return read(file)


def ids_of(span: ReadableSpan) -> tuple[str, str]:
    assert span.context
    return f"0x{span.context.trace_id:032x}", f"0x{span.context.span_id:016x}"


# Pushes


@pytest.mark.django_db
def test_a_push_is_a_span_of_the_request(exporter: InMemorySpanExporter) -> None:
    with request() as around:
        row = using(queue="mail").push(tasks.noop)
    (span,) = push_spans(exporter)
    assert span.name == "push tests.site.tasks.noop"
    assert span.context
    assert span.parent
    assert (span.context.trace_id, span.parent.span_id) == (around.trace_id, around.span_id)
    assert dict(span.attributes or {}) == {
        "messaging.system": "leek",
        "messaging.operation.name": "push",
        "messaging.operation.type": "send",
        "messaging.destination.name": "mail",
        "messaging.message.id": str(row.pk),
        "leek.task.name": "tests.site.tasks.noop",
        "leek.duplicate": False,
    }
    assert span.status.status_code == StatusCode.UNSET


@pytest.mark.django_db
def test_what_leads_back_to_a_push_is_kept_with_its_task(exporter: InMemorySpanExporter) -> None:
    row = using(queue="mail").push(tasks.noop)
    (span,) = push_spans(exporter)
    trace_id, span_id = ids_of(span)
    (kept,) = load_task(row.payload, "auto").context.values()
    assert kept.keys() == {"traceparent", "queue"}
    assert kept["traceparent"].startswith(f"00-{trace_id[2:]}-{span_id[2:]}-")
    assert kept["queue"] == "mail"


@pytest.mark.django_db
def test_many_pushes_at_once_are_one_span(exporter: InMemorySpanExporter) -> None:
    rows = push_many([(tasks.noop, (), {}), (tell_of_the_span_atomically, (), {})])
    (span,) = push_spans(exporter)
    attributes = dict(span.attributes or {})
    assert span.name == "push"
    assert attributes["messaging.batch.message_count"] == 2
    assert "messaging.message.id" not in attributes
    kept = [load_task(row.payload, "auto").context["trace"] for row in rows]
    assert kept[0]["traceparent"] == kept[1]["traceparent"]
    assert [each["queue"] for each in kept] == ["default", "books"]


@pytest.mark.django_db(transaction=True)
def test_a_push_from_async_code_is_a_span_of_its_request(exporter: InMemorySpanExporter) -> None:
    async def view() -> trace.SpanContext:
        with request() as around:
            await apush_task_to_queue(tasks.noop)
            return around

    around = async_to_sync(view)()
    (span,) = push_spans(exporter)
    assert span.parent
    assert span.parent.span_id == around.span_id


@pytest.mark.django_db
def test_a_push_of_a_key_that_is_taken_says_so(exporter: InMemorySpanExporter) -> None:
    rows = [using(unique="once").push(tasks.noop) for _ in range(2)]
    first, second = push_spans(exporter)
    assert [(span.attributes or {})["leek.duplicate"] for span in (first, second)] == [False, True]
    assert rows[0].pk == rows[1].pk


@pytest.mark.django_db
def test_a_push_that_is_refused_is_an_error(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(InvalidTask):
        push_task_to_queue(lambda: None)
    (span,) = push_spans(exporter)
    assert span.status.status_code == StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "InvalidTask"
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.django_db
def test_an_enqueued_task_is_pushed_in_a_span(exporter: InMemorySpanExporter) -> None:
    from tests.site import django_tasks

    django_tasks.noop.using(queue_name="mail", backend="mail").enqueue()
    (span,) = push_spans(exporter)
    assert (span.attributes or {})["messaging.destination.name"] == "mail"
    row = QueuedTasks.objects.get()
    assert load_task(row.payload, "auto").context["trace"]["queue"] == "mail"


# Attempts


@in_every_place
@pytest.mark.parametrize("task", WHAT_TELLS)
def test_an_attempt_belongs_to_the_trace_of_the_request(
    start_server: StartServer,
    exporter: InMemorySpanExporter,
    tmp_path: Path,
    arguments: tuple[str, ...],
    task: Callable[..., Any],
) -> None:
    file = tmp_path / "spans"
    start_server(*arguments, TESTS_SPANS=str(file))
    with request() as around:
        row = push_task_to_queue(task)
    in_task = row.wait(60)
    (span,) = written(file, 1)
    (push,) = push_spans(exporter)
    trace_id, push_id = ids_of(push)
    assert trace_id == f"0x{around.trace_id:032x}"
    assert span["context"]["trace_id"] == trace_id
    assert span["parent_id"] == push_id
    assert [link["context"]["span_id"] for link in span["links"]] == [push_id]
    assert in_task == [trace_id, span["context"]["span_id"]]
    assert (span["name"], span["kind"]) == (f"run {row.name}", "SpanKind.CONSUMER")
    assert span["status"] == {"status_code": "UNSET"}
    assert span["attributes"] == {
        "messaging.system": "leek",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": row.queue,
        "messaging.message.id": str(row.pk),
        "leek.task.name": row.name,
        "leek.attempt": 1,
        "leek.outcome": "success",
    }


@pytest.mark.logs_errors
@in_every_place
@pytest.mark.parametrize(
    "push",
    [
        lambda: push_task_to_queue(tasks.fail, "no luck"),
        lambda: push_task_to_queue(tasks.raise_slowly, "ValueError"),
        lambda: using(atomic=True).push(tasks.fail, "no luck"),
    ],
    ids=["sync", "async", "atomic"],
)
def test_an_attempt_that_fails_is_an_error(
    start_server: StartServer,
    exporter: InMemorySpanExporter,
    tmp_path: Path,
    arguments: tuple[str, ...],
    push: Callable[[], QueuedTasks],
) -> None:
    file = tmp_path / "spans"
    start_server(*arguments, TESTS_SPANS=str(file), LEEK_MAX_RETRIES="2", LEEK_RETRY_DELAY="0")
    row = push()
    with pytest.raises(TaskFailed):
        row.wait(60)
    spans = written(file, 2)
    (pushed,) = push_spans(exporter)
    assert {(span["context"]["trace_id"], span["parent_id"]) for span in spans} == {ids_of(pushed)}
    assert [span["attributes"]["leek.attempt"] for span in spans] == [1, 2]
    assert [span["attributes"]["leek.outcome"] for span in spans] == ["retry", "failure"]
    for span in spans:
        (event,) = span["events"]
        assert event["name"] == "exception"
        assert event["attributes"]["exception.type"] == "ValueError"
        assert "Traceback" in event["attributes"]["exception.stacktrace"]
        assert span["attributes"]["error.type"] == "ValueError"
        assert span["status"]["status_code"] == "ERROR"
        assert span["status"]["description"].startswith("ValueError")


def test_what_a_task_pushes_belongs_to_its_trace(
    start_server: StartServer, exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    file = tmp_path / "spans"
    start_server(TESTS_SPANS=str(file))
    row = push_task_to_queue(push_another)
    child = QueuedTasks.objects.get(pk=row.wait(60))
    child.wait(60)
    spans = {span["name"]: span for span in written(file, 3)}
    outer, inner = spans[f"run {row.name}"], spans[f"run {child.name}"]
    push = spans[f"push {child.name}"]
    assert push["parent_id"] == outer["context"]["span_id"]
    assert inner["parent_id"] == push["context"]["span_id"]
    assert len({span["context"]["trace_id"] for span in spans.values()}) == 1


def test_a_task_that_was_pushed_untraced_begins_a_trace(
    start_server: StartServer, tmp_path: Path
) -> None:
    file = tmp_path / "spans"
    start_server(TESTS_SPANS=str(file))
    rows = push_many([(tell_of_the_span, (), {})] * 2)
    told = [row.wait(60) for row in rows]
    spans = written(file, 2)
    assert all(span["parent_id"] is None and not span["links"] for span in spans)
    assert len({trace_id for trace_id, _ in told}) == 2


@pytest.mark.usefixtures("exporter")
def test_a_task_that_was_pushed_traced_runs_where_nothing_is_traced(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server(PYTHONPATH=without_opentelemetry(tmp_path))
    with override_settings(TASKS_QUEUE={"SERIALIZER": "json"}):
        rows = push_many([(tasks.add, (1, 2), {})] * 2)
    assert [row.wait(60) for row in rows] == [3, 3]


def without_opentelemetry(folder: Path) -> str:
    """Return a path of modules on which OpenTelemetry cannot be imported."""
    (folder / "opentelemetry.py").write_text("raise ImportError('it is not installed here')")
    return os.pathsep.join([str(folder), str(ROOT)])


@pytest.mark.django_db
def test_an_eager_task_belongs_to_the_trace(exporter: InMemorySpanExporter) -> None:
    with override_settings(TASKS_QUEUE={"EAGER": True}), request() as around:
        row = push_task_to_queue(tell_of_the_span)
        assert trace.get_current_span().get_span_context() == around
    (run,) = spans_in(exporter, SpanKind.CONSUMER)
    (push,) = push_spans(exporter)
    assert row.result == [*ids_of(run)]
    assert run.parent
    assert push.context
    assert run.parent.span_id == push.context.span_id


def test_a_recurring_task_begins_a_trace(start_server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "spans"
    schedule = {"tick": {"task": "tests.site.tasks.noop", "every": 0.05}}
    start_server(TESTS_SPANS=str(file), LEEK_SCHEDULE=json.dumps(schedule))
    (run, *_) = wait_until(
        lambda: [span for span in read(file) if span["kind"] == "SpanKind.CONSUMER"],
        "the recurring task",
    )
    (push,) = wait_until(  # it may end later than what it leads to
        lambda: [span for span in read(file) if span["context"]["span_id"] == run["parent_id"]],
        "its push",
    )
    assert push["kind"] == "SpanKind.PRODUCER"
    assert push["parent_id"] is None


# Where nothing is traced

PAYLOAD = '{"callable":"tests.site.tasks.noop","args":[],"kwargs":{}}'


def document_of(row: QueuedTasks) -> str:
    return "".join(row.payload.rpartition(":")[0].split())


@pytest.mark.django_db
def test_without_a_provider_a_payload_is_as_ever() -> None:
    assert tracing.API in sys.modules
    assert document_of(push_task_to_queue(tasks.noop)) == PAYLOAD


UNUSED = """
import sys
import django
django.setup()
from django.db import transaction
from leek.api import push_task_to_queue
from tests.site.tasks import noop
with transaction.atomic():
    push_task_to_queue(noop)
    transaction.set_rollback(True)
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.mark.django_db(transaction=True)
def test_where_nobody_uses_opentelemetry_it_is_not_imported() -> None:
    done = python("-c", UNUSED)
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db
def test_a_trace_from_elsewhere_is_passed_on_without_a_provider() -> None:
    carrier = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    token = context.attach(propagate.extract(carrier))
    try:
        row = push_task_to_queue(tasks.noop)
    finally:
        context.detach(token)
    kept = load_task(row.payload, "auto").context["trace"]
    assert kept == {**carrier, "queue": "default"}


# What goes wrong


class Broken(SpanProcessor):
    """Fails whatever it is told."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Raise."""
        raise RuntimeError("it does not start")

    def on_end(self, span: ReadableSpan) -> None:
        """Raise."""
        raise RuntimeError("it does not end")


class BrokenAtTheEnd(SpanProcessor):
    """Fails when a span ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Raise."""
        raise RuntimeError("it does not end")


class BrokenProvider(trace.TracerProvider):
    """Has no tracer."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """Raise."""
        raise RuntimeError("there is no tracer")


def processing(processor: SpanProcessor) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider


@pytest.mark.django_db
@pytest.mark.parametrize(
    "make",
    [
        lambda: processing(Broken()),
        lambda: processing(BrokenAtTheEnd()),
        BrokenProvider,
    ],
    ids=["start", "end", "provider"],
)
def test_errors_of_tracing_fail_neither_push_nor_task_and_are_logged_once(
    make: Callable[[], trace.TracerProvider],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(untraced, "_complained", False)
    with (
        provided(make(), monkeypatch),
        override_settings(TASKS_QUEUE={"EAGER": True}),
        caplog.at_level(logging.WARNING, "leek"),
    ):
        rows = [push_task_to_queue(tasks.add, 1, number) for number in (2, 3)]
    assert [row.result for row in rows] == [3, 4]
    told = [record.getMessage() for record in caplog.records if "Tracing" in record.getMessage()]
    assert len(told) == 1
    assert "RuntimeError" in told[0]
    assert not context.get_current()


@pytest.mark.django_db
def test_an_installation_that_does_not_import_is_no_harm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(untraced, "_complained", False)
    monkeypatch.delitem(sys.modules, "leek.spans", raising=False)
    monkeypatch.delattr("leek.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    tracing._loaded.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "leek"):
            rows = [push_task_to_queue(tasks.noop) for _ in range(2)]
    finally:
        tracing._loaded.cache_clear()
    assert [document_of(row) for row in rows] == [PAYLOAD] * 2
    assert caplog.text.count("Tracing has failed") == 1
