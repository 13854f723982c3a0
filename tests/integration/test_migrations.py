"""While a new release is brought out, servers and sites of the last one use the new tables."""

from uuid import uuid4

import pytest
from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from leek import models
from leek.models import QueuedTasks

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["0001_initial", "0002_policies", "0003_who_ran_it"])
def former(request: pytest.FixtureRequest) -> Apps:
    """Return the models as a former release has them."""
    state = MigrationLoader(connection).project_state(("leek", request.param))
    return state.apps


def test_a_former_server_registers(former: Apps) -> None:
    now = timezone.now()
    server = former.get_model("leek", "Servers").objects.create(
        boot=uuid4(),
        host="here",
        hostname="here",
        address="127.0.0.1",
        port=8002,
        pid=1,
        workers=1,
        started_at=now,
        expires_at=now,
    )
    assert models.Servers.objects.get().pk == server.pk
    assert models.Servers.objects.get().running == {}


def test_a_former_site_pushes(former: Apps) -> None:
    now = timezone.now()
    task = former.get_model("leek", "QueuedTasks").objects.create(
        name="shop.tasks.send", payload="", run_after=now, pushed_at=now
    )
    assert QueuedTasks.objects.ready().get().pk == task.pk


def test_a_former_server_stores_outcomes(former: Apps) -> None:
    now = timezone.now()
    task = QueuedTasks.objects.create(name="s.send", payload="", run_after=now, pushed_at=now)
    end = {"task_id": task.pk, "started_at": now, "finished_at": now}
    former.get_model("leek", "SuccessTasks").objects.create(**end)
    former.get_model("leek", "FailedTasks").objects.create(
        **end, exception_type="ValueError", exception_message="", traceback=""
    )
    assert task.success.finished_at == task.failure.finished_at == now
