"""How a callable is named and found, and whether it takes its arguments."""

import importlib
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache, lru_cache, partial, singledispatch, wraps
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.mail import send_mail
from django.db import transaction

from leek.exceptions import CallableNotFound, InvalidTask
from leek.task import Task, check_arguments, find, path_of, unwrap
from tests.site import tasks

HERE = sys.modules[__name__]


def greet(name: str, *, loudly: bool = False) -> str:
    return f"Hello, {name}{'!' if loudly else ''}"


def somebody_else(name: str) -> str:
    return name


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@traced
def decorated(name: str) -> str:
    return name


def traced_without_wraps(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@traced_without_wraps
def decorated_without_wraps(name: str) -> str:
    return name


def with_greeting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Call it with a greeting that the caller does not give."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function("Hello", *args, **kwargs)

    return wrapper


@with_greeting
def welcome(greeting: str, name: str) -> str:
    return f"{greeting}, {name}"


@contextmanager
def lights_on() -> Iterator[None]:
    yield


@asynccontextmanager
async def lights_on_slowly() -> AsyncIterator[None]:
    yield


@transaction.atomic
def in_transaction(name: str) -> str:
    return name


@transaction.atomic(durable=True)
def in_durable_transaction(name: str) -> str:
    return name


@lights_on()
def lit(name: str) -> str:
    return name


@lights_on_slowly()
async def lit_slowly(name: str) -> str:
    return name


@cache
def cached(name: str) -> str:
    return name


@lru_cache(maxsize=5)
def cached_a_little(name: str) -> str:
    return name


@sync_to_async
def asynchronous(name: str) -> str:
    return name


@transaction.atomic
@lru_cache
def cached_in_transaction(name: str) -> str:
    return name


@transaction.atomic
@with_greeting
def welcome_in_transaction(greeting: str, name: str) -> str:
    return f"{greeting}, {name}"


@singledispatch
def describe(thing: object) -> str:
    return "a thing"


@describe.register
def _(thing: int, unit: str, *, plural: bool = False) -> str:
    return f"{thing} {unit}{'s' if plural else ''}"


class Branch:
    @classmethod
    @transaction.atomic
    def open(cls, name: str) -> str:
        return name

    @staticmethod
    @transaction.atomic
    def close(name: str) -> str:
        return name


def generate(name: str) -> Iterator[str]:
    yield name


async def generate_slowly(name: str) -> AsyncIterator[str]:
    yield name


@transaction.atomic
def generate_in_transaction(name: str) -> Iterator[str]:
    yield name


@traced
def generate_traced(name: str) -> Iterator[str]:
    yield name


class Nameless:
    """Has instances that can be called."""

    def __call__(self) -> None:
        """Do nothing."""


class Outer:
    class Inner:
        @classmethod
        def name(cls) -> str:
            return cls.__name__


class DeskCalculator(tasks.Calculator):
    """Inherits from a class of another module."""


nameless = Nameless()
anonymous = lambda: None  # noqa: E731
not_callable = 5


def refusal(candidate: object) -> str:
    """Return the message with which a callable is refused."""
    with pytest.raises(InvalidTask) as caught:
        path_of(candidate)
    return str(caught.value)


def reason(path: str) -> str:
    """Return the message that tells why a path leads to nothing."""
    with pytest.raises(CallableNotFound) as caught:
        find(path)
    return str(caught.value)


MakePackage = Callable[..., str]


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Return a function that writes modules of a new package, and returns its name."""
    package = f"package_of_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def make(**sources: str) -> str:
        for name, source in sources.items():
            (tmp_path / package / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        return package

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


# Names


@pytest.mark.parametrize(
    ("candidate", "path"),
    [
        (greet, "tests.unit.test_task.greet"),
        (decorated, "tests.unit.test_task.decorated"),
        (tasks.add, "tests.site.tasks.add"),
        (tasks.add_slowly, "tests.site.tasks.add_slowly"),
        (tasks.Calculator.name, "tests.site.tasks.Calculator.name"),
        (tasks.PocketCalculator.name, "tests.site.tasks.PocketCalculator.name"),
        (DeskCalculator.name, "tests.unit.test_task.DeskCalculator.name"),
        (tasks.Calculator.double, "tests.site.tasks.Calculator.double"),
        (tasks.PocketCalculator.double, "tests.site.tasks.Calculator.double"),
        (tasks.Calculator.method, "tests.site.tasks.Calculator.method"),
        (tasks.Calculator, "tests.site.tasks.Calculator"),
        (Outer.Inner.name, "tests.unit.test_task.Outer.Inner.name"),
        (len, "builtins.len"),
        (print, "builtins.print"),
        (math.sqrt, "math.sqrt"),
        (os.remove, f"{os.remove.__module__}.remove"),
        (os.path.join, f"{os.path.join.__module__}.join"),
        (send_mail, "django.core.mail.send_mail"),
    ],
)
def test_a_callable_is_named_by_a_path_that_leads_back(
    candidate: Callable[..., Any], path: str
) -> None:
    assert path_of(candidate) == path
    assert find(path) == candidate


def test_an_inherited_class_method_runs_on_the_class_it_was_pushed_with() -> None:
    assert find(path_of(tasks.PocketCalculator.name))() == "PocketCalculator"


def test_a_lambda_is_refused_by_name() -> None:
    message = refusal(anonymous)
    assert "tests.unit.test_task.<lambda>" in message
    assert "top level of a module" in message


def test_a_function_inside_a_function_is_refused() -> None:
    def local() -> None:
        pass

    message = refusal(local)
    assert "<locals>.local" in message
    assert "top level of a module" in message


def test_a_function_whose_decorator_hides_it_is_refused_with_the_remedy() -> None:
    assert "use functools.wraps in its decorator" in refusal(decorated_without_wraps)


def test_the_remedy_for_a_lambda_names_no_decorator() -> None:
    assert "decorator" not in refusal(anonymous)


def test_a_class_method_of_a_local_class_is_refused() -> None:
    class Local:
        @classmethod
        def name(cls) -> str:
            return cls.__name__

    assert "<locals>.Local.name" in refusal(Local.name)


def test_a_partial_is_refused() -> None:
    message = refusal(partial(greet, "Ada"))
    assert "partial" in message
    assert "Push the function itself" in message


def test_a_bound_method_is_refused_with_the_call_to_write_instead() -> None:
    message = refusal(tasks.Calculator().method)
    assert "tests.site.tasks.Calculator.method" in message
    assert "Calculator.method, calculator" in message


def test_a_function_of_main_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greet, "__module__", "__main__")
    message = refusal(greet)
    assert "__main__.greet" in message
    assert "Move it into a module" in message


def test_a_callable_instance_without_a_name_is_refused() -> None:
    message = refusal(nameless)
    assert "Nameless" in message
    assert "no name" in message


@pytest.mark.parametrize("candidate", [[].append, "text".upper, dict.fromkeys, str.upper])
def test_a_method_of_a_built_in_type_is_refused(candidate: Callable[..., Any]) -> None:
    assert "no name" in refusal(candidate)


@pytest.mark.parametrize("candidate", [None, 5, "tests.site.tasks.noop", object(), tasks])
def test_what_is_not_callable_is_refused(candidate: object) -> None:
    assert "is not callable. Push a function." in refusal(candidate)


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(refusal("x" * 10_000)) < 200


def test_a_shadowed_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = greet
    monkeypatch.setattr(HERE, "greet", somebody_else)
    message = refusal(original)
    assert "tests.unit.test_task.greet leads to another object" in message


def test_a_function_whose_name_is_gone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = greet
    monkeypatch.delattr(HERE, "greet")
    assert "does not lead back" in refusal(original)


def test_a_function_under_a_name_that_is_not_callable_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = greet
    monkeypatch.setattr(HERE, "greet", 5)
    assert "not callable" in refusal(original)


# Finding


@pytest.mark.parametrize(
    "path", ["", "len", ".", "a..b", ".a.b", "a.b.", "a b.c", "os.<lambda>", "os.path.1", "é!.x"]
)
def test_what_is_no_dotted_path_is_not_imported(path: str) -> None:
    assert "a dotted path such as" in reason(path)


def test_a_missing_package_is_named() -> None:
    assert "No module named 'no_such_package'" in reason("no_such_package.tasks.send")


def test_a_missing_module_of_a_package_is_named(make_package: MakePackage) -> None:
    package = make_package()
    message = reason(f"{package}.no_such_module.send")
    assert message.startswith(f"{package}.no_such_module.send does not import")
    assert "no_such_module" in message.partition("does not import")[2]


def test_a_missing_function_is_named() -> None:
    assert "no attribute 'no_such_function'" in reason("tests.site.tasks.no_such_function")


def test_what_a_module_lacks_for_its_own_import_is_named(make_package: MakePackage) -> None:
    package = make_package(broken="import no_such_dependency\ndef run(): ...\n")
    assert "No module named 'no_such_dependency'" in reason(f"{package}.broken.run")


def test_a_missing_neighbour_that_a_module_imports_is_named(make_package: MakePackage) -> None:
    package = make_package()
    make_package(broken=f"import {package}.no_such_neighbour\n")
    assert f"No module named '{package}.no_such_neighbour'" in reason(f"{package}.broken.run")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise RuntimeError('not now')", "RuntimeError: not now"),
        ("1 / 0", "ZeroDivisionError"),
        ("def run(:", "SyntaxError"),
        ("from os import no_such_name", "ImportError: cannot import name 'no_such_name'"),
    ],
)
def test_an_error_inside_a_module_is_told(
    make_package: MakePackage, source: str, error: str
) -> None:
    package = make_package(broken=source)
    assert error in reason(f"{package}.broken.run")


def test_the_original_error_is_kept_as_the_cause(make_package: MakePackage) -> None:
    package = make_package(broken="1 / 0")
    with pytest.raises(CallableNotFound) as caught:
        find(f"{package}.broken.run")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_is_found_but_not_callable_is_told() -> None:
    assert "not callable: 5" in reason("tests.unit.test_task.not_callable")


def test_a_module_is_no_callable() -> None:
    assert "not callable" in reason("tests.site.tasks")


def test_a_module_that_appears_later_is_found(make_package: MakePackage) -> None:
    package = make_package()
    reason(f"{package}.later.run")
    make_package(later="def run(): return 'here'\n")
    assert find(f"{package}.later.run")() == "here"


def test_a_function_that_appears_later_is_found(make_package: MakePackage) -> None:
    package = make_package(jobs="")
    reason(f"{package}.jobs.run")
    sys.modules[f"{package}.jobs"].__dict__["run"] = greet
    assert find(f"{package}.jobs.run") is greet


def test_the_function_of_the_moment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    find("tests.unit.test_task.greet")
    monkeypatch.setattr(HERE, "greet", somebody_else)
    assert find("tests.unit.test_task.greet") is somebody_else


# Tasks of Django


@pytest.fixture
def django_task(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return `greet` as decorated by Django's `task`, which stands in its place."""
    decorated_by_django = pytest.importorskip("django.tasks").task(greet)
    monkeypatch.setattr(HERE, "greet", decorated_by_django)
    return decorated_by_django


def test_a_task_of_django_is_unwrapped(django_task: Any) -> None:
    assert unwrap(django_task)("Ada") == "Hello, Ada"


def test_the_function_of_a_task_of_django_is_named_and_found(django_task: Any) -> None:
    function = unwrap(django_task)
    assert path_of(function) == "tests.unit.test_task.greet"
    assert find("tests.unit.test_task.greet") is function


def test_a_task_of_the_backport_is_unwrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    class BackportedTask(SimpleNamespace):
        pass

    module = ModuleType("django_tasks.base")
    module.Task = BackportedTask  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django_tasks.base", module)
    assert unwrap(BackportedTask(func=greet)) is greet


@pytest.mark.parametrize("candidate", [greet, len, SimpleNamespace(func=greet), 5, None])
def test_anything_else_is_not_unwrapped(candidate: object) -> None:
    assert unwrap(candidate) is candidate


# Arguments


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((), {}, "'name'"),
        (("Ada", "Grace"), {}, "too many positional arguments"),
        (("Ada",), {"name": "Grace"}, "'name'"),
        (("Ada",), {"colour": "red"}, "'colour'"),
        (("Ada", True), {}, "too many positional arguments"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidTask) as caught:
        check_arguments("shop.greet", greet, args, kwargs)
    assert str(caught.value).startswith("shop.greet(name: str, *, loudly: bool = False)")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("candidate", "args", "kwargs"),
    [
        (greet, ("Ada",), {}),
        (greet, (), {"name": "Ada", "loudly": True}),
        (tasks.echo, (1, 2, 3), {"a": 1, "self": 2, "path": 3, "a_callable": 4}),
        (tasks.PocketCalculator.name, (), {}),
        (tasks.Calculator.double, (2,), {}),
        (tasks.add_slowly, (1, 2), {}),
        (math.sqrt, (2,), {}),
        (max, (1, 2, 3), {}),
        (dict, ([],), {"a": 1}),
    ],
)
def test_arguments_that_fit_pass(
    candidate: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    check_arguments("shop.task", candidate, args, kwargs)


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(InvalidTask):
        check_arguments("shop.greet", greet, (), {5: "Ada"})


# Arguments of decorated functions

LOOKED_BEHIND = [
    in_transaction,
    in_durable_transaction,
    lit,
    lit_slowly,
    cached,
    cached_a_little,
    asynchronous,
    cached_in_transaction,
    Branch.open,
    Branch.close,
]


@pytest.mark.parametrize("candidate", LOOKED_BEHIND)
def test_a_decorator_that_passes_arguments_on_is_looked_behind(
    candidate: Callable[..., Any],
) -> None:
    check_arguments("shop.task", candidate, ("Ada",), {})
    check_arguments("shop.task", candidate, (), {"name": "Ada"})
    with pytest.raises(InvalidTask, match=r"^shop\.task\(name: str\).*'name'"):
        check_arguments("shop.task", candidate, (), {})
    with pytest.raises(InvalidTask, match="too many positional arguments"):
        check_arguments("shop.task", candidate, ("Ada", "Grace"), {})


@pytest.mark.parametrize("candidate", [decorated, welcome, welcome_in_transaction])
def test_a_decorator_that_may_add_arguments_is_not_looked_behind(
    candidate: Callable[..., Any],
) -> None:
    check_arguments("shop.task", candidate, ("Ada",), {})
    check_arguments("shop.task", candidate, (), {})


@pytest.mark.parametrize(
    ("args", "kwargs"), [(("a",), {}), ((1, "leek"), {}), ((2, "leek"), {"plural": True})]
)
def test_arguments_that_fit_the_function_for_their_type_pass(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    check_arguments("shop.describe", describe, args, kwargs)
    describe(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1,), {}), (("a", "leek"), {}), ((1, "leek"), {"many": True})]
)
def test_arguments_that_do_not_fit_the_function_for_their_type_are_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(InvalidTask):
        check_arguments("shop.describe", describe, args, kwargs)
    with pytest.raises(TypeError):
        describe(*args, **kwargs)


# Generators


@pytest.mark.parametrize("candidate", [generate, generate_slowly, generate_in_transaction])
def test_a_generator_function_is_refused(candidate: Callable[..., Any]) -> None:
    with pytest.raises(
        InvalidTask, match=r"^shop\.generate is a generator .* Push a function that"
    ):
        check_arguments("shop.generate", candidate, ("Ada",), {})


def test_a_decorator_that_may_run_a_generator_is_not_looked_behind() -> None:
    check_arguments("shop.generate", generate_traced, ("Ada",), {})


# Running


def test_a_task_runs_with_its_arguments() -> None:
    assert Task(greet, ("Ada",), {"loudly": True}).run() == "Hello, Ada!"


def test_a_coroutine_is_run_to_its_end() -> None:
    assert Task(tasks.add_slowly, (1, 2), {}).run() == 3


def test_the_error_of_a_task_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="as asked"):
        Task(tasks.fail, (), {}).run()
