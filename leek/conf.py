"""The settings: their defaults and one live reader.

A site sets them in one dictionary, ``TASKS_QUEUE = {"MAX_RETRIES": 5}``, or in the environment,
``LEEK_MAX_RETRIES=5``. The dictionary wins over the environment, the environment over the default.
Nothing is cached, so Django's ``override_settings`` works.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, overload

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from environ import Env

T = TypeVar("T")
_env = Env()


PREFIX = "LEEK_"  # of the environment variables
DAY = 86_400.0  # seconds
CENTURY = 36_525 * DAY


def _dictionary() -> dict[Any, Any]:
    """Return TASKS_QUEUE; a system check tells of one that is no dictionary."""
    given = getattr(django_settings, "TASKS_QUEUE", None)
    return given if isinstance(given, dict) else {}


class InvalidSetting(ImproperlyConfigured):
    """A setting has a value that cannot be used: the problem, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What values a setting takes: in words, as a function, and as a text of the environment.

    `accept` and `parse` raise TypeError, ValueError or OverflowError for anything else.
    """

    expected: str
    accept: Callable[[Any], T]
    parse: Callable[[str], Any] = str


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _seconds(value: Any) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError(value)
    if not 0 <= seconds <= CENTURY:
        raise ValueError(value)
    return float(seconds)


def _period(value: Any) -> float:
    if not 0 < (seconds := _seconds(value)) <= DAY:
        raise ValueError(value)
    return seconds


def _period_or_none(value: Any) -> float | None:
    return None if value is None else _period(value)


def _parse_flag(text: str) -> bool:
    if text.lower() in Env.BOOLEAN_TRUE_STRINGS:
        return True
    if text.lower() in ("false", "off", "n", "no", "0"):
        return False
    raise ValueError(text)


def _parse_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _number(low: int, high: float = float("inf")) -> Callable[[Any], int]:
    def accept(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(value)
        return value

    return accept


def _names_or_none(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple | set) or not value:
        raise ValueError(value)
    return [_text(name) for name in value]


def _aliases(value: Any) -> dict[str, str]:
    """Accept paths by their former paths; one step leads from any of these to the present one."""
    if not isinstance(value, dict) or not value.keys().isdisjoint(value.values()):
        raise ValueError(value)
    return {_path(former): _path(present) for former, present in value.items()}


def _path(value: Any) -> str:
    names = _text(value).split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):
        raise ValueError(value)
    return str(value)


def _parse_pairs(text: str) -> dict[str, str]:
    pairs = [pair.split("=") for pair in _parse_names(text)]
    return {former.strip(): present.strip() for former, present in pairs}


def _choice(*choices: str) -> Kind[str]:
    def accept(value: Any) -> str:
        if value not in choices:
            raise ValueError(value)
        return str(value)

    return Kind("one of " + ", ".join(f'"{choice}"' for choice in choices), accept)


def _alias_or_none(value: Any) -> str | None:
    if value is not None and value not in django_settings.DATABASES:
        raise ValueError(value)
    return value  # type: ignore[no-any-return]


TEXT = Kind("a text", _text)
FLAG = Kind("True or False", _flag, _parse_flag)
PORT = Kind("a port number from 1 to 65535", _number(1, 65535), int)
ANY_PORT = Kind("a port number from 0 to 65535", _number(0, 65535), int)
COUNT = Kind("a whole number from 1", _number(1), int)
SECONDS = Kind("seconds: a number from 0, or a timedelta", _seconds, float)
PERIOD = Kind("seconds: a number above 0 and up to a day, or a timedelta", _period, float)
PERIOD_OR_NONE = Kind(f"{PERIOD.expected}; or None for no limit", _period_or_none, float)
NAMES = Kind("a list of names, or None for all", _names_or_none, _parse_names)
ALIAS = Kind("the alias of one of DATABASES, or None", _alias_or_none)
ALIASES = Kind(
    "a dictionary of present dotted paths by former ones, none of them both", _aliases, _parse_pairs
)


class Setting(Generic[T]):
    """One setting, read anew each time: `config.MAX_RETRIES`."""

    key: str

    def __init__(self, default: Any, kind: Kind[T]) -> None:
        self.default = default
        self.kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Setting[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> "Setting[T] | T":
        return self if instance is None else self.read()

    def read(self) -> T:
        """Return the value in force; raise InvalidSetting, naming key, value and remedy."""
        source, value = self._find()
        try:
            return self.kind.accept(value)
        except (TypeError, ValueError, OverflowError):
            raise InvalidSetting(
                f"{source} is {value!r}.",
                f"Set it to {self.kind.expected} (default: {self.default!r}).",
            ) from None

    def _find(self) -> tuple[str, Any]:
        given = _dictionary()
        if self.key in given:
            return f'TASKS_QUEUE["{self.key}"]', given[self.key]
        variable = PREFIX + self.key
        if variable not in os.environ:
            return self.key, self.default
        text = os.environ[variable]
        try:
            return variable, self.kind.parse(_env.str(variable))
        except (TypeError, ValueError, ImproperlyConfigured):
            return variable, text


class Config:
    """Every setting, by its key."""

    TASKS_HOST = Setting("localhost", TEXT)
    TASKS_PORT = Setting(8002, PORT)
    HINT_TIMEOUT = Setting(0.25, PERIOD)
    DATABASE = Setting(None, ALIAS)
    SERIALIZER = Setting("auto", _choice("auto", "json", "pickle"))
    ALIASES = Setting({}, ALIASES)
    EAGER = Setting(False, FLAG)
    WORKERS = Setting(1, COUNT)
    QUEUES = Setting(None, NAMES)
    ISOLATE = Setting(False, FLAG)
    TIMEOUT = Setting(None, PERIOD_OR_NONE)
    MAX_RETRIES = Setting(3, COUNT)
    RETRY_DELAY = Setting(1, SECONDS)
    RETRY_DELAY_MAX = Setting(600, SECONDS)
    MAX_CRASHES = Setting(3, COUNT)
    PARK_FOR = Setting(86_400, SECONDS)
    LEASE = Setting(30, PERIOD)
    POLL_INTERVAL = Setting(1, PERIOD)
    SHUTDOWN_TIMEOUT = Setting(8, SECONDS)


config = Config()
SETTINGS: dict[str, Setting[Any]] = {
    key: setting for key, setting in vars(Config).items() if isinstance(setting, Setting)
}
DEFAULTS: dict[str, Any] = {key: setting.default for key, setting in SETTINGS.items()}


def unknown_keys() -> dict[str, str]:
    """Return the keys of TASKS_QUEUE that leek does not know, each with the remedy."""
    keys = [str(key) for key in _dictionary() if key not in SETTINGS]
    return {key: _meant(key) or f"Known keys: {', '.join(SETTINGS)}." for key in keys}


def misspelt_variables() -> dict[str, str]:
    """Return the environment variables that are almost the one of a setting, with the remedy.

    Others that begin like them may belong to somebody else.
    """
    keys = [name.removeprefix(PREFIX) for name in os.environ if name.startswith(PREFIX)]
    meant = {key: _meant(key, PREFIX) for key in keys if key not in SETTINGS}
    return {f"{PREFIX}{key}": remedy for key, remedy in meant.items() if remedy}


def _meant(key: str, prefix: str = "") -> str | None:
    near = get_close_matches(key.upper(), SETTINGS, n=1)
    return f'Did you mean "{prefix}{near[0]}"?' if near else None


def wrong_values() -> list[InvalidSetting]:
    """Return an error for each setting whose value cannot be used."""
    problems = []
    for setting in SETTINGS.values():
        try:
            setting.read()
        except InvalidSetting as error:
            problems.append(error)
    return problems


def protocol_secrets() -> list[bytes]:
    """Return the keys that answer challenges: of SECRET_KEY, and of its SECRET_KEY_FALLBACKS."""
    return [
        salted_hmac("leek.protocol", "", secret=key, algorithm="sha256").digest()
        for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    ]
