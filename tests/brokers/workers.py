"""Celery's workers in processes of their own, alone and beside a leek_server that relays."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.brokers.kinds import end
from tests.support import GIVE_UP_AFTER, LOGGED_ERROR, ROOT, LeekServer, environment, wait_until

LOGGED_BY_CELERY = re.compile(r"^\[\S+ \S+ (?:ERROR|CRITICAL)/.*", re.MULTILINE)
CELERY = (sys.executable, "-m", "celery", "--quiet")
# What a worker says to others of its kind costs seconds at its start.
ALONE = ("--without-mingle", "--without-gossip")
# The queues of leek that tests push to have queues of the same name at the broker.
QUEUES = ("mail", "slow", "news", "other", "mail-", "mail-a", "rare", "old", "q", "books")


class CeleryWorker:
    """A `celery worker` that runs what is relayed; its log is at `log`."""

    def __init__(
        self,
        log: Path,
        *,
        pool: str = "prefork",
        processes: int = 1,
        app: str = "leek.celery",
        arguments: Sequence[str] = (),
        **extra: str,
    ) -> None:
        self._log = log
        self._stream = log.open("a")
        queues = ",".join([os.environ["TESTS_BROKER_QUEUE"], *QUEUES])
        options = [f"--pool={pool}", f"--concurrency={processes}", f"--hostname={log.stem}@%h"]
        self.process = subprocess.Popen(
            [
                *CELERY,
                "-A",
                app,
                "worker",
                "-l",
                "INFO",
                "-Q",
                queues,
                *options,
                *ALONE,
                *arguments,
            ],
            env=environment(**{"PYTHONWARNINGS": "default", **extra}),
            cwd=ROOT,
            stdout=self._stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    @property
    def errors(self) -> list[str]:
        """The lines of the log that tell of an error."""
        return LOGGED_ERROR.findall(self.log) + LOGGED_BY_CELERY.findall(self.log)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    @property
    def children(self) -> list[int]:
        """The ids of the processes that run its tasks, in a pool of processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in children.read_text().split()]

    def wait_until_ready(self) -> "CeleryWorker":
        """Wait for the line that says that tasks are run."""
        wait_until(lambda: " ready." in self.log or self.ended, "celery worker")
        if self.ended:
            raise AssertionError(f"celery worker ended: {self.log}")
        return self

    def kill(self) -> None:
        """End it and its children by SIGKILL."""
        end(self.process)
        self._stream.close()

    def terminate(self) -> int:
        """End it by SIGTERM, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(GIVE_UP_AFTER)
        self._stream.close()
        return code


class RelayedServer(LeekServer):
    """A `leek_server` that relays, and the worker that runs what it relays.

    It takes the options of a server that runs tasks itself: the worker has as many processes as
    `--workers` says, and in any case runs each task in a child, so that `--isolate` is no option.
    Beside other servers the worker has one process: all workers run what any server relays, and a
    database has only so many connections.
    """

    def __init__(
        self, port: int, log: Path, *arguments: str, is_first: bool = True, **extra: str
    ) -> None:
        options = [each for each in arguments if each != "--isolate"]
        processes = 1
        if "--workers" in options:
            place = options.index("--workers")
            _, number = options[place : place + 2]
            del options[place : place + 2]
            processes = int(number) if is_first else 1
        beside = log.with_name(f"worker-of-{log.name}")
        self.worker = CeleryWorker(beside, processes=processes, **extra)
        super().__init__(port, log, *options, **extra)

    @property
    def log(self) -> str:
        """What both have logged."""
        return super().log + self.worker.log

    @property
    def errors(self) -> list[str]:
        """The lines of both logs that tell of an error."""
        return LOGGED_ERROR.findall(super().log) + self.worker.errors

    def wait_until_ready(self) -> "RelayedServer":
        """Wait until both are ready."""
        super().wait_until_ready()
        self.worker.wait_until_ready()
        return self

    def kill(self) -> None:
        """End both by SIGKILL."""
        self.worker.kill()
        super().kill()

    def terminate(self) -> int:
        """End both by SIGTERM, and return the exit code of the server, or else of the worker."""
        return super().terminate() or self.worker.terminate()
