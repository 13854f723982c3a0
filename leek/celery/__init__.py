"""Celery as the engine: `leek_server` relays what it has claimed, and Celery's workers run it.

    leek_server: dispatcher ─► backlog ─► Relay ── leek.run(id, owner, claim) ──► the broker
                                                                                     │
    a process of a Celery worker: leek.run, which waits for a thread of leek's: ◄────┘
                                  Member: takes the claim over
                                  └ Runner ─► executor ─► recorder

The broker is to the server what Python's queue of claimed tasks is otherwise: a message has ids
only, and one that is lost, late or doubled does no harm, because the row says what holds.

`app` is a Celery app of leek's own, for `celery -A leek.celery worker`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        from leek.celery.apps import own_app

        return own_app()
    raise AttributeError(f"module {__name__} has no attribute {name}")
