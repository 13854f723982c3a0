"""Pauses queues, and lets them go on."""

from leek import lifecycle
from leek.connections import on_commit_once
from leek.hinting import hint
from leek.models import queue_database
from leek.policy import policy_from


def pause_queue(queue: str) -> bool:
    """Have no server take a task from a queue until it is resumed; what is claimed is still run.

    A busy server obeys within POLL_INTERVAL. Pushes are stored as ever. Return whether the queue
    was not paused before; raise InvalidTask where it is no name of a queue.
    """
    return lifecycle.pause(_checked(queue))


def resume_queue(queue: str) -> bool:
    """Have servers take tasks from a paused queue again; return whether it was paused."""
    if is_resumed := lifecycle.resume(_checked(queue)):
        on_commit_once(queue_database(), hint)
    return is_resumed


def _checked(queue: str) -> str:
    return policy_from({"queue": queue}).queue or ""
