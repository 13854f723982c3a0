"""Cancelling what a server has claimed."""

from datetime import UTC, datetime

from leek.outcome import CANCELLED, Claimed, Failure, Outcome
from leek.server.backlog import Backlog
from leek.server.cancelling import Cancellations

NOW = datetime(2026, 12, 24, tzinfo=UTC)


class Bench:
    """The tasks of a server, and what became of them."""

    def __init__(self, *waiting: int) -> None:
        self.backlog = Backlog()
        self.backlog.put(
            [
                Claimed(n, "shop.tasks.send", "", 0, 0, 0, NOW, False, 0.0, NOW, 1, 1)
                for n in waiting
            ]
        )
        self.outcomes: list[Outcome] = []
        self.ended: list[int] = []
        self.stopped: list[int] = []
        self.cancellations = Cancellations(
            self.backlog, self.outcomes.append, lambda claimed: self.ended.append(claimed.id)
        )

    def allow(self, task_id: int) -> None:
        """Let a task be cancelled that runs."""
        self.cancellations.allow(task_id, lambda: self.stopped.append(task_id))


def test_what_nobody_has_begun_is_taken_out_of_the_backlog() -> None:
    bench = Bench(1, 2, 3)
    assert bench.cancellations.cancel(2)
    assert [claimed.id for claimed in bench.backlog.drain()] == [1, 3]
    assert bench.backlog.is_done
    (outcome,) = bench.outcomes
    assert isinstance(outcome, Failure)
    assert (outcome.claimed.id, outcome.error.type) == (2, CANCELLED)
    assert outcome.error.message == "cancelled before it began"
    assert bench.ended == [2]


def test_what_is_not_here_is_not_cancelled() -> None:
    bench = Bench(1)
    assert not bench.cancellations.cancel(2)
    assert not bench.cancellations.cancel(0)
    assert bench.outcomes == []


def test_what_goes_back_at_a_stop_is_not_cancelled() -> None:
    bench = Bench(1)
    bench.backlog.end()
    assert not bench.cancellations.cancel(1)
    assert [claimed.id for claimed in bench.backlog.drain()] == [1]


def test_what_runs_is_stopped_if_its_runner_allows_it() -> None:
    bench = Bench()
    bench.allow(1)
    assert bench.cancellations.cancel(1)
    assert bench.cancellations.includes(1)
    assert bench.stopped == [1]
    assert bench.cancellations.end(1)


def test_what_has_ended_is_stopped_no_more() -> None:
    bench = Bench()
    bench.allow(1)
    assert not bench.cancellations.end(1)
    assert not bench.cancellations.cancel(1)
    assert bench.stopped == []


def test_a_task_that_runs_again_is_not_taken_for_cancelled() -> None:
    bench = Bench()
    for was_cancelled in (True, False):
        bench.allow(1)
        if was_cancelled:
            bench.cancellations.cancel(1)
        assert bench.cancellations.end(1) is was_cancelled
