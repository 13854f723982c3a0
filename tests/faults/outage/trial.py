"""Pushes mails before and during an outage of the mail server, and other tasks beside them."""

import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from django.core.mail import send_mail
from django.db.models import QuerySet

from leek.api import push_task_to_queue, using
from leek.models import FailedAttempts, QueuedTasks, State, SuccessTasks
from tests.faults.outage.seen import Costs, Mail, Seen
from tests.faults.outage.sink import Sink
from tests.site.tasks import noop
from tests.support import LeekServer, wait_until

BEFORE = 20  # mails
NOOPS = 5  # mails for each task that does nothing
LASTING, LASTS = 50, 0.2  # mails for each task that takes a while, and how many seconds it takes
FINISHED = (State.SUCCESSFUL, State.FAILED)


def trial(server: LeekServer, sink: Sink, mails: int, seconds: float) -> Seen:
    """Have the mail server away for so many seconds, in which so many mails are pushed."""
    sink.start()
    before = [push_mail(f"before-{number}") for number in range(BEFORE)]
    wait_for_the_end(QueuedTasks.objects.all())
    sink.stop()
    left = time.monotonic()
    meanwhile, others = push_all(mails, seconds)
    wait_until(lambda: QueuedTasks.objects.blocked().count() == mails, "the mails to be blocked")
    wait_for_the_end(QueuedTasks.objects.filter(pk__in=others))
    delays = delays_of(others)
    returned = time.monotonic()
    sink.start()
    wait_for_the_end(QueuedTasks.objects.all())
    return Seen(
        returned - left,
        before,
        meanwhile,
        len(others),
        delays,
        sink.mails,
        [at - returned for at in sink.times if at > returned],
        costs(),
        server.errors,
    )


def push_all(mails: int, seconds: float) -> tuple[list[Mail], list[int]]:
    """Push mails, spread over some time, and others beside them; return the ids of these."""
    began = time.monotonic()
    pushed: list[Mail] = []
    others: list[int] = []
    for number in range(mails):
        time.sleep(max(began + number * seconds / mails - time.monotonic(), 0))
        pushed.append(push_mail(f"meanwhile-{number}"))
        if number % NOOPS == 0:
            others.append(push_task_to_queue(noop).pk)
        if number % LASTING == 0:
            others.append(push_task_to_queue(time.sleep, LASTS).pk)
    return pushed, others


def push_mail(name: str) -> Mail:
    """Push a mail that is like no other one."""
    mail = Mail(
        f"{name}@example.com", f"Über {name}", f"Dear {name},\n.net is a word.\n\nYours, Zoë\n"
    )
    requiring = using(requires=["smtp"])
    requiring.push(send_mail, mail.subject, mail.body, "shop@example.com", [mail.to])
    return mail


def wait_for_the_end(tasks: "QuerySet[QueuedTasks]") -> None:
    """Wait until these tasks are finished, as long as some of them still end."""
    unfinished = tasks.exclude(state__in=FINISHED)
    with suppress(AssertionError):
        while left := unfinished.count():
            wait_until(partial(is_less, unfinished, left))


def is_less(tasks: "QuerySet[QueuedTasks]", number: int) -> bool:
    """Tell whether there are fewer tasks than so many."""
    return tasks.count() < number


def delays_of(tasks: Iterable[int]) -> list[float]:
    """Return the seconds from push to start of those of these tasks that have succeeded."""
    pushed = dict(QueuedTasks.objects.filter(pk__in=tasks).values_list("pk", "pushed_at"))
    started = SuccessTasks.objects.filter(task__in=tasks).values_list("task_id", "started_at")
    return [(at - pushed[task]).total_seconds() for task, at in started]


def costs() -> Costs:
    """Return what all that was pushed has cost."""
    finished = QueuedTasks.objects.filter(state__in=FINISHED)
    return Costs(
        QueuedTasks.objects.exclude(state__in=FINISHED).count(),
        finished.filter(state=State.FAILED).count(),
        finished.exclude(tries=1, crashes=0).count(),
        FailedAttempts.objects.count(),
    )
