"""The demo while it runs: mail sink, leek_server and site, and what happens to them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from django.core.management.base import CommandError
from environ import Env

from demo.ports import free_port
from demo.processes import Ended, Line, Processes
from demo.sink import Mail, MailSink

env = Env()
# Where they are taken, others are used.
LEEK_PORT = env.int("LEEK_TASKS_PORT", default=8002)
SITE_PORT = env.int("SITE_PORT", default=8000)
MAIL_PORT = env.int("EMAIL_PORT", default=8025)
START_WITHIN = 30.0  # seconds
SIGNAL_SEEN_WITHIN = 0.5  # a signal that comes just before a wait does not always end it
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class StopRequested(CommandError):
    """Ctrl-C or SIGTERM ended the demo."""


class Demo:
    """Starts the parts and tells what happens; ends with the first of them that ends."""

    def __init__(
        self,
        sink: MailSink,
        processes: Processes,
        inbox: SimpleQueue[Mail | Line | Ended | StopRequested],
        say: Callable[[str], object],
    ) -> None:
        self.sink = sink
        self.processes = processes
        self.inbox = inbox
        self.say = say

    def start_leek_server(self, queue: str, verbosity: int = 1) -> None:
        """Start a leek_server for one queue; return when it takes hints."""
        port = free_port(LEEK_PORT)
        os.environ["LEEK_TASKS_PORT"] = str(port)  # for whoever pushes, too
        command = ("leek_server", "--queues", queue, "--verbosity", str(verbosity))
        pid = self.processes.start("leek_server", *command)
        self.await_line("leek_server", "ready")
        self.say(f"leek_server: localhost:{port}{instead_of(LEEK_PORT, port)}, process {pid}")

    def start_site(self) -> None:
        """Start the site; return when it answers."""
        port = free_port(SITE_PORT)
        os.environ["DJANGO_RUNSERVER_HIDE_WARNING"] = "true"
        command = ("runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}")
        pid = self.processes.start("site", *command)
        self.await_line("site", "Quit the server")
        self.say(f"site: http://127.0.0.1:{port}/{instead_of(SITE_PORT, port)}, process {pid}")

    def await_line(self, process: str, text: str) -> None:
        """Return when a process has printed a line with the text; show its lines if it fails."""
        lines = []
        try:
            for happening in self.happenings(time.monotonic() + START_WITHIN):
                if not isinstance(happening, Line) or happening.process != process:
                    self.say(str(happening))
                    continue
                lines.append(str(happening))
                if text in happening.text:
                    return
            raise CommandError(f"{process} was not ready within {START_WITHIN:.0f} s.")
        except CommandError:
            for line in lines:
                self.say(line)
            raise

    def happenings(self, deadline: float = inf) -> Iterator[Mail | Line]:
        """Yield mails and lines until the deadline; raise if the demo has to end."""
        while (left := deadline - time.monotonic()) > 0:
            try:
                happening = self.inbox.get(timeout=min(left, SIGNAL_SEEN_WITHIN))
            except Empty:
                continue
            if isinstance(happening, StopRequested):
                raise happening
            if isinstance(happening, Ended):
                raise CommandError(
                    f"{happening.process} has ended with exit code {happening.exit_code},"
                    " so the rest of the demo was stopped, too."
                )
            yield happening


@contextmanager
def running_demo(say: Callable[[str], object]) -> Iterator[Demo]:
    """Open the mail sink; at the end stop whatever was started, the sink last."""
    inbox: SimpleQueue[Mail | Line | Ended | StopRequested] = SimpleQueue()
    port = free_port(MAIL_PORT)
    os.environ |= {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(port)}
    with ExitStack() as stack:
        stack.enter_context(stop_signals(inbox.put))
        sink = stack.enter_context(MailSink(port, inbox.put))
        processes = Processes(inbox.put)
        stack.callback(processes.stop)
        say(f"mail sink: 127.0.0.1:{port}{instead_of(MAIL_PORT, port)}")
        yield Demo(sink, processes, inbox, say)


@contextmanager
def stop_signals(report: Callable[[StopRequested], None]) -> Iterator[None]:
    """Report the first Ctrl-C or SIGTERM; a second one ends the demo as if this were not here."""
    former: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        restore()
        report(StopRequested(f"Stopped by {signal.Signals(number).name}."))

    for name in STOP_SIGNALS:
        if number := getattr(signal, name, None):
            former[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def instead_of(preferred: int, port: int) -> str:
    """Say that a port is not the one that was expected."""
    return "" if port == preferred else f" (port {preferred} was taken)"
