"""What becomes of these tests where there is no broker."""

from pathlib import Path

import pytest

from tests.support import ROOT, python

NO_PROGRAMS = "import shutil\nshutil.which = lambda *arguments, **options: None\n"
A_TEST = "tests/brokers/test_losses.py::test_a_push_takes_place_while_the_broker_is_away"

pytestmark = [pytest.mark.any_database, pytest.mark.any_version]


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine without the programs of brokers."""
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil\nshutil.which = lambda *a, **b: None\n"
    )
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}"}


def test_who_does_not_ask_for_them_gets_none_and_the_run_says_so() -> None:
    done = python("-m", "pytest", A_TEST, TESTS_BROKERS="")
    assert done.returncode == 0, done.stdout
    assert "Tests with Celery were left out. Skipped: TESTS_BROKERS=required runs" in done.stdout


def test_where_brokers_are_required_they_fail_without(nowhere: dict[str, str]) -> None:
    done = python("-m", "pytest", A_TEST, TESTS_BROKERS="required", **nowhere)
    assert done.returncode == 1
    assert "redis-server on this machine" in done.stdout
