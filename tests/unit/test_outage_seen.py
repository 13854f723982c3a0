"""What an outage of the mail server may cost is told by name."""

from dataclasses import replace

import pytest

from tests.faults.outage.seen import Costs, Mail, Seen

FIRST, SECOND = (Mail(f"{name}@example.com", name, f"Dear {name}") for name in ("ann", "bob"))
FINE = Seen(
    away=120.0,
    before=[FIRST],
    meanwhile=[SECOND],
    others=2,
    delays=[0.001, 0.003],
    delivered=[FIRST, SECOND],
    arrivals=[0.5],
    costs=Costs(unfinished=0, failed=0, tried_again=0, noted=0),
    errors=[],
)


def test_nothing_is_wrong_where_each_mail_was_delivered_once() -> None:
    assert FINE.problems == []
    assert str(FINE).splitlines() == [
        "The mail server was away for 120.0 s",
        "Mails: 1 pushed before, 1 meanwhile, 2 delivered in the end",
        "Other tasks: 2 of 2 run meanwhile, from push to start 2.0 ms (p50), 3.0 ms (max)",
        "Back: the first mail came after 0.50 s, the last after 0.50 s",
        "Failed tasks: 0; failed attempts: 0; tasks that needed more than their first try: 0",
        "Each mail was delivered once",
    ]


@pytest.mark.parametrize(
    ("costs", "problem"),
    [
        (Costs(1, 0, 0, 0), "1 tasks are not finished"),
        (Costs(0, 1, 0, 0), "1 tasks have failed"),
        (Costs(0, 0, 1, 0), "1 tasks were not done at their first try"),
        (Costs(0, 0, 0, 1), "1 failed attempts were noted"),
    ],
)
def test_each_cost_is_told(costs: Costs, problem: str) -> None:
    assert replace(FINE, costs=costs).problems == [problem]


LOST, WRONG = (
    "1 mails were not delivered as they were pushed",
    "1 mails were delivered twice, or were not pushed so",
)


@pytest.mark.parametrize(
    ("delivered", "problems"),
    [
        ([FIRST], [LOST]),
        ([FIRST, SECOND, SECOND], [WRONG]),
        ([FIRST, SECOND._replace(body="Dear")], [LOST, WRONG]),
        ([FIRST, SECOND._replace(subject="")], [LOST, WRONG]),
        ([FIRST, SECOND._replace(to="a@example.com")], [LOST, WRONG]),
    ],
)
def test_a_mail_that_is_lost_doubled_or_altered_is_told(
    delivered: list[Mail], problems: list[str]
) -> None:
    assert replace(FINE, delivered=delivered).problems == problems


def test_other_tasks_that_were_held_up_are_told() -> None:
    assert replace(FINE, delays=[0.1]).problems == ["1 other tasks were not run meanwhile"]


def test_errors_in_the_log_are_told() -> None:
    seen = replace(FINE, errors=["ERROR all is lost"])
    assert seen.problems == ["In the log: ERROR all is lost"]
    assert str(seen).endswith("In the log: ERROR all is lost\nFAILED")
