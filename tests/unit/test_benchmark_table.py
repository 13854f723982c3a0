"""The pure parts of the benchmark of peers: percentiles, cells, remarks and tables."""

from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.nodes import entry, strong, system_message, tbody

from tests.benchmarks.peers import report, table
from tests.benchmarks.peers.catalogue import Variant, variants
from tests.benchmarks.peers.figures import Figures, Limits


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.99, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([float(value) for value in range(101)], 0.99, 99.0),
        ([0.0, 100.0], 0.99, 99.0),
    ],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert table.percentile(values, share) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (99.6, "100"), (9.87, "9.9"), (0.0, "0.0")]
)
def test_a_rate_has_the_digits_that_mean_something(value: float, text: str) -> None:
    assert table.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1_234.5, "1,234"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23")]
)
def test_milliseconds_have_the_digits_that_mean_something(value: float, text: str) -> None:
    assert table.milliseconds(value) == text


def figures(drain: float, *latencies: float) -> Figures:
    return Figures(rates={"drain": drain, "push": 20.0}, latencies=list(latencies))


def test_cells_are_medians_of_rates_and_percentiles_of_all_latencies() -> None:
    rounds = [figures(100, 1.0, 2.0), figures(900, 3.0), figures(300)]
    assert table.cells(rounds) == ["300", "20", "", "2.00", "2.98"]


def test_a_failed_round_does_not_spoil_the_others() -> None:
    assert table.cells([Figures(failed="no server"), figures(50, 4.0)])[0] == "50"


def test_what_failed_in_all_rounds_has_no_figures() -> None:
    assert table.cells([Figures(failed="no server")]) == ["failed", "", "", "", ""]
    assert table.bare_cells([Figures(failed="no server")]) == ["failed", "", "", ""]


def test_the_overview_has_both_set_ups_and_latencies_as_installed() -> None:
    installed, best = [figures(100, 1.0)], [figures(300, 9.0)]
    assert table.overview_cells(installed, best) == ["100", "300", "20", "20", "1.00", "1.00"]
    assert table.overview_cells((), best) == ["", "300", "", "20", "", ""]


def test_the_overview_begins_with_the_fastest_queue() -> None:
    slow, fast = variants(["sqlite/huey"]), variants(["sqlite/leek"])
    rounds = {variant: [figures(100 + number)] for number, variant in enumerate([*slow, *fast])}
    found = publish_doctree(report.page(["2 cores"], rounds, table.rst))
    cells = [cell.astext() for cell in next(iter(found.findall(tbody))).findall(entry)]
    assert cells[:4] == ["leek", "sqlite", "102", "103"]
    assert cells[8:12] == ["huey", "sqlite", "100", "101"]


def test_a_database_alone_has_its_own_rates() -> None:
    alone = Figures(rates={"create": 500.0, "commit": 2_000.0, "bulk": 9_000.0}, latencies=[0.05])
    assert table.bare_cells([alone]) == ["500", "2,000", "9,000", "0.05"]


def test_remarks_tell_failures_once_and_how_few_the_pushes_were() -> None:
    odd = Figures(rates={"push": 9.0}, latencies=[1.0] * 40, remarks=["2 pushes failed: locked"])
    rounds = [odd, odd, Figures(failed="no server")]
    assert table.remarks(rounds) == [
        "2 pushes failed: locked",
        "failed in 1 of 3 rounds: no server",
        "latency of 80 pushes only",
    ]


def test_a_long_reason_is_cut_to_one_line() -> None:
    assert table.one_line("refused:\n\tno  server") == "refused: no server"
    assert table.one_line("x" * 300) == "x" * 200 + "..."


def test_the_rst_table_is_one_for_docutils() -> None:
    rows = [["leek", "12,345", ""], ["django-tasks-db", "failed", "1.5"]]
    tree = publish_doctree(table.rst(("Queue", "Drained/s", "p50 ms"), rows))
    cells = [cell.astext() for cell in tree.findall(entry)]
    assert cells == ["Queue", "Drained/s", "p50 ms", *rows[0], *rows[1]]
    assert not list(tree.findall(system_message))


def test_the_markdown_table() -> None:
    assert table.markdown(("Queue", "p50 ms"), [["leek", "1.5"]]).splitlines() == [
        "| Queue | p50 ms |",
        "| --- | --- |",
        "| leek | 1.5 |",
    ]


def test_figures_cross_by_a_file(tmp_path: Path) -> None:
    found = figures(100, 1.0)
    found.write(tmp_path / "figures.json")
    assert Figures.read(tmp_path / "figures.json") == found


def test_a_measurement_is_given_up_in_time() -> None:
    assert Limits(tasks=1, pushes=1, seconds=5).in_all == 40


def test_each_set_up_has_a_name_of_its_own_and_says_what_it_is() -> None:
    everything = variants([])
    assert len({variant.key for variant in everything}) == len(everything)
    assert all(variant.notes for variant in everything)


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["sqlite/leek"], ["sqlite/leek/installed", "sqlite/leek/best"]),
        (["sqlite/leek/best", "rq"], ["sqlite/leek/best", "redis/rq/installed", "redis/rq/best"]),
        (["sqlite/lee"], []),
    ],
)
def test_only_takes_parts_and_beginnings_of_names(names: list[str], keys: list[str]) -> None:
    assert [variant.key for variant in variants(names)] == keys


def test_the_page_has_a_table_and_notes_for_each_database() -> None:
    rounds: dict[Variant, list[Figures]] = {
        variant: [Figures(failed="no server " * 9)] for variant in variants(["best"])
    }
    tree = publish_doctree(report.page(["2 cores"], rounds, table.rst))
    assert not list(tree.findall(system_message))
    assert [text.astext() for text in tree.findall(strong)] == [
        "sqlite",
        "postgresql",
        "mariadb",
        "redis",
    ]
