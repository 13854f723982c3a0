"""The tests' site in a process of its own, on the test database."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse

from tests.support import ROOT, environment, free_port, wait_until

Answer = Callable[[HttpRequest], HttpResponse]


def allow_only_own_files(get_response: Answer) -> Answer:
    """Return a middleware that has browsers take scripts and styles from the site's files only."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return answer


def forget_content_types(get_response: Answer) -> Answer:
    """Return a middleware that reads content types anew, because each test stores its own."""

    def answer(request: HttpRequest) -> HttpResponse:
        ContentType.objects.clear_cache()
        return get_response(request)

    return answer


class Site:
    """A site at `url`, whose pushes and pages look for a leek_server at `leek_port`."""

    def __init__(self, folder: Path) -> None:
        self.leek_port = free_port()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self._log = folder / "site.log"
        self._stream = self._log.open("w")
        command = ("runserver", "--noreload", "--insecure", "--skip-checks", f"127.0.0.1:{port}")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "django", *command],
            env=environment(
                DJANGO_SETTINGS_MODULE="tests.browser.settings",
                LEEK_TASKS_PORT=str(self.leek_port),
                TMPDIR=str(folder),
            ),
            cwd=ROOT,
            stdout=self._stream,
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def wait_until_ready(self) -> "Site":
        """Wait until it answers."""
        wait_until(lambda: "Quit the server" in self.log or self._process.poll() is not None)
        assert self._process.poll() is None, self.log
        return self

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._stream.close()
