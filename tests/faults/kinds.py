"""What a database is to a test that ill-treats it, and the simplest one."""

import shutil
from abc import ABC, abstractmethod
from pathlib import Path


class Database(ABC):
    """A database at `url`, with all its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def url(self) -> str:
        """A DATABASE_URL."""

    @property
    @abstractmethod
    def tables(self) -> Path:
        """The folder with the files that hold the tables, once it is started."""

    @abstractmethod
    def start(self) -> None:
        """Start it, the first time with an empty database; return when it can be used."""

    @abstractmethod
    def stop(self) -> None:
        """End it soon, with all it was given; safe if it is not started."""

    def crash(self) -> None:
        """End it at once, with what it says is safe."""
        self.stop()

    @abstractmethod
    def kill_connections(self) -> None:
        """End its clients' connections from its side."""

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it, and delete its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class SQLite(Database):
    """A file. It has no process: stopped, its folder is away, like a disk that is not mounted.

    Then nobody can open the file, nor begin a journal beside it. Who has it open can read it, and
    with a write-ahead log also write. There are no connections to kill.
    """

    @property
    def url(self) -> str:
        """A DATABASE_URL."""
        return f"sqlite:///{self.tables / 'leek.sqlite3'}"

    @property
    def tables(self) -> Path:
        """The folder of the file."""
        return self.folder / "disk"

    def start(self) -> None:
        """Bring the folder back."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._away.exists():
            self._away.rename(self.tables)
        self.tables.mkdir(exist_ok=True)

    def stop(self) -> None:
        """Take the folder away."""
        if self.tables.exists():
            self.tables.rename(self._away)

    def kill_connections(self) -> None:
        """Do nothing."""

    @property
    def _away(self) -> Path:
        return self.folder / "away"
