"""A task: a callable with its arguments; and how a callable is named and found again."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncContextDecorator, ContextDecorator
from dataclasses import dataclass, field
from functools import lru_cache, partial, singledispatch
from importlib import import_module, invalidate_caches
from reprlib import Repr
from types import FunctionType, MethodType
from typing import Any

from asgiref.sync import SyncToAsync, async_to_sync, iscoroutinefunction

from leek.exceptions import CallableNotFound, InvalidTask, TaskTimeout
from leek.time_limit import excess, run_limited, time_limit

_DJANGO_TASK_MODULES = ("django.tasks.base", "django_tasks.base")

_shortener = Repr()
_shortener.maxother = 200
short_repr = _shortener.repr

_places: dict[str, tuple[str, list[str]]] = {}  # where callables were found: module and names


@dataclass(frozen=True, slots=True)
class Task:
    """A callable with its arguments, to be run in the background.

    `options` is what the push has said of how to run it (see `leek.policy`), `context` what it was
    pushed in (see `leek.context`), `path` where its callable was found. `enqueued` is what Django's
    tasks framework has to know of it (see `leek.django_task`), None for one that was just pushed.
    """

    callable: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    enqueued: Mapping[str, Any] | None = None

    def run(self, timeout: float | None = None) -> Any:
        """Call it, and return what it returns; a coroutine is run to its end.

        Raise TaskTimeout after `timeout` seconds, where `time_limit` can.
        """
        if timeout is None:
            result = self.callable(*self.args, **self.kwargs)
        else:
            result = self._run_limited(timeout)
        if inspect.iscoroutine(result):
            return async_to_sync(run_limited)(result, timeout)
        return result

    @property
    def is_async(self) -> bool:
        """Whether `run_in_loop` can run it."""
        return _is_async(self.callable)

    async def run_in_loop(self, timeout: float | None = None) -> Any:
        """Do as `run`, with a coroutine function, in the running event loop."""
        return await run_limited(self.callable(*self.args, **self.kwargs), timeout)

    def _run_limited(self, timeout: float) -> Any:
        try:
            with time_limit(timeout):
                return self.callable(*self.args, **self.kwargs)
        except TaskTimeout as error:
            error.args = error.args or (excess(timeout),)
            raise


def unwrap(candidate: Any) -> Any:
    """Return the function of a Task of `django.tasks`, anything else as it is."""
    for name in _DJANGO_TASK_MODULES:
        if (module := sys.modules.get(name)) and isinstance(candidate, module.Task):
            return candidate.func
    return candidate


def path_of(candidate: Any) -> str:
    """Return the dotted path by which a server finds this callable.

    Raise InvalidTask, with the remedy, where there is none.
    """
    if not callable(candidate):
        raise InvalidTask(f"{short_repr(candidate)} is not callable. Push a function.")
    if isinstance(candidate, partial):
        raise InvalidTask(
            f"{short_repr(candidate)} has no name to find it by."
            " Push the function itself, with all of its arguments."
        )
    module, qualname = _names(candidate)
    path = f"{module}.{qualname}"
    if "<" in qualname:
        remedy = ", or use functools.wraps in its decorator" if "<locals>" in qualname else ""
        raise InvalidTask(
            f"{path} cannot be imported: it is a lambda or was defined inside a function."
            f" Define it at the top level of a module{remedy}."
        )
    if module == "__main__":
        raise InvalidTask(f"{path} cannot be imported elsewhere. Move it into a module.")
    _check_found(path, candidate)
    return path


def _names(candidate: Any) -> tuple[str, str]:
    owner = candidate.__self__ if isinstance(candidate, MethodType) else None
    if isinstance(owner, type):  # a class method, perhaps inherited
        return owner.__module__, f"{owner.__qualname__}.{candidate.__name__}"
    module = getattr(candidate, "__module__", None)
    qualname = getattr(candidate, "__qualname__", None)
    if owner is not None:
        raise InvalidTask(
            f"{module}.{qualname} is bound to an object. Push the function itself, with the object"
            f" as its first argument: {qualname}, {type(owner).__name__.lower()}, ..."
        )
    if not module or not qualname:
        raise InvalidTask(
            f"{short_repr(candidate)} has no name to find it by. Push a function of a module."
        )
    return module, qualname


def _check_found(path: str, candidate: Any) -> None:
    try:
        found = find(path)
    except CallableNotFound as error:
        raise InvalidTask(f"{path} does not lead back to the callable: {error}") from error
    if found != candidate:
        raise InvalidTask(
            f"{path} leads to another object, {short_repr(found)}, not to the one pushed."
            " Push what the module holds under that name."
        )


def find(path: str) -> Any:
    """Return the callable at a dotted path, or the function of the Task of `django.tasks` there.

    Raise CallableNotFound, with the reason.
    """
    found = unwrap(locate(path))
    if not callable(found):
        raise CallableNotFound(f"{path} is not callable: {short_repr(found)}")
    return found


def locate(path: str) -> Any:
    """Return what is at a dotted path; raise CallableNotFound, with the reason."""
    try:
        module, names = _places.get(path) or _split(path)
        found: Any = sys.modules.get(module) or import_module(module)
        for name in names:
            found = getattr(found, name)
    except Exception as error:
        _places.pop(path, None)
        invalidate_caches()  # a module may appear while this process runs
        raise CallableNotFound(
            f"{path} does not import: {type(error).__name__}: {error}"
        ) from error
    _places[path] = module, names
    return found


def _split(path: str) -> tuple[str, list[str]]:
    """Split a path behind the longest part of it that is a module."""
    names = path.split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):
        raise ValueError("a dotted path such as shop.tasks.send is needed")
    for cut in range(len(names) - 1, 0, -1):
        module = ".".join(names[:cut])
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if cut == 1 or not _is_missing(module, error):
                raise
        else:
            return module, names[cut:]
    raise AssertionError("unreachable")


def _is_missing(module: str, error: ModuleNotFoundError) -> bool:
    """Tell whether this very module is not there, or something that it imports."""
    return error.name is not None and f"{module}.".startswith(f"{error.name}.")


def check_arguments(path: str, a_callable: Any, args: Sequence[Any], kwargs: Any) -> None:
    """Raise InvalidTask where a call with these arguments is refused, or runs nothing."""
    function = _innermost(a_callable, args)
    if _is_generator(function):
        raise InvalidTask(
            f"{path} is a generator function: calling it runs none of its lines."
            " Push a function that does the work and returns."
        )
    if (signature := _signature(function)) is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidTask(f"{path}{signature} cannot be called so: {error}.") from None


def _code_around(decorator: Any) -> Any:
    """Return the code that a decorator puts around every function alike."""
    return decorator(lambda argument: None).__code__


_CONTEXTS = (_code_around(ContextDecorator()), _code_around(AsyncContextDecorator()))
_DISPATCHER = _code_around(singledispatch)
_CACHE = type(lru_cache(abs))


def _innermost(a_callable: Any, args: Sequence[Any]) -> Any:
    """Return the function behind decorators that are known to pass their arguments on unchanged.

    Any other decorator is not looked behind, though functools.wraps shows the way: it may add
    arguments of its own, and then a call that fits would be refused.
    """
    if isinstance(a_callable, MethodType):
        owner = a_callable.__self__
        return MethodType(_innermost(a_callable.__func__, (owner, *args)), owner)
    code = a_callable.__code__ if isinstance(a_callable, FunctionType) else None
    if code is _DISPATCHER:
        return _innermost(a_callable.dispatch(type(args[0]) if args else object), args)
    if code in _CONTEXTS or isinstance(a_callable, (_CACHE, SyncToAsync)):
        return _innermost(a_callable.__wrapped__, args)
    return a_callable


@lru_cache(maxsize=4096)
def _is_generator(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


@lru_cache(maxsize=4096)
def _is_async(function: Any) -> bool:
    return iscoroutinefunction(function)


@lru_cache(maxsize=4096)
def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # some built-in functions have none
        return None
