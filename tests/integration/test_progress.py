"""The progress bar of long work, on a real terminal."""

import os
import pty
import re
import subprocess
import sys

import pytest

from leek.api import push_many
from leek.bench.figures import Plan
from leek.upkeep import FIRST_BATCH
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, ROOT, environment, finish, manage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("port")]

COLOUR = re.compile(r"\x1b\[[\d;]*m")
BAR = re.compile(r"\r\[(#*)(\.*)\] (\d+)/(\d+)")


def on_a_terminal(*arguments: str) -> str:
    """Run a management command on a terminal of 50 columns, and return what is shown there."""
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "django", *arguments],
        env=environment(TERM="xterm", COLUMNS="50"),
        cwd=ROOT,
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    ) as process:
        os.close(other_end)
        shown = read_all(terminal)
        assert process.wait(GIVE_UP_AFTER) == 0, shown
    os.close(terminal)
    return COLOUR.sub("", shown)


def read_all(terminal: int) -> str:
    """Read until nobody writes any more, which Linux reports as an error."""
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:
        pass
    return shown.decode()


def test_purge_draws_on_a_terminal_how_far_it_is() -> None:
    total = 10 * FIRST_BATCH
    finish(push_many([(tasks.noop, (), {})] * total))
    shown = on_a_terminal("leek_purge")
    drawn = [(len(full), len(rest), int(n), int(of)) for full, rest, n, of in BAR.findall(shown)]
    assert drawn[0] == (2, 18, FIRST_BATCH, total)
    assert drawn == sorted(drawn)
    assert drawn[-1] == (20, 0, total, total)
    assert BAR.sub("", shown) == f"\r\nDeleted {total} tasks.\r\n"


def test_bench_draws_on_a_terminal_how_far_it_is() -> None:
    plan = Plan(tasks=30, pushes=10)
    shown = on_a_terminal("leek_bench", "--tasks", str(plan.tasks), "--pushes", str(plan.pushes))
    drawn = [(int(number), int(total)) for *_, number, total in BAR.findall(shown)]
    assert drawn == sorted(drawn)
    assert drawn[-1] == (plan.steps, plan.steps)
    assert BAR.sub("", shown).startswith("\r\nleek ")


def test_purge_draws_nothing_where_there_is_nothing_to_do() -> None:
    assert on_a_terminal("leek_purge") == "Deleted 0 tasks.\r\n"


def test_purge_draws_nothing_in_a_pipe() -> None:
    finish(push_many([(tasks.noop, (), {})] * 3))
    done = manage("leek_purge")
    assert (done.stdout, done.stderr) == ("Deleted 3 tasks.\n", "")
