"""Spans of pushes and of attempts, where the site uses OpenTelemetry.

Whoever sets that up imports its API; until somebody has, nothing is traced, and nothing of it is
imported. What it does is done by `leek.spans`.
"""

import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from leek.outcome import Claimed
from leek.untraced import UNTRACED, Untraced, complain

API = "opentelemetry.trace"
PART = "trace"  # of what surrounds a push, see `leek.context`


def pushing() -> Untraced:
    """Return the span of a push, to be entered: what is stored inside belongs to its trace."""
    if not (spans := _spans()):
        return UNTRACED
    span: Untraced = spans.Pushing()
    return span


def running(claimed: Claimed, surroundings: Mapping[str, Any]) -> Untraced:
    """Return the span of an attempt, to be entered in the context that the attempt has for itself.

    It belongs to the trace of the push, which has left word of it among the `surroundings`.
    """
    if not (spans := _spans()):
        return UNTRACED
    span: Untraced = spans.Running(claimed, surroundings.get(PART) or {})
    return span


def carried() -> dict[str, dict[str, str]]:
    """Return what leads back to the current trace, to be kept with a task; empty without one."""
    if not (spans := _spans()) or not (carrier := spans.carried()):
        return {}
    return {PART: carrier}


def destined(surroundings: Mapping[str, Any], queue: str) -> Mapping[str, Any]:
    """Return what surrounds a push, for a task of this queue: the span of its attempt names it."""
    if PART not in surroundings:
        return surroundings
    return {**surroundings, PART: {**surroundings[PART], "queue": queue}}


def _spans() -> ModuleType | None:
    """Return what makes spans, None where nobody uses them or where it does not import."""
    return _loaded() if API in sys.modules else None


@cache
def _loaded() -> ModuleType | None:
    try:
        from leek import spans
    except Exception as error:  # noqa: BLE001 (of whatever is installed by that name)
        complain(error)
        return None
    return spans
