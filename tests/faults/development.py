"""A site whose code is edited while its processes run."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from leek.api import push_task_to_queue
from leek.models import QueuedTasks
from tests.support import (
    GIVE_UP_AFTER,
    ROOT,
    STORES_ALL,
    LeekServer,
    environment,
    free_port,
    is_gone,
    wait_until,
)

QUIT = "Quit the server"  # runserver has begun to answer
SETTINGS = """
from tests.settings import *

DEBUG = True
ROOT_URLCONF = "edited_urls"
TASKS_QUEUE = {"SHUTDOWN_TIMEOUT": 0}
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

from leek.api import push_task_to_queue


def push(request):
    import edited_tasks

    return HttpResponse(str(push_task_to_queue(edited_tasks.task).pk))


urlpatterns = [path("push/", push)]
"""
TASK = "def task():\n    return {!r}\n"
ENDLESS_TASK = """
import time
from pathlib import Path


def task():
    Path({!r}).touch()
    time.sleep(600)
"""


class EditedSite:
    """A folder with settings, URLs and a module of tasks, in front of the tests' own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings, self.urls, self.tasks = (
            folder / f"edited_{name}.py" for name in ("settings", "urls", "tasks")
        )
        self.settings.write_text(SETTINGS)
        self.urls.write_text(URLS)
        self.tasks.write_text(TASK.format("old"))
        self.began = folder / "began"
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "edited_settings",
            "PYTHONPATH": f"{ROOT}:{folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **STORES_ALL,
        }
        monkeypatch.syspath_prepend(folder)
        invalidate_caches()
        monkeypatch.setattr("sys.dont_write_bytecode", True)
        self._monkeypatch = monkeypatch

    def push(self) -> QueuedTasks:
        """Push the task of this site, from outside of it."""
        self._monkeypatch.delitem(sys.modules, "edited_tasks", raising=False)
        pushed: QueuedTasks = push_task_to_queue(import_module("edited_tasks").task)
        return pushed

    def begin_endless_task(self) -> QueuedTasks:
        """Push a task that does not end, and return when it runs."""
        row = self.push()
        wait_until(self.began.exists, "the endless task")
        return row

    def write_endless_task(self) -> None:
        """Make the site's task one that does not end."""
        self.tasks.write_text(ENDLESS_TASK.format(str(self.began)))


def edit(file: Path, text: str, has_been_seen: Callable[[], Any]) -> None:
    """Change a file, later and later again until the watch, which may just begin, has seen it."""
    file.write_text(text)
    time = int(file.stat().st_mtime)

    def is_seen() -> bool:
        nonlocal time
        if not has_been_seen():
            time += 1
            os.utime(file, (time, time))
        return bool(has_been_seen())

    wait_until(is_seen, f"a look at {file.name}")


def family(process: int) -> list[int]:
    """Return the processes that a process has started, and those that these have."""
    children: list[int] = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        children += map(int, listed.read_text().split())
    return [*children, *(each for child in children for each in family(child))]


def all_are_gone(processes: list[int]) -> bool:
    """Tell whether these processes have ended."""
    return all(is_gone(process) for process in processes)


def changes_seen(server: LeekServer) -> int:
    """Return how often a server has seen that the code has changed."""
    return len(re.findall(r"edited_\w+\.py (?:has )?changed", server.log))


def edit_and_reload(server: LeekServer, file: Path, text: str) -> None:
    """Change a file, and return when the next server is ready."""
    seen, ready = changes_seen(server), server.log.count("is ready at")
    edit(file, text, lambda: changes_seen(server) > seen)
    wait_until(lambda: server.log.count("is ready at") > ready, "the next server")


class Runserver(LeekServer):
    """A `runserver` in a process of its own."""

    def __init__(self, port: int, log: Path, *options: str, **extra: str) -> None:
        self.port = port
        self.address = f"127.0.0.1:{free_port()}"
        self._log = log
        self._stream = log.open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django", "runserver", self.address, *options],
            env=environment(LEEK_TASKS_PORT=str(port), **extra),
            cwd=ROOT,
            stdout=self._stream,
            stderr=subprocess.STDOUT,
        )
        wait_until(lambda: QUIT in self.log or self.ended, f"runserver: {log}")
        assert not self.ended, self.log

    def and_server(self) -> "Runserver":
        """Wait until tasks are run, too."""
        self.wait_until_ready()
        return self

    def push(self) -> QueuedTasks:
        """Have a view push the site's task."""
        with urlopen(f"http://{self.address}/push/", timeout=GIVE_UP_AFTER) as answer:
            return QueuedTasks.objects.get(pk=int(answer.read()))

    @property
    def processes(self) -> list[int]:
        """All processes of it."""
        return [self.process.pid, *family(self.process.pid)]

    def press_ctrl_c(self) -> list[int]:
        """Send what a terminal sends at Ctrl-C, and return the processes that got it."""
        processes = self.processes
        for process in reversed(processes):
            os.kill(process, signal.SIGINT)
        self.wait()
        return processes
