"""RUNNING ──take_over──► RUNNING: from the server that has claimed a task to one that runs it"""

from functools import lru_cache

from leek.database import ClaimStatement, utc_offset
from leek.lifecycle import sets
from leek.lifecycle.claiming import claim_by, statement_for
from leek.models import QueuedTasks, queue_database
from leek.outcome import Claimed

_TASK, _OWNER, _CLAIM = -1, -2, -3  # stand for the numbers that a message names


def take_over(
    task_id: int, owner: int, claim: int, *, server_id: int, number: int
) -> Claimed | None:
    """Take a task for a server that another one has claimed, under the claim that it names.

    `number` is one that the server has never used before. Return None where the task is no longer
    that claim's, because it was taken over, given back or cancelled in the meantime.
    """
    alias = queue_database()
    statement = _take_offered(alias, QueuedTasks._meta.db_table, utc_offset(alias))
    meant = {_TASK: task_id, _OWNER: owner, _CLAIM: claim}
    taken = claim_by(statement, server_id, number, limit=1, meant=meant)
    return taken[0] if taken else None


@lru_cache
def _take_offered(alias: str, table: str, offset: int) -> ClaimStatement:
    """Return the statement, which stays the same as long as the table's name and the offset do."""
    return statement_for(sets.claimed(_OWNER, _CLAIM).using(alias).filter(pk=_TASK))
