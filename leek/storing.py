"""How new tasks are stored, whoever pushes them, and how they come to be run."""

from collections.abc import Sequence
from typing import Any

from leek import eager, lifecycle
from leek.announcing import announce_pushes
from leek.conf import config
from leek.connections import on_commit_once
from leek.hinting import hint
from leek.models import QueuedTasks, queue_database


def store(values: Sequence[dict[str, Any]]) -> list[QueuedTasks]:
    """Store new tasks, tell the site's receivers of them, and return their rows.

    They are given as `leek.pushing.new_rows` makes them. The row of one whose unique key is taken
    is that of the task that has it, with `duplicate` True.
    """
    if len(values) == 1 and values[0]["unique_key"] is not None:
        rows = [lifecycle.push_unique(values[0])]
    else:
        rows = lifecycle.push(values)
    announce_pushes([row for row in rows if not row.duplicate])
    return rows


def start(rows: Sequence[QueuedTasks]) -> None:
    """Have the server run tasks as soon as they are committed; run them now where EAGER is set."""
    if config.EAGER:
        for row in rows:
            eager.run(row)
    elif rows:
        on_commit_once(queue_database(), hint)


def start_stored(ids: Sequence[int]) -> None:
    """Do as `start` with those of these tasks that are ready."""
    if config.EAGER:
        start(list(QueuedTasks.objects.ready().filter(pk__in=ids)))
    elif ids:
        on_commit_once(queue_database(), hint)
