"""manage.py leek_push"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from leek.api import using
from leek.contracts import own_task_at
from leek.exceptions import CallableNotFound, InvalidTask
from leek.management.base import LeekCommand
from leek.task import find


class Command(LeekCommand):
    """Push a task from a shell or a crontab."""

    help = "Pushes a task: leek_push shop.tasks.remind --args '[42]' --kwargs '{\"urgent\": true}'"

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the callable, its arguments and where it is to run."""
        parser.add_argument("callable", help="dotted path of the callable")
        # Django takes an option named "args" for the positional arguments of handle().
        parser.add_argument("--args", dest="task_args", default="[]", help="a JSON list")
        parser.add_argument("--kwargs", dest="task_kwargs", default="{}", help="a JSON object")
        parser.add_argument("--queue", help="where it does not say so itself: default")
        parser.add_argument("--priority", type=int, help="from -100 to 100")

    def handle(self, *args: Any, **options: Any) -> None:
        """Push the task, and print its id."""
        task_args = parsed("--args", options["task_args"], list)
        task_kwargs = parsed("--kwargs", options["task_kwargs"], dict)
        try:
            task = own_task_at(options["callable"])
            push = push_callable if task is None else enqueue
            number = push(task or find(options["callable"]), task_args, task_kwargs, options)
        except (CallableNotFound, InvalidTask) as error:
            raise CommandError(str(error)) from error
        self.say(f"Pushed task {number}.")


def push_callable(a_callable: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> int:
    """Push a task, and return its id."""
    chosen = using(queue=options["queue"], priority=options["priority"])
    return int(chosen.push(a_callable, *args, **kwargs).pk)


def enqueue(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> int:
    """Enqueue a Task of Django's framework, and return its id; raise leek's InvalidTask."""
    from leek import framework  # who has defined a Task has it

    try:
        chosen = task.using(queue_name=options["queue"], priority=options["priority"])
        return int(chosen.enqueue(*args, **kwargs).id)
    except (framework.InvalidTask, ValueError) as error:
        raise InvalidTask(str(error)) from error


def parsed(option: str, text: str, kind: type) -> Any:
    """Return the JSON value of an option; raise CommandError where it is not of this kind."""
    wanted = "list" if kind is list else "object"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option} is {text!r}, not a JSON {wanted}: {error}") from error
    if not isinstance(value, kind):
        raise CommandError(f"{option} is {text!r}, not a JSON {wanted}.")
    return value
