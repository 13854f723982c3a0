"""Tasks of Django's own framework that name other aliases of TASKS than the default one."""

from typing import TYPE_CHECKING, Any

import django

from leek.policy import policy
from tests.site.django_tasks import Odd

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task


@task(backend="other")
def elsewhere(number: int) -> int:
    return number


@task(backend="mail", queue_name="news", priority=3)
def send_news() -> None:
    pass


@task(backend="labelled")
def label(value: Any) -> Any:
    """Return a value."""
    return value


@task(backend="labelled", takes_context=True)
def fail_labelled(context: TaskContext) -> None:
    """Fail."""
    raise Odd(f"attempt {context.attempt}")


@task(backend="labelled")
@policy(max_retries=1)
def fail_labelled_once() -> None:
    """Fail, but not again."""
    raise Odd("as asked")


@task(backend="plain")
def add_plainly(first: int, second: int = 0) -> int:
    """Return a sum."""
    return first + second
