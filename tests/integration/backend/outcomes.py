"""How tasks of Django's framework end."""

from leek.framework import TaskResult
from tests.support import wait_until


def finished(result: TaskResult) -> TaskResult:
    """Wait until a task has ended, and return its result as it is then."""

    def is_finished() -> bool:
        result.refresh()
        return result.is_finished

    wait_until(is_finished, f"the end of {result.task.name}")
    return result


def errors_of(result: TaskResult) -> list[str]:
    """Return the types of the errors of a result."""
    return [error.exception_class_path for error in result.errors]
