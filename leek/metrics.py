"""What Prometheus scrapes: the figures of the whole queue, so that any web process gives the same.

It needs the package prometheus-client, which the extra `metrics` brings.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from leek import queue_figures
from leek.database import Now, counts
from leek.figures import QueueFigures
from leek.models import Gates, QueuedTasks, Servers, Tallies
from leek.tally import BEGINNING, BOUNDS, COLUMNS, EVER, Tally

MOST_GATES = 1000  # that are told of

_LIMITS = [*(f"{bound}" for bound in BOUNDS), "+Inf"]


def exposition(accepted: str) -> tuple[bytes, str]:
    """Return the metrics, and which format they have: the one that a header Accept asks for."""
    try:
        encode, kind = choose_encoder(accepted)
    except (TypeError, ValueError):  # it names a version that is none
        encode, kind = choose_encoder("")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(QueueCollector())
    return encode(registry), kind


class QueueCollector(Collector):
    """Reads the figures from the database, each time that it is asked."""

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        yield from _of_tasks()
        yield from _of_servers()
        yield _gates()
        yield from _of_attempts()


def _of_tasks() -> Iterator[Metric]:
    tasks = QueuedTasks.objects
    later = tasks.deferred().filter(run_after__gt=Now())
    due, deferred, blocked, running = counts([tasks.due(), later, tasks.blocked(), tasks.running()])
    waits = queue_figures.read(due, quickly=True)
    by_state = GaugeMetricFamily("leek_tasks", "Unfinished tasks.", labels=["state"])
    by_state.add_metric(["waiting"], waits.ready + due)
    by_state.add_metric(["deferred"], deferred)
    by_state.add_metric(["blocked"], blocked)
    by_state.add_metric(["running"], running)
    yield by_state
    yield from _of_queues(waits.queues)


def _of_queues(queues: Sequence[QueueFigures]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "leek_waiting_tasks", "Due tasks of a queue that nobody runs yet.", labels=["queue"]
    )
    oldest = GaugeMetricFamily(
        "leek_oldest_waiting_seconds",
        "How long the longest waiting task of a queue has been due.",
        labels=["queue"],
    )
    paused = GaugeMetricFamily("leek_queue_paused", "Whether a queue is paused.", labels=["queue"])
    for queue in queues:
        waiting.add_metric([queue.name], queue.waiting)
        oldest.add_metric([queue.name], queue.oldest_waiting or 0.0)
        paused.add_metric([queue.name], queue.paused_since is not None)
    yield from (waiting, oldest, paused)


def _of_servers() -> Iterator[Metric]:
    alive = Servers.objects.filter(expires_at__gte=Now())
    found = list(alive.values_list("port", "workers"))
    servers, workers = sum(port > 0 for port, _ in found), sum(number for _, number in found)
    yield GaugeMetricFamily("leek_servers", "Servers whose lease lives.", value=servers)
    yield GaugeMetricFamily("leek_workers", "Workers of these, or Celery's.", value=workers)


def _gates() -> Metric:
    """Tell of services that tasks require; limits and rates are no gates that close."""
    family = GaugeMetricFamily(
        "leek_gate_closed", "Whether a service is down, so that its tasks wait.", labels=["gate"]
    )
    services = Gates.objects.filter(capacity=None).order_by("name")
    for name, closed_since in services.values_list("name", "closed_since")[:MOST_GATES]:
        family.add_metric([name], closed_since is not None)
    return family


def _of_attempts() -> Iterator[Metric]:
    tallies = _tallies()
    attempts = CounterMetricFamily(
        "leek_attempts", "Attempts that ended, by how.", labels=["task", "outcome"]
    )
    for name, tally in tallies.items():
        for outcome, number in _outcomes(tally).items():
            attempts.add_metric([name, outcome], number)
    failed = CounterMetricFamily(
        "leek_failed_tasks", "Tasks that failed for good.", labels=["task"]
    )
    for name, tally in tallies.items():
        failed.add_metric([name], tally.failed)
    waits = _histogram(
        "leek_wait_seconds",
        "How long tasks had been due when an attempt began.",
        tallies,
        lambda tally: (tally.waits, tally.waited),
    )
    runs = _histogram(
        "leek_run_seconds",
        "How long attempts took.",
        tallies,
        lambda tally: (tally.runs, tally.ran),
    )
    yield from (attempts, failed, waits, runs)


def _tallies() -> dict[str, Tally]:
    """Return what the servers have counted since ever, by the name of the task."""
    rows = Tallies.objects.filter(period=EVER, begins_at=BEGINNING).order_by("name")
    return {name: Tally(*counts) for name, *counts in rows.values_list("name", *COLUMNS)}


def _outcomes(tally: Tally) -> dict[str, int]:
    """Return each attempt once: the last crash of a task is a crash, and no failure as well."""
    others = tally.succeeded + tally.retried + tally.crashed
    return {
        "success": tally.succeeded,
        "retry": tally.retried,
        "crash": tally.crashed,
        "failure": max(tally.attempts - others, 0),
    }


def _histogram(
    name: str,
    text: str,
    tallies: dict[str, Tally],
    part: Callable[[Tally], tuple[Sequence[int], float]],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["task"])
    for task, tally in tallies.items():
        counts, seconds = part(tally)
        family.add_metric([task], [*zip(_LIMITS, _cumulated(counts), strict=True)], seconds)
    return family


def _cumulated(counts: Sequence[int]) -> list[int]:
    """Count up to each bound; those of another release may have had fewer bounds, or more."""
    known = len(BOUNDS)
    padded = [*counts[:known], *[0] * (known - len(counts)), sum(counts[known:])]
    return [*accumulate(padded)]
