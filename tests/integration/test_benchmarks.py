"""The benchmark of leek's own figures, at sizes at which they mean nothing."""

import json
from pathlib import Path

import pytest
from django.db import connection

from tests.benchmarks.catalogue import MEASURES
from tests.benchmarks.targets import TARGETS
from tests.support import free_port, python

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_version]

SMALL = {
    "tasks": 40,
    "pushes": 5,
    "idle-seconds": 0.1,
    "starts": 1,
    "delayed": 20,
    "delayed-seconds": 0.1,
    "sleepers": 16,
    "finished": 100,
    "deferred": 10,
    "many": 10_000,
    "rate": 50,
    "steady-seconds": 0.2,
    "purged": 100,
    "listed": 600,
    "fleet-seconds": 0.02,
    "fleet-rounds": 1,
    "repeats": 2,
    "cost-seconds": 0.1,
}
SIZES = [f"--{name}={size}" for name, size in SMALL.items()]


def test_every_measure_gives_its_figures(tmp_path: Path) -> None:
    long = [measure.name for measure in MEASURES if measure.is_long]
    figures = figures_of(tmp_path) | figures_of(tmp_path, "--only", *long)
    assert set(figures) == set(TARGETS)
    assert all(value >= 0 for name, value in figures.items() if name != "growth")
    assert figures["start"] > 0
    assert figures["sleepers"] >= 1


def figures_of(folder: Path, *arguments: str) -> dict[str, float]:
    """Measure at these sizes, and return what was found."""
    markdown, as_json = folder / "page.md", folder / "page.json"
    files = [f"--markdown={markdown}", f"--json={as_json}"]
    done = python("-m", "tests.benchmarks", *arguments, *SIZES, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{markdown.read_text()}\n"
    (found,) = json.loads(as_json.read_text())["databases"]
    assert found["failures"] == {}
    assert found["vendor"] == connection.vendor
    figures: dict[str, float] = found["figures"]
    return figures


def test_a_database_that_is_not_there_is_said() -> None:
    missing = f"postgres://127.0.0.1:{free_port()}/missing"
    done = python("-m", "tests.benchmarks", "--only", "calibrate", f"--database={missing}")
    assert "the process: exit code 1" in done.stdout


def test_a_drain_is_profiled_by_thread() -> None:
    done = python("-m", "tests.benchmarks", "--profile", "--tasks=50")
    assert done.returncode == 0, done.stderr
    for name in ("leek-worker", "leek-recorder", "leek-dispatcher"):
        assert name in done.stdout
    assert done.stdout.count("function calls") == 3
