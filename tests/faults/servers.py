"""PostgreSQL and MariaDB, each in a folder and at a port of its own."""

import os
import shutil
import signal
import subprocess
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, ClassVar

import environ
from django import db
from django.db.utils import ConnectionHandler

from tests.faults.hosts.host import Host
from tests.faults.kinds import Database
from tests.support import GIVE_UP_AFTER, free_port, wait_until

NAME = "leek"  # of the database, and of its user, who may do nothing elsewhere
AS_ROOT = os.geteuid() == 0


LOCAL = "127.0.0.1"


class Server(Database):
    """A database server at a free port of 127.0.0.1, or for all hosts of a network on one of them.

    The administrator is always local to it.
    """

    scheme: ClassVar[str]
    admin: ClassVar[str]  # the user who may do everything
    admins_database: ClassVar[str]
    usual_port: ClassVar[int]

    def __init__(self, folder: Path, host: Host | None = None) -> None:
        super().__init__(folder)
        self.host = host
        self.port = self.usual_port if host else free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A DATABASE_URL."""
        address = self.host.address if self.host else LOCAL
        return f"{self.scheme}://{NAME}@{address}:{self.port}/{NAME}"

    @property
    def data(self) -> Path:
        """Where the server keeps its files."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, the first time with an empty database; return when it accepts connections."""
        is_new = not self.data.exists()
        if is_new:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._initialize()
        with self._log.open("ab") as log:
            prefix = self.host.prefix if self.host else ()
            self._process = subprocess.Popen([*prefix, *self._command()], stdout=log, stderr=log)
        assert self._is_up(), self._log.read_text()
        if is_new:
            self._create_database()

    def stop(self) -> None:
        """End it, and its connections."""
        self._end(self._stop)

    def crash(self) -> None:
        """End it at once."""
        self._end(self._crash)

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.wait(GIVE_UP_AFTER)
            self._process = None

    def revive(self) -> None:
        """Start it again, if its trouble has killed it."""
        if not self._is_up():
            self.start()

    def kill_connections(self) -> None:
        """End all connections to the database but the administrator's."""
        with self.connect_as_admin() as connection:
            drop_connections(connection, NAME)

    def execute(self, sql: str) -> None:
        """Execute a statement as the administrator."""
        with self.connect_as_admin() as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    @contextmanager
    def connect_as_admin(self, database: str | None = None) -> Iterator[Any]:
        """Connect as the administrator, in autocommit mode."""
        name = database or self.admins_database
        url = f"{self.scheme}://{self.admin}@{LOCAL}:{self.port}/{name}"
        with self.host.entered() if self.host else nullcontext(), connected(url) as connection:
            yield connection

    @property
    def _listens_at(self) -> str:
        return "0.0.0.0" if self.host else LOCAL

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    @property
    @abstractmethod
    def _stop(self) -> signal.Signals:
        """The signal that ends the server with all it was given on the disk."""

    @property
    @abstractmethod
    def _crash(self) -> signal.Signals:
        """The signal that ends the server at once."""

    @abstractmethod
    def _initialize(self) -> None:
        """Make the files of a new server."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs the server."""

    @abstractmethod
    def _create_database(self) -> None:
        """Make the database and its user."""

    def _is_up(self) -> bool:
        """Return whether it accepts connections in the end, or else has died."""
        wait_until(lambda: self._has_died or self._accepts_connections(), f"a sign: {self._log}")
        return not self._has_died

    @property
    def _has_died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _accepts_connections(self) -> bool:
        with suppress(db.Error), self.connect_as_admin():
            return True
        return False

    def _run(self, *command: str) -> None:
        with self._log.open("ab") as log:
            subprocess.run(command, stdout=log, stderr=log, check=True)


class PostgreSQL(Server):
    """A PostgreSQL. It refuses to run as root, so then it runs as the user postgres."""

    scheme = "postgres"
    admin = "postgres"
    admins_database = "postgres"
    usual_port = 5432
    _stop = signal.SIGINT  # "fast"
    _crash = signal.SIGQUIT  # "immediate": SIGKILL leaves processes that block the next start

    @property
    def tables(self) -> Path:
        """The folder of the database."""
        with self.connect_as_admin() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT oid FROM pg_database WHERE datname = %s", [NAME])
            return self.data / "base" / str(cursor.fetchone()[0])

    def _initialize(self) -> None:
        initdb = program("initdb", "PostgreSQL's server")
        self.data.mkdir(mode=0o700)
        if AS_ROOT:
            shutil.chown(self.data, "postgres", "postgres")
        self._run(
            *self._as_user(),
            *(initdb, "-D", str(self.data), "-U", self.admin, "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")

    def _command(self) -> list[str]:
        server = [program("postgres", "PostgreSQL's server"), "-D", str(self.data)]
        options = {
            "listen_addresses": self._listens_at,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # a crash of the server loses nothing, only one of the machine would
            "shared_buffers": "16MB",
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [*self._as_user(), *server, *settings]

    def _as_user(self) -> list[str]:
        """Return what to put before a command to run it as a user who is not root.

        It keeps root's right to enter folders: those of tests are closed to everybody else.
        """
        if not AS_ROOT:
            return []
        rights = ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
        user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [program("setpriv", "util-linux"), *user, *rights]

    def _create_database(self) -> None:
        self.execute(f"CREATE ROLE {NAME} LOGIN")
        self.execute(f"CREATE DATABASE {NAME} OWNER {NAME}")


class MariaDB(Server):
    """A MariaDB."""

    scheme = "mysql"
    admin = "root"
    admins_database = "mysql"
    usual_port = 3306
    _stop = signal.SIGKILL  # it loses nothing by that
    _crash = signal.SIGKILL

    @property
    def tables(self) -> Path:
        """The folder of the database."""
        return self.data / NAME

    def _initialize(self) -> None:
        self._run(
            program("mariadb-install-db", "MariaDB's server"),
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *self._as_user(),
        )

    def _command(self) -> list[str]:
        return [
            program("mariadbd", "MariaDB's server"),
            "--no-defaults",
            f"--datadir={self.data}",
            f"--bind-address={self._listens_at}",
            "--skip-name-resolve",
            f"--port={self.port}",
            "--socket=socket",  # in the data's folder, since paths of sockets must be short
            "--pid-file=pid",
            "--innodb-flush-log-at-trx-commit=2",  # loses nothing but in a crash of the machine
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            *self._as_user(),
        ]

    def _as_user(self) -> list[str]:
        return ["--user=root"] if AS_ROOT else []

    def _create_database(self) -> None:
        self.execute(f"CREATE DATABASE {NAME} CHARACTER SET utf8mb4")
        self.execute(f"CREATE USER {NAME}@'%'")
        self.execute(f"GRANT ALL ON {NAME}.* TO {NAME}@'%'")


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Connect to a database, in autocommit mode, beside the site's own connections."""
    connection = ConnectionHandler({"default": environ.Env.db_url_config(url)})["default"]
    try:
        connection.ensure_connection()
        yield connection
    finally:
        connection.close()


def drop_connections(connection: Any, database: str) -> None:
    """End all connections to a database but this one, from the server's side."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid()",
                [database],
            )
            return
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> connection_id()",
            [database],
        )
        for (number,) in cursor.fetchall():
            with suppress(db.OperationalError):  # it has ended by itself
                cursor.execute(f"KILL {number}")


def program(name: str, package: str) -> str:
    """Return the path of a program, also where Debian keeps those of servers."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", *map(str, debian)]
    if path := shutil.which(name, path=os.pathsep.join(places)):
        return path
    raise RuntimeError(f"The program {name} is missing. Install {package}, or add it to PATH.")


def _version(folder: Path) -> list[int]:
    return [int(part) for part in folder.parent.name.split(".") if part.isdigit()]
