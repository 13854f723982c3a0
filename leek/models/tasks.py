"""The tasks, their indexes, and the sets of them that have a name."""

from collections.abc import Collection
from typing import Any, ClassVar, Protocol

from asgiref.sync import sync_to_async
from django.db import models
from django.utils.translation import gettext_lazy as _

from leek import serializer
from leek.conf import config
from leek.database import ExactCharField, Now, StateIndex, is_of
from leek.exceptions import TaskFailed, TaskNotFinished
from leek.models.base import QueueModel, QueueQuerySet
from leek.models.servers import Servers
from leek.models.states import State, Status


class QueuedTasksQuerySet(QueueQuerySet["QueuedTasks"]):
    """The sets of tasks that have a name."""

    def of_queues(self, queues: Collection[str] | None) -> "QueuedTasksQuerySet":
        """Keep the tasks of queues with these names or patterns; None keeps all."""
        return self if queues is None else self.filter(is_of(self.db, "queue", queues))

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

    def blocked(self) -> "QueuedTasksQuerySet":
        """Keep the tasks that wait at a gate, the next one of each first."""
        return self.filter(state=State.BLOCKED).order_by("blocked_by", "-priority", "id")

    def running(self) -> "QueuedTasksQuerySet":
        """Keep the tasks that a server has claimed."""
        return self.filter(state=State.RUNNING)


class Handles(Protocol):
    """What is done with a task by way of its row.

    It takes moves and talk with servers, which know the tables. So `leek.handles` does it, and the
    app brings the two together.
    """

    def wait(self, row: "QueuedTasks", timeout: float | None) -> None:
        """Wait until a task is finished; raise TimeoutError after so many seconds."""

    async def wait_in_loop(self, row: "QueuedTasks", timeout: float | None) -> None:
        """Do as `wait`, in the running event loop."""

    def retry(self, row: "QueuedTasks") -> bool:
        """Push a failed task back; return whether it was failed."""

    def cancel(self, row: "QueuedTasks") -> bool:
        """Cancel a task that has not ended; return whether it is cancelled, or will be."""


class QueuedTasks(QueueModel):
    """Every pushed task, until it is purged."""

    handles: ClassVar[Handles]

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
    claimed_at = models.DateTimeField(_("claimed at"), null=True)
    owner = models.ForeignKey(
        Servers,
        verbose_name=_("owner"),
        null=True,
        on_delete=models.DO_NOTHING,
        # A constraint would cost a lock on the server's row for each claimed task.
        db_constraint=False,
        db_index=False,
    )
    unique_key = ExactCharField(_("unique key"), max_length=255, null=True, unique=True)
    blocked_by = ExactCharField(_("blocked by"), max_length=255, null=True)
    limited_by = ExactCharField(_("limited by"), max_length=255, null=True)
    progress_done = models.BigIntegerField(_("progress: done"), null=True)
    progress_total = models.BigIntegerField(_("progress: total"), null=True)
    pushed_at = models.DateTimeField(_("pushed at"))

    duplicate = False  # True of what a push returns that found its unique key taken by this task

    objects = QueuedTasksQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        permissions = [
            ("retry_queuedtasks", "Can retry tasks"),
            ("cancel_queuedtasks", "Can cancel tasks"),
            ("run_queuedtasks", "Can have tasks run now"),
        ]
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
    def progress(self) -> tuple[int, int | None] | None:
        """How far the task was when this row was loaded, as (done, total); None if it is not told.

        See `leek.current.progress`; `total` is None where the task does not know it.
        """
        return None if self.progress_done is None else (self.progress_done, self.progress_total)

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
        self.handles.wait(self, timeout)
        return self.result

    async def aresult(self, timeout: float | None = None) -> Any:
        """Do as `wait`, from async code, and keep no thread waiting."""
        await self.handles.wait_in_loop(self, timeout)
        return await sync_to_async(lambda: self.result)()

    def retry(self) -> bool:
        """Push the task back if it has failed, and load the row again; return whether it had.

        It gets its unique key back, too. Where a newer task has taken that, nothing is done, and
        False returned.
        """
        return self.handles.retry(self)

    async def aretry(self) -> bool:
        """Do as `retry`, from async code."""
        return await sync_to_async(self.retry)()

    def cancel(self) -> bool:
        """Cancel the task, and load the row again; return whether it is cancelled, or will be.

        It fails as TaskCancelled: at once if it waits. If it runs, its server is told to stop it,
        which it can do with async tasks and in child processes. False: it had ended, or cannot be
        stopped, or its server cannot be reached.
        """
        return self.handles.cancel(self)

    async def acancel(self) -> bool:
        """Do as `cancel`, from async code."""
        return await sync_to_async(self.cancel)()
