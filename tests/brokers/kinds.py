"""Redis and RabbitMQ, each in a folder and at ports of its own."""

import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from tests.support import GIVE_UP_AFTER, free_port, wait_until

PLACES = ["/usr/sbin", "/usr/lib/rabbitmq/bin"]  # where Debian keeps the programs of servers


def path_of(program: str) -> str | None:
    """Return the path of a program, if there is one."""
    # Debian's rabbitmq-server in /usr/sbin runs as another user, and in that user's folder only.
    places = [PLACES[1], *os.environ.get("PATH", "").split(os.pathsep), PLACES[0]]
    return shutil.which(program, path=os.pathsep.join(places))


class Broker(ABC):
    """A broker at a free port of 127.0.0.1, with all its files in a folder."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]] = ("celery",)

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> list[str]:
        """Return the names of what this machine does not have of what is needed."""
        packages = [package for package in cls.packages if not find_spec(package)]
        return packages + [program for program in cls.programs if not path_of(program)]

    @property
    @abstractmethod
    def url(self) -> str:
        """What Celery knows the broker by."""

    @abstractmethod
    def refuse(self, queue: str) -> None:
        """Have it take no messages for a queue from now on."""

    def start(self) -> None:
        """Start it with the data that it has; return when it takes messages."""
        self._data.mkdir(parents=True, exist_ok=True)
        self._process = self._run(self._command(), self._environment())
        wait_until(lambda: self._has_died or self._takes_messages(), f"a broker: {self._log}")
        assert not self._has_died, self._log.read_text()

    def kill(self) -> None:
        """End it by SIGKILL, with all that it has started; safe if it is not started."""
        if self._process:
            end(self._process)
            self._process = None

    def empty(self) -> None:
        """Remove its data, as it is killed."""
        shutil.rmtree(self._data, ignore_errors=True)

    def remove(self) -> None:
        """End it for good."""
        self.kill()
        self.empty()

    @property
    def _has_died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _takes_messages(self) -> bool:
        from kombu.connection import Connection

        broker = Connection(self.url, connect_timeout=5)
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()  # Kombu would try for long
            broker.connect()
        except (OSError, *broker.connection_errors):
            return False
        finally:
            broker.release()
        return True

    def _run(self, command: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Run a command as the leader of a group, which is ended as a whole."""
        program, *arguments = command
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [path_of(program) or program, *arguments],
                env={**os.environ, "TMPDIR": str(self._data), **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs it."""

    def _environment(self) -> dict[str, str]:
        """Return what it finds in its environment beside what is there."""
        return {}


class Redis(Broker):
    """A Redis that keeps on the disk what it has, as one that is to survive its end would."""

    name = "redis"
    programs = ("redis-server",)
    packages = ("celery", "redis")

    @property
    def url(self) -> str:
        """The first database of it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def refuse(self, queue: str) -> None:
        """Have a text at its name, which nothing is pushed to."""
        from redis import Redis as Client

        with Client.from_url(self.url) as client:
            client.set(queue, "text")

    def _command(self) -> list[str]:
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--dir": str(self._data),
            "--save": "",
            "--appendonly": "yes",
        }
        return ["redis-server", *(word for option in options.items() for word in option)]


class RabbitMQ(Broker):
    """A RabbitMQ, with the directory of nodes that it cannot do without."""

    name = "rabbitmq"
    programs = ("rabbitmq-server", "epmd")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ports = {"node": free_port(), "directory": free_port()}
        self._directory: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The user and the host that each new RabbitMQ has."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def refuse(self, queue: str) -> None:
        """Have a queue of its name that is of another kind than Celery declares."""
        from kombu.connection import Connection

        with Connection(self.url) as broker:
            declared = broker.SimpleQueue(queue, queue_opts={"max_priority": 5})
            declared.close()

    def start(self) -> None:
        """Start it and its directory."""
        self._data.mkdir(parents=True, exist_ok=True)
        if not self._directory:
            command = ["epmd", "-port", str(self._ports["directory"]), "-address", "127.0.0.1"]
            self._directory = self._run(command, {})
        super().start()

    def remove(self) -> None:
        """End both."""
        super().remove()
        if self._directory:
            end(self._directory)
            self._directory = None

    def _command(self) -> list[str]:
        return ["rabbitmq-server"]

    def _environment(self) -> dict[str, str]:
        folder = self._data
        return {
            "HOME": str(folder),  # where the secret of its nodes is
            "ERL_EPMD_PORT": str(self._ports["directory"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"leek-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._ports["node"]),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        }


BROKERS: dict[str, type[Broker]] = {kind.name: kind for kind in (Redis, RabbitMQ)}


def end(leader: "subprocess.Popen[bytes]") -> None:
    """End a process and all of its group by SIGKILL."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait(GIVE_UP_AFTER)
