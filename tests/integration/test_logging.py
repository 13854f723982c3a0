"""What the log tells of tasks, in every place where one runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leek.api import push_task_to_queue
from leek.context import request_id
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.any_database

# A site whose formatters use what leek adds, for all loggers.
SETTINGS = """
from tests.settings import *

FORMAT = "%(name)s|%(leek_task_id)s|%(leek_task_name)s|%(leek_attempt)s|%(leek_request_id)s|"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"tasks": {"format": FORMAT + "%(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "tasks"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
"""

in_every_place = pytest.mark.parametrize(
    "arguments", [(), ("--isolate",)], ids=["threads", "isolate"]
)
of_each_kind = pytest.mark.parametrize(
    "a_callable", [tasks.log, tasks.log_slowly], ids=["sync", "async"]
)


@of_each_kind
@in_every_place
def test_formatters_can_use_what_is_known_of_the_task(
    start_server: StartServer,
    arguments: tuple[str, ...],
    a_callable: Callable[..., Any],
    tmp_path: Path,
) -> None:
    (tmp_path / "logging_settings.py").write_text(SETTINGS)
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    server = start_server(*arguments, DJANGO_SETTINGS_MODULE="logging_settings", PYTHONPATH=paths)
    token = request_id.set("7d1c")
    row = push_task_to_queue(a_callable, "hello")
    request_id.reset(token)
    assert row.wait(60) == row.pk
    expected = f"shop|{row.pk}|{row.name}|1|7d1c|They say hello"
    wait_until(lambda: expected in server.log, "the record of the task")
    end = f"leek|None|None|None|None|Task {row.pk} {row.name} succeeded"
    wait_until(lambda: end in server.log, "the record of its end")


@in_every_place
def test_stderr_names_the_task_where_the_site_says_nothing_of_its_log(
    start_server: StartServer, arguments: tuple[str, ...]
) -> None:
    server = start_server(*arguments)
    row = push_task_to_queue(tasks.log, "hello")
    row.wait(60)
    expected = f" WARNING [task {row.pk} tests.site.tasks.log] They say hello\n"
    wait_until(lambda: expected in server.log, "the record of the task")
    wait_until(lambda: f" INFO Task {row.pk} " in server.log, "the record of its end")
