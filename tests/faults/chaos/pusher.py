"""A process that pushes as scheduled.

    python -m tests.faults.chaos.pusher SEED NUMBER SECONDS COUNT PLACES

Where something is broken, its name stands for the seed. It logs what was acknowledged, what was
rolled back, and what the database left in doubt.
"""

import json
import logging
import os
import sys
import time
from datetime import timedelta

import django
from django import db

from tests.faults.chaos import log, schedule
from tests.faults.chaos.schedule import Push

PAUSE = 0.5  # seconds before something is pushed again


class RolledBack(Exception):
    """Ends a transaction without its commit."""


def main() -> None:
    """Push all that is scheduled, each thing at its time."""
    seed, number, seconds, count, places = sys.argv[1:]
    django.setup()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    began = time.monotonic()
    for push in planned(seed, int(number), float(seconds), int(count)):
        time.sleep(max(began + push.at - time.monotonic(), 0))
        host, port = json.loads(places)[push.hints]
        os.environ |= {"LEEK_TASKS_HOST": host, "LEEK_TASKS_PORT": str(port)}
        while not do(push) and push.until_acknowledged:
            time.sleep(PAUSE)


def planned(seed: str, number: int, seconds: float, count: int) -> list[Push]:
    """Return what this pusher is to push; the first one also pushes what only one should."""
    if seed in schedule.TRAPS:
        return schedule.trapped(seed) if number == 0 else []
    own = schedule.pushes(int(seed), number, seconds)
    counts = schedule.counts(count, seconds) if number == 0 else []
    return sorted([*own, *counts], key=lambda push: push.at)


def do(push: Push) -> bool:
    """Push some tasks, log what became of that, and return whether it was acknowledged."""
    tags = [tag for tag, _ in push.tasks]
    asked_at = time.monotonic()
    try:
        ids = store(push)
    except RolledBack:
        log.write("rolled back", tags=tags, asked_at=asked_at)
    except db.Error as error:
        what = "rolled back" if push.way == "roll back" else "doubtful"
        log.write(what, tags=tags, asked_at=asked_at, error=f"{type(error).__name__}: {error}")
        db.connection.close()
    else:
        log.write("pushed", tags=dict(zip(tags, ids, strict=True)), asked_at=asked_at)
        return True
    return False


def store(push: Push) -> list[int]:
    """Push some tasks in this way, and return their ids."""
    from leek.api import push_many
    from tests.faults.chaos.tasks import BY_KIND

    if push.way == "many":
        rows = push_many([(BY_KIND[kind_of(tag)], (tag, value), {}) for tag, value in push.tasks])
        return [row.pk for row in rows]
    if push.way == "one":
        return [push_one(*task) for task in push.tasks]
    with db.transaction.atomic():
        ids = [push_one(*task) for task in push.tasks]
        if push.way == "roll back":
            raise RolledBack
    return ids


def push_one(tag: str, value: float | str) -> int:
    """Push one task, for later if that is its kind, and return its id."""
    from leek.api import push_task_to_queue, using
    from tests.faults.chaos.tasks import BY_KIND

    if kind_of(tag) == "later":
        return (
            using(run_after=timedelta(seconds=float(value))).push(BY_KIND["later"], tag, value).pk
        )
    return push_task_to_queue(BY_KIND[kind_of(tag)], tag, value).pk


def kind_of(tag: str) -> str:
    """Return the kind of a task."""
    return tag.partition("-")[0]


if __name__ == "__main__":
    main()
