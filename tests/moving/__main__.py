"""Try what is set in type on the left of a table: `python -m tests.moving QUEUE`, JSON on stdin.

It prints what that queue does not know, each with the reason; the exit code is then 1.
"""

import ast
import inspect
import json
import re
import shlex
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import count
from types import FunctionType, ModuleType
from typing import Any

from django.core.management import get_commands, load_command_class
from django.utils.module_loading import import_string

from tests.moving import sites

_numbers = count()


def members() -> ModuleType:
    """Return a module `members.tasks` with plain functions."""
    module = ModuleType("members.tasks")
    for name in ("welcome", "remind", "tell"):
        exec(f"def {name}(user_id): return user_id", vars(module))
    sys.modules |= {"members": ModuleType("members"), "members.tasks": module}
    vars(sys.modules["members"])["tasks"] = module
    return module


def attempt(text: str, queue: str, names: dict[str, Any]) -> None:
    """Do what a reader has; raise where the queue does not know it."""
    text = re.sub(r"^[A-Z_]+=\w+ python manage\.py ", "", text)
    first = text.partition(" ")[0]
    if first == "celery" or first in get_commands():
        return check_command(shlex.split(text))
    if text.startswith('"'):
        return check_settings(ast.literal_eval(f"{{{text}}}"), queue)
    if text.startswith("CELERY_"):
        defaults = import_module("celery.app.defaults").DEFAULTS
        defaults[text.removeprefix("CELERY_").lower()]
        return None
    if text.startswith("raise "):
        return check_raises(text.removeprefix("raise "), names)
    check_keywords(text.removeprefix("@"), queue)
    value = eval(text.removeprefix("@"), names)
    if text.startswith("@") and "(" in text:
        value(FunctionType(members.__code__, {}, f"task_{next(_numbers)}"))
    return None


def check_command(words: list[str]) -> None:
    """Parse a command line, of manage.py or of Celery."""
    if words[0] != "celery":
        name, *arguments = words
        command = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(arguments)
        return
    _, option, _, name, *arguments = words
    assert option == "-A", words
    parameters = import_module("celery.bin.celery").celery.commands[name].params
    known = {spelt for parameter in parameters for spelt in parameter.opts}
    assert known.issuperset(word for word in arguments if word.startswith("-")), words
    if name == "inspect":
        assert arguments[0] in import_module("celery.worker.control").Panel.meta


def check_keywords(text: str, queue: str) -> None:
    """Find the keywords of a call in the code that reads them: other ones would not be refused."""
    sources = "\n".join(inspect.getsource(import_module(name)) for name in sites.READERS[queue])
    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.keyword):
            assert re.search(rf"\b{node.arg}\b", sources), f"nobody reads {node.arg}"


def check_settings(said: dict[str, Any], queue: str) -> None:
    """Find settings in the code that reads them."""
    readers: dict[str, tuple[str, Callable[[str], str]]] = {
        "django-tasks-db": ("django_tasks_db.backend", lambda key: f'options.get("{key}")'),
        "django-q2": ("django_q.conf", lambda key: f'conf.get("{key}"'),
        "huey": ("huey.api", lambda key: f"{key}="),
    }
    module, spelt = readers[queue]
    source = inspect.getsource(import_module(module))
    if backend := said.pop("BACKEND", ""):
        import_string(backend)
    for key in said.get("OPTIONS", said):
        assert spelt(key) in source, f"{key} is not read by {module}"


def check_raises(text: str, names: dict[str, Any]) -> None:
    """Make an exception, or have a call raise one of the queue's own."""
    try:
        made = eval(text, names)
    except Exception as error:
        made = error
    assert isinstance(made, Exception), made
    assert type(made).__module__.partition(".")[0] in {"celery", "huey"}, repr(made)


def main(queue: str) -> int:
    """Try all, and return the exit code."""
    warnings.simplefilter("ignore")
    sites.set_up(queue)
    names = sites.names(queue, members())
    wrong = 0
    for text in json.load(sys.stdin):
        try:
            attempt(text, queue, names)
        except (Exception, SystemExit) as error:
            wrong += 1
            print(f"{text}: {error!r}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
