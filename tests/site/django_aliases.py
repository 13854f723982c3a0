"""Tasks of Django's own framework that name other aliases of TASKS than the default one."""

from typing import TYPE_CHECKING

import django

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


@task(backend="other")
def elsewhere(number: int) -> int:
    return number


@task(backend="mail", queue_name="news", priority=3)
def send_news() -> None:
    pass
