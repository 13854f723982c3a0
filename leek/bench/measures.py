"""The measures: how fast things are done, and how soon."""

import time
from collections.abc import Callable
from statistics import median, quantiles

from django.utils import timezone

from leek import client
from leek.api import push_many, push_task_to_queue
from leek.bench.figures import BLOCKS, ROUNDS, Plan
from leek.bench.serving import HOST
from leek.bench.tasks import noop
from leek.conf import config
from leek.models import QueuedTasks, State, SuccessTasks
from leek.serializer import dump_task

NAME = f"{noop.__module__}.{noop.__qualname__}"
PAUSE = 0.01  # seconds between two looks at the server, which each keep it busy
IDLE = 0.03  # seconds that a server needs to be idle again after a task

Tick = Callable[[int], None]  # told how much was done meanwhile; raises to end it all


class Measures:
    """Measures at a server that runs what this process pushes.

    Nothing but the server's socket is asked how far it is until it is done: on SQLite who reads
    keeps it waiting.
    """

    def __init__(self, alias: str, plan: Plan, port: int, tick: Tick) -> None:
        self._alias = alias
        self._plan = plan
        self._port = port
        self._tick = tick
        self._pushed = 0
        self._payload = dump_task(NAME, (), {}, config.SERIALIZER)

    def while_at_work(self) -> dict[str, float]:
        """Return how often a second a task is pushed while the Worker runs those before."""
        return self._in_turns({"push_at_work": self._push}, self.await_rest)

    def alone(self) -> dict[str, float]:
        """Return how often a second a row is changed, created, and pushed; the Worker is off."""
        client.command("stop-worker", host=HOST, port=self._port)
        row = self._finished_row()
        row.save(using=self._alias)
        return self._in_turns(
            {"commit": lambda: self._change(row), "create": self._create, "push": self._push},
            lambda: None,
        )

    def _in_turns(
        self, actions: dict[str, Callable[[], object]], before_each: Callable[[], None]
    ) -> dict[str, float]:
        rates: dict[str, list[float]] = {name: [] for name in actions}
        for action in actions.values():
            action()  # for what is done only once
        for _ in range(BLOCKS):
            for name, action in actions.items():
                before_each()
                rates[name].append(self._rate(self._plan.block, action))
        return {name: median(found) for name, found in rates.items()}

    def in_bulk(self) -> dict[str, float]:
        """Return how many rows a second are created and pushed at once, and then drained."""
        rates: dict[str, list[float]] = {"bulk_create": [], "push_many": [], "drain": []}
        for _ in range(ROUNDS):
            for name, action in (
                ("bulk_create", self._bulk_create),
                ("push_many", self.push_many),
                ("drain", self.await_rest),
            ):
                began = time.perf_counter()
                action()
                rates[name].append(self._plan.tasks / (time.perf_counter() - began))
                self._tick(self._plan.tasks)
        return {name: median(found) for name, found in rates.items()}

    def latencies(self) -> list[float]:
        """Return the milliseconds from each push to an idle server to the start of its task."""
        pushed = {}
        for _ in range(self._plan.pushes):
            row = self._push()
            pushed[row.pk] = row.pushed_at
            time.sleep(IDLE)
            self.await_rest()
            self._tick(1)
        started = SuccessTasks.objects.filter(pk__gte=min(pushed)).values_list("pk", "started_at")
        return [(at - pushed[task_id]).total_seconds() * 1000 for task_id, at in started]

    def _rate(self, times: int, action: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(times):
            action()
            self._tick(0)
        rate = times / (time.perf_counter() - began)
        self._tick(times)
        return rate

    def _change(self, row: QueuedTasks) -> None:
        row.claim += 1  # what is not changed costs SQLite nothing
        QueuedTasks.objects.using(self._alias).filter(pk=row.pk).update(claim=row.claim)

    def _finished_row(self) -> QueuedTasks:
        """Return a row like a pushed one, which no server takes."""
        now = timezone.now()
        return QueuedTasks(
            name=NAME,
            payload=self._payload,
            state=State.SUCCESSFUL,
            run_after=now,
            pushed_at=now,
        )

    def _create(self) -> None:
        self._finished_row().save(using=self._alias, force_insert=True)

    def _bulk_create(self) -> None:
        rows = [self._finished_row() for _ in range(self._plan.tasks)]
        QueuedTasks.objects.using(self._alias).bulk_create(rows)

    def _push(self) -> QueuedTasks:
        self._pushed += 1
        return push_task_to_queue(noop)

    def push_many(self) -> None:
        """Push as many tasks at once as are planned."""
        self._pushed += self._plan.tasks
        push_many([(noop, (), {})] * self._plan.tasks)

    def await_rest(self) -> None:
        """Wait until all that was pushed is run, and stored."""
        self.await_handled(self._pushed)
        tasks = QueuedTasks.objects.using(self._alias)
        while tasks.ready().exists() or tasks.running().exists():
            self._pause()

    def await_handled(self, number: int) -> None:
        """Wait until so many attempts have ended since the server's start."""
        while int(client.ask("handled", host=HOST, port=self._port).value) < number:
            self._pause()

    def _pause(self) -> None:
        time.sleep(PAUSE)
        self._tick(0)


def percentiles(values: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    several = values if len(values) > 1 else values * 2
    cuts = quantiles(several, n=100, method="inclusive")
    return cuts[49], cuts[98]
