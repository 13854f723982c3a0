"""One look at everything: the database's figures, and whether a server answers."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from django import db
from django.utils import timezone

from leek import client, status
from leek.connections import close_connections
from leek.exceptions import ServerUnreachable
from leek.management.base import explain
from leek.protocol import Reply

VERSION = 1  # of the documents; it changes with what breaks their readers


@dataclass(frozen=True)
class Look:
    """What was seen at a time.

    `figures` is None where the database failed, and `reply` where no server answered; then the
    errors tell why.
    """

    time: datetime
    figures: status.Figures | None
    database_error: str | None
    reply: Reply | None
    server_error: str | None

    @property
    def worker(self) -> str:
        """How the Worker is, in a word or two."""
        return "no server" if self.reply is None else "on" if self.reply.ok else "off"

    def document(self) -> dict[str, Any]:
        """Return it as JSON is made of; where the database failed its figures are None."""
        nothing = {field.name: None for field in fields(status.Figures)}
        return {
            "version": VERSION,
            "time": timezone.localtime(self.time),
            "worker_on": bool(self.reply and self.reply.ok),
            "server_answers": self.reply is not None,
            "database_error": self.database_error,
            **(asdict(self.figures) if self.figures else nothing),
        }


def look(figures: Callable[[], status.Figures] = status.figures) -> Look:
    """Look now; raise the database's errors."""
    found = figures()
    return Look(_now(), found, None, *_ask())


def look_in_any_case() -> Look:
    """Look quickly, as who looks often should, and note the database's errors."""
    try:
        return look(lambda: status.figures(status.CAP))
    except db.Error as error:
        problem = explain(error)
        close_connections()  # the next look is for a new one
        return Look(_now(), None, problem, *_ask())


def _now() -> datetime:
    return datetime.now(timezone.get_current_timezone())


def _ask() -> tuple[Reply | None, str | None]:
    try:
        return client.ask("ping"), None
    except ServerUnreachable as error:
        return None, str(error)
