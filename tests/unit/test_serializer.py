"""Task <-> signed payload, and return value <-> signed text."""

import random
import sys
import threading
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.signing import Signer
from django.test import override_settings

from leek.exceptions import CallableNotFound, InvalidPayload, InvalidTask, ResultNotStored
from leek.serializer import LONGEST_RESULT, dump_task, dump_value, load_task, load_value
from leek.task import path_of
from tests.site import tasks
from tests.site.models import Runs
from tests.unit import values
from tests.unit.values import JSON_VALUES, PICKLE_VALUES, Order, exactly, make_value, type_name

ECHO = "tests.site.tasks.echo"
sung: list[str] = []


def sing(song: str) -> str:
    sung.append(song)
    return song


class Canary:
    """Sings when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], str], tuple[str]]:
        return sing, ("tweet",)


class Unpicklable:
    """Raises an error when it is pickled."""

    def __init__(self, error: Exception = RuntimeError("not me")) -> None:  # noqa: B008
        self.error = error

    def __reduce__(self) -> str:
        raise self.error


class Mute(Exception):
    """Fails once more when it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Shy(dict[str, Any]):
    """Does not let itself be looked into."""

    def items(self) -> Any:
        """Refuse."""
        raise RuntimeError("keep out")


class OddType(type):
    """Makes classes that nothing can be compared with."""

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("incomparable")

    __hash__ = type.__hash__


class Odd(metaclass=OddType):
    """Is harmless itself."""


class Unreadable:
    """Raises an error when it is unpickled."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise state["error"]


@pytest.fixture(autouse=True)
def silence() -> None:
    sung.clear()


def through(value: Any, mode: str = "auto") -> Any:
    """Return an argument as the task gets it."""
    task = load_task(dump_task(ECHO, [value], {"key": value}, mode), mode)
    assert exactly(task.args[0]) == exactly(task.kwargs["key"])
    return task.args[0]


# Round trips


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
@pytest.mark.parametrize("value", JSON_VALUES, ids=type_name)
def test_a_value_comes_back_exactly(value: Any, mode: str) -> None:
    assert exactly(through(value, mode)) == exactly(value)


@pytest.mark.parametrize("mode", ["auto", "pickle"])
@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
def test_a_value_that_json_lacks_comes_back_exactly(value: Any, mode: str) -> None:
    assert exactly(through(value, mode)) == exactly(value)


@pytest.mark.parametrize("value", JSON_VALUES, ids=type_name)
def test_what_json_can_hold_is_not_pickled(value: Any) -> None:
    assert '"pickle"' not in dump_task(ECHO, [value], {}, "auto")


@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
def test_what_json_cannot_hold_exactly_is_pickled(value: Any) -> None:
    assert '"pickle"' in dump_task(ECHO, [value], {}, "auto")


@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
@pytest.mark.parametrize("nest", [lambda value: [value], lambda value: {"a": (value,)}])
def test_a_nested_value_that_json_lacks_comes_back_exactly(
    nest: Callable[[Any], Any], value: Any
) -> None:
    assert exactly(through(nest(value))) == exactly(nest(value))


@pytest.mark.parametrize("seed", range(100))
def test_any_value_of_any_shape_comes_back_exactly(seed: int) -> None:
    value = make_value(random.Random(seed), JSON_VALUES + PICKLE_VALUES)
    assert exactly(through(value)) == exactly(value)


def test_a_list_that_holds_itself_comes_back() -> None:
    value: list[Any] = [1]
    value.append(value)
    (back,) = load_task(dump_task(ECHO, [value], {}, "auto"), "auto").args
    assert back[0] == 1
    assert back[1] is back


def test_a_dictionary_that_holds_itself_comes_back() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    (back,) = load_task(dump_task(ECHO, [value], {}, "auto"), "auto").args
    assert back["self"] is back


def test_args_are_a_tuple_and_kwargs_a_dictionary() -> None:
    for mode in ("auto", "pickle"):
        task = load_task(dump_task(ECHO, [1, 2], {"a": 3}, mode), mode)
        assert exactly((task.args, task.kwargs)) == exactly(((1, 2), {"a": 3}))


def test_a_kwarg_may_look_like_a_tag() -> None:
    task = load_task(dump_task(ECHO, [], {"$date": "today"}, "json"), "json")
    assert task.kwargs == {"$date": "today"}


@pytest.mark.parametrize("name", ["callable", "args", "kwargs", "pickle", "self", "mode"])
def test_a_kwarg_may_have_any_name(name: str) -> None:
    task = load_task(dump_task(ECHO, [], {name: 1}, "json"), "json")
    assert task.kwargs == {name: 1}


def test_the_callable_comes_back() -> None:
    assert load_task(dump_task(ECHO, [], {}, "auto"), "auto").callable is tasks.echo


# What is stored


def document_of(payload: str) -> str:
    return payload.rpartition(":")[0]


def test_a_payload_is_readable_json() -> None:
    payload = dump_task("shop.tasks.remind", [42], {"on": date(2026, 12, 24)}, "auto")
    assert document_of(payload) == (
        '{"callable": "shop.tasks.remind", "args": [42], "kwargs": {"on": {"$date": "2026-12-24"}}}'
    )


def test_the_callable_of_a_pickle_is_readable() -> None:
    payload = dump_task("shop.tasks.remind", [], {}, "pickle")
    assert payload.startswith('{"callable": "shop.tasks.remind", "pickle": "')


@pytest.mark.parametrize(
    "value", ["a\x00b", "\ud800", b"\x00", {"\x00\ud800": 1}, 10**5000], ids=type_name
)
def test_a_payload_is_text_that_every_database_stores(value: object) -> None:
    payload = dump_task(ECHO, [value], {}, "auto")
    assert "\x00" not in payload
    payload.encode("utf-8")


# Signatures


def payload_of_foreign_key(*args: Any, mode: str = "auto", path: str = ECHO) -> str:
    with override_settings(SECRET_KEY="foreign"):
        return dump_task(path, args, {}, mode)


@pytest.mark.parametrize("key", ["a key", "a key longer than a block of the hash " * 10])
def test_payloads_are_signed_as_django_signs(key: str) -> None:
    with override_settings(SECRET_KEY=key):
        payload = dump_task("builtins.len", ["été"], {}, "auto")
        text, _, _ = payload.rpartition(":")
        assert payload == Signer(salt="leek.payload").sign(text)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[key]):
        assert load_task(payload, "auto").args == ("été",)


def test_a_canary_sings_when_it_is_unpickled() -> None:
    load_task(dump_task(ECHO, [Canary()], {}, "auto"), "auto")
    assert sung == ["tweet"]


def test_a_canary_does_not_sing_when_it_is_pushed() -> None:
    dump_task(ECHO, [Canary()], {}, "auto")
    assert sung == []


def test_a_pickle_signed_with_a_foreign_key_is_never_unpickled() -> None:
    with pytest.raises(InvalidPayload, match="signed with another SECRET_KEY"):
        load_task(payload_of_foreign_key(Canary()), "auto")
    assert sung == []


def test_a_result_signed_with_a_foreign_key_is_never_unpickled() -> None:
    with override_settings(SECRET_KEY="foreign"):
        text = dump_value(Canary(), "auto")
    with pytest.raises(InvalidPayload):
        load_value(text, "auto")
    assert sung == []


def test_a_pickle_put_into_another_payload_is_never_unpickled() -> None:
    signed = dump_task(ECHO, [], {}, "pickle")
    foreign = payload_of_foreign_key(Canary())
    forged = document_of(foreign) + ":" + signed.rpartition(":")[2]
    with pytest.raises(InvalidPayload):
        load_task(forged, "auto")
    assert sung == []


def test_an_altered_callable_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_a_forger.py").write_text("def run(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    forged = dump_task(ECHO, [], {}, "auto").replace(ECHO, "module_of_a_forger.run")
    with pytest.raises(InvalidPayload):
        load_task(forged, "auto")
    assert "module_of_a_forger" not in sys.modules


def test_a_callable_signed_with_a_foreign_key_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_a_stranger.py").write_text("def run(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidPayload):
        load_task(payload_of_foreign_key(path="module_of_a_stranger.run"), "auto")
    assert "module_of_a_stranger" not in sys.modules


@pytest.mark.parametrize("mode", ["auto", "pickle"])
def test_no_character_of_a_payload_can_be_altered(mode: str) -> None:
    payload = dump_task(ECHO, [Canary()] if mode == "pickle" else [42], {}, mode)
    for place, character in enumerate(payload):
        other = "A" if character != "A" else "B"
        with pytest.raises(InvalidPayload):
            load_task(payload[:place] + other + payload[place + 1 :], "auto")
    assert sung == []


@pytest.mark.parametrize("mode", ["auto", "pickle"])
@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("shop.tasks.renamed", tasks.echo),
        ("shop.tasks.Mailer.renamed", tasks.Calculator.double),
        ("shop.tasks.moved", tasks.PocketCalculator.name),
        ("tests.site.tasks.noop", tasks.add),
    ],
)
def test_an_alias_leads_to_the_callable(mode: str, former: str, present: Any) -> None:
    payload = dump_task(former, (1,), {}, mode)
    task = load_task(payload, "auto", {former: path_of(present), "shop.tasks": ECHO})
    assert (task.callable, task.args) == (present, (1,))


def test_an_alias_leads_to_the_function_of_a_task_of_django(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class DjangoTask(SimpleNamespace):
        pass

    module = ModuleType("django_tasks.base")
    module.Task = DjangoTask  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django_tasks.base", module)
    monkeypatch.setattr(tasks, "as_task", DjangoTask(func=tasks.echo), raising=False)
    payload = dump_task("shop.tasks.renamed", (), {}, "auto")
    aliases = {"shop.tasks.renamed": "tests.site.tasks.as_task"}
    assert load_task(payload, "auto", aliases).callable is tasks.echo


def test_an_alias_that_leads_nowhere_is_told_by_its_present_path() -> None:
    payload = dump_task("shop.tasks.renamed", (), {}, "auto")
    with pytest.raises(CallableNotFound, match=r"tests\.site\.tasks\.missing"):
        load_task(payload, "auto", {"shop.tasks.renamed": "tests.site.tasks.missing"})


def test_a_payload_of_a_foreign_key_has_no_alias() -> None:
    payload = payload_of_foreign_key(path="shop.tasks.renamed")
    with pytest.raises(InvalidPayload, match="damaged"):
        load_task(payload, "auto", {"shop.tasks.renamed": ECHO})


def test_no_payload_can_be_cut_short() -> None:
    payload = dump_task(ECHO, [42], {}, "auto")
    for length in range(len(payload)):
        with pytest.raises(InvalidPayload):
            load_task(payload[:length], "auto")


@pytest.mark.parametrize(
    "payload",
    ["", ":", "::", "x", "{}", '{"callable": "os.getpid", "args": [], "kwargs": {}}:', "\x00:\xff"],
)
def test_what_is_not_signed_is_refused(payload: str) -> None:
    with pytest.raises(InvalidPayload):
        load_task(payload, "auto")


def test_a_signature_made_for_something_else_is_refused() -> None:
    document = document_of(dump_task(ECHO, [], {}, "auto"))
    for signer in (Signer(), Signer(salt="another")):
        with pytest.raises(InvalidPayload):
            load_task(signer.sign(document), "auto")


def test_a_former_key_among_the_fallbacks_is_accepted() -> None:
    payload = payload_of_foreign_key(42)
    with override_settings(SECRET_KEY_FALLBACKS=["older", "foreign"]):
        assert load_task(payload, "auto").args == (42,)


def test_a_former_key_that_was_dropped_is_refused() -> None:
    payload = payload_of_foreign_key(42)
    with override_settings(SECRET_KEY_FALLBACKS=["older"]), pytest.raises(InvalidPayload):
        load_task(payload, "auto")


def test_new_payloads_are_signed_with_the_new_key() -> None:
    with override_settings(SECRET_KEY_FALLBACKS=["older"]):
        payload = dump_task(ECHO, [42], {}, "auto")
    assert load_task(payload, "auto").args == (42,)


def test_a_result_is_not_a_task() -> None:
    text = dump_value({"callable": ECHO, "args": [], "kwargs": {}}, "auto")
    with pytest.raises(InvalidPayload):
        load_task(str(text), "auto")


def test_a_pickled_result_is_not_a_task() -> None:
    text = dump_value(Canary(), "auto")
    with pytest.raises(InvalidPayload):
        load_task(str(text), "auto")
    assert sung == []


@pytest.mark.parametrize(
    "document",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "5",
        "{}",
        '{"args": [], "kwargs": {}}',
        '{"callable": "tests.site.tasks.echo"}',
        '{"callable": "tests.site.tasks.echo", "args": []}',
        '{"callable": "tests.site.tasks.echo", "pickle": "nonsense"}',
        '{"callable": "tests.site.tasks.echo", "args": [{"$date": "nonsense"}], "kwargs": {}}',
        '{"callable": "tests.site.tasks.echo", "args": [{"$decimal": "nonsense"}], "kwargs": {}}',
        '{"callable": "tests.site.tasks.echo", "args": [{"$timedelta": 5}], "kwargs": {}}',
        '{"callable": "tests.site.tasks.echo", "args": [{"$datetime": ["x"]}], "kwargs": {}}',
        "[" * 100_000,
    ],
    ids=lambda document: document[:90],
)
def test_a_signed_text_of_another_format_is_refused(document: str) -> None:
    with pytest.raises(InvalidPayload):
        load_task(Signer(salt="leek.payload").sign(document), "auto")


# What does not import here


def test_a_callable_that_does_not_import_is_told_apart_from_damage() -> None:
    with pytest.raises(CallableNotFound, match="no_such_task"):
        load_task(dump_task("tests.site.tasks.no_such_task", [], {}, "auto"), "auto")


def test_a_class_among_the_arguments_that_does_not_import_is_told_apart_from_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payload = dump_task(ECHO, [Order(1, ())], {}, "auto")
    monkeypatch.delattr(values, "Order")
    with pytest.raises(CallableNotFound, match="Order"):
        load_task(payload, "auto")


GONE = [Runs(tag="a", process=1), [Runs(tag="a", process=1)], Runs._meta.get_field("tag")]


@pytest.mark.parametrize("value", GONE, ids=type_name)
def test_a_model_that_is_gone_is_told_apart_from_damage(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = dump_task(ECHO, [value], {}, "auto")
    monkeypatch.delitem(apps.get_app_config("testsite").models, "runs")
    with pytest.raises(CallableNotFound, match="'testsite' doesn't have a 'Runs' model"):
        load_task(payload, "auto")


@pytest.mark.parametrize("value", GONE, ids=type_name)
def test_an_app_that_is_gone_is_told_apart_from_damage(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = dump_task(ECHO, [value], {}, "auto")
    monkeypatch.delitem(apps.app_configs, "testsite")
    with pytest.raises(CallableNotFound, match="No installed app with label 'testsite'"):
        load_task(payload, "auto")


@pytest.mark.parametrize(
    "error", [LookupError("none"), KeyError("none"), IndexError("none"), Mute()], ids=type_name
)
def test_an_error_of_the_arguments_own_is_told_as_damage(error: Exception) -> None:
    payload = dump_task(ECHO, [Unreadable(error)], {}, "auto")
    with pytest.raises(InvalidPayload, match=type(error).__name__):
        load_task(payload, "auto")


def test_arguments_are_not_unpickled_for_a_callable_that_does_not_import() -> None:
    with pytest.raises(CallableNotFound):
        load_task(dump_task("tests.site.tasks.no_such_task", [Canary()], {}, "auto"), "auto")
    assert sung == []


# The setting SERIALIZER


@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
def test_json_refuses_to_store_a_pickle(value: Any) -> None:
    with pytest.raises(InvalidTask, match=r"^tests\.site\.tasks\.echo: .*args\[0\]: "):
        dump_task(ECHO, [value], {}, "json")


def test_json_refuses_to_read_a_pickle() -> None:
    payload = dump_task(ECHO, [Canary()], {}, "auto")
    with pytest.raises(InvalidPayload, match='"SERIALIZER"'):
        load_task(payload, "json")
    assert sung == []


def test_json_refuses_to_read_a_pickled_result() -> None:
    text = dump_value(Canary(), "auto")
    with pytest.raises(InvalidPayload, match='"SERIALIZER"'):
        load_value(text, "json")
    assert sung == []


def test_pickle_stores_everything_as_pickle() -> None:
    assert '"pickle"' in dump_task(ECHO, [42], {}, "pickle")


@pytest.mark.parametrize("mode", ["auto", "pickle"])
def test_json_can_be_read_in_every_mode(mode: str) -> None:
    payload = dump_task(ECHO, [42], {"a": (1,)}, "json")
    assert load_task(payload, mode).kwargs == {"a": (1,)}


def test_a_list_that_holds_itself_is_refused_by_json() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidTask, match="contains itself"):
        dump_task(ECHO, [value], {}, "json")


# Naming the culprit

lambda_in_module = lambda: None  # noqa: E731


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
@pytest.mark.parametrize(
    ("args", "kwargs", "culprit"),
    [
        ([Unpicklable()], {}, "args[0]"),
        ([1, 2, Unpicklable()], {}, "args[2]"),
        ([], {"when": Unpicklable()}, 'kwargs["when"]'),
        ([], {"when": [Unpicklable()]}, 'kwargs["when"][0]'),
        ([1], {"a": 1, "when": [1, {"at": (1, 2, Unpicklable())}]}, 'kwargs["when"][1]["at"][2]'),
        ([{"a": {"b": lambda_in_module}}], {}, 'args[0]["a"]["b"]'),
        ([{Unpicklable()}], {}, "an element of args[0]"),
        ([sys], {}, "args[0]"),
        ([1], {"lock": threading.Lock()}, 'kwargs["lock"]'),
    ],
)
def test_the_message_names_what_cannot_be_stored(
    args: list[Any], kwargs: dict[str, Any], culprit: str, mode: str
) -> None:
    with pytest.raises(InvalidTask) as caught:
        dump_task("shop.tasks.send", args, kwargs, mode)
    assert str(caught.value).startswith(f"shop.tasks.send: {culprit}: ")


def test_the_message_tells_why_it_cannot_be_stored() -> None:
    with pytest.raises(InvalidTask, match="not me"):
        dump_task(ECHO, [Unpicklable()], {}, "auto")


def test_the_message_names_the_type_that_json_lacks() -> None:
    with pytest.raises(InvalidTask, match=r'kwargs\["total"\]\[0\]: .*fractions\.Fraction'):
        dump_task(ECHO, [], {"total": [Fraction(1, 3)]}, "json")


def test_the_message_names_a_dictionary_whose_keys_are_not_text() -> None:
    with pytest.raises(InvalidTask, match=r"args\[0\]: .*keys that are not text"):
        dump_task(ECHO, [{1: 2}], {}, "json")


@pytest.mark.parametrize("mode", ["auto", "pickle"])
def test_an_error_without_a_text_is_told_all_the_same(mode: str) -> None:
    with pytest.raises(InvalidTask, match=r"^tests\.site\.tasks\.echo: args\[0\]: "):
        dump_task(ECHO, [Unpicklable(Mute())], {}, mode)


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
@pytest.mark.parametrize(
    "value", [Shy(a=Unpicklable()), {Mute(): Unpicklable()}], ids=["container", "key"]
)
def test_what_cannot_be_looked_into_is_named_itself(value: Any, mode: str) -> None:
    with pytest.raises(InvalidTask, match=r"^tests\.site\.tasks\.echo: args\[0\]: "):
        dump_task(ECHO, [value], {}, mode)


def test_what_json_stumbles_over_is_refused_by_json() -> None:
    with pytest.raises(InvalidTask, match=r"args\[0\]: incomparable"):
        dump_task(ECHO, [Odd()], {}, "json")


def test_what_json_stumbles_over_is_pickled() -> None:
    (back,) = load_task(dump_task(ECHO, [Odd()], {}, "auto"), "auto").args
    assert isinstance(back, Odd)


def test_the_message_does_not_show_the_values() -> None:
    with pytest.raises(InvalidTask) as caught:
        dump_task(ECHO, [], {"password": "s3cret", "token": Unpicklable()}, "auto")
    assert "s3cret" not in str(caught.value)


# What no other process could import


def in_main(thing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a class or function one of the script that runs, as pickle sees it."""
    monkeypatch.setattr(thing, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], thing.__name__, thing, raising=False)


@pytest.mark.parametrize("mode", ["auto", "pickle"])
@pytest.mark.parametrize(
    ("args", "kwargs", "culprit"),
    [
        ([Order(1, ())], {}, "args[0]"),
        ([Order], {}, "args[0]"),
        ([1], {"orders": [Order(1, ())]}, 'kwargs["orders"][0]'),
        ([frozenset({Order(1, ())})], {}, "an element of args[0]"),
        ([ValueError(Order(1, ()))], {}, "args[0]"),
    ],
)
def test_a_class_of_main_is_refused(
    args: list[Any],
    kwargs: dict[str, Any],
    culprit: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_main(Order, monkeypatch)
    with pytest.raises(InvalidTask) as caught:
        dump_task("shop.tasks.send", args, kwargs, mode)
    assert str(caught.value) == (
        f"shop.tasks.send: {culprit}: __main__.Order cannot be imported elsewhere."
        " Move it to the top level of an importable module."
    )


def test_a_function_of_main_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    in_main(sing, monkeypatch)
    with pytest.raises(InvalidTask, match=r"args\[0\]: __main__\.sing cannot be imported"):
        dump_task(ECHO, [sing], {}, "auto")


def test_a_class_inside_a_function_is_refused() -> None:
    class Local:
        pass

    with pytest.raises(InvalidTask, match=r"<locals>\.Local cannot .* top level of an importable"):
        dump_task(ECHO, [Local()], {}, "auto")


def test_a_result_of_a_class_of_main_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    in_main(Order, monkeypatch)
    with pytest.raises(ResultNotStored, match=r"__main__\.Order cannot be imported"):
        load_value(dump_value(Order(1, ()), "auto"), "auto")


def test_a_text_may_look_like_main() -> None:
    value = {"__main__", ("__main__", "f.<locals>.g"), frozenset({"__main__.Order"})}
    assert load_task(dump_task(ECHO, [value], {}, "auto"), "auto").args == (value,)


def test_an_object_of_main_may_be_stored_as_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    in_main(Canary, monkeypatch)
    assert load_task(dump_task(ECHO, [Canary()], {}, "auto"), "auto").args == ("tweet",)


# Return values


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
@pytest.mark.parametrize("value", JSON_VALUES, ids=type_name)
def test_a_result_comes_back_exactly(value: Any, mode: str) -> None:
    assert exactly(load_value(dump_value(value, mode), mode)) == exactly(value)


@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
def test_a_pickled_result_comes_back_exactly(value: Any) -> None:
    assert exactly(load_value(dump_value(value, "auto"), "auto")) == exactly(value)


def test_no_result_needs_no_text() -> None:
    assert dump_value(None, "auto") is None


@pytest.mark.parametrize(
    "value", [{"lost": "x"}, {"value": 1}, {"pickle": "x"}, {"$date": "x"}], ids=str
)
def test_a_result_may_look_like_the_format(value: dict[str, Any]) -> None:
    assert load_value(dump_value(value, "auto"), "auto") == value


def test_a_result_is_readable_json() -> None:
    assert document_of(str(dump_value(date(2026, 12, 24), "auto"))) == (
        '{"value": {"$date": "2026-12-24"}}'
    )


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
@pytest.mark.parametrize(
    "value", [Unpicklable(), tasks.unstorable(), lambda_in_module, [sys]], ids=type_name
)
def test_a_result_that_cannot_be_stored_is_told_when_it_is_asked_for(
    value: object, mode: str
) -> None:
    text = dump_value(value, mode)
    with pytest.raises(ResultNotStored, match="The task succeeded, but its result is lost: "):
        load_value(text, mode)


@pytest.mark.parametrize("value", PICKLE_VALUES, ids=type_name)
def test_a_result_that_json_lacks_is_lost_in_json(value: Any) -> None:
    with pytest.raises(ResultNotStored):
        load_value(dump_value(value, "json"), "json")


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
@pytest.mark.parametrize(
    "error",
    [
        Mute(),
        RecursionError("too deep"),
        RuntimeError("\ud83d\ude00\x00"),
        RuntimeError("x" * 10**7),
    ],
    ids=["mute", "recursion", "surrogates", "long"],
)
def test_no_error_while_a_result_is_stored_fails_the_task(error: Exception, mode: str) -> None:
    text = str(dump_value([Unpicklable(error)], mode))
    assert len(text) < 2_000
    text.encode("utf-8")
    with pytest.raises(ResultNotStored):
        load_value(text, mode)


def test_a_result_that_json_stumbles_over_is_lost_in_json() -> None:
    with pytest.raises(ResultNotStored, match="RuntimeError: incomparable"):
        load_value(dump_value(Odd(), "json"), "json")


@pytest.mark.parametrize("mode", ["auto", "pickle"])
def test_a_result_that_is_nested_too_deeply_is_lost(mode: str) -> None:
    value: list[Any] = []
    for _ in range(10_000):
        value = [value]
    with pytest.raises(ResultNotStored, match="RecursionError"):
        load_value(dump_value(value, mode), mode)


def test_the_longest_result_is_kept() -> None:
    value = "x" * (LONGEST_RESULT - len(str(dump_value("", "auto"))))
    assert len(str(dump_value(value, "auto"))) == LONGEST_RESULT
    assert load_value(dump_value(value, "auto"), "auto") == value


@pytest.mark.parametrize("mode", ["auto", "json", "pickle"])
def test_a_result_that_is_too_long_is_lost(mode: str) -> None:
    text = dump_value("x" * LONGEST_RESULT, mode)
    assert len(str(text)) < 200
    with pytest.raises(
        ResultNotStored,
        match=r"it is [45],\d{3},\d{3} characters long, more than the 4,000,000 that are kept$",
    ):
        load_value(text, mode)


def test_a_damaged_result_is_refused() -> None:
    with pytest.raises(InvalidPayload):
        load_value(str(dump_value(42, "auto")).replace("42", "43"), "auto")
