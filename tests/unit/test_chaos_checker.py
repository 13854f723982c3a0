"""The checker of tests.faults.chaos finds each broken promise in a made-up log, and no other."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.chaos.checker import judge
from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.figures import figures_of
from tests.faults.chaos.recovery import ELSEWHERE, RESTARTED, recoveries
from tests.faults.chaos.tables import FAILED, RUNNING, SUCCESSFUL, Count, Row, Stored, Tables

SERVER, OTHER = 10, 11  # processes
WORKER_LOST = "leek.exceptions.WorkerLost"


def clock(at: float) -> datetime:
    """Return the wall clock's time at a time of the log."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at)


@dataclass
class Story:
    """A run of chaos, told by a test."""

    vendor: str = "postgresql"
    lines: list[dict[str, Any]] = field(default_factory=list)
    tables: Tables = field(default_factory=Tables)
    log: str = ""

    def tell(self, what: str, at: float, pid: int = 1, **values: Any) -> None:
        """Add a line of the log."""
        self.lines.append({"what": what, "at": at, "pid": pid, "parent": 1, **values})

    def server(self, pid: int, at: float = 0.0, port: int = 8002) -> None:
        """Start a server."""
        self.tell("launched", at, server=pid, slot=0, port=port)
        self.tell("up", at + 0.5, pid)

    def gone(self, pid: int, at: float, cause: str, code: int = -9) -> None:
        """End a server."""
        self.tell("gone", at, server=pid, cause=cause, code=code)

    def push(self, task: int, tag: str, at: float = 1.0) -> None:
        """Push a task."""
        self.tell("pushed", at, tags={tag: task}, asked_at=at)

    def run(
        self, task: int, tag: str, outcome: str | None = "Success", at: float = 2.0, **claim: int
    ) -> None:
        """Run a task for a tenth of a second."""
        pid = claim.pop("pid", SERVER)
        fence = {"task": task, "owner": 1, "claim": 1, **claim}
        counters = {"tries": fence.pop("tries", 0), "crashes": fence.pop("crashes", 0)}
        self.tell("begun", at, pid, **fence, **counters)
        self.tell("ran", at, pid, task=task, tag=tag)
        if outcome is not None:
            self.end("ended", outcome, at, pid, fence)

    def end(self, what: str, outcome: str, at: float, pid: int, fence: dict[str, int]) -> None:
        """Tell how a run ends that began at this time."""
        times = [clock(at).isoformat(), clock(at + 0.1).isoformat()]
        self.tell(what, at + 0.1, pid, **fence, outcome=outcome, times=times)

    def count(self, task: int, owner: int = 1, claim: int = 1) -> None:
        """Add to the number."""
        self.tables.counts.append(Count(task, owner, claim))
        self.tables = replace(self.tables, number=self.tables.number + 1)

    def store(
        self, task: int, error: str | None = None, at: float = 2.0, **columns: int | None
    ) -> None:
        """Store the outcome of a run that began at this time."""
        state = SUCCESSFUL if error is None else FAILED
        values = {"tries": 1, "crashes": 0, "owner": 1, "claim": 1, **columns}
        self.tables.tasks.append(Row(task, state, **values))  # type: ignore[arg-type]
        outcomes = self.tables.successes if error is None else self.tables.failures
        outcomes.append(Stored(task, clock(at), clock(at + 0.1), error))

    @property
    def evidence(self) -> Evidence:
        """What the checker gets to see."""
        return Evidence(self.vendor, self.lines, self.tables, {"server-0.log": self.log})

    @property
    def verdict(self) -> list[str]:
        """The promises that were broken."""
        return [violation.promise for violation in judge(self.evidence)]


@pytest.fixture
def story() -> Story:
    """Return a story in which a task is pushed, run and succeeds."""
    story = Story()
    story.server(SERVER)
    story.push(1, "quick-0-1")
    story.run(1, "quick-0-1")
    story.store(1)
    return story


@pytest.fixture
def killer() -> Story:
    """Return a story in which a killer takes three servers down, and fails."""
    story = Story()
    story.push(1, "killer-0-1")
    for crashes in range(3):
        pid = SERVER + crashes
        story.server(pid, 2.0 * crashes)
        run = {"owner": 1 + crashes, "crashes": crashes, "pid": pid}
        story.run(1, "killer-0-1", None, at=1 + 2.0 * crashes, **run)
        story.gone(pid, 1.1 + 2.0 * crashes, "")
    story.server(SERVER + 3, 6.0)
    story.store(1, WORKER_LOST, tries=0, crashes=3, owner=None)
    return story


@pytest.fixture
def counter() -> Story:
    """Return a story in which an atomic task counts: a kill hits its first run, not its second."""
    story = Story()
    story.server(SERVER)
    story.server(OTHER, port=8003)
    story.push(1, "count-0-1")
    story.run(1, "count-0-1", None)
    story.gone(SERVER, 2.1, "kill")
    story.run(1, "count-0-1", at=4.0, owner=2, crashes=1, pid=OTHER)
    story.store(1, at=4.0, crashes=1, owner=2)
    story.count(1, owner=2)
    return story


def test_nothing_is_found_in_a_clean_run(story: Story) -> None:
    story.tell("rolled back", 1.0, tags=["quick-0-2"], asked_at=1.0)
    story.log = "2026-01-01 00:00:02,100 WARNING Task 1 failed in 0.1 s\n"
    assert story.verdict == []


def test_a_lost_push_is_found(story: Story) -> None:
    story.push(2, "quick-0-2")
    assert story.verdict == ["an acknowledged push was lost"]


def test_a_rolled_back_push_that_ran_is_found(story: Story) -> None:
    story.tell("rolled back", 1.0, tags=["quick-0-2"], asked_at=1.0)
    story.run(2, "quick-0-2")
    assert story.verdict == ["a push that was rolled back exists"]


def test_a_row_that_nobody_pushed_is_found(story: Story) -> None:
    story.run(2, "quick-0-2")
    story.store(2)
    assert story.verdict == ["a push that was rolled back exists"]


def test_a_push_in_doubt_may_exist_or_not(story: Story) -> None:
    story.tell("fault", 0.9, kind="outage", server=None, amount=1.0)
    story.tell("doubtful", 1.0, tags=["quick-0-2"], asked_at=1.0, error="gone away")
    assert story.verdict == []
    story.run(2, "quick-0-2")
    story.store(2)
    assert story.verdict == []


def test_a_push_that_fails_without_a_fault_is_found(story: Story) -> None:
    story.tell("doubtful", 1.0, tags=["quick-0-2"], asked_at=1.0, error="deadlock")
    assert story.verdict == ["a push failed without reason"]


def test_a_push_that_waits_is_found(story: Story) -> None:
    story.tell("pushed", 9.0, tags={}, asked_at=1.0)
    assert story.verdict == ["a push waited"]


def test_a_task_that_is_not_finished_is_found(story: Story) -> None:
    story.push(2, "quick-0-2")
    story.tables.tasks.append(Row(2, RUNNING, 0, 0, 1, 1))
    assert story.verdict == ["a task is not finished at the end"]


def test_a_second_run_under_a_claim_is_found(story: Story) -> None:
    story.server(OTHER, port=8003)
    story.run(1, "quick-0-1", None, pid=OTHER)
    assert story.verdict == ["a claim was run twice"]


def test_a_run_under_another_claim_is_none(story: Story) -> None:
    story.server(OTHER, port=8003)
    story.run(1, "quick-0-1", owner=2, pid=OTHER)
    assert story.verdict == []


@pytest.mark.parametrize("outcomes", ["successes", "failures"])
def test_a_second_outcome_is_found(story: Story, outcomes: str) -> None:
    error = "ValueError" if outcomes == "failures" else None
    getattr(story.tables, outcomes).append(Stored(1, clock(2.0), clock(2.1), error))
    assert "a task does not have just its one outcome" in story.verdict


def test_a_success_without_its_outcome_is_found(story: Story) -> None:
    story.tables.successes.clear()
    assert story.verdict == ["a task does not have just its one outcome"]


def test_a_success_without_a_run_is_found(story: Story) -> None:
    story.push(2, "quick-0-2")
    story.store(2)
    assert story.verdict == ["a late write was accepted"]


def test_a_late_write_is_found(story: Story) -> None:
    story.server(OTHER, port=8003)
    story.run(1, "quick-0-1", at=4.0, owner=2, claim=7, pid=OTHER)
    story.tables.tasks[0] = replace(story.tables.tasks[0], owner=2, claim=7)
    (violation,) = judge(story.evidence)
    assert str(violation) == (
        "a late write was accepted: task 1 quick-0-1 belongs to owner 2, claim 7, but the stored"
        " outcome is that of owner 1, claim 1"
    )


def test_a_try_too_many_is_found(story: Story) -> None:
    story.tables.tasks[0] = replace(story.tables.tasks[0], tries=2)
    assert story.verdict == ["a task has been tried another number of times than it should"]


def test_a_try_without_the_run_before_it_is_found(story: Story) -> None:
    story.push(2, "flaky-0-2")
    story.run(2, "flaky-0-2", tries=1)
    story.store(2, tries=1)
    assert story.verdict == ["a task has been tried another number of times than it should"]


def test_failed_tries_are_counted(story: Story) -> None:
    story.push(2, "flaky-0-2")
    story.run(2, "flaky-0-2", "Retry")
    story.run(2, "flaky-0-2", at=3.0, tries=1, claim=2)
    story.store(2, at=3.0, tries=2, claim=2)
    assert story.verdict == []


def test_a_task_that_fails_though_it_should_not_is_found(story: Story) -> None:
    story.push(2, "quick-0-2")
    story.run(2, "quick-0-2", "Failure")
    story.store(2, "OSError")
    assert story.verdict == ["a task ended in another way than it should"]


def test_an_atomic_task_that_was_run_twice_counts_once(counter: Story) -> None:
    assert counter.verdict == []


def test_an_atomic_task_that_counts_twice_is_found(counter: Story) -> None:
    counter.count(1)
    assert [str(violation) for violation in judge(counter.evidence)] == [
        "an atomic task did not take effect once: the number is 2, after 1 tasks that count",
        "an atomic task did not take effect once: task 1 count-0-1 counted 2 times:"
        " owner 2, claim 1; owner 1, claim 1",
    ]


def test_an_atomic_task_that_does_not_count_is_found(counter: Story) -> None:
    counter.tables = replace(counter.tables, number=0, counts=[])
    assert counter.verdict == 2 * ["an atomic task did not take effect once"]


def test_an_atomic_task_that_fails_and_counts_is_found(story: Story) -> None:
    story.push(2, "count-0-2")
    story.run(2, "count-0-2", "Failure")
    story.store(2, "OperationalError")
    story.count(2)
    assert story.verdict == [
        *2 * ["an atomic task did not take effect once"],
        "a task ended in another way than it should",
    ]


def test_one_that_counts_twice_is_found_though_another_does_not_count(counter: Story) -> None:
    counter.push(2, "count-0-2")
    counter.run(2, "count-0-2", at=5.0, pid=OTHER)
    counter.store(2, at=5.0)
    counter.count(1)
    assert counter.verdict == 2 * ["an atomic task did not take effect once"]


def test_a_number_that_lacks_what_was_added_is_found(counter: Story) -> None:
    counter.tables = replace(counter.tables, number=0)
    assert counter.verdict == ["an atomic task did not take effect once"]


@pytest.mark.parametrize("outcome", [None, "Undone"])
def test_an_atomic_success_may_be_stored_whose_run_never_knew(
    story: Story, outcome: str | None
) -> None:
    story.push(2, "count-0-2")
    story.run(2, "count-0-2", outcome)
    story.store(2)
    story.count(2)
    assert story.verdict == ["a late write was accepted"]
    story.end("commits", "Success", 2.0, SERVER, {"task": 2, "owner": 1, "claim": 1})
    assert story.verdict == []


def test_a_late_commit_of_an_atomic_task_is_found(counter: Story) -> None:
    zombie = {"task": 1, "owner": 1, "claim": 1}
    counter.end("commits", "Success", 2.0, SERVER, zombie)
    counter.tables.successes[0] = Stored(1, clock(2.0), clock(2.1))
    assert counter.verdict == ["a late write was accepted"]


def test_a_try_of_an_atomic_task_that_a_fault_has_cut_off_is_counted(story: Story) -> None:
    story.push(2, "count-0-2")
    story.run(2, "count-0-2", "Retry")
    story.run(2, "count-0-2", at=3.0, tries=1, claim=2)
    story.store(2, at=3.0, tries=2, claim=2)
    story.count(2, claim=2)
    assert story.verdict == []


def test_a_try_of_an_atomic_task_that_was_refused_is_not_counted(story: Story) -> None:
    story.push(2, "count-0-2")
    story.run(2, "count-0-2", "Retry")
    story.run(2, "count-0-2", at=3.0, claim=2)
    story.store(2, at=3.0, claim=2)
    story.count(2, claim=2)
    assert story.verdict == []


def test_what_is_pushed_until_it_is_acknowledged_is_not_in_doubt(story: Story) -> None:
    story.tell("fault", 0.1, kind="outage", server=None, amount=1.0)
    story.tell("doubtful", 0.5, tags=["quick-0-1"], asked_at=0.5, error="gone away")
    story.tell("doubtful", 0.6, tags=["quick-0-2"], asked_at=0.6, error="gone away")
    story.tell("quiet", 9.0)
    assert figures_of(story.evidence, []).counts["in doubt"] == 1


def test_a_killer_is_known_by_its_tag(killer: Story) -> None:
    assert killer.verdict == []


def test_a_killer_that_runs_too_often_is_found(killer: Story) -> None:
    killer.run(1, "killer-0-1", None, at=6.6, owner=4, crashes=2, pid=SERVER + 3)
    killer.gone(SERVER + 3, 6.7, "")
    assert killer.verdict == ["a killer did not run MAX_CRASHES times"]


def test_a_killer_that_runs_too_seldom_is_found(killer: Story) -> None:
    killer.lines = [line for line in killer.lines if line.get("owner") != 3]
    killer.lines = [line for line in killer.lines if line.get("server") != SERVER + 2]
    assert killer.verdict == ["a killer did not run MAX_CRASHES times"]


def test_a_killer_that_was_given_away_in_the_last_moment_may_run_once_more(killer: Story) -> None:
    killer.run(1, "killer-0-1", None, at=6.6, owner=4, crashes=2, pid=SERVER + 3)
    killer.gone(SERVER + 3, 6.7, "")
    killer.log = 2 * f"The server x 127.0.0.1:8002 (process {SERVER + 3}) is dead: 1 of its tasks\n"
    assert killer.verdict == []


def test_a_killer_whose_claim_a_crash_of_postgresql_forgot_may_run_once_more(
    killer: Story,
) -> None:
    killer.run(1, "killer-0-1", None, at=6.6, owner=4, crashes=2, pid=SERVER + 3)
    killer.gone(SERVER + 3, 6.7, "")
    killer.tell("fault", 7.0, kind="outage", server=None, amount=1.0)
    killer.tell("over", 8.0, kind="outage", server=None)
    killer.vendor = "mysql"
    assert killer.verdict == ["a killer did not run MAX_CRASHES times"]
    killer.vendor = "postgresql"
    assert killer.verdict == []


def test_an_innocent_that_fails_for_killers_is_found(killer: Story) -> None:
    killer.push(2, "slow-0-2")
    for crashes in range(3):
        run = {"owner": 1 + crashes, "crashes": crashes, "pid": SERVER + crashes}
        killer.run(2, "slow-0-2", None, at=1 + 2.0 * crashes, **run)
    killer.store(2, WORKER_LOST, tries=0, crashes=3, owner=None)
    assert killer.verdict == ["a task ended in another way than it should"]


def test_an_innocent_that_faults_have_hit_each_time_had_bad_luck(killer: Story) -> None:
    for line in killer.lines:
        if line["what"] == "gone":
            line["cause"] = "kill"
    killer.lines = [
        line | {"tag": "slow-0-1", "tags": {"slow-0-1": 1}}
        if "tag" in line or "tags" in line
        else line
        for line in killer.lines
    ]
    assert killer.verdict == []


@pytest.mark.parametrize(("killed", "charged", "is_found"), [(0, 1, 1), (1, 4, 0), (1, 5, 1)])
def test_crashes_of_tasks_that_were_not_run_are_found(
    story: Story, killed: int, charged: int, is_found: int
) -> None:
    for task in range(2, 2 + charged):
        story.push(task, f"quick-0-{task}")
        story.run(task, f"quick-0-{task}", at=task)
        story.store(task, at=task, crashes=1)
    if killed:
        story.gone(SERVER, 20.0, "kill", -9)
    assert story.verdict == ["a crash was charged to a task that was not being run"] * is_found


def test_a_server_that_ends_by_itself_is_found(story: Story) -> None:
    story.gone(SERVER, 5.0, "", 1)
    assert story.verdict == ["a server ended by itself"]


@pytest.mark.parametrize(("code", "gone"), [(-9, 3.5), (1, 3.5), (-15, 3.5), (0, 60.0)])
def test_a_stop_that_goes_wrong_is_found(story: Story, code: int, gone: float) -> None:
    story.tell("stop asked", 3.0, server=SERVER)
    story.gone(SERVER, gone, "terminate", code)
    assert story.verdict == ["a server did not stop as asked"]


def test_a_stop_at_the_start_may_end_by_the_signal(story: Story) -> None:
    story.server(OTHER, 3.0)
    story.tell("stop asked", 3.1, server=OTHER)
    story.gone(OTHER, 3.2, "terminate", -15)
    assert story.verdict == []


def test_an_orphan_is_found(story: Story) -> None:
    child = 50
    story.push(2, "slow-0-2")
    story.run(2, "slow-0-2", at=9.0, pid=child)
    story.store(2, at=9.0)
    for line in story.lines:
        if line["pid"] == child:
            line["parent"] = SERVER
    story.gone(SERVER, 5.0, "kill")
    assert story.verdict == ["a run outlived its server"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01 00:00:02,100 ERROR leek's recorder met an error and goes on\nTraceback\n",
        "2026-01-01 00:00:02,100 CRITICAL all is lost\n",
        "Exception in thread leek-worker:\n",
    ],
)
def test_an_unexpected_error_in_a_log_is_found(story: Story, text: str) -> None:
    story.log = text
    assert story.verdict == ["a server logged an error that no fault explains"]


def test_errors_that_faults_explain_are_expected(story: Story) -> None:
    story.log = (
        "2026-01-01 00:00:02,100 ERROR The database fails: gone. Work goes on when it is back.\n"
        "2026-01-01 00:00:02,200 ERROR Task 2 x failed for good in 0.1 s (attempt 3)\nTraceback\n"
    )
    assert story.verdict == []


@pytest.mark.parametrize(
    ("way", "port", "restarted"), [(RESTARTED, 8002, 30.0), (ELSEWHERE, 8003, 30.0)]
)
def test_a_slow_recovery_is_found(story: Story, way: str, port: int, restarted: float) -> None:
    story.push(2, "slow-0-2")
    story.run(2, "slow-0-2", None, at=3.0)
    story.gone(SERVER, 4.0, "kill")
    story.server(OTHER, 4.5, port)
    story.run(2, "slow-0-2", at=restarted, owner=2, crashes=1, pid=OTHER)
    story.store(2, at=restarted, crashes=1, owner=2)
    assert story.verdict == ["recovery took too long"]
    (recovery,) = recoveries(story.evidence)
    assert (recovery.way, recovery.is_undisturbed) == (way, True)
    assert recovery.seconds == pytest.approx(25.0 if way == RESTARTED else 26.0)


def test_a_recovery_that_another_fault_disturbed_is_not_judged(story: Story) -> None:
    story.push(2, "slow-0-2")
    story.run(2, "slow-0-2", None, at=3.0)
    story.gone(SERVER, 4.0, "kill")
    story.server(OTHER, 4.5)
    story.run(2, "slow-0-2", at=30.0, owner=2, crashes=1, pid=OTHER)
    story.store(2, at=30.0, crashes=1, owner=2)
    story.tell("fault", 5.0, kind="freeze", server=OTHER, amount=20.0)
    assert story.verdict == []
