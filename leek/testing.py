"""What tests of a site need: run what was pushed, and look at it. For unittest and pytest alike.

with capture_pushed() as rows:
    self.client.post("/sign-up/", {"name": "Ann"})
assert_pushed(welcome, user.pk)
run_pushed()
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.db.models import Max, Q
from django.utils import timezone

from leek import eager
from leek.conf import config
from leek.exceptions import LeekError
from leek.models import QueuedTasks, QueuedTasksQuerySet, State
from leek.outcome import Failure, Retry
from leek.serializer import dump_task, load_task
from leek.task import Task, path_of, unwrap

MOST_SHOWN = 20  # tasks in the message of a failed assertion
LONGEST_CALL = 500  # characters of each


def run_pushed(
    *,
    queue: str | None = None,
    until_empty: bool = True,
    include_deferred: bool = False,
    raise_errors: bool = False,
) -> list[QueuedTasks]:
    """Run the tasks that are ready, in this process; return their rows as they are then, in order.

    It does for a test what `leek_server` does for the site, also inside the transaction of a
    TestCase, with what production has: the payloads, the outcomes, the next tries. The highest
    priority comes first, then the oldest task. `queue` names the only one to be served.

    The tasks that these tasks push are run as well, unless `until_empty` is False. Those that wait
    for their time, or for their next try, are run if that has come, by this process's clock; with
    `include_deferred` they are not waited for.

    What a task raises stays with its row; with `raise_errors` the first error is recorded, and
    raised as TaskFailed. Limits and required services are not looked at.
    """
    ran: dict[int, QueuedTasks] = {}
    runnable = _until_empty if until_empty else _at_first
    for row in runnable(lambda: _ready(queue, include_deferred)):
        outcome = eager.attempt(row)
        ran[row.pk] = row
        if raise_errors and isinstance(outcome, Failure | Retry):
            raise outcome.error.as_exception()
    return [*ran.values()]


def pushed(a_callable: Callable[..., Any] | None = None) -> list[QueuedTasks]:
    """Return the rows of the tasks pushed so far, finished ones too, or those of one callable."""
    rows = [*QueuedTasks.objects.order_by("pk")]
    if a_callable is None:
        return rows
    path = path_of(unwrap(a_callable))
    return [row for row in rows if row.name == path]


def assert_pushed(a_callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> QueuedTasks:
    """Return the row of the latest task that was pushed with exactly these arguments.

    They are compared as the task gets them, so after they were stored and read again: those of one
    that was enqueued as JSON. Raise AssertionError, naming what was pushed instead.
    """
    path = path_of(unwrap(a_callable))
    wanted = load_task(dump_task(path, args, kwargs, "auto"), "auto")
    for row in reversed(pushed(a_callable)):
        task = _task_of(row)
        if isinstance(task, Task) and _arguments(task) == _arguments(_as_stored(wanted, task)):
            return row
    raise AssertionError(f"{_call(path, wanted)} was not pushed. {_shown(pushed())}")


def assert_not_pushed(a_callable: Callable[..., Any] | None = None) -> None:
    """Raise AssertionError, naming the calls, if this callable was pushed, or any at all."""
    if rows := pushed(a_callable):
        name = "A task" if a_callable is None else path_of(unwrap(a_callable))
        raise AssertionError(f"{name} was pushed. {_shown(rows)}")


@contextmanager
def capture_pushed() -> Iterator[list[QueuedTasks]]:
    """Yield a list that gets the rows of the tasks pushed inside, in order, at the end."""
    rows: list[QueuedTasks] = []
    last = QueuedTasks.objects.aggregate(last=Max("pk"))["last"] or 0
    yield rows
    rows.extend(QueuedTasks.objects.filter(pk__gt=last).order_by("pk"))


_Ready = Callable[[], QueuedTasksQuerySet]


def _ready(queue: str | None, include_deferred: bool) -> QueuedTasksQuerySet:
    """Return what may run now, the next one first."""
    due = Q(state=State.DEFERRED)
    if not include_deferred:
        due &= Q(run_after__lte=timezone.now())
    rows = QueuedTasks.objects.of_queues(None if queue is None else [queue])
    return rows.filter(due | Q(state=State.READY)).order_by("-priority", "id")


def _until_empty(ready: _Ready) -> Iterator[QueuedTasks]:
    while row := ready().first():
        yield row


def _at_first(ready: _Ready) -> Iterator[QueuedTasks]:
    for pk in [*ready().values_list("pk", flat=True)]:
        yield from ready().filter(pk=pk)  # an earlier one may have run or cancelled it


def _task_of(row: QueuedTasks) -> Task | LeekError:
    """Return the task of a row, or why it cannot be read."""
    try:
        return load_task(row.payload, config.SERIALIZER, config.ALIASES)
    except LeekError as error:
        return error


def _arguments(task: Task) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(task.args), dict(task.kwargs)


def _as_stored(wanted: Task, task: Task) -> Task:
    """Return a task with its arguments as they were stored if it came to the queue as another."""
    if task.enqueued is None:
        return wanted
    args = [_as_json(each) for each in wanted.args]
    return replace(wanted, args=args, kwargs={k: _as_json(v) for k, v in wanted.kwargs.items()})


def _as_json(value: Any) -> Any:
    from leek.framework import as_json  # who has enqueued a task has the framework

    try:
        return as_json(value)
    except (TypeError, ValueError):  # it may equal anything, such as ANY
        return value


def _shown(rows: Sequence[QueuedTasks]) -> str:
    """Return the calls of these tasks, the latest if there are many, as lines of a message."""
    if not rows:
        return "Nothing was pushed."
    calls = [f"  task {row.pk}: {_call(row.name, _task_of(row))}" for row in rows[-MOST_SHOWN:]]
    head = f"Pushed were, of {len(rows)} the latest:" if len(rows) > MOST_SHOWN else "Pushed were:"
    return "\n".join([head, *calls])


def _call(path: str, task: Task | LeekError) -> str:
    if not isinstance(task, Task):
        return f"{path}: {task}"
    arguments = [*map(repr, task.args)]
    arguments += [f"{name}={value!r}" for name, value in task.kwargs.items()]
    return f"{path}({', '.join(arguments)})"[:LONGEST_CALL]
