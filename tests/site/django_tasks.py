"""Tasks of Django's own framework, as a site defines them."""

from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task

from leek.policy import policy


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
