"""How long the admin's pages take, with many tasks."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from statistics import median

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leek import lifecycle
from leek.models import QueuedTasks
from leek.tally import ALL_NAMES, HOUR, MINUTE, Slice, Tally, beginning_of
from tests.benchmarks.sizes import Sizes
from tests.many_rows import add_deferred, add_failed, add_finished, add_ready, analyze

TIMES = 5
NEWEST = 100  # rows, as many as a page shows
LIST, LIVE = "admin:leek_queuedtasks_changelist", "admin:leek_live"
NAMES = 50  # of tasks that were counted in the last day
# A page of the admin: its figure, the name of its address, and what follows that.
PAGES = [
    ("page_list", LIST, ""),
    ("page_third", LIST, "?p=3"),
    ("page_waiting", LIST, "?state=waiting"),
    ("page_failed", LIST, "?state=failed"),
    ("page_finished", LIST, "?state=finished"),
    ("page_queue", LIST, "?queue=default"),
    ("page_exception", LIST, "?exception=ValueError"),
    ("page_hour", LIST, "?pushed=hour"),
    ("page_combined", LIST, "?state=successful&name=tests.site.tasks.noop&pushed=day"),
    ("page_search", LIST, "?q=noop"),
    ("page_nothing", LIST, "?q=nothing"),
    ("page_live", LIVE, ""),
    ("page_live_part", LIVE, "?fragment=1"),
]


def pages(sizes: Sizes) -> dict[str, float]:
    """Return the milliseconds of each page, the most statements of one, and a ratio.

    The ratio is the time of the list beside that of the newest rows as the ORM loads them.
    """
    share = sizes.listed // 200
    add_finished(160 * share)
    add_failed(share)
    add_deferred(10 * share)
    add_ready(29 * share)
    count_for_a_day()
    analyze()
    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        figures, statements = {}, []
        for figure, name, query in PAGES:
            address = reverse(name) + query
            with CaptureQueriesContext(connection) as made:
                answer = client.get(address)
            assert answer.status_code == 200, address
            statements.append(len(made))
            figures[figure] = _milliseconds(partial(client.get, address))
    bare = _milliseconds(lambda: list(QueuedTasks.objects.order_by("-pk")[:NEWEST]))
    ratio = figures["page_list"] / bare
    return figures | {"page_statements": max(statements), "page_per_rows": ratio}


def count_for_a_day() -> None:
    """Have what servers count in a day in which there were attempts of many names."""
    now, tally = timezone.now(), Tally(succeeded=60, failed=3, waited=1.0, ran=9.0)
    tally.waits[2] = tally.runs[5] = tally.succeeded + tally.failed
    hours, minutes = range(24), range(24 * 60)
    lifecycle.add_tallies(
        {
            Slice(MINUTE, beginning_of(MINUTE, now - timedelta(minutes=ago)), ALL_NAMES): tally
            for ago in minutes
        }
        | {
            Slice(HOUR, beginning_of(HOUR, now - timedelta(hours=ago)), f"shop.tasks.{name}"): tally
            for ago in hours
            for name in range(NAMES)
        }
    )


def _milliseconds(act: Callable[[], object]) -> float:
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return median(seconds) * 1000
