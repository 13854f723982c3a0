"""Tasks of Django's own framework, as a site defines them."""

import os
import signal
from copy import copy
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task

from leek.policy import policy
from tests.site.policies import note
from tests.site.tasks import wait_for


@task
def noop() -> None:
    pass


@task
def add(first: int, second: int = 0) -> int:
    return first + second


@task
async def add_async(first: int, second: int = 0) -> int:
    return first + second


@task
def echo(*args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs]


@task(takes_context=True)
def tell_context(context: TaskContext, *args: Any) -> Any:
    result = context.task_result
    return [context.attempt, result.id, result.status.value, result.worker_ids, list(args)]


@task(takes_context=True)
async def tell_context_async(context: TaskContext, *args: Any) -> Any:
    return [context.attempt, context.task_result.id, list(args)]


@task(takes_context=True)
@policy(max_retries=3, retry_delay=0)
def succeed_at(context: TaskContext, attempt: int) -> int:
    if context.attempt < attempt:
        raise ValueError(f"attempt {context.attempt}")
    return len(context.task_result.errors)


@task
@policy(max_retries=1)
def fail(message: str) -> None:
    raise ValueError(message)


@task
@policy(max_retries=1)
def leave() -> None:
    raise SystemExit("This task leaves")


@task
def return_an_object() -> object:
    return object()


# The contract


@task()
def take_any(*args: Any, **kwargs: Any) -> None:
    """Do nothing, with any arguments."""


@task()
async def take_any_async(*args: Any, **kwargs: Any) -> None:
    """Do as `take_any`, asynchronously."""


class Odd(Exception):
    """An error of the site."""

    class Inner(Exception):
        """One that is defined inside of a class."""


VALUES: dict[str, Any] = {
    "a tuple": (1, ("two", 3.5)),
    "bytes": [b"leek", {"soup": "Gr\u00fcn".encode()}],
    "keys": {1: "one", None: "none", 1.5: "more", b"two": 2},
    "a tag": {"$date": "2026-12-24"},
    "text": "\x00 \U0001f96c \ud800",
    "a large number": 2**70,
    "an object": object(),
    "a function": lambda: True,
    "a set in a list": [{1, 2}],
    "not a number": float("nan"),
    "infinity": [float("-inf")],
    "bytes that are no text": b"\xff",
    "a key that is no text": {(1, 2): "a tuple"},
}


@task
@policy(max_retries=3, retry_delay=0)
def give(name: str) -> Any:
    """Return a value that has a name here."""
    return VALUES[name]


@task
@policy(max_retries=3, retry_delay=0)
async def give_async(name: str) -> Any:
    """Do as `give`, asynchronously."""
    return VALUES[name]


ERRORS: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt("as asked"),
    "error in an error": ValueError(ValueError("as asked")),
    "error of the site": Odd("as asked"),
    "error of a class in a class": Odd.Inner("as asked"),
    "error of several lines": Odd("one\ntwo\n"),
    "error without words": AssertionError(),
    "group of errors": ExceptionGroup("several", [ValueError("as asked"), Odd("as well")]),
}


def _raise(kind: str) -> None:
    if kind == "error with a cause":
        try:
            _raise("error of the site")
        except Odd as cause:
            raise RuntimeError("after that") from cause
    error = copy(ERRORS.get(kind, RuntimeError(kind)))
    if kind == "error with a note":
        error.add_note("It was a Tuesday.")
    raise error


@task
@policy(max_retries=1)
def fail_by(kind: str) -> None:
    """Raise an error of some kind."""
    _raise(kind)


@task
@policy(max_retries=1)
async def fail_async_by(kind: str) -> None:
    """Do as `fail_by`, asynchronously."""
    _raise(kind)


@task(takes_context=True)
@policy(max_retries=3, retry_delay=0)
def fail_always(context: TaskContext) -> None:
    """Fail in each of three attempts."""
    raise (ValueError, KeyError, OSError)[context.attempt - 1](f"attempt {context.attempt}")


@task(takes_context=True)
@policy(max_retries=3, retry_delay=0)
async def succeed_async_at(context: TaskContext, attempt: int) -> int:
    """Do as `succeed_at`, asynchronously."""
    if context.attempt < attempt:
        raise ValueError(f"attempt {context.attempt}")
    return len(context.task_result.errors)


@task
@policy(max_retries=2, retry_delay=3600)
def fail_for_an_hour() -> None:
    """Fail, and be tried again much later."""
    raise ValueError("not yet")


@task
def kill_own_process() -> None:
    """Die as from a crash."""
    os.kill(os.getpid(), signal.SIGKILL)


@task
def wait_at(gate: str) -> str:
    """Say that this has begun, and wait until there is a file."""
    wait_for(gate)
    return "through"


@task
def note_turn(file: str, word: str) -> None:
    """Add a line to a file."""
    note(file, word)


@task(priority=5)
def take_turn(file: str, word: str) -> None:
    """Do as `note_turn`, but sooner."""
    note(file, word)


@task
def enqueue_another(first: int) -> str:
    """Enqueue a task, and return the id of its result."""
    return add.enqueue(first, 1).id


@task
async def enqueue_another_async(first: int) -> str:
    """Do as `enqueue_another`, asynchronously."""
    return (await add.aenqueue(first, 1)).id


def _told(context: TaskContext, *args: Any, **kwargs: Any) -> dict[str, Any]:
    result = context.task_result
    return {
        "class": type(context) is TaskContext,
        "attempt": context.attempt,
        "id": result.id,
        "status": result.status.value,
        "workers": result.worker_ids,
        "errors": [error.exception_class_path for error in result.errors],
        "task": result.task.module_path,
        "times": [str(result.enqueued_at), str(result.started_at), str(result.last_attempted_at)],
        "finished": result.is_finished,
        "result's": [result.args, result.kwargs],
        "own": [args, kwargs],
    }


@task(takes_context=True)
@policy(max_retries=3, retry_delay=0)
def tell(context: TaskContext, attempt: int, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what the context knows at an attempt, and before that fail."""
    if context.attempt < attempt:
        raise Odd(f"attempt {context.attempt}")
    return _told(context, *args, **kwargs)


@task(takes_context=True)
@policy(max_retries=3, retry_delay=0)
async def tell_async(
    context: TaskContext, attempt: int, *args: Any, **kwargs: Any
) -> dict[str, Any]:
    """Do as `tell`, asynchronously."""
    if context.attempt < attempt:
        raise Odd(f"attempt {context.attempt}")
    return _told(context, *args, **kwargs)


@task(takes_context=True)
def look_again(context: TaskContext) -> str:
    """Load the result of this task, and return its status."""
    context.task_result.refresh()
    return context.task_result.status.value


@task(takes_context=True)
async def look_again_async(context: TaskContext) -> str:
    """Do as `look_again`, asynchronously."""
    await context.task_result.arefresh()
    return context.task_result.status.value


@task(takes_context=True)
@policy(max_retries=2, retry_delay=0)
def fail_then_wait_at(context: TaskContext, gate: str) -> None:
    """Fail, and in the second attempt do as `wait_at`."""
    if context.attempt == 1:
        raise Odd("attempt 1")
    wait_for(gate)
