"""How a task is tried, and under what conditions: as its function says, its push, or the settings.

    @policy(max_retries=5, retry_on=[OSError], requires=["smtp"])
    def remind(user_id): ...

What a push says wins over the function's policy, and that over the settings.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, Unpack

from django.db import DEFAULT_DB_ALIAS

from leek.conditions import LIMIT, RATE, Conditions, Gate, parse_rate
from leek.conf import config
from leek.exceptions import InvalidTask
from leek.policy_kinds import Key, checked
from leek.retry import Delay, Errors, RetryPolicy
from leek.task import find, path_of, unwrap

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "leek_policy"  # of a function
_NO_LIMIT = 0  # how a lifted time limit is stored
LONGEST_KEY = 200  # characters, from which on a key is cut and made distinct by its digest

Seconds = float | timedelta
Requirement = str | Callable[[], Any]


class PolicyOptions(TypedDict, total=False):
    """The options of `policy`, and of `using` as well; None is the same as to leave one out."""

    max_retries: int | None
    retry_delay: Seconds | Sequence[Seconds] | Callable[[int], float] | None
    retry_on: type[BaseException] | Iterable[type[BaseException]] | None
    give_up_on: type[BaseException] | Iterable[type[BaseException]] | None
    timeout: Seconds | None
    atomic: bool | str | None
    requires: Requirement | Iterable[Requirement] | None
    limit: int | None
    rate: str | None
    key: Key | None
    queue: str | None
    priority: int | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What was said of a task, checked; None: nothing. See `policy` for the meaning."""

    max_retries: int | None = None
    retry_delay: Delay | None = None
    retry_on: Errors | None = None
    give_up_on: Errors | None = None
    timeout: float | None = None
    atomic: str | None = None  # the alias of a database, or "" for none
    requires: tuple[str, ...] | None = None
    limit: int | None = None
    rate: str | None = None
    key: Key | None = None
    queue: str | None = None
    priority: int | None = None


NOTHING = Policy()


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a task, all told.

    `timeout` is in seconds, None for no limit; `atomic` the alias of a database, or "".
    """

    retry: RetryPolicy
    timeout: float | None = None
    atomic: str = ""
    requires: tuple[str, ...] = ()
    limit: int | None = None
    rate: str | None = None
    key: Key | None = None

    def changed_by(self, policy: Policy) -> "Terms":
        """Return what holds where a policy has the last word."""
        said = _said(policy)
        retry = {_RETRY[name]: value for name, value in said.items() if name in _RETRY}
        terms = {name: value for name, value in said.items() if name in _TERMS}
        if terms.get("timeout") == math.inf:
            terms["timeout"] = None
        return replace(self, **terms, retry=replace(self.retry, **retry))

    def conditions(self, path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Conditions:
        """Return the conditions of a task that is called with these arguments."""
        if self.limit is None and self.rate is None:
            return Conditions(self.requires)
        key = key_of(self.key, path, args, kwargs)
        gates = []
        if self.limit is not None:
            gates.append(Gate(LIMIT + key, running=self.limit))
        if self.rate is not None:
            gates.append(Gate(RATE + key, rate=parse_rate(self.rate)))
        return Conditions(self.requires, tuple(gates))


_RETRY = {
    "max_retries": "max_retries",
    "retry_delay": "delay",
    "retry_on": "retry_on",
    "give_up_on": "give_up_on",
}
_TERMS = {spec.name for spec in fields(Terms)}


def terms_of_settings() -> Terms:
    """Return what the settings say of every task."""
    return Terms(
        RetryPolicy(config.MAX_RETRIES, config.RETRY_DELAY, config.RETRY_DELAY_MAX),
        timeout=config.TIMEOUT,
        atomic=DEFAULT_DB_ALIAS if config.ATOMIC_TASKS else "",
        requires=tuple(config.REQUIRES),
    )


def policy(**options: Unpack[PolicyOptions]) -> Callable[[F], F]:
    """Return a decorator that notes on a function how it is to be run as a task.

    The function stays as it is. The options:

    `max_retries`: the number of tries in all.
    `retry_delay`: seconds (or a timedelta) before the second try, doubling from try to try; or a
    list of what to wait for before each; or a function of the number of the try that failed.
    `retry_on`, `give_up_on`: classes of exceptions; only the former are tried again, the latter
    are not.
    `timeout`: seconds (or a timedelta) that one attempt may take; math.inf for no limit.
    `atomic`: store what the task writes and its success in one transaction. The task's database,
    "default" if it is not named by its alias instead of True, has to be the queue's.
    `requires`: services that have to work: "smtp", "smtp:<mailer>", "database:<alias>",
    "cache:<alias>", "tcp:<host>:<port>", or a function without arguments that raises if not (or
    its dotted path).
    `limit`: how many may run at a time, on all servers; `rate`: how many may start, as in "100/m"
    or "5/10s" (s, m, h, d). They are counted for the function, or by `key`: a text that functions
    may share, or a function of the task's arguments, for one count for each value.
    `queue`, `priority`: as in `using`.

    Raise InvalidTask where a value cannot be used.
    """
    noted = policy_from(options)

    def annotate(function: F) -> F:
        if unwrap(function) is not function:
            name = unwrap(function).__qualname__
            raise InvalidTask(
                f"{name} is a Task already. Put @policy below @task, next to the function."
            )
        setattr(function, ATTRIBUTE, noted)
        return function

    return annotate


def atomic_refusal(path: str, alias: str, queue: str) -> str:
    """Return what is wrong with an atomic task whose database is not the queue's."""
    return (
        f'{path} is to be atomic in the database "{alias}", but the queue is in "{queue}".'
        " Only what is written to the queue's own database can be one with the task's success."
    )


def check_atomic(path: str, alias: str, queue: str) -> None:
    """Raise InvalidTask where a task is to be atomic, but not in the queue's database."""
    if alias != queue:
        raise InvalidTask(atomic_refusal(path, alias, queue))


def policy_of(function: Any) -> Policy | None:
    """Return the policy that was noted on a function."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Policy) else None


def policy_from(options: Mapping[str, Any]) -> Policy:
    """Return options as a policy; raise InvalidTask, naming option, value and remedy."""
    said = {name: checked(name, value) for name, value in options.items()}
    return Policy(**said) if any(value is not None for value in said.values()) else NOTHING


def _said(policy: Policy) -> dict[str, Any]:
    values = ((spec.name, getattr(policy, spec.name)) for spec in fields(policy))
    return {name: value for name, value in values if value is not None}


def key_of(key: Key | None, path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return what a task is counted by: its function, a given text, or a value for its function."""
    if callable(key):
        return _fitting(f"{path}[{key(*args, **kwargs)}]")
    return path if key is None else _fitting(key)


def _fitting(key: str) -> str:
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 33]}#{hashlib.sha256(key.encode()).hexdigest()[:32]}"


# What a push says is stored with the task


def stored(
    said: Policy, path: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a policy as values that JSON holds, for a task that is called with these arguments.

    Queue and priority have columns of their own. Raise InvalidTask where a function or a class
    cannot be imported by its name.
    """
    values = _said(said)
    for name in ("queue", "priority"):
        values.pop(name, None)
    for name in ("retry_on", "give_up_on"):
        if name in values:
            values[name] = [path_of(error) for error in values[name]]
    if callable(values.get("retry_delay")):
        values["retry_delay"] = path_of(values["retry_delay"])
    if callable(key := values.get("key")):
        values["key"] = key_of(key, path, args, kwargs)
    if values.get("timeout") == math.inf:
        values["timeout"] = _NO_LIMIT
    return values


def restored(values: Mapping[str, Any]) -> Policy:
    """Return the policy that `stored` made these values of.

    Raise CallableNotFound where what it names does not import.
    """
    said = dict(values)
    for name in ("retry_on", "give_up_on"):
        if name in said:
            said[name] = tuple(map(find, said[name]))
    if isinstance(said.get("retry_delay"), str):
        said["retry_delay"] = find(said["retry_delay"])
    if said.get("timeout") == _NO_LIMIT:
        said["timeout"] = math.inf
    return Policy(**said)
