"""Celery's task that runs leek's, and what Celery's workers tell of themselves."""

import atexit
from contextlib import suppress
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import (
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)

from leek.celery import members
from leek.celery.apps import is_own
from leek.celery.broker import RUN
from leek.connections import forget_closed_connections


@shared_task(name=RUN, ignore_result=True, acks_late=False, max_retries=0, serializer="json")
def run(task_id: int, owner: int, claim: int) -> None:
    """Run the task that a server has claimed, if it is still its claim's.

    Celery's soft time limit ends the wait only, not the task: it goes on.
    """
    forget_closed_connections()  # with which Celery would close the pool that the others come from
    running = members.begin(task_id, owner, claim)
    while not running.over.is_set():
        with suppress(SoftTimeLimitExceeded):
            running.over.wait()
    running.wait()


@worker_init.connect
def begin(sender: Any, **kwargs: Any) -> None:
    """Note the worker; end it where its pool does not suit the only tasks that it has."""
    members.note_worker(sender)
    if is_own(sender.app):
        try:
            members.check_pool()
        except members.UnsuitablePool as error:
            raise SystemExit(str(error)) from None


@worker_process_init.connect
def begin_process(**kwargs: Any) -> None:
    """Rescue what the process left that this one may be to replace."""
    members.rescue_predecessors()


@worker_ready.connect
def begin_work(**kwargs: Any) -> None:
    """Do the same where the worker itself runs the tasks."""
    if not members.has_processes():
        members.rescue_predecessors()


@worker_process_shutdown.connect
@worker_shutdown.connect
def end(**kwargs: Any) -> None:
    """Leave the fleet with the process that ran tasks."""
    members.leave()


atexit.register(members.leave)
