"""What leek raises. Catch `LeekError` for all of it."""


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


class ServerUnreachable(LeekError):
    """No `leek_server` answered."""


class ProtocolError(LeekError):
    """What came over the socket is not leek's protocol."""
