"""leek's pages in an admin beside Django's own, and in a site without USE_TZ."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.test import Client, override_settings
from django.urls import path, reverse

from leek import leases, lifecycle
from leek.admin import FailedTasksAdmin, QueuedTasksAdmin
from leek.api import push_task_to_queue, using
from leek.models import FailedTasks, QueuedTasks, Servers
from tests.site import tasks
from tests.support import finish

office = admin.AdminSite(name="office")
for model, its_admin in list(admin.site._registry.items()):
    office.register(model, type(its_admin))

archive = admin.AdminSite(name="archive")  # has some of leek's models
archive.register(FailedTasks, FailedTasksAdmin)
desk = admin.AdminSite(name="desk")
desk.register(QueuedTasks, QueuedTasksAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("office/", office.urls),
    path("archive/", archive.urls),
    path("desk/", desk.urls),
]
LISTS = ["queuedtasks", "successtasks", "failedtasks", "failedattempts"]
SECOND_ADMIN = {"ROOT_URLCONF": __name__}


@pytest.fixture
def ids(db: None) -> dict[str, int]:
    """Have what `fill` makes; return its ids."""
    return fill()


def fill() -> dict[str, int]:
    """Have a task in each of some states, and a server that runs one; return their ids."""
    (successful,) = finish([push_task_to_queue(tasks.noop)])
    (failed,) = finish([push_task_to_queue(tasks.add, 1, 2)], "ValueError")
    running = push_task_to_queue(tasks.noop).pk
    row = leases.register(address="127.0.0.1", port=1, workers=2, queues=None, seconds=300)
    lifecycle.claim(row.pk, 1, 10, None)
    now = datetime.now(UTC).isoformat()
    Servers.objects.filter(pk=row.pk).update(running={str(running): now})
    lifecycle.note_outage("smtp", "ConnectionRefusedError")
    deferred = using(run_after=timedelta(days=1)).push(tasks.noop).pk
    waiting = push_task_to_queue(tasks.noop).pk
    blocked = push_task_to_queue(tasks.noop).pk
    QueuedTasks.objects.filter(pk=blocked).update(blocked_by="smtp")
    return {
        "successful": successful,
        "failed": failed,
        "running": running,
        "deferred": deferred,
        "waiting": waiting,
        "blocked": blocked,
    }


def pages(site: str, ids: dict[str, int]) -> list[str]:
    """Return the addresses of the live page, the lists, and the page of each task."""
    names = ["live", *(f"{name}_changelist" for name in LISTS)]
    of_tasks = [
        reverse("admin:leek_queuedtasks_change", args=[pk], current_app=site) for pk in ids.values()
    ]
    return [*(reverse(f"admin:leek_{name}", current_app=site) for name in names), *of_tasks]


@pytest.mark.parametrize("site", ["office", "admin"])
def test_the_pages_of_an_admin_lead_to_its_own_pages(
    admin_client: Client, ids: dict[str, int], site: str
) -> None:
    """Whoever comes by one admin stays in it."""
    with override_settings(**SECOND_ADMIN):
        for page in pages(site, ids):
            text = admin_client.get(page).content.decode()
            linked = set(re.findall(r'(?:href|action|data-address)="(/[a-z]+/)', text))
            assert linked - {"/static/"} == {f"/{site}/"}, page


@pytest.mark.parametrize("site", ["office", "admin"])
def test_what_is_done_in_an_admin_leads_back_to_it(
    admin_client: Client, ids: dict[str, int], site: str
) -> None:
    """The question of an action, the list after a purge, and the live page after a pause."""
    with override_settings(**SECOND_ADMIN):
        task = reverse("admin:leek_queuedtasks_change", args=[ids["failed"]], current_app=site)
        said = {"action": "purge_tasks", "_selected_action": ids["failed"], "from_page": 1}
        question = admin_client.post(task, said).content.decode()
        assert set(re.findall(r'href="(/[a-z]+/)', question)) - {"/static/"} == {f"/{site}/"}
        answer = admin_client.post(task, {**said, "post": "yes"})
        assert answer["Location"] == f"/{site}/leek/queuedtasks/"
        live = reverse("admin:leek_live", current_app=site)
        assert admin_client.post(live, {"pause": "mail"})["Location"] == live


@pytest.mark.parametrize(
    "page",
    [
        "archive/leek/",
        "archive/leek/failedtasks/",
        "desk/leek/",
        "desk/leek/queuedtasks/",
        "desk/leek/queuedtasks/live/",
        "desk/leek/queuedtasks/{failed}/change/",
        "desk/leek/queuedtasks/{blocked}/change/",
    ],
)
def test_an_admin_may_have_some_of_the_models(
    admin_client: Client, ids: dict[str, int], page: str
) -> None:
    """What it does not have, it does not link."""
    with override_settings(**SECOND_ADMIN):
        answer = admin_client.get("/" + page.format(**ids))
        assert answer.status_code == 200
        site, _, _ = page.partition("/")
        linked = set(re.findall(r'href="(/[a-z]+/)', answer.content.decode()))
        assert linked - {"/static/"} == {f"/{site}/"}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_all_pages_are_there_in_a_site_that_stores_local_times(
    admin_client: Client, zone: str
) -> None:
    """USE_TZ is off."""
    with override_settings(USE_TZ=False, TIME_ZONE=zone):
        for page in pages("admin", fill()):
            assert admin_client.get(page).status_code == 200, page
