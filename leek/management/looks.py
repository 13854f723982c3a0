"""One look at everything: the database's figures, and which servers answer."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from django import db
from django.utils import timezone

from leek import client, fleet, status
from leek.client import Answer
from leek.conf import places
from leek.connections import close_connections
from leek.exceptions import ServerUnreachable
from leek.management.base import explain
from leek.places import Place
from leek.protocol import Reply
from leek.status import ServerFigures

VERSION = 1  # of the documents; it changes with what breaks their readers


@dataclass(frozen=True)
class Look:
    """What was seen at a time.

    `figures` is None where the database failed, and `answer` where no server answered where the
    settings say; then the errors tell why. `replies` are those of the servers of the fleet.
    """

    time: datetime
    figures: status.Figures | None
    database_error: str | None
    answer: Answer | None
    server_error: str | None
    replies: Mapping[Place, Reply] = field(default_factory=dict)

    @property
    def reply(self) -> Reply | None:
        """What was answered where the settings say."""
        return self.answer and self.answer.reply

    @property
    def worker(self) -> str:
        """How the Worker is, in a word or two."""
        return "no server" if self.reply is None else "on" if self.reply.ok else "off"

    def reply_of(self, server: ServerFigures) -> Reply | None:
        """Return what a server of the fleet answered from here."""
        return self.replies.get(server.place) if server.place else None

    def document(self) -> dict[str, Any]:
        """Return it as JSON is made of; where the database failed its figures are None."""
        nothing = {field.name: None for field in fields(status.Figures)}
        return {
            "version": VERSION,
            "time": timezone.localtime(self.time),
            "worker_on": bool(self.reply and self.reply.ok),
            "server_answers": self.reply is not None,
            "database_error": self.database_error,
            **(self._figures(self.figures) if self.figures else nothing),
        }

    def _figures(self, figures: status.Figures) -> dict[str, Any]:
        return {**asdict(figures), "servers": [self._server(each) for each in figures.servers]}

    def _server(self, server: ServerFigures) -> dict[str, Any]:
        told = asdict(server)
        del told["place"]
        return {**told, "answers": self.reply_of(server) is not None if server.port else None}


def look(
    figures: Callable[[], status.Figures] = status.figures, patience: float | None = None
) -> Look:
    """Look now; raise the database's errors."""
    found = figures()
    answer, problem = _ask(patience)
    replies = fleet.ask_each(server.place for server in found.servers if server.place)
    return Look(_now(), found, None, answer, problem, replies)


def look_in_any_case() -> Look:
    """Look quickly, as who looks often should, and note the database's errors."""
    try:
        return look(lambda: status.figures(status.CAP), fleet.PATIENCE)
    except db.Error as error:
        problem = explain(error)
        close_connections()  # the next look is for a new one
        return Look(_now(), None, problem, *_ask(fleet.PATIENCE))


def _now() -> datetime:
    return datetime.now(timezone.get_current_timezone())


def _ask(patience: float | None) -> tuple[Answer | None, str | None]:
    try:
        return client.ask_in_turn("ping", places(), patience), None
    except ServerUnreachable as error:
        return None, str(error)
