"""The gatekeeper, turn by turn, on a real database: when it may be taken for idle."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from leek.api import push_task_to_queue
from leek.models import QueuedTasks, State
from leek.server.gatekeeper import Gatekeeper
from leek.server.service import Outage
from tests.site.tasks import noop

pytestmark = pytest.mark.django_db


def woken(*, services_work: bool) -> Gatekeeper:
    """Return a gatekeeper that looks at once, and to which all services work or none does."""
    keeper = Gatekeeper(Outage(), None, 1.0, lambda service: services_work, lambda: None)
    keeper.wake()
    return keeper


@pytest.fixture
def gatekeeper() -> Gatekeeper:
    """Return a gatekeeper to which all services are down."""
    return woken(services_work=False)


def block(gate: str) -> None:
    """Have a task wait at a gate."""
    row = push_task_to_queue(noop)
    QueuedTasks.objects.filter(pk=row.pk).update(state=State.BLOCKED, blocked_by=gate)


def answers_during(gatekeeper: Gatekeeper) -> list[bool]:
    """Ask the gatekeeper with each statement of a turn whether more is to be expected."""
    answers: list[bool] = []

    def ask(execute: Callable[..., Any], *statement: Any) -> Any:
        result = execute(*statement)
        answers.append(gatekeeper.expects_more())
        return result

    with connection.execute_wrapper(ask):
        gatekeeper.run_once()
    return answers


def test_more_is_expected_before_the_first_look(gatekeeper: Gatekeeper) -> None:
    assert gatekeeper.expects_more()


def test_more_is_expected_while_it_looks(gatekeeper: Gatekeeper) -> None:
    block("limit:x")
    for _ in range(2):
        assert set(answers_during(gatekeeper)) == {True}


def test_more_is_expected_after_something_went_on() -> None:
    gatekeeper = woken(services_work=True)
    block("smtp")
    gatekeeper.run_once()
    assert QueuedTasks.objects.ready().exists()
    assert gatekeeper.expects_more()


def test_no_more_is_expected_where_a_service_is_down(gatekeeper: Gatekeeper) -> None:
    block("smtp")
    gatekeeper.run_once()
    assert not gatekeeper.expects_more()


def test_news_that_comes_during_a_look_is_not_forgotten(gatekeeper: Gatekeeper) -> None:
    block("smtp")

    def bring_news(execute: Callable[..., Any], *statement: Any) -> Any:
        gatekeeper.look()
        return execute(*statement)

    with connection.execute_wrapper(bring_news):
        gatekeeper.run_once()
    assert gatekeeper.expects_more()
