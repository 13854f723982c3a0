"""How a process of Celery's comes by what messages name."""

import itertools
from contextlib import AbstractContextManager

from django import db

from leek import lifecycle
from leek.celery.insisting import Insistence
from leek.outcome import Claimed
from leek.server.alarm import Alarm
from leek.server.heartbeat import Lease
from leek.server.journal import journal
from leek.server.service import give_up_connections

MOST_TRIES = 5  # at a message, where nothing comes of them


class Takeovers:
    """Takes tasks over for the member that has this lease."""

    def __init__(
        self,
        lease: Lease,
        write_lock: AbstractContextManager[object],
        insist: Insistence,
        alarm: Alarm,
    ) -> None:
        self._lease = lease
        self._write_lock = write_lock
        self._insist = insist
        self._alarm = alarm
        self._numbers = itertools.count(1)

    def take(self, task_id: int, owner: int, claim: int) -> Claimed | None:
        """Return the task, unless the message is out of date.

        Where the answer of the database got lost, what was taken is given back, and relayed again.
        Where nothing was taken the message still holds, and nobody else has it.
        """
        for tries in itertools.count(1):
            server_id, number = self._lease.server_id, next(self._numbers)
            try:
                with self._write_lock:
                    return lifecycle.take_over(
                        task_id, owner, claim, server_id=server_id, number=number
                    )
            except db.Error as error:
                journal.debug("The database failed as task %s was taken over: %s", task_id, error)
                give_up_connections()
                if self._gives_back(server_id, number):
                    break
                if tries == MOST_TRIES:
                    raise
        return None

    def _gives_back(self, server_id: int, number: int) -> bool:
        """Give back what a claim may have taken, as soon as that can be; tell if it had."""
        given_back = self._insist.on(lambda: lifecycle.release_claim(server_id, number))
        if given_back:
            self._alarm.work_is_ready()
        return given_back > 0
