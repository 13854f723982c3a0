"""The page of leek's own benchmark: values beside what they are meant to reach."""

import json

import pytest

from tests.benchmarks.catalogue import NAMES, chosen
from tests.benchmarks.page import Column, as_json, as_markdown
from tests.benchmarks.targets import TARGETS


def test_a_value_is_shown_with_its_target_and_whether_it_is_missed() -> None:
    columns = [
        Column("sqlite", "SQLite", {"drain": 15_000, "latency_p50": 1.501, "steady_rate": 99.4}),
        Column("mysql", "MariaDB", {"drain": 7_999, "latency_p50": 2}, {"purge": "OSError: x"}),
    ]
    assert as_markdown(["2 cores", "Python 3"], columns) == (
        "- 2 cores\n"
        "- Python 3\n"
        "\n"
        "| Figure | SQLite | MariaDB |\n"
        "| --- | --- | --- |\n"
        "| drain, one Worker, /s | 15,000 (≥ 15,000) | **7,999 (≥ 8,000) missed** |\n"
        "| push to start, p50, ms | **1.50 (≤ 1.5) missed** | 2.00 (≤ 2) |\n"
        "| pushes of the steady load, /s | 99.40 |  |\n"
        "\n"
        "- MariaDB, purge: OSError: x\n"
    )


def test_every_figure_is_in_the_json() -> None:
    columns = [Column("sqlite", "SQLite", {"drain": 1.5}, {"purge": "OSError: x"})]
    assert json.loads(as_json(["2 cores"], columns)) == {
        "machine": ["2 cores"],
        "databases": [
            {
                "vendor": "sqlite",
                "title": "SQLite",
                "figures": {"drain": 1.5},
                "failures": {"purge": "OSError: x"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("name", "vendor", "value", "is_reached"),
    [
        ("push_per_create", "sqlite", 0.8, True),
        ("push_per_create", "mysql", 0.79, False),
        ("latency_p99", "sqlite", 3.5, False),
        ("latency_p99", "postgresql", 3.5, True),
        ("steady_rate", "sqlite", 0, True),  # has no target
    ],
)
def test_targets_have_a_side_and_may_differ_by_database(
    name: str, vendor: str, value: float, is_reached: bool
) -> None:
    assert TARGETS[name].is_reached(value, vendor) is is_reached


def test_long_measures_have_to_be_asked_for() -> None:
    long = {"crowded", "growth", "steady", "purge", "pages", "fleet"}
    assert {measure.name for measure in chosen([], everything=False)} == set(NAMES) - long
    assert [measure.name for measure in chosen([], everything=True)] == NAMES
    assert [measure.name for measure in chosen(["purge", "idle"], everything=False)] == [
        "idle",
        "purge",
    ]
