"""Tasks of Django's own framework that say how leek is to run them."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task

from leek.current import current_task
from leek.policy import policy
from tests.site import tasks
from tests.site.policies import at_once, gate_is_open, note

TAKES_KEYWORDS = not (6, 0) <= django.VERSION < (6, 1)  # the decorator, for the backend's own class


def task_with(*, takes_context: bool = False, **options: Any) -> Callable[..., Any]:
    """Return a decorator that declares a task with leek's options, as each Django can."""
    declare: Any = task  # whose stubs know nothing of options
    if TAKES_KEYWORDS:
        return declare(takes_context=takes_context, **options)  # type: ignore[no-any-return]
    return lambda function: declare(takes_context=takes_context)(function).using(**options)


class Refused(Exception):
    """What nothing helps against."""


def by_user(user_id: int, *args: Any, **kwargs: Any) -> int:
    """Return what tasks are counted by."""
    return user_id


@task_with(max_retries=2, retry_delay=0)
def fail_twice() -> None:
    raise ValueError("as asked")


@task_with(max_retries=3, retry_delay=[0, 0])
def fail_until(marker: str, tries: int) -> int:
    return tasks.fail_until(marker, tries)


@task_with(max_retries=4, retry_delay=at_once, retry_on=[OSError], give_up_on=Refused)
def particular(name: str) -> None:
    raise {"os": FileNotFoundError, "value": ValueError, "refused": Refused}[name](name)


@task_with(timeout=0.2, max_retries=1)
def hurried() -> None:
    tasks.count_for_ever()


@task_with(timeout=0.2, max_retries=1, takes_context=True)
def hurried_in_context(context: TaskContext) -> None:
    tasks.count_for_ever()


@task_with(timeout=0.2, max_retries=1, takes_context=True)
async def hurried_slowly(context: TaskContext) -> None:
    await asyncio.Event().wait()


@task_with(atomic=True, max_retries=1)
def write_and_fail(tag: str) -> None:
    tasks.record_and_fail(tag)


@task_with(atomic=True, takes_context=True, max_retries=2, retry_delay=0)
def write_at(context: TaskContext, attempt: int, tag: str) -> int:
    tasks.record(f"{tag} {context.attempt}")
    if context.attempt < attempt:
        raise ValueError(context.attempt)
    return len(context.task_result.errors)


@task_with(atomic=True, takes_context=True, max_retries=2, retry_delay=0)
async def write_slowly_at(context: TaskContext, attempt: int, tag: str) -> int:
    await tasks.record_slowly(f"{tag} {context.attempt}")
    if context.attempt < attempt:
        raise ValueError(context.attempt)
    return len(context.task_result.errors)


@task_with(requires=["tcp:127.0.0.1:9", gate_is_open])
def needy() -> None:
    """Need two services."""


@task_with(requires=[gate_is_open], takes_context=True)
def behind_the_gate(context: TaskContext) -> int:
    return context.attempt


@task_with(limit=1, key=by_user, takes_context=True)
def one_for_each_user(context: TaskContext, user_id: int, log: str) -> int:
    return _stay(context, user_id, log)


@task_with(limit=1, key=by_user, takes_context=True)
async def one_for_each_user_slowly(context: TaskContext, user_id: int, log: str) -> int:
    note(log, user_id, "begins", time.time())
    await asyncio.sleep(0.02)
    note(log, user_id, "ends", time.time())
    return context.attempt


@task(takes_context=True)
@policy(limit=1, key=by_user)
def one_for_each_user_by_policy(context: TaskContext, user_id: int, log: str) -> int:
    return _stay(context, user_id, log)


def _stay(context: TaskContext, user_id: int, log: str) -> int:
    note(log, user_id, "begins", time.time())
    time.sleep(0.02)
    note(log, user_id, "ends", time.time())
    return context.attempt


@task_with(rate="1000/s", key="of several", limit=5)
def now_and_then() -> None:
    """Be one of few."""


@task(backend="any")
@policy(queue="mail", priority=7, max_retries=1, timeout=30)
def by_policy() -> dict[str, Any]:
    return tasks.tell_of_itself()


@task(queue_name="default", priority=1)
@policy(priority=7)
def with_own_priority() -> None:
    """Have a priority that wins over that of the policy."""


@task
def tell() -> dict[str, Any]:
    return tasks.tell_of_itself()


@task
@policy(timeout=20)
def tell_by_policy() -> dict[str, Any]:
    return tasks.tell_of_itself()


@task_with(timeout=10)
@policy(timeout=20)
def tell_by_task() -> dict[str, Any]:
    return tasks.tell_of_itself()


@task
def die(tag: str) -> None:
    tasks.record_and_die(tag)


@task(takes_context=True)
async def die_slowly(context: TaskContext, tag: str) -> None:
    await tasks.record_and_die_slowly(f"{tag} {context.attempt}")


@task(takes_context=True)
def wait_at_first(context: TaskContext, gate: str) -> Any:
    """Run until the file `gate` is there at the first attempt; then tell of the attempts."""
    tasks.wait_for(gate) if context.attempt == 1 else None
    result = context.task_result
    paths = [error.exception_class_path for error in result.errors]
    return [context.attempt, result.worker_ids, paths]


@task
async def never_end(gate: str) -> None:
    await tasks.never_end(gate)


@task
def wait_for(gate: str) -> None:
    tasks.wait_for(gate)


@task
def record(tag: str) -> str:
    tasks.record(tag)
    return tag


@task
def push_and_enqueue(number: int) -> int:
    """Enqueue this task again for each lower number."""
    if number:
        push_and_enqueue.enqueue(number - 1)
    return number


def plain(number: int) -> int:
    """Be a plain function, and a task by another name."""
    return number + 1


planned = task()(plain)


@task
def known_as(name: str) -> str:
    running = current_task()
    assert running
    return f"{name} as {running.name}"


@task_with(limit=1, key=by_user)
def counted(user_id: int, marker: str) -> int:
    """Be counted by its user."""
    Path(marker).touch()
    return os.getpid()
