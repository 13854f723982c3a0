"""What kinds of values those settings take that name what can be imported, by dotted paths."""

from contextvars import ContextVar
from typing import Any

from django.utils.module_loading import import_string

from leek.setting_kinds import TEXT, WORDS, Kind, WrongPart


def variable_at(path: str) -> ContextVar[Any]:
    """Return the context variable at a dotted path; raise where there is none."""
    found = import_string(path)
    if not isinstance(found, ContextVar):
        raise TypeError(f"{path} is no ContextVar but {found!r}")
    return found


def _path(value: Any) -> str:
    names = TEXT.accept(value).split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):
        raise ValueError(value)
    return str(value)


def _variables(value: Any) -> list[tuple[str, ContextVar[Any]]]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    return [(path, _variable(path)) for path in map(_path, value)]


def _variable(path: str) -> ContextVar[Any]:
    try:
        return variable_at(path)
    except Exception as error:
        raise WrongPart(
            f" names {path}, which is no context variable: {type(error).__name__}: {error}",
            "Name contextvars.ContextVar objects of modules that can be imported.",
        ) from error


def _mail_backend(value: Any) -> str:
    path = _path(value)
    try:
        found = import_string(path)
    except Exception as error:
        raise WrongPart(
            f" is {path!r}, which does not import: {type(error).__name__}: {error}",
            "Name a mail backend, as Django's EMAIL_BACKEND does.",
        ) from error
    if not isinstance(found, type):
        raise TypeError(value)
    return path


def _aliases(value: Any) -> dict[str, str]:
    """Accept paths by their former paths; one step leads from any of these to the present one."""
    if not isinstance(value, dict) or not value.keys().isdisjoint(value.values()):
        raise ValueError(value)
    return {_path(former): _path(present) for former, present in value.items()}


def _parse_pairs(text: str) -> dict[str, str]:
    pairs = [pair.split("=") for pair in WORDS.parse(text)]
    return {former.strip(): present.strip() for former, present in pairs}


def _celery_app(value: Any) -> str | None:
    """Accept what Celery's own option -A takes; whether it imports is seen when it is needed."""
    if value is None:
        return None
    names = TEXT.accept(value).replace(":", ".", 1).split(".")
    if not all(name.isidentifier() for name in names):
        raise ValueError(value)
    return str(value)


DOTTED_PATH = Kind('a dotted path such as "shop.tasks.send"', _path)
VARIABLES = Kind("a list of dotted paths of context variables", _variables, WORDS.parse)
MAIL_BACKEND = Kind("the dotted path of a mail backend", _mail_backend)
ALIASES = Kind(
    "a dictionary of present dotted paths by former ones, none of them both", _aliases, _parse_pairs
)
CELERY_APP = Kind(
    'the path of a Celery app such as "shop.celery:app", or None for leek\'s own', _celery_app
)
