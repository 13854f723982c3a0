"""What Prometheus scrapes."""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client, override_settings
from django.utils import timezone
from prometheus_client import Metric, openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

import leek
from leek import leases, lifecycle
from leek.api import push_many, using
from leek.models import Gates, QueuedTasks, State, Tallies
from leek.tally import BEGINNING, BOUNDS, EVER, HOUR, MINUTE, Slice, Tally
from tests.conftest import StartServer
from tests.site.tasks import noop

TOKEN = "a token that nobody can guess"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
HOUR_AGO = datetime(2026, 11, 28, 14, tzinfo=UTC)

Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(autouse=True)
def is_open() -> Iterator[None]:
    """Let the token open the metrics."""
    with override_settings(TASKS_QUEUE={"HEALTH_TOKEN": TOKEN}):
        yield


def scrape(**headers: str) -> str:
    answer = Client().get("/leek/metrics/", headers=HEADERS | headers)
    assert answer.status_code == 200
    return answer.content.decode()


def samples() -> Samples:
    """Return the values, each by its name and what its labels say."""
    return values_of(text_string_to_metric_families(scrape()))


def openmetrics_families_of(text: str) -> list[Metric]:
    families = openmetrics_parser.text_string_to_metric_families
    return list(families(text))  # type: ignore[no-untyped-call]


def values_of(families: Iterable[Metric]) -> Samples:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.django_db
def test_an_empty_queue_has_metrics() -> None:
    found = samples()
    states = ("waiting", "deferred", "blocked", "running")
    assert {("leek_tasks", (state,)): 0.0 for state in states}.items() <= found.items()
    assert found["leek_servers", ()] == found["leek_workers", ()] == 0.0


@pytest.mark.django_db
def test_unfinished_tasks_are_counted_by_state() -> None:
    push_many([(noop, (), {})] * 5)
    using(run_after=timedelta(hours=1)).push_many([(noop, (), {})] * 2)
    due = using(run_after=timedelta(hours=1)).push(noop)
    blocked, running, done = push_many([(noop, (), {})] * 3)
    QueuedTasks.objects.filter(pk=due.pk).update(run_after=timezone.now() - timedelta(seconds=9))
    for row, state in ((blocked, State.BLOCKED), (running, State.RUNNING), (done, State.FAILED)):
        QueuedTasks.objects.filter(pk=row.pk).update(state=state)
    found = samples()
    assert found["leek_tasks", ("waiting",)] == 6.0
    assert found["leek_tasks", ("deferred",)] == 2.0
    assert found["leek_tasks", ("blocked",)] == 1.0
    assert found["leek_tasks", ("running",)] == 1.0


@pytest.mark.django_db
def test_what_waits_is_told_by_queue() -> None:
    names = ["mail", 'odd "name"\\with{a="b"}, and €']
    for queue in names:
        rows = using(queue=queue).push_many([(noop, (), {})] * 3)
    QueuedTasks.objects.filter(pk=rows[0].pk).update(
        run_after=timezone.now() - timedelta(seconds=90)
    )
    lifecycle.pause("mail")
    lifecycle.pause("empty")
    found = samples()
    assert [found["leek_waiting_tasks", (name,)] for name in (*names, "empty")] == [3, 3, 0]
    assert [found["leek_queue_paused", (name,)] for name in (*names, "empty")] == [1, 0, 1]
    assert found["leek_oldest_waiting_seconds", (names[1],)] >= 90
    assert found["leek_oldest_waiting_seconds", ("mail",)] < 90
    assert found["leek_oldest_waiting_seconds", ("empty",)] == 0


@pytest.mark.django_db
def test_the_living_servers_and_their_workers_are_counted() -> None:
    for seconds in (30, 30, -5):
        leases.register(address="x", port=1, workers=3, queues=None, seconds=seconds)
    found = samples()
    assert (found["leek_servers", ()], found["leek_workers", ()]) == (2.0, 6.0)


@pytest.mark.django_db
def test_services_are_told_of_that_are_down_and_no_limits() -> None:
    now = timezone.now()
    Gates.objects.create(name="smtp", closed_since=now, reason="refused", used_at=now)
    Gates.objects.create(name="cache:default", used_at=now)
    Gates.objects.create(name="limit of shop.tasks.send", capacity=3, used_at=now)
    gates = {labels[0]: value for (name, labels), value in samples().items() if "gate" in name}
    assert gates == {"smtp": 1.0, "cache:default": 0.0}


SEND = Tally(
    succeeded=5,
    retried=2,
    crashed=1,
    failed=2,  # one of them by the crash
    waited=0.5,
    ran=18.0,
    waits=[9, *[0] * len(BOUNDS)],
    runs=[0, 1, *[0] * (len(BOUNDS) - 2), 8],
)


@pytest.mark.django_db
def test_attempts_are_counted_once_each_by_how_they_ended() -> None:
    lifecycle.add_tallies(
        {
            Slice(EVER, BEGINNING, "shop.send"): SEND,
            Slice(HOUR, HOUR_AGO, "shop.send"): SEND,
            Slice(MINUTE, HOUR_AGO, ""): SEND,
        }
    )
    found = samples()
    outcomes = {
        labels: value for (name, labels), value in found.items() if name == "leek_attempts_total"
    }
    assert outcomes == {
        ("success", "shop.send"): 5.0,
        ("retry", "shop.send"): 2.0,
        ("crash", "shop.send"): 1.0,
        ("failure", "shop.send"): 1.0,
    }
    assert sum(outcomes.values()) == SEND.attempts
    assert found["leek_failed_tasks_total", ("shop.send",)] == 2.0


@pytest.mark.django_db
def test_how_long_attempts_waited_and_took_are_histograms() -> None:
    lifecycle.add_tallies({Slice(EVER, BEGINNING, "shop.send"): SEND})
    found = samples()
    buckets = {
        labels[0]: value
        for (name, labels), value in found.items()
        if name == "leek_run_seconds_bucket"
    }
    assert [*map(float, buckets)] == [*BOUNDS, float("inf")]
    assert [*buckets.values()] == [0.0, *[1.0] * (len(BOUNDS) - 1), 9.0]
    assert found["leek_run_seconds_count", ("shop.send",)] == 9.0
    assert found["leek_run_seconds_sum", ("shop.send",)] == 18.0
    assert found["leek_wait_seconds_bucket", ("0.001", "shop.send")] == 9.0
    assert found["leek_wait_seconds_sum", ("shop.send",)] == 0.5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("counts", "expected"),
    [([], 0.0), ([2, 1], 3.0), ([1] * (len(BOUNDS) + 4), len(BOUNDS) + 4.0)],
    ids=["none", "fewer", "more"],
)
def test_another_release_may_have_had_other_bounds(counts: list[int], expected: float) -> None:
    Tallies.objects.create(period=EVER, begins_at=BEGINNING, name="shop.send", runs=counts)
    found = samples()
    assert found["leek_run_seconds_count", ("shop.send",)] == expected
    assert found["leek_wait_seconds_count", ("shop.send",)] == 0.0


@pytest.mark.django_db
def test_the_format_is_the_one_that_is_asked_for() -> None:
    lifecycle.add_tallies({Slice(EVER, BEGINNING, 'shop."send"\n'): SEND})
    accepted = {"Accept": f"{openmetrics.exposition.CONTENT_TYPE_LATEST},text/plain;q=0.5"}
    answer = Client().get("/leek/metrics/", headers=HEADERS | accepted)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    text = answer.content.decode()
    assert text.endswith("# EOF\n")
    assert values_of(openmetrics_families_of(text)) == samples()
    plain = Client().get("/leek/metrics/", headers=HEADERS)
    assert plain.headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.django_db
@pytest.mark.parametrize("version", ["x", "1.x", "", "1..0", "1.0.0.0.0", "99999.0.0"])
def test_an_odd_version_that_is_asked_for_is_no_error(version: str) -> None:
    accepted = f"application/openmetrics-text; version={version}"
    assert "leek_servers" in scrape(Accept=accepted)


@pytest.mark.django_db
def test_the_names_are_those_that_prometheus_asks_for() -> None:
    lifecycle.add_tallies({Slice(EVER, BEGINNING, "shop.send"): SEND})
    for family in openmetrics_families_of(scrape(Accept="application/openmetrics-text")):
        assert family.name.startswith("leek_")
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter", "histogram")
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")


@pytest.mark.django_db
def test_without_the_client_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "leek.metrics", raising=False)
    monkeypatch.delattr(leek, "metrics", raising=False)
    answer = Client().get("/leek/metrics/", headers=HEADERS)
    assert answer.status_code == 501
    assert "pip install django-leek[metrics]" in answer.content.decode()
    assert Client().get("/leek/health/live/", headers=HEADERS).status_code == 200


def test_a_running_server_is_told_of(start_server: StartServer) -> None:
    start_server("--workers", "2")
    found = samples()
    assert (found["leek_servers", ()], found["leek_workers", ()]) == (1.0, 2.0)


@pytest.mark.django_db
def test_the_statements_are_few(django_assert_max_num_queries: object) -> None:
    for number in range(20):
        using(queue=f"queue-{number}", priority=number).push(noop)
        lifecycle.pause(f"queue-{number}")
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        scrape()
