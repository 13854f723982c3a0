"""The site's tasks."""

from datetime import timedelta
from typing import Any

import overseer
from django.tasks import task
from django_scheduled_tasks import periodic_task

from tests.packages.site.models import Note
from tests.site.tasks import wait_for


@task
def add(first: int, second: int) -> int:
    """Return a sum."""
    return first + second


@task(queue_name="mail", priority=10)
def greet(name: str, *, greeting: str = "Hello") -> str:
    """Leave a greeting."""
    return Note.objects.create(text=f"{greeting}, {name}").text


@task
def divide(first: int, second: int) -> float:
    """Return a quotient."""
    return first / second


@task
def hold(gate: str) -> None:
    """Run until the file `gate` is there."""
    wait_for(gate)


@overseer.task(retries=2, backoff="constant", backoff_base=0.2, jitter=False)
def charge_card(order: int) -> str:
    """Fail until two earlier attempts have left their notes."""
    text = f"order {order}"
    attempt = Note.objects.filter(text=text).count() + 1
    Note.objects.create(text=text)
    if attempt < 3:
        raise ConnectionError(f"attempt {attempt}")
    return f"charged at attempt {attempt}"


@overseer.task(unique=True, queue_name="mail", tags=("mail",))
def send_receipt(address: str) -> None:
    """Leave a note of a receipt."""
    Note.objects.create(text=f"receipt to {address}")


@overseer.task(takes_context=True)
def tell(context: Any, question: str) -> list[object]:
    """Return what the context knows."""
    return [question, context.attempt, context.task_result.status]


@overseer.schedule(every=1, name="refresh-rates")
@task
def refresh_rates() -> None:
    """Leave a note of new rates."""
    Note.objects.create(text="rates")


@periodic_task(interval=timedelta(hours=2), call_args=("Monday",))
@task
def report(day: str) -> str:
    """Leave a note of a report."""
    return Note.objects.create(text=f"report of {day}").text
