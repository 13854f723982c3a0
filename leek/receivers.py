"""Calls the receivers of signals so that they do no harm."""

from typing import Any

from django.db import connections
from django.dispatch import Signal

from leek.connections import mended_transaction
from leek.models import queue_database


def tell(signal: Signal, sender: type, **facts: Any) -> None:
    """Send a signal. What receivers raise is logged.

    What they do to the queue's open transaction is undone if that breaks it.
    """
    if not any(each.in_atomic_block for each in connections.all(initialized_only=True)):
        signal.send_robust(sender, **facts)
        return
    with mended_transaction(queue_database()):
        signal.send_robust(sender, **facts)
