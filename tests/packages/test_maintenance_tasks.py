"""django-maintenance-tasks: backfills in batches, each batch a task that enqueues the next."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from maintenance_tasks import runner
from maintenance_tasks.models import Run

from tests.packages.conftest import Start
from tests.packages.site.maintenance_tasks import BackfillLater
from tests.packages.site.models import Note, Post
from tests.support import LeekServer, wait_until
from tests.support import run as run_command

BACKFILLS = "tests.packages.site.maintenance_tasks"
TITLES = [f"Leek number {number}" for number in range(7)]
SLUGS = [f"leek-number-{number}" for number in range(7)]


@pytest.fixture(autouse=True)
def posts(transactional_db: None) -> None:
    """Write posts without slugs."""
    Post.objects.bulk_create([Post(title=title) for title in TITLES])


def slugs() -> list[str]:
    """Return the slugs of all posts."""
    return [*Post.objects.order_by("pk").values_list("slug", flat=True)]


def wait_for_status(run: Run, status: str) -> Run:
    """Wait until the package says that a run has this status, and return the run."""

    def reached() -> bool:
        run.refresh_from_db()
        return bool(run.status == status)

    wait_until(reached, f"{status}: {run}")
    return run


def test_a_run_started_in_the_admin_goes_through_all_batches(
    server: LeekServer, staff: Client
) -> None:
    form = {"task_name": f"{BACKFILLS}.BackfillSlugs", "arguments": "{}"}
    staff.post(reverse("admin:maintenance_tasks_run_start"), form)

    run = wait_for_status(Run.objects.get(), "succeeded")

    assert slugs() == SLUGS
    assert (run.tick_count, run.tick_total, run.started_by.username) == (7, 7, "staff")
    assert run.generation == 3  # a batch of two is a task of its own: three were enqueued by tasks
    page = staff.get(reverse("admin:maintenance_tasks_run_changelist"))
    assert "7 / 7 (100%)" in page.content.decode()


@pytest.mark.any_database
def test_a_throttled_run_goes_on_after_its_backoff(server: LeekServer) -> None:
    run = runner.start(f"{BACKFILLS}.BackfillLater")

    wait_for_status(run, "succeeded")

    assert slugs() == SLUGS
    assert run.ended_at - run.started_at >= timedelta(seconds=BackfillLater.throttle_backoff)


@pytest.mark.any_database
def test_a_run_that_backs_off_leaves_the_worker_to_others(server: LeekServer) -> None:
    throttled = runner.start(f"{BACKFILLS}.BackfillTomorrow")
    wait_until(lambda: Run.objects.filter(pk=throttled.pk, generation=1).exists(), "the backoff")

    run = runner.start(f"{BACKFILLS}.BackfillSlugs")

    wait_for_status(run, "succeeded")
    assert wait_for_status(throttled, "enqueued").tick_count == 0


@pytest.mark.any_database
def test_a_run_is_paused_between_batches_and_resumed_where_it_was(
    server: LeekServer, gate: Path
) -> None:
    arguments = {"wait_at": TITLES[2], "gate": str(gate)}
    run = runner.start(f"{BACKFILLS}.BackfillSlugs", arguments)
    wait_until(Path(f"{gate}.begun").exists, "the second batch")
    runner.pause(run)
    gate.touch()

    assert wait_for_status(run, "paused").tick_count == 4
    runner.resume(run)

    assert wait_for_status(run, "succeeded").tick_count == 7
    assert slugs() == SLUGS
    assert Note.objects.count() == 7  # none was done twice


@pytest.mark.logs_errors  # the package does
@pytest.mark.any_database
def test_a_run_that_raises_is_errored_at_the_post_before(server: LeekServer) -> None:
    run = runner.start(f"{BACKFILLS}.BackfillSlugs", {"fail_at": TITLES[3]})

    wait_for_status(run, "errored")

    assert (run.error_class, run.error_message) == ("builtins.ValueError", TITLES[3])
    assert slugs() == [*SLUGS[:3], "", "", "", ""]


def test_a_run_whose_worker_was_killed_is_recovered_from_its_last_batch(
    start: Start, gate: Path
) -> None:
    arguments = {"wait_at": TITLES[4], "gate": str(gate)}
    server = start()
    run = runner.start(f"{BACKFILLS}.BackfillSlugs", arguments)
    wait_until(Path(f"{gate}.begun").exists, "the third batch")
    server.kill()
    gate.touch()
    start()

    answer = run_command("maintenance_tasks", "recover")

    assert answer == f"Recovered {run.task_name} #{run.pk} (enqueued).\n"
    assert wait_for_status(run, "succeeded").tick_count == 7
    assert slugs() == SLUGS
