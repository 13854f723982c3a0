"""The tables, their indexes, and the sets of rows that have a name."""

import time
from typing import Any, TypeVar

from django.db import models, router
from django.utils.translation import gettext_lazy as _

from leek import serializer
from leek.conf import config
from leek.database import ExactCharField, Now, StateIndex
from leek.exceptions import TaskFailed, TaskNotFinished

Row = TypeVar("Row", bound=models.Model, covariant=True)

FIRST_WAIT, LONGEST_WAIT = 0.001, 0.1  # seconds between two looks of QueuedTasks.wait()


def queue_database() -> str:
    """Return the alias of the database that holds the queue."""
    return config.DATABASE or router.db_for_write(QueuedTasks)


class State(models.IntegerChoices):
    """Where a task is in its life. Only `leek.lifecycle` changes it."""

    READY = 0, _("ready")
    DEFERRED = 1, _("deferred")
    RUNNING = 2, _("running")
    SUCCESSFUL = 3, _("successful")
    FAILED = 4, _("failed")
    BLOCKED = 5, _("blocked")


class Status(models.TextChoices):
    """A task's state in the words of Django's tasks."""

    READY = "READY", _("Ready")
    RUNNING = "RUNNING", _("Running")
    SUCCESSFUL = "SUCCESSFUL", _("Successful")
    FAILED = "FAILED", _("Failed")


class QueueQuerySet(models.QuerySet[Row]):
    """Rows of leek: all of them are in the queue's database."""

    _db: str | None
    _hints: dict[str, Any]

    @property
    def db(self) -> str:
        """The alias that was given to `using`, else where the rows are.

        A router is not asked where to read: a replica may not have yet what was pushed. A row of
        leek is loaded again, with what belongs to it, from where it came.
        """
        origin = self._hints.get("instance")
        loaded_from = origin._state.db if isinstance(origin, QueueModel) else None
        return self._db or loaded_from or queue_database()


class QueueModel(models.Model):
    """What the tables of leek have in common: where their rows are."""

    objects = QueueQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # for refresh_from_db and what refers to a row, too


class Servers(QueueModel):
    """A running `leek_server` and its lease, which lives until `expires_at`.

    `host` tells machines (and containers) apart, `boot` one start from the next.
    """

    boot = models.UUIDField(_("boot"), unique=True)
    host = models.CharField(_("host"), max_length=255)
    hostname = models.CharField(_("host name"), max_length=255)
    address = models.CharField(_("address"), max_length=255)
    port = models.PositiveIntegerField(_("port"))
    pid = models.PositiveIntegerField(_("process id"))
    workers = models.PositiveIntegerField(_("workers"))
    queues = models.JSONField(_("queues"), null=True)
    started_at = models.DateTimeField(_("started at"))
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")

    def __str__(self) -> str:
        return f"{self.hostname} {self.address}:{self.port} (process {self.pid})"


class QueuedTasksQuerySet(QueueQuerySet["QueuedTasks"]):
    """The sets of tasks that have a name."""

    def of_queues(self, queues: list[str] | None) -> "QueuedTasksQuerySet":
        """Keep the tasks of these queues; None keeps all."""
        return self if queues is None else self.filter(queue__in=queues)

    def ready(self) -> "QueuedTasksQuerySet":
        """Keep the tasks that could be claimed, the next one first."""
        return self.filter(state=State.READY).order_by("-priority", "id")

    def deferred(self) -> "QueuedTasksQuerySet":
        """Keep the tasks that wait for their time, the next one first."""
        return self.filter(state=State.DEFERRED).order_by("run_after")

    def due(self) -> "QueuedTasksQuerySet":
        """Keep the deferred tasks whose time has come, by the database's clock."""
        return self.deferred().filter(run_after__lte=Now())

    def suspects(self) -> "QueuedTasksQuerySet":
        """Keep the due tasks that may have killed a process: one at a time is run, alone.

        They are deferred ones that only `leek.lifecycle.claim_suspect` takes.
        """
        return self.due().filter(suspect=True)

    def running(self) -> "QueuedTasksQuerySet":
        """Keep the tasks that a server has claimed."""
        return self.filter(state=State.RUNNING)


class QueuedTasks(QueueModel):
    """Every pushed task, until it is purged."""

    name = models.CharField(_("name"), max_length=255)
    payload = models.TextField(_("payload"))
    queue = models.CharField(_("queue"), max_length=100, default="default")
    priority = models.SmallIntegerField(_("priority"), default=0)
    state = models.PositiveSmallIntegerField(_("state"), choices=State.choices, default=State.READY)
    run_after = models.DateTimeField(_("run after"))
    tries = models.PositiveIntegerField(_("tries"), default=0)
    crashes = models.PositiveIntegerField(_("crashes"), default=0)
    parked_since = models.DateTimeField(_("parked since"), null=True)
    suspect = models.BooleanField(_("suspect"), default=False)
    claim = models.BigIntegerField(_("claim"), default=0)
    owner = models.ForeignKey(
        Servers,
        verbose_name=_("owner"),
        null=True,
        on_delete=models.DO_NOTHING,
        # A constraint would cost a lock on the server's row for each claimed task.
        db_constraint=False,
        db_index=False,
    )
    unique_key = ExactCharField(_("unique key"), max_length=255, null=True, unique=True)  # noqa: DJ001
    blocked_by = ExactCharField(_("blocked by"), max_length=255, null=True)  # noqa: DJ001
    limited_by = ExactCharField(_("limited by"), max_length=255, null=True)  # noqa: DJ001
    progress_done = models.BigIntegerField(_("progress: done"), null=True)
    progress_total = models.BigIntegerField(_("progress: total"), null=True)
    pushed_at = models.DateTimeField(_("pushed at"))

    objects = QueuedTasksQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        indexes = [
            StateIndex(name="leek_ready", fields=["state", "-priority", "id"], state=State.READY),
            StateIndex(
                name="leek_ready_by_queue",
                fields=["state", "queue", "-priority", "id"],
                state=State.READY,
            ),
            StateIndex(name="leek_deferred", fields=["state", "run_after"], state=State.DEFERRED),
            StateIndex(name="leek_running", fields=["state", "owner"], state=State.RUNNING),
            StateIndex(
                name="leek_blocked",
                fields=["state", "blocked_by", "-priority", "id"],
                state=State.BLOCKED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.name}"

    @property
    def status(self) -> Status:
        """Where the task was when this row was loaded."""
        state = State(self.state)
        waits = state in (State.DEFERRED, State.BLOCKED)
        return Status.READY if waits else Status[state.name]

    @property
    def is_finished(self) -> bool:
        """Whether the task had succeeded or failed when this row was loaded."""
        return self.state in (State.SUCCESSFUL, State.FAILED)

    @property
    def result(self) -> Any:
        """What the task returned.

        Raise TaskNotFinished, TaskFailed with the original error, or ResultNotStored.
        """
        if error := self.exception:
            raise error
        if not self.is_finished:
            raise TaskNotFinished(
                f"task {self.pk} ({self.name}) is not finished: its status is {self.status}"
            )
        return serializer.load_value(self.success.result, config.SERIALIZER)

    @property
    def exception(self) -> TaskFailed | None:
        """The error of a failed task, with `type`, `message` and `traceback`; else None."""
        if self.state != State.FAILED:
            return None
        failure = self.failure
        return TaskFailed(failure.exception_type, failure.exception_message, failure.traceback)

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until the task is finished, and return its `result`.

        `timeout` is in seconds, None for no limit; raise TimeoutError when it is over. Inside the
        transaction that pushed the task it cannot finish.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_WAIT
        while not self.is_finished:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"task {self.pk} ({self.name}) was not finished in {timeout} s")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_WAIT)
            self.refresh_from_db(fields=["state", "tries", "crashes"])
        return self.result


class SuccessTasks(QueueModel):
    """The outcome of a task that succeeded."""

    task = models.OneToOneField(
        QueuedTasks,
        verbose_name=_("task"),
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="success",
        # Both rows are written in one transaction, by leek.lifecycle only.
        db_constraint=False,
    )
    result = models.TextField(_("result"), null=True)  # noqa: DJ001 (None is stored as NULL)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        verbose_name = _("successful task")
        verbose_name_plural = _("successful tasks")

    def __str__(self) -> str:
        return str(self.pk)


class FailedTasks(QueueModel):
    """The outcome of a task that failed for good: its last error."""

    task = models.OneToOneField(
        QueuedTasks,
        verbose_name=_("task"),
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="failure",
        db_constraint=False,
    )
    exception_type = models.CharField(_("exception type"), max_length=255)
    exception_message = models.TextField(_("exception message"))
    traceback = models.TextField(_("traceback"))
    unique_key = ExactCharField(_("unique key"), max_length=255, null=True)  # noqa: DJ001
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        verbose_name = _("failed task")
        verbose_name_plural = _("failed tasks")

    def __str__(self) -> str:
        return f"{self.pk} {self.exception_type}"


class FailedAttempts(QueueModel):
    """An attempt that failed, be it that a later one succeeded; the latest of each task are kept.

    `attempt` is its number, from 1.
    """

    task = models.ForeignKey(
        QueuedTasks,
        verbose_name=_("task"),
        on_delete=models.CASCADE,
        related_name="failed_attempts",
        db_constraint=False,
    )
    attempt = models.PositiveIntegerField(_("attempt"))
    exception_type = models.CharField(_("exception type"), max_length=255)
    exception_message = models.TextField(_("exception message"))
    traceback = models.TextField(_("traceback"))
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))

    class Meta:
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")

    def __str__(self) -> str:
        return f"{self.task_id} attempt {self.attempt} {self.exception_type}"


class Gates(QueueModel):
    """What keeps tasks from starting: a service that is down, a limit, or a rate.

    `closed_since` and `reason` tell of an outage. `capacity` is how many tasks may run at a time,
    or start in `period` seconds; `starts` counts these by slices of the period.
    """

    name = ExactCharField(_("name"), max_length=255, unique=True)
    closed_since = models.DateTimeField(_("closed since"), null=True)
    reason = models.TextField(_("reason"), default="")
    capacity = models.PositiveIntegerField(_("capacity"), null=True)
    period = models.FloatField(_("period"), null=True)
    starts = models.JSONField(_("starts"), default=dict)
    used_at = models.DateTimeField(_("used at"))

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")

    def __str__(self) -> str:
        return self.name


class Schedules(QueueModel):
    """A recurring task of the setting SCHEDULE: up to which due time it was pushed, and its task.

    That there is one row for each is what keeps servers from pushing twice for one due time.
    """

    name = ExactCharField(_("name"), max_length=255, unique=True)
    due_at = models.DateTimeField(_("due at"))
    task = models.ForeignKey(
        QueuedTasks,
        verbose_name=_("task"),
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")

    def __str__(self) -> str:
        return self.name
