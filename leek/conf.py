"""The settings: their defaults and one live reader.

A site sets them in one dictionary, ``TASKS_QUEUE = {"MAX_RETRIES": 5}``, or in the environment,
``LEEK_MAX_RETRIES=5``. The dictionary wins over the environment, the environment over the default.
Nothing is cached, so Django's ``override_settings`` works.
"""

import os
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, overload

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from environ import Env

from leek import path_kinds
from leek import setting_kinds as kinds
from leek.places import Place, places_in
from leek.schedule_setting import SCHEDULE
from leek.setting_kinds import Kind, WrongPart

T = TypeVar("T")
PREFIX = "LEEK_"  # of the environment variables
SECRETS = [  # what the names of secret arguments have in common
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api key",
    "access key",
    "private key",
    "credential",
    "authorization",
    "cookie",
    "signature",
]
_env = Env()


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
        if (found := self._find()) is None:
            default: T = self.default
            return default
        source, value = found
        try:
            return self.kind.accept(value)
        except WrongPart as error:
            raise InvalidSetting(f"{source}{error.problem}", error.remedy) from None
        except (TypeError, ValueError, OverflowError):
            raise InvalidSetting(
                f"{source} is {value!r}.",
                f"Set it to {self.kind.expected} (default: {self.default!r}).",
            ) from None

    def _find(self) -> tuple[str, Any] | None:
        """Return what sets it, and the value; None where nothing does."""
        given = _dictionary()
        if self.key in given:
            return f'TASKS_QUEUE["{self.key}"]', given[self.key]
        variable = PREFIX + self.key
        if (text := os.environ.get(variable)) is None:
            return None
        try:
            return variable, self.kind.parse(_env.str(variable))
        except (TypeError, ValueError, ImproperlyConfigured):
            return variable, text


class Config:
    """Every setting, by its key."""

    TASKS_HOST = Setting("localhost", kinds.PLACES)
    TASKS_PORT = Setting(8002, kinds.PORT)
    HINT_TIMEOUT = Setting(0.25, kinds.PERIOD)
    DATABASE = Setting(None, kinds.ALIAS)
    SERIALIZER = Setting("auto", kinds.choice("auto", "json", "pickle"))
    ALIASES = Setting({}, path_kinds.ALIASES)
    EMAIL_BACKEND = Setting("django.core.mail.backends.smtp.EmailBackend", path_kinds.MAIL_BACKEND)
    CONTEXT = Setting([], path_kinds.VARIABLES)
    EAGER = Setting(False, kinds.FLAG)
    RUNSERVER = Setting(False, kinds.FLAG)
    ENGINE = Setting("leek", kinds.choice("leek", "celery"))
    CELERY_APP = Setting(None, path_kinds.CELERY_APP)
    RELAY_TIMEOUT = Setting(60, kinds.PERIOD)
    WORKERS = Setting(1, kinds.COUNT)
    ASYNC_LIMIT = Setting(100, kinds.COUNT)
    QUEUES = Setting(None, kinds.QUEUES)
    ISOLATE = Setting(False, kinds.FLAG)
    TIMEOUT = Setting(None, kinds.PERIOD_OR_NONE)
    MAX_RETRIES = Setting(3, kinds.COUNT)
    RETRY_DELAY = Setting(1, kinds.SECONDS)
    RETRY_DELAY_MAX = Setting(600, kinds.SECONDS)
    REQUIRES = Setting([], kinds.REQUIREMENTS)
    ATOMIC_TASKS = Setting(False, kinds.FLAG)
    MAX_CRASHES = Setting(3, kinds.COUNT)
    PARK_FOR = Setting(86_400, kinds.SECONDS)
    SCHEDULE = Setting({}, SCHEDULE)
    PURGE_AFTER = Setting(None, kinds.AGE_OR_NONE)
    REDACT = Setting(SECRETS, kinds.WORDS)
    LOG_LINES = Setting(100, kinds.LINES)
    LEASE = Setting(30, kinds.PERIOD)
    POLL_INTERVAL = Setting(1, kinds.PERIOD)
    SHUTDOWN_TIMEOUT = Setting(8, kinds.SECONDS)
    HEALTH_TOKEN = Setting(None, kinds.TOKEN_OR_NONE)


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


def places(host: str | None = None, port: int | None = None) -> list[Place]:
    """Return where servers may be reached, by the settings, but for what is given, in order."""
    if host is not None:
        return [Place(host, config.TASKS_PORT if port is None else port)]
    named = places_in(config.TASKS_HOST, config.TASKS_PORT)
    return named if port is None else list(dict.fromkeys(Place(each.host, port) for each in named))


def protocol_secrets() -> list[bytes]:
    """Return the keys that answer challenges: of SECRET_KEY, and of its SECRET_KEY_FALLBACKS."""
    return [
        salted_hmac("leek.protocol", "", secret=key, algorithm="sha256").digest()
        for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    ]
