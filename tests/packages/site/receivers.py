"""What the site does about failures."""

from typing import Any

from tests.packages.site.models import Note


def connect() -> None:
    """Have the site told of failures."""
    from tasks_monitor.signals import task_failed

    task_failed.connect(alert)


def alert(record: Any, **_: Any) -> None:
    """Leave a note of a failure."""
    Note.objects.create(text=f"{record.task_name} failed: {record.exception_class}")
