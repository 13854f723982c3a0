"""Tasks of Django's framework that die, or whose server does: what their results tell."""

from pathlib import Path
from typing import Any

import pytest

from leek.models import QueuedTasks
from tests.conftest import StartServer
from tests.integration.backend.outcomes import errors_of, finished
from tests.site import django_policies
from tests.site.models import Runs
from tests.support import run, wait_until

pytestmark = pytest.mark.logs_errors

site: Any = django_policies

LOST = "leek.exceptions.WorkerLost"


@pytest.mark.parametrize(
    ("declared", "isolate"),
    [(site.die, False), (site.die, True), (site.die_slowly, False)],
    ids=["sync", "isolate", "async"],
)
def test_a_task_that_kills_its_process_fails_as_lost(
    start_server: StartServer, declared: Any, *, isolate: bool
) -> None:
    killer = declared.enqueue("killer")
    options = ["--isolate"] if isolate else []
    server = start_server(*options, wait=False, TESTS_ENDS="1")
    servers = 1
    if not isolate:
        assert server.wait() == -9
        servers = 2
        server = start_server(TESTS_ENDS="1")
    assert finished(killer).status == "FAILED"
    assert errors_of(killer) == [LOST] * 3
    assert "(crash 3 of 3)" in killer.errors[2].traceback
    assert killer.attempts == Runs.objects.filter(tag__startswith="killer").count() == 3
    assert len(set(killer.worker_ids)) == servers
    assert killer.started_at <= killer.last_attempted_at <= killer.finished_at
    row = QueuedTasks.objects.get(pk=killer.id)
    assert (row.crashes, row.tries) == (3, 0)
    other = finished(site.record.enqueue("other"))
    assert other.return_value == "other"
    assert server.terminate() == 0
    ends = Runs.objects.filter(tag__startswith="end of").order_by("pk")
    assert [end.tag for end in ends] == [
        f"end of {killer.id} FAILED 3 {LOST}",
        f"end of {other.id} SUCCESSFUL 1",
    ]


def test_a_task_whose_server_is_killed_runs_again_elsewhere(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    result = site.wait_at_first.enqueue(str(tmp_path / "gate"))
    wait_until((tmp_path / "gate.begun").exists)
    result.refresh()
    assert (result.status, result.attempts) == ("RUNNING", 1)
    (former,) = result.worker_ids
    began = result.started_at
    server.kill()
    result.refresh()
    assert result.status == "RUNNING"
    start_server()
    attempt, worker_ids, errors = finished(result).return_value
    assert (attempt, errors) == (2, [LOST])
    assert worker_ids == result.worker_ids
    assert worker_ids[0] == former != worker_ids[1]
    assert errors_of(result) == [LOST]
    assert result.last_attempted_at > result.started_at
    assert result.started_at == began


def test_a_killer_is_pushed_back_with_clean_counters(start_server: StartServer) -> None:
    start_server("--isolate", LEEK_MAX_CRASHES="1")
    killer = finished(site.die.enqueue("killer"))
    assert (killer.attempts, errors_of(killer)) == (1, [LOST])
    run("leek_retry_failed", killer.id)
    wait_until(lambda: Runs.objects.filter(tag="killer").count() == 2, "the second crash")
    assert (finished(killer).attempts, errors_of(killer)) == (1, [LOST])


def test_a_suspect_that_is_cleared_alone_has_all_its_attempts(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--workers", "2")
    gate = tmp_path / "gate"
    innocent = site.wait_at_first.enqueue(str(gate))
    wait_until((tmp_path / "gate.begun").exists)
    killer = site.die.enqueue("killer")
    assert server.wait() == -9
    start_server("--workers", "2")
    assert finished(killer).status == "FAILED"
    assert finished(innocent).return_value[0] == 2
    assert (innocent.attempts, errors_of(innocent)) == (2, [LOST])
