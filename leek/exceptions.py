"""What leek raises, and what a task may raise. Catch `LeekError` for all of it."""

from datetime import timedelta


class LeekError(Exception):
    """The base of leek's own errors."""


class InvalidTask(LeekError):
    """A push was refused: the callable, its arguments or an option cannot be stored."""


class InvalidPayload(LeekError):
    """A stored payload is damaged, is not signed by this site, or needs a refused serializer."""


class CallableNotFound(LeekError):
    """A callable, or a class among its arguments, does not import here (yet)."""


class TaskNotFinished(LeekError):
    """The result of a task was asked for before it was finished."""


class TaskFailed(LeekError):
    """The result of a failed task was asked for.

    `type` is the dotted path of the original exception, `message` its text and `traceback` the
    text of its traceback; all three are strings.
    """

    def __init__(self, type: str, message: str, traceback: str) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message
        self.traceback = traceback


class ResultNotStored(LeekError):
    """A task succeeded, but what it returned could not be stored."""


class WorkerLost(LeekError):
    """A task was running each of `MAX_CRASHES` times that its process died."""


class TaskTimeout(LeekError):
    """A task ran longer than `TIMEOUT`."""


class TaskCancelled(LeekError):
    """A task was cancelled."""


class Retry(LeekError):
    """A task raises it to be tried again, `after` so many seconds (or a timedelta).

    None: when its policy says. It is a failed try like any other, so the last one fails the task.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the task asked for another try")
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        self.after = None if seconds is None else max(float(seconds), 0.0)


class GiveUp(LeekError):
    """A task raises it to fail for good, whatever tries are left."""


class ServerUnreachable(LeekError):
    """No `leek_server` answered."""


class ProtocolError(LeekError):
    """What came over the socket is not leek's protocol."""
